#!/bin/sh
# Includes point only one way: cli, gateway → queue → daemon → modalities → diffusion → networks →
# weights → backends; anyone may include base and, above diffusion, request. media/ knows files alone.
# storage belongs to the daemon and, for reading, to cli and gateway. No two files include each
# other's innards.
set -u
cd "$(dirname "$0")/../.." || exit 1
status=0

may() { # room, rooms whose headers it may include
	room=$1
	shift
	[ -d "$room" ] || return 0
	allowed=$(printf '%s|' base "$room" "$@")
	wrong=$(find "$room" -name '*.[ch]' -exec grep -Hn '^#include "' {} + |
		grep -vE ":#include \"(${allowed%|})/" || true)
	if [ -z "$wrong" ]; then
		echo "ok includes of $room"
	else
		echo "not ok includes of $room"
		echo "$wrong"
		status=1
	fi
}

may base
# What a job may say stands below all that read it.
may request
may media
may backends
may weights backends
may networks weights backends
may diffusion networks weights backends
may modalities request media diffusion backends
# A lost database is rebuilt from what the files say of themselves.
may storage request media
# The queue hands over what a job says; it never calls what makes it.
may queue request
may daemon request queue storage modalities media diffusion weights backends
may gateway request queue storage media
# render and doctor enter below the queue.
may cli request queue storage modalities media diffusion weights backends

for header in CL/ hiredis sqlite3.h; do
	case $header in
	CL/) home=backends/opencl ;;
	hiredis) home=queue ;;
	sqlite3.h) home=storage ;;
	esac
	wrong=$(grep -rln "#include <$header" --include='*.[ch]' base request media backends weights networks diffusion \
		modalities storage queue daemon cli gateway 2>/dev/null | grep -v "^$home/")
	if [ -z "$wrong" ]; then
		echo "ok only $home includes <$header>"
	else
		echo "not ok only $home includes <$header>"
		echo "$wrong"
		status=1
	fi
done
# A file is its .c, its .h and its _internal.h.
circles=$(find base request media backends weights networks diffusion modalities queue storage daemon \
	cli gateway -name '*.[ch]' -exec grep -Ho '^#include "[^"]*"' {} + 2>/dev/null |
	sed 's/\.[ch]:#include "/ /; s/\.h"$//; s/_internal//g' | awk '$1 != $2 { edge[$1, $2] = 1 }
	END { for (e in edge) { split(e, n, SUBSEP); if (n[1] < n[2] && ((n[2], n[1]) in edge)) print n[1], n[2] } }')
if [ -z "$circles" ]; then
	echo "ok no two files include each other"
else
	echo "not ok no two files include each other"
	echo "$circles"
	status=1
fi
exit $status

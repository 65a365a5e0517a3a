#!/bin/sh
# Includes point only one way: cli, gateway → queue → daemon → modalities → diffusion → networks →
# weights → backends; anyone may include base and, above diffusion, request. media/ knows files alone.
# storage belongs to the daemon and, for reading, to cli and gateway. No files include each other
# in a ring.
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
# Fetching models knows addresses and files alone.
may hub
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
# It asks what there is and whether a job can be made, and makes nothing.
may gateway request queue storage modalities media
# render and doctor enter below the queue.
may cli request queue storage modalities media hub diffusion weights backends

for header in CL/ hiredis sqlite3.h event2/; do
	case $header in
	CL/) home=backends/opencl ;;
	hiredis) home=queue ;;
	sqlite3.h) home=storage ;;
	event2/) home=gateway ;;
	esac
	wrong=$(grep -rln "#include <$header" --include='*.[ch]' base request media hub backends weights networks diffusion \
		modalities storage queue daemon cli gateway 2>/dev/null | grep -v "^$home/")
	if [ -z "$wrong" ]; then
		echo "ok only $home includes <$header>"
	else
		echo "not ok only $home includes <$header>"
		echo "$wrong"
		status=1
	fi
done
# A file is its .c, its .h and its _internal.h. What nothing includes, or what includes nothing, is in
# no ring, and is put aside again and again: what stays are rings of any length, and what joins two.
rings=$(find base request media hub backends weights networks diffusion modalities queue storage daemon \
	cli gateway -name '*.[ch]' -exec grep -Ho '^#include "[^"]*"' {} + 2>/dev/null |
	sed 's/\.[ch]:#include "/ /; s/\.h"$//; s/_internal//g' | awk '
	$1 != $2 { edge[$1, $2] = 1 }
	END {
		do {
			gone = 0
			split("", from); split("", to)
			for (e in edge) { split(e, n, SUBSEP); from[n[1]]; to[n[2]] }
			for (e in edge) {
				split(e, n, SUBSEP)
				if (!(n[1] in to) || !(n[2] in from)) { delete edge[e]; gone++ }
			}
		} while (gone)
		for (e in edge) { split(e, n, SUBSEP); print n[1], "includes", n[2] }
	}' | sort)
if [ -z "$rings" ]; then
	echo "ok no files include each other in a ring"
else
	echo "not ok no files include each other in a ring"
	echo "$rings"
	status=1
fi
# What the headers of the daemon's table of members pull in, all the way down.
core=$(find . -name '*.h' -not -path './build/*' -exec grep -Ho '^#include "[^"]*"' {} + |
	sed 's|^\./||; s/:#include "/ /; s/"$//' | awk '
	{ edge[$1] = edge[$1] " " $2 }
	END {
		todo["daemon/group.h"]
		do {
			more = 0
			for (f in todo) {
				if (f in seen) continue
				seen[f]
				more = 1
				n = split(edge[f], to, " ")
				for (i = 1; i <= n; i++) todo[to[i]]
			}
		} while (more)
		for (f in seen) if (f ~ /^(diffusion|networks|weights|backends)\//) print f
	}')
if [ -z "$core" ]; then
	echo "ok daemon/group.h knows nothing of the core"
else
	echo "not ok daemon/group.h knows nothing of the core"
	echo "$core"
	status=1
fi
exit $status

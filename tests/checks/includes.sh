#!/bin/sh
# Includes point only one way: cli, gateway → queue → daemon → modalities → diffusion → networks →
# weights → backends; anyone may include base. media/ knows files alone. storage belongs to the daemon
# and, for reading, to cli and gateway. No two files include each other's innards.
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
may media
may backends
may weights backends
may networks weights backends
may diffusion networks weights backends
may modalities media diffusion backends
# A lost database is rebuilt from what the files say of themselves.
may storage media
# The queue hands a job to the modalities as a request; it never calls them.
may queue modalities
may daemon queue storage modalities media diffusion weights backends
may gateway queue storage media
# render and doctor enter below the queue.
may cli queue storage modalities media diffusion weights backends

wrong=$(grep -ln '#include "modalities/' queue/*.[ch] 2>/dev/null | grep -v '^queue/job_request\.[ch]$')
if [ -z "$wrong" ]; then
	echo "ok only queue/job_request knows the modalities"
else
	echo "not ok only queue/job_request knows the modalities"
	echo "$wrong"
	status=1
fi
for header in CL/ hiredis sqlite3.h; do
	case $header in
	CL/) home=backends/opencl ;;
	hiredis) home=queue ;;
	sqlite3.h) home=storage ;;
	esac
	wrong=$(grep -rln "#include <$header" --include='*.[ch]' base media backends weights networks diffusion \
		modalities storage queue daemon cli gateway 2>/dev/null | grep -v "^$home/")
	if [ -z "$wrong" ]; then
		echo "ok only $home includes <$header>"
	else
		echo "not ok only $home includes <$header>"
		echo "$wrong"
		status=1
	fi
done
exit $status

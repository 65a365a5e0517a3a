#!/bin/sh
# The CPU kernels reach their share of the machine's peak (bench/floors.c). No time is
# compared with a fixed one: shares are taken within one run, of processor time. That the
# check can fail is shown with the scalar device, which is a hundred times too slow.
set -u
cd "$(dirname "$0")/../.." || exit 1
floors=${BUILD:-build}/bench/floors
"$floors" || status=1
slow=$("$floors" --device reference --only linear --tries 1)
case $slow in
"not ok linear "*) echo "ok the scalar device stays below the floor" ;;
skip*) ;;
*) echo "not ok the scalar device stays below the floor: $slow" && status=1 ;;
esac
exit "${status:-0}"

#!/bin/sh
# Runs fuzz targets, as many at a time as there are processors; closes with a line a target.
# usage: run.sh TIME [NAME…]     TIME: "60s" or "5m" for each target, or "10000000" inputs for each
# What they learn stays in $BUILD/fuzz/corpus/NAME; an input that breaks one, in $BUILD/fuzz/found.
set -u
BUILD=${BUILD:-build/clang}
each=$1
shift
cd "$(dirname "$0")/../.." || exit 1
case $each in
*s) limit=-max_total_time=${each%s} ;;
*m) limit=-max_total_time=$((${each%m} * 60)) ;;
*[!0-9]*|'') echo "run.sh: '$each' is neither a time (60s, 5m) nor a number of inputs" >&2; exit 2 ;;
*) limit=-runs=$each ;;
esac
names="$*"
[ -n "$names" ] || names=$(cd tests/fuzz && ls fuzz_*.c | sed 's/^fuzz_//; s/\.c$//')
mkdir -p "$BUILD/fuzz/found" "$BUILD/fuzz/logs"
rm -rf "$BUILD/fuzz/seeds"
"$BUILD/fuzz/make-seeds" "$BUILD/fuzz/seeds" || exit 1

export BUILD limit
export ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1
export LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp:print_suppressions=0"
# shellcheck disable=SC2016
echo "$names" | tr ' ' '\n' | xargs -P "$(getconf _NPROCESSORS_ONLN)" -I{} sh -c '
	name={}
	mkdir -p "$BUILD/fuzz/corpus/$name" "$BUILD/fuzz/seeds/$name"
	"$BUILD/fuzz/fuzz_$name" "$limit" -timeout=25 -rss_limit_mb=2560 -malloc_limit_mb=1024 \
		-max_len=8192 -print_final_stats=1 -artifact_prefix="$BUILD/fuzz/found/$name-" \
		"$BUILD/fuzz/corpus/$name" "$BUILD/fuzz/seeds/$name" >"$BUILD/fuzz/logs/$name" 2>&1
	status=$?
	runs=$(sed -n "s/^stat::number_of_executed_units: //p" "$BUILD/fuzz/logs/$name")
	if [ $status -eq 0 ] && [ "${runs:-0}" -gt 0 ]; then
		echo "ok fuzz $name ($runs inputs)"
	else
		echo "not ok fuzz $name (exit $status; $BUILD/fuzz/logs/$name)"
		grep -E "ERROR|broken promise|runtime error|SUMMARY|artifact_prefix" "$BUILD/fuzz/logs/$name" | head -5
		exit 1
	fi'

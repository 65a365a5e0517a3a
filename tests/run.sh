#!/bin/sh
# Runs every test program and script; closes with "N passed, N failed, N skipped".
#
# Unit tests are cmocka programs under $BUILD/tests and, built with sanitizers, under
# $BUILD/asan/tests; scripts are the executable files of
# tests/checks and tests/e2e. A script prints "ok NAME", "not ok NAME …" or "skip NAME …" lines and
# counts as one failed test if it exits non-zero without having said so.
# usage: run.sh [--unit-only|--asan-only] [NAME…]   (NAME: run only tests whose path contains it)
set -u
BUILD=${BUILD:-build}
export BUILD
folders="$BUILD/tests $BUILD/asan/tests"
scripts=1
case ${1:-} in
--unit-only)
	folders=$BUILD/tests scripts=0
	shift
	;;
--asan-only)
	folders=$BUILD/asan/tests scripts=0
	shift
	;;
esac
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp:print_suppressions=0"

wanted() {
	[ -z "$names" ] && return 0
	for n in $names; do case $1 in *"$n"*) return 0 ;; esac; done
	return 1
}
names="$*"

count() { grep -c "$1" "$log" || true; }

run_unit() {
	"$1" >"$log" 2>&1
	status=$?
	p=$(count '^\[       OK \]') f=$(count '^\[  FAILED  \] [a-zA-Z_0-9]*$') s=$(count '^\[  SKIPPED \] [a-zA-Z_0-9]*$')
	f2=$(sed -n 's/^\[  FAILED  \] .*: \([0-9]*\) test(s).*/\1/p' "$log" | head -1)
	[ -n "$f2" ] && f=$f2
	[ $status -ne 0 ] && [ "$f" -eq 0 ] && f=1
	if [ $status -eq 0 ] && [ "$p" -eq 0 ] && [ "$s" -eq 0 ]; then
		f=1
		echo "no test ran" >>"$log"
	fi
	tally "$1"
}

# The program that a script's first line names.
interpreter() {
	line=$(head -1 "$1" | tr -d '\r')
	echo "${line##*[ !]}"
}

run_script() {
	runner=$(interpreter "$1")
	if ! command -v "$runner" >/dev/null 2>&1; then
		echo "skip $1: $runner is not installed" >"$log"
		status=0 p=0 f=0 s=1
		tally "$1"
		return
	fi
	"$1" >"$log" 2>&1
	status=$?
	p=$(count '^ok ') f=$(count '^not ok ') s=$(count '^skip ')
	[ $status -ne 0 ] && [ "$f" -eq 0 ] && f=1
	if [ $status -eq 0 ] && [ $((p + f + s)) -eq 0 ]; then
		f=1
		echo "no test ran" >>"$log"
	fi
	tally "$1"
}

tally() {
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	if [ "$f" -gt 0 ] || [ $status -ne 0 ]; then
		echo "FAIL $1 (exit $status)"
		sed 's/^/    /' "$log" | tail -60
	else
		echo "pass $1 ($p)"
		grep '^skip ' "$log" | sed 's/^/    /'
	fi
}

if ! ls "$BUILD"/tests/test_* >/dev/null 2>&1; then
	echo "skip unit tests: none are built (cmocka is not installed)"
	skipped=1
fi
for folder in $folders; do
	for t in "$folder"/test_*; do
		[ -x "$t" ] && wanted "$t" && run_unit "$t"
	done
done
if [ $scripts = 1 ]; then
	for t in tests/checks/* tests/e2e/*; do
		[ -f "$t" ] && [ -x "$t" ] && wanted "$t" && run_script "$t"
	done
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

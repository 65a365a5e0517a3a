#!/bin/sh
# Runs every test program and script; closes with "N passed, N failed, N skipped".
#
# Unit tests are cmocka programs under $BUILD/tests and, built with sanitizers, under
# $BUILD/asan/tests; scripts are the executable files of
# tests/checks and tests/e2e. A script prints "ok NAME", "not ok NAME …" or "skip NAME …" lines and
# counts as one failed test if it exits non-zero without having said so. As many run at once as there
# are processors; those of tests/checks one by one, as one of them takes the machine's measure. The
# seconds that each took are told so that the check can be kept short; nothing is judged by them.
# usage: run.sh [--unit-only|--asan-only] [NAME…]   (NAME: run only tests whose path contains it)
set -u
if [ "${1:-}" = --one ]; then
	one=$2
	shift 2
fi
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
# PoCL 7.1 copies a path upon itself when it loads a kept program.
export ASAN_OPTIONS="suppressions=$PWD/tests/asan.supp"
export LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp:print_suppressions=0"
names="$*"

wanted() {
	[ -z "$names" ] && return 0
	for n in $names; do case $1 in *"$n"*) return 0 ;; esac; done
	return 1
}

# The program that a script's first line names.
interpreter() {
	line=$(head -1 "$1" | tr -d '\r')
	echo "${line##*[ !]}"
}

# ---- one test: its log and its counts are left in $RESULTS ------------------------------------

count() { grep -c "$1" "$log" || true; }

run_unit() {
	"$1" >"$log" 2>&1
	status=$?
	p=$(count '^\[       OK \]') f=$(count '^\[  FAILED  \] [a-zA-Z_0-9]*$') s=$(count '^\[  SKIPPED \] [a-zA-Z_0-9]*$')
	f2=$(sed -n 's/^\[  FAILED  \] .*: \([0-9]*\) test(s).*/\1/p' "$log" | head -1)
	[ -n "$f2" ] && f=$f2
}

run_script() {
	runner=$(interpreter "$1")
	if command -v "$runner" >/dev/null 2>&1; then
		"$1" >"$log" 2>&1
		status=$?
	else
		echo "skip $1: $runner is not installed" >"$log"
		status=0
	fi
	p=$(count '^ok ') f=$(count '^not ok ') s=$(count '^skip ')
}

run_one() {
	began=$(date +%s)
	log=$RESULTS/$(echo "$1" | tr / _)
	case $1 in
	*/test_*) run_unit "$1" ;;
	*) run_script "$1" ;;
	esac
	[ $status -ne 0 ] && [ "$f" -eq 0 ] && f=1
	if [ $status -eq 0 ] && [ $((p + f + s)) -eq 0 ]; then
		f=1
		echo "no test ran" >>"$log"
	fi
	took=$(($(date +%s) - began))
	echo "$p $f $s" >"$log.counts"
	echo "$took s $1" >"$log.took"
	if [ "$f" -gt 0 ] || [ $status -ne 0 ]; then
		echo "FAIL $1 (exit $status)"
		sed 's/^/    /' "$log" | tail -60
	else
		echo "pass $1 ($p, $took s)"
		grep '^skip ' "$log" | sed 's/^/    /'
	fi >"$log.said"
	cat "$log.said"
}

if [ -n "${one:-}" ]; then
	run_one "$one"
	exit 0
fi

# ---- all of them ------------------------------------------------------------------------------

RESULTS=$(mktemp -d)
export RESULTS
trap 'rm -rf "$RESULTS"' EXIT

# Those wanted of the paths given, which can be run.
choose() {
	for t in "$@"; do
		if [ -f "$t" ] && [ -x "$t" ] && wanted "$t"; then echo "$t"; fi
	done
}

several() { xargs -r -P "$(getconf _NPROCESSORS_ONLN)" -n 1 "$0" --one; }

passed=0 failed=0 skipped=0
if ! ls "$BUILD"/tests/test_* >/dev/null 2>&1; then
	echo "skip unit tests: none are built (cmocka is not installed)"
	skipped=1
fi
if [ $scripts = 1 ]; then
	choose tests/checks/* | xargs -r -n 1 "$0" --one
fi
for folder in $folders; do
	choose "$folder"/test_*
done | several
if [ $scripts = 1 ]; then
	choose tests/e2e/* | several
fi
for counts in "$RESULTS"/*.counts; do
	read -r p f s <"$counts" 2>/dev/null || continue
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
[ $((passed + failed)) -gt 0 ] && echo "the slowest: $(cat "$RESULTS"/*.took | sort -rn | head -12 | paste -sd ';' | sed 's/;/; /g')"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

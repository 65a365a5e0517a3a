#!/bin/sh
# A warning never fails a build for use and always one for tests, even of what was built before; a
# missing library is said in words; make itself has nothing to complain of.
set -u
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset MAKEFLAGS MAKELEVEL
status=0

say() { # CONDITION'S STATUS, NAME
	if [ "$1" = 0 ]; then
		echo "ok $2"
	else
		echo "not ok $2"
		sed 's/^/    /' "$work/log" | tail -20
		status=1
	fi
}

# Every file has a warning.
echo 'static int nobody_reads_this;' >"$work/warning.h"
object=$work/build/obj/base/half.o
build() { # GOALS…
	CFLAGS="-include $work/warning.h" make BUILD="$work/build" "$@" >"$work/log" 2>&1
}

build "$object" && grep -q 'nobody_reads_this' "$work/log" && [ -s "$object" ]
say $? "a build for use goes on after a warning, and shows it"
build -n unit && [ ! -e "$object" ]
say $? "a build for tests makes anew what was built with a warning"
grep -q -- '-Werror .*-o [^ ]*half.o' "$work/log"
say $? "with -Werror"
build -n all && ! grep -q -- '-Werror' "$work/log"
say $? "which a build for use does not have"
make -n BUILD="$work/none" all unit benches >"$work/log" 2>&1 && ! grep -qi 'warning:' "$work/log"
say $? "make has no warnings of its own"

grep -rnE '\bassert_(not_)?in_range\(' tests/unit >"$work/log"
[ $? = 1 ]
say $? "no test has what cmocka 2 warns of: assert_within of check.h is in its place"

mkdir "$work/bin"
printf '#!/bin/sh\nexit 1\n' >"$work/bin/pkg-config"
chmod +x "$work/bin/pkg-config"
PATH="$work/bin:$PATH" make BUILD="$work/none" all >"$work/log" 2>&1
[ $? = 2 ] && grep -q './bootstrap installs them' "$work/log"
say $? "without its libraries it says what to do"
exit $status

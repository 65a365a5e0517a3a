#!/bin/sh
# Two minutes of all fuzz targets together, where clang has libFuzzer. `make fuzz` takes longer.
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=${BUILD:-build}
clang=$(for c in clang $(seq -f clang-%g 30 -1 14); do command -v "$c" && break; done)
if [ -z "$clang" ]; then
	echo "skip fuzz: there is no clang"
	exit 0
fi
probe=$(mktemp -d)
trap 'rm -rf "$probe"' EXIT
echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return (int)(n & 0) + !d * 0; }' >"$probe/x.c"
if ! "$clang" -fsanitize=fuzzer,address,undefined -o "$probe/x" "$probe/x.c" 2>/dev/null; then
	echo "skip fuzz: $clang comes without libFuzzer or its sanitizers"
	exit 0
fi
if ! make fuzzers FUZZ_CC="$clang" BUILD="$BUILD" >"$probe/log" 2>&1; then
	tail -20 "$probe/log"
	echo "not ok fuzz targets build"
	exit 1
fi
count=$(ls tests/fuzz/fuzz_*.c | wc -l)
processors=$(getconf _NPROCESSORS_ONLN)
BUILD=$BUILD/clang tests/fuzz/run.sh $((120 * processors / count))s

#!/bin/sh
# Do kernels with ARM's instructions (BFDOT, USDOT) compile for an ARM processor that has them? What
# they compute is not seen here: test_ops emulates that.
set -u
name=arm
kernels=backends/opencl/kernels
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

if ! command -v clang >/dev/null; then
	echo "skip $name: clang is not installed"
	exit 0
fi
header=$(clang -print-resource-dir)/include/opencl-c.h
if [ ! -f "$header" ] || ! clang --print-targets | grep -q 'aarch64 '; then
	echo "skip $name: this clang has no OpenCL header or no target aarch64"
	exit 0
fi

# compiled INSTRUCTION FILES OPTIONS…: leaves the log in $dir/log
compiled() {
	instruction=$1 files=$2
	shift 2
	# This target has no kernels, but functions of the same text.
	for f in common $files; do cat $kernels/$f.cl; done | sed "s/^kernel ONE_ITEM //" >"$dir/k.cl"
	clang -target aarch64-linux-gnu -march=armv8.6-a+bf16+i8mm -x cl -cl-std=CL1.2 -cl-no-stdinc \
		-include "$header" -O2 -S -w -cl-mad-enable -D LANES=8 -D DOT_ARM -D ACT=f32 "$@" \
		"$dir/k.cl" -o "$dir/k.s" >"$dir/log" 2>&1 &&
		grep -q "$instruction" "$dir/k.s" &&
		clang -target aarch64-linux-gnu -march=armv8.6-a+bf16+i8mm -c "$dir/k.s" \
			-o "$dir/k.o" >>"$dir/log" 2>&1
}

check() {
	what=$1
	shift
	if compiled "$@"; then
		echo "ok $name $what"
	else
		echo "not ok $name $what"
		head -20 "$dir/log"
	fi
}

check 'products of pairs' bfdot 'tile_cpu dot_cpu gather_cpu gemm_dot_cpu' -D WEIGHT=f16
check 'products of pairs, the trial' zip1 'tile_cpu dot_cpu dot_probe' -D WEIGHT=f32
check 'attention' bfdot 'tile_cpu dot_cpu attention_panel_cpu attention_dot_cpu' -D WEIGHT=f32
check 'products of fours' usdot 'formats tile_cpu dot4_cpu gather_cpu gemm_dot4_cpu' -D WIDE=8 \
	-D COLUMNS=16 -D WEIGHT=q8_0 -D WEIGHT_BLOCK=32 -D WEIGHT_BYTES=34
check 'products of fours, the trial' usdot 'tile_cpu dot4_cpu dot4_probe' -D WEIGHT=f32

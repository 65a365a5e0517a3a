#!/bin/sh
# Does NVIDIA's assembler take the matrix instructions that mma.cl writes inline? The kernel is
# compiled to PTX by clang, for every word of the instruction and architecture that is chosen,
# and assembled. What the instruction computes is not seen here: test_ops emulates that.
set -u
name=ptx
kernels=backends/opencl/kernels
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

for tool in clang ptxas; do
	if ! command -v $tool >/dev/null; then
		echo "skip $name: $tool is not installed (ptxas: Python's package nvidia-cuda-nvcc)"
		exit 0
	fi
done
header=$(clang -print-resource-dir)/include/opencl-c.h
if [ ! -f "$header" ] || ! clang --print-targets | grep -q nvptx64; then
	echo "skip $name: this clang has no OpenCL header or no target nvptx64"
	exit 0
fi

# assemble NAME ARCHITECTURE TERMS FILES OPTIONS…: leaves the log in $dir/log
assemble() {
	arch=$2 terms=$3 files=$4
	shift 4
	for f in common $files; do cat $kernels/$f.cl; done >"$dir/k.cl"
	clang -target nvptx64-nvidia-cuda -x cl -cl-std=CL1.2 -cl-no-stdinc -include "$header" \
		-Xclang -target-cpu -Xclang "$arch" -Xclang -target-feature -Xclang +ptx70 -O2 -S \
		-cl-mad-enable -D ACT=f16 -D MMA_NVIDIA -D MMA_TERMS="$terms" "$@" \
		"$dir/k.cl" -o "$dir/k.ptx" >"$dir/log" 2>&1 &&
		grep -q 'mma\.sync' "$dir/k.ptx" &&
		ptxas -arch="$arch" -c "$dir/k.ptx" -o "$dir/k.cubin" >>"$dir/log" 2>&1
}

check() {
	if assemble "$@"; then
		echo "ok $name $1"
	else
		echo "not ok $name $1"
		head -20 "$dir/log"
	fi
}

gemm="gather_gpu mma gemm_mma" attention="mma attention_mma"
tile="-D MMA_TILE_M=64 -D MMA_TILE_N=64 -D MMA_TILE_K=32 -D MMA_WARP_M=32 -D MMA_WARP_N=32"
check m16n8k16 sm_80 16 "$gemm" $tile -D WEIGHT=f16 -D HALF_WEIGHT -D ALIGNED=1
check m16n8k16_unaligned sm_80 16 "$gemm" $tile -D WEIGHT=f32 -D ALIGNED=0
check m16n8k8 sm_75 8 "$gemm" $tile -D WEIGHT=bf16 -D ALIGNED=1
blocks="-D ALIGNED=1 -D WIDE=8 -D COLUMNS=16"
check q8_0 sm_80 16 "formats $gemm" $tile $blocks -D WEIGHT=q8_0 -D WEIGHT_BLOCK=32 -D WEIGHT_BYTES=34
check q4_K sm_80 16 "formats $gemm" $tile $blocks -D WEIGHT=q4_K -D WEIGHT_BLOCK=256 -D WEIGHT_BYTES=144
check iq4_xs sm_80 16 "formats $gemm" $tile $blocks -D WEIGHT=iq4_xs -D WEIGHT_BLOCK=256 -D WEIGHT_BYTES=136
check f8_e4m3 sm_80 16 "formats $gemm" $tile $blocks -D WEIGHT=f8_e4m3
check attention_m16n8k16 sm_80 16 "$attention" -D HEAD_DIM=40 -D ALIGNED=1
check attention_m16n8k8 sm_75 8 "$attention" -D HEAD_DIM=160 -D ALIGNED=1

# The larger instruction does not exist on the older architecture: were that not reported,
# silence about ours would mean nothing.
if assemble none sm_75 16 "$gemm" $tile -D WEIGHT=f16 -D HALF_WEIGHT -D ALIGNED=1; then
	echo "not ok $name sees an instruction that is not there"
else
	echo "ok $name sees an instruction that is not there"
fi

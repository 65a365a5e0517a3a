#!/bin/sh
# Do kernels with ARM's instructions compile for an ARM processor that has them? What is computed around
# them is seen by test_ops, with arithmetic in their place; that this arithmetic is theirs, bit by bit, is
# seen here where an emulator of ARM is installed (Debian's qemu-user).
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
	for f in common $files; do cat $kernels/$f.cl; done | sed "s/kernel ONE_ITEM //" >"$dir/k.cl"
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

q8='-D WIDE=8 -D COLUMNS=16 -D WEIGHT=q8_0 -D WEIGHT_BLOCK=32 -D WEIGHT_BYTES=34'
pairs='tile_cpu matrix_cpu dot_cpu gather_cpu beside_cpu gemm_dot_cpu' fours='formats tile_cpu matrix_cpu dot4_cpu gather_cpu gemm_dot4_cpu'
attention='tile_cpu matrix_cpu dot_cpu attention_panel_cpu attention_dot_cpu'
check 'products of pairs' bfdot "$pairs" -D WEIGHT=f16
check 'products of pairs by two rows and columns' bfmmla "$pairs" -D WEIGHT=f16 -D DOT_MATRIX
check 'products of pairs, the trial' zip1 'tile_cpu matrix_cpu dot_cpu dot_probe' -D WEIGHT=f32
check 'products of pairs by two rows and columns, the trial' bfmmla 'tile_cpu matrix_cpu dot_cpu dot_probe' \
	-D WEIGHT=f32 -D DOT_MATRIX
check 'convolutions by two rows and columns' bfmmla 'tile_cpu matrix_cpu dot_cpu winograd_both_cpu winograd_dot_cpu' -D WEIGHT=f16 -D DOT_MATRIX
check 'attention' bfdot "$attention" -D WEIGHT=f32
check 'attention by two rows and columns' bfmmla "$attention" -D WEIGHT=f32 -D DOT_MATRIX
# shellcheck disable=SC2086 # several options
check 'products of fours' usdot "$fours" $q8
check 'products of fours without I8MM' sdot "$fours" $q8 -D DOT_SDOT
check 'products of fours by two rows and columns' smmla "$fours" $q8 -D DOT_MATRIX
check 'products of fours, the trial' usdot 'tile_cpu matrix_cpu dot4_cpu dot4_probe' -D WEIGHT=f32
check 'products of fours by two rows and columns, the trial' smmla 'tile_cpu matrix_cpu dot4_cpu dot4_probe' \
	-D WEIGHT=f32 -D DOT_MATRIX

if ! command -v qemu-aarch64 >/dev/null || ! command -v ld.lld >/dev/null; then
	echo "skip $name bit by bit: qemu-aarch64 (qemu-user) or ld.lld is not installed"
	exit 0
fi
# Each helper on four words of a sum, of a and of b.
cat >"$dir/helpers.cl" <<'HELPERS'
#define LIBRARY __attribute__((overloadable, weak))
#define ACCESS(n, V)                                                                           \
	typedef V __attribute__((aligned(4))) V##_anywhere;                                        \
	LIBRARY V vload##n(ulong at, const uint *p) { return ((const V##_anywhere *)p)[at]; }      \
	LIBRARY void vstore##n(V v, ulong at, uint *p) { ((V##_anywhere *)p)[at] = v; }
ACCESS(4, uint4)
ACCESS(8, uint8)
#define CALL(name, V, what)                                                                    \
	void PASTE(SIDE, PASTE(_, name))(const uint *in, uint *out)                                \
	{                                                                                          \
		V sum = PASTE(as_, V)(vload4(0, in));                                                  \
		uint4 a = vload4(1, in), b = vload4(2, in);                                            \
		vstore4(as_uint4(what), 0, out);                                                       \
	}
#define WIDE(v) ((uint8)(v, v))
#ifdef DOT_SDOT
CALL(sdot, int4, dot4((int8)(sum, sum), WIDE(a), WIDE(b)).hi)
#elif defined DOT_MATRIX
CALL(bfmmla, float4, bfmmla(sum, a, b))
CALL(smmla, int4, smmla(sum, a, b))
#else
CALL(bfdot, float4, dot2((float8)(sum, sum), WIDE(a), WIDE(b)).hi)
CALL(usdot, int4, dot4((int8)(sum, sum), WIDE(a), WIDE(b)).hi)
CALL(bfcvtn, float4, as_float4(pair_row((float8)(sum, as_float4(a)), (float8)(as_float4(b), sum)).hi))
CALL(zip, float4, as_float4(pair_up((float8)(sum, as_float4(a)), (float8)(as_float4(b), sum)).hi))
#endif
HELPERS
cat >"$dir/main.c" <<'MAIN'
typedef unsigned u32;
#define HELPERS(X) X(bfdot, 1) X(bfmmla, 1) X(bfcvtn, 2) X(zip, 2) X(usdot, 0) X(sdot, 0) X(smmla, 0)
#define DECLARE(name, kind) void real_##name(const u32 *, u32 *), twin_##name(const u32 *, u32 *);
HELPERS(DECLARE)
static u32 state = 1;
static u32 random(void)
{
	state = state * 1664525u + 1013904223u;
	return state >> 16 | state << 16;
}
/* Exponents near each other, so that sums have to be rounded; one of thirty is nothing, or too small. */
static u32 number(int wide)
{
	u32 exponent = random() % 30 ? 112 + random() % (wide ? 50 : 30) : 0;
	return (random() & 0x807fffff) | exponent << 23;
}
static void fill(u32 in[12], int kind)
{
	for (int i = 0; i < 12; i++)
		in[i] = kind == 0 ? random() : kind == 2 || i < 4 ? number(1) : number(0) >> 16 | (number(0) & 0xffff0000);
}
static int same(void (*real)(const u32 *, u32 *), void (*twin)(const u32 *, u32 *), int kind)
{
	for (int n = 0; n < 20000; n++) {
		u32 in[12], a[4], b[4];
		fill(in, kind);
		real(in, a);
		twin(in, b);
		for (int i = 0; i < 4; i++)
			if (a[i] != b[i])
				return 0;
	}
	return 1;
}
void *memcpy(void *to, const void *from, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++)
		((volatile char *)to)[i] = ((const char *)from)[i];
	return to;
}
void *memset(void *to, int byte, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++)
		((volatile char *)to)[i] = (char)byte;
	return to;
}
static long call(long number, long a, long b, long c)
{
	register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
	return x0;
}
#define TEST(name, kind)                                                                       \
	if (!same(real_##name, twin_##name, kind))                                                 \
		wrong++, call(64, 1, (long)#name "\n", sizeof #name);
void _start(void)
{
	int wrong = 0;
	HELPERS(TEST)
	call(93, wrong, 0, 0);
}
MAIN
arm='clang -target aarch64-linux-gnu -march=armv8.6-a+bf16+i8mm -O2 -w'
linked() {
	objects=
	for options in '' -DDOT_SDOT -DDOT_MATRIX; do
		for side in real twin; do
			[ $side = twin ] && emulated=-DDOT_EMULATED || emulated=
			cat $kernels/common.cl $kernels/tile_cpu.cl $kernels/matrix_cpu.cl $kernels/dot_cpu.cl $kernels/dot4_cpu.cl \
				"$dir/helpers.cl" >"$dir/k.cl"
			$arm -x cl -cl-std=CL1.2 -cl-no-stdinc -include "$header" -D LANES=8 -D DOT_ARM -D ACT=f32 \
				-D WEIGHT=f32 -D SIDE=$side $options $emulated -c "$dir/k.cl" -o "$dir/$side$options.o" || return 1
			objects="$objects $dir/$side$options.o"
		done
	done
	# shellcheck disable=SC2086 # several objects
	$arm -ffreestanding -nostdlib -static -fuse-ld=lld "$dir/main.c" $objects -o "$dir/twins"
}
if linked >"$dir/log" 2>&1 && qemu-aarch64 -cpu max "$dir/twins" >"$dir/log" 2>&1; then
	echo "ok $name bit by bit"
else
	echo "not ok $name bit by bit"
	head -20 "$dir/log"
fi

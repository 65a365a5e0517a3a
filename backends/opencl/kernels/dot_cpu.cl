/* Products of bfloat16 pairs for CPUs that have an instruction for them. A `pairs` vector holds
 * LANES pairs; of a pair the first number stands in the low half.
 *
 * Each instruction stands in one function here; -D DOT_EMULATED puts arithmetic by its documented
 * semantics in its place. -D DOT_ARM takes ARM's, with -D DOT_MATRIX that of two rows and two columns;
 * -D DOT_AMX tiles of AMX, whose processors have VDPBF16PS as well. Sums are float in all. Needs
 * tile_cpu.cl, matrix_cpu.cl. */

typedef PASTE(uint, LANES) pairs;
#define AS_UINTS PASTE(as_uint, LANES)
#define PLOAD(p) PASTE(vload, LANES)(0, p)
typedef pairs __attribute__((aligned(4))) pairs_anywhere;
#define PSTORE(v, p) (*(pairs_anywhere *)(p) = (v)) /* one store, where PoCL makes four of vstore16 */
#define HALF_8 4
#define HALF_16 8
#define STORE_HALF(v, p) PASTE(vstore, PASTE(HALF_, LANES))(v, 0, p)

#ifdef DOT_EMULATED

/* To the nearest bfloat16, ties to even, in the upper half. What is not a number stays so. */
INLINE pairs round_up(vec x)
{
	pairs u = AS_UINTS(x), even = u >> 16 & 1;
	return ((u & 0x7fffffffu) > 0x7f800000u ? u | 0x400000u : u + 0x7fffu + even) & 0xffff0000u;
}

/* (first[i], second[i]) as pair i. */
INLINE pairs pair_up(vec first, vec second)
{
	return round_up(first) >> 16 | round_up(second);
}

/* LANES pairs of 2·LANES numbers that follow each other. */
INLINE pairs pair_row(vec low, vec high)
{
	uint all[2 * LANES], out[LANES];
	PSTORE(round_up(low) >> 16, all);
	PSTORE(round_up(high) >> 16, all + LANES);
	for (int i = 0; i < LANES; i++)
		out[i] = all[2 * i] | all[2 * i + 1] << 16;
	return PLOAD(out);
}

#elif defined DOT_ARM

/* Eight numbers as four words. */
INLINE uint4 bfcvtn(vec x)
{
	uint4 out;
	__asm__("bfcvtn %0.4h, %1.4s\n\tbfcvtn2 %0.8h, %2.4s" : "=&w"(out) : "w"(x.lo), "w"(x.hi));
	return out;
}

INLINE pairs pair_row(vec low, vec high)
{
	return (pairs)(bfcvtn(low), bfcvtn(high));
}

INLINE pairs pair_up(vec first, vec second)
{
	uint4 a = bfcvtn(first), b = bfcvtn(second), low, high;
	__asm__("zip1 %0.8h, %1.8h, %2.8h" : "=w"(low) : "w"(a), "w"(b));
	__asm__("zip2 %0.8h, %1.8h, %2.8h" : "=w"(high) : "w"(a), "w"(b));
	return (pairs)(low, high);
}

#else

INLINE pairs pair_row(vec low, vec high)
{
	pairs out;
	__asm__("vcvtne2ps2bf16 %1, %2, %0" : "=v"(out) : "v"(low), "v"(high));
	return out;
}

#if LANES == 16
#define INTERLEAVE                                                                             \
	{ 0x00100000, 0x00110001, 0x00120002, 0x00130003, 0x00140004, 0x00150005, 0x00160006,      \
	  0x00170007, 0x00180008, 0x00190009, 0x001a000a, 0x001b000b, 0x001c000c, 0x001d000d,      \
	  0x001e000e, 0x001f000f }
#else
#define INTERLEAVE                                                                             \
	{ 0x00080000, 0x00090001, 0x000a0002, 0x000b0003, 0x000c0004, 0x000d0005, 0x000e0006,      \
	  0x000f0007 }
#endif
constant uint interleave[LANES] = INTERLEAVE;

INLINE pairs pair_up(vec first, vec second)
{
	pairs rows = pair_row(first, second), order = PLOAD(interleave), out;
	__asm__("vpermw %1, %2, %0" : "=v"(out) : "v"(rows), "v"(order));
	return out;
}

#endif

#ifdef DOT_ARM

#ifdef DOT_EMULATED

/* Numbers that are too small for a whole significand are zero. */
INLINE float4 flushed(float4 x)
{
	uint4 u = as_uint4(x);
	return as_float4((u & 0x7f800000u) != 0 ? u : u & 0x80000000u);
}

/* a + b, rounded to odd: what is not exact gets the nearer number of an odd significand. */
INLINE float4 add_to_odd(float4 a, float4 b)
{
	a = flushed(a);
	b = flushed(b);
	float4 sum = a + b, more = sum - a;
	float4 left = (a - (sum - more)) + (b - more);
	uint4 u = as_uint4(sum), down = (as_uint4(left) ^ u) >> 31;
	int4 inexact = (left > 0.0f | left < 0.0f) & (u & 0x7f800000u) != 0x7f800000u;
	return flushed(as_float4(inexact ? (u - down) | 1u : u));
}

/* BFDOT: the sum of both products, then the sum with what was there. Products are exact. */
INLINE float4 bfdot(float4 sum, uint4 a, uint4 b)
{
	float4 first = flushed(flushed(as_float4(a << 16)) * flushed(as_float4(b << 16)));
	float4 second =
	    flushed(flushed(as_float4(a & 0xffff0000u)) * flushed(as_float4(b & 0xffff0000u)));
	return add_to_odd(sum, add_to_odd(first, second));
}

/* BFMMLA: two rows of two pairs by two columns of two pairs, as two BFDOT. */
INLINE float4 bfmmla(float4 sum, uint4 a, uint4 b)
{
	return bfdot(bfdot(sum, a.xxzz, b.xzxz), a.yyww, b.ywyw);
}

#else

INLINE float4 bfdot(float4 sum, uint4 a, uint4 b)
{
	__asm__("bfdot %0.4s, %1.8h, %2.8h" : "+w"(sum) : "w"(a), "w"(b));
	return sum;
}

INLINE float4 bfmmla(float4 sum, uint4 a, uint4 b)
{
	__asm__("bfmmla %0.4s, %1.8h, %2.8h" : "+w"(sum) : "w"(a), "w"(b));
	return sum;
}

#endif

/* LANES being eight: two registers of four. */
INLINE vec dot2(vec sum, pairs a, pairs b)
{
	return (vec)(bfdot(sum.lo, a.lo, b.lo), bfdot(sum.hi, a.hi, b.hi));
}

#elif defined DOT_EMULATED

/* VDPBF16PS: the second of each pair first, each product added with one rounding. */
INLINE vec dot2(vec sum, pairs a, pairs b)
{
	sum = fma(AS_FLOATS(a & 0xffff0000u), AS_FLOATS(b & 0xffff0000u), sum);
	return fma(AS_FLOATS(a << 16), AS_FLOATS(b << 16), sum);
}

#else

INLINE vec dot2(vec sum, pairs a, pairs b)
{
	__asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
	return sum;
}

#endif

/* 2^x for what is rounded to bfloat16 afterwards: a polynomial of degree 3 (minimax on
 * [-1/2, 1/2], error 7.5e-5). */
INLINE vec exp2_short(vec x)
{
	x = MAXV(x, (vec)(-126.0f));
	vec shifted = x + 12582912.0f; /* as in exp2_v() */
	vec f = x - (shifted - 12582912.0f);
	vec p = 5.517166493e-2f;
	p = fma(p, f, 2.426111219e-1f);
	p = fma(p, f, 6.932609862e-1f);
	p = fma(p, f, 9.999280736e-1f);
	return AS_FLOATS(AS_INTS(p) + (AS_INTS(shifted) << 23));
}

/* The tile: a pair's broadcast, a row of the panel and twelve rows' sums take 27 of 32 vector
 * registers; rows that lie a constant stride apart need one general register for addresses. */
#define DOT_ROWS_VECTORS 12
#define DOT_SMALL_VECTORS 4
/* With AMX four tiles of sums, or two; and sums go on in whole tiles: rows and panels are filled up with
 * zeros, to a multiple of DOT_DEPTH pairs. */
#define DOT_ROWS_AMX 32
#define DOT_SMALL_AMX 16
#ifdef DOT_AMX
#define DOT_ROWS DOT_ROWS_AMX
#define DOT_SMALL DOT_SMALL_AMX
#define DOT_DEPTH AMX_SIDE
#else
#define DOT_ROWS DOT_ROWS_VECTORS
#define DOT_SMALL DOT_SMALL_VECTORS
#define DOT_DEPTH 1
#endif
#define DOT_FILL(pairs) (((pairs) + DOT_DEPTH - 1) / DOT_DEPTH * DOT_DEPTH)
#define DOT_COVER(count) (((count) + DOT_SMALL - 1) / DOT_SMALL * DOT_SMALL)

#define DOT_BOTH(define) define(large, DOT_ROWS) define(small, DOT_SMALL)

/* acc[i] += Σ over k < depth of term(i, k) · b[k] for R rows i, both in pairs; b is
 * [depth][PARTS]. */
#ifdef DOT_MATRIX
#define DOT_TILE
#define DOT_MULTIPLY(R, acc, b, depth, term)                                                   \
	BLOCKS_MULTIPLY(float4, R, acc, b, depth, term, bfmmla)
#else
#define DOT_MULTIPLY(R, acc, b, depth, term)                                                   \
	UNROLL_DOT(2) for (int k = 0; k < (depth); k++)                                                \
	{                                                                                          \
		pairs row_[PARTS];                                                                     \
		EACH_PART(h) row_[h] = (b)[PARTS * k + h];                                             \
		UNROLL_DOT(R) for (int i = 0; i < R; i++)                                              \
		{                                                                                      \
			pairs a = (pairs)(term);                                                           \
			EACH_PART(h) acc[i][h] = dot2(acc[i][h], a, row_[h]);                              \
		}                                                                                      \
	}
#endif

/* c[i] = (first ? 0 : c[i]) + Σ over k < depth of x[i·stride + k]·b[k] for the rows of a large or a small
 * tile. */
#ifdef DOT_AMX
#define DOT_TILE
#define DOT_INTO(size, R, c, first, b, depth, x, stride)                                       \
	AMX_##size(c, first, b, depth, DOT_DEPTH, x, stride, AMX_PAIRS)
#else
#define DOT_INTO(size, R, c, first, b, depth, x, stride)                                       \
	{                                                                                          \
		vec acc[R][PARTS];                                                                     \
		TILE_BEGIN(R, acc, c, first)                                                           \
		DOT_MULTIPLY(R, acc, b, depth, (x)[i * (stride) + k])                                  \
		TILE_END(R, acc, c)                                                                    \
	}
#endif

/* Calls f##_large and f##_small so that rows [0, count) are covered, DOT_COVER(count) in
 * effect. */
#define DOT_SWEEP(count, row, f, ...)                                                          \
	for (int row = 0, left_ = (count); left_ > 0;) {                                           \
		if (left_ > 2 * DOT_SMALL) {                                                           \
			f##_large(__VA_ARGS__);                                                            \
			row += DOT_ROWS;                                                                   \
			left_ -= DOT_ROWS;                                                                 \
		} else {                                                                               \
			f##_small(__VA_ARGS__);                                                            \
			row += DOT_SMALL;                                                                  \
			left_ -= DOT_SMALL;                                                                \
		}                                                                                      \
	}

#ifdef DOT_SPLIT
/* A number of sixteen bits as the sum of two bfloat16, the nearest one and what it leaves: three products
 * of them (that of both rests is left out) stand for one. */
INLINE vec part_of(vec x, int rest)
{
	pairs u = AS_UINTS(x), even = u >> 16 & 1;
	vec nearest = AS_FLOATS((u + 0x7fffu + even) & 0xffff0000u);
	return rest ? x - nearest : nearest;
}
#else
#define part_of(x, rest) (x)
#endif

/* `count` numbers, or with `rest` what they leave, as DOT_FILL((count + 1) / 2) pairs, filled up with
 * zeros. Writes up to LANES - 1 pairs more. */
INLINE void pack_row(act_row from, int count, uint *to, int rest)
{
	for (int i = 0; i < count; i += 2 * LANES) {
		vec low = LOADV(ACT, from, i), high = 0.0f;
		if (i + LANES < count)
			high = LOADV(ACT, from, i + LANES);
		PSTORE(pair_row(part_of(low, rest), part_of(high, rest)), to + i / 2);
	}
	if (count & 1)
		to[count / 2] &= 0xffff;
	for (int i = (count + 1) / 2; i < DOT_FILL((count + 1) / 2); i++)
		to[i] = 0;
}

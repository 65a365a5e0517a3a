/* The register tile of the CPU-shaped kernels, and vector math for their epilogues.
 *
 * A work-item multiplies up to 6 rows by one panel of 16 columns. Twelve float8
 * accumulators, two halves of a panel's row and one broadcast fill the 16 vector registers
 * of AVX2; twelve chains of fused multiply-adds hide their latency of four cycles. */

#define TILE_ROWS 6   /* rows of a full tile */
#define PANEL 16      /* columns of a panel: two float8 */

#define UNROLL(n) __attribute__((opencl_unroll_hint(n)))
#define INLINE static inline __attribute__((always_inline))
#define ONE_ITEM __attribute__((reqd_work_group_size(1, 1, 1)))

typedef global const TYPE(ACT) *act_row; /* a pixel or token */

/* acc[i] += Σ over k < depth of term(i, k) · b[k] for R rows i; `term` is an expression in
 * i and k, b is [depth][2] float8. */
#define TILE_MULTIPLY(R, acc, b, depth, term)                                                  \
	UNROLL(2) for (int k = 0; k < (depth); k++)                                                \
	{                                                                                          \
		float8 b0 = (b)[2 * k], b1 = (b)[2 * k + 1];                                           \
		UNROLL(R) for (int i = 0; i < R; i++)                                                  \
		{                                                                                      \
			float8 a = (float8)(term);                                                         \
			acc[i][0] = fma(a, b0, acc[i][0]);                                                 \
			acc[i][1] = fma(a, b1, acc[i][1]);                                                 \
		}                                                                                      \
	}

/* The accumulators of R rows from c ([R][2]), or zero at the start of a sum. */
#define TILE_BEGIN(R, acc, c, first)                                                           \
	UNROLL(R) for (int i = 0; i < R; i++)                                                      \
	{                                                                                          \
		acc[i][0] = (first) ? (float8)(0.0f) : (c)[2 * i];                                     \
		acc[i][1] = (first) ? (float8)(0.0f) : (c)[2 * i + 1];                                 \
	}

#define TILE_END(R, acc, c)                                                                    \
	UNROLL(R) for (int i = 0; i < R; i++)                                                      \
	{                                                                                          \
		(c)[2 * i] = acc[i][0];                                                                \
		(c)[2 * i + 1] = acc[i][1];                                                            \
	}

/* Calls f##6 and f##4 so that rows [0, count) are covered; `row` is the tile's first one.
 * A tile of fewer than four rows takes as long as one of four, because the multipliers wait
 * for their own results, so there is none: count is in effect rounded up to TILE_COVER, and
 * the caller provides memory for the rows too many. */
#define TILE_SWEEP(count, row, f, ...)                                                         \
	for (int row = 0, left_ = (count); left_ > 0;) {                                           \
		if (left_ > 8 || left_ == 5 || left_ == 6) {                                           \
			f##6(__VA_ARGS__);                                                                 \
			row += 6;                                                                          \
			left_ -= 6;                                                                        \
		} else {                                                                               \
			f##4(__VA_ARGS__);                                                                 \
			row += 4;                                                                          \
			left_ -= 4;                                                                        \
		}                                                                                      \
	}
#define TILE_COVER(count) max(4, ((count) + 1) / 2 * 2)

#define TILE_ALL_ROWS(define) define(6) define(4)

/* One instruction each, where fmax and fmin spend two more on NaN. */
#define MAX8(a, b) ((a) > (b) ? (a) : (b))
#define MIN8(a, b) ((a) < (b) ? (a) : (b))

/* 2^x for x ≤ 126: the nearest integer goes into the exponent, a polynomial of degree 5
 * (minimax on [-1/2, 1/2], error 3e-7) covers the rest. Below x = -126 it stays at 2^-126. */
INLINE float8 exp2_8(float8 x)
{
	x = MAX8(x, (float8)(-126.0f));
	float8 shifted = x + 12582912.0f; /* 1.5 · 2^23: the integer stands in the low bits */
	float8 f = x - (shifted - 12582912.0f);
	float8 p = 1.327647129e-3f;
	p = fma(p, f, 9.675541893e-3f);
	p = fma(p, f, 5.550713092e-2f);
	p = fma(p, f, 2.402212024e-1f);
	p = fma(p, f, 6.931469440e-1f);
	p = fma(p, f, 1.0f);
	return as_float8(as_int8(p) + (as_int8(shifted) << 23));
}

INLINE float8 sigmoid8(float8 x)
{
	return 1.0f / (1.0f + exp2_8(MIN8(x * -1.4426950408889634f, (float8)(126.0f))));
}

/* erf by Abramowitz and Stegun 7.1.26 (absolute error 1.5e-7). */
INLINE float8 erf8(float8 x)
{
	float8 a = fabs(x);
	float8 t = 1.0f / fma(a, 0.3275911f, 1.0f);
	float8 p = 1.061405429f;
	p = fma(p, t, -1.453152027f);
	p = fma(p, t, 1.421413741f);
	p = fma(p, t, -0.284496736f);
	p = fma(p, t, 0.254829592f);
	return copysign(1.0f - p * t * exp2_8(a * a * -1.4426950408889634f), x);
}

INLINE float8 gelu8(float8 x)
{
	return 0.5f * x * (1.0f + erf8(x * 0.70710678118654752f));
}

/* A program serves every activation: the branch costs nothing beside the tile's sums, a
 * program of its own for each would cost seconds of compiling at a cold start. */
INLINE float8 activate8(float8 x, int act)
{
	switch (act) {
	case ACT_SILU: return x * sigmoid8(x);
	case ACT_GELU: return gelu8(x);
	case ACT_QUICK_GELU: return x * sigmoid8(1.702f * x);
	case ACT_RELU: return MAX8(x, (float8)(0.0f));
	case ACT_TANH3: return 3.0f * (2.0f * sigmoid8(x * (2.0f / 3.0f)) - 1.0f);
	default: return x;
	}
}

/* Stores the first n ≤ 8 values of v. */
INLINE void store_some(global TYPE(ACT) *y, float8 v, int n)
{
	if (n >= 8) {
		STORE8(ACT, y, 0, v);
		return;
	}
	float lanes[8];
	vstore8(v, 0, lanes);
	for (int i = 0; i < n; i++)
		STORE1(ACT, y, i, lanes[i]);
}

/* y = act(sum + bias + add) + residual for count rows of one panel; with ACT_GEGLU the
 * panel's halves are value and gate of 8 output channels. All pointers stand at the
 * panel's first channel (gate_bias at that of its second half), or are NULL. */
INLINE void finish_panel(const float8 *c, int count, int columns, int act,
                         global const float *bias, global const float *gate_bias, act_row add,
                         act_row residual, int ldr, global TYPE(ACT) *y, int ldy)
{
	float8 lo = bias ? vload8(0, bias) : 0.0f;
	float8 hi = bias && (columns > 8 || act == ACT_GEGLU) ? vload8(0, gate_bias) : 0.0f;
	if (add) {
		lo += LOAD8(ACT, add, 0);
		if (columns > 8)
			hi += LOAD8(ACT, add, 8);
	}
	for (int r = 0; r < count; r++, y += ldy) {
		float8 a = c[2 * r] + lo, b = c[2 * r + 1] + hi;
		if (act == ACT_GEGLU) {
			a *= gelu8(b);
		} else if (act != ACT_NONE) {
			a = activate8(a, act);
			b = activate8(b, act);
		}
		if (residual) {
			a += LOAD8(ACT, residual, 0);
			if (columns > 8)
				b += LOAD8(ACT, residual, 8);
			residual += ldr;
		}
		store_some(y, a, columns);
		if (columns > 8)
			store_some(y + 8, b, columns - 8);
	}
}

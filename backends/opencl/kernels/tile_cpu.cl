/* The register tile of the CPU-shaped kernels, and vector math for their epilogues.
 *
 * A work-item multiplies a few rows by one panel: two vectors of LANES columns. -D LANES: 8 for
 * AVX2, where six rows' accumulators, the two parts of a panel's row and one broadcast fill the
 * 16 vector registers; 16 for AVX-512, whose 32 registers would hold more than eight rows, but
 * whose rows' addresses then no longer fit into the general ones. Twelve chains of fused
 * multiply-adds hide their latency of four cycles. */

#define TILE_ROWS_8 6 /* rows of a large tile, by lanes */
#define TILE_ROWS_16 8
#define TILE_ROWS PASTE(TILE_ROWS_, LANES)
#define TILE_SMALL 4 /* rows of a small one */
#define TILE_UNIT (TILE_ROWS - TILE_SMALL)
#ifdef NARROW
#define PARTS 1
#else
#define PARTS 2 /* vectors of a panel's row */
#endif
#define PANEL (PARTS * LANES)
/* How far the rows of a weight's panel are apart, and where panel number p of so many rows begins: at a row's
 * number, and beside the first one. A narrow weight's rows hold all of its columns: what a vector reads beyond
 * the last is never stored. */
#ifdef NARROW
#define LINE(cout) (cout)
#define PANEL_LINE(p, lines) 0
#define PANEL_COLUMN(p) ((p) * PANEL)
#else
#define LINE(cout) PANEL
#define PANEL_LINE(p, lines) ((ulong)(p) * (lines))
#define PANEL_COLUMN(p) 0
#endif

typedef PASTE(float, LANES) vec;
#define LOADV(t, p, i) PASTE(LOAD, LANES)(t, p, i)
#define STOREV(t, p, i, v) PASTE(STORE, LANES)(t, p, i, v)
#define VLOAD(p) PASTE(vload, LANES)(0, p)
#define AS_FLOATS PASTE(as_float, LANES)
#define AS_INTS PASTE(as_int, LANES)

#define UNROLL(n) __attribute__((opencl_unroll_hint(n)))
/* Arithmetic in an instruction's place is long: copies of it cost seconds of compiling. */
#ifdef DOT_EMULATED
#define UNROLL_DOT(n) UNROLL(1)
#else
#define UNROLL_DOT(n) UNROLL(n)
#endif
#define INLINE static inline __attribute__((always_inline))
#define ONE_ITEM __attribute__((reqd_work_group_size(1, 1, 1)))

/* KERNEL(name, list) { … } is a kernel of one work-item, whose numbers are `item`; list(A) is its arguments,
 * A(type, name) each.
 *
 * PoCL puts what a kernel does into each of the functions that may launch it, and keeps the kernel beside them:
 * three times the same to compile, twice from its version 7 on. It makes all other functions part of what calls
 * them, whatever their attributes say. Only what jumps to a label's address must stay where it is, as a copy has
 * other addresses; so with -D BODIES_APART what a kernel does stands once, in a function that begins with such a
 * jump: always to the same label, which a compiler that does not look into assembler cannot know. */
#define PARAMETER(type, name) type name
#define ARGUMENT(type, name) name
#ifdef BODIES_APART
#define BODY(name, list)                                                                       \
	static __attribute__((noinline)) void name##_apart(list(PARAMETER), int3 item)             \
	{                                                                                          \
		__typeof__(&&here_) to_ = item.x < 0 ? &&nowhere_ : &&here_;                           \
		__asm__ volatile("" : "+r"(to_));                                                      \
		goto *to_;                                                                             \
	here_:                                                                                     \
		name##_body(list(ARGUMENT), item);                                                     \
	nowhere_:;                                                                                 \
	}
#define CALLED(name) name##_apart
#else
#define BODY(name, list)
#define CALLED(name) name##_body
#endif
#define KERNEL(name, list)                                                                     \
	INLINE void name##_body(list(PARAMETER), int3 item);                                       \
	BODY(name, list)                                                                           \
	kernel ONE_ITEM void name(list(PARAMETER))                                                 \
	{                                                                                          \
		CALLED(name)(list(ARGUMENT), (int3)(get_global_id(0), get_global_id(1), get_global_id(2))); \
	}                                                                                          \
	INLINE void name##_body(list(PARAMETER), int3 item)

/* Stands at the beginning of every kernel with assembler in it. PoCL 4 to 6 looks for calls of these
 * two functions by comparing what is called with them, and assembler calls nothing: as long as a
 * program has both, nothing is not what it looks for. It puts a byte of stack in place of their calls.
 * Until then they must not be thought useless, nor small enough to be inlined; attributes that forbid
 * it are taken off by some versions. */
#ifdef NAMELESS_CALLS
#define FOUR_TIMES(it) it it it it
#define NAMELESS(name)                                                                         \
	void *name(ulong size, ulong align, ulong extra)                                           \
	{                                                                                          \
		volatile ulong large = size + align + extra;                                           \
		FOUR_TIMES(FOUR_TIMES_MORE(large++;))                                                  \
		return 0;                                                                              \
	}
#define FOUR_TIMES_MORE(it) it it it it it it it it it it it it it it it it
NAMELESS(__pocl_local_mem_alloca)
NAMELESS(__pocl_work_group_alloca)
#define WITH_ASSEMBLER                                                                         \
	__pocl_local_mem_alloca(1, 1, 1);                                                          \
	__pocl_work_group_alloca(1, 1, 1)
#else
#define WITH_ASSEMBLER
#endif

typedef global const TYPE(ACT) *act_row; /* a pixel or token */

#define EACH_PART(h) UNROLL(2) for (int h = 0; h < PARTS; h++)
#define TILE_EACH(R, i, h) UNROLL(R) for (int i = 0; i < R; i++) EACH_PART(h)

/* acc[i] += Σ over k < depth of term(i, k) · b[k] for R rows i; `term` is an expression in
 * i and k, b is [depth][PARTS]. */
#define TILE_MULTIPLY(R, acc, b, depth, term)                                                  \
	UNROLL(2) for (int k = 0; k < (depth); k++)                                                \
	{                                                                                          \
		vec row_[PARTS];                                                                       \
		EACH_PART(h) row_[h] = (b)[PARTS * k + h];                                             \
		UNROLL(R) for (int i = 0; i < R; i++)                                                  \
		{                                                                                      \
			vec a = (vec)(term);                                                               \
			EACH_PART(h) acc[i][h] = fma(a, row_[h], acc[i][h]);                               \
		}                                                                                      \
	}

/* The accumulators of R rows from c ([R][PARTS]), or zero at the start of a sum. */
#define TILE_BEGIN(R, acc, c, first)                                                           \
	TILE_EACH(R, i, h) acc[i][h] = (first) ? (vec)(0.0f) : (c)[PARTS * i + h];

#define TILE_END(R, acc, c) TILE_EACH(R, i, h) (c)[PARTS * i + h] = acc[i][h];

/* Calls f##_large and f##_small so that rows [0, count) are covered; `row` is the tile's first
 * one. A tile of still fewer rows takes as long as a small one, because the multipliers wait
 * for their own results, so there is none: count is in effect rounded up to TILE_COVER, and
 * the caller provides memory for the rows too many. */
#define TILE_SWEEP(count, row, f, ...)                                                         \
	for (int row = 0, left_ = (count); left_ > 0;) {                                           \
		if (left_ > 2 * TILE_SMALL || (left_ > TILE_SMALL && left_ <= TILE_ROWS)) {            \
			f##_large(__VA_ARGS__);                                                            \
			row += TILE_ROWS;                                                                  \
			left_ -= TILE_ROWS;                                                                \
		} else {                                                                               \
			f##_small(__VA_ARGS__);                                                            \
			row += TILE_SMALL;                                                                 \
			left_ -= TILE_SMALL;                                                               \
		}                                                                                      \
	}
#define TILE_COVER(count) max(TILE_SMALL, ((count) + TILE_UNIT - 1) / TILE_UNIT * TILE_UNIT)

#define TILE_BOTH(define) define(large, TILE_ROWS) define(small, TILE_SMALL)

/* One instruction each, where fmax and fmin spend two more on NaN. */
#define MAXV(a, b) ((a) > (b) ? (a) : (b))
#define MINV(a, b) ((a) < (b) ? (a) : (b))

/* 2^x for x ≤ 126: the nearest integer goes into the exponent, a polynomial of degree 5
 * (minimax on [-1/2, 1/2], error 3e-7) covers the rest. Below x = -126 it stays at 2^-126. */
INLINE vec exp2_v(vec x)
{
	x = MAXV(x, (vec)(-126.0f));
	vec shifted = x + 12582912.0f; /* 1.5 · 2^23: the integer stands in the low bits */
	vec f = x - (shifted - 12582912.0f);
	vec p = 1.327647129e-3f;
	p = fma(p, f, 9.675541893e-3f);
	p = fma(p, f, 5.550713092e-2f);
	p = fma(p, f, 2.402212024e-1f);
	p = fma(p, f, 6.931469440e-1f);
	p = fma(p, f, 1.0f);
	return AS_FLOATS(AS_INTS(p) + (AS_INTS(shifted) << 23));
}

INLINE vec sigmoid_v(vec x)
{
	return 1.0f / (1.0f + exp2_v(MINV(x * -1.4426950408889634f, (vec)(126.0f))));
}

/* erf by Abramowitz and Stegun 7.1.26 (absolute error 1.5e-7). */
INLINE vec erf_v(vec x)
{
	vec a = fabs(x);
	vec t = 1.0f / fma(a, 0.3275911f, 1.0f);
	vec p = 1.061405429f;
	p = fma(p, t, -1.453152027f);
	p = fma(p, t, 1.421413741f);
	p = fma(p, t, -0.284496736f);
	p = fma(p, t, 0.254829592f);
	return copysign(1.0f - p * t * exp2_v(a * a * -1.4426950408889634f), x);
}

INLINE vec gelu_v(vec x)
{
	return 0.5f * x * (1.0f + erf_v(x * 0.70710678118654752f));
}

/* A program serves every activation: the branch costs nothing beside the tile's sums, a
 * program of its own for each would cost seconds of compiling at a cold start. */
INLINE vec activate_v(vec x, int act)
{
	switch (act) {
	case ACT_SILU: return x * sigmoid_v(x);
	case ACT_GELU: return gelu_v(x);
	case ACT_QUICK_GELU: return x * sigmoid_v(1.702f * x);
	case ACT_RELU: return MAXV(x, (vec)(0.0f));
	case ACT_TANH3: return 3.0f * (2.0f * sigmoid_v(x * (2.0f / 3.0f)) - 1.0f);
	default: return x;
	}
}

/* Stores the first n ≤ LANES values of v. */
INLINE void store_some(global TYPE(ACT) *y, vec v, int n)
{
	if (n >= LANES) {
		STOREV(ACT, y, 0, v);
		return;
	}
	float lanes[LANES];
	PASTE(vstore, LANES)(v, 0, lanes);
	for (int i = 0; i < n; i++)
		STORE1(ACT, y, i, lanes[i]);
}

/* y = act(sum · scale + bias + add) + residual for count rows of one panel; with ACT_GEGLU the
 * panel's halves are value and gate of LANES output channels, with ACT_PRELU slopes stand behind the
 * bias of all cout channels. scales and bias are those of all channels, the panel's begin at `channel` (those of its second half at `gate`); add, residual and y
 * stand at it. add has rows add_row apart, as wide as the weight, or (0) one for all. What is not
 * there is NULL. */
INLINE void finish_panel(const vec *c, int count, int columns, int act, int cout, int channel, int gate,
                         global const float *scales, global const float *bias, act_row add,
                         int add_row, act_row residual, int ldr, global TYPE(ACT) *y, int ldy)
{
	bool two = columns > LANES || act == ACT_GEGLU;
	vec lo = bias ? VLOAD(bias + channel) : 0.0f, hi = bias && two ? VLOAD(bias + gate) : 0.0f;
	vec scale_lo = scales ? VLOAD(scales + channel) : 1.0f;
	vec scale_hi = scales && two ? VLOAD(scales + gate) : 1.0f;
	vec slope_lo = act == ACT_PRELU ? VLOAD(bias + cout + channel) : 0.0f;
	vec slope_hi = act == ACT_PRELU && two ? VLOAD(bias + cout + gate) : 0.0f;
	if (add && !add_row) {
		lo += LOADV(ACT, add, 0);
		if (columns > LANES)
			hi += LOADV(ACT, add, LANES);
	}
	for (int r = 0; r < count; r++, y += ldy) {
		vec a = c[PARTS * r] * scale_lo + lo, b = c[PARTS * r + PARTS - 1] * scale_hi + hi;
		if (add_row) {
			a += LOADV(ACT, add, r * (long)add_row);
			if (two)
				b += LOADV(ACT, add, r * (long)add_row + gate - channel);
		}
		if (act == ACT_GEGLU) {
			a *= gelu_v(b);
		} else if (act == ACT_PRELU) {
			a = a > 0.0f ? a : slope_lo * a;
			b = b > 0.0f ? b : slope_hi * b;
		} else if (act != ACT_NONE) {
			a = activate_v(a, act);
			b = activate_v(b, act);
		}
		if (residual) {
			a += LOADV(ACT, residual, 0);
			if (columns > LANES)
				b += LOADV(ACT, residual, LANES);
			residual += ldr;
		}
		store_some(y, a, columns);
		if (columns > LANES)
			store_some(y + LANES, b, columns - LANES);
	}
}

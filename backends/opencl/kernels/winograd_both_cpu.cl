/* What both Winograd convolutions for CPUs have alike: how they are cut, their points, and what they are
 * called with. WINOGRAD_NUMBER is what lies in their scratch buffer. Needs tile_cpu.cl. */

#define WINOGRAD_TILES 64 /* tiles of a block at most; 4·4 outputs each */
#define WINOGRAD_DEPTH 64 /* input channels of a step at most: 144 KiB of weights, or 288 */
#define WINOGRAD_SCRATCH 8388608 /* bytes of transformed input at a time: stays in the cache */

/* A stride of a power of two would put all places into one set of the cache: numbers
 * between two places of the scratch buffer's step beyond its tiles. */
#define WINOGRAD_PAD 16

#define PLACES 36
#define SUM_STRIDE ((WINOGRAD_TILES + 1) * PARTS)

/* The interpolation points are 0, ±A, ±B, ∞. Both are exact in float, and so are their
 * squares. Against the usual ±1, ±2 they lose 2.3 times less precision (root mean square;
 * the worst output of 1280 channels 4 times less). */
#define A 0.625f
#define B 1.5f
#define AA (A * A)
#define BB (B * B)

/* Aᵀ: 6 sums, `step` apart, to 4 outputs, `out_step` apart. */
INLINE void transform_output(const vec *m, int step, vec *y, int out_step)
{
	vec even_a = m[step] + m[2 * step], odd_a = m[step] - m[2 * step];
	vec even_b = m[3 * step] + m[4 * step], odd_b = m[3 * step] - m[4 * step];
	y[0] = m[0] + even_a + even_b;
	y[out_step] = fma(odd_a, A, odd_b * B);
	y[2 * out_step] = fma(even_a, AA, even_b * BB);
	y[3 * out_step] = fma(odd_a, A * AA, fma(odd_b, B * BB, m[5 * step]));
}

#define WINOGRAD_INPUT_ARGS(A)                                                                 \
	A(global const TYPE(ACT) *, x), A(ulong, x_at), A(int, ldx), A(int, height),               \
	A(int, width), A(int, up), A(global const TYPE(WEIGHT) *, weight), A(ulong, zero_at),      \
	A(int, cin), A(int, depth), A(int, block_tiles), A(int, tiles_down),                       \
	A(int, tiles_across), A(int, first_tile), A(global WINOGRAD_NUMBER *, scratch)
#define WINOGRAD_MULTIPLY_ARGS(A)                                                              \
	A(global const WINOGRAD_NUMBER *, scratch), A(int, depth), A(int, block_tiles),            \
	A(int, first_tile), A(int, tiles), A(int, tiles_down), A(int, tiles_across),               \
	A(global const TYPE(WEIGHT) *, weight), A(int, cin), A(int, cout),                         \
	A(global const float *, scales), A(global const float *, bias), A(int, act),               \
	A(global const TYPE(ACT) *, add), A(ulong, add_at), A(int, add_ld),                        \
	A(global const TYPE(ACT) *, residual), A(ulong, residual_at), A(int, ldr),                 \
	A(global TYPE(ACT) *, y), A(ulong, y_at), A(int, ldy), A(int, height), A(int, width)

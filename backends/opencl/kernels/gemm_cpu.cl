/* Linear layers and direct convolutions for CPUs: one gathered matrix product.
 *
 * y[r, :] = Σ over taps x[pixel(r, tap), :]·W[tap]: a linear layer has one tap, a 3×3
 * convolution nine, whose pixels are found by address, so that nothing like im2col is ever
 * written. -D ACT: dtype of the activations, -D WEIGHT: dtype of the packed weights,
 * [panels][taps][cin][PANEL]. Needs tile_cpu.cl, gather_cpu.cl,
 * beside_cpu.cl. */

#define GEMM_ROWS 144 /* rows of a work-item: enough to pay for converting a panel's block */
#define GEMM_GROUP 4  /* panels of a work-item: its rows stay in the second-level cache */
#define GEMM_DEPTH (2560 / LANES) /* terms of a sum at a time: 20 KiB of panel stay in L1; whole
                                   * WEIGHT_STEPs */

/* R rows · the staged block of `taps` taps, each `depth` deep. at[tap·PLACE_ROWS + row] is
 * a pixel's place, negative in the padding, which reads from `zero`. */
#define DEFINE_GATHER(size, R)                                                                 \
	INLINE void gather_##size(act_row x, act_row zero, const int *at, int taps, int depth,     \
	                          const vec *b, vec *c, int first)                                 \
	{                                                                                          \
		vec acc[R][PARTS];                                                                     \
		TILE_BEGIN(R, acc, c, first)                                                           \
		for (int t = 0; t < taps; t++) {                                                       \
			act_row row[R];                                                                    \
			UNROLL(R) for (int i = 0; i < R; i++)                                              \
			{                                                                                  \
				int place = at[t * PLACE_ROWS + i];                                             \
				row[i] = place < 0 ? zero : x + place;                                         \
			}                                                                                  \
			TILE_MULTIPLY(R, acc, b, depth, LOAD1(ACT, row[i], k))                             \
			b += PARTS * depth;                                                                \
		}                                                                                      \
		TILE_END(R, acc, c)                                                                    \
	}
TILE_BOTH(DEFINE_GATHER)

/* Work-items: [row blocks, panel groups, pictures], or the first two swapped, so that the
 * larger of the operands is read once. geometry: see find_places. */
KERNEL(gemm, GEMM_ARGS)
{
	vec b[GEMM_DEPTH * PARTS], c[GEMM_ROWS * PARTS];
	int at[9 * PLACE_ROWS];
	int picture = item.z;
	/* Not `swapped ? … : …`: PoCL 3.1 cannot link a choice between two ids. */
	int id0 = item.x, id1 = item.y;
	int r0 = (id0 + swapped * (id1 - id0)) * block_rows;
	int p0 = (id1 + swapped * (id0 - id1)) * group;
	int count = min(block_rows, rows - r0);
	int width = act == ACT_GEGLU ? PANEL / 2 : PANEL; /* output channels of a panel */
	int p1 = min(p0 + group, (cout + width - 1) / width);
	int taps = geometry.s0 * geometry.s0;
	ulong first_row = (ulong)picture * rows + r0;

	act_row zero = (act_row)(weight + zero_at);
	x += x_at + x_picture * picture;
	find_places(at, geometry, ldx, r0, count, TILE_COVER(count));
#ifdef UP
	int beside_at[PLACE_ROWS];
	find_beside(beside_at, r0, count, ldt);
#endif
	/* A step of the sum: several whole taps, or a part of one. */
	int parts = (cin + GEMM_DEPTH - 1) / GEMM_DEPTH, depth = (cin + parts - 1) / parts;
	depth = (depth + WEIGHT_STEP - 1) / WEIGHT_STEP * WEIGHT_STEP;
	int together = parts > 1 ? 1 : min(taps, GEMM_DEPTH / cin);

	for (int p = p0; p < p1; p++) {
		for (int t = 0; t < taps; t += together)
			for (int k = 0; k < cin; k += depth) {
				int n = min(together, taps - t), d = min(depth, cin - k);
				stage_rows(weight + PANEL_COLUMN(p), PANEL_LINE(p, taps * cin) + t * cin + k, n * d, LINE(cout),
				           b);
				TILE_SWEEP(count, row, gather, x + k, zero, at + t * PLACE_ROWS + row, n, d, b,
				           c + PARTS * row, t + k == 0)
			}
#ifdef UP
		struct beside own = BESIDE_OF(p * width);
		if (own.ranks) {
			stage_ups(own, 0, own.ranks, p * width - own.first, act == ACT_GEGLU ? cout : LANES, part_cout, b);
			TILE_SWEEP(count, row, beside, t + t_at + own.rank, beside_at + row, own.ranks, b, c + PARTS * row)
		}
#endif
		finish_panel(c, count, min(width, cout - p * width), act, cout, p * width,
		             p * width + (act == ACT_GEGLU ? cout : PANEL / 2), scales, bias,
		             add ? add + add_at + (ulong)add_ld * picture + (ulong)add_row * r0 + p * width : 0,
		             add_row,
		             residual ? residual + residual_at + first_row * ldr + p * width : 0, ldr,
		             y + y_at + first_row * ldy + p * width, ldy);
	}
}

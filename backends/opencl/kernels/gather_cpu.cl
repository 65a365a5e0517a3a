/* What the kernels of the gathered product for CPUs share: where its rows lie, and how a
 * panel's weights become numbers. */

#define PLACE_ROWS 192 /* rows of a work-item at most */

/* What gemm and gemm_dot are called with; its end is of beside_cpu.cl. */
#define GEMM_ARGS(A)                                                                           \
	A(global const TYPE(ACT) *, x), A(ulong, x_at), A(int, ldx), A(ulong, x_picture),          \
	A(int8, geometry), A(int, rows), A(int, block_rows), A(int, group), A(int, swapped),       \
	A(global const TYPE(WEIGHT) *, weight), A(ulong, zero_at), A(int, cin), A(int, cout),      \
	A(global const float *, scales), A(global const float *, bias), A(int, act),               \
	A(global const TYPE(ACT) *, add), A(ulong, add_at), A(int, add_ld),                        \
	A(global const TYPE(ACT) *, residual), A(ulong, residual_at), A(int, ldr),                 \
	A(global TYPE(ACT) *, y), A(ulong, y_at), A(int, ldy), A(int, add_row) BESIDE_ARGS(A)

#ifdef WEIGHT_BLOCK
#define WEIGHT_STEP 32 /* rows of a panel that are expanded at a time: whole sub-blocks */
#else
#define WEIGHT_STEP 1
#endif

/* `count` rows of all panels, from row number `line` on, PANEL wide, `step` apart. With blocks both are
 * multiples of WEIGHT_STEP. */
INLINE void stage_rows(global const TYPE(WEIGHT) *weight, ulong line, int count, int step, vec *to)
{
#ifdef WEIGHT_BLOCK
	const int sub = PASTE(SUB_, WEIGHT);
	for (int k = 0; k < count; k += sub) {
		block_row block = weight + (line + k) / WEIGHT_BLOCK * (WEIGHT_BYTES * PANEL);
		int first = (int)((line + k) % WEIGHT_BLOCK);
		EACH_PART(h)
		{
			vec factor, less;
			PASTE(factors_, WEIGHT)(block, LANES * h, first / sub, &factor, &less);
			UNROLL(8) for (int i = 0; i < sub; i++)
			{
				ints quant = PASTE(quant_, WEIGHT)(block, LANES * h, first + i);
				to[PARTS * (k + i) + h] = expanded(factor, quant, less);
			}
		}
	}
#else
	weight += line * step;
	for (int i = 0; i < count; i++, weight += step)
		EACH_PART(h) to[PARTS * i + h] = LOADV(WEIGHT, weight, LANES * h);
#endif
}

/* Bytes of so many rows of a panel, which lie side by side; a narrow weight's do not. */
#ifdef NARROW
#define PANEL_BYTES(lines) 0
#elif defined WEIGHT_BLOCK
#define PANEL_BYTES(lines) ((lines) / WEIGHT_BLOCK * (WEIGHT_BYTES * PANEL))
#else
#define PANEL_BYTES(lines) ((lines) * (PANEL * sizeof(TYPE(WEIGHT))))
#endif

/* The places of rows [r0, r0 + count) of a picture for every tap; rows too many, up to
 * `covered`, count as padding, and are the first where there is none. geometry:
 * { taps a side, stride, padding, log2 of the upsampling, input width, virtual height,
 * virtual width, output width }. */
INLINE void find_places(int *at, int8 geometry, int ldx, int r0, int count,
                        int covered)
{
	int side = geometry.s0, up = geometry.s3;
	for (int r = 0; r < covered; r++) {
		int oy = (r0 + r) / geometry.s7, ox = (r0 + r) % geometry.s7;
		int top = oy * geometry.s1 - geometry.s2, left = ox * geometry.s1 - geometry.s2;
		for (int ty = 0; ty < side; ty++)
			for (int tx = 0; tx < side; tx++) {
				int iy = top + ty, ix = left + tx;
				bool inside = r < count && iy >= 0 && ix >= 0 && iy < geometry.s5 &&
				              ix < geometry.s6;
				at[(ty * side + tx) * PLACE_ROWS + r] =
				    inside ? ((iy >> up) * geometry.s4 + (ix >> up)) * ldx : side > 1 ? -1 : at[0];
			}
	}
}

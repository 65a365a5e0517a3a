/* Linear layers and direct convolutions by matrix instructions: gemm_gpu.cl's contract for
 * activations in f16. Weights of other dtypes are rounded to f16.
 *
 * A work-group owns MMA_TILE_M rows × MMA_TILE_N columns, a warp or subgroup MMA_WARP_M ×
 * MMA_WARP_N of them in registers. Two buffers of MMA_TILE_K terms lie in local memory: while
 * one is multiplied, the next terms are on their way from global memory into registers.
 * -D ACT=f16, -D WEIGHT, -D HALF_WEIGHT if that is f16; -D ALIGNED=1: all offsets, distances
 * between pixels and cin are multiples of 8. Needs gather_gpu.cl, mma.cl. */

#define TERMS 16 /* of MMA() */
#define WORDS (MMA_TILE_K / 2)
#define STRIDE (WORDS + 4) /* rows start 4 banks apart, eight of them fill all 32 */
#define WARPS_N (MMA_TILE_N / MMA_WARP_N)
#define WARPS (MMA_TILE_M / MMA_WARP_M * WARPS_N)
#define ITEMS (WARPS * MMA_LANES)
#define TILES_M (MMA_WARP_M / MMA_M)
#define TILES_N (MMA_WARP_N / MMA_N)
#define BUFFER ((MMA_TILE_M + MMA_TILE_N) * STRIDE) /* words */
/* Pieces of a step: 8 terms of a row; 2 terms of 8 columns. */
#define ROW_PIECES (MMA_TILE_M * MMA_TILE_K / 8)
#define COLUMN_PIECES (MMA_TILE_N * MMA_TILE_K / 16)
#define MINE(pieces) (((pieces) + ITEMS - 1) / ITEMS)
#define OUT_STRIDE (MMA_WARP_N + 4)
#define OUTSIDE (-(1 << 24)) /* a coordinate that no tap brings back inside */

DEFINE_ACTIVATE(float8)

/* 8 columns of one term, row number `line` of all panels, as f16. */
static ushort8 load_columns(global const TYPE(WEIGHT) *weight, ulong line, int c)
{
#ifdef HALF_WEIGHT
	return as_ushort8(*(global const uint4 *)(weight + line * PANEL + c));
#else
	return as_ushort8(pack_halves(LOAD_WEIGHT(LOAD8, weight, line, c)));
#endif
}

/* Work-groups: [column tiles, row tiles, pictures] of ITEMS work-items; arguments as in
 * gemm_gpu.cl. */
kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) MMA_SUBGROUP
void gemm(global const TYPE(ACT) *x, ulong x_at, int ldx, ulong x_picture, int8 geometry,
          int rows, global const TYPE(WEIGHT) *weight, ulong weight_picture, int panels, int cin,
          int cout, global const float *scales,
          global const float *bias, int act, global const TYPE(ACT) *add, ulong add_at,
          int add_ld, global const TYPE(ACT) *residual, ulong residual_at, int ldr,
          global TYPE(ACT) *y, ulong y_at, int ldy, int add_row)
{
	local uint tiles[2 * BUFFER];
	MMA_EXCHANGE(WARPS)
	int item = get_local_id(0), lane = MMA_LANE, warp = MMA_WARP;
	int row0 = get_group_id(1) * MMA_TILE_M, panel0 = get_group_id(0) * (MMA_TILE_N / PANEL);
	int warp_row = warp / WARPS_N * MMA_WARP_M, warp_column = warp % WARPS_N * MMA_WARP_N;
	int picture = get_group_id(2), side = geometry.s0, taps = side * side;
	int top[MINE(ROW_PIECES)], left[MINE(ROW_PIECES)]; /* of my rows' first tap */
	uint4 next_rows[MINE(ROW_PIECES)];
	ushort8 next_low[MINE(COLUMN_PIECES)], next_high[MINE(COLUMN_PIECES)];
	mma_d acc[TILES_M][TILES_N];

	x += x_at + x_picture * picture;
	weight += weight_picture * picture;
UNROLL
	for (int i = 0; i < MINE(ROW_PIECES); i++) {
		int row = row0 + (item + i * ITEMS) / (MMA_TILE_K / 8);
		top[i] = row < rows ? row / geometry.s7 * geometry.s1 - geometry.s2 : OUTSIDE;
		left[i] = row % geometry.s7 * geometry.s1 - geometry.s2;
	}
UNROLL
	for (int i = 0; i < TILES_M; i++)
UNROLL
		for (int j = 0; j < TILES_N; j++)
			acc[i][j] = 0.0f;

	int deep = (cin + MMA_TILE_K - 1) / MMA_TILE_K, steps = taps * deep;
	for (int step = -1; step < steps; step++) {
		local uint *a = tiles + (step & 1) * BUFFER, *b = a + MMA_TILE_M * STRIDE;
		if (step >= 0) {
UNROLL
			for (int i = 0; i < MINE(ROW_PIECES); i++) {
				int piece = item + i * ITEMS, r = piece / (MMA_TILE_K / 8);
				if (piece < ROW_PIECES)
					vstore4(next_rows[i], 0, a + r * STRIDE + piece % (MMA_TILE_K / 8) * 4);
			}
UNROLL
			for (int i = 0; i < MINE(COLUMN_PIECES); i++) {
				int piece = item + i * ITEMS, column = piece / MMA_TILE_K * PANEL + piece % 2 * 8;
				ushort low[8], high[8];
				vstore8(next_low[i], 0, low);
				vstore8(next_high[i], 0, high);
				if (piece < COLUMN_PIECES)
UNROLL
					for (int j = 0; j < 8; j++)
						b[(column + j) * STRIDE + piece / 2 % WORDS] =
						    (uint)low[j] | (uint)high[j] << 16;
			}
		}
		/* The other buffer was last read before this barrier. */
		barrier(CLK_LOCAL_MEM_FENCE);
		if (step + 1 < steps) {
			int tap = (step + 1) / deep, k0 = (step + 1) % deep * MMA_TILE_K;
UNROLL
			for (int i = 0; i < MINE(ROW_PIECES); i++) {
				int k = (item + i * ITEMS) % (MMA_TILE_K / 8) * 8;
				int place = place_at(geometry, ldx, top[i] + tap / side, left[i] + tap % side);
				next_rows[i] = load_halves(x + place + k0 + k, place < 0 ? 0 : cin - k0 - k);
			}
UNROLL
			for (int i = 0; i < MINE(COLUMN_PIECES); i++) {
				int piece = item + i * ITEMS, panel = panel0 + piece / MMA_TILE_K;
				int k = k0 + piece / 2 % WORDS * 2;
				ulong line = ((ulong)panel * taps + tap) * cin + k;
				int c = piece % 2 * 8;
				bool there = piece < COLUMN_PIECES && panel < panels;
				next_low[i] = there && k < cin ? load_columns(weight, line, c) : (ushort8)(0);
				next_high[i] =
				    there && k + 1 < cin ? load_columns(weight, line + 1, c) : (ushort8)(0);
			}
		}
		if (step >= 0)
			for (int k = 0; k < MMA_TILE_K / TERMS; k++) {
				mma_a mine[TILES_M];
				mma_b column[TILES_N];
				local const uint *from = a + warp_row * STRIDE + k * TERMS / 2;
UNROLL
				for (int i = 0; i < TILES_M; i++)
					mine[i] = mma_load_a(from + i * MMA_M * STRIDE, STRIDE, lane);
				from = b + warp_column * STRIDE + k * TERMS / 2;
UNROLL
				for (int j = 0; j < TILES_N; j++)
					column[j] = mma_load_b(from + j * MMA_N * STRIDE, STRIDE, lane);
UNROLL
				for (int i = 0; i < TILES_M; i++)
UNROLL
					for (int j = 0; j < TILES_N; j++)
						acc[i][j] = MMA(acc[i][j], mine[i], column[j]);
			}
	}

	/* MMA_M rows of a warp at a time go through local memory: then 8 channels of a row are in
	 * one hand, with ACT_GEGLU those and their gates. */
	local float *out = (local float *)tiles + warp * MMA_M * OUT_STRIDE;
	int geglu = act == ACT_GEGLU, width = geglu ? PANEL / 2 : PANEL;
	int across = MMA_WARP_N / PANEL * (width / 8); /* pieces of a row */
UNROLL
	for (int i = 0; i < TILES_M; i++) {
		barrier(CLK_LOCAL_MEM_FENCE);
UNROLL
		for (int j = 0; j < TILES_N; j++)
			mma_store(out + j * MMA_N, OUT_STRIDE, lane, acc[i][j]);
		barrier(CLK_LOCAL_MEM_FENCE);
		for (int piece = lane; piece < MMA_M * across; piece += MMA_LANES) {
			int r = piece / across, column = piece % across * (geglu ? PANEL : 8);
			int row = row0 + warp_row + i * MMA_M + r;
			int channel = (panel0 + (warp_column + column) / PANEL) * width + column % PANEL;
			ulong at = (ulong)picture * rows + row;
			if (row >= rows || channel >= cout)
				continue;
			float8 v = vload8(0, out + r * OUT_STRIDE + column);
			if (scales)
				v *= vload8(0, scales + channel);
			if (bias)
				v += vload8(0, bias + channel);
			ulong more = add_at + (ulong)add_ld * picture + (ulong)add_row * row + channel;
			if (add)
				v += LOAD8(ACT, add, more);
			if (geglu) {
				float8 gate = vload8(0, out + r * OUT_STRIDE + column + 8);
				if (scales)
					gate *= vload8(0, scales + cout + channel);
				if (add)
					gate += LOAD8(ACT, add, more + cout);
				v *= activate_float8(bias ? gate + vload8(0, bias + cout + channel) : gate,
				                     ACT_GELU);
			} else if (act == ACT_PRELU) {
				v = v > 0.0f ? v : v * vload8(0, bias + cout + channel);
			} else {
				v = activate_float8(v, act);
			}
			if (residual) {
				uint4 words =
				    load_halves(residual + residual_at + at * ldr + channel, cout - channel);
				v += vload_half8(0, (const half *)&words);
			}
			store_halves(y + y_at + at * ldy + channel, v, cout - channel);
		}
	}
}

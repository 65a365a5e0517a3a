/* Linear layers and direct convolutions for GPUs: the gathered product of gemm_cpu.cl with
 * a tile per work-group in local memory.
 *
 * A work-item owns ITEM_M rows, GEMM_M / ITEM_M apart, and ITEM_N columns: half of them in
 * the first half of a panel, half in the second, so that with ACT_GEGLU it holds the gates
 * of its values. -D ACT, -D WEIGHT: dtypes; the rest has defaults here.
 * Needs gather_gpu.cl. */

#ifndef GEMM_M
#define GEMM_M 64 /* rows of a work-group */
#endif
#ifndef GEMM_N
#define GEMM_N 64 /* columns of a work-group: whole panels */
#endif
#ifndef GEMM_K
#define GEMM_K 16 /* terms in local memory at a time */
#endif
#ifndef ITEM_M
#define ITEM_M 4 /* rows of a work-item */
#endif
#ifndef ITEM_N
#define ITEM_N 4 /* columns of a work-item: 4 or 8 */
#endif

#define ITEMS_M (GEMM_M / ITEM_M)
#define ITEMS_N (GEMM_N / ITEM_N)
#define ITEMS (ITEMS_M * ITEMS_N)
#define HALF_N (ITEM_N / 2)
#define PAD 4 /* keeps the columns of a out of one bank of local memory */

DEFINE_ACTIVATE(float)

/* v without what stands past n elements: it may be a NaN. */
static float4 first_of(float4 v, int n)
{
	return select((float4)(0.0f), v, (int4)(0, 1, 2, 3) < n);
}

/* Where tap (ty, tx) of an output pixel stands in its picture, or -1. */
static int place_of(int8 geometry, int ldx, int pixel, int ty, int tx)
{
	return place_at(geometry, ldx, pixel / geometry.s7 * geometry.s1 - geometry.s2 + ty,
	                pixel % geometry.s7 * geometry.s1 - geometry.s2 + tx);
}

/* Work-groups: [column tiles, row tiles, pictures] of ITEMS work-items. Every picture may
 * have weights of its own, weight_picture elements apart. */
kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void gemm(global const TYPE(ACT) *x, ulong x_at, int ldx, ulong x_picture, int8 geometry,
          int rows, global const TYPE(WEIGHT) *weight, ulong weight_picture, int panels, int cin,
          int cout, global const float *scales,
          global const float *bias, int act, global const TYPE(ACT) *add, ulong add_at,
          int add_ld, global const TYPE(ACT) *residual, ulong residual_at, int ldr,
          global TYPE(ACT) *y, ulong y_at, int ldy, int add_row)
{
	local float a[GEMM_K][GEMM_M + PAD], b[GEMM_K][GEMM_N];
	local int places[GEMM_M];
	int item = get_local_id(0), item_m = item / ITEMS_N, item_n = item % ITEMS_N;
	int row0 = get_group_id(1) * GEMM_M, panel0 = get_group_id(0) * (GEMM_N / PANEL);
	int picture = get_group_id(2), side = geometry.s0;
	int column0 = item_n * HALF_N / (PANEL / 2) * PANEL + item_n * HALF_N % (PANEL / 2);
	float acc[ITEM_M][2][HALF_N];

	x += x_at + x_picture * picture;
	weight += weight_picture * picture;
	for (int i = 0; i < ITEM_M; i++)
		for (int j = 0; j < HALF_N; j++)
			acc[i][0][j] = acc[i][1][j] = 0.0f;
	for (int tap = 0; tap < side * side; tap++) {
		barrier(CLK_LOCAL_MEM_FENCE);
		for (int r = item; r < GEMM_M; r += ITEMS)
			places[r] = row0 + r < rows
			                ? place_of(geometry, ldx, row0 + r, tap / side, tap % side)
			                : -1;
		for (int k0 = 0; k0 < cin; k0 += GEMM_K) {
			barrier(CLK_LOCAL_MEM_FENCE);
			for (int i = item; i < GEMM_M * GEMM_K / 4; i += ITEMS) {
				int r = i / (GEMM_K / 4), k = i % (GEMM_K / 4) * 4, left = cin - k0 - k;
				float4 v = 0.0f;
				if (places[r] >= 0 && left > 0)
					v = first_of(LOAD4(ACT, x, places[r] + k0 + k), left);
				a[k][r] = v.x;
				a[k + 1][r] = v.y;
				a[k + 2][r] = v.z;
				a[k + 3][r] = v.w;
			}
			for (int i = item; i < GEMM_N * GEMM_K / 4; i += ITEMS) {
				int c = i % (PANEL / 4) * 4, k = i / (PANEL / 4) % GEMM_K;
				int p = i / (PANEL / 4 * GEMM_K);
				ulong line = ((ulong)(panel0 + p) * side * side + tap) * cin + k0 + k;
				float4 v = 0.0f;
				if (panel0 + p < panels && k0 + k < cin)
					v = LOAD_WEIGHT(LOAD4, weight, line, c);
				vstore4(v, 0, &b[k][p * PANEL + c]);
			}
			barrier(CLK_LOCAL_MEM_FENCE);
			for (int k = 0; k < GEMM_K; k++) {
				float columns[2][HALF_N];
				for (int j = 0; j < HALF_N; j++) {
					columns[0][j] = b[k][column0 + j];
					columns[1][j] = b[k][column0 + PANEL / 2 + j];
				}
				for (int i = 0; i < ITEM_M; i++) {
					float v = a[k][item_m + i * ITEMS_M];
					for (int j = 0; j < HALF_N; j++) {
						acc[i][0][j] = fma(v, columns[0][j], acc[i][0][j]);
						acc[i][1][j] = fma(v, columns[1][j], acc[i][1][j]);
					}
				}
			}
		}
	}
	/* With ACT_GEGLU a panel has 8 output channels, and a work-item's gates give no column
	 * of their own. */
	int halves = act == ACT_GEGLU ? 1 : 2, width = PANEL * halves / 2;
	int channel0 = (panel0 + column0 / PANEL) * width + column0 % PANEL;
	for (int i = 0; i < ITEM_M; i++) {
		int row = row0 + item_m + i * ITEMS_M;
		ulong at = (ulong)picture * rows + row;
		for (int h = 0; h < halves; h++)
			for (int j = 0; j < HALF_N; j++) {
				int c = channel0 + h * (PANEL / 2) + j;
				if (row >= rows || c >= cout)
					continue;
				float v = acc[i][h][j] * (scales ? scales[c] : 1.0f) + (bias ? bias[c] : 0.0f);
				ulong more = add_at + (ulong)add_ld * picture + (ulong)add_row * row + c;
				if (add)
					v += LOAD1(ACT, add, more);
				if (act == ACT_GEGLU) {
					float gate = acc[i][1][j] * (scales ? scales[cout + c] : 1.0f);
					if (add)
						gate += LOAD1(ACT, add, more + cout);
					v *= activate_float(gate + (bias ? bias[cout + c] : 0.0f), ACT_GELU);
				} else if (act == ACT_PRELU) {
					v = v > 0.0f ? v : v * bias[cout + c];
				} else {
					v = activate_float(v, act);
				}
				if (residual)
					v += LOAD1(ACT, residual, residual_at + at * ldr + c);
				STORE1(ACT, y, y_at + at * ldy + c, v);
			}
	}
}

/* 3×3 convolutions with stride 1 by Winograd's F(2×2, 3×3) for GPUs: 16 products for 4 outputs
 * where the plain way takes 36. Lavin and Gray, arXiv:1509.09308.
 *
 * Four launches for a chunk of tiles: weights (once a convolution) and input to the 16 places
 * of the transform, 16 matrix products by gemm_gpu.cl or gemm_mma.cl, and the sums back to
 * pixels. Between them everything is in the dtype of the activations, so that matrix
 * instructions take it; the interpolation points 0, ±1 and ∞ lose so little that f16 can
 * bear it (F(4×4) could not). -D ACT, -D WEIGHT: dtypes. Needs gather_gpu.cl. */

#define WINOGRAD_GPU_SCRATCH 67108864 /* bytes of a chunk's transformed input and sums */

#define PLACES 16

DEFINE_ACTIVATE(float4)

/* G: 3 weights to 4, `step` apart. */
static void transform_weight(float4 g0, float4 g1, float4 g2, float4 *u, int step)
{
	float4 even = 0.5f * (g0 + g2), odd = 0.5f * g1;
	u[0] = g0;
	u[step] = even + odd;
	u[2 * step] = even - odd;
	u[3 * step] = g2;
}

/* Bᵀ: 4 inputs to 4, both `step` apart. */
static void transform_input(float4 *d, int step)
{
	float4 d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step];
	d[0] = d0 - d2;
	d[step] = d1 + d2;
	d[2 * step] = d2 - d1;
	d[3 * step] = d1 - d3;
}

/* [panels][9][cin][PANEL] to [PLACES][panels][cin][PANEL]. Work-items: [cin · PANEL / 4,
 * panels]. */
kernel void winograd_weights(global const TYPE(WEIGHT) *weight, int cin,
                             global TYPE(ACT) *transformed)
{
	int item = get_global_id(0), panel = get_global_id(1), panels = get_global_size(1);
	ulong row = (ulong)cin * PANEL;
	float4 rows[12], u[4]; /* [4][3] */
	if (item >= cin * PANEL / 4)
		return;
	weight += panel * 9 * row + item * 4;
	transformed += panel * row + item * 4;
	for (int j = 0; j < 3; j++)
		transform_weight(LOAD4(WEIGHT, weight, j * row), LOAD4(WEIGHT, weight, (3 + j) * row),
		                 LOAD4(WEIGHT, weight, (6 + j) * row), rows + j, 3);
	for (int i = 0; i < 4; i++) {
		transform_weight(rows[3 * i], rows[3 * i + 1], rows[3 * i + 2], u, 1);
		for (int j = 0; j < 4; j++)
			STORE4(ACT, transformed, (4 * i + j) * panels * row, u[j]);
	}
}

/* x to [PLACES][tiles][ld]. Work-items: [cin / 4, tiles]; up: log2 of the upsampling of x;
 * channels from cin to ld get anything. */
kernel void winograd_input(global const TYPE(ACT) *x, ulong x_at, int ldx, int height, int width,
                           int up, int cin, int tiles_down, int tiles_across, int first_tile,
                           global TYPE(ACT) *transformed, int ld)
{
	int c = get_global_id(0) * 4, tiles = get_global_size(1);
	ulong id = get_global_id(1);
	int tile = first_tile + (int)id, picture = tile / (tiles_across * tiles_down);
	int left = tile % tiles_across * 2 - 1, top = tile / tiles_across % tiles_down * 2 - 1;
	float4 d[PLACES];
	if (c >= cin)
		return;
	x += x_at + (ulong)picture * height * width * ldx + c;
	for (int i = 0; i < PLACES; i++) {
		int row = top + i / 4, column = left + i % 4;
		bool inside = row >= 0 && column >= 0 && row < height << up && column < width << up;
		d[i] = 0.0f;
		if (inside)
			d[i] = LOAD4(ACT, x, (ulong)((row >> up) * width + (column >> up)) * ldx);
	}
	for (int i = 0; i < 4; i++)
		transform_input(d + i, 4);
	for (int i = 0; i < 4; i++)
		transform_input(d + 4 * i, 1);
	for (int i = 0; i < PLACES; i++)
		STORE4(ACT, transformed, ((ulong)i * tiles + id) * ld + c, d[i]);
}

/* Stores the first n ≤ 4 values of v. */
static void store_some(global TYPE(ACT) *y, float4 v, int n)
{
	float lanes[4];
	if (n >= 4) {
		STORE4(ACT, y, 0, v);
		return;
	}
	vstore4(v, 0, lanes);
	for (int i = 0; i < n; i++)
		STORE1(ACT, y, i, lanes[i]);
}

/* Sums [PLACES][tiles][ld] to y = act(sum · scale + bias + add) + residual. Work-items: [cout / 4,
 * tiles]. */
kernel void winograd_output(global const TYPE(ACT) *sums, int ld, int tiles_down,
                            int tiles_across, int first_tile, int height, int width, int cout,
                            global const float *scales,
                            global const float *bias, int act, global const TYPE(ACT) *add,
                            ulong add_at, int add_ld, global const TYPE(ACT) *residual,
                            ulong residual_at, int ldr, global TYPE(ACT) *y, ulong y_at, int ldy)
{
	int c = get_global_id(0) * 4, tiles = get_global_size(1);
	ulong id = get_global_id(1);
	int tile = first_tile + (int)id, picture = tile / (tiles_across * tiles_down);
	int x0 = tile % tiles_across * 2, y0 = tile / tiles_across % tiles_down * 2;
	float4 m[PLACES], scale = 1.0f, more = 0.0f, slope = 0.0f;
	if (c >= cout)
		return;
	for (int i = 0; i < PLACES; i++)
		m[i] = LOAD4(ACT, sums, ((ulong)i * tiles + id) * ld + c);
	if (scales)
		scale = vload4(0, scales + c);
	if (bias)
		more += vload4(0, bias + c);
	if (act == ACT_PRELU)
		slope = vload4(0, bias + cout + c);
	if (add)
		more += LOAD4(ACT, add, add_at + (ulong)add_ld * picture + c);
	/* Aᵀ, down and then across. */
	for (int i = 0; i < 4; i++) {
		float4 first = m[i] + m[4 + i] + m[8 + i];
		m[4 + i] = m[4 + i] - m[8 + i] - m[12 + i];
		m[i] = first;
	}
	for (int i = 0; i < 2; i++) {
		float4 pair[2] = {m[4 * i] + m[4 * i + 1] + m[4 * i + 2],
		                  m[4 * i + 1] - m[4 * i + 2] - m[4 * i + 3]};
		for (int j = 0; j < 2; j++) {
			ulong pixel = ((ulong)picture * height + y0 + i) * width + x0 + j;
			float4 v = pair[j] * scale + more;
			if (act == ACT_PRELU)
				v = v > 0.0f ? v : v * slope;
			else
				v = activate_float4(v, act);
			if (y0 + i >= height || x0 + j >= width)
				continue;
			if (residual)
				v += LOAD4(ACT, residual, residual_at + pixel * ldr + c);
			store_some(y + y_at + pixel * ldy + c, v, cout - c);
		}
	}
}

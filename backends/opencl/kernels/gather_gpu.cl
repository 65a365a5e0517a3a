/* What the matrix kernels for GPUs share: how weights are packed, where the pixels of a tap
 * stand, activations. */

#define PANEL 16 /* as in tile_cpu.cl, which says how weights are packed */

/* Columns c … of row number `line` of all panels, by LOAD4 or LOAD8. */
#ifdef WEIGHT_BLOCK
#define LOAD_WEIGHT(load, p, line, c) BLOCK_ELEMENT(WEIGHT, p, line, c)
#else
#define LOAD_WEIGHT(load, p, line, c) load(WEIGHT, (p) + (line) * PANEL + (c), 0)
#endif

#define DEFINE_ACTIVATE(type)                                                                  \
	static type activate_##type(type x, int act)                                               \
	{                                                                                          \
		switch (act) {                                                                         \
		case ACT_SILU: return x * SIGMOID(x);                                                  \
		case ACT_GELU: return GELU(x);                                                         \
		case ACT_QUICK_GELU: return x * SIGMOID(1.702f * x);                                   \
		case ACT_RELU: return fmax(x, 0.0f);                                                   \
		case ACT_TANH3: return 3.0f * tanh(x * (1.0f / 3.0f));                                 \
		default: return x;                                                                     \
		}                                                                                      \
	}

/* Where pixel (y, x) of the virtual input stands in its picture, or -1 in the padding.
 * geometry: see find_places in gemm_cpu.cl. */
static int place_at(int8 geometry, int ldx, int y, int x)
{
	if (y < 0 || x < 0 || y >= geometry.s5 || x >= geometry.s6)
		return -1;
	return ((y >> geometry.s3) * geometry.s4 + (x >> geometry.s3)) * ldx;
}

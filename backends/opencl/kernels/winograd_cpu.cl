/* 3×3 convolutions with stride 1 by Winograd's F(4×4, 3×3) for CPUs: 36 products for 16
 * outputs where the plain way takes 144. Lavin and Gray, "Fast Algorithms for Convolutional
 * Neural Networks", arXiv:1509.09308.
 *
 * Two launches for each bounded chunk of tiles: the input's tiles go into a scratch buffer,
 * then every work-item multiplies a block of tiles by a panel of output channels for all 36
 * places and transforms its sums back while they are in the cache. The weights are
 * transformed there and then: stored that way they would take four times the memory, and
 * the block's tiles share the work. -D ACT, -D WEIGHT. Needs tile_cpu.cl,
 * winograd_both_cpu.cl. */

#define WINOGRAD_NUMBER float
#define PLACE_STRIDE(tiles, depth) ((tiles) * (depth) + WINOGRAD_PAD)
#define WEIGHT_STRIDE ((WINOGRAD_DEPTH + 1) * PARTS)

/* Bᵀ: 6 inputs to 6. */
INLINE void transform_input(const float8 *d, float8 *v)
{
	float8 even_a = fma(d[2], -BB, d[4]), odd_a = A * fma(d[1], -BB, d[3]);
	float8 even_b = fma(d[2], -AA, d[4]), odd_b = B * fma(d[1], -AA, d[3]);
	v[0] = fma(d[0], AA * BB, fma(d[2], -(AA + BB), d[4]));
	v[1] = even_a + odd_a;
	v[2] = even_a - odd_a;
	v[3] = even_b + odd_b;
	v[4] = even_b - odd_b;
	v[5] = fma(d[1], AA * BB, fma(d[3], -(AA + BB), d[5]));
}

/* G: 3 weights to 6, written `step` apart. */
INLINE void transform_weight(vec g0, vec g1, vec g2, vec *u, int step)
{
	const float scale_a = 1.0f / (2 * AA * (AA - BB)), scale_b = 1.0f / (2 * BB * (BB - AA));
	vec even_a = scale_a * fma(g2, AA, g0), odd_a = scale_a * A * g1;
	vec even_b = scale_b * fma(g2, BB, g0), odd_b = scale_b * B * g1;
	u[0] = g0 * (1.0f / (AA * BB));
	u[step] = even_a + odd_a;
	u[2 * step] = even_a - odd_a;
	u[3 * step] = even_b + odd_b;
	u[4 * step] = even_b - odd_b;
	u[5 * step] = g2;
}

/* The scratch buffer is [blocks][steps][PLACES][block_tiles · depth + WINOGRAD_PAD]: what one
 * step of a block reads lies in one piece. `tiles` tiles from first_tile on; up: log2 of the
 * upsampling of x. Work-items: [tiles]. */
KERNEL(winograd_input, WINOGRAD_INPUT_ARGS)
{
	int id = item.x, tile = first_tile + id;
	int across = tile % tiles_across, down = tile / tiles_across % tiles_down;
	x += x_at + (ulong)(tile / (tiles_across * tiles_down)) * height * width * ldx;
	act_row zero = (act_row)(weight + zero_at), from[PLACES];
	for (int i = 0; i < PLACES; i++) {
		int y = down * 4 - 1 + i / 6, column = across * 4 - 1 + i % 6;
		bool inside = y >= 0 && column >= 0 && y < height << up && column < width << up;
		from[i] = inside ? x + ((y >> up) * width + (column >> up)) * ldx : zero;
	}
	int steps = (cin + depth - 1) / depth, place = PLACE_STRIDE(block_tiles, depth);
	ulong block_size = (ulong)steps * PLACES * place;
	global float *block = scratch + id / block_tiles * block_size + id % block_tiles * depth;
	for (int step = 0; step < steps; step++) {
		for (int c = step * depth; c < min(cin, (step + 1) * depth); c += 8) {
			float8 rows[PLACES], v[6];
			for (int column = 0; column < 6; column++) {
				float8 d[6];
				UNROLL(6) for (int i = 0; i < 6; i++) d[i] = LOAD8(ACT, from[6 * i + column], c);
				transform_input(d, v);
				UNROLL(6) for (int i = 0; i < 6; i++) rows[6 * i + column] = v[i];
			}
			global float *to = block + c - step * depth;
			for (int i = 0; i < 6; i++) {
				transform_input(rows + 6 * i, v);
				UNROLL(6) for (int j = 0; j < 6; j++)
					vstore8(v[j], 0, to + (6 * i + j) * place);
			}
		}
		block += PLACES * place;
	}
}

#define DEFINE_PLACE(size, R)                                                                  \
	INLINE void place_##size(global const float *v, int stride, int depth, const vec *u,       \
	                         vec *m, int first)                                                \
	{                                                                                          \
		vec acc[R][PARTS];                                                                     \
		TILE_BEGIN(R, acc, m, first)                                                           \
		TILE_MULTIPLY(R, acc, u, depth, v[i * stride + k])                                     \
		TILE_END(R, acc, m)                                                                    \
	}
TILE_BOTH(DEFINE_PLACE)

/* One step's weights of a panel: u[place][channel][PANEL]. */
INLINE void step_weights(global const TYPE(WEIGHT) *weight, int cin, int count, int line, vec *u)
{
	for (int k = 0; k < count; k++)
		for (int part = 0; part < PARTS; part++) {
			vec rows[18]; /* [6][3] */
			UNROLL(3) for (int j = 0; j < 3; j++)
			{
				global const TYPE(WEIGHT) *w =
				    weight + (ulong)(j * cin + k) * line + LANES * part;
				ulong down = 3 * (ulong)cin * line;
				transform_weight(LOADV(WEIGHT, w, 0), LOADV(WEIGHT, w, down),
				                 LOADV(WEIGHT, w, 2 * down), rows + j, 3);
			}
			UNROLL(6) for (int i = 0; i < 6; i++)
				transform_weight(rows[3 * i], rows[3 * i + 1], rows[3 * i + 2],
				                 u + 6 * i * WEIGHT_STRIDE + PARTS * k + part, WEIGHT_STRIDE);
		}
}

/* Work-items: [panels, blocks]. first_tile and tiles: the chunk that the scratch buffer
 * holds. */
KERNEL(winograd_multiply, WINOGRAD_MULTIPLY_ARGS)
{
	vec m[PLACES * SUM_STRIDE], u[PLACES * WEIGHT_STRIDE];
	int p = item.x, block = item.y, channel = p * PANEL;
	int count = min(block_tiles, tiles - block * block_tiles);
	int steps = (cin + depth - 1) / depth, columns = min(PANEL, cout - channel);
	int place = PLACE_STRIDE(block_tiles, depth);
	global const float *v = scratch + (ulong)block * steps * PLACES * place;
	weight += PANEL_COLUMN(p) + PANEL_LINE(p, 9 * cin) * LINE(cout);

	for (int k = 0; k < cin; k += depth) {
		int terms = min(depth, cin - k);
		step_weights(weight + (ulong)k * LINE(cout), cin, terms, LINE(cout), u);
		for (int i = 0; i < PLACES; i++, v += place)
			TILE_SWEEP(count, row, place, v + row * depth, depth, terms, u + i * WEIGHT_STRIDE,
			           m + i * SUM_STRIDE + PARTS * row, k == 0)
	}
	for (int t = 0; t < count; t++) {
		int tile = first_tile + block * block_tiles + t;
		int x0 = tile % tiles_across * 4, y0 = tile / tiles_across % tiles_down * 4;
		int picture = tile / (tiles_across * tiles_down);
		vec rows[24 * PARTS], out[16 * PARTS]; /* [4][6], [4][4] */
		for (int part = 0; part < PARTS; part++) {
			UNROLL(6) for (int j = 0; j < 6; j++)
				transform_output(m + j * SUM_STRIDE + PARTS * t + part, 6 * SUM_STRIDE,
				                 rows + PARTS * j + part, 6 * PARTS);
			UNROLL(4) for (int i = 0; i < 4; i++)
				transform_output(rows + 6 * PARTS * i + part, PARTS, out + 4 * PARTS * i + part,
				                 PARTS);
		}
		for (int i = 0; i < min(4, height - y0); i++) {
			ulong pixel = ((ulong)picture * height + y0 + i) * width + x0;
			finish_panel(out + 4 * PARTS * i, min(4, width - x0), columns, act, cout, channel,
			             channel + PANEL / 2, scales, bias,
			             add ? add + add_at + (ulong)add_ld * picture + channel : 0, 0,
			             residual ? residual + residual_at + pixel * ldr + channel : 0, ldr,
			             y + y_at + pixel * ldy + channel, ldy);
		}
	}
}

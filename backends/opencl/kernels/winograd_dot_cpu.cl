/* The Winograd convolution of winograd_cpu.cl in products of bfloat16 pairs. Transforms and sums
 * stay in float; what is rounded are the transformed inputs and weights, and the transforms enlarge
 * that to five times a direct product's rounding: docs/performance.md has what it does to pictures.
 * -D ACT, -D WEIGHT. Needs tile_cpu.cl, matrix_cpu.cl, dot_cpu.cl, winograd_both_cpu.cl. */

#define WINOGRAD_NUMBER uint /* a pair */
#define PLACE_STRIDE(tiles, depth) ((tiles) * ((depth) / 2) + WINOGRAD_PAD)
#define WEIGHT_STRIDE ((WINOGRAD_DEPTH / 2 + 1) * PARTS)

/* As in winograd_cpu.cl, of inputs, weights and sums that lie `step` apart; results `out_step`. */
INLINE void transform_input(const vec *d, int step, vec *v, int out_step)
{
	vec d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step];
	vec even_a = fma(d2, -BB, d4), odd_a = A * fma(d1, -BB, d3);
	vec even_b = fma(d2, -AA, d4), odd_b = B * fma(d1, -AA, d3);
	v[0] = fma(d[0], AA * BB, fma(d2, -(AA + BB), d4));
	v[out_step] = even_a + odd_a;
	v[2 * out_step] = even_a - odd_a;
	v[3 * out_step] = even_b + odd_b;
	v[4 * out_step] = even_b - odd_b;
	v[5 * out_step] = fma(d1, AA * BB, fma(d3, -(AA + BB), d[5 * step]));
}

INLINE void transform_weight(const vec *g, int step, vec *u, int out_step)
{
	const float scale_a = 1.0f / (2 * AA * (AA - BB)), scale_b = 1.0f / (2 * BB * (BB - AA));
	vec g0 = g[0], g1 = g[step], g2 = g[2 * step];
	vec even_a = scale_a * fma(g2, AA, g0), odd_a = scale_a * A * g1;
	vec even_b = scale_b * fma(g2, BB, g0), odd_b = scale_b * B * g1;
	u[0] = g0 * (1.0f / (AA * BB));
	u[out_step] = even_a + odd_a;
	u[2 * out_step] = even_a - odd_a;
	u[3 * out_step] = even_b + odd_b;
	u[4 * out_step] = even_b - odd_b;
	u[5 * out_step] = g2;
}

/* All bits of the first n numbers, none of the others. */
INLINE PASTE(int, LANES) first_lanes(int n)
{
	int lanes[LANES];
	for (int i = 0; i < LANES; i++)
		lanes[i] = i < n ? -1 : 0;
	return PASTE(vload, LANES)(0, lanes);
}

/* The scratch buffer is [blocks][steps][PLACES][block_tiles · depth / 2 + WINOGRAD_PAD], in
 * pairs. depth is a multiple of 2·LANES, or all of cin; channels beyond cin become zero.
 * Work-items: [tiles]. */
KERNEL(winograd_input, WINOGRAD_INPUT_ARGS)
{
	WITH_ASSEMBLER;
	int id = item.x, tile = first_tile + id;
	int across = tile % tiles_across, down = tile / tiles_across % tiles_down;
	x += x_at + (ulong)(tile / (tiles_across * tiles_down)) * height * width * ldx;
	act_row zero = (act_row)(weight + zero_at), from[PLACES];
	for (int i = 0; i < PLACES; i++) {
		int y = down * 4 - 1 + i / 6;
		int column = across * 4 - 1 + i % 6;
		bool inside = y >= 0 && column >= 0 && y < height << up && column < width << up;
		from[i] = inside ? x + ((y >> up) * width + (column >> up)) * ldx : zero;
	}
	int next = (4 >> up) * ldx;
	int steps = (cin + depth - 1) / depth, place = PLACE_STRIDE(block_tiles, depth);
	ulong block_size = (ulong)steps * PLACES * place;
	global uint *block = scratch + id / block_tiles * block_size + id % block_tiles * (depth / 2);
	for (int step = 0; step < steps; step++, block += PLACES * place)
		for (int c = 0; c < depth; c += LANES) {
			vec v[PLACES];
			int left = cin - step * depth - c;
			if (left <= 0 && DOT_DEPTH == 1)
				break;
			if (left <= 0) {
				for (int i = 0; i < PLACES; i++)
					STORE_HALF(((pairs)(0)).lo, block + c / 2 + i * place);
				continue;
			}
			/* What completes an odd last pair, or a step, must be a number. A mask for all: a branch
			 * in each of the 36 places would take half a second to compile. */
			PASTE(int, LANES) kept = first_lanes(left & 1 || DOT_DEPTH > 1 ? left : LANES);
			UNROLL(6) for (int j = 0; j < 6; j++)
			{
				vec d[6];
				UNROLL(6) for (int i = 0; i < 6; i++)
				{
					vec all = LOADV(ACT, from[6 * i + j], step * depth + c);
					d[i] = AS_FLOATS(AS_INTS(all) & kept);
					/* The next tile's columns of these channels. */
					if (j > 1)
						PREFETCH(from[6 * i + j] + next + step * depth + c);
				}
				transform_input(d, 1, v + j, 6);
			}
			global uint *to = block + c / 2;
			for (int i = 0; i < 6; i++, to += 6 * place) {
				vec row[6];
				transform_input(v + 6 * i, 1, row, 1);
				UNROLL(3) for (int j = 0; j < 6; j += 2)
				{
					pairs both = pair_row(row[j], row[j + 1]);
					STORE_HALF(both.lo, to + j * place);
					STORE_HALF(both.hi, to + (j + 1) * place);
				}
			}
		}
}

#define DEFINE_PLACE(size, R)                                                                  \
	INLINE void place_##size(global const uint *v, int stride, int depth, const pairs *u,      \
	                         vec *m, int first)                                                \
	{                                                                                          \
		DOT_INTO(size, R, m, first, u, depth, v, stride)                                       \
	}
DOT_BOTH(DEFINE_PLACE)

/* A channel's weights of one part of a panel, transformed downwards: rows[6][3]. */
INLINE void weight_rows(global const TYPE(WEIGHT) *weight, int cin, int line, vec *rows)
{
	vec taps[9];
	UNROLL(9) for (int j = 0; j < 9; j++)
		taps[j] = LOADV(WEIGHT, weight + (ulong)(j * cin) * line, 0);
	UNROLL(3) for (int j = 0; j < 3; j++)
		transform_weight(taps + j, 3, rows + j, 3);
}

/* One step's weights of a panel: u[place][pair of channels][PANEL], filled up with zeros. */
INLINE void step_weights(global const TYPE(WEIGHT) *weight, int cin, int count, int line, pairs *u)
{
	for (int k = 0; k < count; k += 2)
		for (int part = 0; part < PARTS; part++) {
			vec first[18], second[18];
			global const TYPE(WEIGHT) *w = weight + (ulong)k * line + LANES * part;
			pairs *to = u + PARTS * (k / 2) + part;
			weight_rows(w, cin, line, first);
			if (k + 1 < count) {
				weight_rows(w + line, cin, line, second);
			} else {
				UNROLL(18) for (int i = 0; i < 18; i++) second[i] = 0.0f;
			}
			UNROLL(6) for (int i = 0; i < 6; i++)
			{
				vec one[6], two[6];
				transform_weight(first + 3 * i, 1, one, 1);
				transform_weight(second + 3 * i, 1, two, 1);
				UNROLL(6) for (int j = 0; j < 6; j++)
					to[(6 * i + j) * WEIGHT_STRIDE] = pair_up(one[j], two[j]);
			}
		}
	for (int k = (count + 1) / 2; k < DOT_FILL((count + 1) / 2); k++)
		for (int i = 0; i < PLACES; i++)
			EACH_PART(h) u[i * WEIGHT_STRIDE + PARTS * k + h] = 0;
}

/* Work-items: [panels, blocks]. first_tile and tiles: the chunk that the scratch buffer
 * holds. */
KERNEL(winograd_multiply, WINOGRAD_MULTIPLY_ARGS)
{
	WITH_ASSEMBLER;
	vec m[PLACES * SUM_STRIDE];
	pairs u[PLACES * WEIGHT_STRIDE];
	int p = item.x, block = item.y, channel = p * PANEL;
	int count = min(block_tiles, tiles - block * block_tiles);
	int steps = (cin + depth - 1) / depth, columns = min(PANEL, cout - channel);
	int place = PLACE_STRIDE(block_tiles, depth);
	global const uint *v = scratch + (ulong)block * steps * PLACES * place;
	weight += PANEL_COLUMN(p) + PANEL_LINE(p, 9 * cin) * LINE(cout);
	TILES_OPEN(DOT_DEPTH);

	for (int k = 0; k < cin; k += depth) {
		int terms = min(depth, cin - k);
		step_weights(weight + (ulong)k * LINE(cout), cin, terms, LINE(cout), u);
		for (int i = 0; i < PLACES; i++, v += place)
			DOT_SWEEP(count, row, place, v + row * (depth / 2), depth / 2, DOT_FILL((terms + 1) / 2),
			          u + i * WEIGHT_STRIDE, m + i * SUM_STRIDE + PARTS * row, k == 0)
	}
	TILES_CLOSE;
	for (int t = 0; t < count; t++) {
		int tile = first_tile + block * block_tiles + t;
		int x0 = tile % tiles_across * 4;
		int y0 = tile / tiles_across % tiles_down * 4;
		int picture = tile / (tiles_across * tiles_down);
		vec rows[24 * PARTS], out[16 * PARTS];
		for (int part = 0; part < PARTS; part++) {
			UNROLL(6) for (int j = 0; j < 6; j++)
				transform_output(m + j * SUM_STRIDE + PARTS * t + part,
				                      6 * SUM_STRIDE, rows + PARTS * j + part,
				                      6 * PARTS);
			UNROLL(4) for (int i = 0; i < 4; i++)
				transform_output(rows + 6 * PARTS * i + part, PARTS,
				                        out + 4 * PARTS * i + part, PARTS);
		}
		for (int i = 0; i < min(4, height - y0); i++) {
			ulong pixel = ((ulong)picture * height + y0 + i) * width + x0;
			/* What the next tile adds and writes. */
			for (int j = 4; j < 8; j++)
				for (int part = 0; part < PARTS; part++) {
					if (residual)
						PREFETCH(residual + residual_at + (pixel + j) * ldr + channel + LANES * part);
					PREFETCH_WRITE(y + y_at + (pixel + j) * ldy + channel + LANES * part);
				}
			finish_panel(out + 4 * PARTS * i, min(4, width - x0), columns, act, cout, channel,
			             channel + PANEL / 2, scales, bias,
			             add ? add + add_at + (ulong)add_ld * picture + channel : 0, 0,
			             residual ? residual + residual_at + pixel * ldr + channel : 0, ldr,
			             y + y_at + pixel * ldy + channel, ldy);
		}
	}
}

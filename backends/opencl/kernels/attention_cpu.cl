/* Attention for CPUs: softmax(q·kᵀ·scale)·v without scores in memory.
 *
 * Everything stands on its head: a panel holds queries as columns, keys and channels
 * of the output are rows of the register tile. So k and v keep their order, the maxima and
 * sums of the softmax are vertical, and only the queries and the result are transposed,
 * once. A block of k and v is copied together for all panels of a work-item: where they lie,
 * a head's part of neighbouring tokens is far apart, often in the same set of the cache
 * (reading them there took 1.3 times as long for 8 heads of 40). -D ACT: dtype. Needs tile_cpu.cl,
 * attention_panel_cpu.cl.
 *
 * Running maximum and sum over blocks of keys: Milakov and Gimelshein, "Online normalizer
 * calculation for softmax", arXiv:1805.02867. */

/* s[j] = k[j, :]·q for R keys j; top is the largest so far of every column. */
#define DEFINE_SCORE(size, R)                                                                  \
	INLINE void score_##size(const float *keys, int wide, int dim, const vec *q, vec *s,       \
	                         vec *top)                                                         \
	{                                                                                          \
		vec acc[R][PARTS], most[PARTS];                                                        \
		TILE_BEGIN(R, acc, s, true)                                                            \
		TILE_MULTIPLY(R, acc, q, dim, keys[i * wide + k])                                      \
		TILE_END(R, acc, s)                                                                    \
		EACH_PART(h) most[h] = top[h];                                                         \
		TILE_EACH(R, i, h) most[h] = MAXV(acc[i][h], most[h]);                                 \
		EACH_PART(h) top[h] = most[h];                                                         \
	}
TILE_BOTH(DEFINE_SCORE)

/* out[c] = out[c]·shrink + Σ over keys of v[key, c]·p[key] for R channels c. */
#define DEFINE_MIX(size, R)                                                                    \
	INLINE void mix_##size(const float *values, int wide, int keys, const vec *p,              \
	                       const vec *shrink, vec *out)                                        \
	{                                                                                          \
		vec acc[R][PARTS];                                                                     \
		TILE_EACH(R, i, h) acc[i][h] = out[PARTS * i + h] * shrink[h];                         \
		TILE_MULTIPLY(R, acc, p, keys, values[k * wide + i])                                   \
		TILE_END(R, acc, out)                                                                  \
	}
TILE_BOTH(DEFINE_MIX)

/* to[r][wide] = `count` rows of a head, and the last one again for the rows that tiles
 * cover beyond. Channels past dim are not used: they give rows of a tile too many. Writes
 * up to seven numbers more. */
INLINE void copy_rows(act_row from, int ld, int count, int dim, int wide, float *to)
{
	for (int r = 0; r < TILE_COVER(count); r++)
		for (int i = 0; i < dim; i += 8)
			vstore8(LOAD8(ACT, from + (ulong)min(r, count - 1) * ld, i), 0, to + r * wide + i);
}

/* The queries of a panel, scaled, as columns: to[channel][PANEL]. */
INLINE void load_queries(act_row q, int ld, int count, int dim, float scale, float *to)
{
	for (int c = 0; c < PANEL; c++)
		for (int i = 0; i < dim; i++)
			to[i * PANEL + c] = c < count ? LOAD1(ACT, q, c * ld + i) * scale : 0.0f;
}

/* Work-items: [blocks of panels, heads, n]. scale includes log2(e). */
KERNEL(attention, ATTENTION_ARGS)
{
	vec columns[ATTENTION_CELLS / LANES], out[ATTENTION_CELLS / LANES];
	vec s[ATTENTION_KEYS * PARTS];
	float key_rows[ATTENTION_BLOCK + 8], value_rows[ATTENTION_BLOCK + 8];
	int wide = TILE_COVER(dim);
	vec top[ATTENTION_QUERIES / LANES], sum[ATTENTION_QUERIES / LANES];
	int head = item.y, batch = item.z;
	int first = item.x * panels * PANEL;
	int mine = min(panels, (queries - first + PANEL - 1) / PANEL);
	q += q_at + q_batch * batch + (ulong)first * ldq + head * dim;
	y += y_at + y_batch * batch + (ulong)first * ldy + head * dim;
	k += k_at + k_batch * batch + head * dim;
	v += v_at + v_batch * batch + head * dim;

	for (int p = 0; p < mine; p++)
		load_queries(q + (ulong)p * PANEL * ldq, ldq, queries - first - p * PANEL, dim, scale,
		             (float *)(columns + PARTS * p * wide));
	for (int i = 0; i < mine * wide * PARTS; i++)
		out[i] = 0.0f;
	for (int i = 0; i < mine * PARTS; i++) {
		top[i] = -1e30f;
		sum[i] = 0.0f;
	}
	/* What tiles cover. */
	int most = min(ATTENTION_KEYS, ATTENTION_BLOCK / wide / 4 * 4);
	int last = causal ? min(keys, first + mine * PANEL) : keys;
	for (int j = 0; j < last; j += most) {
		int count = min(most, last - j);
		copy_rows(k + (ulong)j * ldk, ldk, count, dim, wide, key_rows);
		copy_rows(v + (ulong)j * ldv, ldv, count, dim, wide, value_rows);
		for (int p = 0; p < mine; p++) {
			int query0 = first + p * PANEL;
			if (causal && query0 + PANEL <= j)
				continue;
			vec highest[PARTS], more[PARTS], shrink[PARTS];
			vec *tops = top + PARTS * p, *sums = sum + PARTS * p;
			EACH_PART(h) highest[h] = tops[h];
			TILE_SWEEP(count, row, score, key_rows + row * wide, wide, dim,
			           columns + PARTS * p * wide, s + PARTS * row, highest)
			if (causal && query0 < j + count) {
				EACH_PART(h) highest[h] = tops[h];
				mask_future(s, j, count, query0, highest);
			}
			EACH_PART(h) more[h] = 0.0f;
			for (int i = 0; i < count; i++)
				EACH_PART(h) more[h] += s[PARTS * i + h] = exp2_v(s[PARTS * i + h] - highest[h]);
			EACH_PART(h)
			{
				shrink[h] = exp2_v(tops[h] - highest[h]);
				sums[h] = fma(sums[h], shrink[h], more[h]);
				tops[h] = highest[h];
			}
			TILE_SWEEP(dim, row, mix, value_rows + row, wide, count, s, shrink,
			           out + PARTS * (p * wide + row))
		}
	}
	for (int p = 0; p < mine; p++)
		store_result(y + (ulong)p * PANEL * ldy, ldy, min(PANEL, queries - first - p * PANEL),
		             dim, (const float *)(out + PARTS * p * wide), (const float *)(sum + PARTS * p));
}

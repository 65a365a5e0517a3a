/* The attention of attention_cpu.cl in products of bfloat16 pairs: of channels for the scores, of
 * keys for the result. Queries, keys, values and the softmax's weights are rounded; scores, maxima
 * and sums are float, and a sum is that of the rounded weights. -D ACT: dtype. Needs tile_cpu.cl,
 * matrix_cpu.cl, dot_cpu.cl, attention_panel_cpu.cl. */

/* s[j] = k[j, :]·q for R keys j; top is the largest so far of every column. */
#ifdef DOT_AMX
#define DEFINE_SCORE(size, R)                                                                  \
	INLINE void score_##size(const uint *keys, int wide, int depth, const pairs *q, vec *s,    \
	                         vec *top)                                                         \
	{                                                                                          \
		DOT_INTO(size, R, s, true, q, depth, keys, wide)                                       \
		TILE_EACH(R, i, h) top[h] = MAXV(s[PARTS * i + h], top[h]);                            \
	}
#else
#define DEFINE_SCORE(size, R)                                                                  \
	INLINE void score_##size(const uint *keys, int wide, int depth, const pairs *q, vec *s,    \
	                         vec *top)                                                         \
	{                                                                                          \
		vec acc[R][PARTS], most[PARTS];                                                        \
		TILE_BEGIN(R, acc, s, true)                                                            \
		DOT_MULTIPLY(R, acc, q, depth, keys[i * wide + k])                                     \
		TILE_END(R, acc, s)                                                                    \
		EACH_PART(h) most[h] = top[h];                                                         \
		TILE_EACH(R, i, h) most[h] = MAXV(acc[i][h], most[h]);                                 \
		EACH_PART(h) top[h] = most[h];                                                         \
	}
#endif
DOT_BOTH(DEFINE_SCORE)

/* out[c] = out[c]·shrink + Σ over pairs of keys of v[pair, c]·p[pair] for R channels c. */
#ifdef DOT_AMX
#define DEFINE_MIX(size, R)                                                                    \
	INLINE void mix_##size(const uint *values, int wide, int depth, const pairs *p,            \
	                       const vec *shrink, vec *out)                                        \
	{                                                                                          \
		TILE_EACH(R, i, h) out[PARTS * i + h] *= shrink[h];                                    \
		DOT_INTO(size, R, out, false, p, depth, values, wide)                                  \
	}
#else
#define DEFINE_MIX(size, R)                                                                    \
	INLINE void mix_##size(const uint *values, int wide, int depth, const pairs *p,            \
	                       const vec *shrink, vec *out)                                        \
	{                                                                                          \
		vec acc[R][PARTS];                                                                     \
		TILE_EACH(R, i, h) acc[i][h] = out[PARTS * i + h] * shrink[h];                         \
		DOT_MULTIPLY(R, acc, p, depth, values[k * wide + i])                                   \
		TILE_END(R, acc, out)                                                                  \
	}
#endif
DOT_BOTH(DEFINE_MIX)

/* Pairs between two keys' rows, and places between two of a value's: a power of two would put rows into
 * one set of the cache. With AMX a row of values is a channel's, not a pair of keys', and both are whole
 * lines of the cache; then columns and values take the room of what is filled up. */
#ifdef DOT_AMX
#define KEY_WIDE(depth) ((depth) | AMX_SIDE)
#define VALUE_WIDE(wide, keys) (DOT_FILL((keys) / 2) | AMX_SIDE)
#define FILLED 2
#else
#define KEY_WIDE(depth) ((depth) | 1)
#define VALUE_WIDE(wide, keys) (wide)
#define FILLED 1
#endif

/* to[r][wide] = `count` rows of a head's keys in pairs of channels, and the last one again for the
 * rows that tiles cover beyond. Writes up to LANES - 1 pairs more. */
INLINE void pack_keys(act_row from, int ld, int count, int dim, int wide, uint *to)
{
	for (int r = 0; r < DOT_COVER(count); r++)
		pack_row(from + (ulong)min(r, count - 1) * ld, dim, to + r * wide, false);
}

/* to[pair][wide] = `count` rows of a head's values in pairs of rows; an odd last one is paired
 * with zeros. Channels past dim are not used. Writes up to LANES - 1 channels more. With AMX it is
 * to[channel][wide], filled up with zeros. */
#ifdef DOT_AMX
INLINE void pack_values(act_row from, int ld, int count, int dim, int wide, uint *to)
{
	for (int i = 0; i < DOT_COVER(dim) * wide; i++)
		to[i] = 0;
	for (int r = 0; r < count; r += 2, from += 2 * (ulong)ld, to++)
		for (int i = 0; i < dim; i += LANES) {
			uint both[LANES];
			PSTORE(pair_up(LOADV(ACT, from, i),
			               r + 1 < count ? LOADV(ACT, from + ld, i) : (vec)(0.0f)), both);
			for (int j = 0; j < min(LANES, dim - i); j++)
				to[(i + j) * wide] = both[j];
		}
}
#else
INLINE void pack_values(act_row from, int ld, int count, int dim, int wide, uint *to)
{
	for (int r = 0; r < count; r += 2, from += 2 * (ulong)ld, to += wide)
		for (int i = 0; i < dim; i += LANES)
			PSTORE(pair_up(LOADV(ACT, from, i),
			               r + 1 < count ? LOADV(ACT, from + ld, i) : (vec)(0.0f)), to + i);
}
#endif

/* Reads ahead `count` rows of a head. */
INLINE void read_rows(act_row from, int ld, int count, int dim)
{
	for (int r = 0; r < count; r++, from += ld)
		read_ahead(from, dim * (int)sizeof(TYPE(ACT)));
}

/* The queries of a panel, scaled, as columns: to[pair of channels][PANEL], filled up with zeros. */
INLINE void pack_queries(act_row q, int ld, int count, int dim, float scale, uint *to)
{
	for (int i = (dim + 1) / 2 * PANEL; i < DOT_FILL((dim + 1) / 2) * PANEL; i++)
		to[i] = 0;
	for (int c = 0; c < PANEL; c++)
		for (int i = 0; i < dim; i += 2 * LANES) {
			uint row[LANES];
			vec low = 0.0f, high = 0.0f;
			if (c < count)
				low = LOADV(ACT, q, c * ld + i) * scale;
			if (c < count && i + LANES < dim)
				high = LOADV(ACT, q, c * ld + i + LANES) * scale;
			PSTORE(pair_row(low, high), row);
			for (int j = 0; j < min(LANES, (dim - i + 1) / 2); j++)
				to[(i / 2 + j) * PANEL + c] = row[j] & (i + 2 * j + 1 < dim ? ~0u : 0xffffu);
		}
}

/* p[pair] = 2^(s - highest) of two keys each, filled up with zeros; sum += the weights' sums. */
INLINE void weigh(const vec *s, int keys, const vec *highest, pairs *p, vec *sum)
{
	const pairs ones = pair_up((vec)(1.0f), (vec)(1.0f));
	for (int i = 0; i < keys; i += 2, s += 2 * PARTS, p += PARTS)
		EACH_PART(h)
		{
			vec first = exp2_short(s[h] - highest[h]), second = 0.0f;
			if (i + 1 < keys)
				second = exp2_short(s[PARTS + h] - highest[h]);
			p[h] = pair_up(first, second);
			sum[h] = dot2(sum[h], p[h], ones);
		}
	for (int i = (keys + 1) / 2; i < DOT_FILL((keys + 1) / 2); i++, p += PARTS)
		EACH_PART(h) p[h] = 0;
}

/* Work-items: [blocks of panels, heads, n]. scale includes log2(e). */
KERNEL(attention_dot, ATTENTION_ARGS)
{
	WITH_ASSEMBLER;
	pairs columns[ATTENTION_CELLS / LANES / 2 * FILLED], p[ATTENTION_KEYS / 2 * PARTS];
	vec out[ATTENTION_CELLS / LANES], s[ATTENTION_KEYS * PARTS];
	uint key_rows[ATTENTION_BLOCK + LANES], value_rows[ATTENTION_BLOCK / 2 * FILLED + LANES];
	int wide = DOT_COVER(dim), depth = DOT_FILL((dim + 1) / 2), key_wide = KEY_WIDE(depth);
	vec top[ATTENTION_QUERIES / LANES], sum[ATTENTION_QUERIES / LANES];
	int head = item.y, batch = item.z;
	int first = item.x * panels * PANEL;
	int mine = min(panels, (queries - first + PANEL - 1) / PANEL);
	q += q_at + q_batch * batch + (ulong)first * ldq + head * dim;
	y += y_at + y_batch * batch + (ulong)first * ldy + head * dim;
	k += k_at + k_batch * batch + head * dim;
	v += v_at + v_batch * batch + head * dim;

	for (int i = 0; i < mine; i++)
		pack_queries(q + (ulong)i * PANEL * ldq, ldq, queries - first - i * PANEL, dim, scale,
		             (uint *)(columns + PARTS * i * depth));
	for (int i = 0; i < mine * wide * PARTS; i++)
		out[i] = 0.0f;
	for (int i = 0; i < mine * PARTS; i++) {
		top[i] = -1e30f;
		sum[i] = 0.0f;
	}
	/* What tiles cover. */
	int most = min(ATTENTION_KEYS, ATTENTION_BLOCK / wide / DOT_SMALL * DOT_SMALL);
	int value_wide = VALUE_WIDE(wide, most), value_row = VALUE_WIDE(1, most);
	TILES_OPEN(DOT_DEPTH);
	int last = causal ? min(keys, first + mine * PANEL) : keys;
	for (int j = 0; j < last; j += most) {
		int count = min(most, last - j);
		pack_keys(k + (ulong)j * ldk, ldk, count, dim, key_wide, key_rows);
		pack_values(v + (ulong)j * ldv, ldv, count, dim, value_wide, value_rows);
		/* The next block's rows, some with each panel. */
		int after = j + count, part = (min(most, last - after) + mine - 1) / mine;
		for (int i = 0; i < mine; i++, after += part) {
			int query0 = first + i * PANEL;
			read_rows(k + (ulong)after * ldk, ldk, min(part, last - after), dim);
			read_rows(v + (ulong)after * ldv, ldv, min(part, last - after), dim);
			if (causal && query0 + PANEL <= j)
				continue;
			vec highest[PARTS], shrink[PARTS];
			vec *tops = top + PARTS * i, *sums = sum + PARTS * i;
			EACH_PART(h) highest[h] = tops[h];
			DOT_SWEEP(count, row, score, key_rows + row * key_wide, key_wide, depth,
			          columns + PARTS * i * depth, s + PARTS * row, highest)
			if (causal && query0 < j + count) {
				EACH_PART(h) highest[h] = tops[h];
				mask_future(s, j, count, query0, highest);
			}
			EACH_PART(h)
			{
				shrink[h] = exp2_v(tops[h] - highest[h]);
				sums[h] *= shrink[h];
				tops[h] = highest[h];
			}
			weigh(s, count, highest, p, sums);
			DOT_SWEEP(dim, row, mix, value_rows + row * value_row, value_wide,
			          DOT_FILL((count + 1) / 2), p, shrink,
			          out + PARTS * (i * wide + row))
		}
	}
	TILES_CLOSE;
	for (int i = 0; i < mine; i++)
		store_result(y + (ulong)i * PANEL * ldy, ldy, min(PANEL, queries - first - i * PANEL),
		             dim, (const float *)(out + PARTS * i * wide), (const float *)(sum + PARTS * i));
}

/* Attention for CPUs: softmax(q·kᵀ·scale)·v without scores in memory.
 *
 * Everything stands on its head: a panel holds 16 queries as columns, keys and channels
 * of the output are rows of the register tile. So k and v keep their order, the maxima and
 * sums of the softmax are vertical, and only the queries and the result are transposed,
 * once. A block of k and v is copied together for all panels of a work-item: where they lie,
 * a head's part of neighbouring tokens is far apart, often in the same set of the cache
 * (reading them there took 1.3 times as long for 8 heads of 40). -D ACT: dtype. Needs tile_cpu.cl.
 *
 * Running maximum and sum over blocks of keys: Milakov and Gimelshein, "Online normalizer
 * calculation for softmax", arXiv:1805.02867. */

#define ATTENTION_KEYS 128  /* keys of a block: 8 KiB of scores */
#define ATTENTION_PANELS 24  /* panels of queries of a work-item at most: they share k and v */
#define ATTENTION_CELLS 3072  /* panels · covered channels of a head at most */
#define ATTENTION_BLOCK 32768 /* numbers of k, and of v, in a block at most */

/* s[j] = k[j, :]·q for R keys j; top is the largest so far of every column. */
#define DEFINE_SCORE(R)                                                                        \
	INLINE void score##R(const float *keys, int wide, int dim, const float8 *q, float8 *s,     \
	                     float8 *top)                                                          \
	{                                                                                          \
		float8 acc[R][2];                                                                      \
		TILE_BEGIN(R, acc, s, true)                                                            \
		TILE_MULTIPLY(R, acc, q, dim, keys[i * wide + k])                                      \
		TILE_END(R, acc, s)                                                                    \
		float8 top0 = top[0], top1 = top[1];                                                   \
		UNROLL(R) for (int i = 0; i < R; i++)                                                  \
		{                                                                                      \
			top0 = MAX8(acc[i][0], top0);                                                      \
			top1 = MAX8(acc[i][1], top1);                                                      \
		}                                                                                      \
		top[0] = top0;                                                                         \
		top[1] = top1;                                                                         \
	}
TILE_ALL_ROWS(DEFINE_SCORE)

/* out[c] = out[c]·shrink + Σ over keys of v[key, c]·p[key] for R channels c. */
#define DEFINE_MIX(R)                                                                          \
	INLINE void mix##R(const float *values, int wide, int keys, const float8 *p,               \
	                   float8 shrink0, float8 shrink1, float8 *out)                            \
	{                                                                                          \
		float8 acc[R][2];                                                                      \
		UNROLL(R) for (int i = 0; i < R; i++)                                                  \
		{                                                                                      \
			acc[i][0] = out[2 * i] * shrink0;                                                  \
			acc[i][1] = out[2 * i + 1] * shrink1;                                              \
		}                                                                                      \
		TILE_MULTIPLY(R, acc, p, keys, values[k * wide + i])                                   \
		TILE_END(R, acc, out)                                                                  \
	}
TILE_ALL_ROWS(DEFINE_MIX)

/* to[r][wide] = `count` rows of a head, and the last one again for the rows that tiles
 * cover beyond. Channels past dim are not used: they give rows of a tile too many. Writes
 * up to seven numbers more. */
INLINE void copy_rows(act_row from, int ld, int count, int dim, int wide, float *to)
{
	for (int r = 0; r < TILE_COVER(count); r++)
		for (int i = 0; i < dim; i += 8)
			vstore8(LOAD8(ACT, from + (ulong)min(r, count - 1) * ld, i), 0, to + r * wide + i);
}

/* The queries of a panel, scaled, as columns: to[channel][16]. */
INLINE void load_queries(act_row q, int ld, int count, int dim, float scale, float *to)
{
	for (int c = 0; c < PANEL; c++)
		for (int i = 0; i < dim; i++)
			to[i * PANEL + c] = c < count ? LOAD1(ACT, q, c * ld + i) * scale : 0.0f;
}

INLINE void store_result(global TYPE(ACT) *y, int ld, int count, int dim, const float *from,
                         float8 sum0, float8 sum1)
{
	float sums[PANEL];
	vstore8(1.0f / sum0, 0, sums);
	vstore8(1.0f / sum1, 1, sums);
	for (int c = 0; c < count; c++)
		for (int i = 0; i < dim; i++)
			STORE1(ACT, y, c * ld + i, from[i * PANEL + c] * sums[c]);
}

/* Scores of keys after their query count as minus infinity; top is made anew. */
INLINE void mask_future(float8 *s, int key0, int keys, int query0, float8 *top)
{
	const int8 lane = (int8)(0, 1, 2, 3, 4, 5, 6, 7);
	for (int j = 0; j < keys; j++)
		for (int h = 0; h < 2; h++) {
			s[2 * j + h] = select(s[2 * j + h], (float8)(-1e30f),
			                      lane + query0 + 8 * h < key0 + j);
			top[h] = MAX8(s[2 * j + h], top[h]);
		}
}

/* Work-items: [blocks of panels, heads, n]. scale includes log2(e). */
kernel ONE_ITEM void attention(global const TYPE(ACT) *q, ulong q_at, int ldq, ulong q_batch,
                               global const TYPE(ACT) *k, ulong k_at, int ldk, ulong k_batch,
                               global const TYPE(ACT) *v, ulong v_at, int ldv, ulong v_batch,
                               global TYPE(ACT) *y, ulong y_at, int ldy, ulong y_batch,
                               int queries, int keys, int dim, float scale, int causal,
                               int panels)
{
	float8 columns[ATTENTION_CELLS * 2], out[ATTENTION_CELLS * 2];
	float8 s[ATTENTION_KEYS * 2];
	float key_rows[ATTENTION_BLOCK + 8], value_rows[ATTENTION_BLOCK + 8];
	int wide = TILE_COVER(dim);
	float8 top[ATTENTION_PANELS * 2], sum[ATTENTION_PANELS * 2];
	int head = get_global_id(1), batch = get_global_id(2);
	int first = get_global_id(0) * panels * PANEL;
	int mine = min(panels, (queries - first + PANEL - 1) / PANEL);
	q += q_at + q_batch * batch + (ulong)first * ldq + head * dim;
	y += y_at + y_batch * batch + (ulong)first * ldy + head * dim;
	k += k_at + k_batch * batch + head * dim;
	v += v_at + v_batch * batch + head * dim;

	for (int p = 0; p < mine; p++)
		load_queries(q + (ulong)p * PANEL * ldq, ldq, queries - first - p * PANEL, dim, scale,
		             (float *)(columns + 2 * p * wide));
	for (int i = 0; i < mine * wide * 2; i++)
		out[i] = 0.0f;
	for (int i = 0; i < mine * 2; i++) {
		top[i] = -1e30f;
		sum[i] = 0.0f;
	}
	/* Even, and not less than four: what tiles cover. */
	int most = min(ATTENTION_KEYS, ATTENTION_BLOCK / wide / 2 * 2);
	int last = causal ? min(keys, first + mine * PANEL) : keys;
	for (int j = 0; j < last; j += most) {
		int count = min(most, last - j);
		copy_rows(k + (ulong)j * ldk, ldk, count, dim, wide, key_rows);
		copy_rows(v + (ulong)j * ldv, ldv, count, dim, wide, value_rows);
		for (int p = 0; p < mine; p++) {
			int query0 = first + p * PANEL;
			if (causal && query0 + PANEL <= j)
				continue;
			float8 highest[2] = {top[2 * p], top[2 * p + 1]};
			TILE_SWEEP(count, row, score, key_rows + row * wide, wide, dim, columns + 2 * p * wide,
			           s + 2 * row, highest)
			if (causal && query0 < j + count) {
				highest[0] = top[2 * p];
				highest[1] = top[2 * p + 1];
				mask_future(s, j, count, query0, highest);
			}
			float8 top0 = highest[0], top1 = highest[1], sum0 = 0.0f, sum1 = 0.0f;
			for (int i = 0; i < count; i++) {
				sum0 += s[2 * i] = exp2_8(s[2 * i] - top0);
				sum1 += s[2 * i + 1] = exp2_8(s[2 * i + 1] - top1);
			}
			float8 shrink0 = exp2_8(top[2 * p] - top0), shrink1 = exp2_8(top[2 * p + 1] - top1);
			sum[2 * p] = fma(sum[2 * p], shrink0, sum0);
			sum[2 * p + 1] = fma(sum[2 * p + 1], shrink1, sum1);
			top[2 * p] = top0;
			top[2 * p + 1] = top1;
			TILE_SWEEP(dim, row, mix, value_rows + row, wide, count, s, shrink0, shrink1,
			           out + 2 * (p * wide + row))
		}
	}
	for (int p = 0; p < mine; p++)
		store_result(y + (ulong)p * PANEL * ldy, ldy, min(PANEL, queries - first - p * PANEL),
		             dim, (const float *)(out + 2 * p * wide), sum[2 * p], sum[2 * p + 1]);
}

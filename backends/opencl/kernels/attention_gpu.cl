/* Attention for GPUs: a tile of queries per work-group, scores of one block of keys at a
 * time in local memory, the output in registers. -D ACT: dtype; -D HEAD_DIM: channels of
 * a head; -D ATTENTION_QUERIES where the default does not fit. The running maximum and
 * sum are those of attention_cpu.cl. */

#ifndef ATTENTION_QUERIES
#define ATTENTION_QUERIES 64 /* queries of a work-group: 16 per row of work-items */
#endif
#define ATTENTION_WIDE_DIM 160    /* above this a head takes … */
#define ATTENTION_WIDE_QUERIES 32 /* … so many queries: its output must fit into registers */
#define ATTENTION_KEYS 64         /* keys of a block */
#define ATTENTION_DEPTH 16        /* channels in local memory at a time */

#define SIDE 16 /* work-items are SIDE × SIDE */
#define ITEM_Q (ATTENTION_QUERIES / SIDE)
#define ITEM_K (ATTENTION_KEYS / SIDE)
#define ITEM_C ((HEAD_DIM + SIDE - 1) / SIDE)
#define LOWEST -1e30f

/* to[channel][tile + 1] = `tile` rows from row0 on, channels [c0, c0 + ATTENTION_DEPTH); zero
 * past the last row and channel. */
static void load_part(global const TYPE(ACT) *from, int ld, int row0, int rows, int tile, int c0,
                      float scale, int item, local float *to)
{
	for (int i = item; i < tile * ATTENTION_DEPTH; i += SIDE * SIDE) {
		int c = i % ATTENTION_DEPTH, r = i / ATTENTION_DEPTH;
		bool there = c0 + c < HEAD_DIM && row0 + r < rows;
		to[c * (tile + 1) + r] =
		    there ? LOAD1(ACT, from, (ulong)(row0 + r) * ld + c0 + c) * scale : 0.0f;
	}
}

/* Work-groups: [query tiles, heads, n]. scale includes log2(e). Queries and keys of a
 * work-item are SIDE apart, so are its channels. */
kernel __attribute__((reqd_work_group_size(SIDE, SIDE, 1)))
void attention(global const TYPE(ACT) *q, ulong q_at, int ldq, ulong q_batch,
               global const TYPE(ACT) *k, ulong k_at, int ldk, ulong k_batch,
               global const TYPE(ACT) *v, ulong v_at, int ldv, ulong v_batch,
               global TYPE(ACT) *y, ulong y_at, int ldy, ulong y_batch, int queries, int keys,
               float scale, int causal)
{
	local float q_part[ATTENTION_DEPTH][ATTENTION_QUERIES + 1];
	local float k_part[ATTENTION_DEPTH][ATTENTION_KEYS + 1];
	local float p[ATTENTION_KEYS][ATTENTION_QUERIES + 1];
	local float part[SIDE][ATTENTION_QUERIES + 1];
	int tx = get_local_id(0), ty = get_local_id(1), item = ty * SIDE + tx;
	int first = get_group_id(0) * ATTENTION_QUERIES;
	int head = get_group_id(1), batch = get_group_id(2);
	q += q_at + q_batch * batch + head * HEAD_DIM;
	k += k_at + k_batch * batch + head * HEAD_DIM;
	v += v_at + v_batch * batch + head * HEAD_DIM;
	y += y_at + y_batch * batch + head * HEAD_DIM;

	float out[ITEM_Q][ITEM_C], top[ITEM_Q], sum[ITEM_Q];
	for (int i = 0; i < ITEM_Q; i++) {
		top[i] = LOWEST;
		sum[i] = 0.0f;
		for (int c = 0; c < ITEM_C; c++)
			out[i][c] = 0.0f;
	}
	int last = causal ? min(keys, first + ATTENTION_QUERIES) : keys;
	for (int key0 = 0; key0 < last; key0 += ATTENTION_KEYS) {
		float s[ITEM_Q][ITEM_K];
		for (int i = 0; i < ITEM_Q; i++)
			for (int j = 0; j < ITEM_K; j++)
				s[i][j] = 0.0f;
		for (int c0 = 0; c0 < HEAD_DIM; c0 += ATTENTION_DEPTH) {
			barrier(CLK_LOCAL_MEM_FENCE);
			load_part(q, ldq, first, queries, ATTENTION_QUERIES, c0, scale, item, &q_part[0][0]);
			load_part(k, ldk, key0, keys, ATTENTION_KEYS, c0, 1.0f, item, &k_part[0][0]);
			barrier(CLK_LOCAL_MEM_FENCE);
			for (int c = 0; c < ATTENTION_DEPTH; c++)
				for (int i = 0; i < ITEM_Q; i++) {
					float a = q_part[c][ty + i * SIDE];
					for (int j = 0; j < ITEM_K; j++)
						s[i][j] = fma(a, k_part[c][tx + j * SIDE], s[i][j]);
				}
		}
		for (int i = 0; i < ITEM_Q; i++) {
			float most = LOWEST;
			for (int j = 0; j < ITEM_K; j++) {
				int key = key0 + tx + j * SIDE, query = first + ty + i * SIDE;
				if (key >= keys || (causal && key > query))
					s[i][j] = LOWEST;
				most = fmax(most, s[i][j]);
			}
			part[tx][ty + i * SIDE] = most;
		}
		barrier(CLK_LOCAL_MEM_FENCE);
		for (int i = 0; i < ITEM_Q; i++) {
			int row = ty + i * SIDE;
			float most = top[i];
			for (int j = 0; j < SIDE; j++)
				most = fmax(most, part[j][row]);
			float shrink = exp2(top[i] - most);
			top[i] = most;
			sum[i] *= shrink;
			for (int c = 0; c < ITEM_C; c++)
				out[i][c] *= shrink;
			for (int j = 0; j < ITEM_K; j++)
				p[tx + j * SIDE][row] = exp2(s[i][j] - most);
		}
		barrier(CLK_LOCAL_MEM_FENCE);
		for (int j = 0; j < min(ATTENTION_KEYS, keys - key0); j++) {
			float values[ITEM_C];
			for (int c = 0; c < ITEM_C; c++)
				values[c] = tx + c * SIDE < HEAD_DIM
				                ? LOAD1(ACT, v, (ulong)(key0 + j) * ldv + tx + c * SIDE)
				                : 0.0f;
			for (int i = 0; i < ITEM_Q; i++) {
				float a = p[j][ty + i * SIDE];
				sum[i] += a;
				for (int c = 0; c < ITEM_C; c++)
					out[i][c] = fma(a, values[c], out[i][c]);
			}
		}
	}
	for (int i = 0; i < ITEM_Q; i++) {
		int query = first + ty + i * SIDE;
		for (int c = 0; c < ITEM_C; c++)
			if (query < queries && tx + c * SIDE < HEAD_DIM)
				STORE1(ACT, y, (ulong)query * ldy + tx + c * SIDE, out[i][c] / sum[i]);
	}
}

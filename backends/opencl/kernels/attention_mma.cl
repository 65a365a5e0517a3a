/* Attention by matrix instructions: attention_gpu.cl's contract for activations in f16 and
 * heads of at most ATTENTION_MMA_DIM channels.
 *
 * A warp or subgroup owns MMA_M queries, whose sums stay in registers; a work-group of
 * ATTENTION_MMA_QUERIES shares blocks of keys and values in local memory. Scores go through
 * local memory from the instruction's layout to whole rows and back as f16. The running
 * maximum and sum are those of attention_cpu.cl. -D ACT=f16, -D HEAD_DIM; -D ALIGNED=1: all
 * offsets, distances between tokens and HEAD_DIM are multiples of 8. Needs mma.cl. */

#define ATTENTION_MMA_DIM 160
#define ATTENTION_MMA_QUERIES 64
#define KEYS 32

#define TERMS 16 /* of MMA() */
#define WARPS (ATTENTION_MMA_QUERIES / MMA_M)
#define ITEMS (WARPS * MMA_LANES)
#define DEPTH ((HEAD_DIM + TERMS - 1) / TERMS * TERMS)
/* Words of a row of queries or keys, and of a channel's keys: rows start 4 banks apart. */
#define WIDE (DEPTH / 2 + 4)
#define DEEP (KEYS / 2 + 4)
#define SCORES (KEYS + 4) /* floats of a row of scores */
#define SHARE (MMA_LANES / MMA_M) /* lanes that share a row of scores */
#define BLOCK_WORDS (KEYS * WIDE + DEPTH * DEEP)
#define QUERY_WORDS (ATTENTION_MMA_QUERIES * WIDE)
#define LOWEST -1e30f

/* to[row][WIDE] = rows [row0, row0 + count) of a head; zero past the last row and channel. */
static void stage_rows(global const TYPE(ACT) *from, int ld, int row0, int rows, int count,
                       local uint *to)
{
	for (int i = get_local_id(0); i < count * (DEPTH / 8); i += ITEMS) {
		int r = i / (DEPTH / 8), c = i % (DEPTH / 8) * 8;
		int there = row0 + r < rows ? HEAD_DIM - c : 0;
		vstore4(load_halves(from + (ulong)(row0 + r) * ld + c, there), 0, to + r * WIDE + c / 2);
	}
}

/* to[channel][DEEP]: a block of values on its side, two keys a word. */
static void stage_values(global const TYPE(ACT) *v, int ld, int key0, int keys, local uint *to)
{
	for (int i = get_local_id(0); i < KEYS / 2 * (DEPTH / 8); i += ITEMS) {
		int pair = i / (DEPTH / 8), c = i % (DEPTH / 8) * 8, key = key0 + 2 * pair;
		global const TYPE(ACT) *from = v + (ulong)key * ld + c;
		ushort low[8], high[8];
		vstore8(as_ushort8(load_halves(from, key < keys ? HEAD_DIM - c : 0)), 0, low);
		vstore8(as_ushort8(load_halves(from + ld, key + 1 < keys ? HEAD_DIM - c : 0)), 0, high);
		for (int j = 0; j < 8; j++)
			to[(c + j) * DEEP + pair] = (uint)low[j] | (uint)high[j] << 16;
	}
}

/* Work-groups: [query tiles, heads, n] of ITEMS work-items; arguments as in
 * attention_gpu.cl. */
kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) MMA_SUBGROUP
void attention(global const TYPE(ACT) *q, ulong q_at, int ldq, ulong q_batch,
               global const TYPE(ACT) *k, ulong k_at, int ldk, ulong k_batch,
               global const TYPE(ACT) *v, ulong v_at, int ldv, ulong v_batch,
               global TYPE(ACT) *y, ulong y_at, int ldy, ulong y_batch, int queries, int keys,
               float scale, int causal)
{
	local uint block[BLOCK_WORDS > QUERY_WORDS ? BLOCK_WORDS : QUERY_WORDS];
	local float scores[WARPS][MMA_M * SCORES], shares[WARPS][MMA_LANES], factors[WARPS][MMA_M];
	local uint weights[WARPS][MMA_M * DEEP];
	MMA_EXCHANGE(WARPS)
	int lane = MMA_LANE, warp = MMA_WARP, mine = lane / SHARE, part = lane % SHARE;
	int first = get_group_id(0) * ATTENTION_MMA_QUERIES, head = get_group_id(1);
	int batch = get_group_id(2), query0 = first + warp * MMA_M;
	mma_a query[DEPTH / TERMS];
	mma_d out[DEPTH / MMA_N];
	float top = LOWEST, sum = 0.0f; /* of row `mine`; sum: my share of it */

	q += q_at + q_batch * batch + head * HEAD_DIM;
	k += k_at + k_batch * batch + head * HEAD_DIM;
	v += v_at + v_batch * batch + head * HEAD_DIM;
	y += y_at + y_batch * batch + head * HEAD_DIM;
	stage_rows(q, ldq, first, queries, ATTENTION_MMA_QUERIES, block);
	barrier(CLK_LOCAL_MEM_FENCE);
	UNROLL
	for (int i = 0; i < DEPTH / TERMS; i++)
		query[i] = mma_load_a(block + warp * MMA_M * WIDE + i * TERMS / 2, WIDE, lane);
	UNROLL
	for (int j = 0; j < DEPTH / MMA_N; j++)
		out[j] = 0.0f;

	int last = causal ? min(keys, first + ATTENTION_MMA_QUERIES) : keys;
	for (int key0 = 0; key0 < last; key0 += KEYS) {
		barrier(CLK_LOCAL_MEM_FENCE);
		stage_rows(k, ldk, key0, keys, KEYS, block);
		stage_values(v, ldv, key0, keys, block + KEYS * WIDE);
		barrier(CLK_LOCAL_MEM_FENCE);
		UNROLL
		for (int j = 0; j < KEYS / MMA_N; j++) {
			mma_d s = 0.0f;
			UNROLL
			for (int i = 0; i < DEPTH / TERMS; i++)
				s = MMA(s, query[i],
				        mma_load_b(block + j * MMA_N * WIDE + i * TERMS / 2, WIDE, lane));
			mma_store(scores[warp] + j * MMA_N, SCORES, lane, s);
		}
		barrier(CLK_LOCAL_MEM_FENCE);
		float mine_now[KEYS / SHARE], most = top;
		UNROLL
		for (int j = 0; j < KEYS / SHARE; j++) {
			int key = key0 + j * SHARE + part;
			bool seen = key < keys && !(causal && key > query0 + mine);
			mine_now[j] = seen ? scores[warp][mine * SCORES + j * SHARE + part] * scale : LOWEST;
			most = fmax(most, mine_now[j]);
		}
		shares[warp][lane] = most;
		barrier(CLK_LOCAL_MEM_FENCE);
		for (int i = 0; i < SHARE; i++)
			most = fmax(most, shares[warp][mine * SHARE + i]);
		float shrink = exp2(top - most);
		top = most;
		sum *= shrink;
		if (part == 0)
			factors[warp][mine] = shrink;
		UNROLL
		for (int j = 0; j < KEYS / SHARE; j++) {
			float weight = exp2(mine_now[j] - most);
			sum += weight;
			vstore_half_rte(weight, mine * DEEP * 2 + j * SHARE + part,
			                (local half *)weights[warp]);
		}
		barrier(CLK_LOCAL_MEM_FENCE);
		UNROLL
		for (int j = 0; j < DEPTH / MMA_N; j++)
			out[j] = mma_scale(out[j], factors[warp], lane);
		UNROLL
		for (int i = 0; i < KEYS / TERMS; i++) {
			mma_a a = mma_load_a(weights[warp] + i * TERMS / 2, DEEP, lane);
			UNROLL
			for (int j = 0; j < DEPTH / MMA_N; j++)
				out[j] = MMA(out[j], a,
				             mma_load_b(block + KEYS * WIDE + j * MMA_N * DEEP + i * TERMS / 2,
				                        DEEP, lane));
		}
	}
	barrier(CLK_LOCAL_MEM_FENCE);
	shares[warp][lane] = sum;
	barrier(CLK_LOCAL_MEM_FENCE);
	if (part == 0) {
		for (int i = 1; i < SHARE; i++)
			sum += shares[warp][lane + i];
		factors[warp][mine] = 1.0f / sum;
	}
	barrier(CLK_LOCAL_MEM_FENCE);
	UNROLL
	for (int j = 0; j < DEPTH / MMA_N; j++) {
		float cells[MMA_CELLS];
		*(mma_d *)cells = mma_scale(out[j], factors[warp], lane);
		UNROLL
		for (int i = 0; i < MMA_CELLS; i++) {
			int row = query0 + mma_row(lane, i), c = j * MMA_N + mma_column(lane, i);
			if (row < queries && c < HEAD_DIM)
				STORE1(ACT, y, (ulong)row * ldy + c, cells[i]);
		}
	}
}

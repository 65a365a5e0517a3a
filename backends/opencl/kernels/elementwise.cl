/* Operations that move or change rows of channels without looking at other rows.
 *
 * All share one walk. Dimension 1 of the range cuts the rows into contiguous blocks, one
 * a work-item; dimension 0 walks along a row, V elements a step. A CPU device gets a few
 * long blocks and one walker a row (long streams, V = 16), a GPU a block for each row and
 * a walker for each vector (neighbours read neighbouring addresses, V = 4). */

#define LOADV PASTE(LOAD, V)
#define STOREV PASTE(STORE, V)

#define FIRST_ROW(rows) ((ulong)(rows) * get_global_id(1) / get_global_size(1))
#define LAST_ROW(rows) ((ulong)(rows) * (get_global_id(1) + 1) / get_global_size(1))

/* for every vector of the row that is this walker's, then for every element of its end */
#define WALK_VECTORS(i, c) \
	for (ulong i = get_global_id(0) * V; i + V <= (c); i += get_global_size(0) * V)
#define WALK_TAIL(i, c) \
	for (ulong i = (c) / V * V + get_global_id(0); i < (c); i += get_global_size(0))

#ifdef AXPBY /* -D A_T, B_T, Y_T: dtypes; HAS_B; HAS_GAIN; ACTIVATION */
#if ACTIVATION == ACT_GATE
#define END_WITH(v, own) ((v) * (SIGMOID(own) - 0.5f))
#else
#define END_WITH(v, own) ACTIVATE(v)
#endif
/* rows of c elements, the last one of last_c: dense tensors come as rows of equal length. */
kernel void axpby(global const TYPE(A_T) *a, ulong a_offset, ulong a_ld,
                  global const TYPE(B_T) *b, ulong b_offset, ulong b_ld,
                  global TYPE(Y_T) *y, ulong y_offset, ulong y_ld,
                  ulong rows, ulong c, ulong last_c, float alpha, float beta
#if HAS_GAIN
                  , global const float *gain, ulong gains
#define BETA (beta * gain[row % gains])
#else
#define BETA beta
#endif
                  )
{
	for (ulong row = FIRST_ROW(rows); row < LAST_ROW(rows); row++) {
		global const TYPE(A_T) *ar = a + a_offset + row * a_ld;
#if HAS_B
		global const TYPE(B_T) *br = b + b_offset + row * b_ld;
#endif
		global TYPE(Y_T) *yr = y + y_offset + row * y_ld;
		ulong end = row + 1 == rows ? last_c : c;
		WALK_VECTORS(i, end)
		{
			PASTE(float, V) own = alpha * LOADV(A_T, ar, i), v = own;
#if HAS_B
			v += BETA * LOADV(B_T, br, i);
#endif
			STOREV(Y_T, yr, i, END_WITH(v, own));
		}
		WALK_TAIL(i, end)
		{
			float own = alpha * LOAD1(A_T, ar, i), v = own;
#if HAS_B
			v += BETA * LOAD1(B_T, br, i);
#endif
			STORE1(Y_T, yr, i, END_WITH(v, own));
		}
	}
}
#endif

#ifdef EMBEDDING /* -D TABLE_T, POSITION_T, Y_T; HAS_POSITION; with blocks V=1 */
/* Elements i … of a table's row, by vector and one by one. */
#ifdef TABLE_T_BLOCK
#define TABLE_V(row, i) BLOCK_ELEMENT(TABLE_T, table, (ulong)(row) * c + (i), 0)
#define TABLE_1 TABLE_V
#else
#define TABLE_V(row, i) LOADV(TABLE_T, table + (ulong)(row) * c, i)
#define TABLE_1(row, i) LOAD1(TABLE_T, table + (ulong)(row) * c, i)
#endif
#ifdef POSITION_T_BLOCK
#define POSITION_V(row, i) BLOCK_ELEMENT(POSITION_T, position, (ulong)(row) * c + (i), 0)
#define POSITION_1 POSITION_V
#else
#define POSITION_V(row, i) LOADV(POSITION_T, position + (ulong)(row) * c, i)
#define POSITION_1(row, i) LOAD1(POSITION_T, position + (ulong)(row) * c, i)
#endif
kernel void embedding(global const int *ids, global const TYPE(TABLE_T) *table,
                      global const TYPE(POSITION_T) *position, global TYPE(Y_T) *y,
                      ulong y_offset, ulong y_ld, ulong rows, ulong tokens, ulong c)
{
	for (ulong row = FIRST_ROW(rows); row < LAST_ROW(rows); row++) {
		int id = ids[row];
		global TYPE(Y_T) *yr = y + y_offset + row * y_ld;
		WALK_VECTORS(i, c)
		{
			PASTE(float, V) v = TABLE_V(id, i);
#if HAS_POSITION
			v += POSITION_V(row % tokens, i);
#endif
			STOREV(Y_T, yr, i, v);
		}
		WALK_TAIL(i, c)
		{
			float v = TABLE_1(id, i);
#if HAS_POSITION
			v += POSITION_1(row % tokens, i);
#endif
			STORE1(Y_T, yr, i, v);
		}
	}
}
#endif

#ifdef PERMUTE /* -D BITS=uint or ushort: elements are moved, not converted */
/* Row (block, i, j) of [blocks, high, wide] goes to (block, j, i). */
kernel void permute(global const BITS *x, ulong x_offset, ulong x_ld, global BITS *y,
                    ulong y_offset, ulong y_ld, ulong rows, ulong high, ulong wide, ulong c)
{
	for (ulong row = FIRST_ROW(rows); row < LAST_ROW(rows); row++) {
		ulong block = row / (high * wide), j = row / high % wide, i = row % high;
		global const BITS *xr = x + x_offset + ((block * high + i) * wide + j) * x_ld;
		global BITS *yr = y + y_offset + row * y_ld;
		WALK_VECTORS(k, c)
			PASTE(vstore, V)(PASTE(vload, V)(0, xr + k), 0, yr + k);
		WALK_TAIL(k, c)
			yr[k] = xr[k];
	}
}
#endif

#ifdef TIMESTEP /* -D Y_T */
/* Work-item (i, row): the pair of channels i and half_c + i; rows are at most eight. */
kernel void timestep(float8 timesteps, global TYPE(Y_T) *y, ulong y_offset, ulong y_ld,
                     int half_c, float denominator, int cos_first)
{
	int i = get_global_id(0), row = get_global_id(1);
	float t[8];
	vstore8(timesteps, 0, t);
	/* ln 10000 */
	float angle = t[row] * exp(-9.210340371976184f * (float)i / denominator);
	global TYPE(Y_T) *yr = y + y_offset + row * y_ld;
	STORE1(Y_T, yr, cos_first ? half_c + i : i, sin(angle));
	STORE1(Y_T, yr, cos_first ? i : half_c + i, cos(angle));
}
#endif

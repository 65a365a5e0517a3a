/* What the attention kernels for CPUs share: the sizes of their blocks, the result's way out, and
 * the mask. -D ACT: dtype. Needs tile_cpu.cl. */

#define ATTENTION_KEYS 128 /* keys of a block: 8 KiB of scores, or 16 */
#define ATTENTION_QUERIES 384 /* of a work-item at most: they share k and v */
#define ATTENTION_CELLS 49152 /* covered queries · covered channels of a head at most */
#define ATTENTION_BLOCK 32768 /* numbers of k, and of v, in a block at most */

/* What they are called with. */
#define ATTENTION_ARGS(A)                                                                      \
	A(global const TYPE(ACT) *, q), A(ulong, q_at), A(int, ldq), A(ulong, q_batch),            \
	A(global const TYPE(ACT) *, k), A(ulong, k_at), A(int, ldk), A(ulong, k_batch),            \
	A(global const TYPE(ACT) *, v), A(ulong, v_at), A(int, ldv), A(ulong, v_batch),            \
	A(global TYPE(ACT) *, y), A(ulong, y_at), A(int, ldy), A(ulong, y_batch),                  \
	A(int, queries), A(int, keys), A(int, dim), A(float, scale), A(int, causal),               \
	A(int, panels)

INLINE void store_result(global TYPE(ACT) *y, int ld, int count, int dim, const float *from,
                         const float *sums)
{
	float scale[PANEL];
	for (int c = 0; c < PANEL; c++)
		scale[c] = 1.0f / sums[c];
	for (int c = 0; c < count; c++)
		for (int i = 0; i < dim; i++)
			STORE1(ACT, y, c * ld + i, from[i * PANEL + c] * scale[c]);
}

/* Scores of keys after their query count as minus infinity; top is made anew. */
INLINE void mask_future(vec *s, int key0, int keys, int query0, vec *top)
{
	float *scores = (float *)s;
	for (int j = 0; j < keys; j++) {
		for (int c = 0; c < min(PANEL, key0 + j - query0); c++)
			scores[j * PANEL + c] = -1e30f;
		EACH_PART(h) top[h] = MAXV(s[PARTS * j + h], top[h]);
	}
}

/* Second thin products that end a gathered product's sums: c += t·up, float32. -D UP: dtype of up, which is packed as
 * weights are; without it there are none. Needs tile_cpu.cl, gather_cpu.cl. */

#ifdef UP
#define BESIDE_ARGS                                                                            \
	, global const TYPE(ACT) * t, ulong t_at, int ldt, int parts_beside, int part_cout,        \
	    global const TYPE(UP) * up0, int ranks0, int rank0, global const TYPE(UP) * up1,       \
	    int ranks1, int rank1, global const TYPE(UP) * up2, int ranks2, int rank2
#define BESIDE_NAMES                                                                           \
	t + t_at, parts_beside, part_cout, up0, ranks0, rank0, up1, ranks1, rank1, up2, ranks2, rank2

/* R rows of t, at their places (negative: none, where c is not looked at), · the staged ranks. */
#define DEFINE_BESIDE(size, R)                                                                 \
	INLINE void beside_##size(act_row t, const int *at, int ranks, const vec *b, vec *c)       \
	{                                                                                          \
		vec acc[R][PARTS];                                                                     \
		act_row row[R];                                                                        \
		TILE_BEGIN(R, acc, c, 0)                                                               \
		UNROLL(R) for (int i = 0; i < R; i++) row[i] = t + max(at[i], 0);                      \
		TILE_MULTIPLY(R, acc, b, ranks, LOAD1(ACT, row[i], k))                                 \
		TILE_END(R, acc, c)                                                                    \
	}
TILE_BOTH(DEFINE_BESIDE)

INLINE void find_beside(int *at, int r0, int count, int ldt)
{
	for (int r = 0; r < TILE_COVER(count); r++)
		at[r] = r < count ? (r0 + r) * ldt : -1;
}

/* A vector of a panel's columns: the outputs from `channel` on of one with `ranks` rows. */
INLINE void stage_up(global const TYPE(UP) *up, int ranks, int channel, int h, vec *b)
{
	up += (ulong)(channel / PANEL) * ranks * PANEL + channel % PANEL;
	for (int k = 0; k < ranks; k++)
		b[PARTS * k + h] = LOADV(UP, up, k * PANEL);
}

/* To a panel's sums, whose two vectors begin at `channel` and so much further. b: room for the ranks. */
INLINE void add_beside(act_row t, int parts, int part_cout, global const TYPE(UP) *up0, int ranks0, int rank0,
                       global const TYPE(UP) *up1, int ranks1, int rank1, global const TYPE(UP) *up2,
                       int ranks2, int rank2, const int *at, int count, int channel, int further, vec *b, vec *c)
{
	int part = parts > 1 ? channel / part_cout : 0;
	int ranks = part == 0 ? ranks0 : part == 1 ? ranks1 : ranks2;
	int rank = part == 0 ? rank0 : part == 1 ? rank1 : rank2;
	global const TYPE(UP) *up = up0;
	if (part == 1)
		up = up1;
	if (part == 2)
		up = up2;
	if (ranks == 0)
		return;
	channel -= part * part_cout;
	stage_up(up, ranks, channel, 0, b);
	if (channel + further < part_cout) {
		stage_up(up, ranks, channel + further, 1, b);
	} else {
		for (int k = 0; k < ranks; k++)
			b[PARTS * k + 1] = 0.0f;
	}
	TILE_SWEEP(count, row, beside, t + rank, at + row, ranks, b, c + PARTS * row)
}
#else
#define BESIDE_ARGS
#endif

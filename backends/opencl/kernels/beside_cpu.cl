/* Second thin products that end a gathered product's sums: c += t·up, float32. -D UP: dtype of up, which is packed as
 * weights are; without it there are none. Needs tile_cpu.cl, gather_cpu.cl. */

#ifdef UP
#define BESIDE_ARGS(A)                                                                         \
	, A(global const TYPE(ACT) *, t), A(ulong, t_at), A(int, ldt), A(int, parts_beside),       \
	    A(int, part_cout), A(global const TYPE(UP) *, up0), A(int, ranks0), A(int, rank0),     \
	    A(global const TYPE(UP) *, up1), A(int, ranks1), A(int, rank1),                        \
	    A(global const TYPE(UP) *, up2), A(int, ranks2), A(int, rank2)
#define BESIDE_OF(channel)                                                                     \
	beside_of(channel, parts_beside, part_cout, up0, ranks0, rank0, up1, ranks1, rank1, up2, ranks2, rank2)

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

/* A vector of a panel's columns, the outputs from `channel` on of one with `ranks` rows: `count` of these from
 * `first` on. */
INLINE void stage_up(global const TYPE(UP) *up, int ranks, int first, int count, int channel, int h, vec *b)
{
	up += ((ulong)(channel / PANEL) * ranks + first) * PANEL + channel % PANEL;
	for (int k = 0; k < count; k++)
		b[PARTS * k + h] = LOADV(UP, up, k * PANEL);
}

/* What lies on the part of a panel's columns: its ranks, from rank on of t. */
struct beside {
	global const TYPE(UP) *up;
	int ranks, rank, first; /* first channel of the part */
};

INLINE struct beside beside_of(int channel, int parts, int part_cout, global const TYPE(UP) *up0, int ranks0,
                               int rank0, global const TYPE(UP) *up1, int ranks1, int rank1,
                               global const TYPE(UP) *up2, int ranks2, int rank2)
{
	int part = parts > 1 ? channel / part_cout : 0;
	struct beside own = {up0, ranks0, rank0, part * part_cout};
	if (part == 1) {
		own.up = up1;
		own.ranks = ranks1;
		own.rank = rank1;
	}
	if (part == 2) {
		own.up = up2;
		own.ranks = ranks2;
		own.rank = rank2;
	}
	return own;
}

/* Both vectors of a panel's columns, which begin at `channel` of part_cout and so much further: `count` of own's
 * ranks from `first` on. */
INLINE void stage_ups(struct beside own, int first, int count, int channel, int further, int part_cout, vec *b)
{
	stage_up(own.up, own.ranks, first, count, channel, 0, b);
	if (channel + further < part_cout) {
		stage_up(own.up, own.ranks, first, count, channel + further, 1, b);
	} else {
		for (int k = 0; k < count; k++)
			b[PARTS * k + 1] = 0.0f;
	}
}
#else
#define BESIDE_ARGS(A)
#endif

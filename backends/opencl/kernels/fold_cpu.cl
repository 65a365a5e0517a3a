/* A weight with what lies beside it in one, for CPUs: out = weight + down·up, [panels][lines][PANEL] of float, lines
 * being [taps][cin]. down is narrow or not (-D DOWN_NARROW), ups are packed as weights are, and part number i of a
 * weight made of several stacked ones has its own ranks of down. -D DOT: in pairs of bfloat16. -D WEIGHT, -D UP,
 * -D DOWN. Needs tile_cpu.cl, beside_cpu.cl; with pairs matrix_cpu.cl, dot_cpu.cl before that. */

#define FOLD_ROWS 48   /* lines of a work-item: whole tiles */
#define FOLD_RANKS 128 /* at a time */
#define FOLD_STRIDE (FOLD_RANKS + LANES)

#ifdef DOT
typedef pairs fold_b;
typedef uint fold_x;
#define DEFINE_FOLD(size, R)                                                                   \
	INLINE void fold_##size(const uint *x, const pairs *b, int ranks, vec *c)                  \
	{                                                                                          \
		DOT_INTO(size, R, c, false, b, (ranks + 1) / 2, x, FOLD_STRIDE)                        \
	}
DOT_BOTH(DEFINE_FOLD)
#define FOLD_SWEEP DOT_SWEEP
#define FOLD_COVER DOT_COVER
#else
typedef vec fold_b;
typedef float fold_x;
#define DEFINE_FOLD(size, R)                                                                   \
	INLINE void fold_##size(const float *x, const vec *b, int ranks, vec *c)                   \
	{                                                                                          \
		vec acc[R][PARTS];                                                                     \
		TILE_BEGIN(R, acc, c, 0)                                                               \
		TILE_MULTIPLY(R, acc, b, ranks, x[i * FOLD_STRIDE + k])                                \
		TILE_END(R, acc, c)                                                                    \
	}
TILE_BOTH(DEFINE_FOLD)
#define FOLD_SWEEP TILE_SWEEP
#define FOLD_COVER TILE_COVER
#endif

/* `count` ranks of a line from number `rank` on, of `all`, as terms of a sum. */
INLINE void take_ranks(global const TYPE(DOWN) *down, int lines, int line, int rank, int count, int all, fold_x *to)
{
	float row[FOLD_RANKS + 2 * LANES];
#ifdef DOWN_NARROW
	down += (ulong)line * all + rank;
	for (int i = 0; i < count; i += LANES)
		PASTE(vstore, LANES)(LOADV(DOWN, down, i), 0, row + i);
#else
	/* Whole vectors where a part begins at one. */
	int step = rank % LANES == 0 ? LANES : 1;
	for (int i = 0; i < count; i += step) {
		int r = rank + i;
		global const TYPE(DOWN) *from = down + ((ulong)(r / PANEL) * lines + line) * PANEL + r % PANEL;
		if (step == 1)
			row[i] = LOAD1(DOWN, from, 0);
		else
			PASTE(vstore, LANES)(LOADV(DOWN, from, 0), 0, row + i);
	}
#endif
#ifdef DOT
	if (count & 1)
		row[count] = 0.0f;
	for (int i = 0; i < count; i += 2 * LANES)
		PSTORE(pair_row(VLOAD(row + i), VLOAD(row + i + LANES)), to + i / 2);
#else
	for (int i = 0; i < count; i++)
		to[i] = row[i];
#endif
}

/* The staged ups, counted as down's ranks are, as the other side of those sums. */
INLINE void take_up(const vec *up, global const float *scales, int count, fold_b *b)
{
#ifdef DOT
	for (int k = 0; k < count; k += 2) {
		float first = scales ? scales[k] : 1.0f, second = k + 1 < count && scales ? scales[k + 1] : 1.0f;
		EACH_PART(h)
		{
			vec next = 0.0f;
			if (k + 1 < count)
				next = up[PARTS * (k + 1) + h] * second;
			b[PARTS * (k / 2) + h] = pair_up(up[PARTS * k + h] * first, next);
		}
	}
#else
	for (int k = 0; k < count; k++)
		EACH_PART(h) b[PARTS * k + h] = up[PARTS * k + h] * (scales ? scales[k] : 1.0f);
#endif
}

/* Work-items: [blocks of lines, groups of panels]. further: between the channels of a panel's two vectors. */
#define FOLD_ARGS(A)                                                                           \
	A(global const TYPE(WEIGHT) *, weight), A(int, lines), A(int, block_lines),                \
	A(int, panels), A(int, group), A(int, width), A(int, further), A(int, slack),              \
	A(global const TYPE(DOWN) *, down), A(int, all), A(global const float *, scales),          \
	A(int, parts), A(int, part_cout), A(global const TYPE(UP) *, up0), A(int, ranks0),         \
	A(int, rank0), A(global const TYPE(UP) *, up1), A(int, ranks1), A(int, rank1),             \
	A(global const TYPE(UP) *, up2), A(int, ranks2), A(int, rank2), A(global float *, out)
KERNEL(fold, FOLD_ARGS)
{
#ifdef DOT
	WITH_ASSEMBLER;
#endif
	vec staged[FOLD_RANKS * PARTS], c[FOLD_ROWS * PARTS];
	fold_b b[FOLD_RANKS * PARTS];
	fold_x x[FOLD_ROWS * FOLD_STRIDE];
	int line0 = item.x * block_lines, count = min(block_lines, lines - line0);
	int p0 = item.y * group, p1 = min(p0 + group, panels), there = -1;

	for (int p = p0; p < p1; p++) {
		struct beside own = beside_of(p * width, parts, part_cout, up0, ranks0, rank0, up1, ranks1, rank1, up2,
		                              ranks2, rank2);
		ulong at = ((ulong)p * lines + line0) * PANEL;
		for (int i = 0; i < count * PARTS; i++)
			c[i] = LOADV(WEIGHT, weight, at + LANES * i);
		for (int r = 0; r < own.ranks; r += FOLD_RANKS) {
			int n = min(FOLD_RANKS, own.ranks - r), first = own.rank + r;
			for (int i = 0; i < count && there != first; i++)
				take_ranks(down, lines, line0 + i, first, n, all, x + i * FOLD_STRIDE);
			there = first;
			stage_ups(own, r, n, p * width - own.first, further, part_cout, staged);
			take_up(staged, scales ? scales + first : 0, n, b);
			FOLD_SWEEP(count, row, fold, x + row * FOLD_STRIDE, b, n, c + PARTS * row)
		}
		for (int i = 0; i < count * PARTS; i++)
			PASTE(vstore, LANES)(c[i], 0, out + at + LANES * i);
	}
	if (line0 == 0 && p0 == 0)
		for (int i = 0; i < slack; i++)
			out[(ulong)panels * lines * PANEL + i] = 0.0f;
}

/* The product of gemm_cpu.cl in pairs of bfloat16. Rows and panels are rounded where they are
 * used, block by block, so weights lie in memory as for the exact product. -D DOT_SPLIT: in three
 * products of pairs. -D ACT, -D WEIGHT. Needs tile_cpu.cl, matrix_cpu.cl, dot_cpu.cl, gather_cpu.cl, beside_cpu.cl. */

#define GEMM_DOT_ROWS 192 /* of a work-item */
#define GEMM_DOT_GROUP 20 /* panels of a work-item: they share the rounded rows */
#define GEMM_DOT_AHEAD 2  /* rows that are read ahead while one is rounded */
#define GEMM_DOT_PAIRS (2560 / LANES) /* of terms, at a time: 20 KiB of panel stay in L1 */
#define DOT_STRIDE (GEMM_DOT_PAIRS + LANES) /* of rows, in pairs */
#ifdef DOT_SPLIT
#define GEMM_DOT_TERMS (GEMM_DOT_PAIRS / 2) /* pairs at a time; what they leave stands behind them */
#else
#define GEMM_DOT_TERMS GEMM_DOT_PAIRS
#endif

/* c[i] += x[i]·b for R rows i; from zero where `first`. For each row `share` bytes of `next` are read ahead. */
#define DEFINE_DOT(size, R)                                                                    \
	INLINE void dot_##size(const uint *x, const pairs *b, int depth, vec *c, int first,        \
	                       global const uchar *next, int share)                                \
	{                                                                                          \
		read_ahead(next, R * share);                                                           \
		DOT_INTO(size, R, c, first, b, depth, x, DOT_STRIDE)                                   \
	}
DOT_BOTH(DEFINE_DOT)

INLINE void put_pairs(vec first, vec second, pairs *to)
{
	*to = pair_up(part_of(first, false), part_of(second, false));
	if (GEMM_DOT_TERMS < GEMM_DOT_PAIRS)
		to[GEMM_DOT_TERMS * PARTS] = pair_up(part_of(first, true), part_of(second, true));
}

/* `count` rows of all panels, from row number `line` on, `step` apart, as DOT_FILL((count + 1) / 2) pairs of
 * two rows each. */
INLINE void pack_panel(global const TYPE(WEIGHT) *weight, ulong line, int count, int step, pairs *to)
{
#ifdef WEIGHT_BLOCK
	vec rows[WEIGHT_STEP * PARTS];
	for (int k = 0; k < count; k += WEIGHT_STEP, to += WEIGHT_STEP / 2 * PARTS) {
		stage_rows(weight, line + k, WEIGHT_STEP, step, rows);
		for (int i = 0; i < WEIGHT_STEP / 2; i++)
			EACH_PART(h) put_pairs(rows[2 * PARTS * i + h], rows[2 * PARTS * i + PARTS + h],
			                       to + PARTS * i + h);
	}
#else
	global const TYPE(WEIGHT) *w = weight + line * step;
	int k = 0;
	for (; k + 1 < count; k += 2, w += 2 * step, to += PARTS)
		EACH_PART(h) put_pairs(LOADV(WEIGHT, w, LANES * h), LOADV(WEIGHT, w, step + LANES * h),
		                       to + h);
	if (k < count) {
		EACH_PART(h) put_pairs(LOADV(WEIGHT, w, LANES * h), (vec)(0.0f), to + h);
		to += PARTS;
	}
#endif
	for (int i = (count + 1) / 2; i < DOT_FILL((count + 1) / 2); i++, to += PARTS)
		EACH_PART(h) put_pairs((vec)(0.0f), (vec)(0.0f), to + h);
}

#ifdef UP
/* Staged ups as pairs, filled up with zeros. What of t and of them is rounded off is left out where products are
 * split, too: it is small beside what they are added to. */
INLINE void put_ups(const vec *staged, int ranks, pairs *to)
{
	int i = 0;
	for (; i + 1 < ranks; i += 2, to += PARTS, staged += 2 * PARTS)
		EACH_PART(h) to[h] = pair_up(staged[h], staged[PARTS + h]);
	if (i < ranks) {
		EACH_PART(h) to[h] = pair_up(staged[h], (vec)(0.0f));
		to += PARTS;
	}
	for (int k = (ranks + 1) / 2; k < DOT_FILL((ranks + 1) / 2); k++, to += PARTS)
		EACH_PART(h) to[h] = 0;
}
#endif

/* Arguments and work-items as gemm's of gemm_cpu.cl. */
KERNEL(gemm_dot, GEMM_ARGS)
{
	WITH_ASSEMBLER;
	pairs b[GEMM_DOT_PAIRS * PARTS];
	uint rounded[GEMM_DOT_ROWS * DOT_STRIDE];
	vec c[GEMM_DOT_GROUP * GEMM_DOT_ROWS * PARTS];
	int at[9 * PLACE_ROWS];
	int picture = item.z;
	int id0 = item.x, id1 = item.y;
	int r0 = (id0 + swapped * (id1 - id0)) * block_rows;
	int p0 = (id1 + swapped * (id0 - id1)) * group;
	int count = min(block_rows, rows - r0);
	int width = act == ACT_GEGLU ? PANEL / 2 : PANEL; /* output channels of a panel */
	int p1 = min(p0 + group, (cout + width - 1) / width);
	int taps = geometry.s0 * geometry.s0;
	ulong first_row = (ulong)picture * rows + r0;

	act_row zero = (act_row)(weight + zero_at);
	x += x_at + x_picture * picture;
	find_places(at, geometry, ldx, r0, count, DOT_COVER(count));
	/* A step of the sum: several whole taps, or a part of one. */
	int most = 2 * GEMM_DOT_TERMS, parts = (cin + most - 1) / most;
	int depth = ((cin + parts - 1) / parts + 1) / 2 * 2;
	depth = (depth + WEIGHT_STEP - 1) / WEIGHT_STEP * WEIGHT_STEP;
	int pairs_of_tap = DOT_FILL(depth / 2);
	int together = parts > 1 ? 1 : min(taps, GEMM_DOT_TERMS / pairs_of_tap);
	TILES_OPEN(DOT_DEPTH);

	for (int t = 0; t < taps; t += together)
		for (int k = 0; k < cin; k += depth) {
			int n = min(together, taps - t), d = min(depth, cin - k);
			int pairs_of_step = n > 1 ? n * pairs_of_tap : DOT_FILL((d + 1) / 2);
			for (int r = 0; r < DOT_COVER(count); r++)
				for (int i = 0; i < n; i++) {
					int place = at[(t + i) * PLACE_ROWS + r];
					act_row from = place < 0 ? zero : x + place + k;
					int ahead = at[(t + i) * PLACE_ROWS + min(r + GEMM_DOT_AHEAD, DOT_COVER(count) - 1)];
					uint *to = rounded + r * DOT_STRIDE + i * pairs_of_tap;
					read_ahead(x + ahead + k, d * (int)sizeof(TYPE(ACT)));
					pack_row(from, d, to, false);
					if (GEMM_DOT_TERMS < GEMM_DOT_PAIRS)
						pack_row(from, d, to + GEMM_DOT_TERMS, true);
				}
			/* Behind the last panel comes the first one's next step, or what is likely the next work-item's first:
			 * its rows lie below, or its panels beside these. */
			int lines = n > 1 ? n * cin : d, end = t * cin + k + lines, share = PANEL_BYTES(lines) / count;
			ulong behind = end < taps * cin ? PANEL_LINE(p0, taps * cin) + end
			                                : PANEL_LINE(swapped ? p1 : p0, taps * cin);
			for (int p = p0; p < p1; p++) {
				for (int i = 0; i < n; i++)
					pack_panel(weight + PANEL_COLUMN(p), PANEL_LINE(p, taps * cin) + (t + i) * cin + k, d,
					           LINE(cout), b + i * pairs_of_tap * PARTS);
				global const uchar *next =
				    (global const uchar *)weight +
				    PANEL_BYTES(p + 1 < p1 ? PANEL_LINE(p + 1, taps * cin) + t * cin + k : behind);
				vec *sums = c + (p - p0) * GEMM_DOT_ROWS * PARTS;
				/* What rows leave by panels, rows by what panels leave, and rows by panels. */
				UNROLL(1) for (int part = GEMM_DOT_TERMS < GEMM_DOT_PAIRS ? 2 : 0; part >= 0; part--)
				{
					int x_rest = part == 2 ? GEMM_DOT_TERMS : 0;
					int b_rest = part == 1 ? GEMM_DOT_TERMS * PARTS : 0;
					bool first = t + k == 0 && (part == 2 || GEMM_DOT_TERMS == GEMM_DOT_PAIRS);
					DOT_SWEEP(count, row, dot, rounded + x_rest + row * DOT_STRIDE, b + b_rest,
					          pairs_of_step, sums + PARTS * row, first, next + row * share, share)
				}
			}
		}
#ifdef UP
	vec staged[GEMM_DOT_PAIRS * PARTS];
	for (int p = p0, there = -1; p < p1; p++) {
		struct beside own = BESIDE_OF(p * width);
		if (!own.ranks)
			continue;
		stage_ups(own, 0, own.ranks, p * width - own.first, act == ACT_GEGLU ? cout : LANES, part_cout, staged);
		put_ups(staged, own.ranks, b);
		for (int r = 0; r < DOT_COVER(count) && there != own.rank; r++)
			pack_row(t + t_at + (ulong)(r0 + min(r, count - 1)) * ldt + own.rank, own.ranks,
			         rounded + r * DOT_STRIDE, false);
		there = own.rank;
		DOT_SWEEP(count, row, dot, rounded + row * DOT_STRIDE, b, DOT_FILL((own.ranks + 1) / 2),
		          c + ((p - p0) * GEMM_DOT_ROWS + row) * PARTS, false, 0, 0)
	}
#endif
	TILES_CLOSE;
	for (int p = p0; p < p1; p++)
		finish_panel(c + (p - p0) * GEMM_DOT_ROWS * PARTS, count, min(width, cout - p * width),
		             act, cout, p * width,
		             p * width + (act == ACT_GEGLU ? cout : PANEL / 2), scales, bias,
		             add ? add + add_at + (ulong)add_ld * picture + (ulong)add_row * r0 + p * width : 0,
		             add_row,
		             residual ? residual + residual_at + first_row * ldr + p * width : 0, ldr,
		             y + y_at + first_row * ldy + p * width, ldy);
}

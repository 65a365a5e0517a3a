/* The product of gemm_cpu.cl for linear layers and 1×1 convolutions whose weights are whole numbers
 * of at most eight bits with factors: blocks, or plain ones whose rows have scales. Rows of x become
 * whole numbers too, BLOCK neighbours with a factor of their own (as llama.cpp does): the largest
 * is 127. A block's sum is a whole number, and sums of blocks are added in float32 in their order.
 *
 * Where the instruction wants one side without a sign rows are stored 128 too large, and what that adds
 * to a block's sum, 128 times its column's sum, is where the sum begins. -D ACT, -D WEIGHT. Needs
 * formats.cl, tile_cpu.cl, matrix_cpu.cl, dot4_cpu.cl, gather_cpu.cl. */

#define GEMM_DOT4_ROWS 192  /* of a work-item */
#define GEMM_DOT4_GROUP 4   /* panels of a work-item: its rows stay in the second-level cache */
#define GEMM_DOT4_DEPTH 640 /* terms at a time: 25 KiB of panel stay in L1 */
#define GEMM_DOT4_GATHER 48 /* rows that a work-item quantises: whole tiles */

/* Rows of a tile: 12 chains of sums, a panel's row and a broadcast take 15 of 16 vector registers,
 * and with AVX-512 there are 12 more for the sums of blocks. */
#define DOT4_ROWS_VECTORS 6
#define DOT4_ROWS_AMX 16 /* of a tile, which has the sums of a block alone */
#ifdef DOT_AMX
#define DOT4_ROWS DOT4_ROWS_AMX
#else
#define DOT4_ROWS DOT4_ROWS_VECTORS
#endif

#ifndef WEIGHT_BLOCK
#define SUB_i8 32
#define LESS_i8 0
#endif
#define BLOCK PASTE(SUB_, WEIGHT)
#define QUADS (BLOCK / 4)
#define HAS_LESS PASTE(LESS_, WEIGHT)

/* Quantised rows lie as [tiles][blocks][DOT4_ROWS][X_BLOCK]: a block's fours, its factor, and factor ·
 * sum of its numbers. The host counts them for blocks of the fewest numbers. */
#define X_BLOCK (QUADS + 2)
#define X_TILE (DOT4_ROWS * X_BLOCK)
/* A block of a panel, in vectors: its fours, where sums begin, factors, what is less. */
#define B_BLOCK ((QUADS + 2 + HAS_LESS) * PARTS)

/* The largest lane, and the sum of all. */
INLINE uint largest_of_8(uint8 v)
{
	uint4 a = max(v.lo, v.hi);
	uint2 b = max(a.lo, a.hi);
	return max(b.x, b.y);
}
INLINE int sum_of_8(int8 v)
{
	int4 a = v.lo + v.hi;
	int2 b = a.lo + a.hi;
	return b.x + b.y;
}
#if LANES == 16
#define LARGEST(v) largest_of_8(max((v).lo, (v).hi))
#define SUM(v) sum_of_8((v).lo + (v).hi)
#else
#define LARGEST(v) largest_of_8(v)
#define SUM(v) sum_of_8(v)
#endif

/* LANES numbers, of which those from `left` on are zero. */
INLINE vec load_some(act_row from, int left)
{
#ifndef WEIGHT_BLOCK
	if (left < LANES) {
		float some[LANES];
		for (int i = 0; i < LANES; i++)
			some[i] = i < left ? LOAD1(ACT, from, i) : 0.0f;
		return VLOAD(some);
	}
#endif
	return LOADV(ACT, from, 0);
}

/* `count` numbers as blocks, filled up with zeros. What is not finite makes its block so: as whole
 * numbers absolute floats are in their order, and NaN is the largest. */
INLINE void quantise_row(act_row from, int count, global uint *to)
{
	for (int k = 0; k < count; k += BLOCK, to += X_TILE) {
		vec x[BLOCK / LANES];
		fours most = 0;
		UNROLL(4) for (int i = 0; i < BLOCK / LANES; i++)
		{
			x[i] = load_some(from + k + LANES * i, count - k - LANES * i);
			most = max(most, AS_FOURS(x[i]) & 0x7fffffffu);
		}
		float largest = as_float(LARGEST(most));
		vec per = 127.0f / MAXV(largest, 1e-30f);
		float factor = largest * (1.0f / 127.0f);
		counts sum = 0;
		UNROLL(4) for (int i = 0; i < BLOCK / LANES; i++)
		{
			/* 1.5 · 2^23: the nearest whole number stands in the low bits */
			counts whole = AS_INTS(fma(x[i], per, (vec)(12582912.0f))) - 0x4b400000;
			sum += whole;
			STORE_BYTES(AS_FOURS(whole + DOT4_SHIFT) & 0xff, to + LANES / 4 * i);
		}
		to[QUADS] = as_uint(factor);
		to[QUADS + 1] = HAS_LESS ? as_uint(factor * (float)SUM(sum)) : 0;
	}
}

/* Rows [first, first + rows) of each picture from `picture` on, their pixels found by geometry, as
 * whole numbers. Work-items: [blocks of block_rows rows, pictures]. */
#define QUANTISE_DOT4_ARGS(A)                                                                  \
	A(global const TYPE(ACT) *, x), A(ulong, x_at), A(int, ldx), A(ulong, x_picture),          \
	A(int8, geometry), A(int, picture), A(int, first), A(int, rows), A(int, block_rows),       \
	A(int, cin), A(global uint *, to)
KERNEL(quantise_dot4, QUANTISE_DOT4_ARGS)
{
	int at[PLACE_ROWS];
	int r0 = item.x * block_rows, n = item.y;
	int tiles = (rows + DOT4_ROWS - 1) / DOT4_ROWS, blocks = (cin + BLOCK - 1) / BLOCK;
	int count = min(block_rows, rows - r0);
	x += x_at + x_picture * (ulong)(picture + n);
	find_places(at, geometry, ldx, first + r0, count, count);
	to += ((ulong)n * tiles + r0 / DOT4_ROWS) * blocks * X_TILE;
	for (int r = 0; r < count; r++)
		quantise_row(x + at[r], cin,
		             to + (ulong)(r / DOT4_ROWS) * blocks * X_TILE + r % DOT4_ROWS * X_BLOCK);
}

/* Number i of the columns from c on, counted from row number `line` of all panels. */
#ifdef WEIGHT_BLOCK
#define BLOCK_AT(weight, line) ((weight) + (line) / WEIGHT_BLOCK * (WEIGHT_BYTES * PANEL))
#define NUMBER(weight, line, i, c)                                                             \
	PASTE(quant_, WEIGHT)(BLOCK_AT(weight, line), c, (int)((line) % WEIGHT_BLOCK) + (i))
#else
#define NUMBER(weight, line, i, c)                                                             \
	TO_INTS(PASTE(vload, LANES)(0, (weight) + ((line) + (i)) * PANEL + (c)))
#endif

/* `count` rows of all panels, from row number `line` on, as blocks; rows too many are zero. */
INLINE void pack_fours(global const TYPE(WEIGHT) *weight, ulong line, int count, fours *to)
{
	for (int k = 0; k < count; k += BLOCK, line += BLOCK, to += B_BLOCK)
		EACH_PART(h)
		{
			counts sum = 0;
			UNROLL(2) for (int q = 0; q < QUADS; q++)
			{
				fours four = 0;
				UNROLL(4) for (int i = 0; i < 4; i++)
				{
#ifndef WEIGHT_BLOCK
					if (k + 4 * q + i >= count)
						break;
#endif
					four |= (AS_FOURS(NUMBER(weight, line, 4 * q + i, LANES * h)) & 0xff)
					        << 8 * i;
				}
				if (DOT4_SHIFT)
					sum = dot4(sum, (fours)(0x80808080u), four);
				to[PARTS * q + h] = four;
			}
			to[PARTS * QUADS + h] = AS_FOURS(-sum);
			vec factor = 1.0f, less = 0.0f;
#ifdef WEIGHT_BLOCK
			PASTE(factors_, WEIGHT)(BLOCK_AT(weight, line), LANES * h,
			                        (int)(line % WEIGHT_BLOCK) / BLOCK, &factor, &less);
#endif
			to[PARTS * (QUADS + 1) + h] = AS_FOURS(factor);
			if (HAS_LESS)
				to[PARTS * (QUADS + 1 + HAS_LESS) + h] = AS_FOURS(less);
		}
}

/* c[i] += x[i]·b for the rows of a tile; from zero where `start`. */
INLINE void dot4_tile(global const uint *x, const fours *b, int blocks, vec *c, int start)
{
	vec sums[DOT4_ROWS][PARTS];
	TILE_BEGIN(DOT4_ROWS, sums, c, start)
	for (int block = 0; block < blocks; block++, x += X_TILE, b += B_BLOCK) {
		counts acc[DOT4_ROWS][PARTS];
		DOT4_BLOCK(DOT4_ROWS, acc, b + PARTS * QUADS, b, QUADS, x, X_BLOCK)
		UNROLL(DOT4_ROWS) for (int i = 0; i < DOT4_ROWS; i++) EACH_PART(h)
		{
			vec factor = AS_FLOATS(b[PARTS * (QUADS + 1) + h]);
			factor *= as_float(x[i * X_BLOCK + QUADS]);
			sums[i][h] = fma(COUNTS_TO_FLOATS(acc[i][h]), factor, sums[i][h]);
			if (HAS_LESS)
				sums[i][h] = fma(-AS_FLOATS(b[PARTS * (QUADS + 1 + HAS_LESS) + h]),
				                 (vec)(as_float(x[i * X_BLOCK + QUADS + 1])), sums[i][h]);
		}
	}
	TILE_END(DOT4_ROWS, sums, c)
}

/* Rows [first, first + rows) of each picture from `picture` on, quantised in x; all_rows: of a whole
 * picture. The rest as gemm's of gemm_cpu.cl. */
#define GEMM_DOT4_ARGS(A)                                                                      \
	A(global const uint *, x), A(int, picture), A(int, first), A(int, rows),                   \
	A(int, all_rows), A(int, block_rows), A(int, group), A(int, swapped),                      \
	A(global const TYPE(WEIGHT) *, weight), A(int, cin), A(int, cout),                         \
	A(global const float *, scales), A(global const float *, bias), A(int, act),               \
	A(global const TYPE(ACT) *, add), A(ulong, add_at), A(int, add_ld),                        \
	A(global const TYPE(ACT) *, residual), A(ulong, residual_at), A(int, ldr),                 \
	A(global TYPE(ACT) *, y), A(ulong, y_at), A(int, ldy), A(int, add_row)
KERNEL(gemm_dot4, GEMM_DOT4_ARGS)
{
	WITH_ASSEMBLER;
	fours b[GEMM_DOT4_DEPTH / BLOCK * B_BLOCK];
	vec c[GEMM_DOT4_ROWS * PARTS];
	int n = item.z;
	int id0 = item.x, id1 = item.y;
	int r0 = (id0 + swapped * (id1 - id0)) * block_rows;
	int p0 = (id1 + swapped * (id0 - id1)) * group;
	int count = min(block_rows, rows - r0);
	int width = act == ACT_GEGLU ? PANEL / 2 : PANEL; /* output channels of a panel */
	int p1 = min(p0 + group, (cout + width - 1) / width);
	int tiles = (rows + DOT4_ROWS - 1) / DOT4_ROWS, blocks = (cin + BLOCK - 1) / BLOCK;
	ulong first_row = (ulong)(picture + n) * all_rows + first + r0;
	ulong stride = (ulong)blocks * X_TILE;
	x += ((ulong)n * tiles + r0 / DOT4_ROWS) * stride;

	int parts = (cin + GEMM_DOT4_DEPTH - 1) / GEMM_DOT4_DEPTH;
	int depth = ((cin + parts - 1) / parts + 31) / 32 * 32;
	TILES_OPEN(QUADS);
	for (int p = p0; p < p1; p++) {
		for (int k = 0; k < cin; k += depth) {
			int d = min(depth, cin - k);
			pack_fours(weight, (ulong)p * cin + k, d, b);
			/* What comes behind these rows of the weight, some with each tile; behind the last panel what is
			 * likely the next work-item's first: its panels lie beside these, or are the same. */
			ulong behind = (ulong)p * cin + k + d;
			if (p + 1 == p1 && k + d >= cin && !swapped)
				behind = (ulong)p0 * cin;
			int share = (int)PANEL_BYTES(d) / ((count + DOT4_ROWS - 1) / DOT4_ROWS);
			global const uchar *next = (global const uchar *)weight + PANEL_BYTES(behind);
			for (int row = 0; row < count; row += DOT4_ROWS, next += share) {
				read_ahead(next, share);
				vec *sums = c + PARTS * row;
				dot4_tile(x + row / DOT4_ROWS * stride + k / BLOCK * X_TILE, b,
				          (d + BLOCK - 1) / BLOCK, sums, k == 0);
				if (k + depth < cin)
					continue;
				ulong at = first_row + row; /* what is still in the first-level cache */
				finish_panel(sums, min(DOT4_ROWS, count - row), min(width, cout - p * width), act,
				             cout, p * width, p * width + (act == ACT_GEGLU ? cout : PANEL / 2), scales,
				             bias, add ? add + add_at + (ulong)add_ld * (picture + n) + add_row * at + p * width : 0,
				             add_row,
				             residual ? residual + residual_at + at * ldr + p * width : 0, ldr,
				             y + y_at + at * ldy + p * width, ldy);
			}
		}
	}
	TILES_CLOSE;
}

/* What dot_cpu.cl and dot4_cpu.cl have in common: reading ahead, and matrix instructions of CPUs. A word is a pair of
 * bfloat16 or four bytes, the earlier ones in its low end. Nobody has run these on a processor that has
 * them yet. Needs tile_cpu.cl.
 *
 * -D DOT_MATRIX: ARM's, two rows by two columns. -D DOT_AMX: tiles of 16 rows by 16 columns, LANES being
 * 16; in what uses them stands TILES_OPEN(words) before, and TILES_CLOSE behind. */

/* Reads ahead; the address need not be one of a buffer. */
#if defined DOT_EMULATED || defined DOT_ARM
#define PREFETCH(p)
#define PREFETCH_WRITE(p)
#else
#define PREFETCH(p) __asm__ volatile("prefetcht0 (%0)" : : "r"(p))
#define PREFETCH_WRITE(p) __asm__ volatile("prefetchw (%0)" : : "r"(p))
#endif

/* So many bytes from an address on, which need not be one of a buffer either. */
INLINE void read_ahead(global const void *from, int bytes)
{
	const int line = 64;
	UNROLL(1) for (int i = 0; i < bytes; i += line)
		PREFETCH((global const uchar *)from + i);
}

#ifdef DOT_MATRIX
/* acc[i] += Σ over k < depth of term(i, k)·b[k] for R rows i, b being [depth][PARTS], by ARM's instructions
 * that multiply two rows by two columns of two words each: a register of four numbers holds both columns
 * of the first row, then those of the second. LANES is 8; R is even. One part of the panel at a time: a
 * tile of 12 rows then takes 24 registers, its columns four. */
#define BLOCKS_STEP(R, c, b, at, words, h, term, multiply)                                     \
	{                                                                                          \
		uint8 one_ = (b)[PARTS * (at) + h], two_ = 0;                                          \
		if ((words) > 1)                                                                       \
			two_ = (b)[PARTS * ((at) + 1) + h];                                                \
		uint4 columns_[4];                                                                     \
		columns_[0] = (uint4)(one_.s0, two_.s0, one_.s1, two_.s1);                             \
		columns_[1] = (uint4)(one_.s2, two_.s2, one_.s3, two_.s3);                             \
		columns_[2] = (uint4)(one_.s4, two_.s4, one_.s5, two_.s5);                             \
		columns_[3] = (uint4)(one_.s6, two_.s6, one_.s7, two_.s7);                             \
		UNROLL_DOT(R / 2) for (int i_ = 0; i_ < R / 2; i_++)                                   \
		{                                                                                      \
			uint words_[4] = {0, 0, 0, 0};                                                     \
			UNROLL(4) for (int w_ = 0; w_ < 2 * (words); w_++)                                 \
			{                                                                                  \
				int i = 2 * i_ + w_ / (words), k = (at) + w_ % (words);                        \
				words_[2 * (w_ / (words)) + w_ % (words)] = (term);                            \
			}                                                                                  \
			uint4 rows_ = vload4(0, words_);                                                   \
			UNROLL_DOT(4) for (int j_ = 0; j_ < 4; j_++)                                       \
				c[i_][j_] = multiply(c[i_][j_], rows_, columns_[j_]);                          \
		}                                                                                      \
	}
#define BLOCKS_MULTIPLY(V4, R, acc, b, depth, term, multiply)                                  \
	UNROLL_DOT(2) for (int h_ = 0; h_ < PARTS; h_++)                                           \
	{                                                                                          \
		V4 c_[R / 2][4];                                                                       \
		UNROLL(R / 2) for (int i_ = 0; i_ < R / 2; i_++)                                       \
		{                                                                                      \
			c_[i_][0] = (V4)(acc[2 * i_][h_].s01, acc[2 * i_ + 1][h_].s01);                    \
			c_[i_][1] = (V4)(acc[2 * i_][h_].s23, acc[2 * i_ + 1][h_].s23);                    \
			c_[i_][2] = (V4)(acc[2 * i_][h_].s45, acc[2 * i_ + 1][h_].s45);                    \
			c_[i_][3] = (V4)(acc[2 * i_][h_].s67, acc[2 * i_ + 1][h_].s67);                    \
		}                                                                                      \
		for (int k_ = 0; k_ + 1 < (depth); k_ += 2)                                            \
			BLOCKS_STEP(R, c_, b, k_, 2, h_, term, multiply)                                   \
		if ((depth) & 1)                                                                       \
			BLOCKS_STEP(R, c_, b, (depth) - 1, 1, h_, term, multiply)                          \
		UNROLL(R / 2) for (int i_ = 0; i_ < R / 2; i_++)                                       \
		{                                                                                      \
			acc[2 * i_][h_].s01 = c_[i_][0].lo, acc[2 * i_][h_].s23 = c_[i_][1].lo;            \
			acc[2 * i_][h_].s45 = c_[i_][2].lo, acc[2 * i_][h_].s67 = c_[i_][3].lo;            \
			acc[2 * i_ + 1][h_].s01 = c_[i_][0].hi, acc[2 * i_ + 1][h_].s23 = c_[i_][1].hi;    \
			acc[2 * i_ + 1][h_].s45 = c_[i_][2].hi, acc[2 * i_ + 1][h_].s67 = c_[i_][3].hi;    \
		}                                                                                      \
	}
#endif

#ifdef DOT_AMX

/* Tiles 0 to 3 hold sums, 4 and 5 sixteen rows of `words` words, 6 and 7 `words` lines of a panel's part.
 * Strides are in words. A tile's number is written out: it stands in the instruction's text. */
#define AMX_SIDE 16

#ifdef DOT_EMULATED

/* What an instruction does stands in arrays of the function that uses it: it loads all that it needs. */
#define AMX_STATE(words)                                                                       \
	uint amx_[8][AMX_SIDE * AMX_SIDE];                                                         \
	const int amx_words_ = (words)
#define AMX_LINES(t) ((t) < 6 ? AMX_SIDE : amx_words_)
#define AMX_COLUMNS(t) ((t) == 4 || (t) == 5 ? amx_words_ : AMX_SIDE)
#define AMX_EACH(t, i)                                                                         \
	UNROLL(1) for (int i = 0; i < AMX_SIDE * AMX_SIDE; i++)                                    \
		if (i / AMX_SIDE < AMX_LINES(t) && i % AMX_SIDE < AMX_COLUMNS(t))
#define AMX_ZERO(t)                                                                            \
	UNROLL(1) for (int i_ = 0; i_ < AMX_SIDE * AMX_SIDE; i_++)                                 \
		amx_[t][i_] = 0;
#define AMX_LOAD(t, p, stride)                                                                 \
	AMX_EACH(t, i_) amx_[t][i_] = (p)[i_ / AMX_SIDE * (stride) + i_ % AMX_SIDE];
#define AMX_STORE(t, p, stride)                                                                \
	AMX_EACH(t, i_) (p)[i_ / AMX_SIDE * (stride) + i_ % AMX_SIDE] = amx_[t][i_];
#define AMX_PAIRS(c, a, b) tdpbf16ps(amx_[c], amx_[a], amx_[b], amx_words_);
#define AMX_FOURS(c, a, b) tdpbssd(amx_[c], amx_[a], amx_[b], amx_words_);
#define TILES_OPEN(words)
#define TILES_CLOSE

/* Numbers that are too small for a whole significand are zero, before and after. */
INLINE vec amx_flushed(vec x)
{
	PASTE(uint, LANES) u = PASTE(as_uint, LANES)(x);
	return AS_FLOATS((u & 0x7f800000u) != 0 ? u : u & 0x80000000u);
}

INLINE vec amx_add_product(vec sum, uint a, PASTE(uint, LANES) b)
{
	return amx_flushed(fma(amx_flushed((vec)(as_float(a))), amx_flushed(AS_FLOATS(b)), sum));
}

/* TDPBF16PS: the first numbers of all pairs are summed, and the second ones; then both together, and
 * what was there. */
INLINE void tdpbf16ps(uint *c, const uint *a, const uint *b, int words)
{
	UNROLL(1) for (int m = 0; m < AMX_SIDE; m++)
	{
		vec first = 0.0f, second = 0.0f;
		UNROLL(1) for (int k = 0; k < words; k++)
		{
			uint x = a[AMX_SIDE * m + k];
			PASTE(uint, LANES) y = PASTE(vload, LANES)(k, b);
			first = amx_add_product(first, x << 16, y << 16);
			second = amx_add_product(second, x & 0xffff0000u, y & 0xffff0000u);
		}
		vec sum = amx_flushed(AS_FLOATS(PASTE(vload, LANES)(m, c)));
		sum = amx_flushed(sum + amx_flushed(first + second));
		PASTE(vstore, LANES)(PASTE(as_uint, LANES)(sum), m, c);
	}
}

/* TDPBSSD: bytes with signs. Nothing is rounded and nothing saturates. */
INLINE void tdpbssd(uint *c, const uint *a, const uint *b, int words)
{
	UNROLL(1) for (int m = 0; m < AMX_SIDE; m++)
	{
		PASTE(int, LANES) sum = AS_INTS(PASTE(vload, LANES)(m, c));
		UNROLL(1) for (int k = 0; k < 4 * words; k++)
		{
			int shift = 24 - k % 4 * 8;
			PASTE(int, LANES) y = AS_INTS(PASTE(vload, LANES)(k / 4, b) << shift) >> 24;
			sum += y * (as_int(a[AMX_SIDE * m + k / 4] << shift) >> 24);
		}
		PASTE(vstore, LANES)(PASTE(as_uint, LANES)(sum), m, c);
	}
}

#else

#define AMX_STATE(words)
#define AMX_ZERO(t) __asm__ volatile("tilezero %%tmm" #t : : :);
#define AMX_LOAD(t, p, stride)                                                                 \
	__asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t : : "r"((ulong)(p)), "r"(4L * (stride))    \
	                 : "memory");
#define AMX_STORE(t, p, stride)                                                                \
	__asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" : : "r"((ulong)(p)),                   \
	                 "r"(4L * (stride)) : "memory");
#define AMX_PAIRS(c, a, b)                                                                     \
	__asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : : :);
#define AMX_FOURS(c, a, b) __asm__ volatile("tdpbssd %%tmm" #b ", %%tmm" #a ", %%tmm" #c : : :);
#define TILES_OPEN(words) amx_open(words)
#define TILES_CLOSE __asm__ volatile("tilerelease" : : :)

/* Bytes 16 to 31: bytes of each tile's rows, two each; from byte 48 on: how many rows it has, one each. */
INLINE void amx_open(int words)
{
	uint config[16] = {0};
	config[0] = 1; /* the palette */
	config[4] = config[5] = config[7] = 4 * AMX_SIDE * 0x00010001u;
	config[6] = 4 * words * 0x00010001u;
	config[12] = AMX_SIDE * 0x01010101u;
	config[13] = AMX_SIDE * 0x0101u + words * 0x01010000u;
	__asm__ volatile("ldtilecfg (%0)" : : "r"((ulong)config) : "memory");
}

#endif

/* c[i] = (first ? 0 : c[i]) + Σ over k < depth, in steps of `words`, of x[i·stride + k]·b[k] for 32 or 16
 * rows; c is [rows][PARTS] vectors, b [depth][PARTS]. multiply: AMX_PAIRS or AMX_FOURS. */
#define AMX_LINE (PARTS * LANES)
#define AMX_BEGIN(t, at, first)                                                                \
	if (first)                                                                                 \
		AMX_ZERO(t)                                                                            \
	else                                                                                       \
		AMX_LOAD(t, (const uint *)(at), AMX_LINE)
#define AMX_large(c, first, b, depth, words, x, stride, multiply)                              \
	{                                                                                          \
		AMX_STATE(words);                                                                      \
		AMX_BEGIN(0, c, first)                                                                 \
		AMX_BEGIN(1, (c) + 1, first)                                                           \
		AMX_BEGIN(2, (c) + AMX_SIDE * PARTS, first)                                            \
		AMX_BEGIN(3, (c) + AMX_SIDE * PARTS + 1, first)                                        \
		UNROLL(1) for (int k_ = 0; k_ < (depth); k_ += (words))                                \
		{                                                                                      \
			AMX_LOAD(6, (const uint *)((b) + PARTS * k_), AMX_LINE)                            \
			AMX_LOAD(4, (x) + k_, stride)                                                      \
			multiply(0, 4, 6)                                                                  \
			AMX_LOAD(7, (const uint *)((b) + PARTS * k_ + 1), AMX_LINE)                        \
			multiply(1, 4, 7)                                                                  \
			AMX_LOAD(5, (x) + AMX_SIDE * (stride) + k_, stride)                                \
			multiply(2, 5, 6)                                                                  \
			multiply(3, 5, 7)                                                                  \
		}                                                                                      \
		AMX_STORE(0, (uint *)(c), AMX_LINE)                                                    \
		AMX_STORE(1, (uint *)((c) + 1), AMX_LINE)                                              \
		AMX_STORE(2, (uint *)((c) + AMX_SIDE * PARTS), AMX_LINE)                               \
		AMX_STORE(3, (uint *)((c) + AMX_SIDE * PARTS + 1), AMX_LINE)                           \
	}
#define AMX_small(c, first, b, depth, words, x, stride, multiply)                              \
	{                                                                                          \
		AMX_STATE(words);                                                                      \
		AMX_BEGIN(0, c, first)                                                                 \
		AMX_BEGIN(1, (c) + 1, first)                                                           \
		UNROLL(1) for (int k_ = 0; k_ < (depth); k_ += (words))                                \
		{                                                                                      \
			AMX_LOAD(6, (const uint *)((b) + PARTS * k_), AMX_LINE)                            \
			AMX_LOAD(4, (x) + k_, stride)                                                      \
			multiply(0, 4, 6)                                                                  \
			AMX_LOAD(7, (const uint *)((b) + PARTS * k_ + 1), AMX_LINE)                        \
			multiply(1, 4, 7)                                                                  \
		}                                                                                      \
		AMX_STORE(0, (uint *)(c), AMX_LINE)                                                    \
		AMX_STORE(1, (uint *)((c) + 1), AMX_LINE)                                              \
	}

#else
#define TILES_OPEN(words)
#define TILES_CLOSE
#endif

/* Products of whole numbers of eight bits, four at a time, for CPUs that have an instruction for
 * them. A `fours` vector holds LANES times four bytes; of four the first number stands lowest.
 *
 * The instruction stands in one function here; -D DOT_EMULATED puts arithmetic by its documented
 * semantics in its place. -D DOT_VEX takes the form of processors without AVX-512; -D DOT_ARM ARM's
 * USDOT, with -D DOT_SDOT that of processors which have no I8MM, with -D DOT_MATRIX that of two rows
 * and two columns; -D DOT_AMX tiles of AMX. Needs tile_cpu.cl, matrix_cpu.cl. */

typedef PASTE(uint, LANES) fours;
typedef PASTE(int, LANES) counts;
#define AS_FOURS PASTE(as_uint, LANES)
#define COUNTS_TO_FLOATS PASTE(convert_float, LANES)
#define FOURTH_8 2
#define FOURTH_16 4
#define FOURTH PASTE(FOURTH_, LANES)
/* LANES numbers as bytes that follow each other. */
#define STORE_BYTES(v, p)                                                                      \
	PASTE(vstore, FOURTH)(PASTE(as_uint, FOURTH)(PASTE(convert_uchar, LANES)(v)), 0, p)

/* What is added to bytes of rows: 128 where the instruction takes them without a sign. The sums of
 * columns take that off again, where they begin. */
#if defined DOT_SDOT || defined DOT_MATRIX || defined DOT_AMX
#define DOT4_SHIFT 0
#define DOT4_SIGN(byte) (AS_INTS((byte) << 24) >> 24)
#else
#define DOT4_SHIFT 128
#define DOT4_SIGN(byte) AS_INTS(byte)
#endif

#ifdef DOT_EMULATED
/* VPDPBUSD and USDOT: bytes of a without a sign, of b with one; SDOT: both with one. Nothing is
 * rounded and nothing saturates. */
INLINE counts dot4(counts sum, fours a, fours b)
{
	for (int i = 0; i < 4; i++)
		sum += DOT4_SIGN(a >> 8 * i & 0xff) * (AS_INTS(b << (24 - 8 * i)) >> 24);
	return sum;
}

/* SMMLA: two rows of eight bytes by two columns of eight, all with a sign. */
INLINE int4 smmla(int4 sum, uint4 a, uint4 b)
{
	for (int i = 0; i < 32; i += 8) {
		sum += (as_int4(a.xxzz << 24 - i) >> 24) * (as_int4(b.xzxz << 24 - i) >> 24);
		sum += (as_int4(a.yyww << 24 - i) >> 24) * (as_int4(b.ywyw << 24 - i) >> 24);
	}
	return sum;
}
#else
#ifdef DOT_ARM /* LANES being eight: two registers of four */
#if defined DOT_SDOT || defined DOT_MATRIX
#define DOT4_WORD "sdot"
#else
#define DOT4_WORD "usdot"
#endif
INLINE int4 dot4_of_4(int4 sum, uint4 a, uint4 b)
{
	__asm__(DOT4_WORD " %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(a), "w"(b));
	return sum;
}

INLINE counts dot4(counts sum, fours a, fours b)
{
	return (counts)(dot4_of_4(sum.lo, a.lo, b.lo), dot4_of_4(sum.hi, a.hi, b.hi));
}

INLINE int4 smmla(int4 sum, uint4 a, uint4 b)
{
	__asm__("smmla %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(a), "w"(b));
	return sum;
}
#elif defined DOT_VEX
INLINE counts dot4(counts sum, fours a, fours b)
{
	__asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
	return sum;
}
#else
INLINE counts dot4(counts sum, fours a, fours b)
{
	__asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
	return sum;
}
#endif
#endif

/* acc[i] += Σ over k < depth of term(i, k)·b[k] for R rows i, both in fours; b is [depth][PARTS]. */
#ifdef DOT_MATRIX
#define DOT4_TILE
#define DOT4_MULTIPLY(R, acc, b, depth, term)                                                  \
	BLOCKS_MULTIPLY(int4, R, acc, b, depth, term, smmla)
#else
#define DOT4_MULTIPLY(R, acc, b, depth, term)                                                  \
	UNROLL_DOT(8) for (int k = 0; k < (depth); k++)                                            \
	{                                                                                          \
		fours row_[PARTS];                                                                     \
		EACH_PART(h) row_[h] = (b)[PARTS * k + h];                                             \
		UNROLL_DOT(R) for (int i = 0; i < R; i++)                                              \
		{                                                                                      \
			fours a = (fours)(term);                                                           \
			EACH_PART(h) acc[i][h] = dot4(acc[i][h], a, row_[h]);                              \
		}                                                                                      \
	}
#endif

/* acc[i] = begin[h] + Σ over k < depth of x[i·stride + k]·b[k] for R rows i. With AMX R is 16, depth what
 * tiles were opened for, and sums begin with nothing. */
#ifdef DOT_AMX
#define DOT4_TILE
#define DOT4_BLOCK(R, acc, begin, b, depth, x, stride)                                         \
	AMX_small((vec *)acc, true, b, depth, depth, x, stride, AMX_FOURS)
#else
#define DOT4_BLOCK(R, acc, begin, b, depth, x, stride)                                         \
	TILE_EACH(R, i, h) acc[i][h] = AS_INTS((begin)[h]);                                        \
	DOT4_MULTIPLY(R, acc, b, depth, (x)[i * (stride) + k])
#endif

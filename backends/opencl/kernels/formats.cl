/* Weights that are not plain numbers of 16 or 32 bits: loads that expand them. Stands before the
 * kernels of such a weight only.
 *
 * Numbers of 8 bits lie as plain ones do and are loaded by LOAD1 … LOAD16. Blocks lie in panels of
 * COLUMNS columns, block row by block row: the halves of a block first, [halves][COLUMNS], then
 * its other bytes in their order, [bytes][COLUMNS]. So one load takes the same byte of WIDE
 * neighbouring columns, and an element is factor · quant − less, of which factor and less are
 * those of a sub-block. A format more: two functions and three constants here, by its name.
 * -D COLUMNS; -D WIDE: 1, 4, 8 or 16. */

#define type_f8_e4m3 uchar
#define type_f8_e5m2 uchar
#define type_i8 char

/* Exponents are moved by integer arithmetic: not every device has subnormal floats. */
#define DEFINE_EIGHT(name, floats, ints)                                                       \
	static inline floats name##_e4m3(ints x)                                                   \
	{                                                                                          \
		ints bits = x & 0x7f, sign = (x & 0x80) << 24;                                         \
		floats v = as_##floats((bits << 20) + (120 << 23));                                    \
		v = select(v, convert_##floats(bits) * 0x1p-9f, bits < 8);                             \
		return as_##floats(select(as_##ints(v), (ints)(0x7fc00000), bits == 0x7f) | sign);     \
	}                                                                                          \
	static inline floats name##_e5m2(ints x)                                                   \
	{                                                                                          \
		ints bits = x & 0x7f, sign = (x & 0x80) << 24;                                         \
		floats v = as_##floats((bits << 21) + (112 << 23));                                    \
		v = select(v, convert_##floats(bits) * 0x1p-16f, bits < 4);                            \
		ints large = 0x7f800000 | (bits & 3) << 21;                                            \
		return as_##floats(select(as_##ints(v), large, bits >= 0x7c) | sign);                  \
	}
DEFINE_EIGHT(one, float, int)
DEFINE_EIGHT(four, float4, int4)
DEFINE_EIGHT(eight, float8, int8)
DEFINE_EIGHT(sixteen, float16, int16)

#define load1_f8_e4m3(p) one_e4m3(*(p))
#define load4_f8_e4m3(p) four_e4m3(convert_int4(vload4(0, p)))
#define load8_f8_e4m3(p) eight_e4m3(convert_int8(vload8(0, p)))
#define load16_f8_e4m3(p) sixteen_e4m3(convert_int16(vload16(0, p)))
#define load1_f8_e5m2(p) one_e5m2(*(p))
#define load4_f8_e5m2(p) four_e5m2(convert_int4(vload4(0, p)))
#define load8_f8_e5m2(p) eight_e5m2(convert_int8(vload8(0, p)))
#define load16_f8_e5m2(p) sixteen_e5m2(convert_int16(vload16(0, p)))

#define load1_i8(p) ((float)*(p))
#define load4_i8(p) convert_float4(vload4(0, p))
#define load8_i8(p) convert_float8(vload8(0, p))
#define load16_i8(p) convert_float16(vload16(0, p))

/* --- blocks --- */

#define type_q8_0 uchar
#define type_q4_0 uchar
#define type_q4_1 uchar
#define type_q5_0 uchar
#define type_q5_1 uchar
#define type_q2_K uchar
#define type_q3_K uchar
#define type_q4_K uchar
#define type_q5_K uchar
#define type_q6_K uchar
#define type_iq4_nl uchar
#define type_iq4_xs uchar

/* The halves of a block: how many, and where they stand in the file's. The host reads both. */
#define HALVES_q8_0 1
#define HALVES_AT_q8_0 0
#define HALVES_q4_0 1
#define HALVES_AT_q4_0 0
#define HALVES_q4_1 2
#define HALVES_AT_q4_1 0
#define HALVES_q5_0 1
#define HALVES_AT_q5_0 0
#define HALVES_q5_1 2
#define HALVES_AT_q5_1 0
#define HALVES_q2_K 2
#define HALVES_AT_q2_K 80
#define HALVES_q3_K 1
#define HALVES_AT_q3_K 108
#define HALVES_q4_K 2
#define HALVES_AT_q4_K 0
#define HALVES_q5_K 2
#define HALVES_AT_q5_K 0
#define HALVES_q6_K 1
#define HALVES_AT_q6_K 208
#define HALVES_iq4_nl 1
#define HALVES_AT_iq4_nl 0
#define HALVES_iq4_xs 1
#define HALVES_AT_iq4_xs 0

/* Elements of a sub-block. */
#define SUB_q8_0 32
#define SUB_q4_0 32
#define SUB_q4_1 32
#define SUB_q5_0 32
#define SUB_q5_1 32
#define SUB_q2_K 16
#define SUB_q3_K 16
#define SUB_q4_K 32
#define SUB_q5_K 32
#define SUB_q6_K 16
#define SUB_iq4_nl 32
#define SUB_iq4_xs 32

/* 1: something is taken off, the same for a sub-block. */
#define LESS_q8_0 0
#define LESS_q4_0 0
#define LESS_q4_1 1
#define LESS_q5_0 0
#define LESS_q5_1 1
#define LESS_q2_K 1
#define LESS_q3_K 0
#define LESS_q4_K 1
#define LESS_q5_K 1
#define LESS_q6_K 0
#define LESS_iq4_nl 0
#define LESS_iq4_xs 0

#define float1 float /* for kernels that are built for vectors of one */

#if WIDE == 1
typedef float floats;
typedef int ints;
#define TO_INTS(x) ((int)(x))
#define TO_FLOATS(x) ((float)(x))
#define LOAD_WIDE(p) (*(p))
#define LOAD_HALVES(p) vload_half(0, p)
#else
typedef PASTE(float, WIDE) floats;
typedef PASTE(int, WIDE) ints;
#define TO_INTS PASTE(convert_int, WIDE)
#define TO_FLOATS PASTE(convert_float, WIDE)
#define LOAD_WIDE(p) PASTE(vload, WIDE)(0, p)
#define LOAD_HALVES(p) PASTE(vload_half, WIDE)(0, p)
#endif

typedef global const uchar *block_row; /* the blocks of a panel that begin at one channel */

/* Of the columns from c on: half n, and byte n of those behind `halves` halves. */
#define HALF_AT(n) LOAD_HALVES((global const half *)block + (n) * COLUMNS + c)
#define BYTE_AT(halves, n) TO_INTS(LOAD_WIDE(block + (2 * (halves) + (n)) * COLUMNS + c))
#define SIGNED_AT(halves, n)                                                                   \
	TO_INTS(LOAD_WIDE((global const char *)block + (2 * (halves) + (n)) * COLUMNS + c))

/* Sub-block s of the columns from c on, and element i. */
#define FACTORS(name)                                                                          \
	static inline void factors_##name(block_row block, int c, int s, floats *factor, floats *less)
#define QUANT(name) static inline ints quant_##name(block_row block, int c, int i)

/* Element i of 32 nibbles in 16 bytes, and bit i of 32. */
#define NIBBLE(halves, at, i) (BYTE_AT(halves, (at) + (i) % 16) >> ((i) / 16 * 4) & 15)
#define BIT(halves, at, i) (BYTE_AT(halves, (at) + (i) / 8) >> (i) % 8 & 1)
/* Element i of 2-bit numbers: four rounds over 32 bytes, then over the next 32. */
#define TWO_BITS(halves, at, i)                                                                \
	(BYTE_AT(halves, (at) + (i) / 128 * 32 + (i) % 32) >> ((i) % 128 / 32 * 2) & 3)

#define ONE_FACTOR(name)                                                                       \
	FACTORS(name)                                                                              \
	{                                                                                          \
		*factor = HALF_AT(0);                                                                  \
		*less = 0.0f;                                                                          \
	}
#define FACTOR_AND_LEAST(name)                                                                 \
	FACTORS(name)                                                                              \
	{                                                                                          \
		*factor = HALF_AT(0);                                                                  \
		*less = -HALF_AT(1);                                                                   \
	}

ONE_FACTOR(q8_0)
QUANT(q8_0) { return SIGNED_AT(1, i); }

ONE_FACTOR(q4_0)
QUANT(q4_0) { return NIBBLE(1, 0, i) - 8; }

FACTOR_AND_LEAST(q4_1)
QUANT(q4_1) { return NIBBLE(2, 0, i); }

ONE_FACTOR(q5_0)
QUANT(q5_0) { return (NIBBLE(1, 4, i) | BIT(1, 0, i) << 4) - 16; }

FACTOR_AND_LEAST(q5_1)
QUANT(q5_1) { return NIBBLE(2, 4, i) | BIT(2, 0, i) << 4; }

FACTORS(q2_K)
{
	ints both = BYTE_AT(2, s);
	*factor = HALF_AT(0) * TO_FLOATS(both & 15);
	*less = HALF_AT(1) * TO_FLOATS(both >> 4);
}
QUANT(q2_K) { return TWO_BITS(2, 16, i); }

FACTORS(q3_K)
{
	ints low = BYTE_AT(1, 96 + s % 8) >> (s / 8 * 4) & 15;
	ints high = BYTE_AT(1, 104 + s % 4) >> (s / 4 * 2) & 3;
	*factor = HALF_AT(0) * TO_FLOATS((low | high << 4) - 32);
	*less = 0.0f;
}
QUANT(q3_K) { return TWO_BITS(1, 32, i) - 4 + (BYTE_AT(1, i % 32) >> i / 32 & 1) * 4; }

/* Scale and minimum s of eight, six bits each in twelve bytes. */
#define SIX_BITS                                                                               \
	{                                                                                          \
		ints third = BYTE_AT(2, 4 + s);                                                        \
		ints scale, least;                                                                     \
		if (s < 4) {                                                                           \
			scale = BYTE_AT(2, s) & 63;                                                        \
			least = third & 63;                                                                \
		} else {                                                                               \
			scale = (third & 15) | BYTE_AT(2, s - 4) >> 6 << 4;                                \
			least = third >> 4 | BYTE_AT(2, s) >> 6 << 4;                                      \
		}                                                                                      \
		*factor = HALF_AT(0) * TO_FLOATS(scale);                                               \
		*less = HALF_AT(1) * TO_FLOATS(least);                                                 \
	}
/* Element i of nibbles: two rounds over 32 bytes, then over the next 32. */
#define LONG_NIBBLE(at, i) (BYTE_AT(2, (at) + (i) / 64 * 32 + (i) % 32) >> ((i) % 64 / 32 * 4) & 15)

FACTORS(q4_K) SIX_BITS
QUANT(q4_K) { return LONG_NIBBLE(12, i); }

FACTORS(q5_K) SIX_BITS
QUANT(q5_K) { return LONG_NIBBLE(44, i) | (BYTE_AT(2, 12 + i % 32) >> i / 32 & 1) << 4; }

FACTORS(q6_K)
{
	*factor = HALF_AT(0) * TO_FLOATS(SIGNED_AT(1, 192 + s));
	*less = 0.0f;
}
QUANT(q6_K)
{
	ints low = BYTE_AT(1, i / 128 * 64 + i % 64) >> (i % 128 / 64 * 4) & 15;
	return (low | TWO_BITS(1, 128, i) << 4) - 32;
}

/* A number of sixteen by the bits of its index: a table in memory would take twice as long as the
 * product itself. */
static inline ints iq4_of(ints index)
{
	ints bit0 = (index & 1) != 0, bit1 = (index & 2) != 0, bit2 = (index & 4) != 0;
#define IQ4_TWO(a, b) select((ints)(a), (ints)(b), bit0)
#define IQ4_FOUR(a, b, c, d) select(IQ4_TWO(a, b), IQ4_TWO(c, d), bit1)
	ints low = select(IQ4_FOUR(-127, -104, -83, -65), IQ4_FOUR(-49, -35, -22, -10), bit2);
	ints high = select(IQ4_FOUR(1, 13, 25, 38), IQ4_FOUR(53, 69, 89, 113), bit2);
	return select(low, high, (index & 8) != 0);
}

ONE_FACTOR(iq4_nl)
QUANT(iq4_nl) { return iq4_of(NIBBLE(1, 0, i)); }

FACTORS(iq4_xs)
{
	ints low = BYTE_AT(1, 2 + s / 2) >> (s % 2 * 4) & 15;
	ints high = BYTE_AT(1, s / 4) >> (s % 4 * 2) & 3;
	*factor = HALF_AT(0) * TO_FLOATS((low | high << 4) - 32);
	*less = 0.0f;
}
QUANT(iq4_xs) { return iq4_of(NIBBLE(1, 6 + i / 32 * 16, i % 32)); }

/* The same roundings as the host's, whatever the compiler would rather do. */
static inline floats expanded(floats factor, ints quant, floats less)
{
#pragma OPENCL FP_CONTRACT OFF
	floats product = factor * TO_FLOATS(quant);
	return product - less;
}

/* Element i of the columns from c on. */
#define ELEMENT(name)                                                                          \
	static inline floats element_##name(block_row block, int c, int i)                         \
	{                                                                                          \
		floats factor, less;                                                                   \
		factors_##name(block, c, i / SUB_##name, &factor, &less);                              \
		return expanded(factor, quant_##name(block, c, i), less);                              \
	}
ELEMENT(q8_0)
ELEMENT(q4_0)
ELEMENT(q4_1)
ELEMENT(q5_0)
ELEMENT(q5_1)
ELEMENT(q2_K)
ELEMENT(q3_K)
ELEMENT(q4_K)
ELEMENT(q5_K)
ELEMENT(q6_K)
ELEMENT(iq4_nl)
ELEMENT(iq4_xs)

/* Element number `line` of the columns from c on, in panels that begin at p; with -D
 * word_BLOCK, word_BYTES. */
#define BLOCK_ELEMENT(word, p, line, c)                                                        \
	PASTE(element_, word)((p) + (line) / word##_BLOCK * (word##_BYTES * COLUMNS), c,           \
	                      (int)((line) % word##_BLOCK))

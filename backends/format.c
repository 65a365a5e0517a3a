/* The table of formats, and their numbers as float32.
 *
 * A product is a variable of its own where something is added to it: no compiler may then make
 * one rounding of two, and the floats are the same everywhere. */
#include "backends/format.h"

#include <stdint.h>
#include <string.h>

#include "base/half.h"

enum { SMALL = 32, LARGE = 256 }; /* elements of a block */

/* --- plain numbers --- */

static uint16_t word_at(const unsigned char *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static float half_at(const unsigned char *p)
{
	return half_to_float(word_at(p));
}

static void expand_f32(const unsigned char *data, size_t n, float *out)
{
	memcpy(out, data, n * sizeof *out);
}

static void expand_f16(const unsigned char *data, size_t n, float *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = half_at(data + 2 * i);
}

static void expand_bf16(const unsigned char *data, size_t n, float *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = bfloat_to_float(word_at(data + 2 * i));
}

/* Four bits of exponent, three of mantissa; all of them set is not a number. */
static void expand_e4m3(const unsigned char *data, size_t n, float *out)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t bits = data[i] & 0x7f, sign = (uint32_t)(data[i] & 0x80) << 24, value;
		float small = (float)bits * 0x1p-9f; /* without an exponent */
		memcpy(&value, &small, sizeof value);
		if (bits >= 8)
			value = bits == 0x7f ? 0x7fc00000 : (bits << 20) + (120u << 23);
		value |= sign;
		memcpy(&out[i], &value, sizeof value);
	}
}

/* The upper half of a half. */
static void expand_e5m2(const unsigned char *data, size_t n, float *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = half_to_float((uint16_t)(data[i] << 8));
}

static void expand_i8(const unsigned char *data, size_t n, float *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (float)(int8_t)data[i];
}

/* --- blocks of 32 --- */

/* Element i of 32 nibbles in 16 bytes: the low halves come first. */
static int nibble(const unsigned char *p, int i)
{
	return p[i % 16] >> (i / 16 * 4) & 15;
}

/* Bit i of 32. */
static int bit(const unsigned char *p, int i)
{
	return p[i / 8] >> i % 8 & 1;
}

static void expand_q8_0(const unsigned char *p, size_t blocks, float *out)
{
	for (; blocks > 0; blocks--, p += 34, out += SMALL) {
		float scale = half_at(p);
		for (int i = 0; i < SMALL; i++)
			out[i] = scale * (float)(int8_t)p[2 + i];
	}
}

static void expand_q4_0(const unsigned char *p, size_t blocks, float *out)
{
	for (; blocks > 0; blocks--, p += 18, out += SMALL) {
		float scale = half_at(p);
		for (int i = 0; i < SMALL; i++)
			out[i] = scale * (float)(nibble(p + 2, i) - 8);
	}
}

static void expand_q4_1(const unsigned char *p, size_t blocks, float *out)
{
	for (; blocks > 0; blocks--, p += 20, out += SMALL) {
		float scale = half_at(p), least = half_at(p + 2);
		for (int i = 0; i < SMALL; i++) {
			float product = scale * (float)nibble(p + 4, i);
			out[i] = product + least;
		}
	}
}

static void expand_q5_0(const unsigned char *p, size_t blocks, float *out)
{
	for (; blocks > 0; blocks--, p += 22, out += SMALL) {
		float scale = half_at(p);
		for (int i = 0; i < SMALL; i++)
			out[i] = scale * (float)((nibble(p + 6, i) | bit(p + 2, i) << 4) - 16);
	}
}

static void expand_q5_1(const unsigned char *p, size_t blocks, float *out)
{
	for (; blocks > 0; blocks--, p += 24, out += SMALL) {
		float scale = half_at(p), least = half_at(p + 2);
		for (int i = 0; i < SMALL; i++) {
			float product = scale * (float)(nibble(p + 8, i) | bit(p + 4, i) << 4);
			out[i] = product + least;
		}
	}
}

static const int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
				      1,    13,   25,  38,  53,  69,  89,  113};

static void expand_iq4_nl(const unsigned char *p, size_t blocks, float *out)
{
	for (; blocks > 0; blocks--, p += 18, out += SMALL) {
		float scale = half_at(p);
		for (int i = 0; i < SMALL; i++)
			out[i] = scale * (float)iq4_values[nibble(p + 2, i)];
	}
}

/* --- blocks of 256: sub-blocks of 16 or 32 with scales of their own --- */

/* Element i of 2-bit numbers: four rounds over 32 bytes, then over the next 32. */
static int two_bits(const unsigned char *p, int i)
{
	return p[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
}

static void expand_q2_k(const unsigned char *p, size_t blocks, float *out)
{
	const int quants = 16, halves = 80;
	for (; blocks > 0; blocks--, p += 84, out += LARGE)
		for (int s = 0; s < 16; s++) {
			float scale = half_at(p + halves) * (float)(p[s] & 15);
			float less = half_at(p + halves + 2) * (float)(p[s] >> 4);
			for (int i = 16 * s; i < 16 * s + 16; i++) {
				float product = scale * (float)two_bits(p + quants, i);
				out[i] = product - less;
			}
		}
}

static void expand_q3_k(const unsigned char *p, size_t blocks, float *out)
{
	const int quants = 32, scales = 96, halves = 108;
	for (; blocks > 0; blocks--, p += 110, out += LARGE)
		for (int s = 0; s < 16; s++) {
			int low = p[scales + s % 8] >> (s / 8 * 4) & 15;
			int high = p[scales + 8 + s % 4] >> (s / 4 * 2) & 3;
			float scale = half_at(p + halves) * (float)((low | high << 4) - 32);
			for (int i = 16 * s; i < 16 * s + 16; i++) {
				int less = p[i % 32] >> i / 32 & 1 ? 0 : 4;
				out[i] = scale * (float)(two_bits(p + quants, i) - less);
			}
		}
}

/* Scale and minimum s of eight, six bits each in twelve bytes. */
static void six_bits(const unsigned char *p, int s, int *scale, int *least)
{
	if (s < 4) {
		*scale = p[s] & 63;
		*least = p[4 + s] & 63;
	} else {
		*scale = (p[4 + s] & 15) | p[s - 4] >> 6 << 4;
		*least = p[4 + s] >> 4 | p[s] >> 6 << 4;
	}
}

/* A block of Q4_K, and with `high` of Q5_K. */
static void expand_q45_k(const unsigned char *p, const unsigned char *high,
			 const unsigned char *quants, float *out)
{
	for (int s = 0; s < 8; s++) {
		int six_scale, six_least;
		six_bits(p + 4, s, &six_scale, &six_least);
		float scale = half_at(p) * (float)six_scale;
		float less = half_at(p + 2) * (float)six_least;
		for (int i = 0; i < 32; i++) {
			int q = quants[s / 2 * 32 + i] >> (s % 2 * 4) & 15;
			if (high)
				q |= (high[i] >> s & 1) << 4;
			float product = scale * (float)q;
			out[32 * s + i] = product - less;
		}
	}
}

static void expand_q4_k(const unsigned char *p, size_t blocks, float *out)
{
	for (; blocks > 0; blocks--, p += 144, out += LARGE)
		expand_q45_k(p, NULL, p + 16, out);
}

static void expand_q5_k(const unsigned char *p, size_t blocks, float *out)
{
	for (; blocks > 0; blocks--, p += 176, out += LARGE)
		expand_q45_k(p, p + 16, p + 48, out);
}

static void expand_q6_k(const unsigned char *p, size_t blocks, float *out)
{
	const int high = 128, scales = 192, halves = 208;
	for (; blocks > 0; blocks--, p += 210, out += LARGE)
		for (int s = 0; s < 16; s++) {
			float scale = half_at(p + halves) * (float)(int8_t)p[scales + s];
			for (int i = 16 * s; i < 16 * s + 16; i++) {
				int low = p[i / 128 * 64 + i % 64] >> (i % 128 / 64 * 4) & 15;
				int q = low | two_bits(p + high, i) << 4;
				out[i] = scale * (float)(q - 32);
			}
		}
}

static void expand_iq4_xs(const unsigned char *p, size_t blocks, float *out)
{
	const int scales = 4, quants = 8;
	for (; blocks > 0; blocks--, p += 136, out += LARGE)
		for (int s = 0; s < 8; s++) {
			int low = p[scales + s / 2] >> (s % 2 * 4) & 15;
			int high = word_at(p + 2) >> 2 * s & 3;
			float scale = half_at(p) * (float)((low | high << 4) - 32);
			for (int i = 0; i < 32; i++) {
				int q = nibble(p + quants + 16 * s, i);
				out[32 * s + i] = scale * (float)iq4_values[q];
			}
		}
}

/* --- the table --- */

static const struct block_format formats[DTYPES] = {
    [DTYPE_F32] = {"f32", 1, 4, expand_f32},
    [DTYPE_F16] = {"f16", 1, 2, expand_f16},
    [DTYPE_BF16] = {"bf16", 1, 2, expand_bf16},
    [DTYPE_F8_E4M3] = {"f8_e4m3", 1, 1, expand_e4m3},
    [DTYPE_F8_E5M2] = {"f8_e5m2", 1, 1, expand_e5m2},
    [DTYPE_I8] = {"i8", 1, 1, expand_i8},
    [DTYPE_Q8_0] = {"q8_0", SMALL, 34, expand_q8_0},
    [DTYPE_Q4_0] = {"q4_0", SMALL, 18, expand_q4_0},
    [DTYPE_Q4_1] = {"q4_1", SMALL, 20, expand_q4_1},
    [DTYPE_Q5_0] = {"q5_0", SMALL, 22, expand_q5_0},
    [DTYPE_Q5_1] = {"q5_1", SMALL, 24, expand_q5_1},
    [DTYPE_Q2_K] = {"q2_K", LARGE, 84, expand_q2_k},
    [DTYPE_Q3_K] = {"q3_K", LARGE, 110, expand_q3_k},
    [DTYPE_Q4_K] = {"q4_K", LARGE, 144, expand_q4_k},
    [DTYPE_Q5_K] = {"q5_K", LARGE, 176, expand_q5_k},
    [DTYPE_Q6_K] = {"q6_K", LARGE, 210, expand_q6_k},
    [DTYPE_IQ4_NL] = {"iq4_nl", SMALL, 18, expand_iq4_nl},
    [DTYPE_IQ4_XS] = {"iq4_xs", LARGE, 136, expand_iq4_xs},
};

const struct block_format *format_info(enum dtype dtype)
{
	return (int)dtype >= 0 && dtype < DTYPES ? &formats[dtype] : NULL;
}

size_t format_row_bytes(enum dtype dtype, size_t n)
{
	const struct block_format *f = format_info(dtype);
	size_t bytes;
	if (!f || n % (size_t)f->block != 0 ||
	    __builtin_mul_overflow(n / (size_t)f->block, (size_t)f->bytes, &bytes))
		return 0;
	return bytes;
}

void format_expand(enum dtype dtype, const void *data, size_t n, float *out)
{
	formats[dtype].expand(data, n / (size_t)formats[dtype].block, out);
}

size_t dtype_size(enum dtype dtype)
{
	return (size_t)formats[dtype].bytes;
}

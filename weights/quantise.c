/* Rounding numbers to blocks. */
#include "weights/quantise.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/half.h"
#include "weights/quantise_internal.h"

enum { BLOCK = 32, HALF = BLOCK / 2 };

static unsigned char *put_half(unsigned char *out, float value)
{
	uint16_t h = half_from_float(value);
	out[0] = (unsigned char)h;
	out[1] = (unsigned char)(h >> 8);
	return out + 2;
}

static int within(float value, int most)
{
	int v = (int)value; /* towards zero */
	return v < 0 ? 0 : v > most ? most : v;
}

/* Four bits each: the first half of a block in the low ones. */
static void put_low(const int q[BLOCK], unsigned char *out)
{
	for (int i = 0; i < HALF; i++)
		out[i] = (unsigned char)((q[i] & 15) | (q[HALF + i] & 15) << 4);
}

static unsigned char *put_fifth(const int q[BLOCK], unsigned char *out)
{
	memset(out, 0, BLOCK / 8);
	for (int i = 0; i < BLOCK; i++)
		out[i / 8] |= (unsigned char)((q[i] >> 4 & 1) << i % 8);
	return out + BLOCK / 8;
}

static void q8_0(const float *x, unsigned char *out)
{
	float most = 0;
	for (int i = 0; i < BLOCK; i++)
		most = fmaxf(most, fabsf(x[i]));
	float d = most / 127, inverse = d != 0 ? 1 / d : 0;
	out = put_half(out, d);
	for (int i = 0; i < BLOCK; i++) /* halves away from zero */
		out[i] = (unsigned char)(signed char)roundf(x[i] * inverse);
}

/* Of +p and -p the first stays exact: the scale takes its sign from the number of largest size. */
static float signed_scale(const float *x, int levels)
{
	float most = x[0];
	for (int i = 1; i < BLOCK; i++)
		if (fabsf(x[i]) > fabsf(most))
			most = x[i];
	return most / (float)-(levels / 2);
}

static void around_zero(const float *x, int levels, float d, int q[BLOCK])
{
	float inverse = d != 0 ? 1 / d : 0;
	for (int i = 0; i < BLOCK; i++)
		q[i] = within(x[i] * inverse + (float)(levels / 2) + 0.5f, levels - 1);
}

static void q4_0(const float *x, unsigned char *out)
{
	int q[BLOCK];
	float d = signed_scale(x, 16);
	around_zero(x, 16, d, q);
	put_low(q, put_half(out, d));
}

static void q5_0(const float *x, unsigned char *out)
{
	int q[BLOCK];
	float d = signed_scale(x, 32);
	around_zero(x, 32, d, q);
	put_low(q, put_fifth(q, put_half(out, d)));
}

static float from_least(const float *x, int levels, int q[BLOCK], float *least)
{
	float low = x[0], high = x[0];
	for (int i = 1; i < BLOCK; i++) {
		low = fminf(low, x[i]);
		high = fmaxf(high, x[i]);
	}
	float d = (high - low) / (float)(levels - 1), inverse = d != 0 ? 1 / d : 0;
	for (int i = 0; i < BLOCK; i++)
		q[i] = within((x[i] - low) * inverse + 0.5f, levels - 1);
	*least = low;
	return d;
}

static void q4_1(const float *x, unsigned char *out)
{
	int q[BLOCK];
	float least, d = from_least(x, 16, q, &least);
	put_low(q, put_half(put_half(out, d), least));
}

static void q5_1(const float *x, unsigned char *out)
{
	int q[BLOCK];
	float least, d = from_least(x, 32, q, &least);
	put_low(q, put_fifth(q, put_half(put_half(out, d), least)));
}

static const struct quantiser quantisers[] = {
    {"q8_0", DTYPE_Q8_0, 8, q8_0, NULL},
    {"q6_K", DTYPE_Q6_K, 14, quantise_q6_k, "q8_0"},
    {"q5_K", DTYPE_Q5_K, 13, quantise_q5_k, "q5_1"},
    {"q5_1", DTYPE_Q5_1, 7, q5_1, NULL},
    {"q5_0", DTYPE_Q5_0, 6, q5_0, NULL},
    {"q4_K", DTYPE_Q4_K, 12, quantise_q4_k, "q5_0"},
    {"q4_1", DTYPE_Q4_1, 3, q4_1, NULL},
    {"q4_0", DTYPE_Q4_0, 2, q4_0, NULL},
    {"q3_K", DTYPE_Q3_K, 11, quantise_q3_k, "q4_0"},
    {"q2_K", DTYPE_Q2_K, 10, quantise_q2_k, "q4_0"}};
enum { QUANTISERS = sizeof quantisers / sizeof quantisers[0] };

int quantiser_named(const char *name, const struct quantiser **out, struct error *err)
{
	char list[96] = "";
	for (int i = 0; i < QUANTISERS; i++) {
		size_t used = strlen(list);
		if (strcasecmp(quantisers[i].name, name) == 0) {
			*out = &quantisers[i];
			return SUMI_OK;
		}
		snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", quantisers[i].name);
	}
	return error_set(err, SUMI_INVALID, "sumi writes no '%.20s': use one of %s", name, list);
}

const struct quantiser *quantiser_for_rows(const struct quantiser *q, size_t columns)
{
	if (format_row_bytes(q->dtype, columns) > 0)
		return q;
	if (!q->otherwise || quantiser_named(q->otherwise, &q, NULL) != SUMI_OK)
		return NULL;
	return format_row_bytes(q->dtype, columns) > 0 ? q : NULL;
}

void quantise(const struct quantiser *q, const float *x, size_t n, unsigned char *out)
{
	const struct block_format *f = format_info(q->dtype);
	size_t block = (size_t)f->block, bytes = (size_t)f->bytes;
	for (size_t i = 0; i < n / block; i++)
		q->block(x + i * block, out + i * bytes);
}

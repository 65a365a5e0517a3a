/* Rounding numbers to the K types of GGUF: blocks of 256, whose sub-blocks have a factor (and something
 * that is taken off) of their own, which are whole numbers times one of the block's.
 *
 * Each sub-block tries a few steps around the one that its range suggests, fits the factor (and what is
 * taken off) to each by least squares, and keeps what is nearest. Then the factors are rounded, and the
 * numbers once more by what they have become. */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "weights/quantise_internal.h"

enum { ALL = 256, SUBS_MAX = 16, TRIES = 9 };

/* The numbers of a sub-block as x ≈ factor · q − less. */
struct fit {
	float factor, less;
};

/* The nearest whole number within limits (1.5 · 2^23 has none but those beside it). */
static float nearest(float value, float least, float most)
{
	float v = value < least ? least : value > most ? most : value;
	return v + 12582912.0f - 12582912.0f;
}

static int clamp(float value, int least, int most)
{
	return (int)nearest(value, (float)least, (float)most);
}

static float put_half(unsigned char *out, float value)
{
	uint16_t h = half_from_float(value);
	out[0] = (unsigned char)h;
	out[1] = (unsigned char)(h >> 8);
	return half_to_float(h);
}

static float inverse_of(float value)
{
	return fabsf(value) > 1e-30f ? 1 / value : 0;
}

/* --- q · factor − less, q from 0 to `most`, less ≥ 0 --- */

static float distance(const float *x, int n, int most, struct fit f)
{
	float inverse = inverse_of(f.factor), sum = 0;
	for (int i = 0; i < n; i++) {
		float q = nearest((x[i] + f.less) * inverse, 0, (float)most);
		float off = f.factor * q - f.less - x[i];
		sum += off * off;
	}
	return sum;
}

/* The best factor and less for the numbers as f rounds them. */
static struct fit refit(const float *x, int n, int most, struct fit f)
{
	float inverse = inverse_of(f.factor), sq = 0, sqq = 0, sx = 0, sxq = 0;
	for (int i = 0; i < n; i++) {
		float q = nearest((x[i] + f.less) * inverse, 0, (float)most);
		sq += q;
		sqq += q * q;
		sx += x[i];
		sxq += x[i] * q;
	}
	float all = (float)n, det = all * sqq - sq * sq;
	if (det > 0) {
		f.factor = (all * sxq - sx * sq) / det;
		f.less = (f.factor * sq - sx) / all;
	}
	if (f.less < 0 || det <= 0) {
		f.less = 0;
		f.factor = sqq > 0 ? sxq / sqq : 0;
	}
	return f;
}

static struct fit fit_from_least(const float *x, int n, int most)
{
	float low = 0, high = x[0];
	for (int i = 0; i < n; i++) {
		low = fminf(low, x[i]);
		high = fmaxf(high, x[i]);
	}
	struct fit best = {(high - low) / (float)most, -low};
	float least = distance(x, n, most, best);
	for (int t = 0; t < TRIES && high > low; t++) {
		/* From a step less than the range asks for, with its ends cut off, to one more. */
		struct fit f = {(high - low) / ((float)most + 0.25f * (float)(t - TRIES / 2)), -low};
		for (int again = 0; again < 2; again++) {
			f = refit(x, n, most, f);
			float off = distance(x, n, most, f);
			if (f.factor > 0 && off < least) {
				least = off;
				best = f;
			}
		}
	}
	return best;
}

/* Fits all sub-blocks, rounds their factors and what is less to numbers up to `levels`, whose units
 * stand as halves at `halves`, and the numbers to q. */
static void from_least(const float *x, int n, int most, int levels, unsigned char *halves,
		       int scales[SUBS_MAX], int leasts[SUBS_MAX], int q[ALL])
{
	struct fit fits[SUBS_MAX];
	float factor = 0, less = 0;
	for (int s = 0; s < ALL / n; s++) {
		fits[s] = fit_from_least(x + s * n, n, most);
		factor = fmaxf(factor, fits[s].factor);
		less = fmaxf(less, fits[s].less);
	}
	float unit = put_half(halves, factor / (float)levels);
	float unit_less = put_half(halves + 2, less / (float)levels);
	for (int s = 0; s < ALL / n; s++) {
		scales[s] = clamp(fits[s].factor * inverse_of(unit), 0, levels);
		leasts[s] = clamp(fits[s].less * inverse_of(unit_less), 0, levels);
		float inverse = inverse_of(unit * (float)scales[s]);
		for (int i = s * n; i < s * n + n; i++)
			q[i] = clamp((x[i] + unit_less * (float)leasts[s]) * inverse, 0, most);
	}
}

/* --- q · factor, q from −half to half − 1 --- */

static float fit_around_zero(const float *x, int n, int half)
{
	float most = 0, best = 0, gain = 0;
	for (int i = 0; i < n; i++)
		if (fabsf(x[i]) > fabsf(most))
			most = x[i];
	for (int t = 0; t < 2 * TRIES; t++) {
		/* The largest becomes −half, or a little more or less. */
		float step = (float)half + 0.1f * (float)(t - TRIES);
		float inverse = -step * inverse_of(most), sxq = 0, sqq = 0;
		for (int i = 0; i < n; i++) {
			float q = nearest(x[i] * inverse, -(float)half, (float)(half - 1));
			sxq += x[i] * q;
			sqq += q * q;
		}
		/* Σ x² − (Σ xq)² / Σ q² is what the best factor for these numbers leaves. */
		if (sqq > 0 && sxq * sxq / sqq > gain) {
			gain = sxq * sxq / sqq;
			best = sxq / sqq;
		}
	}
	return best;
}

static void around_zero(const float *x, int n, int half, int levels, unsigned char *halves,
			int scales[SUBS_MAX], int q[ALL])
{
	float factors[SUBS_MAX], most = 0;
	for (int s = 0; s < ALL / n; s++) {
		factors[s] = fit_around_zero(x + s * n, n, half);
		if (fabsf(factors[s]) > fabsf(most))
			most = factors[s];
	}
	float unit = put_half(halves, most / (float)-levels);
	for (int s = 0; s < ALL / n; s++) {
		scales[s] = clamp(factors[s] * inverse_of(unit), -levels, levels - 1);
		float inverse = inverse_of(unit * (float)scales[s]);
		for (int i = s * n; i < s * n + n; i++)
			q[i] = clamp(x[i] * inverse, -half, half - 1);
	}
}

/* --- blocks, as format.c reads them --- */

static void put_two_bits(unsigned char *p, int i, int bits)
{
	p[i / 128 * 32 + i % 32] |= (unsigned char)(bits << (i % 128 / 32 * 2));
}

static void put_six_bits(unsigned char *p, int s, int scale, int least)
{
	if (s < 4) {
		p[s] |= (unsigned char)scale;
		p[4 + s] |= (unsigned char)least;
	} else {
		p[4 + s] |= (unsigned char)((scale & 15) | (least & 15) << 4);
		p[s - 4] |= (unsigned char)(scale >> 4 << 6);
		p[s] |= (unsigned char)(least >> 4 << 6);
	}
}

void quantise_q2_k(const float *x, unsigned char *p)
{
	int scales[SUBS_MAX], leasts[SUBS_MAX], q[ALL];
	memset(p, 0, 84);
	from_least(x, 16, 3, 15, p + 80, scales, leasts, q);
	for (int s = 0; s < 16; s++)
		p[s] = (unsigned char)(scales[s] | leasts[s] << 4);
	for (int i = 0; i < ALL; i++)
		put_two_bits(p + 16, i, q[i]);
}

void quantise_q3_k(const float *x, unsigned char *p)
{
	int scales[SUBS_MAX], q[ALL];
	memset(p, 0, 110);
	around_zero(x, 16, 4, 32, p + 108, scales, q);
	for (int s = 0; s < 16; s++) {
		int scale = scales[s] + 32;
		p[96 + s % 8] |= (unsigned char)((scale & 15) << (s / 8 * 4));
		p[104 + s % 4] |= (unsigned char)(scale >> 4 << (s / 4 * 2));
	}
	for (int i = 0; i < ALL; i++) {
		put_two_bits(p + 32, i, q[i] & 3);
		p[i % 32] |= (unsigned char)((q[i] >= 0) << i / 32);
	}
}

/* Q4_K, and with `high` Q5_K. */
static void put_q45_k(const float *x, unsigned char *p, unsigned char *high, unsigned char *quants)
{
	int scales[SUBS_MAX], leasts[SUBS_MAX], q[ALL];
	from_least(x, 32, high ? 31 : 15, 63, p, scales, leasts, q);
	for (int s = 0; s < 8; s++) {
		put_six_bits(p + 4, s, scales[s], leasts[s]);
		for (int i = 0; i < 32; i++) {
			quants[s / 2 * 32 + i] |= (unsigned char)((q[32 * s + i] & 15) << (s % 2 * 4));
			if (high)
				high[i] |= (unsigned char)((q[32 * s + i] >> 4) << s);
		}
	}
}

void quantise_q4_k(const float *x, unsigned char *p)
{
	memset(p, 0, 144);
	put_q45_k(x, p, NULL, p + 16);
}

void quantise_q5_k(const float *x, unsigned char *p)
{
	memset(p, 0, 176);
	put_q45_k(x, p, p + 16, p + 48);
}

void quantise_q6_k(const float *x, unsigned char *p)
{
	int scales[SUBS_MAX], q[ALL];
	memset(p, 0, 210);
	around_zero(x, 16, 32, 128, p + 208, scales, q);
	for (int s = 0; s < 16; s++)
		p[192 + s] = (unsigned char)(signed char)scales[s];
	for (int i = 0; i < ALL; i++) {
		int v = q[i] + 32;
		p[i / 128 * 64 + i % 64] |= (unsigned char)((v & 15) << (i % 128 / 64 * 4));
		put_two_bits(p + 128, i, v >> 4);
	}
}

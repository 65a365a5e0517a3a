/* Stockham's transform, decimating in frequency: a stage reads what the one before wrote, in
 * order, so nothing is permuted. A vector's lanes are frames; two real frames travel as one
 * complex one, a + i b, whose spectra come apart by symmetry. */
#include "modalities/fft.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TURN 6.283185307179586

enum { LANES = FFT_FRAMES / 2, FACTORS_MAX = 32 };

/* A vector type cannot be written without a typedef. */
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

struct point {
	lanes re, im; /* frames 0 … 3 and 4 … 7 */
};

struct turn {
	float re, im;
};

struct fft {
	int n, count;
	int factors[FACTORS_MAX];
	struct turn *turns;        /* [n] exp(−2πi k/n) */
	struct point *now, *other; /* [n] each; now is what counts */
	struct point *first;       /* [factor] room for factors without code of their own */
};

int fft_largest_factor(int n)
{
	int largest = 1;
	for (int p = 2; n > 1; p = p * p > n ? n : p + 1)
		for (; n % p == 0; n /= p)
			largest = p;
	return largest;
}

static int factorise(struct fft *f)
{
	int rest = f->n, largest = 1;
	for (int p = 4; rest > 1; p = p == 4 ? 2 : p == 2 ? 3 : p + 2)
		while (rest % p == 0) {
			f->factors[f->count++] = p;
			rest /= p;
			largest = p > largest ? p : largest;
		}
	return largest;
}

int fft_new(int n, struct fft **out, struct error *err)
{
	struct fft *f = calloc(1, sizeof *f);
	*out = f;
	if (!f)
		return error_set(err, SUMI_NOMEM, "no memory for spectra");
	f->n = n;
	size_t largest = (size_t)factorise(f), points = (size_t)n * sizeof(struct point);
	f->turns = malloc((size_t)n * sizeof *f->turns);
	f->now = aligned_alloc(64, (points + 63) / 64 * 64);
	f->other = aligned_alloc(64, (points + 63) / 64 * 64);
	f->first = aligned_alloc(64, (largest * sizeof *f->first + 63) / 64 * 64);
	if (!f->turns || !f->now || !f->other || !f->first) {
		fft_free(f);
		*out = NULL;
		return error_set(err, SUMI_NOMEM, "no memory for spectra of %d numbers", n);
	}
	for (int k = 0; k < n; k++) {
		f->turns[k].re = (float)cos(TURN * k / n);
		f->turns[k].im = (float)-sin(TURN * k / n);
	}
	return SUMI_OK;
}

void fft_free(struct fft *f)
{
	if (!f)
		return;
	free(f->turns);
	free(f->now);
	free(f->other);
	free(f->first);
	free(f);
}

float *fft_samples(struct fft *f)
{
	return (float *)f->now;
}

/* ---- stages ------------------------------------------------------------------------ */

static struct point add(struct point a, struct point b)
{
	return (struct point){a.re + b.re, a.im + b.im};
}

static struct point subtract(struct point a, struct point b)
{
	return (struct point){a.re - b.re, a.im - b.im};
}

static struct point turned(struct point a, struct turn w)
{
	return (struct point){a.re * w.re - a.im * w.im, a.re * w.im + a.im * w.re};
}

/* Of a sequence of n = 4·m points, `stride` of them interleaved; step·p is the place of
 * exp(−2πi p/n) among the turns. */
static void stage_of_4(const struct fft *f, int m, int stride)
{
	const struct point *x = f->now;
	struct point *y = f->other;
	int step = f->n / (4 * m);
	size_t quarter = (size_t)stride * (size_t)m;
	for (int p = 0; p < m; p++) {
		struct turn w1 = f->turns[p * step], w2 = f->turns[2 * p * step],
			    w3 = f->turns[3 * p * step];
		for (int q = 0; q < stride; q++, x++, y++) {
			struct point sum = add(x[0], x[2 * quarter]);
			struct point gap = subtract(x[0], x[2 * quarter]);
			struct point odd = add(x[quarter], x[3 * quarter]);
			struct point side = subtract(x[quarter], x[3 * quarter]);
			struct point back = {side.im, -side.re}; /* −i·side */
			y[0] = add(sum, odd);
			y[stride] = turned(add(gap, back), w1);
			y[2 * stride] = turned(subtract(sum, odd), w2);
			y[3 * stride] = turned(subtract(gap, back), w3);
		}
		y += 3 * (size_t)stride;
	}
}

static void stage_of_2(const struct fft *f, int m, int stride)
{
	const struct point *x = f->now;
	struct point *y = f->other;
	int step = f->n / (2 * m);
	size_t half = (size_t)stride * (size_t)m;
	for (int p = 0; p < m; p++) {
		for (int q = 0; q < stride; q++, x++, y++) {
			y[0] = add(x[0], x[half]);
			y[stride] = turned(subtract(x[0], x[half]), f->turns[p * step]);
		}
		y += stride;
	}
}

/* Any factor, by the sum that a transform is. */
static void stage_of(const struct fft *f, int factor, int m, int stride)
{
	int step = f->n / (factor * m), part = f->n / factor;
	for (int p = 0; p < m; p++)
		for (int q = 0; q < stride; q++) {
			struct point *y = f->other + q + (size_t)stride * (size_t)(factor * p);
			for (int i = 0; i < factor; i++)
				f->first[i] = f->now[q + (size_t)stride * (size_t)(p + m * i)];
			for (int k = 0; k < factor; k++) {
				struct point sum = f->first[0];
				for (int i = 1; i < factor; i++)
					sum =
					    add(sum,
						turned(f->first[i],
						       f->turns[(long long)i * k % factor * part]));
				y[(size_t)stride * (size_t)k] =
				    turned(sum, f->turns[p * k % (factor * m) * step]);
			}
		}
}

void fft_forward(struct fft *f)
{
	int left = f->n, stride = 1;
	for (int i = 0; i < f->count; i++) {
		int factor = f->factors[i], m = left / factor;
		if (factor == 4)
			stage_of_4(f, m, stride);
		else if (factor == 2)
			stage_of_2(f, m, stride);
		else
			stage_of(f, factor, m, stride);
		struct point *kept = f->now;
		f->now = f->other;
		f->other = kept;
		left = m;
		stride *= factor;
	}
}

/* The inverse is the forward transform of what has real and imaginary parts exchanged. */
static void exchange_parts(struct fft *f)
{
	for (int i = 0; i < f->n; i++)
		f->now[i] = (struct point){f->now[i].im, f->now[i].re};
}

void fft_inverse(struct fft *f)
{
	exchange_parts(f);
	fft_forward(f);
	exchange_parts(f);
}

/* ---- magnitudes -------------------------------------------------------------------- */

/* z with the magnitudes that wanted says, [4]. */
static struct point with_magnitude(struct point z, lanes wanted)
{
	lanes square = z.re * z.re + z.im * z.im + 1e-30f, length;
	for (int i = 0; i < LANES; i++)
		length[i] = sqrtf(square[i]);
	lanes factor = wanted / length;
	return (struct point){z.re * factor, z.im * factor};
}

static lanes gather(const float *const wanted[LANES], int k, float scale)
{
	lanes out;
	for (int i = 0; i < LANES; i++)
		out[i] = wanted[i] ? wanted[i][k] * scale : 0;
	return out;
}

void fft_reshape(struct fft *f, const float *const wanted[FFT_FRAMES], int bins, float scale)
{
	int half = f->n / 2;
	for (int k = 0; k < bins && k <= half; k++) {
		int mirror = k ? f->n - k : 0;
		struct point z = f->now[k], c = f->now[mirror];
		/* a = (Z[k] + conj Z[−k]) / 2, b = (Z[k] − conj Z[−k]) / 2i; twice both */
		struct point a = {z.re + c.re, z.im - c.im}, b = {z.im + c.im, c.re - z.re};
		a = with_magnitude(a, gather(wanted, k, scale));
		b = with_magnitude(b, gather(wanted + LANES, k, scale));
		f->now[k] = (struct point){a.re - b.im, a.im + b.re};
		f->now[mirror] = (struct point){a.re + b.im, b.re - a.im};
	}
	if (bins <= half)
		memset(f->now + bins, 0, (size_t)(f->n - 2 * bins + 1) * sizeof *f->now);
}

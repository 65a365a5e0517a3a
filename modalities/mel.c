/* Mel filter banks and their inverse.
 *
 * The inverse is a non-negative least squares, solved in its dual: with F the bank,
 *
 *     min ½|s|² + 1/(2ε)|F s − m|², s ≥ 0   has   s = max(0, Fᵀλ),
 *     F max(0, Fᵀλ) + ε λ = m
 *
 * a piecewise linear equation in one number a band. A bin lies in at most two bands that
 * are neighbours, so Newton's matrix F D Fᵀ + ε (D: the bins where Fᵀλ > 0) has three
 * diagonals: a step costs a pass over the bins, and a handful of steps is exact. */
#include "modalities/mel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of the bank's mean diagonal: small enough for 1e-5 of the loudest band, large enough to
 * bound λ where no magnitudes give the bands that were asked for. */
#define RIDGE 1e-6
#define NEWTON_STEPS 60
#define HALVINGS 20
#define PRECISION 1e-7 /* of |m|: when the gradient counts as zero */

struct mel {
	int bands, bins;
	double ridge;
	int *start, *count; /* [bands] */
	size_t *offset;     /* [bands] into weights */
	float *weights;
};

/* ---- scales ------------------------------------------------------------------------ */

static double mel_of_hz(double hz, bool slaney)
{
	if (!slaney)
		return 2595.0 * log10(1.0 + hz / 700.0);
	return hz < 1000 ? hz * 3 / 200 : 15 + log(hz / 1000) * 27 / log(6.4);
}

static double hz_of_mel(double mel, bool slaney)
{
	if (!slaney)
		return 700.0 * (pow(10.0, mel / 2595.0) - 1.0);
	return mel < 15 ? mel * 200 / 3 : 1000 * exp((mel - 15) * log(6.4) / 27);
}

/* ---- the bank ---------------------------------------------------------------------- */

static double edge(const struct mel_options *o, int i)
{
	double low = mel_of_hz(o->low, o->slaney), high = mel_of_hz(o->high, o->slaney);
	return hz_of_mel(low + (high - low) * i / (o->bands + 1), o->slaney);
}

static double triangle(const struct mel_options *o, int band, int bin)
{
	double left = edge(o, band), top = edge(o, band + 1), right = edge(o, band + 2);
	double hz = (double)bin * o->sample_rate / o->n_fft;
	double up = (hz - left) / (top - left), down = (right - hz) / (right - top);
	double w = fmin(up, down);
	if (w <= 0)
		return 0;
	return o->area_norm ? w * 2 / (right - left) : w;
}

/* First bin of a band and how many there are. */
static void extent(const struct mel_options *o, int bins, int band, int *start, int *count)
{
	double per_hz = (double)o->n_fft / o->sample_rate;
	int first = (int)floor(edge(o, band) * per_hz),
	    last = (int)ceil(edge(o, band + 2) * per_hz);
	if (last > bins - 1)
		last = bins - 1;
	while (first <= last && triangle(o, band, first) <= 0)
		first++;
	while (last >= first && triangle(o, band, last) <= 0)
		last--;
	*start = first <= last ? first : 0;
	*count = first <= last ? last - first + 1 : 0;
}

int mel_new(const struct mel_options *o, struct mel **out, struct error *err)
{
	size_t bands = (size_t)o->bands, total = 0;
	double diagonal = 0;
	*out = NULL;
	struct mel *mel = calloc(1, sizeof *mel);
	if (!mel)
		return error_set(err, SUMI_NOMEM, "no memory for a mel filter bank");
	mel->bands = o->bands;
	mel->bins = o->n_fft / 2 + 1;
	mel->start = malloc(bands * sizeof *mel->start);
	mel->count = malloc(bands * sizeof *mel->count);
	mel->offset = malloc(bands * sizeof *mel->offset);
	if (!mel->start || !mel->count || !mel->offset)
		goto nomem;
	for (int i = 0; i < o->bands; i++) {
		extent(o, mel->bins, i, &mel->start[i], &mel->count[i]);
		mel->offset[i] = total;
		total += (size_t)mel->count[i];
	}
	mel->weights = malloc((total ? total : 1) * sizeof *mel->weights);
	if (!mel->weights)
		goto nomem;
	for (int i = 0; i < o->bands; i++)
		for (int k = 0; k < mel->count[i]; k++) {
			double w = triangle(o, i, mel->start[i] + k);
			mel->weights[mel->offset[i] + (size_t)k] = (float)w;
			diagonal += w * w;
		}
	mel->ridge = RIDGE * (diagonal > 0 ? diagonal / o->bands : 1);
	*out = mel;
	return SUMI_OK;
nomem:
	mel_free(mel);
	return error_set(err, SUMI_NOMEM, "no memory for a mel filter bank");
}

void mel_free(struct mel *mel)
{
	if (!mel)
		return;
	free(mel->start);
	free(mel->count);
	free(mel->offset);
	free(mel->weights);
	free(mel);
}

int mel_bins(const struct mel *mel)
{
	return mel->bins;
}

const float *mel_band(const struct mel *mel, int i, int *start, int *count)
{
	*start = mel->start[i];
	*count = mel->count[i];
	return mel->weights + mel->offset[i];
}

void mel_apply(const struct mel *mel, const float *magnitudes, float *bands)
{
	for (int i = 0; i < mel->bands; i++) {
		const float *w = mel->weights + mel->offset[i], *x = magnitudes + mel->start[i];
		double sum = 0;
		for (int k = 0; k < mel->count[i]; k++)
			sum += (double)w[k] * x[k];
		bands[i] = (float)sum;
	}
}

/* ---- the inverse ------------------------------------------------------------------- */

struct inverse {
	const struct mel *mel;
	const float *target;           /* [bands] */
	double *lambda, *trial, *step; /* [bands] */
	double *gradient;              /* [bands] F max(0, Fᵀλ) + ελ − m */
	double *diagonal, *beside;     /* [bands] of F D Fᵀ + ε; beside[i] between i and i + 1 */
	double *dual;                  /* [bins] Fᵀλ */
};

/* Everything at λ; returns ½|max(0, Fᵀλ)|² + ε/2 |λ|² − m·λ, whose gradient this is. */
static double evaluate(struct inverse *v, const double *lambda)
{
	const struct mel *mel = v->mel;
	double value = 0;
	memset(v->dual, 0, (size_t)mel->bins * sizeof *v->dual);
	for (int i = 0; i < mel->bands; i++) {
		const float *w = mel->weights + mel->offset[i];
		double *d = v->dual + mel->start[i];
		for (int k = 0; k < mel->count[i]; k++)
			d[k] += w[k] * lambda[i];
	}
	for (int k = 0; k < mel->bins; k++)
		value += v->dual[k] > 0 ? 0.5 * v->dual[k] * v->dual[k] : 0;
	for (int i = 0; i < mel->bands; i++) {
		const float *w = mel->weights + mel->offset[i];
		const double *d = v->dual + mel->start[i];
		double sum = 0;
		for (int k = 0; k < mel->count[i]; k++)
			sum += d[k] > 0 ? w[k] * d[k] : 0;
		v->gradient[i] = sum + mel->ridge * lambda[i] - v->target[i];
		value += (0.5 * mel->ridge * lambda[i] - v->target[i]) * lambda[i];
	}
	return value;
}

/* Newton's matrix for the bins that are positive in v->dual. */
static void linearise(struct inverse *v)
{
	const struct mel *mel = v->mel;
	for (int i = 0; i < mel->bands; i++) {
		const float *w = mel->weights + mel->offset[i];
		int start = mel->start[i], end = start + mel->count[i];
		int next = i + 1 < mel->bands && mel->count[i + 1] > 0 ? mel->start[i + 1] : end;
		const float *beyond = i + 1 < mel->bands ? mel->weights + mel->offset[i + 1] : w;
		double own = mel->ridge, shared = 0;
		for (int k = start; k < end; k++)
			own += v->dual[k] > 0 ? (double)w[k - start] * w[k - start] : 0;
		for (int k = next; k < end; k++)
			if (v->dual[k] > 0)
				shared += (double)w[k - start] * beyond[k - next];
		v->diagonal[i] = own;
		v->beside[i] = shared;
	}
}

/* step = −matrix⁻¹ gradient: elimination along the three diagonals. */
static void solve(struct inverse *v)
{
	int n = v->mel->bands;
	for (int i = 0; i < n; i++)
		v->step[i] = -v->gradient[i];
	for (int i = 1; i < n; i++) {
		double f = v->beside[i - 1] / v->diagonal[i - 1];
		v->diagonal[i] -= f * v->beside[i - 1];
		v->step[i] -= f * v->step[i - 1];
	}
	for (int i = n - 1; i >= 0; i--) {
		if (i + 1 < n)
			v->step[i] -= v->beside[i] * v->step[i + 1];
		v->step[i] /= v->diagonal[i];
	}
}

static double norm(const double *x, int n)
{
	double sum = 0;
	for (int i = 0; i < n; i++)
		sum += x[i] * x[i];
	return sqrt(sum);
}

/* Newton's method with halved steps; the function is convex, so it cannot go astray. */
static void descend(struct inverse *v, double scale)
{
	int n = v->mel->bands;
	double value = evaluate(v, v->lambda);
	for (int round = 0; round < NEWTON_STEPS; round++) {
		double slope = 0, length = 1, found = value;
		if (norm(v->gradient, n) <= PRECISION * scale)
			return;
		linearise(v);
		solve(v);
		for (int i = 0; i < n; i++)
			slope += v->gradient[i] * v->step[i];
		for (int half = 0; half < HALVINGS; half++, length /= 2) {
			for (int i = 0; i < n; i++)
				v->trial[i] = v->lambda[i] + length * v->step[i];
			found = evaluate(v, v->trial);
			if (found <= value + 1e-4 * length * slope)
				break;
		}
		memcpy(v->lambda, v->trial, (size_t)n * sizeof *v->lambda);
		value = found;
	}
}

int mel_invert(const struct mel *mel, const float *bands, float *magnitudes, struct error *err)
{
	size_t n = (size_t)mel->bands, bins = (size_t)mel->bins;
	double scale = 0;
	for (size_t i = 0; i < n; i++)
		scale += (double)bands[i] * bands[i];
	if (scale == 0) {
		memset(magnitudes, 0, bins * sizeof *magnitudes);
		return SUMI_OK;
	}
	double *memory = calloc(6 * n + bins, sizeof *memory);
	if (!memory)
		return error_set(err, SUMI_NOMEM, "no memory to invert a mel spectrum");
	struct inverse v = {
	    .mel = mel,
	    .target = bands,
	    .lambda = memory,
	    .trial = memory + n,
	    .step = memory + 2 * n,
	    .gradient = memory + 3 * n,
	    .diagonal = memory + 4 * n,
	    .beside = memory + 5 * n,
	    .dual = memory + 6 * n,
	};
	for (size_t i = 0; i < n; i++)
		v.lambda[i] = bands[i];
	descend(&v, sqrt(scale));
	for (size_t k = 0; k < bins; k++)
		magnitudes[k] = v.dual[k] > 0 ? (float)v.dual[k] : 0;
	free(memory);
	return SUMI_OK;
}

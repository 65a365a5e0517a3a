/* Another size, one axis after the other: each output pixel has a few weights. */
#include "base/resample.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static double linear(double x)
{
	x = fabs(x);
	return x < 1 ? 1 - x : 0;
}

static double cubic_of(double x, double a)
{
	x = fabs(x);
	if (x < 1)
		return ((a + 2) * x - (a + 3)) * x * x + 1;
	return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static double cubic(double x)
{
	return cubic_of(x, -0.75);
}

static double smooth_cubic(double x)
{
	return cubic_of(x, -0.5);
}

static double sinc(double x)
{
	static const double pi = 3.14159265358979323846;
	return x == 0 ? 1 : sin(pi * x) / (pi * x);
}

static double lanczos(double x)
{
	return fabs(x) < 3 ? sinc(x) * sinc(x / 3) : 0;
}

static const struct kernel {
	double (*weight)(double x); /* NULL: one pixel alone */
	int reach;                  /* pixels each way */
	bool smooth;
} kernels[] = {
    [RESAMPLE_NEAREST] = {NULL, 0, false},
    [RESAMPLE_NEAREST_EXACT] = {NULL, 0, false},
    [RESAMPLE_LINEAR] = {linear, 1, false},
    [RESAMPLE_CUBIC] = {cubic, 2, false},
    [RESAMPLE_SMOOTH_LINEAR] = {linear, 1, true},
    [RESAMPLE_SMOOTH_CUBIC] = {smooth_cubic, 2, true},
    [RESAMPLE_LANCZOS] = {lanczos, 3, true},
};

/* The weights of every output pixel of an axis: `taps` each, of input pixels from first[i] on. */
struct axis {
	int taps;
	int *first;     /* [out] */
	double *weight; /* [out, taps] */
};

static void axis_free(struct axis *a)
{
	free(a->first);
	free(a->weight);
}

static int clamp(int i, int n)
{
	return i < 0 ? 0 : i >= n ? n - 1 : i;
}

/* Those of one output pixel, which begin at pixel `first`: what lies beyond the edges is the last
 * pixel's, or nobody's. */
static void weigh(const struct kernel *k, double middle, double width, int n, int taps, int *first,
		  double *weight)
{
	double sum = 0;
	int from = k->smooth ? clamp((int)(middle - k->reach * width + 0.5), n)
			     : (int)floor(middle - 0.5) - k->reach + 1;
	int most = n > taps ? n - taps : 0;
	*first = clamp(from, n) < most ? clamp(from, n) : most;
	for (int t = 0; t < taps; t++)
		weight[t] = 0;
	for (int i = from; i < from + taps; i++) {
		double w = k->weight((i + 0.5 - middle) / width);
		if (k->smooth && (i < 0 || i >= n))
			continue;
		weight[clamp(i, n) - *first] += w;
		sum += w;
	}
	for (int t = 0; t < taps && sum != 0; t++)
		weight[t] /= sum;
}

static int axis_make(enum resample how, int n, int out, struct axis *a, struct error *err)
{
	const struct kernel *k = &kernels[how];
	double scale = (double)n / out, width = k->smooth && scale > 1 ? scale : 1;
	a->taps = k->weight ? 2 * (int)ceil(k->reach * width) + (k->smooth ? 1 : 0) : 1;
	a->first = malloc((size_t)out * sizeof *a->first);
	a->weight = malloc((size_t)out * (size_t)a->taps * sizeof *a->weight);
	if (!a->first || !a->weight)
		return error_set(err, SUMI_NOMEM, "no memory for a picture of another size");
	for (int i = 0; i < out; i++) {
		double *weight = a->weight + (size_t)i * (size_t)a->taps;
		double offset = how == RESAMPLE_NEAREST ? 0 : 0.5;
		if (k->weight) {
			weigh(k, (i + 0.5) * scale, width, n, a->taps, &a->first[i], weight);
			continue;
		}
		a->first[i] = clamp((int)floor((i + offset) * scale), n);
		weight[0] = 1;
	}
	return SUMI_OK;
}

/* Along one axis: `lines` lines of n elements with `step` floats from one to the next become lines of
 * `out` elements. */
struct line {
	size_t lines, line, step; /* how many, floats from one to the next, and between elements */
};

static void along(const struct axis *a, int n, const float *in, struct line from, float *to,
		  struct line at, int out, size_t inner)
{
	for (size_t l = 0; l < from.lines; l++)
		for (int i = 0; i < out; i++) {
			const double *weight = a->weight + (size_t)i * (size_t)a->taps;
			const float *pixel = in + l * from.line + (size_t)a->first[i] * from.step;
			float *result = to + l * at.line + (size_t)i * at.step;
			for (size_t c = 0; c < inner; c++) {
				double sum = 0;
				for (int t = 0; t < a->taps && a->first[i] + t < n; t++)
					sum += weight[t] * pixel[(size_t)t * from.step + c];
				result[c] = (float)sum;
			}
		}
}

static void to_bytes(float *values, size_t n)
{
	for (size_t i = 0; i < n; i++)
		values[i] = values[i] <= 0 ? 0 : values[i] >= 255 ? 255 : floorf(values[i] + 0.5f);
}

/* bytes: what stands between both ways, and what comes of them, is rounded to them. */
static int both_ways(enum resample how, bool bytes, const float *in, int height, int width,
		     int channels, float *out, int out_height, int out_width, struct error *err)
{
	struct axis across = {0}, down = {0};
	size_t h = (size_t)height, w = (size_t)width, c = (size_t)channels, ow = (size_t)out_width;
	float *between = malloc(h * ow * c * sizeof *between);
	int status = between ? SUMI_OK
			     : error_set(err, SUMI_NOMEM, "no memory for a picture of %dx%d",
					 out_width, out_height);
	if (!status)
		status = axis_make(how, width, out_width, &across, err);
	if (!status)
		status = axis_make(how, height, out_height, &down, err);
	if (!status) {
		along(&across, width, in, (struct line){h, w * c, c}, between,
		      (struct line){h, ow * c, c}, out_width, c);
		if (bytes)
			to_bytes(between, h * ow * c);
		along(&down, height, between, (struct line){1, 0, ow * c}, out,
		      (struct line){1, 0, ow * c}, out_height, ow * c);
		if (bytes)
			to_bytes(out, (size_t)out_height * ow * c);
	}
	axis_free(&across);
	axis_free(&down);
	free(between);
	return status;
}

int resample(enum resample how, const float *in, int height, int width, int channels, float *out,
	     int out_height, int out_width, struct error *err)
{
	return both_ways(how, false, in, height, width, channels, out, out_height, out_width, err);
}

int resample_bytes(enum resample how, const uint8_t *in, int height, int width, int channels,
		   uint8_t *out, int out_height, int out_width, struct error *err)
{
	size_t few = (size_t)height * (size_t)width * (size_t)channels;
	size_t many = (size_t)out_height * (size_t)out_width * (size_t)channels;
	float *from = malloc(few * sizeof *from), *to = malloc(many * sizeof *to);
	int status = from && to ? SUMI_OK
				: error_set(err, SUMI_NOMEM, "no memory for a picture of %dx%d",
					    out_width, out_height);
	for (size_t i = 0; i < few && !status; i++)
		from[i] = in[i];
	if (!status)
		status = both_ways(how, true, from, height, width, channels, to, out_height, out_width,
				   err);
	for (size_t i = 0; i < many && !status; i++)
		out[i] = (uint8_t)to[i];
	free(from);
	free(to);
	return status;
}

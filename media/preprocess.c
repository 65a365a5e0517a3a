/* Maps of pictures, as stable-diffusion-webui's ControlNet extension makes them with these settings of its
 * own. */
#include "media/preprocess.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- blur --- */

/* One of the two ways: lines of n pixels, `step` values from one to the next. */
static void blur_line(const float *in, int n, size_t step, const float *taps, int reach, float *out)
{
	for (int i = 0; i < n; i++) {
		double sum = 0;
		for (int k = -reach; k <= reach; k++) {
			int at = i + k;
			while (n > 1 && (at < 0 || at >= n))
				at = at < 0 ? -at : 2 * (n - 1) - at;
			sum += taps[k + reach] * (double)in[(size_t)(n > 1 ? at : 0) * step];
		}
		out[(size_t)i * step] = (float)sum;
	}
}

/* [height, width, channels], mirrored at the edges (not the edge itself), with as many taps as OpenCV's
 * GaussianBlur() takes of float32. */
static int gaussian_blur(const float *in, int width, int height, int channels, double sigma, float *out,
			 struct error *err)
{
	int size = (int)lrint(sigma * 4 * 2 + 1) | 1, reach = size / 2;
	size_t line = (size_t)width * (size_t)channels, count = line * (size_t)height;
	float *taps = malloc((size_t)size * sizeof *taps), *half = malloc(count * sizeof *half);
	double sum = 0;
	if (!taps || !half) {
		free(half);
		free(taps);
		return error_set(err, SUMI_NOMEM, "no memory to blur %dx%d", width, height);
	}
	for (int k = 0; k < size; k++)
		sum += exp(-0.5 * (k - reach) * (k - reach) / (sigma * sigma));
	for (int k = 0; k < size; k++)
		taps[k] = (float)(exp(-0.5 * (k - reach) * (k - reach) / (sigma * sigma)) / sum);
	for (int y = 0; y < height; y++)
		for (int c = 0; c < channels; c++)
			blur_line(in + (size_t)y * line + c, width, (size_t)channels, taps, reach,
				  half + (size_t)y * line + c);
	for (size_t x = 0; x < line; x++)
		blur_line(half + x, height, line, taps, reach, out + x);
	free(half);
	free(taps);
	return SUMI_OK;
}

/* --- what they share --- */

static uint8_t to_byte(double v)
{
	return v < 0 ? 0 : v > 255 ? 255 : (uint8_t)v;
}

/* A map of one channel as grey. */
static void spread(const uint8_t *grey, size_t count, uint8_t *out)
{
	for (size_t i = 0; i < count; i++)
		out[3 * i] = out[3 * i + 1] = out[3 * i + 2] = grey[i];
}

/* The picture as floats, and room for so many like it behind; the caller frees it. */
static float *floats(const uint8_t *rgb, size_t count, size_t more, struct error *err)
{
	float *out = malloc(count * 3 * (more + 1) * sizeof *out);
	if (!out)
		error_set(err, SUMI_NOMEM, "no memory for a map of %zu pixels", count);
	for (size_t i = 0; out && i < count * 3; i++)
		out[i] = rgb[i];
	return out;
}

/* The least of a − b over the colours. */
static float least_difference(const float *a, const float *b)
{
	return fminf(a[0] - b[0], fminf(a[1] - b[1], a[2] - b[2]));
}

/* --- maps --- */

static int make_canny(const uint8_t *rgb, int width, int height, const double *settings, uint8_t *out,
	    struct error *err)
{
	size_t count = (size_t)width * (size_t)height;
	uint8_t *edges = malloc(count);
	int status = edges ? canny(rgb, width, height, (int)settings[0], (int)settings[1], edges, err)
			   : error_set(err, SUMI_NOMEM, "no memory for a map of %zu pixels", count);
	if (!status)
		spread(edges, count, out);
	free(edges);
	return status;
}

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return x < y ? -1 : x > y;
}

/* The middle of those beyond 8, at least 16; sorted is memory. */
static double strength_of_lines(const float *lines, size_t count, float *sorted)
{
	size_t n = 0;
	for (size_t i = 0; i < count; i++)
		if (lines[i] > 8)
			sorted[n++] = lines[i];
	if (n == 0)
		return 16;
	qsort(sorted, n, sizeof *sorted, by_value);
	double middle = n % 2 ? sorted[n / 2] : ((double)sorted[n / 2 - 1] + sorted[n / 2]) / 2;
	return middle > 16 ? middle : 16;
}

/* Dark lines on light ground: how much darker a pixel is than what surrounds it. */
static int make_lineart(const uint8_t *rgb, int width, int height, const double *settings, uint8_t *out,
	    struct error *err)
{
	(void)settings;
	const double around = 6;
	size_t count = (size_t)width * (size_t)height;
	float *x = floats(rgb, count, 1, err);
	if (!x)
		return SUMI_NOMEM;
	float *g = x + 3 * count, *lines = g;
	int status = gaussian_blur(x, width, height, 3, around, g, err);
	for (size_t i = 0; i < count && !status; i++)
		lines[i] = fminf(fmaxf(least_difference(g + 3 * i, x + 3 * i), 0), 255);
	double whole = status ? 1 : strength_of_lines(lines, count, x);
	for (size_t i = 0; i < count && !status; i++)
		memset(out + 3 * i, to_byte(lines[i] / whole * 127), 3);
	free(x);
	return status;
}

/* Strokes where a fine blur is darker than a coarse one. */
static int make_scribble(const uint8_t *rgb, int width, int height, const double *settings, uint8_t *out,
	    struct error *err)
{
	size_t count = (size_t)width * (size_t)height;
	float *x = floats(rgb, count, 2, err);
	if (!x)
		return SUMI_NOMEM;
	float *fine = x + 3 * count, *coarse = fine + 3 * count;
	int status = gaussian_blur(x, width, height, 3, 0.5, fine, err);
	if (!status)
		status = gaussian_blur(x, width, height, 3, 5, coarse, err);
	for (size_t i = 0; i < count && !status; i++) {
		uint8_t dog = to_byte(255 - least_difference(coarse + 3 * i, fine + 3 * i));
		memset(out + 3 * i, 2 * (255 - dog) > settings[0] ? 255 : 0, 3);
	}
	free(x);
	return status;
}

/* As OpenCV's RGB2GRAY. */
static int make_luminance(const uint8_t *rgb, int width, int height, const double *settings, uint8_t *out,
	    struct error *err)
{
	(void)settings;
	(void)err;
	size_t count = (size_t)width * (size_t)height;
	for (size_t i = 0; i < count; i++) {
		const uint8_t *p = rgb + 3 * i;
		memset(out + 3 * i, (p[0] * 9798 + p[1] * 19235 + p[2] * 3735 + (1 << 14)) >> 15, 3);
	}
	return SUMI_OK;
}

static int make_blur(const uint8_t *rgb, int width, int height, const double *settings, uint8_t *out,
	    struct error *err)
{
	size_t count = (size_t)width * (size_t)height;
	float *x = floats(rgb, count, 1, err);
	int status = x ? gaussian_blur(x, width, height, 3, settings[0], x + 3 * count, err) : SUMI_NOMEM;
	for (size_t i = 0; i < 3 * count && !status; i++)
		out[i] = to_byte(x[3 * count + i] + 0.5);
	free(x);
	return status;
}

const struct preprocessor preprocessors[] = {
    {"canny", "edges, white on black", {{"low", 1, 255, 100}, {"high", 1, 255, 200}}, make_canny},
    {"lineart", "dark lines, white on black, by a difference of Gaussians", {{0}}, make_lineart},
    {"scribble", "strokes, white on black", {{"threshold", 1, 64, 32}}, make_scribble},
    {"luminance", "brightness without colour", {{0}}, make_luminance},
    {"blur", "without detail, which a tile network brings back", {{"sigma", 0.01, 64, 9}}, make_blur},
    {NULL, NULL, {{0}}, NULL},
};

int preprocess(const struct preprocessor *p, const uint8_t *rgb, int width, int height,
	       const double *settings, uint8_t *out, struct error *err)
{
	double stands[PREPROCESS_SETTINGS];
	for (int i = 0; i < PREPROCESS_SETTINGS; i++) {
		const struct preprocess_setting *s = &p->settings[i];
		bool fits = settings && settings[i] >= s->min && settings[i] <= s->max;
		stands[i] = fits ? settings[i] : s->usual;
	}
	return p->make(rgb, width, height, stands, out, err);
}

const struct preprocessor *preprocessor_find(const char *name)
{
	for (const struct preprocessor *p = preprocessors; p->name; p++)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

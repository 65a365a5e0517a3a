/* What masks are made of, and what is made of them. */
#include "media/mask.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/picture_file.h"

/* ---- from files ---- */

/* PIL's "L". */
static uint8_t light(const uint8_t *rgb)
{
	return (uint8_t)((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 0x8000u) >> 16);
}

static bool some_transparent(const uint8_t *rgba, size_t pixels)
{
	for (size_t i = 0; i < pixels; i++)
		if (rgba[4 * i + 3] != 255)
			return true;
	return false;
}

int mask_decode(const void *data, size_t size, const char *where, enum mask_from from,
		uint8_t **mask, int *width, int *height, struct error *err)
{
	uint8_t *rgba;
	*mask = NULL;
	int status = picture_decode_rgba(data, size, where, &rgba, width, height, err);
	if (status)
		return status;
	size_t pixels = (size_t)*width * (size_t)*height;
	bool transparent = some_transparent(rgba, pixels);
	/* In place: each pixel's byte lies before what is read after it. */
	for (size_t i = 0; i < pixels; i++) {
		const uint8_t *p = rgba + 4 * i;
		rgba[i] = from == MASK_ALPHA		       ? (uint8_t)(255 - p[3])
			  : from == MASK_DRAWN && transparent ? (p[3] > 128 ? 255 : 0)
							      : light(p);
	}
	uint8_t *less = realloc(rgba, pixels);
	*mask = less ? less : rgba;
	return SUMI_OK;
}

bool mask_any(const uint8_t *mask, int width, int height)
{
	size_t pixels = (size_t)width * (size_t)height;
	for (size_t i = 0; i < pixels; i++)
		if (mask[i])
			return true;
	return false;
}

/* ---- lines, across and down ---- */

/* What becomes of a line of n bytes. */
typedef void line_fn(const uint8_t *in, uint8_t *out, int n, const void *context);

static int each_line(uint8_t *mask, int width, int height, line_fn *fn, const void *context,
		     struct error *err)
{
	size_t longest = (size_t)(width > height ? width : height);
	uint8_t *in = malloc(longest), *out = malloc(longest);
	int status = in && out ? SUMI_OK : error_set(err, SUMI_NOMEM, "no memory for a mask");
	for (int y = 0; y < height && !status; y++) {
		uint8_t *row = mask + (size_t)y * (size_t)width;
		memcpy(in, row, (size_t)width);
		fn(in, row, width, context);
	}
	for (int x = 0; x < width && !status; x++) {
		for (int y = 0; y < height; y++)
			in[y] = mask[(size_t)y * (size_t)width + (size_t)x];
		fn(in, out, height, context);
		for (int y = 0; y < height; y++)
			mask[(size_t)y * (size_t)width + (size_t)x] = out[y];
	}
	free(in);
	free(out);
	return status;
}

struct reach {
	int pixels;
	bool shrinks;
};

static void grow_line(const uint8_t *in, uint8_t *out, int n, const void *context)
{
	const struct reach *r = context;
	/* The last pixel, each way, that is as bright as what is looked for would be slow; the brightest
	 * of a window moves with it. */
	for (int i = 0; i < n; i++) {
		int from = i - r->pixels < 0 ? 0 : i - r->pixels;
		int to = i + r->pixels >= n ? n - 1 : i + r->pixels;
		int previous = i > 0 ? out[i - 1] : -1;
		bool leaves = i > 0 && from > 0 && in[from - 1] == previous;
		int best = previous;
		if (i == 0 || leaves) {
			best = in[from];
			for (int k = from + 1; k <= to; k++)
				if (r->shrinks ? in[k] < best : in[k] > best)
					best = in[k];
		} else if (r->shrinks ? in[to] < best : in[to] > best) {
			best = in[to];
		}
		out[i] = (uint8_t)best;
	}
}

int mask_grow(uint8_t *mask, int width, int height, int pixels, struct error *err)
{
	struct reach r = {.pixels = abs(pixels), .shrinks = pixels < 0};
	return pixels ? each_line(mask, width, height, grow_line, &r, err) : SUMI_OK;
}

struct kernel {
	int reach;
	const double *weight; /* [2·reach + 1] */
};

/* Beyond an edge is what lies before it, without the edge's own pixel. */
static int mirrored(int i, int n)
{
	if (n == 1)
		return 0;
	int period = 2 * (n - 1);
	i = (i % period + period) % period;
	return i < n ? i : period - i;
}

static void blur_line(const uint8_t *in, uint8_t *out, int n, const void *context)
{
	const struct kernel *k = context;
	for (int i = 0; i < n; i++) {
		double sum = 0;
		bool inside = i >= k->reach && i + k->reach < n;
		for (int t = -k->reach; t <= k->reach; t++)
			sum += k->weight[t + k->reach] * in[inside ? i + t : mirrored(i + t, n)];
		out[i] = (uint8_t)(sum + 0.5);
	}
}

int mask_blur(uint8_t *mask, int width, int height, double sigma, struct error *err)
{
	struct kernel k = {.reach = (int)(2.5 * sigma + 0.5)};
	int n = 2 * k.reach + 1;
	double sum = 0, *weight = malloc((size_t)n * sizeof *weight);
	if (!weight)
		return error_set(err, SUMI_NOMEM, "no memory for a mask");
	for (int i = 0; i < n; i++) {
		double x = (i - k.reach) / (sigma > 0 ? sigma : 1);
		sum += weight[i] = exp(-x * x / 2);
	}
	for (int i = 0; i < n; i++)
		weight[i] /= sum;
	k.weight = weight;
	int status = k.reach ? each_line(mask, width, height, blur_line, &k, err) : SUMI_OK;
	free(weight);
	return status;
}

/* ---- colours from around ---- */

/* A picture of premultiplied colours. */
enum { RGBA = 4, PASSES = 3 };

/* PIL's radius of a box that, made three times, is a Gaussian's. */
static double box_radius(double sigma)
{
	double square = sigma * sigma / PASSES, whole = floor((sqrt(12 * square + 1) - 1) / 2);
	double part = (2 * whole + 1) * (whole * (whole + 1) - 3 * square);
	return whole + part / (6 * (square - (whole + 1) * (whole + 1)));
}

/* The mean of a window that has whole pixels and a part of one at each end; at the edges the last
 * pixel goes on. in, out: n pixels, `step` floats from one to the next. */
static void box_line(const float *in, float *out, int n, size_t step, double radius)
{
	int reach = (int)radius;
	double part = radius - reach, size = 2 * radius + 1;
	for (int c = 0; c < RGBA; c++) {
#define AT(i) ((double)in[(size_t)((i) < 0 ? 0 : (i) >= n ? n - 1 : (i)) * step + (size_t)c])
		double sum = 0;
		for (int k = -reach; k <= reach; k++)
			sum += AT(k);
		for (int i = 0; i < n; i++) {
			double ends = AT(i - reach - 1) + AT(i + reach + 1);
			out[(size_t)i * step + (size_t)c] = (float)((sum + part * ends) / size);
			sum += AT(i + reach + 1) - AT(i - reach);
		}
#undef AT
	}
}

/* from and spare are pictures; the result is in from. */
static void box_blur(float *from, float *spare, int width, int height, double radius)
{
	size_t w = (size_t)width, h = (size_t)height;
	for (int pass = 0; pass < PASSES; pass++) {
		for (size_t y = 0; y < h; y++)
			box_line(from + y * w * RGBA, spare + y * w * RGBA, width, RGBA, radius);
		memcpy(from, spare, w * h * RGBA * sizeof *from);
	}
	for (int pass = 0; pass < PASSES; pass++) {
		for (size_t x = 0; x < w; x++)
			box_line(from + x * RGBA, spare + x * RGBA, height, w * RGBA, radius);
		memcpy(from, spare, w * h * RGBA * sizeof *from);
	}
}

/* layer, premultiplied, `times` times over what is there. */
static void lay_over(float *there, const float *layer, size_t pixels, int times)
{
	for (size_t i = 0; i < pixels * RGBA; i += RGBA)
		for (int t = 0; t < times; t++) {
			float left = 1 - layer[i + 3];
			for (int c = 0; c < RGBA; c++)
				there[i + (size_t)c] = layer[i + (size_t)c] + left * there[i + (size_t)c];
		}
}

int mask_fill(uint8_t *rgb, const uint8_t *mask, int width, int height, struct error *err)
{
	static const struct {
		int sigma, times;
	} layers[] = {{256, 1}, {64, 1}, {16, 2}, {4, 4}, {2, 2}, {0, 1}};
	size_t pixels = (size_t)width * (size_t)height;
	float *rest = malloc(pixels * RGBA * sizeof *rest);
	float *layer = malloc(pixels * RGBA * sizeof *layer), *spare = malloc(pixels * RGBA * sizeof *spare);
	float *out = calloc(pixels * RGBA, sizeof *out);
	int status = rest && layer && spare && out
			 ? SUMI_OK
			 : error_set(err, SUMI_NOMEM, "no memory to fill what is under a mask");
	for (size_t i = 0; i < pixels && !status; i++) {
		float alpha = (float)(255 - mask[i]) / 255;
		for (size_t c = 0; c < 3; c++)
			rest[i * RGBA + c] = (float)rgb[i * 3 + c] / 255 * alpha;
		rest[i * RGBA + 3] = alpha;
	}
	for (size_t l = 0; l < sizeof layers / sizeof *layers && !status; l++) {
		memcpy(layer, rest, pixels * RGBA * sizeof *rest);
		if (layers[l].sigma)
			box_blur(layer, spare, width, height, box_radius(layers[l].sigma));
		lay_over(out, layer, pixels, layers[l].times);
	}
	for (size_t i = 0; i < pixels && !status; i++) {
		float alpha = out[i * RGBA + 3];
		for (size_t c = 0; c < 3 && mask[i]; c++) {
			float v = alpha > 0 ? out[i * RGBA + c] / alpha * 255 + 0.5f : 0;
			rgb[i * 3 + c] = v < 255 ? (uint8_t)v : 255;
		}
	}
	free(rest);
	free(layer);
	free(spare);
	free(out);
	return status;
}

/* ---- only masked ---- */

static int least(int a, int b)
{
	return a < b ? a : b;
}

static int most(int a, int b)
{
	return a > b ? a : b;
}

/* A side of so many pixels more around from … to, moved back within 0 … limit where it can be. */
static void widen(int *from, int *to, int more, int limit)
{
	*from -= more / 2;
	*to += more - more / 2;
	if (*to >= limit) {
		*from -= *to - limit;
		*to = limit;
	}
	if (*from < 0) {
		*to = least(*to - *from, limit);
		*from = 0;
	}
}

struct mask_box mask_box(const uint8_t *mask, int width, int height, int padding, int to_width,
			 int to_height)
{
	int x1 = width, y1 = height, x2 = 0, y2 = 0;
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++)
			if (mask[(size_t)y * (size_t)width + (size_t)x]) {
				x1 = least(x1, x);
				y1 = least(y1, y);
				x2 = most(x2, x + 1);
				y2 = most(y2, y + 1);
			}
	x1 = most(x1 - padding, 0);
	y1 = most(y1 - padding, 0);
	x2 = least(x2 + padding, width);
	y2 = least(y2 + padding, height);
	double ratio = (double)to_width / to_height;
	if ((double)(x2 - x1) / (y2 - y1) > ratio)
		widen(&y1, &y2, (int)((x2 - x1) / ratio - (y2 - y1)), height);
	else
		widen(&x1, &x2, (int)((y2 - y1) * ratio - (x2 - x1)), width);
	return (struct mask_box){x1, y1, x2 - x1, y2 - y1};
}

/* Maps of pictures that are made here: where a request wants other settings than jobs have, or only to see one. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/controlnet.h"
#include "media/picture_file.h"
#include "media/picture_fit.h"
#include "media/png.h"

/* Pixels times the reach of a blur: a thread of the few is at it. */
#define WORK_MAX (40.0 * 1024 * 1024)

static double reach_of(const struct preprocessor *p, const double *settings)
{
	const struct preprocess_setting *s = &p->settings[0];
	if (strcmp(p->name, "blur") != 0)
		return 1;
	return settings && settings[0] >= s->min && settings[0] <= s->max ? fmax(settings[0], 1) : s->usual;
}

static int by_value(const void *a, const void *b)
{
	return (int)*(const uint8_t *)a - (int)*(const uint8_t *)b;
}

/* The middle of a colour's values along the edges. */
static int edge_colour(const uint8_t *rgb, int w, int h, int colour, uint8_t *sorted)
{
	size_t n = 0;
	for (int x = 0; x < w; x++) {
		sorted[n++] = rgb[3 * x + colour];
		sorted[n++] = rgb[((size_t)(h - 1) * (size_t)w + (size_t)x) * 3 + (size_t)colour];
	}
	for (int y = 0; y < h; y++) {
		sorted[n++] = rgb[(size_t)y * (size_t)w * 3 + (size_t)colour];
		sorted[n++] = rgb[((size_t)y * (size_t)w + (size_t)(w - 1)) * 3 + (size_t)colour];
	}
	qsort(sorted, n, 1, by_value);
	return (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/* [h, w, 3] in the middle of out [height, width, 3], around it the colour of its edges. SUMI_NOMEM. */
static int put_in_middle(const uint8_t *rgb, int w, int h, uint8_t *out, int width, int height,
			 struct error *err)
{
	uint8_t ground[3], *sorted = malloc(2 * ((size_t)w + (size_t)h));
	if (!sorted)
		return error_set(err, SUMI_NOMEM, "out of memory");
	for (int c = 0; c < 3; c++)
		ground[c] = (uint8_t)edge_colour(rgb, w, h, c, sorted);
	free(sorted);
	size_t left = (size_t)(width - w) / 2, top = (size_t)(height - h) / 2, line = (size_t)width;
	for (size_t i = 0; i < line * (size_t)height; i++)
		memcpy(out + 3 * i, ground, 3);
	for (size_t y = 0; y < (size_t)h; y++)
		memcpy(out + ((top + y) * line + left) * 3, rgb + y * (size_t)w * 3, (size_t)w * 3);
	return SUMI_OK;
}

/* The size that a picture of w × h has within width × height when all of it shall be seen. */
static void within(int w, int h, int *width, int *height)
{
	double across = (double)*width / w, down = (double)*height / h, k = across < down ? across : down;
	int x = (int)lrint(w * k), y = (int)lrint(h * k);
	*width = x < 1 ? 1 : x > *width ? *width : x;
	*height = y < 1 ? 1 : y > *height ? *height : y;
}

static int make(const uint8_t *rgb, int w, int h, const char *where, const struct preprocessor *p,
		const double *settings, enum controlnet_fit fit, int width, int height, uint8_t *out,
		struct error *err)
{
	int across = width, down = height;
	if (fit == CONTROLNET_FILL)
		within(w, h, &across, &down);
	size_t count = (size_t)across * (size_t)down * 3;
	uint8_t *sized = malloc(2 * count), *map = sized + count;
	if (!sized)
		return error_set(err, SUMI_NOMEM, "%s: no memory for its map", where);
	int status = fit == CONTROLNET_CROP
			 ? picture_crop(rgb, w, h, where, across, down, sized, err)
			 : picture_stretch(rgb, w, h, where, across, down, sized, err);
	if (!status && p)
		status = preprocess(p, sized, across, down, settings, map, err);
	if (!status)
		status = put_in_middle(p ? map : sized, across, down, out, width, height, err);
	free(sized);
	return status;
}

int controlnet_map(const void *data, size_t size, const char *where, const struct preprocessor *p,
		   const double *settings, enum controlnet_fit fit, int width, int height, uint8_t **png,
		   size_t *png_size, struct error *err)
{
	uint8_t *rgb = NULL;
	int w, h;
	if ((double)width * height * (p ? reach_of(p, settings) : 1) > WORK_MAX)
		return error_set(err, SUMI_TOOBIG, "%s: a map of %dx%d takes too long here: make it where you are, "
						   "and send it with module none",
				 where, width, height);
	uint8_t *out = malloc((size_t)width * (size_t)height * 3);
	int status = out ? picture_decode(data, size, where, &rgb, &w, &h, err)
			 : error_set(err, SUMI_NOMEM, "%s: no memory for its map", where);
	if (!status)
		status = make(rgb, w, h, where, p, settings, fit, width, height, out, err);
	if (!status)
		status = png_encode(out, width, height, NULL, png, png_size, err);
	free(rgb);
	free(out);
	return status;
}

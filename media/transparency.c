/* Transparency apart from colours. */
#include "media/transparency.h"

#include <stdlib.h>
#include <string.h>

#include "base/resample.h"
#include "media/picture.h"

enum {
	OPAQUE = 254, /* and 255 */
	SPREAD = 16   /* pixels: further than networks that sharpen look from an edge */
};

bool transparency_seen(const uint8_t *rgba, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (rgba[4 * i + 3] < OPAQUE)
			return true;
	return false;
}

/* Gives pixel (x, y) the mean colour of those of its neighbours that were known before this round. */
static bool take_colour(float *rgb, const uint8_t *known, int h, int w, int y, int x)
{
	float sum[3] = {0};
	int count = 0;
	for (int v = y > 0 ? y - 1 : 0; v <= y + 1 && v < h; v++)
		for (int u = x > 0 ? x - 1 : 0; u <= x + 1 && u < w; u++) {
			size_t at = (size_t)v * (size_t)w + (size_t)u;
			for (int c = 0; c < 3 && known[at]; c++)
				sum[c] += rgb[3 * at + (size_t)c];
			count += known[at];
		}
	for (int c = 0; c < 3 && count; c++)
		rgb[3 * ((size_t)y * (size_t)w + (size_t)x) + (size_t)c] = sum[c] / (float)count;
	return count > 0;
}

static int spread_colours(const uint8_t *rgba, float *rgb, int h, int w, struct error *err)
{
	size_t count = (size_t)h * (size_t)w;
	uint8_t *known = malloc(2 * count), *next = known ? known + count : NULL;
	if (!known)
		return error_set(err, SUMI_NOMEM, "no memory for the transparency of %dx%d pixels", w, h);
	for (size_t i = 0; i < count; i++)
		known[i] = rgba[4 * i + 3] > 0;
	for (int round = 0; round < SPREAD; round++) {
		memcpy(next, known, count);
		for (int y = 0; y < h; y++)
			for (int x = 0; x < w; x++) {
				size_t at = (size_t)y * (size_t)w + (size_t)x;
				if (!known[at])
					next[at] = take_colour(rgb, known, h, w, y, x);
			}
		memcpy(known, next, count);
	}
	free(known);
	return SUMI_OK;
}

int transparency_split(const uint8_t *rgba, int h, int w, float **rgb, float **alpha, struct error *err)
{
	size_t count = (size_t)h * (size_t)w;
	float *colours = malloc(3 * count * sizeof *colours), *a = malloc(count * sizeof *a);
	int status = colours && a ? SUMI_OK : error_set(err, SUMI_NOMEM, "no memory for %dx%d pixels", w, h);
	for (size_t i = 0; i < count && !status; i++) {
		for (size_t c = 0; c < 3; c++)
			colours[3 * i + c] = (float)rgba[4 * i + c] / 255;
		a[i] = (float)rgba[4 * i + 3] / 255;
	}
	if (!status)
		status = spread_colours(rgba, colours, h, w, err);
	if (status) {
		free(colours);
		free(a);
		colours = a = NULL;
	}
	*rgb = colours;
	*alpha = a;
	return status;
}

int transparency_join(const uint8_t *rgb, const float *alpha, int h, int w, int out_h, int out_w, uint8_t **rgba,
		      struct error *err)
{
	size_t count = (size_t)out_h * (size_t)out_w;
	float *large = malloc(count * sizeof *large);
	uint8_t *out = malloc(4 * count);
	int status = large && out ? resample(RESAMPLE_SMOOTH_CUBIC, alpha, h, w, 1, large, out_h, out_w, err)
				  : error_set(err, SUMI_NOMEM, "no memory for %dx%d pixels", out_w, out_h);
	for (size_t i = 0; i < count && !status; i++) {
		memcpy(out + 4 * i, rgb + 3 * i, 3);
		picture_to_bytes(large + i, out + 4 * i + 3, 1);
	}
	free(large);
	if (status) {
		free(out);
		out = NULL;
	}
	*rgba = out;
	return status;
}

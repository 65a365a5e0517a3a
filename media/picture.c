/* Pictures from files, and to bytes. */
#include "media/picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "media/png.h"
#include "media/webp.h"

enum { FILE_LIMIT = 64 << 20 };

void picture_to_bytes(const float *in, uint8_t *out, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		float v = in[i] * 255.0f;
		out[i] = v >= 255.0f ? 255 : v > 0.0f ? (uint8_t)(v + 0.5f) : 0;
	}
}

static int decode_webp(const char *data, size_t size, const char *path, uint8_t **rgb, int *width,
		       int *height, struct error *err)
{
	struct webp_reader *reader;
	int status = webp_reader_new(data, size, path, &reader, err);
	if (status)
		return status;
	*width = webp_reader_info(reader)->width;
	*height = webp_reader_info(reader)->height;
	*rgb = malloc((size_t)*width * (size_t)*height * 3);
	if (!*rgb)
		status = error_set(err, SUMI_NOMEM, "%s: no memory for its pixels", path);
	else if ((status = webp_reader_next(reader, *rgb, NULL, err))) {
		free(*rgb);
		*rgb = NULL;
	}
	webp_reader_free(reader);
	return status;
}

static int decode(const char *path, uint8_t **rgb, int *width, int *height, struct error *err)
{
	char *data;
	size_t size;
	int status = files_read(path, FILE_LIMIT, &data, &size, err);
	if (status)
		return status;
	if (size >= 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0)
		status = png_decode(data, size, path, rgb, width, height, err);
	else if (size >= 12 && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0)
		status = decode_webp(data, size, path, rgb, width, height, err);
	else
		status = error_set(err, SUMI_UNSUPPORTED, "%s: is neither a WebP nor a PNG picture",
				   path);
	free(data);
	return status;
}

/* How much of source pixel i lies between from and to. */
static double overlap(int i, double from, double to)
{
	double a = from > i ? from : i, b = to < i + 1 ? to : i + 1;
	return b > a ? b - a : 0;
}

/* The mean of the source over one target pixel; a magnified picture is sampled with boxes at
 * least one source pixel wide, which is linear interpolation. */
static void sample_box(const uint8_t *rgb, int w, int h, double x, double y, double size,
		       float out[3])
{
	double half = size > 1 ? size / 2 : 0.5, sum[3] = {0}, weight = 0;
	for (int j = (int)floor(y - half); j <= (int)floor(y + half); j++)
		for (int i = (int)floor(x - half); i <= (int)floor(x + half); i++) {
			double k = overlap(i, x - half, x + half) * overlap(j, y - half, y + half);
			int ci = i < 0    ? 0
				 : i >= w ? w - 1
					  : i,
			    cj = j < 0    ? 0
				 : j >= h ? h - 1
					  : j;
			const uint8_t *p = rgb + ((size_t)cj * (size_t)w + (size_t)ci) * 3;
			for (int c = 0; c < 3; c++)
				sum[c] += k * p[c];
			weight += k;
		}
	for (int c = 0; c < 3; c++)
		out[c] = (float)(sum[c] / weight / 127.5 - 1);
}

int picture_load(const char *path, int width, int height, float **out, struct error *err)
{
	uint8_t *rgb;
	int w, h, status = decode(path, &rgb, &w, &h, err);
	if (status)
		return status;
	*out = malloc((size_t)width * (size_t)height * 3 * sizeof(float));
	if (!*out) {
		free(rgb);
		return error_set(err, SUMI_NOMEM, "%s: no memory for its pixels", path);
	}
	double sx = (double)w / width, sy = (double)h / height, s = sx < sy ? sx : sy;
	double left = (w - s * width) / 2, top = (h - s * height) / 2;
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++)
			sample_box(rgb, w, h, left + (x + 0.5) * s, top + (y + 0.5) * s, s,
				   *out + ((size_t)y * (size_t)width + (size_t)x) * 3);
	free(rgb);
	return SUMI_OK;
}

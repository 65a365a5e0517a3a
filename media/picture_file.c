/* Pictures from files: kind by the first bytes, turned, scaled. */
#include "media/picture_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "media/format.h"
#include "media/jpeg.h"
#include "media/png.h"
#include "media/webp.h"

static int decode_webp(const void *data, size_t size, const char *path, uint8_t **rgb, int *width,
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

static const struct kind {
	int (*info)(const void *data, size_t size, const char *where, struct picture_info *info,
		    struct error *err);
	int (*decode)(const void *data, size_t size, const char *where, uint8_t **rgb, int *width,
		      int *height, struct error *err);
} kinds[FORMATS + 1] = {
    [FORMAT_WEBP] = {webp_picture_info, decode_webp},
    [FORMAT_PNG] = {png_picture_info, png_decode},
    [FORMAT_JPEG] = {jpeg_picture_info, jpeg_decode},
};

/* The kind of the file, and what its headers say. */
static int look(const void *data, size_t size, const char *where, const struct kind **kind,
		struct picture_info *info, struct error *err)
{
	*kind = &kinds[format_of(data, size)];
	if ((*kind)->info)
		return (*kind)->info(data, size, where, info, err);
	return error_set(err, SUMI_UNSUPPORTED, "%s: is neither a WebP, a PNG nor a JPEG picture",
			 where);
}

/* Where pixel (x, y) of the turned picture lies in the file's. */
static size_t turned_from(int orientation, size_t x, size_t y, size_t w, size_t h)
{
	/* w, h: of the file's picture */
	switch (orientation) {
	case 2:
		return y * w + (w - 1 - x);
	case 3:
		return (h - 1 - y) * w + (w - 1 - x);
	case 4:
		return (h - 1 - y) * w + x;
	case 5:
		return x * w + y;
	case 6:
		return (h - 1 - x) * w + y;
	case 7:
		return (h - 1 - x) * w + (w - 1 - y);
	case 8:
		return x * w + (w - 1 - y);
	default:
		return y * w + x;
	}
}

static int turn(int orientation, uint8_t **rgb, int *width, int *height, const char *where,
		struct error *err)
{
	size_t w = (size_t)*width, h = (size_t)*height;
	size_t across = orientation >= 5 ? h : w, down = orientation >= 5 ? w : h;
	if (orientation == 1)
		return SUMI_OK;
	uint8_t *out = malloc(w * h * 3);
	if (!out)
		return error_set(err, SUMI_NOMEM, "%s: no memory for its pixels", where);
	for (size_t y = 0; y < down; y++)
		for (size_t x = 0; x < across; x++)
			memcpy(out + 3 * (y * across + x),
			       *rgb + 3 * turned_from(orientation, x, y, w, h), 3);
	free(*rgb);
	*rgb = out;
	*width = (int)across;
	*height = (int)down;
	return SUMI_OK;
}

int picture_decode(const void *data, size_t size, const char *where, uint8_t **rgb, int *width,
		   int *height, struct error *err)
{
	const struct kind *kind;
	struct picture_info info;
	*rgb = NULL;
	int status = look(data, size, where, &kind, &info, err);
	if (!status)
		status = kind->decode(data, size, where, rgb, width, height, err);
	if (!status)
		status = turn(info.orientation, rgb, width, height, where, err);
	if (status) {
		free(*rgb);
		*rgb = NULL;
	}
	return status;
}

int picture_check(const void *data, size_t size, const char *where, struct error *err)
{
	uint8_t *rgb;
	int width, height, status = picture_decode(data, size, where, &rgb, &width, &height, err);
	free(rgb);
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

int picture_load(const char *path, const char *where, int width, int height, float **out,
		 struct error *err)
{
	uint8_t *rgb;
	char *data;
	size_t size;
	int w, h, status = files_read(path, PICTURE_FILE_MAX, &data, &size, err);
	if (status)
		return status;
	status = picture_decode(data, size, where, &rgb, &w, &h, err);
	free(data);
	if (status)
		return status;
	*out = malloc((size_t)width * (size_t)height * 3 * sizeof(float));
	if (!*out) {
		free(rgb);
		return error_set(err, SUMI_NOMEM, "%s: no memory for its pixels", where);
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

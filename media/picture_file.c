/* Pictures from files: kind by the first bytes, turned, scaled. */
#include "media/picture_file.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "media/format.h"
#include "media/jpeg.h"
#include "media/png.h"
#include "media/webp.h"

static int read_webp(const void *data, size_t size, const char *path, bool alpha, uint8_t **pixels,
		     int *width, int *height, struct error *err)
{
	struct webp_reader *reader;
	int status = webp_reader_new(data, size, path, &reader, err);
	if (status)
		return status;
	*width = webp_reader_info(reader)->width;
	*height = webp_reader_info(reader)->height;
	*pixels = malloc((size_t)*width * (size_t)*height * (alpha ? 4 : 3));
	if (!*pixels)
		status = error_set(err, SUMI_NOMEM, "%s: no memory for its pixels", path);
	else if ((status = alpha ? webp_reader_next_rgba(reader, *pixels, NULL, err)
				 : webp_reader_next(reader, *pixels, NULL, err))) {
		free(*pixels);
		*pixels = NULL;
	}
	webp_reader_free(reader);
	return status;
}

static int decode_webp(const void *data, size_t size, const char *path, uint8_t **rgb, int *width,
		       int *height, struct error *err)
{
	return read_webp(data, size, path, false, rgb, width, height, err);
}

static int decode_webp_rgba(const void *data, size_t size, const char *path, uint8_t **rgba,
			    int *width, int *height, struct error *err)
{
	return read_webp(data, size, path, true, rgba, width, height, err);
}

/* Nothing of a JPEG is transparent. */
static int decode_jpeg_rgba(const void *data, size_t size, const char *path, uint8_t **rgba,
			    int *width, int *height, struct error *err)
{
	uint8_t *rgb;
	int status = jpeg_decode(data, size, path, &rgb, width, height, err);
	if (status)
		return status;
	size_t pixels = (size_t)*width * (size_t)*height;
	*rgba = malloc(pixels * 4);
	if (!*rgba)
		status = error_set(err, SUMI_NOMEM, "%s: no memory for its pixels", path);
	for (size_t i = 0; i < pixels && !status; i++) {
		memcpy(*rgba + 4 * i, rgb + 3 * i, 3);
		(*rgba)[4 * i + 3] = 255;
	}
	free(rgb);
	return status;
}

static const struct kind {
	int (*info)(const void *data, size_t size, const char *where, struct picture_info *info,
		    struct error *err);
	int (*decode)(const void *data, size_t size, const char *where, uint8_t **rgb, int *width,
		      int *height, struct error *err);
	int (*decode_rgba)(const void *data, size_t size, const char *where, uint8_t **rgba,
			   int *width, int *height, struct error *err);
} kinds[FORMATS + 1] = {
    [FORMAT_WEBP] = {webp_picture_info, decode_webp, decode_webp_rgba},
    [FORMAT_PNG] = {png_picture_info, png_decode, png_decode_rgba},
    [FORMAT_JPEG] = {jpeg_picture_info, jpeg_decode, decode_jpeg_rgba},
};

/* The kind of the file, and what its headers say. */
static int look(const void *data, size_t size, const char *where, const struct kind **kind,
		struct picture_info *info, struct error *err)
{
	*kind = &kinds[format_of(data, size)];
	if ((*kind)->info)
		return (*kind)->info(data, size, where, info, err);
	if (*kind == &kinds[FORMAT_GLB])
		return error_set(err, SUMI_UNSUPPORTED,
				 "%s: is a landscape, not a picture; its colours from above are one: sumi again FILE "
				 "-o NAME.png",
				 where);
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

static int turn(int orientation, uint8_t **pixels, size_t channels, int *width, int *height,
		const char *where, struct error *err)
{
	size_t w = (size_t)*width, h = (size_t)*height;
	size_t across = orientation >= 5 ? h : w, down = orientation >= 5 ? w : h;
	if (orientation == 1)
		return SUMI_OK;
	uint8_t *out = malloc(w * h * channels);
	if (!out)
		return error_set(err, SUMI_NOMEM, "%s: no memory for its pixels", where);
	for (size_t y = 0; y < down; y++)
		for (size_t x = 0; x < across; x++)
			memcpy(out + channels * (y * across + x),
			       *pixels + channels * turned_from(orientation, x, y, w, h), channels);
	free(*pixels);
	*pixels = out;
	*width = (int)across;
	*height = (int)down;
	return SUMI_OK;
}

static int decode(const void *data, size_t size, const char *where, bool alpha, uint8_t **pixels,
		  int *width, int *height, struct error *err)
{
	const struct kind *kind;
	struct picture_info info;
	*pixels = NULL;
	int status = look(data, size, where, &kind, &info, err);
	if (!status)
		status = (alpha ? kind->decode_rgba : kind->decode)(data, size, where, pixels, width,
								     height, err);
	if (!status)
		status = turn(info.orientation, pixels, alpha ? 4 : 3, width, height, where, err);
	if (status) {
		free(*pixels);
		*pixels = NULL;
	}
	return status;
}

int picture_decode(const void *data, size_t size, const char *where, uint8_t **rgb, int *width,
		   int *height, struct error *err)
{
	return decode(data, size, where, false, rgb, width, height, err);
}

int picture_decode_rgba(const void *data, size_t size, const char *where, uint8_t **rgba, int *width,
			int *height, struct error *err)
{
	return decode(data, size, where, true, rgba, width, height, err);
}

int picture_decode_grey16(const void *data, size_t size, const char *where, float **grey, int *width,
			  int *height, struct error *err)
{
	struct picture_info info;
	uint8_t *bytes = NULL;
	*grey = NULL;
	int status = format_of(data, size) == FORMAT_PNG
			 ? png_picture_info(data, size, where, &info, err)
			 : error_set(err, SUMI_UNSUPPORTED, "%s: is no PNG", where);
	if (!status)
		status = png_decode_grey16(data, size, where, &bytes, width, height, err);
	if (!status)
		status = turn(info.orientation, &bytes, 2, width, height, where, err);
	size_t count = status ? 0 : (size_t)*width * (size_t)*height;
	*grey = status ? NULL : malloc(count * sizeof **grey);
	if (!status && !*grey)
		status = error_set(err, SUMI_NOMEM, "%s: no memory for its pixels", where);
	for (size_t i = 0; i < count && !status; i++)
		(*grey)[i] = (float)(bytes[2 * i] << 8 | bytes[2 * i + 1]) / UINT16_MAX;
	free(bytes);
	return status;
}

int picture_size(const void *data, size_t size, const char *where, int *width, int *height,
		 struct error *err)
{
	const struct kind *kind;
	struct picture_info info = {0};
	int status = look(data, size, where, &kind, &info, err);
	bool lies = info.orientation >= 5;
	*width = lies ? info.height : info.width;
	*height = lies ? info.width : info.height;
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
static void sample_box(const uint8_t *in, int w, int h, int channels, double x, double y, double size,
		       float *out)
{
	double half = size > 1 ? size / 2 : 0.5, sum[4] = {0}, weight = 0;
	for (int j = (int)floor(y - half); j <= (int)floor(y + half); j++)
		for (int i = (int)floor(x - half); i <= (int)floor(x + half); i++) {
			double k = overlap(i, x - half, x + half) * overlap(j, y - half, y + half);
			int ci = i < 0    ? 0
				 : i >= w ? w - 1
					  : i,
			    cj = j < 0    ? 0
				 : j >= h ? h - 1
					  : j;
			const uint8_t *p =
			    in + ((size_t)cj * (size_t)w + (size_t)ci) * (size_t)channels;
			for (int c = 0; c < channels; c++)
				sum[c] += k * p[c];
			weight += k;
		}
	for (int c = 0; c < channels; c++)
		out[c] = (float)(sum[c] / weight / 127.5 - 1);
}

void picture_scale(const uint8_t *in, int w, int h, int channels, float *out, int width, int height)
{
	double sx = (double)w / width, sy = (double)h / height, s = sx < sy ? sx : sy;
	double left = (w - s * width) / 2, top = (h - s * height) / 2;
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++)
			sample_box(in, w, h, channels, left + (x + 0.5) * s, top + (y + 0.5) * s, s,
				   out + ((size_t)y * (size_t)width + (size_t)x) * (size_t)channels);
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
	picture_scale(rgb, w, h, 3, *out, width, height);
	free(rgb);
	return SUMI_OK;
}

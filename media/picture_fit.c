#include "media/picture_fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/resample.h"
#include "media/mask.h"
#include "media/picture_file.h"

/* Of a picture the part that has the target's shape, from its middle. */
struct cut {
	int x, y, w, h;
};

static struct cut cut_of(int w, int h, int width, int height)
{
	double sx = (double)w / width, sy = (double)h / height, s = sx < sy ? sx : sy;
	struct cut c = {.w = (int)lrint(s * width), .h = (int)lrint(s * height)};
	c.w = c.w < 1 ? 1 : c.w > w ? w : c.w;
	c.h = c.h < 1 ? 1 : c.h > h ? h : c.h;
	c.x = (w - c.w) / 2;
	c.y = (h - c.h) / 2;
	return c;
}

/* Far larger pictures become means of k × k pixels first: less memory, and nothing that can be seen. */
static int step_of(const struct cut *c, int width, int height)
{
	int across = c->w / width, down = c->h / height, k = (across < down ? across : down) / 4;
	return k < 1 ? 1 : k;
}

static void shrink(const uint8_t *rgb, int w, const struct cut *c, int k, float *out)
{
	int across = c->w / k, down = c->h / k;
	for (int y = 0; y < down; y++)
		for (int x = 0; x < across; x++)
			for (int colour = 0; colour < 3; colour++) {
				int sum = 0;
				for (int j = 0; j < k; j++)
					for (int i = 0; i < k; i++) {
						size_t row = (size_t)(c->y + y * k + j);
						size_t at = row * (size_t)w + (size_t)(c->x + x * k + i);
						sum += rgb[at * 3 + (size_t)colour];
					}
				size_t to = (size_t)y * (size_t)across + (size_t)x;
				out[to * 3 + (size_t)colour] = (float)sum / (float)(k * k);
			}
}

static int scale(const uint8_t *from, int w, struct cut c, const char *where, int width, int height,
		 uint8_t *to, struct error *err)
{
	int k = step_of(&c, width, height);
	size_t small = (size_t)(c.w / k) * (size_t)(c.h / k) * 3;
	size_t count = (size_t)width * (size_t)height * 3;
	float *in = malloc((small + count) * sizeof *in), *out = in + small;
	if (!in)
		return error_set(err, SUMI_NOMEM, "%s: no memory for its pixels", where);
	shrink(from, w, &c, k, in);
	int status = resample(RESAMPLE_LANCZOS, in, c.h / k, c.w / k, 3, out, height, width, err);
	for (size_t i = 0; i < count && !status; i++)
		to[i] = (uint8_t)(out[i] <= 0 ? 0 : out[i] >= 255 ? 255 : out[i] + 0.5f);
	free(in);
	return status;
}

int picture_crop(const uint8_t *rgb, int w, int h, const char *where, int width, int height, uint8_t *out,
		 struct error *err)
{
	return scale(rgb, w, cut_of(w, h, width, height), where, width, height, out, err);
}

int picture_stretch(const uint8_t *rgb, int w, int h, const char *where, int width, int height,
		    uint8_t *out, struct error *err)
{
	return scale(rgb, w, (struct cut){.w = w, .h = h}, where, width, height, out, err);
}

/* A picture's file as rgb [h, w, 3] or, with light, as one byte a pixel. */
static int load(const char *path, const char *where, bool light, uint8_t **out, int *w, int *h,
		struct error *err)
{
	char *data;
	size_t size;
	int status = files_read(path, PICTURE_FILE_MAX, &data, &size, err);
	*out = NULL;
	if (status)
		return status;
	status = light ? mask_decode(data, size, where, MASK_LIGHT, out, w, h, err)
		       : picture_decode(data, size, where, out, w, h, err);
	free(data);
	return status;
}

int picture_fit(const char *path, const char *where, int width, int height, uint8_t **rgb,
		struct error *err)
{
	uint8_t *whole = NULL;
	int w, h, status = load(path, where, false, &whole, &w, &h, err);
	*rgb = NULL;
	if (status)
		return status;
	*rgb = malloc((size_t)width * (size_t)height * 3);
	status = *rgb ? picture_crop(whole, w, h, where, width, height, *rgb, err)
		      : error_set(err, SUMI_NOMEM, "%s: no memory for its pixels", where);
	free(whole);
	if (status) {
		free(*rgb);
		*rgb = NULL;
	}
	return status;
}

/* The middle of from [h, w, 3], one side of which is `side` long. */
static void cut_square(const uint8_t *from, int w, int h, int side, uint8_t *to)
{
	size_t x = (size_t)(w - side) / 2, y = (size_t)(h - side) / 2, row = (size_t)side * 3;
	for (size_t i = 0; i < (size_t)side; i++)
		memcpy(to + i * row, from + ((y + i) * (size_t)w + x) * 3, row);
}

int picture_seen(const char *path, const char *where, int side, uint8_t **rgb, struct error *err)
{
	uint8_t *whole = NULL, *small = NULL;
	int w, h, status = load(path, where, false, &whole, &w, &h, err);
	*rgb = NULL;
	if (status)
		return status;
	int64_t lesser = w < h ? w : h, longer = w < h ? h : w;
	int far = (int)(longer * side / lesser), to_w = w < h ? side : far, to_h = w < h ? far : side;
	*rgb = malloc((size_t)side * (size_t)side * 3);
	small = malloc((size_t)to_w * (size_t)to_h * 3);
	status = *rgb && small ? resample_bytes(RESAMPLE_SMOOTH_CUBIC, whole, h, w, 3, small, to_h, to_w, err)
			       : error_set(err, SUMI_NOMEM, "%s: no memory for its pixels", where);
	if (!status) {
		cut_square(small, to_w, to_h, side, *rgb);
	} else {
		free(*rgb);
		*rgb = NULL;
	}
	free(small);
	free(whole);
	return status;
}

int picture_light(const char *path, const char *where, int width, int height, uint8_t **out,
		  struct error *err)
{
	uint8_t *whole = NULL;
	int w, h, status = load(path, where, true, &whole, &w, &h, err);
	*out = NULL;
	if (status)
		return status;
	*out = malloc((size_t)width * (size_t)height);
	status = *out ? resample_bytes(RESAMPLE_LANCZOS, whole, h, w, 1, *out, height, width, err)
		      : error_set(err, SUMI_NOMEM, "%s: no memory for its pixels", where);
	free(whole);
	if (status) {
		free(*out);
		*out = NULL;
	}
	return status;
}

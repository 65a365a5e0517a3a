/* Thumbnails: means of boxes of pixels, peaks of stretches of sound. */
#include "media/thumbnail.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/format.h"
#include "media/landscape.h"
#include "media/picture_file.h"
#include "media/sound_file.h"
#include "media/webm.h"
#include "media/webp.h"

enum { QUALITY = 75 };

static const uint8_t paper[3] = {0x1d, 0x21, 0x28}, ink[3] = {0x9d, 0xbc, 0xf0};

static int encode(const uint8_t *rgb, int width, int height, uint8_t **webp, size_t *size,
		  struct error *err)
{
	struct webp_options options = {.quality = QUALITY};
	return webp_encode(rgb, width, height, &options, NULL, webp, size, err);
}

/* ---- pictures ------------------------------------------------------------------------------- */

static int scaled(int side, int longest)
{
	int out = longest > THUMBNAIL_SIDE ? (int)((int64_t)side * THUMBNAIL_SIDE / longest) : side;
	return out ? out : 1;
}

static void mean(const uint8_t *rgb, size_t width, size_t x0, size_t x1, size_t y0, size_t y1,
		 uint8_t out[3])
{
	uint64_t sum[3] = {0}, count = (x1 - x0) * (y1 - y0);
	for (size_t y = y0; y < y1; y++)
		for (const uint8_t *p = rgb + (y * width + x0) * 3, *end = p + (x1 - x0) * 3; p < end;
		     p += 3)
			for (int c = 0; c < 3; c++)
				sum[c] += p[c];
	for (int c = 0; c < 3; c++)
		out[c] = (uint8_t)((sum[c] + count / 2) / count);
}

static int of_picture(const uint8_t *rgb, int width, int height, uint8_t **webp, size_t *size,
		      struct error *err)
{
	int longest = width > height ? width : height;
	size_t w = (size_t)width, h = (size_t)height, across = (size_t)scaled(width, longest),
	       down = (size_t)scaled(height, longest);
	uint8_t *small = malloc(across * down * 3);
	if (!small)
		return error_set(err, SUMI_NOMEM, "no memory for a thumbnail");
	for (size_t y = 0; y < down; y++)
		for (size_t x = 0; x < across; x++)
			mean(rgb, w, x * w / across, (x + 1) * w / across, y * h / down,
			     (y + 1) * h / down, small + (y * across + x) * 3);
	int status = encode(small, (int)across, (int)down, webp, size, err);
	free(small);
	return status;
}

/* ---- landscapes ----------------------------------------------------------------------------- */

/* From the south, a little from the side. */
static int of_landscape(const void *data, size_t size, const char *where, uint8_t **webp, size_t *webp_size,
			struct error *err)
{
	enum { WIDTH = THUMBNAIL_SIDE, HEIGHT = THUMBNAIL_SIDE * 3 / 4 };
	static const double turn = 0.5;
	struct landscape_read l;
	int status = gltf_read_landscape(data, size, where, &l, err);
	if (status)
		return status;
	uint8_t *rgb = malloc((size_t)WIDTH * HEIGHT * 3);
	status = rgb ? relief_draw(&l.land, turn, WIDTH, HEIGHT, rgb, err)
		     : error_set(err, SUMI_NOMEM, "no memory for a thumbnail");
	if (!status)
		status = encode(rgb, WIDTH, HEIGHT, webp, webp_size, err);
	free(rgb);
	landscape_read_free(&l);
	return status;
}

/* ---- sound ---------------------------------------------------------------------------------- */

/* The highest sample of the column's stretch, of all channels. */
static float peak(const struct sound *s, size_t column)
{
	size_t from = s->length * column / THUMBNAIL_SIDE, to = s->length * (column + 1) / THUMBNAIL_SIDE;
	float highest = 0;
	for (int c = 0; c < s->channels; c++)
		for (size_t i = from; i < (to > from ? to : from + 1); i++)
			highest = fmaxf(highest, fabsf(s->samples[(size_t)c * s->length + i]));
	return fminf(highest, 1);
}

static int of_sound(const struct sound *s, uint8_t **webp, size_t *size, struct error *err)
{
	uint8_t *rgb = malloc((size_t)THUMBNAIL_SIDE * THUMBNAIL_SIDE * 3);
	if (!rgb)
		return error_set(err, SUMI_NOMEM, "no memory for a thumbnail");
	for (size_t x = 0; x < THUMBNAIL_SIDE; x++) {
		int half = 1 + (int)(peak(s, x) * (THUMBNAIL_SIDE / 2 - 2));
		for (int y = 0; y < THUMBNAIL_SIDE; y++)
			memcpy(rgb + ((size_t)y * THUMBNAIL_SIDE + x) * 3,
			       abs(y - THUMBNAIL_SIDE / 2) < half ? ink : paper, 3);
	}
	int status = encode(rgb, THUMBNAIL_SIDE, THUMBNAIL_SIDE, webp, size, err);
	free(rgb);
	return status;
}

int thumbnail_make(const void *data, size_t size, const char *where, uint8_t **webp, size_t *webp_size,
		   struct error *err)
{
	struct sound sound = {0};
	uint8_t *rgb;
	int width, height;
	enum format format = format_of(data, size);
	bool film = format == FORMAT_WEBM;
	if (format == FORMAT_GLB)
		return of_landscape(data, size, where, webp, webp_size, err);
	int status = film ? webm_first_picture(data, size, where, &rgb, &width, &height, err)
			  : picture_decode(data, size, where, &rgb, &width, &height, err);
	if (!status) {
		status = of_picture(rgb, width, height, webp, webp_size, err);
		free(rgb);
		return status;
	}
	if (film || status != SUMI_UNSUPPORTED)
		return status;
	status = sound_decode(data, size, where, &sound, err);
	if (!status)
		status = of_sound(&sound, webp, webp_size, err);
	sound_free(&sound);
	return status;
}

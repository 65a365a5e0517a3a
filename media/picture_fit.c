#include "media/picture_fit.h"

#include <math.h>
#include <stdlib.h>

#include "base/files.h"
#include "base/resample.h"
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

int picture_fit(const char *path, const char *where, int width, int height, uint8_t **rgb,
		struct error *err)
{
	char *data;
	size_t size;
	uint8_t *whole = NULL;
	int w, h, status = files_read(path, PICTURE_FILE_MAX, &data, &size, err);
	*rgb = NULL;
	if (status)
		return status;
	status = picture_decode(data, size, where, &whole, &w, &h, err);
	free(data);
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

/* Decoding in tiles: bounded memory for any size.
 *
 * Tiles of one size stand evenly over the latents, each overlapping the next by a quarter
 * or more; the pictures are mixed with weights that rise from a tile's inner edge. Group
 * norms and attention see one tile only, so the result is not exactly that of one piece. */
#include "diffusion/codec_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Tiles along one direction. Latent pixels. */
struct line {
	int size, tile, count;
	int scale;
	float *sum; /* [size · scale] what the tiles' weights at a pixel add up to; owned */
};

static int tile_start(const struct line *l, int i)
{
	return l->count == 1 ? 0 : (int)((long long)i * (l->size - l->tile) / (l->count - 1));
}

/* The weight of tile i at pixel x of the whole picture, before normalisation. */
static float tile_weight(const struct line *l, int i, int x)
{
	int first = tile_start(l, i) * l->scale, last = first + l->tile * l->scale;
	float ramp = (float)(l->tile * l->scale) / 4, w = 1;
	if (first > 0)
		w = fminf(w, ((float)(x - first) + 0.5f) / ramp);
	if (last < l->size * l->scale)
		w = fminf(w, ((float)(last - x) - 0.5f) / ramp);
	return w;
}

static int line_new(struct line *l, int size, int tile, int scale, struct error *err)
{
	int overlap = tile / 4;
	*l = (struct line){
	    .size = size, .tile = size < tile ? size : tile, .scale = scale, .count = 1};
	if (size > tile)
		l->count = (size - overlap + tile - overlap - 1) / (tile - overlap);
	l->sum = calloc((size_t)size * (size_t)scale, sizeof *l->sum);
	if (!l->sum)
		return error_set(err, SUMI_NOMEM, "out of memory for a picture in tiles");
	for (int i = 0; i < l->count; i++)
		for (int x = tile_start(l, i) * scale; x < (tile_start(l, i) + l->tile) * scale;
		     x++)
			l->sum[x] += tile_weight(l, i, x);
	return SUMI_OK;
}

/* Copies a tile's latents out of a picture's. */
static void cut(const float *latents, const struct line *y, const struct line *x, int channels,
		int y0, int x0, float *out)
{
	size_t row = (size_t)x->tile * (size_t)channels;
	for (int i = 0; i < y->tile; i++)
		memcpy(out + (size_t)i * row,
		       latents +
			   ((size_t)(y0 + i) * (size_t)x->size + (size_t)x0) * (size_t)channels,
		       row * sizeof *out);
}

/* Adds a decoded tile to the picture. */
static void mix(const float *tile, const struct line *y, const struct line *x, int channels, int ty,
		int tx, float *picture)
{
	int y0 = tile_start(y, ty) * y->scale, x0 = tile_start(x, tx) * x->scale;
	int height = y->tile * y->scale, width = x->tile * x->scale;
	for (int i = 0; i < height; i++) {
		float wy = tile_weight(y, ty, y0 + i) / y->sum[y0 + i];
		for (int k = 0; k < width; k++) {
			float w = wy * tile_weight(x, tx, x0 + k) / x->sum[x0 + k];
			const float *from =
			    tile + ((size_t)i * (size_t)width + (size_t)k) * (size_t)channels;
			float *to = picture + ((size_t)(y0 + i) * (size_t)(x->size * x->scale) +
					       (size_t)(x0 + k)) *
						  (size_t)channels;
			for (int c = 0; c < channels; c++)
				to[c] += w * from[c];
		}
	}
}

/* One picture; buffers for one tile's latents and picture are the caller's. */
static int decode_picture(struct codec *codec, const float *latents, const struct line *y,
			  const struct line *x, float *tile_in, float *tile_out, float *picture,
			  struct error *err)
{
	struct latent_spec block = codec_block(codec, 1, y->tile, x->tile);
	memset(picture, 0,
	       (size_t)(y->size * y->scale) * (size_t)(x->size * x->scale) *
		   (size_t)block.colours * sizeof *picture);
	for (int ty = 0; ty < y->count; ty++)
		for (int tx = 0; tx < x->count; tx++) {
			cut(latents, y, x, block.channels, tile_start(y, ty), tile_start(x, tx),
			    tile_in);
			int status = codec->kind->decode(
			    codec, &block, (struct codec_pieces){0}, tile_in, tile_out, err);
			if (status)
				return status;
			mix(tile_out, y, x, block.colours, ty, tx, picture);
		}
	return SUMI_OK;
}

int codec_decode_tiled(struct codec *codec, const struct latent_spec *whole, int tile,
		       const float *latents, float *pixels, struct error *err)
{
	struct line y = {0}, x = {0};
	float *tile_in = NULL, *tile_out = NULL;
	int status = line_new(&y, whole->height, tile, whole->scale, err);
	if (!status)
		status = line_new(&x, whole->width, tile, whole->scale, err);
	if (status)
		goto done;
	size_t scale = (size_t)whole->scale, c = (size_t)whole->channels;
	size_t one = (size_t)y.tile * (size_t)x.tile, colours = (size_t)whole->colours;
	tile_in = malloc(one * c * sizeof *tile_in);
	tile_out = malloc(one * scale * scale * colours * sizeof *tile_out);
	if (!tile_in || !tile_out) {
		status = error_set(err, SUMI_NOMEM, "out of memory for a picture in tiles");
		goto done;
	}
	size_t all = (size_t)whole->height * (size_t)whole->width;
	for (int i = 0; i < whole->frames && !status; i++)
		status = decode_picture(codec, latents + (size_t)i * all * c, &y, &x, tile_in,
					tile_out, pixels + (size_t)i * all * scale * scale * colours,
					err);
done:
	free(tile_in);
	free(tile_out);
	free(y.sum);
	free(x.sum);
	return status;
}

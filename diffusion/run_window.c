/* Pictures that are wider than what the models see at once: what fits, and the autoencoder. */
#include "diffusion/run_internal.h"

#include <stdlib.h>
#include <string.h>

int window_check(const struct pack_info *info, const struct run_params *p, struct error *err)
{
	if (p->window == 0)
		return SUMI_OK;
	if (p->window < info->scale || p->window % info->scale || p->overlap % info->scale ||
	    p->overlap < 0 || p->overlap >= p->window)
		return error_set(
		    err, SUMI_INVALID,
		    "window %d with overlap %d: both must be multiples of %d, the overlap the "
		    "smaller one",
		    p->window, p->overlap, info->scale);
	if (p->frames != 1 || (!p->circular && p->width < p->window))
		return error_set(err, SUMI_INVALID,
				 "windows of %d are for one picture at least as wide, not %d",
				 p->window, p->width);
	return SUMI_OK;
}

/* ---- the autoencoder --------------------------------------------------------------- */

/* Columns first … first + width of a picture of `columns` columns into out; beyond the edges
 * the picture goes around (circular) or stands still. cell: floats of a pixel. */
static void cut_columns(const float *in, int rows, int columns, int first, int width, bool circular,
			size_t cell, float *out)
{
	for (int y = 0; y < rows; y++)
		for (int x = 0; x < width; x++) {
			int from = first + x;
			if (circular)
				from = (from % columns + columns) % columns;
			else
				from = from < 0 ? 0 : from >= columns ? columns - 1 : from;
			memcpy(out + ((size_t)y * (size_t)width + (size_t)x) * cell,
			       in + ((size_t)y * (size_t)columns + (size_t)from) * cell,
			       cell * sizeof(float));
		}
}

/* Latent columns that are decoded beyond an edge and thrown away: more than a decoder's
 * convolutions reach. */
enum { MARGIN = 8 };

int window_decode(struct run *run, const float *latents, float *out, struct error *err)
{
	const struct window *win = &run->window;
	int scale = run->pack->info.scale, margin = win->circular ? MARGIN : 0, status;
	int wide = run->w + 2 * margin, tile = win->w > run->h ? win->w : run->h;
	struct vae_input in = {.values = latents, .n = 1, .h = run->h, .w = wide};
	if (wide > tile && tile >= VAE_TILE_MIN)
		in.tile = tile;
	if (!win->circular)
		return vae_decode(run->pack->vae, &in, out, err);
	size_t rows = (size_t)run->h * (size_t)scale, pixels = rows * (size_t)(wide * scale);
	float *padded = malloc((size_t)run->h * (size_t)wide * (size_t)run->c * sizeof *padded);
	float *picture = malloc(pixels * 3 * sizeof *picture);
	if (!padded || !picture) {
		status = error_set(err, SUMI_NOMEM, "no memory for a picture of %d columns",
				   wide * scale);
		goto done;
	}
	cut_columns(latents, run->h, run->w, -margin, wide, true, (size_t)run->c, padded);
	in.values = padded;
	status = vae_decode(run->pack->vae, &in, picture, err);
	if (!status)
		cut_columns(picture, (int)rows, wide * scale, margin * scale, run->w * scale, false,
			    3, out);
done:
	free(padded);
	free(picture);
	return status;
}

int window_encode(struct run *run, const float *picture, float *mean, float *deviation,
		  struct error *err)
{
	const struct window *win = &run->window;
	int scale = run->pack->info.scale, wide = win->w + 2 * MARGIN, status = SUMI_OK;
	size_t c = (size_t)run->c, latents = (size_t)run->h * (size_t)wide * c;
	float *piece =
	    malloc((size_t)(run->h * scale) * (size_t)(wide * scale) * 3 * sizeof *piece);
	float *part = malloc(latents * 2 * sizeof *part);
	if (!piece || !part)
		status = error_set(err, SUMI_NOMEM, "no memory for a picture of %d columns",
				   wide * scale);
	for (int first = 0; first < run->w && !status; first += win->w) {
		int width = run->w - first < win->w ? run->w - first : win->w;
		struct vae_input in = {.values = piece,
				       .n = 1,
				       .h = run->h * scale,
				       .w = (width + 2 * MARGIN) * scale};
		cut_columns(picture, in.h, run->w * scale, (first - MARGIN) * scale, in.w,
			    win->circular, 3, piece);
		status = vae_encode(run->pack->vae, &in, part, part + latents, err);
		for (int y = 0; y < run->h && !status; y++) {
			size_t to = ((size_t)y * (size_t)run->w + (size_t)first) * c;
			size_t from = ((size_t)y * (size_t)(width + 2 * MARGIN) + MARGIN) * c;
			memcpy(mean + to, part + from, (size_t)width * c * sizeof(float));
			memcpy(deviation + to, part + latents + from,
			       (size_t)width * c * sizeof(float));
		}
	}
	free(piece);
	free(part);
	return status;
}

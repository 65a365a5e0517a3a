/* Latents wider than what the model was trained with: at every step the model looks at
 * windows that overlap, and what it predicts where they meet is averaged, so that neighbours
 * agree more with each step (MultiDiffusion, arXiv:2302.08113, eq. 7). The sampler sees one
 * picture and knows nothing of windows.
 *
 * With `circular` the last column is followed by the first: windows reach around the edge,
 * and begin somewhere else at each step, so that no column is always the middle of one. */
#include "diffusion/run_internal.h"

#include <stdlib.h>
#include <string.h>

#include "diffusion/guidance.h"

/* Coprime to any usual count of columns, so that the circle's windows visit every position. */
#define CIRCLE_SHIFT 13

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

int window_new(struct run *run, const struct run_params *p, struct error *err)
{
	struct window *win = &run->window;
	int scale = run->pack->info.scale, stride = (p->window - p->overlap) / scale;
	*win = (struct window){.w = p->window / scale, .circular = p->circular};
	if (win->w == 0)
		return SUMI_OK;
	if (win->circular)
		win->count = (run->w + stride - 1) / stride;
	else
		win->count = 1 + (run->w - win->w + stride - 1) / stride;
	/* One window on a circle would have a seam. */
	if (win->circular && win->count < 2)
		win->count = 2;
	size_t one = (size_t)run->h * (size_t)win->w * (size_t)run->c;
	win->in = malloc(one * 2 * sizeof(float));
	win->out = malloc(one * 2 * sizeof(float));
	win->weights = malloc((size_t)run->w * sizeof(float));
	return win->in && win->out && win->weights
		   ? SUMI_OK
		   : error_set(err, SUMI_NOMEM, "no memory for windows of %d", p->window);
}

void window_free(struct window *win)
{
	free(win->in);
	free(win->out);
	free(win->weights);
}

static int window_start(const struct run *run, int i, int call)
{
	const struct window *win = &run->window;
	if (win->circular)
		return (int)(((long long)i * run->w / win->count + (long long)call * CIRCLE_SHIFT) %
			     run->w);
	return win->count == 1 ? 0 : (int)((long long)i * (run->w - win->w) / (win->count - 1));
}

/* Highest in the middle: a window knows least about its edges. */
static float window_weight(const struct window *win, int x)
{
	return (float)(x + 1 < win->w - x ? x + 1 : win->w - x);
}

static void gather(struct run *run, int start)
{
	struct window *win = &run->window;
	size_t c = (size_t)run->c;
	for (int y = 0; y < run->h; y++)
		for (int x = 0; x < win->w; x++)
			memcpy(win->in + ((size_t)y * (size_t)win->w + (size_t)x) * c,
			       run->model_in +
				   ((size_t)y * (size_t)run->w + (size_t)((start + x) % run->w)) *
				       c,
			       c * sizeof(float));
}

static void scatter(struct run *run, int start)
{
	struct window *win = &run->window;
	size_t c = (size_t)run->c;
	for (int x = 0; x < win->w; x++) {
		float weight = window_weight(win, x);
		size_t column = (size_t)((start + x) % run->w);
		win->weights[column] += weight;
		for (int y = 0; y < run->h; y++) {
			const float *from = win->out + ((size_t)y * (size_t)win->w + (size_t)x) * c;
			float *to = run->model_out + ((size_t)y * (size_t)run->w + column) * c;
			for (size_t k = 0; k < c; k++)
				to[k] += weight * from[k];
		}
	}
}

int window_predict(struct run *run, int call, struct error *err)
{
	struct window *win = &run->window;
	size_t one = (size_t)run->h * (size_t)win->w * (size_t)run->c, c = (size_t)run->c;
	bool guided = run_is_guided(run, call);
	struct unet_input in = {
	    .latents = win->in,
	    .n = guided ? 2 : 1,
	    .h = run->h,
	    .w = win->w,
	    .timesteps = run->timesteps,
	    .time_cond = run->time_cond,
	    .text = run->text,
	    .only_text = run->guided && !guided ? PROMPT_TEXT : 0,
	};
	memset(run->model_out, 0, (size_t)run->h * (size_t)run->w * c * sizeof(float));
	memset(win->weights, 0, (size_t)run->w * sizeof(float));
	for (int i = 0; i < win->count; i++) {
		int start = window_start(run, i, call);
		gather(run, start);
		if (guided)
			memcpy(win->in + one, win->in, one * sizeof(float));
		int status = unet_forward(run->unet, &in, win->out, err);
		if (!status && guided)
			status = guidance_combine(win->out, win->out + one, one, run->cfg_scale,
						  run->guidance_rescale, win->out, err);
		if (status)
			return status;
		scatter(run, start);
	}
	for (int y = 0; y < run->h; y++)
		for (int x = 0; x < run->w; x++)
			for (size_t k = 0; k < c; k++)
				run->model_out[((size_t)y * (size_t)run->w + (size_t)x) * c + k] /=
				    win->weights[x];
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

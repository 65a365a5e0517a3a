/* From a run's latents to files. */
#include "modalities/frames.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/jpeg.h"
#include "media/metadata.h"
#include "media/picture.h"
#include "media/png.h"
#include "media/webp.h"
#include "modalities/enlarge.h"

static size_t values(const struct frames *f)
{
	return (size_t)single_run_width(f->run) * (size_t)single_run_height(f->run) * 3;
}

int frames_init(struct frames *f, struct single_run *run, struct error *err)
{
	f->run = run;
	f->width = single_run_width(run);
	f->height = single_run_height(run);
	f->pixels = malloc(values(f) * sizeof *f->pixels);
	f->rgb = malloc(values(f));
	return f->pixels && f->rgb ? SUMI_OK
				   : error_set(err, SUMI_NOMEM, "no memory for a picture of %dx%d",
					       f->width, f->height);
}

void frames_clear(struct frames *f)
{
	free(f->pixels);
	free(f->rgb);
	upscaler_close(f->upscaler);
}

/* f->rgb is replaced by itself, larger. */
static int enlarge(struct frames *f, struct error *err)
{
	const struct request *r = &f->run->request;
	int w = enlarged_side(r, f->width), h = enlarged_side(r, f->height), status = SUMI_OK;
	if (r->upscale == 0)
		return SUMI_OK;
	if (w > WEBP_MAX_SIDE || h > WEBP_MAX_SIDE)
		return error_set(err, SUMI_TOOBIG, "upscale %g of %dx%d is larger than a picture may be",
				 r->upscale, f->width, f->height);
	if (!f->upscaler)
		status = enlarger_open(f->run->pack, r->enlargers ? &r->enlargers->after : NULL, &f->upscaler, err);
	uint8_t *large = status ? NULL : malloc((size_t)w * (size_t)h * 3);
	if (!status && !large)
		status = error_set(err, SUMI_NOMEM, "no memory for a picture of %dx%d", w, h);
	const struct enlarging by = {f->upscaler, &f->run->base, r->tile};
	if (!status)
		status = enlarge_bytes(&by, f->rgb, f->height, f->width, large, h, w, err);
	if (status) {
		free(large);
		return status;
	}
	free(f->rgb);
	f->rgb = large;
	f->width = w;
	f->height = h;
	return SUMI_OK;
}

/* As large as the run's own pictures once more, after one that has become larger. */
static int shrink(struct frames *f, struct error *err)
{
	int w = single_run_width(f->run), h = single_run_height(f->run);
	uint8_t *rgb = f->width == w && f->height == h ? f->rgb : realloc(f->rgb, values(f));
	if (!rgb)
		return error_set(err, SUMI_NOMEM, "no memory for a picture of %dx%d", w, h);
	f->rgb = rgb;
	f->width = w;
	f->height = h;
	return SUMI_OK;
}

int frames_decode(struct frames *f, int frame, struct error *err)
{
	const struct repaint *repaint = f->run->repaint;
	int status = shrink(f, err);
	if (!status)
		status = run_decode(f->run->run, frame, f->pixels, err);
	if (status)
		return status;
	picture_to_bytes(f->pixels, f->rgb, values(f));
	if (repaint)
		status = repaint_paste(repaint, &f->rgb, &f->width, &f->height, err);
	return status ? status : enlarge(f, err);
}

int frames_width(const struct frames *f)
{
	return enlarged_side(&f->run->request, single_run_width(f->run));
}

int frames_height(const struct frames *f)
{
	return enlarged_side(&f->run->request, single_run_height(f->run));
}

int frames_emit(const struct frames *f, struct output *o, const struct sink *sink,
		struct error *err)
{
	const struct request *r = &f->run->request;
	struct metadata meta = {.infotext = f->run->infotext, .json = f->run->metadata};
	struct webp_options options = {.lossless = r->lossless, .quality = (float)r->quality};
	uint8_t *data;
	int status;
	if (strcmp(r->format, "png") == 0)
		status = png_encode(f->rgb, f->width, f->height, &meta, &data, &o->size, err);
	else if (strcmp(r->format, "jpeg") == 0)
		status = jpeg_encode(f->rgb, f->width, f->height, (int)lrint(r->quality), &meta, &data, &o->size,
				     err);
	else
		status = webp_encode(f->rgb, f->width, f->height, &options, &meta, &data, &o->size, err);
	if (status)
		return status;
	o->format = r->format;
	o->data = data;
	o->width = f->width;
	o->height = f->height;
	status = single_run_emit(f->run, o, sink, err);
	free(data);
	return status;
}

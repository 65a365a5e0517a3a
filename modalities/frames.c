/* From a run's latents to files. */
#include "modalities/frames.h"

#include <stdlib.h>
#include <string.h>

#include "media/metadata.h"
#include "media/picture.h"
#include "media/png.h"
#include "media/webp.h"

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
}

int frames_decode(struct frames *f, int frame, struct error *err)
{
	int status = run_decode(f->run->run, frame, f->pixels, err);
	if (!status)
		picture_to_bytes(f->pixels, f->rgb, values(f));
	return status;
}

int frames_paste(struct frames *f, struct error *err)
{
	const struct repaint *repaint = f->run->repaint;
	return repaint ? repaint_paste(repaint, &f->rgb, &f->width, &f->height, err) : SUMI_OK;
}

int frames_emit(const struct frames *f, struct output *o, const struct sink *sink,
		struct error *err)
{
	const struct request *r = &f->run->request;
	struct metadata meta = {.infotext = f->run->infotext, .json = f->run->metadata};
	struct webp_options options = {.lossless = r->lossless, .quality = (float)r->quality};
	bool png = strcmp(r->format, "png") == 0;
	uint8_t *data;
	int status =
	    png ? png_encode(f->rgb, f->width, f->height, &meta, &data, &o->size, err)
		: webp_encode(f->rgb, f->width, f->height, &options, &meta, &data, &o->size, err);
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

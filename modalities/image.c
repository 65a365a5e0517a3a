/* Still pictures: one run, decoded once, as WebP or PNG. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/run.h"
#include "modalities/metadata.h"
#include "modalities/modality.h"
#include "modalities/picture.h"
#include "modalities/png.h"
#include "modalities/request.h"
#include "modalities/webp.h"

struct image {
	struct generation base;
	struct pack *pack;
	struct run *run;
	struct request request;
	char *metadata, *infotext;
};

static const char *const image_formats[] = {"webp", "png", NULL};

static int image_resolve(const struct pack_info *info, struct request *r, struct error *err)
{
	int status = request_resolve(info, r, err);
	if (!status)
		status = request_resolve_format(r, image_formats, err);
	if (status)
		return status;
	if (r->frames > 1 || r->duration > 0)
		return error_set(err, SUMI_INVALID, "an image has neither frames nor a duration");
	return SUMI_OK;
}

static void image_free(struct generation *g)
{
	struct image *image = (struct image *)g;
	if (!image)
		return;
	run_free(image->run);
	free(image->metadata);
	free(image->infotext);
	free(image);
}

static int image_begin(struct pack *pack, const struct request *r, const void *saved,
                       size_t saved_size, struct generation **out, struct error *err)
{
	int status;
	float *init = NULL;
	struct image *image = calloc(1, sizeof *image);
	if (!image)
		return error_set(err, SUMI_NOMEM, "out of memory");
	image->base.modality = &modality_image;
	image->pack = pack;
	image->request = *r;
	if (r->init && (status = picture_load(r->init, r->width, r->height, &init, err)))
		goto fail;
	struct run_params params = request_run_params(r);
	params.init = init;
	status = saved ? run_restore(pack, &params, saved, saved_size, &image->run, err)
	               : run_begin(pack, &params, &image->run, err);
	if (status || (status = request_metadata(pack, r, &image->metadata, err)) ||
	    (status = request_infotext(pack_info_of(pack), r, &image->infotext, err)))
		goto fail;
	free(init);
	image->base.steps = run_steps(image->run);
	image->base.steps_done = run_steps_done(image->run);
	*out = &image->base;
	return SUMI_OK;
fail:
	free(init);
	image_free(&image->base);
	return status;
}

static int image_step(struct generation *g, struct error *err)
{
	struct image *image = (struct image *)g;
	int status = run_step(image->run, err);
	g->steps_done = run_steps_done(image->run);
	return status;
}

static int image_save(const struct generation *g, void **data, size_t *size, struct error *err)
{
	return run_save(((const struct image *)g)->run, data, size, err);
}

static int image_preview(const struct generation *g, uint8_t *rgb, size_t max_pixels, int *width,
                         int *height, struct error *err)
{
	const struct image *image = (const struct image *)g;
	return request_preview(image->run, &image->request, pack_info_of(image->pack)->scale, rgb,
	                       max_pixels, width, height, err);
}

static int encode(const struct image *image, const uint8_t *rgb, void **data, size_t *size,
                  struct error *err)
{
	const struct request *r = &image->request;
	struct metadata meta = {.infotext = image->infotext, .json = image->metadata};
	uint8_t *bytes;
	int status;
	if (strcmp(r->format, "png") == 0) {
		status = png_encode(rgb, r->width, r->height, &meta, &bytes, size, err);
	} else {
		struct webp_options options = {.lossless = r->lossless, .quality = (float)r->quality};
		status = webp_encode(rgb, r->width, r->height, &options, &meta, &bytes, size, err);
	}
	*data = bytes;
	return status;
}

static int image_finish(struct generation *g, const struct sink *sink, struct error *err)
{
	struct image *image = (struct image *)g;
	const struct request *r = &image->request;
	size_t count = (size_t)r->width * (size_t)r->height * 3, size;
	void *data = NULL;
	int status;
	float *pixels = malloc(count * sizeof *pixels);
	uint8_t *rgb = malloc(count);
	if (!pixels || !rgb) {
		status = error_set(err, SUMI_NOMEM, "no memory for a picture of %dx%d", r->width,
		                   r->height);
		goto done;
	}
	if ((status = run_decode(image->run, 0, pixels, err)))
		goto done;
	picture_to_bytes(pixels, rgb, count);
	if ((status = encode(image, rgb, &data, &size, err)))
		goto done;
	bool png = strcmp(r->format, "png") == 0;
	struct output output = {
	    .role = "main",
	    .format = r->format,
	    .mime = png ? "image/png" : "image/webp",
	    .data = data,
	    .size = size,
	    .width = r->width,
	    .height = r->height,
	    .metadata_json = image->metadata,
	    .infotext = image->infotext,
	};
	status = sink->output(sink->context, &output, err);
done:
	free(data);
	free(rgb);
	free(pixels);
	return status;
}

const struct modality modality_image = {
    .name = "image",
    .formats = image_formats,
    .resolve = image_resolve,
    .begin = image_begin,
    .step = image_step,
    .save = image_save,
    .preview = image_preview,
    .finish = image_finish,
    .free = image_free,
};

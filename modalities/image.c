/* Still pictures: one run, decoded once, as WebP or PNG. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "modalities/metadata.h"
#include "modalities/modality.h"
#include "modalities/picture.h"
#include "modalities/png.h"
#include "modalities/request.h"
#include "modalities/single_run.h"
#include "modalities/webp.h"

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

static int image_begin(struct pack *pack, const struct request *r, const void *saved,
		       size_t saved_size, struct generation **out, struct error *err)
{
	float *init = NULL;
	int status = SUMI_OK;
	if (r->init)
		status = picture_load(r->init, r->width, r->height, &init, err);
	struct single_run_start start = {
	    .modality = &modality_image,
	    .init = init,
	    .saved = saved,
	    .saved_size = saved_size,
	};
	if (!status)
		status = single_run_begin(pack, r, &start, out, err);
	free(init);
	return status;
}

static int encode(const struct single_run *image, const uint8_t *rgb, void **data, size_t *size,
		  struct error *err)
{
	const struct request *r = &image->request;
	struct metadata meta = {.infotext = image->infotext, .json = image->metadata};
	uint8_t *bytes;
	int status;
	if (strcmp(r->format, "png") == 0) {
		status = png_encode(rgb, r->width, r->height, &meta, &bytes, size, err);
	} else {
		struct webp_options options = {.lossless = r->lossless,
					       .quality = (float)r->quality};
		status = webp_encode(rgb, r->width, r->height, &options, &meta, &bytes, size, err);
	}
	*data = bytes;
	return status;
}

static int image_finish(struct generation *g, const struct sink *sink, struct error *err)
{
	struct single_run *image = (struct single_run *)g;
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
    .step = single_run_step,
    .save = single_run_save,
    .preview = single_run_preview,
    .finish = image_finish,
    .free = single_run_free,
};

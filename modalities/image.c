/* Still pictures: one run, decoded once, as WebP or PNG. */
#include <stdlib.h>

#include "media/picture_file.h"
#include "modalities/frames.h"
#include "modalities/request.h"


static int image_resolve(const struct pack_info *info, struct request *r, struct error *err)
{
	int status = request_resolve(info, r, err);
	return status ? status : request_resolve_end(r, PARAM_IMAGE, err);
}

static int load_init(const struct single_run_start *start, const struct request *r, float **out,
		     struct error *err)
{
	(void)start;
	return picture_load(r->init_file, r->init, r->width, r->height, out, err);
}

static int image_begin(struct pack *pack, const struct request *r, const void *saved,
		       size_t saved_size, struct generation **out, struct error *err)
{
	struct single_run_start start = {
	    .modality = &modality_image,
	    .load_init = load_init,
	    .saved = saved,
	    .saved_size = saved_size,
	};
	return single_run_begin(pack, r, &start, out, err);
}

static int image_finish(struct generation *g, const struct sink *sink, struct error *err)
{
	struct frames f = {0};
	struct output o = {.role = "main"};
	int status = frames_init(&f, (struct single_run *)g, err);
	if (!status && !(status = frames_decode(&f, 0, err)))
		status = frames_emit(&f, &o, sink, err);
	frames_clear(&f);
	return status;
}

const struct modality modality_image = {
    .resolve = image_resolve,
    .begin = image_begin,
    .check_file = picture_check,
    .step = single_run_step,
    .joins = single_run_joins,
    .step_together = single_run_step_together,
    .most_together = single_run_most_together,
    .save = single_run_save,
    .preview = single_run_preview,
    .finish = image_finish,
    .free = single_run_free,
};

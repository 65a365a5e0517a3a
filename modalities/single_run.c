/* A generation that is one run of the core. */
#include "modalities/single_run.h"

#include <stdlib.h>
#include <string.h>

#include "diffusion/embeddings.h"
#include "media/format.h"
#include "modalities/request.h"
#include "modalities/stages.h"

enum { COLOURS = 3 };

_Static_assert(RUN_TOGETHER_MAX <= TOGETHER_MAX, "the core makes more runs at once than may be");

/* What stands before the state of a second run. */
static const char second_magic[8] = {'s', 'u', 'm', 'i', '2', 'n', 'd', '1'};

static struct run_params second_params(const struct single_run *s)
{
	struct run_params second = stages_params(&s->request, pack_info_of(s->pack), &s->first);
	if (s->other_folder[0]) {
		second.embeddings = s->other_embeddings;
		second.control_count = 0;
	}
	return second;
}

/* A second run of another pack: by its small files alone. */
static int check_other(struct single_run *s, struct error *err)
{
	struct pack_info info;
	struct run_params second = second_params(s);
	int status = pack_info_read(s->other_folder, &info, err);
	if (status)
		return status;
	status = run_possible(&info, &second, false, err);
	if (!status)
		status = run_calls(&info, &second, &s->second_steps, err);
	if (!status)
		status = request_embeddings(&info, &s->request, &s->other_embeddings, err);
	snprintf(s->other_digest, sizeof s->other_digest, "%s", info.digest);
	s->request.refiner_digest = s->other_digest;
	pack_info_free(&info);
	return status ? error_prefix(err, "refiner") : SUMI_OK;
}

/* Both of a picture's runs fit, before anything is read. */
static int check(struct single_run *s, struct error *err)
{
	const struct pack_info *info = pack_info_of(s->pack);
	stages_first(&s->request, &s->first);
	int status = run_check(s->pack, &s->first, err);
	if (status || !stages_second(&s->request))
		return status;
	status = stages_pack(&s->request, info, s->other_folder, err);
	if (status || s->other_folder[0])
		return status ? status : check_other(s, err);
	struct run_params second = second_params(s);
	status = run_check(s->pack, &second, err);
	return status ? status : run_calls(info, &second, &s->second_steps, err);
}

/* The pack of the second run, open. The first one's run has ended by then. */
static int open_other(struct single_run *s, struct pack **out, struct error *err)
{
	*out = s->pack;
	if (!s->other_folder[0])
		return SUMI_OK;
	if (!s->other) {
		pack_make_way(s->pack, pack_weight_bytes(s->other_folder));
		int status = pack_open(pack_device(s->pack), s->other_folder, &s->other, err);
		if (status)
			return error_prefix(err, "refiner");
	}
	*out = s->other;
	return SUMI_OK;
}

/* A run of a pack and of its own size, from saved bytes where there are any, shown the pictures of its
 * controls. Those are of the first pack: a refiner is not shown them. */
static int begin_shown(struct single_run *s, struct pack *pack, struct run_params params, const void *saved,
		       size_t size, struct run **out, struct error *err)
{
	struct request_controls shown = {.count = 0};
	int status = SUMI_OK;
	params.control_count = 0;
	if (pack == s->pack)
		status = request_controls_read(&s->request, params.width, params.height, &shown, err);
	params.controls = shown.all;
	params.control_count = shown.count;
	if (!status)
		status = saved ? run_restore(pack, &params, saved, size, out, err)
			       : run_begin(pack, &params, out, err);
	request_controls_clear(&shown);
	return status;
}

static void count_steps(struct single_run *s)
{
	if (!s->second)
		s->first_steps = run_steps(s->run);
	s->base.steps = s->first_steps + s->second_steps;
	s->base.steps_done = (s->second ? s->first_steps : 0) + run_steps_done(s->run);
}

/* From the first run to the second, when that is done. */
static int advance(struct single_run *s, struct error *err)
{
	float *owned = NULL;
	struct run *next = NULL;
	if (!s->second_steps || s->second || run_steps_done(s->run) < run_steps(s->run))
		return SUMI_OK;
	struct pack *pack;
	struct run_params params = second_params(s);
	struct stage between = {&s->base, &s->request, s->pack, s->run, &params};
	int status = stages_go_on(&between, &owned, err);
	run_retire(s->run);
	if (!status)
		status = open_other(s, &pack, err);
	if (!status)
		status = begin_shown(s, pack, params, NULL, 0, &next, err);
	free(owned);
	if (status)
		return status;
	run_free(s->run);
	s->run = next;
	s->second = true;
	return SUMI_OK;
}

static int restore_second(struct single_run *s, const struct single_run_start *start,
			  struct error *err)
{
	struct run_params params = second_params(s);
	struct pack *pack;
	int status = run_calls(pack_info_of(s->pack), &s->first, &s->first_steps, err);
	s->second = true;
	if (!status)
		status = open_other(s, &pack, err);
	return status ? status
		      : begin_shown(s, pack, params, (const char *)start->saved + sizeof second_magic,
				    start->saved_size - sizeof second_magic, &s->run, err);
}

/* The first run, or the second where that was saved. */
static int begin_run(struct single_run *s, const struct single_run_start *start, struct error *err)
{
	const struct request *r = &s->request;
	struct run_params params = s->first;
	float *init = NULL;
	int status = SUMI_OK;
	if (start->saved_size > sizeof second_magic &&
	    memcmp(start->saved, second_magic, sizeof second_magic) == 0)
		return s->second_steps ? restore_second(s, start, err)
				       : error_set(err, SUMI_INVALID,
						   "saved run: it was made with other parameters");
	if (r->init && !r->init_file)
		return error_set(err, SUMI_INTERNAL, "init: nobody has looked for its file");
	if (request_masked(r))
		status = repaint_load(r, &s->repaint, err);
	else if (r->init)
		status = start->load_init(start, r, &init, err);
	params.init = s->repaint ? repaint_init(s->repaint) : init;
	params.unknown = params.init ? start->unknown : 0;
	if (params.unknown)
		params.strength = 1;
	params.mask = s->repaint ? repaint_mask(s->repaint) : NULL;
	if (!status)
		status = begin_shown(s, s->pack, params, start->saved, start->saved_size, &s->run, err);
	free(init);
	if (s->repaint)
		repaint_begun(s->repaint);
	/* It may have been saved between the two. */
	return status ? status : advance(s, err);
}

/* Half of the smaller side that is cut, in whole latents. */
static int overlap_of(int width, int height, int scale)
{
	int side = width && (!height || width < height) ? width : height;
	return side / 2 / scale * scale;
}

int single_run_begin(struct pack *pack, const struct request *r,
		     const struct single_run_start *start, struct generation **out,
		     struct error *err)
{
	const struct pack_info *info = pack_info_of(pack);
	int colours = start->colours ? start->colours : COLOURS;
	if (info->latents.colours != colours)
		return error_set(err, SUMI_UNSUPPORTED,
				 "model %s makes pixels of %d colours, such files have %d", info->name,
				 info->latents.colours, colours);
	struct single_run *s = calloc(1, sizeof *s);
	if (!s)
		return error_set(err, SUMI_NOMEM, "out of memory");
	s->base.modality = start->modality;
	s->pack = pack;
	s->request = *r;
	s->first = request_run_params(r);
	s->first.window = start->window;
	s->first.overlap = start->overlap;
	s->first.patch_width = start->patch_width;
	s->first.patch_height = start->patch_height;
	s->first.patch_overlap = overlap_of(start->patch_width, start->patch_height, info->latents.scale);
	s->first.init_frames = 1;
	if (start->width)
		s->first.width = start->width;
	request_controls_list(r, &s->controls);
	s->first.controls = s->controls.all;
	s->first.control_count = s->controls.count;
	int status = check(s, err);
	if (!status)
		status = request_embeddings(info, r, &s->embeddings, err);
	s->first.embeddings = s->embeddings;
	if (!status)
		status = begin_run(s, start, err);
	/* Texts that say no more than their words have no syntax. */
	if (!status && !run_has_syntax(s->run))
		s->request.prompt_syntax = NULL;
	if (!status)
		status = request_metadata(s->run, &s->request, s->embeddings, &s->metadata, err);
	if (!status)
		status = request_infotext(s->run, &s->request, s->embeddings, &s->infotext, err);
	if (status) {
		single_run_free(&s->base);
		return status;
	}
	count_steps(s);
	*out = &s->base;
	return SUMI_OK;
}

int single_run_width(const struct single_run *s)
{
	struct latent_spec spec = run_latent_spec(s->run);
	return spec.width * spec.scale;
}

int single_run_height(const struct single_run *s)
{
	struct latent_spec spec = run_latent_spec(s->run);
	return spec.height * spec.scale;
}

void single_run_free(struct generation *g)
{
	struct single_run *s = (struct single_run *)g;
	if (!s)
		return;
	run_free(s->run);
	pack_close(s->other);
	embeddings_close(s->other_embeddings);
	repaint_free(s->repaint);
	embeddings_close(s->embeddings);
	free(s->metadata);
	free(s->infotext);
	free(s);
}

int single_run_emit(const struct single_run *s, struct output *o, const struct sink *sink,
		    struct error *err)
{
	o->mime = format_named(o->format)->mime;
	o->metadata_json = s->metadata;
	o->infotext = s->infotext;
	return sink->output(sink->context, o, err);
}

int single_run_step(struct generation *g, struct error *err)
{
	struct single_run *s = (struct single_run *)g;
	int status = advance(s, err); /* where the last one could not */
	if (!status)
		status = run_step(s->run, err);
	if (!status)
		status = advance(s, err);
	count_steps(s);
	return status;
}

bool single_run_joins(const struct generation *a, const struct generation *b)
{
	const struct single_run *one = (const struct single_run *)a, *other = (const struct single_run *)b;
	/* Two runs have two sizes. */
	return a->modality == b->modality && !one->second_steps && !other->second_steps &&
	       run_joins(one->run, other->run);
}

int single_run_step_together(struct generation *const *all, int count, struct error *err)
{
	struct run **runs = calloc((size_t)count, sizeof(struct run *));
	if (!runs)
		return error_set(err, SUMI_NOMEM, "out of memory");
	for (int i = 0; i < count; i++)
		runs[i] = ((struct single_run *)all[i])->run;
	int status = run_step_together(runs, count, err);
	for (int i = 0; i < count; i++)
		all[i]->steps_done = run_steps_done(runs[i]);
	free(runs);
	return status;
}

int single_run_most_together(const struct generation *g)
{
	return run_most_together(((const struct single_run *)g)->run);
}

int single_run_save(const struct generation *g, void **data, size_t *size, struct error *err)
{
	const struct single_run *s = (const struct single_run *)g;
	int status = run_save(s->run, data, size, err);
	if (status || !s->second)
		return status;
	char *more = malloc(*size + sizeof second_magic);
	if (more) {
		memcpy(more, second_magic, sizeof second_magic);
		memcpy(more + sizeof second_magic, *data, *size);
		*size += sizeof second_magic;
	}
	free(*data);
	*data = more;
	return more ? SUMI_OK : error_set(err, SUMI_NOMEM, "no memory to save a run");
}

int single_run_preview(const struct generation *g, uint8_t *rgb, size_t max_pixels, int *width,
		       int *height, struct error *err)
{
	const struct single_run *s = (const struct single_run *)g;
	return request_preview(s->run, rgb, max_pixels, width, height, err);
}

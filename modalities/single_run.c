/* A generation that is one run of the core. */
#include "modalities/single_run.h"

#include <stdlib.h>

#include "diffusion/embeddings.h"
#include "media/format.h"
#include "modalities/request.h"

enum { COLOURS = 3 };

_Static_assert(RUN_TOGETHER_MAX <= TOGETHER_MAX, "the core makes more runs at once than may be");

int single_run_begin(struct pack *pack, const struct request *r,
		     const struct single_run_start *start, struct generation **out,
		     struct error *err)
{
	const struct pack_info *info = pack_info_of(pack);
	if (info->latents.colours != COLOURS)
		return error_set(err, SUMI_UNSUPPORTED,
				 "model %s makes pixels of %d colours, files of pictures have %d",
				 info->name, info->latents.colours, COLOURS);
	struct single_run *s = calloc(1, sizeof *s);
	if (!s)
		return error_set(err, SUMI_NOMEM, "out of memory");
	s->base.modality = start->modality;
	s->pack = pack;
	s->request = *r;
	struct run_params params = request_run_params(r);
	params.window = start->window;
	params.overlap = start->overlap;
	if (start->width)
		params.width = start->width;
	float *init = NULL;
	struct embeddings *embeddings = NULL;
	int status = run_check(pack, &params, err);
	if (!status)
		status = request_embeddings(info, r, &embeddings, err);
	params.embeddings = embeddings;
	if (!status && r->init && !r->init_file)
		status = error_set(err, SUMI_INTERNAL, "init: nobody has looked for its file");
	else if (!status && request_masked(r))
		status = repaint_load(r, &s->repaint, err);
	else if (!status && r->init)
		status = start->load_init(start, r, &init, err);
	params.init = s->repaint ? repaint_init(s->repaint) : init;
	params.mask = s->repaint ? repaint_mask(s->repaint) : NULL;
	params.init_frames = 1;
	if (!status)
		status = start->saved
			 ? run_restore(pack, &params, start->saved, start->saved_size, &s->run, err)
			 : run_begin(pack, &params, &s->run, err);
	free(init);
	if (s->repaint)
		repaint_begun(s->repaint);
	/* Texts that say no more than their words have no syntax. */
	if (!status && !run_has_syntax(s->run))
		s->request.prompt_syntax = NULL;
	if (!status)
		status = request_metadata(pack, &s->request, embeddings, &s->metadata, err);
	if (!status)
		status = request_infotext(info, &s->request, embeddings, &s->infotext, err);
	embeddings_close(embeddings);
	if (status) {
		single_run_free(&s->base);
		return status;
	}
	s->base.steps = run_steps(s->run);
	s->base.steps_done = run_steps_done(s->run);
	*out = &s->base;
	return SUMI_OK;
}

void single_run_free(struct generation *g)
{
	struct single_run *s = (struct single_run *)g;
	if (!s)
		return;
	run_free(s->run);
	repaint_free(s->repaint);
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
	int status = run_step(s->run, err);
	g->steps_done = run_steps_done(s->run);
	return status;
}

bool single_run_joins(const struct generation *a, const struct generation *b)
{
	return a->modality == b->modality &&
	       run_joins(((const struct single_run *)a)->run, ((const struct single_run *)b)->run);
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
	return run_save(((const struct single_run *)g)->run, data, size, err);
}

int single_run_preview(const struct generation *g, uint8_t *rgb, size_t max_pixels, int *width,
		       int *height, struct error *err)
{
	const struct single_run *s = (const struct single_run *)g;
	return request_preview(s->run, &s->request, pack_info_of(s->pack)->latents.scale, rgb, max_pixels,
			       width, height, err);
}

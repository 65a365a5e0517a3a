/* One job from claim to end.
 *
 *     claim → for each group of variants: begin or restore, step, rows of job and attempt,
 *     then step, save, step, save … → for each of them: file, row → variant told → … →
 *     row "stored" → queue's finish → row "visible"
 *
 * A crash between any two of these repeats the later ones; crash points stand between them
 * so that the tests can try each. */
#include "daemon/execute.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crashpoint.h"
#include "base/log.h"
#include "daemon/conclude.h"
#include "daemon/team.h"
#include "diffusion/adapters.h"
#include "diffusion/controls.h"

/* ---- answers from the store -------------------------------------------------------- */

static void tell_answer(struct work *w)
{
	struct error ignored;
	if (w->answer.count == 0)
		return;
	log_info("job.answered", "id=%s from=%s", w->lease->id, w->answer.from);
	queue_event(w->x->queue, w->lease, "answered", "from", w->answer.from,
		    strlen(w->answer.from), &ignored);
	crash_point("answered");
}

/* The same results under this job's own name. */
static int answer_variant(struct work *w, struct error *err)
{
	struct sink sink = {.context = w, .output = work_output};
	w->variant.seed = job_request(&w->lease->job, w->variant.number).seed;
	w->variant.steps = 0;
	w->variant.outputs = 0;
	w->variant.result = json_array();
	if (!w->variant.result)
		return error_set(err, SUMI_NOMEM, "out of memory");
	work_report(w, WORK_FIRST_LIMIT_MS, 0, 0);
	int status = answer_emit(&w->answer, w->variant.number, &sink, err);
	if (!status)
		status = work_tell(w, err);
	json_decref(w->variant.result);
	w->variant.result = NULL;
	return status;
}

static int make_variant(struct work *w, struct team *team, enum stop *stop, struct error *err)
{
	if (w->answer.count > 0) {
		int status = answer_variant(w, err);
		if (status == SUMI_OK || status == SUMI_LOST || status == SUMI_FULL)
			return status;
		/* A file that went away meanwhile: the job is made like any other. */
		log_warn("answer.failed", "id=%s error=\"%s\"", w->lease->id, err->text);
		answer_clear(&w->answer);
	}
	int64_t start = clock_mono_us();
	bool there = w->place.pack || w->modality->packless;
	int status =
	    there ? SUMI_OK : models_get(w->x->models, w->place.folder, w->place.adapters,
					     w->place.stamp, &w->place.pack, err);
	timings_add(&w->pace.timings, "load", clock_mono_us() - start);
	return status ? status : team_make(team, stop, err);
}

/* Of its controls, for the pack. */
static int find_networks(struct work *w, struct error *err)
{
	struct pack_info fresh = {0};
	const json_t *controls = w->lease->job.controls;
	const struct pack_info *info = catalogue_at(w->x->catalogue, w->place.folder);
	int status = SUMI_OK;
	if (!json_array_size(controls))
		return SUMI_OK;
	if (!info && !(status = pack_info_read_plain(w->place.folder, &fresh, err)))
		info = &fresh;
	if (!status)
		status = controls_find(w->x->config->packs, w->x->config->state_dir, controls, info,
				       &w->place.networks, err);
	if (info == &fresh)
		pack_info_free(&fresh);
	return status;
}

static int find_enlargers(struct work *w, struct error *err)
{
	const struct config *config = w->x->config;
	return enlargers_find(config->packs, config->state_dir, config->upscaler, &w->lease->job.request,
			      &w->place.enlargers, err);
}

/* The pack that makes the job, and what else of models it needs. */
static int find_place(struct work *w, struct error *err)
{
	const struct job *job = &w->lease->job;
	int status = catalogue_find(w->x->catalogue, work_model(w->x, job), w->place.folder, err);
	if (status)
		return status;
	status = adapters_find(w->x->config->packs, w->x->config->state_dir, job->loras,
			       &w->place.adapters, err);
	if (status)
		return status;
	status = find_networks(w, err);
	if (!status)
		status = find_enlargers(w, err);
	if (status)
		return status;
	/* Networks are loaded apart from the pack: a stamp for its answers alone. */
	w->place.stamp =
	    catalogue_stamp(w->x->catalogue, w->place.folder) + adapters_stamp(w->place.adapters);
	work_find_answer(w);
	tell_answer(w);
	return SUMI_OK;
}

static int run_job(struct work *w, struct team *team, enum stop *stop, struct error *err)
{
	const struct job *job = &w->lease->job;
	w->modality = modality_find(job->modality);
	if (!w->modality)
		return error_set(err, SUMI_UNSUPPORTED, "this sumi cannot make '%s'",
				 job->modality);
	work_report(w, WORK_FIRST_LIMIT_MS, 0, 0);
	int status = work_settle(w, err);
	if (!status && !w->modality->packless)
		status = find_place(w, err);
	if (status)
		return status;
	int *k = &w->variant.number;
	for (*k = 0; *k < (int)job->n && !status && *stop == STOP_NO; ++*k)
		if (!(w->lease->variants_done >> *k & 1) &&
		    ((status = make_variant(w, team, stop, err)) || *stop != STOP_NO))
			break;
	if (status || *stop != STOP_NO)
		return status;
	return conclude_finish(w, err);
}

enum execute_result execute_job(struct executor *x, struct queue_lease *lease)
{
	struct error err = {0};
	enum stop stop = STOP_NO;
	struct work w = {.x = x, .lease = lease};
	struct team team = {.leader = &w};
	work_claimed(&w);
	crash_point("claimed");
	int status = run_job(&w, &team, &stop, &err);
	enum execute_result result = conclude(&w, status, stop, &err);
	result = team_conclude(&team, result, stop);
	free(w.place.adapters);
	controls_free(w.place.networks);
	return result;
}

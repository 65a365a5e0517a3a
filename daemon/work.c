/* The variants of a job that is in work: beginning, previews, saved states, files, rows. */
#include "daemon/work.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crashpoint.h"
#include "base/log.h"
#include "daemon/settle.h"
#include "daemon/show.h"
#include "diffusion/adapters.h"
#include "diffusion/controls.h"
#include "diffusion/embeddings.h"
#include "media/webp.h"
#include "modalities/request.h"
#include "modalities/wildcards.h"
#include "queue/saved.h"

enum {
	SHORTEST_LIMIT_MS = 30000, /* a step's limit is never below this … */
	LIMIT_FACTOR = 10,         /* … nor below so many times the longest step so far */
	PREVIEW_PIXELS = 256 * 256 /* of latents: pictures of 2048×2048 */
};

static int64_t step_limit(const struct work *w)
{
	if (w->x->config->step_limit_ms > 0)
		return w->x->config->step_limit_ms;
	if (w->pace.longest_ms == 0)
		return WORK_FIRST_LIMIT_MS;
	int64_t limit = w->pace.longest_ms * LIMIT_FACTOR;
	return limit > SHORTEST_LIMIT_MS ? limit : SHORTEST_LIMIT_MS;
}

void work_claimed(struct work *w)
{
	log_info("job.claimed", "id=%s modality=%s attempt=%lld", w->lease->id,
		 w->lease->job.modality, (long long)w->lease->attempt);
	beat_lease(w->x->beat, w->lease, WORK_FIRST_LIMIT_MS);
	w->pace.claimed_us = clock_mono_us();
}

/* Variants that have no result yet and that the present steps do not make. */
static int variants_left(const struct work *w)
{
	uint64_t not_left = w->lease->variants_done | UINT64_C(1) << w->variant.number;
	int left = 0;
	for (int i = 0; w->group && i < w->group->count; i++)
		if (w->group->members[i].owner == w)
			not_left |= UINT64_C(1) << w->group->members[i].variant;
	for (int k = 0; k < (int)w->lease->job.n; k++)
		left += !(not_left >> k & 1);
	return left;
}

void work_report(struct work *w, int64_t limit_ms, int step, int steps)
{
	char text[120];
	/* A step serves the whole group, and later ones are expected to be as large. */
	int first, together = w->group ? group_count(w->group, w, &first) : 0;
	together = together > 1 ? together : 1;
	snprintf(text, sizeof text, "%s variant %d step %d/%d", w->lease->id, w->variant.number + 1, step,
		 steps);
	struct queue_progress p = {
	    .variant = w->variant.number,
	    .step = step,
	    .steps = steps,
	    .eta_s = w->pace.step_ms && steps ? (double)w->pace.step_ms / 1000 *
					       ((double)(steps - step) +
						(double)steps * variants_left(w) / together)
					 : NAN,
	};
	beat_progress(w->x->beat, &p, limit_ms);
	w->x->report(w->x->report_context, limit_ms, text);
}

enum stop work_should_stop(struct work *w)
{
	static const enum stop of_hint[] = {
	    [QUEUE_GO_ON] = STOP_NO,
	    [QUEUE_STOP_CANCEL] = STOP_CANCEL,
	    [QUEUE_STOP_PREEMPT] = STOP_PREEMPT,
	    [QUEUE_STOP_WINDOW] = STOP_WINDOW,
	};
	bool lost;
	enum queue_hint hint = beat_hint(w->x->beat, &lost);
	if (lost)
		return STOP_LOST;
	if (of_hint[hint] != STOP_NO)
		return of_hint[hint];
	return *w->x->drain ? STOP_DRAIN : STOP_NO;
}

const char *work_model(const struct executor *x, const struct job *job)
{
	const struct pack_info *pack;
	struct error ignored;
	bool chosen;
	if (job->model)
		return job->model;
	return catalogue_default(x->catalogue, x->config, job->modality, &pack, &ignored)
		   ? config_model(x->config, job->modality, &chosen)
		   : pack->name;
}

/* ---- rows ------------------------------------------------------------------------ */

/* Also when the pack could not be loaded: a job that fails has its rows too. */
static int put_rows(struct work *w, struct error *err)
{
	const struct job *job = &w->lease->job;
	const struct pack_info *info = w->place.pack ? pack_info_of(w->place.pack) : NULL;
	struct executor *x = w->x;
	char *params;
	int status = job_to_json(job, &params, err);
	if (status)
		return status;
	int64_t now = clock_wall_ms();
	struct store_job row = {
	    .id = w->lease->id,
	    .modality = (char *)job->modality,
	    .model = (char *)work_model(x, job),
	    .prompt = (char *)job->prompt,
	    .negative_prompt = (char *)job->negative_prompt,
	    .submitter = (char *)job->submitter,
	    .params = params,
	    .token = w->lease->token,
	    .digest = w->answer.digest[0] ? w->answer.digest : NULL,
	    .tags = (char **)job->tags.at,
	    .tag_count = job->tags.count,
	    .priority = (int)job->priority,
	    .variants = (int)job->n,
	    .created = w->lease->created_ms ? w->lease->created_ms : now,
	    .started = now,
	};
	status = store_job_put(x->store, &row, err);
	free(params);
	if (status)
		return status;
	struct store_attempt attempt = {
	    .job = w->lease->id,
	    .token = w->lease->token,
	    .worker = (char *)x->worker->name,
	    .host = (char *)x->worker->host,
	    .device = x->device->info.name,
	    .driver = x->device->info.driver,
	    .version = SUMI_VERSION,
	    .model_digest = info ? (char *)info->digest : NULL,
	    .started = now,
	};
	status = store_attempt_begin(x->store, &attempt, err);
	if (status || !info)
		return status;
	struct store_model model = {
	    .name = (char *)info->name,
	    .digest = (char *)info->digest,
	    .modality = (char *)info->modality,
	    .last_used = now,
	};
	return store_model_put(x->store, &model, err);
}

int work_need_rows(struct work *w, struct error *err)
{
	if (w->marks.rows)
		return SUMI_OK;
	int status = work_of_store(w, put_rows(w, err));
	w->marks.rows = status == SUMI_OK;
	if (w->marks.rows)
		crash_point("started");
	return status;
}

/* ---- results --------------------------------------------------------------------- */

int work_output(void *context, const struct output *o, struct error *err)
{
	struct work *w = context;
	enum store_put outcome;
	int64_t start = clock_mono_us();
	struct store_artifact a = {
	    .job = w->lease->id,
	    .variant = w->variant.number,
	    .role = (char *)o->role,
	    .number = o->number,
	    .format = (char *)o->format,
	    .mime = (char *)o->mime,
	    .width = o->width,
	    .height = o->height,
	    .duration = o->duration,
	    .seed = w->variant.seed,
	    .infotext = (char *)o->infotext,
	    .metadata = (char *)o->metadata_json,
	};
	int status = work_need_rows(w, err);
	if (!status)
		status = work_of_store(
		    w, store_artifact_put(w->x->store, &a, o->data, o->size, &outcome, err));
	if (status)
		return status;
	w->variant.outputs++;
	if (strcmp(o->role, "frame") == 0)
		memcpy(w->variant.frame_sha256, a.sha256, sizeof a.sha256);
	char mark[SETTLE_MARK_SIZE];
	settle_mark(w->lease->token, mark);
	json_array_append_new(
	    w->variant.result, json_pack("{s:i, s:s, s:s, s:s, s:s, s:I, s:i, s:i, s:o, s:s, s:s}",
				 "variant", w->variant.number, "role", o->role, "format", o->format,
				 "mime", o->mime, "sha256", a.sha256, "bytes", (json_int_t)o->size,
				 "width", o->width, "height", o->height, "seed",
				 param_seed_json(w->variant.seed), "host", w->x->worker->host, "lease",
				 mark));
	timings_add(&w->pace.timings, "store", clock_mono_us() - start);
	work_report(w, step_limit(w), w->variant.steps, w->variant.steps);
	return SUMI_OK;
}

/* Whether anybody wants the result still, where it takes long and no step is made. */
static int still_wanted(struct work *w, const char *meanwhile, struct error *err)
{
	enum stop stop = work_should_stop(w);
	if (stop == STOP_CANCEL)
		return error_set(err, SUMI_CANCELLED, "cancelled while it was %s", meanwhile);
	return stop == STOP_LOST ? error_set(err, SUMI_LOST, "the lease was lost") : SUMI_OK;
}

static int on_part(void *context, int done, int count, struct error *err)
{
	struct work *w = context;
	log_debug("part.made", "id=%s variant=%d part=%d of=%d", w->lease->id, w->variant.number, done, count);
	work_report(w, WORK_FIRST_LIMIT_MS, w->variant.steps, w->variant.steps);
	return still_wanted(w, "enlarged", err);
}

static int on_frame(void *context, const struct frame *frame, struct error *err)
{
	struct work *w = context;
	int status = still_wanted(w, "decoded", err);
	if (status)
		return status;
	int64_t start = clock_mono_us();
	const char *sha256 = w->variant.frame_sha256[0] ? w->variant.frame_sha256 : NULL;
	status = show_frame(w->x->queue, w->lease, w->variant.number, frame, sha256, err);
	w->variant.frame_sha256[0] = '\0';
	timings_add(&w->pace.timings, "preview", clock_mono_us() - start);
	work_report(w, WORK_FIRST_LIMIT_MS, w->variant.steps, w->variant.steps);
	/* A frame that cannot be shown is not worth a word, unless the job is lost. */
	return status == SUMI_LOST ? status : SUMI_OK;
}

static void tell_preview(struct work *w, const struct generation *g)
{
	int64_t now = clock_boot_ms(), every = w->x->config->preview_ms;
	if (every == 0 || now < w->pace.next_preview_ms || g->steps_done == g->steps)
		return;
	w->pace.next_preview_ms = now + every;
	struct error err;
	uint8_t *webp = NULL, *rgb = malloc((size_t)PREVIEW_PIXELS * 3);
	int width, height;
	size_t size;
	struct webp_options options = {.quality = 80};
	/* A preview that cannot be made is not worth a word: the job is what counts. */
	if (rgb && w->modality->preview(g, rgb, PREVIEW_PIXELS, &width, &height, &err) == 0 &&
	    webp_encode(rgb, width, height, &options, NULL, &webp, &size, &err) == 0 &&
	    queue_event(w->x->queue, w->lease, "preview", "webp", webp, size, &err) == 0)
		timings_add(&w->pace.timings, "preview", 0);
	free(webp);
	free(rgb);
}

static int save_state(struct work *w, struct error *err)
{
	void *data;
	size_t size;
	int status = group_save(w->group, w, &data, &size, err);
	if (status)
		return status;
	status = queue_save(w->x->queue, w->lease, w->variant.number, data, size, err);
	free(data);
	/* A state that does not fit into the queue is a job that begins anew after a crash. */
	if (status != SUMI_TOOBIG && status != SUMI_FULL)
		return status;
	if (!w->marks.unsaved)
		log_warn("step.unsaved", "id=%s error=\"%s\"", w->lease->id, err->text);
	w->marks.unsaved = true;
	return SUMI_OK;
}

int work_stepped(struct work *w, int64_t us, struct error *err)
{
	int first, own = group_count(w->group, w, &first);
	const struct generation *g = group_last(w->group, w);
	/* Of what several jobs share each counts its part: the sum is what the device spent. */
	timings_add(&w->pace.timings, "steps", us * own / w->group->count);
	w->pace.step_ms = us / 1000;
	if (w->pace.step_ms > w->pace.longest_ms)
		w->pace.longest_ms = w->pace.step_ms ? w->pace.step_ms : 1;
	beat_figures(w->x->beat, own, (int64_t)w->x->device->bytes_in_use);
	log_debug("step.made", "id=%s variant=%d variants=%d together=%d step=%d", w->lease->id,
		  w->variant.number, own, w->group->count, g->steps_done);
	crash_point("step");
	int64_t start = clock_mono_us();
	int status = save_state(w, err);
	if (status)
		return status;
	crash_point("step_saved");
	if ((status = work_need_rows(w, err)))
		return status;
	tell_preview(w, g);
	timings_add(&w->pace.timings, "save", clock_mono_us() - start);
	work_report(w, step_limit(w), g->steps_done, g->steps);
	return SUMI_OK;
}

/* ---- a variant -------------------------------------------------------------------- */

/* What an earlier attempt left, read once. */
static int load_state(struct work *w, struct error *err)
{
	if (w->saved.data || w->lease->saved_variant < 0)
		return SUMI_OK;
	int status = queue_saved(w->x->queue, w->lease->id, (int)w->lease->saved_variant, &w->saved.data,
				 &w->saved.size, err);
	return status == SUMI_NOTFOUND ? SUMI_OK : status;
}

/* Where the job leaves the precision open the saved state decides: its own may be another than what
 * is usual here, on this device or after the settings changed. */
static int go_on(struct work *w, const struct request *r, bool open, const void *saved, size_t size,
		 struct generation **g, struct error *err)
{
	struct error ignored;
	struct request other = *r;
	int status = w->modality->begin(w->place.pack, r, saved, size, g, err);
	for (int i = 0; status && open && i < PRECISIONS; i++) {
		other.precision = precision_names[i];
		if (!w->modality->begin(w->place.pack, &other, saved, size, g, &ignored))
			return SUMI_OK;
	}
	return status;
}

static int begin_variant(struct work *w, int variant, const struct request *r, bool open,
			 struct generation **g, struct error *err)
{
	const void *saved = NULL;
	size_t size = 0;
	struct error ignored;
	int status = load_state(w, err);
	if (status)
		return status;
	bool found = group_find(w->saved.data, w->saved.size, (int)w->lease->saved_variant, variant,
				&saved, &size);
	int64_t start = clock_mono_us();
	log_debug("run.begins", "id=%s variant=%d us=%lld", w->lease->id, variant,
		  (long long)start);
	status = found ? go_on(w, r, open, saved, size, g, &ignored)
		       : w->modality->begin(w->place.pack, r, NULL, 0, g, err);
	if (status && found) {
		/* Saved by another version, in a precision that this device has not, or damaged:
		 * begin anew, what comes of it is whole. */
		log_warn("run.restart", "id=%s error=\"%s\"", w->lease->id, ignored.text);
		status = w->modality->begin(w->place.pack, r, NULL, 0, g, err);
	} else if (!status && found) {
		log_info("run.resumed", "id=%s variant=%d step=%d", w->lease->id, variant,
			 (*g)->steps_done);
	}
	timings_add(&w->pace.timings, "text", clock_mono_us() - start);
	return status;
}

int work_tell(struct work *w, struct error *err)
{
	char *text = json_dumps(w->variant.result, JSON_COMPACT);
	if (!text)
		return error_set(err, SUMI_NOMEM, "out of memory");
	int status =
	    work_of_store(w, store_variant_visible(w->x->store, w->lease->id, w->variant.number, err));
	crash_point("variant_visible");
	if (!status)
		status = queue_variant(w->x->queue, w->lease, w->variant.number, text, err);
	crash_point("variant_told");
	free(text);
	return status;
}

int work_settle(struct work *w, struct error *err)
{
	const struct config *c = w->x->config;
	return wildcards_resolve(c->packs, c->state_dir, &w->lease->job, SIZE_MAX, err);
}

static struct request request_of(const struct work *w, int variant)
{
	struct request r = job_request(&w->lease->job, variant);
	r.host_precision = w->x->config->precision;
	r.usual_precision = precision_names[device_usual_precision(w->x->device)];
	r.host_packs = w->x->config->packs;
	r.host_state = w->x->config->state_dir;
	r.networks = w->place.networks;
	r.enlargers = &w->place.enlargers;
	return r;
}

void work_find_answer(struct work *w)
{
	struct request r = request_of(w, 0);
	bool open = request_leaves_precision(&r);
	struct error ignored;
	const struct config *config = w->x->config;
	int64_t now = clock_wall_ms(), start = clock_mono_us();
	if (w->x->config->reuse_ms == 0 || work_find_files(w, &r, &ignored))
		return;
	answer_find(&(struct answer_query){.store = w->x->store,
					   .catalogue = w->x->catalogue,
					   .folder = w->place.folder,
					   .stamp = w->place.stamp +
						    embeddings_stamp(config->packs,
								     config->state_dir) +
						    controls_stamp(w->place.networks) +
						    enlargers_stamp(&w->place.enlargers),
					   .modality = w->modality,
					   .request = &r,
					   .variants = (int)w->lease->job.n,
					   .oldest_ms = now - w->x->config->reuse_ms,
					   .newest_ms = now},
		    &w->answer);
	/* What an earlier attempt made or saved may be of another precision than this one's, which
	 * the digest would claim. */
	if (open && (w->lease->saved_variant >= 0 || w->lease->variants_done))
		w->answer.digest[0] = '\0';
	timings_add(&w->pace.timings, "look", clock_mono_us() - start);
}

/* What a LoRA for few steps brings where the job says nothing. */
static void log_proposal(const struct work *w, const struct request *r)
{
	struct pack_defaults d;
	const char *lora;
	double eta;
	if (!w->place.pack) /* what is made of results has none */
		return;
	d = pack_info_of(w->place.pack)->defaults;
	if (r->fast || (r->sampler && r->steps && !isnan(r->cfg_scale)) ||
	    !adapters_propose(r->loras, &d, &eta, &lora))
		return;
	log_info("lora.proposes", "id=%s lora=%s sampler=%s steps=%d cfg_scale=%g", w->lease->id, lora,
		 r->sampler ? "" : d.sampler, r->steps ? 0 : d.steps, isnan(r->cfg_scale) ? d.cfg_scale : NAN);
}

int work_begin(struct work *w, int variant, struct generation **g, uint64_t *seed,
	       struct error *err)
{
	/* What was not written down with the job, as one that comes again. */
	int status = work_settle(w, err);
	if (status)
		return status;
	struct request r = request_of(w, variant);
	bool open = request_leaves_precision(&r);
	log_proposal(w, &r);
	status = work_find_files(w, &r, err);
	if (!status)
		status = w->modality->resolve(w->place.pack ? pack_info_of(w->place.pack) : NULL, &r, err);
	if (!status)
		status = begin_variant(w, variant, &r, open, g, err);
	if (!status) {
		(*g)->part = on_part;
		(*g)->part_context = w;
	}
	*seed = r.seed;
	return status;
}

int work_finish(struct work *w, const struct group_member *m, struct error *err)
{
	struct sink sink = {.context = w, .output = work_output, .frame = on_frame};
	w->variant.number = m->variant;
	w->variant.seed = m->seed;
	w->variant.steps = m->g->steps;
	w->variant.outputs = 0;
	w->variant.result = json_array();
	if (!w->variant.result)
		return error_set(err, SUMI_NOMEM, "out of memory");
	work_report(w, WORK_FIRST_LIMIT_MS, w->variant.steps, w->variant.steps);
	int64_t start = clock_mono_us();
	int status = w->modality->finish(m->g, &sink, err);
	timings_add(&w->pace.timings, "decode", clock_mono_us() - start);
	if (!status)
		status = work_tell(w, err);
	if (!status)
		w->lease->variants_done |= UINT64_C(1) << m->variant;
	json_decref(w->variant.result);
	w->variant.result = NULL;
	return status;
}

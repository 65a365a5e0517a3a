/* One job from claim to end.
 *
 *     claim → for each variant: begin or restore, step, rows of job and attempt, then
 *     step, save, step, save … → file, row → variant told → … → row "stored" →
 *     queue's finish → row "visible"
 *
 * A crash between any two of these repeats the later ones; crash points stand between them
 * so that the tests can try each. */
#include "daemon/execute.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/crashpoint.h"
#include "base/log.h"
#include "daemon/answer.h"
#include "daemon/settle.h"
#include "daemon/show.h"
#include "daemon/timings.h"
#include "modalities/modality.h"
#include "modalities/webp.h"
#include "queue/job_request.h"
#include "queue/saved.h"

enum {
	FIRST_LIMIT_MS = 600000,    /* loading a model and compiling its kernels */
	SHORTEST_LIMIT_MS = 30000,  /* a step's limit is never below this … */
	LIMIT_FACTOR = 10,          /* … nor below so many times the longest step so far */
	PREVIEW_PIXELS = 256 * 256, /* of latents: pictures of 2048×2048 */
	JITTER_STEPS = 1000
};

/* A job in work. */
struct work {
	struct executor *x;
	struct queue_lease *lease;
	char folder[FILES_PATH_MAX]; /* of the pack */
	struct pack *pack;           /* NULL until it is needed */
	struct answer answer;        /* what an identical job has made */
	bool store_failed;           /* itself, not because of this job */
	bool has_rows;               /* job and attempt stand in the store */
	const struct modality *modality;
	struct timings timings;
	int variant;
	int steps;   /* of this variant, once they are made */
	int outputs; /* files of this variant so far */

	json_t *result;                     /* what is told about this variant: array of files */
	char frame_sha256[SHA256_HEX_SIZE]; /* of the frame's file that was stored last, or "" */
	uint64_t seed;
	int64_t longest_ms, step_ms; /* of the steps so far; the last */
	int64_t next_preview_ms;
};

/* Why the loop over steps ended. */
enum stop { STOP_NO, STOP_CANCEL, STOP_PREEMPT, STOP_WINDOW, STOP_DRAIN, STOP_LOST };

static int64_t step_limit(const struct work *w)
{
	if (w->x->config->step_limit_ms > 0)
		return w->x->config->step_limit_ms;
	if (w->longest_ms == 0)
		return FIRST_LIMIT_MS;
	int64_t limit = w->longest_ms * LIMIT_FACTOR;
	return limit > SHORTEST_LIMIT_MS ? limit : SHORTEST_LIMIT_MS;
}

static void report(struct work *w, int64_t limit_ms, int step, int steps)
{
	char text[120];
	snprintf(text, sizeof text, "%s variant %d step %d/%d", w->lease->id, w->variant + 1, step,
		 steps);
	struct queue_progress p = {
	    .variant = w->variant,
	    .step = step,
	    .steps = steps,
	    .eta_s = w->step_ms && steps
			 ? (double)w->step_ms / 1000 *
			       (double)(steps - step + steps * (w->lease->job.n - 1 - w->variant))
			 : NAN,
	};
	beat_progress(w->x->beat, &p, limit_ms);
	w->x->report(w->x->report_context, limit_ms, text);
}

static enum stop should_stop(struct work *w)
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

/* The name of the pack that makes the job. */
static const char *model_of(const struct executor *x, const struct job *job)
{
	const char *preferred = config_model(x->config, job->modality);
	const struct pack_info *pack =
	    job->model ? NULL : catalogue_default(x->catalogue, preferred, job->modality);
	return job->model ? job->model : pack ? pack->name : preferred;
}

/* ---- rows ------------------------------------------------------------------------ */

/* Also when the pack could not be loaded: a job that fails has its rows too. */
static int put_rows(struct work *w, struct error *err)
{
	const struct job *job = &w->lease->job;
	const struct pack_info *info = w->pack ? pack_info_of(w->pack) : NULL;
	struct executor *x = w->x;
	char *params;
	int status = job_to_json(job, &params, err);
	if (status)
		return status;
	int64_t now = clock_wall_ms();
	struct store_job row = {
	    .id = w->lease->id,
	    .modality = (char *)job->modality,
	    .model = (char *)model_of(x, job),
	    .prompt = (char *)job->prompt,
	    .negative_prompt = (char *)job->negative_prompt,
	    .submitter = (char *)job->submitter,
	    .params = params,
	    .token = w->lease->token,
	    .digest = w->answer.digest[0] ? w->answer.digest : NULL,
	    .tags = (char **)job->tags,
	    .tag_count = job->tag_count,
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

/* Notes a failure that the next job would meet too. */
static int of_store(struct work *w, int status)
{
	static const int own[] = {SUMI_CORRUPT, SUMI_IO, SUMI_PERM, SUMI_BUSY};
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
		w->store_failed |= status == own[i];
	return status;
}

/* The rows are written behind the first step: their fsyncs would stand between the sender and
 * its first preview, and what a crash before them loses is the knowledge of an attempt. */
static int need_rows(struct work *w, struct error *err)
{
	if (w->has_rows)
		return SUMI_OK;
	int status = of_store(w, put_rows(w, err));
	w->has_rows = status == SUMI_OK;
	if (w->has_rows)
		crash_point("started");
	return status;
}

/* ---- results --------------------------------------------------------------------- */

static int on_output(void *context, const struct output *o, struct error *err)
{
	struct work *w = context;
	enum store_put outcome;
	int64_t start = clock_mono_us();
	struct store_artifact a = {
	    .job = w->lease->id,
	    .variant = w->variant,
	    .role = (char *)o->role,
	    .number = o->number,
	    .format = (char *)o->format,
	    .mime = (char *)o->mime,
	    .width = o->width,
	    .height = o->height,
	    .duration = o->duration,
	    .seed = w->seed,
	    .infotext = (char *)o->infotext,
	    .metadata = (char *)o->metadata_json,
	};
	int status = need_rows(w, err);
	if (!status)
		status = of_store(
		    w, store_artifact_put(w->x->store, &a, o->data, o->size, &outcome, err));
	if (status)
		return status;
	w->outputs++;
	if (strcmp(o->role, "frame") == 0)
		memcpy(w->frame_sha256, a.sha256, sizeof a.sha256);
	char mark[SETTLE_MARK_SIZE];
	settle_mark(w->lease->token, mark);
	json_array_append_new(
	    w->result, json_pack("{s:i, s:s, s:s, s:s, s:s, s:I, s:i, s:i, s:I, s:s, s:s}",
				 "variant", w->variant, "role", o->role, "format", o->format,
				 "mime", o->mime, "sha256", a.sha256, "bytes", (json_int_t)o->size,
				 "width", o->width, "height", o->height, "seed",
				 (json_int_t)w->seed, "host", w->x->worker->host, "lease", mark));
	timings_add(&w->timings, "store", clock_mono_us() - start);
	report(w, step_limit(w), w->steps, w->steps);
	return SUMI_OK;
}

/* Also the place where a video that is being decoded hears that nobody wants it any more. */
static int on_frame(void *context, const struct frame *frame, struct error *err)
{
	struct work *w = context;
	enum stop stop = should_stop(w);
	if (stop == STOP_CANCEL)
		return error_set(err, SUMI_CANCELLED, "cancelled while it was decoded");
	if (stop == STOP_LOST)
		return error_set(err, SUMI_LOST, "the lease was lost");
	int64_t start = clock_mono_us();
	const char *sha256 = w->frame_sha256[0] ? w->frame_sha256 : NULL;
	int status = show_frame(w->x->queue, w->lease, w->variant, frame, sha256, err);
	w->frame_sha256[0] = '\0';
	timings_add(&w->timings, "preview", clock_mono_us() - start);
	report(w, FIRST_LIMIT_MS, w->steps, w->steps);
	/* A frame that cannot be shown is not worth a word, unless the job is lost. */
	return status == SUMI_LOST ? status : SUMI_OK;
}

static void tell_preview(struct work *w, const struct generation *g)
{
	int64_t now = clock_boot_ms(), every = w->x->config->preview_ms;
	if (every == 0 || now < w->next_preview_ms || g->steps_done == g->steps)
		return;
	w->next_preview_ms = now + every;
	struct error err;
	uint8_t *webp = NULL, *rgb = malloc((size_t)PREVIEW_PIXELS * 3);
	int width, height;
	size_t size;
	struct webp_options options = {.quality = 80};
	/* A preview that cannot be made is not worth a word: the job is what counts. */
	if (rgb && w->modality->preview(g, rgb, PREVIEW_PIXELS, &width, &height, &err) == 0 &&
	    webp_encode(rgb, width, height, &options, NULL, &webp, &size, &err) == 0 &&
	    queue_event(w->x->queue, w->lease, "preview", "webp", webp, size, &err) == 0)
		timings_add(&w->timings, "preview", 0);
	free(webp);
	free(rgb);
}

static int save_state(struct work *w, const struct generation *g, struct error *err)
{
	void *data;
	size_t size;
	int status = w->modality->save(g, &data, &size, err);
	if (status)
		return status;
	status = queue_save(w->x->queue, w->lease, w->variant, data, size, err);
	free(data);
	/* A state that does not fit into the queue is a job that begins anew after a crash. */
	return status == SUMI_TOOBIG || status == SUMI_FULL ? SUMI_OK : status;
}

/* ---- one variant ------------------------------------------------------------------ */

static int run_steps_of(struct work *w, struct generation *g, enum stop *stop, struct error *err)
{
	while (g->steps_done < g->steps) {
		*stop = should_stop(w);
		if (*stop != STOP_NO)
			return SUMI_OK;
		int64_t start = clock_mono_us();
		int status = w->modality->step(g, err);
		if (status)
			return status;
		int64_t spent = clock_mono_us() - start;
		timings_add(&w->timings, "steps", spent);
		w->step_ms = spent / 1000;
		if (w->step_ms > w->longest_ms)
			w->longest_ms = w->step_ms ? w->step_ms : 1;
		log_debug("step.made", "id=%s variant=%d step=%d", w->lease->id, w->variant,
			  g->steps_done);
		crash_point("step");
		start = clock_mono_us();
		status = save_state(w, g, err);
		if (status == SUMI_LOST) {
			*stop = STOP_LOST;
			return SUMI_OK;
		}
		if (status)
			return status;
		crash_point("step_saved");
		if ((status = need_rows(w, err)))
			return status;
		tell_preview(w, g);
		timings_add(&w->timings, "save", clock_mono_us() - start);
		report(w, step_limit(w), g->steps_done, g->steps);
	}
	*stop = should_stop(w);
	/* Everything but the decoding is done: only an order to throw the job away counts. */
	if (*stop != STOP_CANCEL && *stop != STOP_LOST)
		*stop = STOP_NO;
	return SUMI_OK;
}

static int begin_variant(struct work *w, const struct request *r, struct generation **g,
			 struct error *err)
{
	void *saved = NULL;
	size_t size = 0;
	struct error ignored;
	int status = SUMI_OK;
	if (w->variant == w->lease->saved_variant)
		status = queue_saved(w->x->queue, w->lease->id, w->variant, &saved, &size, err);
	if (status && status != SUMI_NOTFOUND)
		return status;
	int64_t start = clock_mono_us();
	log_debug("run.begins", "id=%s variant=%d us=%lld", w->lease->id, w->variant,
		  (long long)start);
	status = w->modality->begin(w->pack, r, saved, size, g, saved ? &ignored : err);
	if (status && saved) {
		/* Saved by another version, or damaged: begin anew, the bytes will be the same. */
		log_warn("run.restart", "id=%s error=\"%s\"", w->lease->id, ignored.text);
		status = w->modality->begin(w->pack, r, NULL, 0, g, err);
	} else if (!status && saved) {
		log_info("run.resumed", "id=%s variant=%d step=%d", w->lease->id, w->variant,
			 (*g)->steps_done);
	}
	timings_add(&w->timings, "text", clock_mono_us() - start);
	free(saved);
	return status;
}

static int tell_variant(struct work *w, struct error *err)
{
	char *text = json_dumps(w->result, JSON_COMPACT);
	if (!text)
		return error_set(err, SUMI_NOMEM, "out of memory");
	int status = of_store(w, store_variant_visible(w->x->store, w->lease->id, w->variant, err));
	crash_point("variant_visible");
	if (!status)
		status = queue_variant(w->x->queue, w->lease, w->variant, text, err);
	crash_point("variant_told");
	free(text);
	return status;
}

/* An init that is no path is the id of a job: its first result is meant. */
static int find_init(const struct work *w, struct request *r, char path[FILES_PATH_MAX],
		     struct error *err)
{
	struct store_artifact *list;
	size_t count;
	struct stat st;
	if (!r->init)
		return SUMI_OK;
	if (strchr(r->init, '/')) {
		/* A pipe would hold the worker until somebody writes into it. */
		if (stat(r->init, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
			return error_set(err, SUMI_INVALID, "init: %s is no plain file", r->init);
		return SUMI_OK;
	}
	int status = store_artifacts(w->x->store, r->init, false, &list, &count, err);
	if (status)
		return status == SUMI_NOTFOUND ? error_prefix(err, "init") : status;
	if (count == 0)
		status = error_set(err, SUMI_NOTFOUND, "init: job %s has no results here", r->init);
	else
		status = files_path(path, err, "%s", list[0].path);
	store_artifacts_free(list, count);
	r->init = path;
	return status;
}

static int run_variant(struct work *w, enum stop *stop, struct error *err)
{
	struct generation *g = NULL;
	char init[FILES_PATH_MAX];
	struct request r = job_request(&w->lease->job, w->variant);
	int status = find_init(w, &r, init, err);
	if (!status)
		status = w->modality->resolve(pack_info_of(w->pack), &r, err);
	if (status)
		return status;
	w->seed = r.seed;
	w->steps = 0;
	w->outputs = 0;
	w->result = json_array();
	w->next_preview_ms = 0;
	if (!w->result)
		return error_set(err, SUMI_NOMEM, "out of memory");
	report(w, FIRST_LIMIT_MS, 0, 0);
	if ((status = begin_variant(w, &r, &g, err)))
		goto done;
	crash_point("begun");
	log_debug("steps.begin", "id=%s variant=%d us=%lld", w->lease->id, w->variant,
		  (long long)clock_mono_us());
	if ((status = run_steps_of(w, g, stop, err)) || *stop != STOP_NO)
		goto done;
	w->steps = g->steps;
	report(w, FIRST_LIMIT_MS, w->steps, w->steps);
	struct sink sink = {.context = w, .output = on_output, .frame = on_frame};
	int64_t start = clock_mono_us();
	if ((status = w->modality->finish(g, &sink, err)))
		goto done;
	timings_add(&w->timings, "decode", clock_mono_us() - start);
	status = tell_variant(w, err);
	if (status == SUMI_LOST) {
		*stop = STOP_LOST;
		status = SUMI_OK;
	}
done:
	w->modality->free(g);
	json_decref(w->result);
	w->result = NULL;
	return status;
}

/* ---- answers from the store -------------------------------------------------------- */

static void find_answer(struct work *w)
{
	struct request r = job_request(&w->lease->job, 0);
	char init[FILES_PATH_MAX];
	struct error ignored;
	int64_t now = clock_wall_ms(), start = clock_mono_us();
	if (w->x->config->reuse_ms == 0 || find_init(w, &r, init, &ignored))
		return;
	answer_find(&(struct answer_query){.store = w->x->store,
					   .catalogue = w->x->catalogue,
					   .folder = w->folder,
					   .modality = w->modality,
					   .request = &r,
					   .variants = (int)w->lease->job.n,
					   .oldest_ms = now - w->x->config->reuse_ms,
					   .newest_ms = now},
		    &w->answer);
	timings_add(&w->timings, "look", clock_mono_us() - start);
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
	struct sink sink = {.context = w, .output = on_output};
	w->seed = (uint64_t)w->lease->job.seed + (uint64_t)w->variant;
	w->steps = 0;
	w->outputs = 0;
	w->result = json_array();
	if (!w->result)
		return error_set(err, SUMI_NOMEM, "out of memory");
	report(w, FIRST_LIMIT_MS, 0, 0);
	int status = answer_emit(&w->answer, w->variant, &sink, err);
	if (!status)
		status = tell_variant(w, err);
	json_decref(w->result);
	w->result = NULL;
	return status;
}

static int make_variant(struct work *w, enum stop *stop, struct error *err)
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
	int status = w->pack ? SUMI_OK : models_get(w->x->models, w->folder, &w->pack, err);
	timings_add(&w->timings, "load", clock_mono_us() - start);
	return status ? status : run_variant(w, stop, err);
}

/* ---- the end ---------------------------------------------------------------------- */

static int finish_job(struct work *w, struct error *err)
{
	struct executor *x = w->x;
	char *job_json = NULL, *timings = timings_text(&w->timings);
	int status = need_rows(w, err);
	if (!status)
		status = of_store(w, store_job_stored(x->store, w->lease->id, w->lease->token,
						      timings, clock_wall_ms(), err));
	crash_point("stored");
	if (!status)
		status = job_to_json(&w->lease->job, &job_json, err);
	if (!status) {
		struct queue_finish finish = {
		    .id = w->lease->id,
		    .token = w->lease->token,
		    .worker = x->worker->name,
		    .job_json = job_json,
		};
		status = settle_finish(x->store, x->queue, &finish, err);
	}
	if (!status)
		status = queue_saved_drop(x->queue, w->lease->id, err);
	free(job_json);
	free(timings);
	return status;
}

static void end_attempt(struct work *w, const char *outcome, const char *error)
{
	struct error err;
	char *timings = timings_text(&w->timings);
	if (store_attempt_end(w->x->store, w->lease->id, w->lease->token, outcome, error, timings,
			      clock_wall_ms(), &err))
		log_warn("store.failed", "id=%s error=\"%s\"", w->lease->id, err.text);
	free(timings);
}

static bool retry_helps(int status)
{
	static const int hopeless[] = {SUMI_INVALID, SUMI_NOTFOUND, SUMI_UNSUPPORTED, SUMI_TOOBIG,
				       SUMI_CORRUPT};
	for (size_t i = 0; i < sizeof hopeless / sizeof hopeless[0]; i++)
		if (status == hopeless[i])
			return false;
	return true;
}

/* Tells the queue of a failure and lets the store follow what became of the job. */
static void fail_job(struct work *w, int failed, const struct error *why)
{
	struct error err;
	enum job_state after = JOB_RUNNING;
	struct queue_failure failure = {
	    .status = failed,
	    .text = why->text,
	    .final = !retry_helps(failed),
	    .jitter = (double)(clock_mono_us() % JITTER_STEPS) / JITTER_STEPS,
	};
	end_attempt(w, failed == SUMI_CANCELLED ? "cancelled" : "failed", why->text);
	int status = queue_fail(w->x->queue, w->lease, &failure, &after, &err);
	if (status) {
		log_warn("job.fail", "id=%s error=\"%s\"", w->lease->id, err.text);
		return;
	}
	if (job_state_is_final(after) &&
	    (store_job_ended(w->x->store, w->lease->id, job_state_word(after), why->text,
			     clock_wall_ms(), &err) ||
	     queue_saved_drop(w->x->queue, w->lease->id, &err)))
		log_warn("store.failed", "id=%s error=\"%s\"", w->lease->id, err.text);
	log_event(failed == SUMI_CANCELLED ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "job.ended",
		  "id=%s state=%s error=\"%s\"", w->lease->id, job_state_word(after), why->text);
}

static void release_job(struct work *w, const char *reason)
{
	struct error err;
	end_attempt(w, "released", reason);
	if (queue_release(w->x->queue, w->lease, reason, NULL, &err))
		log_warn("job.release", "id=%s error=\"%s\"", w->lease->id, err.text);
	else
		log_info("job.released", "id=%s reason=%s", w->lease->id, reason);
}

static void stop_job(struct work *w, enum stop stop)
{
	static const char *const reasons[] = {
	    [STOP_PREEMPT] = "preempted",
	    [STOP_WINDOW] = "window",
	    [STOP_DRAIN] = "drain",
	};
	static const struct error cancelled = {SUMI_CANCELLED, "cancelled while it ran"};
	if (stop == STOP_CANCEL) {
		fail_job(w, SUMI_CANCELLED, &cancelled);
	} else if (stop == STOP_LOST) {
		end_attempt(w, "superseded", "the lease was lost");
		log_warn("job.lost", "id=%s", w->lease->id);
	} else {
		release_job(w, reasons[stop]);
	}
}

static int run_job(struct work *w, enum stop *stop, struct error *err)
{
	const struct job *job = &w->lease->job;
	w->modality = modality_find(job->modality);
	if (!w->modality)
		return error_set(err, SUMI_UNSUPPORTED, "this sumi cannot make '%s'",
				 job->modality);
	report(w, FIRST_LIMIT_MS, 0, 0);
	int status = catalogue_find(w->x->catalogue, model_of(w->x, job), w->folder, err);
	if (status)
		return status;
	find_answer(w);
	for (w->variant = 0; w->variant < (int)job->n && !status && *stop == STOP_NO; w->variant++)
		if (!(w->lease->variants_done >> w->variant & 1) &&
		    ((status = make_variant(w, stop, err)) || *stop != STOP_NO))
			break;
	if (status || *stop != STOP_NO)
		return status;
	return finish_job(w, err);
}

/* What is not the job's fault: it is given back, costs nothing, and goes on when that is mended. */
static const struct hindrance {
	int status; /* 0: the store's own failure */
	const char *reason, *event;
	enum execute_result result;
} hindrances[] = {
    {SUMI_FULL, "disk full", "disk.full", EXECUTE_NO_SPACE},
    {SUMI_CONNECT, "queue away", "queue.away", EXECUTE_ENDED},
    {SUMI_TIMEOUT, "queue away", "queue.away", EXECUTE_ENDED},
    {0, "store broken", "store.broken", EXECUTE_BROKEN},
};

static const struct hindrance *find_hindrance(const struct work *w, int status)
{
	for (size_t i = 0; i < sizeof hindrances / sizeof hindrances[0]; i++)
		if (hindrances[i].status ? hindrances[i].status == status : w->store_failed)
			return &hindrances[i];
	return NULL;
}

enum execute_result execute_job(struct executor *x, struct queue_lease *lease)
{
	struct error err = {0}, row_err;
	enum stop stop = STOP_NO;
	struct work w = {.x = x, .lease = lease};
	log_info("job.claimed", "id=%s modality=%s attempt=%lld", lease->id, lease->job.modality,
		 (long long)lease->attempt);
	beat_lease(x->beat, lease, FIRST_LIMIT_MS);
	crash_point("claimed");
	int64_t start = clock_mono_us();
	int status = run_job(&w, &stop, &err);
	answer_clear(&w.answer);
	beat_release(x->beat);
	if (need_rows(&w, &row_err))
		log_warn("store.failed", "id=%s error=\"%s\"", lease->id, row_err.text);
	if (status) {
		const struct hindrance *h = find_hindrance(&w, status);
		if (h) {
			release_job(&w, h->reason);
			log_error(h->event, "id=%s error=\"%s\"", lease->id, err.text);
			return h->result;
		}
	}
	if (status == SUMI_LOST)
		stop = STOP_LOST;
	if (stop != STOP_NO)
		stop_job(&w, stop);
	else if (status)
		fail_job(&w, status, &err);
	else
		log_info("job.done", "id=%s seconds=%.2f", lease->id,
			 (double)(clock_mono_us() - start) / 1e6);
	return status == SUMI_DEVICE ? EXECUTE_BROKEN : EXECUTE_ENDED;
}

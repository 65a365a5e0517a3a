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
#include "daemon/settle.h"
#include "daemon/work.h"
#include "queue/job_request.h"
#include "queue/saved.h"

enum { JITTER_STEPS = 1000 };

/* ---- answers from the store -------------------------------------------------------- */

static void find_answer(struct work *w)
{
	struct request r = job_request(&w->lease->job, 0);
	char init[FILES_PATH_MAX];
	struct error ignored;
	int64_t now = clock_wall_ms(), start = clock_mono_us();
	if (w->x->config->reuse_ms == 0 || work_find_init(w, &r, init, &ignored))
		return;
	answer_find(&(struct answer_query){.store = w->x->store,
					   .catalogue = w->x->catalogue,
					   .folder = w->folder,
					   .stamp = w->stamp,
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
	struct sink sink = {.context = w, .output = work_output};
	w->seed = (uint64_t)w->lease->job.seed + (uint64_t)w->variant;
	w->steps = 0;
	w->outputs = 0;
	w->result = json_array();
	if (!w->result)
		return error_set(err, SUMI_NOMEM, "out of memory");
	work_report(w, WORK_FIRST_LIMIT_MS, 0, 0);
	int status = answer_emit(&w->answer, w->variant, &sink, err);
	if (!status)
		status = work_tell(w, err);
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
	int status =
	    w->pack ? SUMI_OK : models_get(w->x->models, w->folder, w->stamp, &w->pack, err);
	timings_add(&w->timings, "load", clock_mono_us() - start);
	return status ? status : work_make_group(w, stop, err);
}

/* ---- the end ---------------------------------------------------------------------- */

static int finish_job(struct work *w, struct error *err)
{
	struct executor *x = w->x;
	char *job_json = NULL, *timings = timings_text(&w->timings);
	int status = work_need_rows(w, err);
	if (!status)
		status = work_of_store(w, store_job_stored(x->store, w->lease->id, w->lease->token,
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
	work_report(w, WORK_FIRST_LIMIT_MS, 0, 0);
	int status = catalogue_find(w->x->catalogue, work_model(w->x, job), w->folder, err);
	if (status)
		return status;
	w->stamp = catalogue_stamp(w->x->catalogue, w->folder);
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
	beat_lease(x->beat, lease, WORK_FIRST_LIMIT_MS);
	crash_point("claimed");
	int64_t start = clock_mono_us();
	int status = run_job(&w, &stop, &err);
	answer_clear(&w.answer);
	free(w.saved);
	beat_release(x->beat);
	if (work_need_rows(&w, &row_err))
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

/* How a job ends: finished, failed, stopped or given back, in the store and in the queue. */
#include "daemon/conclude.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/crashpoint.h"
#include "base/log.h"
#include "daemon/settle.h"
#include "queue/saved.h"

enum { JITTER_STEPS = 1000, AGAIN_MS = 500 };

/* Whether to tell the queue once more what it would not take or did not hear. That is nobody's fault and
 * must cost the job nothing, so there is no other end to it than that of the worker: what is not told
 * then is told by settle.c, when a daemon runs here again. */
static bool tell_again(struct work *w, int status, const struct error *err)
{
	if ((status != SUMI_FULL && status != SUMI_CONNECT && status != SUMI_TIMEOUT) || *w->x->drain)
		return false;
	if (!w->marks.untold)
		log_error("queue.refuses", "id=%s error=\"%s\"", w->lease->id, err->text);
	w->marks.untold = true;
	work_report(w, WORK_FIRST_LIMIT_MS, w->variant.steps, w->variant.steps);
	clock_sleep_ms(AGAIN_MS);
	return !*w->x->drain;
}

int conclude_finish(struct work *w, struct error *err)
{
	struct executor *x = w->x;
	char *job_json = NULL, *timings = timings_text(&w->pace.timings);
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
		do
			status = settle_finish(x->store, x->queue, &finish, err);
		while (status && queue_refusal(x->queue) && tell_again(w, status, err));
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
	char *timings = timings_text(&w->pace.timings);
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
	int status;
	do
		status = queue_fail(w->x->queue, w->lease, &failure, &after, &err);
	while (status && tell_again(w, status, &err));
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

/* held: it waits for something that must be mended. */
static void release_job(struct work *w, const char *reason, bool held)
{
	struct error err;
	int status;
	end_attempt(w, "released", reason);
	do
		status = held ? queue_hold(w->x->queue, w->lease, reason, &err)
			      : queue_release(w->x->queue, w->lease, reason, NULL, &err);
	while (status && tell_again(w, status, &err));
	if (status)
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
		release_job(w, reasons[stop], false);
	}
}

/* What is not the job's fault: it is given back, costs nothing, and goes on when that is mended. */
static const struct hindrance {
	int status; /* 0: the store's own failure */
	const char *reason, *event;
	enum execute_result result;
} hindrances[] = {
    {SUMI_FULL, QUEUE_WAITS_DISK, "disk.full", EXECUTE_NO_SPACE},
    {SUMI_CONNECT, "queue away", "queue.away", EXECUTE_ENDED},
    {SUMI_TIMEOUT, "queue away", "queue.away", EXECUTE_ENDED},
    {0, QUEUE_WAITS_STORE, "store.broken", EXECUTE_BROKEN},
};

static const struct hindrance *find_hindrance(const struct work *w, int status)
{
	for (size_t i = 0; i < sizeof hindrances / sizeof hindrances[0]; i++)
		if (hindrances[i].status ? hindrances[i].status == status : w->marks.store_failed)
			return &hindrances[i];
	return NULL;
}

/* Nothing is extended or kept any more; the attempt has its rows. */
static void let_go(struct work *w)
{
	struct error err;
	answer_clear(&w->answer);
	request_places_clear(&w->files.places);
	free(w->saved.data);
	w->saved.data = NULL;
	beat_release(w->x->beat);
	if (work_need_rows(w, &err))
		log_warn("store.failed", "id=%s error=\"%s\"", w->lease->id, err.text);
}

/* What a driver keeps is damaged: the next process of this worker makes it anew. */
static bool is_damaged(int status)
{
	return status == SUMI_DEVICE && device_is_damaged();
}

enum execute_result conclude(struct work *w, int status, enum stop stop, const struct error *err)
{
	let_go(w);
	if (is_damaged(status)) {
		release_job(w, "damaged caches", false);
		log_error("cache.damaged", "id=%s error=\"%s\"", w->lease->id, err->text);
		return EXECUTE_BROKEN;
	}
	if (status) {
		const struct hindrance *h = find_hindrance(w, status);
		const char *refusal = queue_refusal(w->x->queue);
		if (h) {
			log_error(h->event, "id=%s error=\"%s\"", w->lease->id, err->text);
			release_job(w, refusal ? refusal : h->reason, true);
			return refusal ? EXECUTE_ENDED : h->result;
		}
	}
	if (status == SUMI_LOST)
		stop = STOP_LOST;
	if (stop != STOP_NO)
		stop_job(w, stop);
	else if (status)
		fail_job(w, status, err);
	else
		log_info("job.done", "id=%s seconds=%.2f", w->lease->id,
			 (double)(clock_mono_us() - w->pace.claimed_us) / 1e6);
	return status == SUMI_DEVICE ? EXECUTE_BROKEN : EXECUTE_ENDED;
}

void conclude_release(struct work *w, const char *reason)
{
	let_go(w);
	release_job(w, reason, false);
}

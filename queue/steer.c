/* Steering from outside: cancel, retry, pause; and the clockwork that every daemon winds. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "queue/internal.h"
#include "base/schedule.h"

#define CRASH_WAITS 8
#define ADMIT_BEFORE 100000
#define DAY_MS INT64_C(86400000)
#define AGAIN_MS 50
#define UPKEEP_MS 200 /* that one call may spend on what is to be done now */

/* A script with two texts behind its key. */
static int call_two(struct queue *queue, enum queue_script script, const char *one, const char *two,
		    const char *three, redisReply **reply, struct error *err)
{
	struct command command = {0};
	command_script(&command, queue, script);
	command_text(&command, one);
	command_text(&command, two);
	if (three)
		command_text(&command, three);
	int status = script_call(queue, script, &command, reply, err);
	command_free(&command);
	return status;
}

/* The same for a job that may still lie in the intake. */
static int call_admitted(struct queue *queue, enum queue_script script, const char *id,
			 redisReply **reply, struct error *err)
{
	struct queue_admitted admitted;
	int status = call_two(queue, script, "", id, NULL, reply, err);
	if (status || !(reply_is(*reply, "missing") || reply_is(reply_at(*reply, 0), "missing")))
		return status;
	freeReplyObject(*reply);
	*reply = NULL;
	status = queue_admit(queue, ADMIT_BEFORE, &admitted, err);
	return status ? status : call_two(queue, script, "", id, NULL, reply, err);
}

int queue_cancel_series(struct queue *queue, const char *id, enum queue_cancel_result *result,
			char last[JOB_ID_SIZE], struct error *err)
{
	redisReply *reply = NULL;
	*last = '\0';
	int status = call_admitted(queue, SCRIPT_CANCEL, id, &reply, err);
	if (status)
		return status;
	const redisReply *word = reply_at(reply, 0);
	if (reply_is(word, "missing"))
		status = error_set(err, SUMI_NOTFOUND, "there is no job %.64s", id);
	else if (reply_is(word, "cancelled"))
		*result = QUEUE_CANCELLED;
	else
		*result = reply_is(word, "late") ? QUEUE_CANCEL_TOO_LATE : QUEUE_CANCELLING;
	reply_copy(reply_at(reply, 1), last, JOB_ID_SIZE);
	freeReplyObject(reply);
	return status;
}

int queue_cancel(struct queue *queue, const char *id, enum queue_cancel_result *result,
		 struct error *err)
{
	char last[JOB_ID_SIZE];
	return queue_cancel_series(queue, id, result, last, err);
}

int queue_retry(struct queue *queue, const char *id, struct error *err)
{
	static const char without[] = "without ";
	redisReply *reply = NULL;
	int status = call_admitted(queue, SCRIPT_RETRY, id, &reply, err);
	if (status)
		return status;
	if (reply_is(reply, "missing"))
		status = error_set(err, SUMI_NOTFOUND, "there is no job %.64s", id);
	else if (reply_is(reply, "rejected"))
		status = error_set(err, SUMI_INVALID,
				   "what was sent as %.64s could not be read: send it again, mended",
				   id);
	else if (strncmp(reply_text(reply), without, sizeof without - 1) == 0)
		status = error_set(err, SUMI_NOTFOUND, "film %.64s cannot begin anew: its part %.64s was deleted: send the story again", id,
				   reply_text(reply) + sizeof without - 1);
	else if (!reply_is(reply, "ok"))
		status = error_set(
		    err, SUMI_INVALID,
		    "job %.64s is %s: only failed, cancelled and delayed jobs can be tried "
		    "again",
		    id, reply_text(reply));
	freeReplyObject(reply);
	return status;
}

int queue_forget(struct queue *queue, const char *id, struct error *err)
{
	struct command command = {0};
	redisReply *reply = NULL;
	command_script(&command, queue, SCRIPT_FORGET);
	command_text(&command, id);
	int status = script_call(queue, SCRIPT_FORGET, &command, &reply, err);
	command_free(&command);
	if (status)
		return status;
	if (reply_is(reply, "missing"))
		status = error_set(err, SUMI_NOTFOUND, "there is no job %.64s", id);
	else if (!reply_is(reply, "ok"))
		status = error_set(err, SUMI_BUSY, "job %.64s is %s", id, reply_text(reply));
	freeReplyObject(reply);
	return status;
}

static int set_paused(struct queue *queue, const char *op, const char *reason, struct error *err)
{
	redisReply *reply = NULL;
	int status = call_two(queue, SCRIPT_PAUSE, "", op, reason, &reply, err);
	freeReplyObject(reply);
	return status;
}

int queue_pause(struct queue *queue, const char *reason, struct error *err)
{
	return set_paused(queue, "pause", reason ? reason : "", err);
}

int queue_resume(struct queue *queue, struct error *err)
{
	return set_paused(queue, "resume", "", err);
}

static int reap_once(struct queue *queue, int64_t hold_ms, struct queue_reaped *reaped, bool *more,
		     struct error *err)
{
	struct command command = {0};
	redisReply *reply = NULL;
	int status = link_need(queue, err); /* for run_id */
	if (status)
		return status;
	command_script(&command, queue, SCRIPT_REAP);
	command_text(&command, queue->run_id);
	command_int(&command, hold_ms);
	command_int(&command, queue->wound_ms);
	/* After the first crash another worker takes over at once: mostly it was the worker's. */
	command_int(&command, 0);
	for (int crash = 2; crash <= CRASH_WAITS; crash++)
		command_int(&command, schedule_backoff_ms(crash - 1, random_unit()));
	queue->once = true;
	status = script_call(queue, SCRIPT_REAP, &command, &reply, err);
	queue->once = false;
	command_free(&command);
	if (status)
		return status;
	queue->wound_ms = reply_int(reply_at(reply, 6));
	reaped->promoted += (size_t)reply_int(reply_at(reply, 0));
	reaped->recovered += (size_t)reply_int(reply_at(reply, 1));
	reaped->failed += (size_t)reply_int(reply_at(reply, 2));
	reaped->next_ms = reply_int(reply_at(reply, 3));
	*more = reply_int(reply_at(reply, 5)) == 1;
	const redisReply *ended = reply_at(reply, 4);
	for (size_t i = 0; ended && i < ended->elements && status == SUMI_OK; i++) {
		status = recur(queue, reply_text(ended->element[i]), err);
		reaped->recurred += status == SUMI_OK;
		*more = true;
	}
	freeReplyObject(reply);
	return status;
}

int queue_reap(struct queue *queue, int64_t hold_ms, struct queue_reaped *reaped, struct error *err)
{
	int64_t start = clock_boot_ms();
	bool more = true;
	int status = SUMI_OK;
	memset(reaped, 0, sizeof *reaped);
	while (more) {
		more = false;
		status = reap_once(queue, hold_ms, reaped, &more, err);
		/* Nobody could beat either: leases that end meanwhile are nobody's fault. */
		if (status)
			queue->wound_ms = 0;
		if (status == SUMI_CONNECT) {
			more = clock_boot_ms() + AGAIN_MS < start + queue->patience_ms;
			clock_sleep_ms(more ? AGAIN_MS : 0);
		} else {
			more = more && status == SUMI_OK && clock_boot_ms() < start + UPKEEP_MS;
		}
	}
	return status;
}

static int64_t or_else(int64_t value, int64_t fallback)
{
	return value ? value : fallback;
}

static int trim_once(struct queue *queue, enum job_state state, int64_t limit,
		     const struct queue_trim_options *options, size_t *purged, bool *more,
		     struct error *err)
{
	struct command command = {0};
	redisReply *reply = NULL;
	command_script(&command, queue, SCRIPT_TRIM);
	command_text(&command, job_state_word(state));
	command_int(&command, or_else(options->max_age_ms, 30 * DAY_MS));
	command_int(&command, or_else(options->max_count, 1000000));
	command_int(&command, or_else(options->tombstone_ms, 90 * DAY_MS));
	command_int(&command, limit);
	int status = script_call(queue, SCRIPT_TRIM, &command, &reply, err);
	if (status == SUMI_OK) {
		*purged += (size_t)reply_int(reply_at(reply, 0));
		*more = reply_int(reply_at(reply, 1)) == 1;
	}
	freeReplyObject(reply);
	command_free(&command);
	return status;
}

int queue_trim(struct queue *queue, const struct queue_trim_options *options, size_t *purged,
	       struct error *err)
{
	static const enum job_state states[] = {JOB_DONE, JOB_FAILED, JOB_CANCELLED};
	const int64_t limit = or_else((int64_t)options->limit, 1000);
	int status = SUMI_OK;
	*purged = 0;
	for (size_t i = 0; i < 3 && status == SUMI_OK; i++) {
		size_t gone = 0;
		bool more = true;
		while (more && status == SUMI_OK && (int64_t)gone < limit) {
			more = false;
			status = trim_once(queue, states[i], limit - (int64_t)gone, options, &gone,
					   &more, err);
		}
		*purged += gone;
	}
	return status;
}

/* A worker's side: claim, beat, results, finish, fail, release. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "queue/internal.h"
#include "base/schedule.h"

#define MAX_ZONES 4096 /* more than there are */
#define MAX_SEARCH 20  /* scripts of one claim that look for a job among windows that are closed */
#define MAX_EVENT_DATA (64 * 1024)
#define MAX_UNREADABLE 16

static int lost(const struct queue_lease *lease, struct error *err)
{
	return error_set(err, SUMI_LOST, "job %s: the lease of %s has ended", lease->id,
			 lease->worker);
}

/* ---- claiming -------------------------------------------------------------------------- */

/* "|22:00-06:00@Europe/Moscow"; one that cannot be read here counts as closed. */
static bool window_is_open(const char *key)
{
	char window[12];
	bool open = false;
	if (strlen(key) < 14 || key[0] != '|' || key[12] != '@')
		return false;
	snprintf(window, sizeof window, "%.11s", key + 1);
	return schedule_window_open(window, key + 13, clock_wall_ms(), &open, NULL) == SUMI_OK &&
	       open;
}

static int learn_zones(struct queue *queue, const redisReply *list, struct error *err)
{
	if (queue->zone_count > MAX_ZONES) { /* most of them are history */
		for (size_t i = 0; i < queue->zone_count; i++)
			free(queue->zones[i]);
		queue->zone_count = 0;
	}
	char **zones = realloc(queue->zones, (queue->zone_count + list->elements) * sizeof *zones);
	if (!zones)
		return error_set(err, SUMI_NOMEM, "queue: no memory");
	queue->zones = zones;
	for (size_t i = 0; i < list->elements; i++) {
		char *copy = strdup(reply_text(list->element[i]));
		if (!copy)
			return error_set(err, SUMI_NOMEM, "queue: no memory");
		zones[queue->zone_count++] = copy;
	}
	return SUMI_OK;
}

static int new_token(char out[QUEUE_TOKEN_SIZE], struct error *err)
{
	unsigned char bytes[16];
	if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
		return error_errno(err, "drawing a token");
	for (size_t i = 0; i < sizeof bytes; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
	return SUMI_OK;
}

/* The zones known here, and the minute of the day in each. */
static void zone_arguments(struct command *command, const struct queue *queue)
{
	int64_t now = clock_wall_ms();
	command_int(command, (int64_t)queue->zone_count * 2);
	for (size_t i = 0; i < queue->zone_count; i++) {
		int minute;
		if (schedule_minute(queue->zones[i], now, &minute, NULL))
			minute = -1;
		command_text(command, queue->zones[i]);
		command_int(command, minute);
	}
}

static int claim_once(struct queue *queue, const struct queue_worker *worker, const char *fellow,
		      const struct queue_lease *lease, redisReply **reply, struct error *err)
{
	struct command command = {0};
	command_script(&command, queue, SCRIPT_CLAIM);
	command_text(&command, worker->name);
	command_text(&command, lease->token);
	command_int(&command, lease->lease_ms);
	command_text(&command, fellow);
	command_int(&command, queue->claim_class);
	command_int(&command, queue->claim_place);
	command_int(&command, (int64_t)worker->class_count);
	for (size_t i = 0; i < worker->class_count; i++)
		command_text(&command, worker->classes[i]);
	zone_arguments(&command, queue);
	int status = script_call(queue, SCRIPT_CLAIM, &command, reply, err);
	command_free(&command);
	return status;
}

void queue_lease_clear(struct queue_lease *lease)
{
	job_clear(&lease->job);
	free(lease->state_json);
	memset(lease, 0, sizeof *lease);
}

static int read_lease(const redisReply *reply, struct queue_lease *lease, struct error *err)
{
	const redisReply *json = reply_at(reply, 2), *saved = reply_at(reply, 6);
	const redisReply *done = reply_at(reply, 7);
	reply_copy(reply_at(reply, 1), lease->id, sizeof lease->id);
	lease->attempt = reply_int(reply_at(reply, 3));
	lease->failures = reply_int(reply_at(reply, 4));
	lease->crashes = reply_int(reply_at(reply, 5));
	lease->created_ms = reply_int(reply_at(reply, 8));
	lease->saved_variant = reply_int(reply_at(reply, 9));
	lease->waiting = reply_int(reply_at(reply, 10));
	for (size_t i = 0; done && i < done->elements; i++)
		lease->variants_done |= UINT64_C(1) << (reply_int(done->element[i]) & 63);
	int status = job_parse_json(reply_text(json), reply_size(json), &lease->job, err);
	if (status)
		return error_prefix(err, "job %s", lease->id);
	if (*reply_text(saved) && !(lease->state_json = strdup(reply_text(saved)))) {
		job_clear(&lease->job);
		return error_set(err, SUMI_NOMEM, "job %s: no memory", lease->id);
	}
	return SUMI_OK;
}

static int claim_any(struct queue *queue, const struct queue_worker *worker, const char *fellow,
		     struct queue_lease *lease, struct error *err)
{
	for (int searched = 0;;) {
		redisReply *reply = NULL;
		int status = claim_once(queue, worker, fellow, lease, &reply, err);
		if (status)
			return status;
		const redisReply *kind = reply_at(reply, 0);
		bool zones = reply_is(kind, "zones"), more = reply_is(kind, "more");
		/* The search goes on from there, also at the next claim; else it begins anew. */
		if (!zones) {
			queue->claim_class = more ? reply_int(reply_at(reply, 1)) : 0;
			queue->claim_place = more ? reply_int(reply_at(reply, 2)) : 0;
		}
		if (zones)
			status = learn_zones(queue, reply_at(reply, 1), err);
		else if (reply_is(kind, "job"))
			status = read_lease(reply, lease, err);
		else if (!more || ++searched == MAX_SEARCH)
			status = error_set(err, SUMI_NOTFOUND,
					   reply_is(kind, "paused") ? "the queue is paused"
								    : "no job to do");
		bool again = status == SUMI_OK && (zones || more);
		freeReplyObject(reply);
		if (!again)
			return status;
	}
}

static int claim(struct queue *queue, const struct queue_worker *worker, const char *fellow,
		 int64_t lease_ms, struct queue_lease *lease, struct error *err)
{
	if (worker->class_count > QUEUE_MAX_CLASSES || strlen(worker->name) >= QUEUE_NAME_SIZE)
		return error_set(err, SUMI_INVALID,
				 "worker %.64s: name or list of models is too long", worker->name);
	for (int unreadable = 0;; unreadable++) {
		memset(lease, 0, sizeof *lease);
		snprintf(lease->worker, sizeof lease->worker, "%s", worker->name);
		lease->lease_ms = lease_ms;
		struct error why = {0};
		int status = new_token(lease->token, &why);
		if (status == SUMI_OK)
			status = claim_any(queue, worker, fellow, lease, &why);
		if (status == SUMI_OK)
			return SUMI_OK;
		/* A job that is held but cannot be read, such as one of another version of the
		 * schema, is put aside, not kept until the lease ends. */
		bool held = *lease->id != '\0';
		if (held && status != SUMI_NOMEM && unreadable < MAX_UNREADABLE) {
			struct queue_failure failure = {
			    .status = status, .text = why.text, .final = true};
			enum job_state after;
			int told = queue_fail(queue, lease, &failure, &after, err);
			queue_lease_clear(lease);
			if (told == SUMI_OK || told == SUMI_LOST)
				continue;
			return told;
		}
		if (held && status == SUMI_NOMEM) /* another worker may have it at once */
			queue_release(queue, lease, "no memory", NULL, NULL);
		queue_lease_clear(lease);
		return error_set(err, status, "%s", why.text);
	}
}

int queue_claim(struct queue *queue, const struct queue_worker *worker, int64_t lease_ms,
		struct queue_lease *lease, struct error *err)
{
	return claim(queue, worker, "", lease_ms, lease, err);
}

int queue_claim_fellow(struct queue *queue, const struct queue_worker *seat,
		       const struct queue_lease *fellow, struct queue_lease *lease,
		       struct error *err)
{
	return claim(queue, seat, fellow->id, fellow->lease_ms, lease, err);
}

/* ---- while it runs --------------------------------------------------------------------- */

static void lease_command(struct command *command, struct queue *queue, enum queue_script script,
			  const struct queue_lease *lease)
{
	command_script(command, queue, script);
	command_text(command, lease->id);
	command_text(command, lease->token);
}

/* Sends a script whose reply is a word; "lost" is an error. */
static int lease_call(struct queue *queue, enum queue_script script, struct command *command,
		      const struct queue_lease *lease, char word[16], struct error *err)
{
	redisReply *reply = NULL;
	int status = script_call(queue, script, command, &reply, err);
	command_free(command);
	if (status == SUMI_OK)
		reply_copy(reply, word, 16);
	freeReplyObject(reply);
	return status == SUMI_OK && strcmp(word, "lost") == 0 ? lost(lease, err) : status;
}

static int beat_once(struct queue *queue, const struct queue_lease *lease,
		     const struct queue_progress *progress, redisReply **reply, struct error *err)
{
	struct command command = {0};
	lease_command(&command, queue, SCRIPT_BEAT, lease);
	command_int(&command, lease->lease_ms);
	command_text(&command, lease->worker);
	if (progress) {
		command_int(&command, progress->variant);
		command_int(&command, progress->step);
		command_int(&command, progress->steps);
		command_number(&command, progress->eta_s);
	} else {
		for (int i = 0; i < 4; i++)
			command_text(&command, "");
	}
	zone_arguments(&command, queue);
	int status = script_call(queue, SCRIPT_BEAT, &command, reply, err);
	command_free(&command);
	return status;
}

int queue_beat(struct queue *queue, const struct queue_lease *lease,
	       const struct queue_progress *progress, enum queue_hint *hint, struct error *err)
{
	redisReply *reply = NULL;
	*hint = QUEUE_GO_ON;
	int status = beat_once(queue, lease, progress, &reply, err);
	const redisReply *unknown = reply_at(reply, 2);
	if (!status && unknown && unknown->elements &&
	    !(status = learn_zones(queue, unknown, err))) {
		freeReplyObject(reply);
		reply = NULL;
		status = beat_once(queue, lease, progress, &reply, err);
	}
	const redisReply *word = reply_at(reply, 0), *window = reply_at(reply, 1);
	if (!status && reply_is(word, "lost"))
		status = lost(lease, err);
	else if (reply_is(word, "cancel"))
		*hint = QUEUE_STOP_CANCEL;
	else if (*reply_text(window) && !window_is_open(reply_text(window)))
		*hint = QUEUE_STOP_WINDOW;
	else if (reply_is(word, "preempt"))
		*hint = QUEUE_STOP_PREEMPT;
	freeReplyObject(reply);
	return status;
}

int queue_event(struct queue *queue, const struct queue_lease *lease, const char *event,
		const char *name, const void *data, size_t size, struct error *err)
{
	struct queue_event_field field = {.name = name, .value = data, .size = size};
	return queue_event_fields(queue, lease, event, &field, 1, err);
}

int queue_event_fields(struct queue *queue, const struct queue_lease *lease, const char *event,
		       const struct queue_event_field *fields, size_t count, struct error *err)
{
	struct command command = {0};
	char word[16];
	size_t size = 0;
	for (size_t i = 0; i < count; i++)
		size += fields[i].size;
	if (size > MAX_EVENT_DATA)
		return error_set(err, SUMI_TOOBIG, "job %s: an event of %zu bytes, allowed are %d",
				 lease->id, size, MAX_EVENT_DATA);
	lease_command(&command, queue, SCRIPT_EVENT, lease);
	command_text(&command, event);
	for (size_t i = 0; i < count; i++) {
		command_text(&command, fields[i].name);
		command_add(&command, fields[i].value, fields[i].size);
	}
	return lease_call(queue, SCRIPT_EVENT, &command, lease, word, err);
}

int queue_variant(struct queue *queue, const struct queue_lease *lease, int variant,
		  const char *result_json, struct error *err)
{
	struct command command = {0};
	char word[16];
	if (variant < 0 || variant >= lease->job.n)
		return error_set(err, SUMI_INVALID, "job %s has no variant %d", lease->id, variant);
	lease_command(&command, queue, SCRIPT_VARIANT, lease);
	command_int(&command, variant);
	command_text(&command, result_json);
	return lease_call(queue, SCRIPT_VARIANT, &command, lease, word, err);
}

/* ---- the end --------------------------------------------------------------------------- */

int queue_finish(struct queue *queue, const struct queue_finish *finish,
		 enum queue_finish_result *result, struct error *err)
{
	struct command command = {0};
	struct job job = {0};
	struct job_entry_facts facts = {0};
	redisReply *reply = NULL;
	const char *json = finish->job_json;
	/* A description that cannot be read any more must not keep a result from being told. */
	bool whole = json && job_parse_json(json, strlen(json), &job, NULL) == SUMI_OK && job.id &&
		     strcmp(job.id, finish->id) == 0;
	command_script(&command, queue, SCRIPT_FINISH);
	command_text(&command, finish->token);
	command_text(&command, finish->worker);
	command_text(&command, finish->result_json);
	command_text(&command, whole ? "1" : "0");
	if (whole)
		job_arguments(&command, &job, json, &facts);
	else
		command_text(&command, finish->id);
	int status = script_call(queue, SCRIPT_FINISH, &command, &reply, err);
	if (status == SUMI_OK && reply_is(reply, "missing"))
		status = error_set(err, SUMI_NOTFOUND, "there is no job %.64s", finish->id);
	else if (status == SUMI_OK)
		*result = reply_is(reply, "finished")  ? QUEUE_FINISHED
			  : reply_is(reply, "already") ? QUEUE_ALREADY
						       : QUEUE_SUPERSEDED;
	freeReplyObject(reply);
	command_free(&command);
	job_clear(&job);
	return status;
}

int queue_fail(struct queue *queue, const struct queue_lease *lease,
	       const struct queue_failure *failure, enum job_state *after, struct error *err)
{
	struct command command = {0};
	char word[16];
	lease_command(&command, queue, SCRIPT_FAIL, lease);
	command_text(&command, status_word(failure->status));
	command_text(&command, failure->text);
	command_text(&command, failure->final ? "1" : "0");
	command_int(&command, schedule_backoff_ms((int)lease->failures + 1, failure->jitter));
	int status = lease_call(queue, SCRIPT_FAIL, &command, lease, word, err);
	if (status)
		return status;
	*after = (enum job_state)job_state_from_word(word);
	return SUMI_OK;
}

static int release(struct queue *queue, const struct queue_lease *lease, const char *reason,
		     const char *state_json, bool held, struct error *err)
{
	struct command command = {0};
	char word[16];
	lease_command(&command, queue, SCRIPT_RELEASE, lease);
	command_text(&command, reason);
	command_text(&command, state_json);
	command_int(&command, held);
	return lease_call(queue, SCRIPT_RELEASE, &command, lease, word, err);
}

int queue_release(struct queue *queue, const struct queue_lease *lease, const char *reason,
		  const char *state_json, struct error *err)
{
	return release(queue, lease, reason, state_json, false, err);
}

int queue_hold(struct queue *queue, const struct queue_lease *lease, const char *reason,
	       struct error *err)
{
	return release(queue, lease, reason, NULL, true, err);
}

/* ---- the worker itself ------------------------------------------------------------------ */

int queue_worker_beat(struct queue *queue, const struct queue_worker *worker, struct error *err)
{
	struct command command = {0};
	redisReply *reply = NULL;
	size_t room = 1, used = 0;
	for (size_t i = 0; i < worker->class_count; i++)
		room += strlen(worker->classes[i]) + 1;
	char *classes = calloc(room, 1);
	if (!classes)
		return error_set(err, SUMI_NOMEM, "worker %s: no memory", worker->name);
	for (size_t i = 0; i < worker->class_count; i++)
		used += (size_t)snprintf(classes + used, room - used, i ? " %s" : "%s",
					 worker->classes[i]);
	command_script(&command, queue, SCRIPT_WORKER);
	command_text(&command, worker->name);
	command_text(&command, classes);
	command_text(&command, worker->device);
	command_text(&command, worker->host);
	command_int(&command, worker->pid);
	command_text(&command, worker->trouble);
	command_text(&command, worker->waits);
	command_int(&command, worker->figures.memory);
	command_int(&command, worker->figures.memory_used);
	command_int(&command, worker->figures.steps);
	int status = script_call(queue, SCRIPT_WORKER, &command, &reply, err);
	freeReplyObject(reply);
	command_free(&command);
	free(classes);
	return status;
}

int queue_worker_leave(struct queue *queue, const char *name, struct error *err)
{
	struct command command = {0};
	redisReply *reply = NULL;
	command_script(&command, queue, SCRIPT_WORKER);
	command_text(&command, name);
	int status = script_call(queue, SCRIPT_WORKER, &command, &reply, err);
	freeReplyObject(reply);
	command_free(&command);
	return status;
}

/* How often a job is spared (died.lua), and what is told of it. */
static const struct {
	int most;
	const char *reason;
} spares[] = {
    [QUEUE_SPARE_NONE] = {0, NULL},
    /* They are mended by then: more is the job's own doing. */
    [QUEUE_SPARE_CACHES] = {2, "damaged caches"},
    [QUEUE_SPARE_LEFT] = {-1, "parted"},
};

/* Of those that died.lua found; what has ended meanwhile is no failure. */
static int give_back(struct queue *queue, const char *worker, const redisReply *spared,
		     const char *reason, struct error *err)
{
	int status = SUMI_OK;
	for (size_t i = 0; spared && i + 1 < spared->elements && !status; i += 2) {
		struct queue_lease lease = {0};
		reply_copy(spared->element[i], lease.id, sizeof lease.id);
		reply_copy(spared->element[i + 1], lease.token, sizeof lease.token);
		snprintf(lease.worker, sizeof lease.worker, "%s", worker);
		status = queue_release(queue, &lease, reason, NULL, err);
		if (status == SUMI_LOST)
			status = SUMI_OK;
	}
	return status;
}

int queue_worker_died(struct queue *queue, const char *name, int seats, enum queue_spare spare,
		      size_t *held, struct error *err)
{
	struct command command = {0};
	redisReply *reply = NULL;
	char seat[QUEUE_NAME_SIZE + 16];
	*held = 0;
	command_script(&command, queue, SCRIPT_DIED);
	command_int(&command, spares[spare].most);
	command_text(&command, name);
	for (int i = 1; i <= seats; i++) {
		snprintf(seat, sizeof seat, "%s:%d", name, i);
		command_text(&command, seat);
	}
	int status = script_call(queue, SCRIPT_DIED, &command, &reply, err);
	command_free(&command);
	if (status)
		return status;
	const redisReply *spared = reply_at(reply, 1);
	*held = (size_t)reply_int(reply_at(reply, 0)) + (spared ? spared->elements / 2 : 0);
	status = give_back(queue, name, spared, spares[spare].reason, err);
	freeReplyObject(reply);
	return status;
}

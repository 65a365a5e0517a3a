/* Looking at the queue: one job, listings, counts, workers, dead letters. Changes nothing. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "queue/internal.h"
#include "base/schedule.h"

#define WORKER_SEEN_MS 15000

static int call_simple(struct queue *queue, struct command *command, redisReply **reply,
		       struct error *err)
{
	*reply = NULL;
	int status = link_call(queue, command, reply, err);
	command_free(command);
	return status;
}

/* ---- one job ---------------------------------------------------------------------------- */

void queue_entry_clear(struct queue_entry *entry)
{
	job_clear(&entry->job);
	free(entry->error);
	free(entry->result_json);
	json_decref(entry->variant_results);
	memset(entry, 0, sizeof *entry);
}

static void entry_number(struct queue_entry *entry, const char *name, const redisReply *value)
{
	const struct {
		const char *name;
		int64_t *at;
	} numbers[] = {{"created", &entry->created_ms}, {"updated", &entry->updated_ms},
		       {"started", &entry->started_ms}, {"finished", &entry->finished_ms},
		       {"due", &entry->due_ms},         {"attempts", &entry->attempts},
		       {"failures", &entry->failures},  {"crashes", &entry->crashes},
		       {"variant", &entry->variant},    {"step", &entry->step},
		       {"steps", &entry->steps},        {"variants", &entry->variants}};
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (strcmp(numbers[i].name, name) == 0)
			*numbers[i].at = reply_int(value);
}

/* Results of variants in their order: fields v0, v1, … */
static int read_variants(const redisReply *fields, struct queue_entry *entry, struct error *err)
{
	entry->variant_results = json_array();
	for (int k = 0; entry->variant_results && k < 64 && entry->variants > 0; k++) {
		char name[16];
		snprintf(name, sizeof name, "v%d", k);
		for (size_t i = 0; i + 1 < fields->elements; i += 2) {
			if (!reply_is(fields->element[i], name))
				continue;
			const redisReply *value = fields->element[i + 1];
			const char *text = reply_text(value);
			json_t *json = json_loadb(text, reply_size(value), JSON_DECODE_ANY, NULL);
			if (!json)
				json = json_stringn(text, reply_size(value));
			json_array_append_new(entry->variant_results, json ? json : json_null());
		}
	}
	return entry->variant_results ? SUMI_OK : error_set(err, SUMI_NOMEM, "queue: no memory");
}

static void take_text(char **text, const redisReply *value)
{
	free(*text);
	*text = *reply_text(value) ? strdup(reply_text(value)) : NULL;
}

/* What was sent under this id was no job, or is none any more: what is known of it. */
static int read_ruin(struct queue_entry *entry, const char *modality, const char *prompt,
		     struct error *err)
{
	struct job *job = &entry->job;
	job->fields = json_pack("{s:s, s:s*}", "modality", modality, "prompt", prompt);
	if (!job->fields)
		job->fields = json_pack("{s:s}", "modality", "");
	if (!job->fields || !(entry->variant_results = json_array()))
		return error_set(err, SUMI_NOMEM, "queue: no memory");
	job->modality = json_string_value(json_object_get(job->fields, "modality"));
	job->prompt = json_string_value(json_object_get(job->fields, "prompt"));
	job->submitter = "";
	job->n = 1;
	return SUMI_OK;
}

/* fields: the reply to HGETALL. */
static int read_hash(const char *id, const redisReply *fields, struct queue_entry *entry,
		     struct error *err)
{
	const redisReply *json = NULL, *modality = NULL, *prompt = NULL;
	int state = -1;
	memset(entry, 0, sizeof *entry);
	entry->eta_s = NAN;
	snprintf(entry->id, sizeof entry->id, "%s", id);
	for (size_t i = 0; fields->type == REDIS_REPLY_ARRAY && i + 1 < fields->elements; i += 2) {
		const char *name = reply_text(fields->element[i]);
		const redisReply *value = fields->element[i + 1];
		if (strcmp(name, "job") == 0)
			json = value;
		else if (strcmp(name, "state") == 0)
			state = job_state_from_word(reply_text(value));
		else if (strcmp(name, "worker") == 0)
			reply_copy(value, entry->worker, sizeof entry->worker);
		else if (strcmp(name, "error_code") == 0)
			reply_copy(value, entry->error_code, sizeof entry->error_code);
		else if (strcmp(name, "held") == 0)
			reply_copy(value, entry->held, sizeof entry->held);
		else if (strcmp(name, "cancel") == 0)
			entry->cancelling = true;
		else if (strcmp(name, "eta") == 0)
			entry->eta_s = *reply_text(value) ? strtod(reply_text(value), NULL) : NAN;
		else if (strcmp(name, "error") == 0)
			take_text(&entry->error, value);
		else if (strcmp(name, "result") == 0)
			take_text(&entry->result_json, value);
		else if (strcmp(name, "modality") == 0)
			modality = value;
		else if (strcmp(name, "prompt") == 0)
			prompt = value;
		else
			entry_number(entry, name, value);
	}
	int status;
	if (state >= 0 && !json && *entry->error_code) {
		entry->state = (enum job_state)state;
		status = read_ruin(entry, reply_text(modality),
				   *reply_text(prompt) ? reply_text(prompt) : NULL, err);
	} else if (state < 0 || !json) { /* never there, or purged */
		status = error_set(err, SUMI_NOTFOUND, "there is no job %s", id);
	} else {
		entry->state = (enum job_state)state;
		status = job_parse_json(reply_text(json), reply_size(json), &entry->job, err);
		/* A window that cannot be judged here leaves the time unknown. */
		if (status == SUMI_OK && entry->state == JOB_READY && entry->job.window)
			schedule_window_next(entry->job.window,
					     entry->job.tz ? entry->job.tz : "UTC", clock_wall_ms(),
					     &entry->due_ms, NULL);
		if (status == SUMI_OK)
			status = read_variants(fields, entry, err);
	}
	if (status)
		queue_entry_clear(entry);
	return status;
}

static void hash_command(struct command *command, struct queue *queue, const char *id)
{
	command_text(command, "HGETALL");
	command_key(command, queue, "job:", id);
}

int queue_get(struct queue *queue, const char *id, struct queue_entry *entry, struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	if (!job_id_valid(id))
		return error_set(err, SUMI_INVALID, "'%.64s' cannot be the id of a job", id);
	hash_command(&command, queue, id);
	int status = call_simple(queue, &command, &reply, err);
	if (status == SUMI_OK)
		status = read_hash(id, reply, entry, err);
	freeReplyObject(reply);
	return status;
}

/* ---- listings --------------------------------------------------------------------------- */

static int page_ids(struct queue *queue, enum job_state state, size_t offset, size_t limit,
		    redisReply **ids, struct error *err)
{
	struct command command = {0};
	command_text(&command, job_state_is_final(state) ? "ZREVRANGE" : "ZRANGE");
	command_key(&command, queue, job_state_word(state), NULL);
	command_int(&command, (int64_t)offset);
	command_int(&command, (int64_t)(offset + limit) - 1);
	return call_simple(queue, &command, ids, err);
}

int queue_ids(struct queue *queue, enum job_state state, size_t offset, size_t limit, json_t **ids,
	      struct error *err)
{
	redisReply *reply = NULL;
	*ids = json_array();
	int status = *ids ? SUMI_OK : error_set(err, SUMI_NOMEM, "queue: no memory for ids");
	if (!status && limit)
		status = page_ids(queue, state, offset, limit, &reply, err);
	for (size_t i = 0; !status && reply && i < reply->elements; i++)
		json_array_append_new(*ids, json_string(reply_text(reply->element[i])));
	freeReplyObject(reply);
	return status;
}

int queue_get_all(struct queue *queue, const json_t *ids, struct queue_entry **entries, size_t *count,
		  struct error *err)
{
	size_t n = json_array_size(ids);
	int status = SUMI_OK;
	*count = 0;
	*entries = calloc(n + 1, sizeof **entries);
	if (!*entries)
		status = error_set(err, SUMI_NOMEM, "queue: no memory for %zu jobs", n);
	for (size_t i = 0; i < n && status == SUMI_OK; i++) {
		struct command command = {0};
		hash_command(&command, queue, json_string_value(json_array_get(ids, i)));
		status = link_append(queue, &command, err);
		command_free(&command);
	}
	for (size_t i = 0; i < n && status == SUMI_OK; i++) {
		redisReply *reply;
		const char *id = json_string_value(json_array_get(ids, i));
		status = link_reply(queue, &reply, err);
		/* A job that was purged, or that cannot be read, between the two is left out. */
		if (status == SUMI_OK && reply->type == REDIS_REPLY_ARRAY &&
		    read_hash(id, reply, *entries + *count, NULL) == SUMI_OK)
			(*count)++;
		if (status == SUMI_OK)
			freeReplyObject(reply);
	}
	if (status) {
		link_drop(queue); /* replies may be under way still */
		queue_list_free(*entries, *count);
		*entries = NULL;
		*count = 0;
	}
	return status;
}

int queue_list(struct queue *queue, enum job_state state, size_t offset, size_t limit,
	       struct queue_entry **entries, size_t *count, struct error *err)
{
	json_t *ids;
	*entries = NULL;
	*count = 0;
	int status = queue_ids(queue, state, offset, limit, &ids, err);
	if (!status)
		status = queue_get_all(queue, ids, entries, count, err);
	json_decref(ids);
	return status;
}

void queue_list_free(struct queue_entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		queue_entry_clear(&entries[i]);
	free(entries);
}

/* ---- counts ------------------------------------------------------------------------------ */

static int one_number(struct queue *queue, const char *what, const char *name, const char *id,
		      int64_t *value, struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	command_text(&command, what);
	command_key(&command, queue, name, id);
	int status = call_simple(queue, &command, &reply, err);
	if (status == SUMI_OK)
		*value = reply_int(reply);
	freeReplyObject(reply);
	return status;
}

static int read_inputs(struct queue *queue, struct queue_stats *stats, struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	int status = one_number(queue, "ZCARD", "inputs", NULL, &stats->inputs, err);
	if (status)
		return status;
	command_text(&command, "HGET");
	command_key(&command, queue, "inputs:bytes", NULL);
	command_text(&command, "total");
	status = call_simple(queue, &command, &reply, err);
	if (status == SUMI_OK)
		stats->input_bytes = reply_int(reply);
	freeReplyObject(reply);
	return status;
}

static int read_counters(struct queue *queue, struct queue_stats *stats, struct error *err)
{
	const struct {
		const char *name;
		int64_t *at;
	} counters[] = {
	    {"submitted", &stats->total_submitted}, {"done", &stats->total_done},
	    {"failed", &stats->total_failed},       {"cancelled", &stats->total_cancelled},
	    {"retried", &stats->total_retried},     {"crashed", &stats->total_crashed}};
	struct command command = {0};
	redisReply *reply;
	command_text(&command, "HGETALL");
	command_key(&command, queue, "counters", NULL);
	int status = call_simple(queue, &command, &reply, err);
	for (size_t i = 0; status == SUMI_OK && i + 1 < reply->elements; i += 2)
		for (size_t k = 0; k < sizeof counters / sizeof counters[0]; k++)
			if (reply_is(reply->element[i], counters[k].name))
				*counters[k].at = reply_int(reply->element[i + 1]);
	freeReplyObject(reply);
	return status;
}

int queue_stats(struct queue *queue, struct queue_stats *stats, struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	memset(stats, 0, sizeof *stats);
	int status = one_number(queue, "XLEN", "in", NULL, &stats->intake, err);
	if (status == SUMI_OK)
		status = one_number(queue, "XLEN", "dead", NULL, &stats->dead_letters, err);
	if (status == SUMI_OK)
		status = read_inputs(queue, stats, err);
	for (int s = 0; s < JOB_STATES && status == SUMI_OK; s++)
		status = one_number(queue, "ZCARD", job_state_word((enum job_state)s), NULL,
				    &stats->states[s], err);
	if (status)
		return status;
	command_text(&command, "GET");
	command_key(&command, queue, "paused", NULL);
	status = call_simple(queue, &command, &reply, err);
	if (status)
		return status;
	stats->paused = reply->type == REDIS_REPLY_STRING;
	reply_copy(reply, stats->pause_reason, sizeof stats->pause_reason);
	freeReplyObject(reply);
	status = read_counters(queue, stats, err);
	struct queue_worker_info *workers = NULL;
	size_t count = 0;
	if (status == SUMI_OK)
		status = queue_workers(queue, &workers, &count, err);
	stats->workers = (int64_t)count;
	for (size_t i = 0; i < count; i++)
		stats->workers_busy += *workers[i].job != '\0';
	free(workers);
	return status;
}

static int read_worker(struct queue *queue, struct queue_worker_info *w, struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	command_text(&command, "HMGET");
	command_key(&command, queue, "worker:", w->name);
	command_text(&command, "device");
	command_text(&command, "host");
	command_text(&command, "job");
	command_text(&command, "pid");
	command_text(&command, "trouble");
	command_text(&command, "waits");
	command_text(&command, "memory");
	command_text(&command, "memory_used");
	command_text(&command, "steps");
	int status = call_simple(queue, &command, &reply, err);
	if (status == SUMI_CORRUPT) /* a key of that name that is no worker's: nothing is known of it */
		return SUMI_OK;
	if (status)
		return status;
	reply_copy(reply_at(reply, 0), w->device, sizeof w->device);
	reply_copy(reply_at(reply, 1), w->host, sizeof w->host);
	reply_copy(reply_at(reply, 2), w->job, sizeof w->job);
	w->pid = reply_int(reply_at(reply, 3));
	reply_copy(reply_at(reply, 4), w->trouble, sizeof w->trouble);
	reply_copy(reply_at(reply, 5), w->waits, sizeof w->waits);
	w->figures = (struct queue_figures){reply_int(reply_at(reply, 6)), reply_int(reply_at(reply, 7)),
					    reply_int(reply_at(reply, 8))};
	freeReplyObject(reply);
	return SUMI_OK;
}

/* Redis' own clock, which the scores are made of. */
static int redis_now(struct queue *queue, int64_t *now_ms, struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	command_text(&command, "TIME");
	int status = call_simple(queue, &command, &reply, err);
	int64_t seconds = status ? 0 : reply_int(reply_at(reply, 0));
	if (seconds < 0 || seconds > INT64_C(100000000000))
		status = error_set(err, SUMI_CORRUPT, "redis: its clock says %" PRId64 " seconds", seconds);
	if (status == SUMI_OK)
		*now_ms = seconds * 1000 + reply_int(reply_at(reply, 1)) / 1000;
	freeReplyObject(reply);
	return status;
}

int queue_workers(struct queue *queue, struct queue_worker_info **workers, size_t *count,
		  struct error *err)
{
	struct command command = {0};
	redisReply *reply = NULL;
	int64_t now = 0;
	*workers = NULL;
	*count = 0;
	int status = redis_now(queue, &now, err);
	if (status)
		return status;
	command_text(&command, "ZRANGEBYSCORE");
	command_key(&command, queue, "workers", NULL);
	command_int(&command, now - WORKER_SEEN_MS);
	command_text(&command, "+inf");
	command_text(&command, "WITHSCORES");
	status = call_simple(queue, &command, &reply, err);
	if (status)
		return status;
	struct queue_worker_info *list = calloc(reply->elements / 2 + 1, sizeof *list);
	if (!list)
		status = error_set(err, SUMI_NOMEM, "queue: no memory");
	size_t n = 0;
	for (size_t i = 0; i + 1 < reply->elements && status == SUMI_OK; i += 2, n++) {
		reply_copy(reply->element[i], list[n].name, sizeof list[n].name);
		list[n].seen_ms_ago = now - reply_int(reply->element[i + 1]);
		status = read_worker(queue, &list[n], err);
	}
	freeReplyObject(reply);
	if (status) {
		free(list);
		return status;
	}
	*workers = list;
	*count = n;
	return SUMI_OK;
}

/* ---- dead letters ------------------------------------------------------------------------ */

void queue_dead_letters_free(struct queue_dead_letter *letters, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(letters[i].reason);
		free(letters[i].text);
	}
	free(letters);
}

static int read_letter(const redisReply *reply, struct queue_dead_letter *letter, struct error *err)
{
	const redisReply *fields = reply_at(reply, 1);
	reply_copy(reply_at(reply, 0), letter->entry, sizeof letter->entry);
	letter->at_ms =
	    strtoll(letter->entry, NULL, 10); /* Redis makes entries' ids of its clock */
	for (size_t i = 0; fields && i + 1 < fields->elements; i += 2) {
		const char *name = reply_text(fields->element[i]);
		const char *value = reply_text(fields->element[i + 1]);
		if (strcmp(name, "id") == 0)
			snprintf(letter->id, sizeof letter->id, "%s", value);
		else if (strcmp(name, "kind") == 0)
			snprintf(letter->kind, sizeof letter->kind, "%s", value);
		else if (strcmp(name, "reason") == 0 && !letter->reason)
			letter->reason = strdup(value);
		else if (strcmp(name, "text") == 0 && !letter->text)
			letter->text = strdup(value);
	}
	if (!letter->reason)
		letter->reason = strdup("");
	if (!letter->text)
		letter->text = strdup("");
	return letter->reason && letter->text ? SUMI_OK
					      : error_set(err, SUMI_NOMEM, "queue: no memory");
}

int queue_dead_letters(struct queue *queue, size_t limit, struct queue_dead_letter **letters,
		       size_t *count, struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	*letters = NULL;
	*count = 0;
	command_text(&command, "XREVRANGE");
	command_key(&command, queue, "dead", NULL);
	command_text(&command, "+");
	command_text(&command, "-");
	command_text(&command, "COUNT");
	command_int(&command, (int64_t)limit);
	int status = call_simple(queue, &command, &reply, err);
	if (status)
		return status;
	struct queue_dead_letter *list = calloc(reply->elements + 1, sizeof *list);
	if (!list)
		status = error_set(err, SUMI_NOMEM, "queue: no memory");
	for (size_t i = 0; i < reply->elements && status == SUMI_OK; i++)
		status = read_letter(reply->element[i], &list[i], err);
	if (status)
		queue_dead_letters_free(list, list ? reply->elements : 0);
	else {
		*letters = list;
		*count = reply->elements;
	}
	freeReplyObject(reply);
	return status;
}

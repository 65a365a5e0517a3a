/* Into the queue: submitting, and taking out of the intake what anybody has put there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/ulid.h"
#include "base/schedule.h"
#include "queue/internal.h"
#include "queue/sources.h"
#include "request/files.h"

#define PIPELINE 256
#define SUBMIT_PIPELINE 1000
#define MAX_ENTRY_FIELDS 64
#define SENT_ID_MAX 256       /* bytes of an id that no job may have, but somebody waits for */
#define LETTER_VALUE_MAX 1024 /* bytes of a field that are kept in a dead letter */

double random_unit(void)
{
	uint32_t r = 0;
	if (getrandom(&r, sizeof r, 0) != (ssize_t)sizeof r)
		r = (uint32_t)clock_mono_us();
	return r / 4294967295.0;
}

/* "|22:00-06:00@Europe/Moscow", or "" for a job without window. */
static void job_window_key(const struct job *job, char *out, size_t size)
{
	*out = '\0';
	if (job->window)
		snprintf(out, size, "|%s@%s", job->window, job->tz ? job->tz : "UTC");
}

/* The files that it starts from, as one text. */
static void job_inputs(struct command *command, const struct request *r)
{
	struct request_file f;
	struct bytes_writer all = {0};
	char name[INPUT_NAME_SIZE];
	for (size_t i = 0; request_file(r, i, &f); i++) {
		input_name(f.value, name);
		if (!*name)
			continue;
		bytes_put(&all, " ", all.size > 0);
		bytes_put(&all, name, strlen(name));
	}
	command->failed |= all.failed;
	command_add(command, all.data ? all.data : (const void *)"", all.size);
	free(all.data);
}

void job_arguments(struct command *command, const struct job *job, const char *json,
		   const struct job_entry_facts *facts)
{
	char window[SCHEDULE_ZONE_SIZE + 16], after[PARAM_LIST_MAX * JOB_ID_SIZE + 1] = "";
	char shape[REQUEST_SHAPE_SIZE];
	size_t used = 0;
	job_window_key(job, window, sizeof window);
	for (size_t i = 0; i < job->after.count; i++)
		used += (size_t)snprintf(after + used, sizeof after - used, "%s ", job->after.at[i]);
	command_text(command, job->id);
	command_text(command, json);
	command_format(command, "%s/%s", job->modality, job->model ? job->model : "");
	command_text(command, window);
	command_int(command, job->priority);
	command_text(command, job->submitter);
	command_int(command, job->n);
	command_int(command, facts->due);
	command_int(command, job->deadline);
	command_int(command, job->max_attempts);
	command_text(command, after);
	command_text(command, !job->every ? "" : facts->seed_drawn ? "draw" : "fixed");
	request_shape(&job->request, shape, sizeof shape);
	command_text(command, shape);
	job_inputs(command, &job->request);
}

/* ---- submitting ------------------------------------------------------------------------ */

/* The seed stays open: it is drawn where the job is admitted, once. */
static int submit_command(struct queue *queue, struct job *job, struct command *command,
			  struct error *err)
{
	char *json;
	int status = SUMI_OK;
	if (!job->id) {
		char id[ULID_SIZE];
		ulid_new(id);
		status = job_set(job, "id", json_string(id), err);
	}
	if (status == SUMI_OK)
		status = job_to_json(job, &json, err);
	if (status)
		return status;
	command_text(command, "XADD");
	command_key(command, queue, "in", NULL);
	command_text(command, "*");
	command_text(command, "job");
	command_text(command, json);
	free(json);
	return SUMI_OK;
}

int queue_submit(struct queue *queue, struct job *job, struct error *err)
{
	struct command command = {0};
	redisReply *reply = NULL;
	int status = submit_command(queue, job, &command, err);
	if (status == SUMI_OK)
		status = link_call(queue, &command, &reply, err);
	freeReplyObject(reply);
	command_free(&command);
	return status;
}

static int in_error(const struct queue *queue, const redisReply *reply, struct error *err)
{
	char key[192];
	int n = snprintf(key, sizeof key, "%sin", queue->prefix);
	return reply_error_at(reply, key, (size_t)n, err);
}

/* Sends jobs and reads their replies. *sent counts those that Redis has taken. */
static int submit_chunk(struct queue *queue, struct job *jobs, size_t count, size_t *sent,
			struct error *err)
{
	int status = link_need(queue, err);
	size_t asked = 0;
	for (; asked < count && status == SUMI_OK; asked++) {
		struct command command = {0};
		status = submit_command(queue, &jobs[asked], &command, err);
		if (status == SUMI_OK)
			status = link_append(queue, &command, err);
		command_free(&command);
		if (status)
			break;
	}
	/* What was appended is answered even where a later job could not be sent. */
	int failure = status;
	for (size_t i = 0; i < asked && queue->redis; i++) {
		redisReply *reply;
		status = link_reply(queue, &reply, failure ? NULL : err);
		if (status)
			return failure ? failure : status;
		if (reply->type == REDIS_REPLY_ERROR && !failure)
			failure = in_error(queue, reply, err);
		*sent += !failure;
		freeReplyObject(reply);
	}
	return failure;
}

int queue_submit_many(struct queue *queue, struct job *jobs, size_t count, size_t *sent,
		      struct error *err)
{
	int status = SUMI_OK;
	*sent = 0;
	while (*sent < count && status == SUMI_OK) {
		size_t left = count - *sent, before = *sent;
		status = submit_chunk(queue, jobs + *sent,
				      left < SUBMIT_PIPELINE ? left : SUBMIT_PIPELINE, sent, err);
		/* Sending a job twice makes one job, so what broke is tried once more, with patience for a server
		 * that loads its data; if that brings nothing, the caller hears of it. */
		if (status == SUMI_CONNECT && queue->patience_ms > 0) {
			status = link_need(queue, err);
			if (status == SUMI_OK && *sent == before) {
				status = queue_submit(queue, &jobs[*sent], err);
				*sent += status == SUMI_OK;
			}
		}
	}
	return status;
}

/* ---- admitting ------------------------------------------------------------------------- */

/* One entry of the intake; texts are borrowed from the reply. */
struct intake_entry {
	const char *entry; /* its id in the stream */
	struct job_text fields[MAX_ENTRY_FIELDS];
	size_t count;
	bool too_many;
};

static void read_entry(const redisReply *reply, struct intake_entry *e)
{
	const redisReply *pairs = reply_at(reply, 1);
	e->entry = reply_text(reply_at(reply, 0));
	e->count = 0;
	e->too_many = pairs && pairs->elements / 2 > MAX_ENTRY_FIELDS;
	for (size_t i = 0; pairs && i + 1 < pairs->elements && e->count < MAX_ENTRY_FIELDS;
	     i += 2) {
		const redisReply *name = pairs->element[i], *value = pairs->element[i + 1];
		e->fields[e->count++] =
		    (struct job_text){reply_text(name), reply_size(name), reply_text(value),
				      reply_size(value)};
	}
}

static const struct job_text *entry_field(const struct intake_entry *e, const char *name)
{
	for (size_t i = 0; i < e->count; i++)
		if (e->fields[i].name_size == strlen(name) &&
		    memcmp(e->fields[i].name, name, e->fields[i].name_size) == 0)
			return &e->fields[i];
	return NULL;
}

static json_t *printable(const char *text, size_t size)
{
	char cut[LETTER_VALUE_MAX + 1];
	size_t n = size < LETTER_VALUE_MAX ? size : LETTER_VALUE_MAX;
	json_t *value = size <= LETTER_VALUE_MAX ? json_stringn(text, size) : NULL;
	if (value)
		return value;
	for (size_t i = 0; i < n; i++)
		cut[i] = text[i] >= 0x20 && text[i] < 0x7F ? text[i] : '?';
	return json_stringn(cut, n);
}

/* What a bad entry says of itself. */
struct sent {
	char id[SENT_ID_MAX + 1]; /* that its sender may be waiting for, or "" */
	size_t id_size;
	json_t *all; /* its fields, cut to what a dead letter keeps */
	json_t *job; /* the same of a job in JSON; may be NULL */
};

static void take_id(struct sent *sent, const char *text, size_t size)
{
	if (size > SENT_ID_MAX)
		return;
	memcpy(sent->id, text, size);
	sent->id[size] = '\0';
	sent->id_size = size;
}

/* Of a job in JSON, where it can be read so far. */
static void read_sent_json(struct sent *sent, const struct job_text *job)
{
	json_error_t ignored;
	sent->job = job->value_size <= JOB_JSON_MAX
			? json_loadb(job->value, job->value_size, JSON_DECODE_INT_AS_REAL, &ignored)
			: NULL;
	const json_t *id = json_object_get(sent->job, "id");
	char number[32];
	if (json_is_string(id)) {
		take_id(sent, json_string_value(id), json_string_length(id));
	} else if (json_is_number(id)) {
		snprintf(number, sizeof number, "%.17g", json_number_value(id));
		take_id(sent, number, strlen(number));
	}
}

static struct sent read_sent(const struct intake_entry *e)
{
	struct sent sent = {.all = json_object()};
	const struct job_text *id = entry_field(e, "id"), *job = entry_field(e, "job");
	for (size_t i = 0; i < e->count; i++) {
		char name[65];
		snprintf(name, sizeof name, "%.*s",
			 (int)(e->fields[i].name_size < 64 ? e->fields[i].name_size : 64),
			 e->fields[i].name);
		json_object_set_new(sent.all, name,
				    printable(e->fields[i].value, e->fields[i].value_size));
	}
	if (job)
		read_sent_json(&sent, job);
	if (id)
		take_id(&sent, id->value, id->value_size);
	return sent;
}

/* A field as text for a person who looks at the list, or "". */
static const char *sent_text(const struct sent *sent, const char *name)
{
	const char *text = json_string_value(json_object_get(sent->job, name));
	if (!text)
		text = json_string_value(json_object_get(sent->all, name));
	return text && strlen(text) <= LETTER_VALUE_MAX ? text : "";
}

/* odd: the job's keys are none that a script could write to. job: what could be read of it, so that
 * its notify URL hears of the end. */
static void reject_command(struct queue *queue, const struct intake_entry *e, const char *reason,
			   bool odd, const struct job *job, struct command *command)
{
	struct sent sent = read_sent(e);
	char *text = json_dumps(sent.all, JSON_COMPACT | JSON_ENSURE_ASCII);
	bool plain = strlen(sent.id) == sent.id_size && job_id_valid(sent.id);
	command_script(command, queue, SCRIPT_REJECT);
	command_text(command, "in");
	command_text(command, e->entry);
	command_add(command, sent.id, sent.id_size);
	command_text(command, reason);
	command_text(command, text);
	command_text(command, sent_text(&sent, "modality"));
	command_text(command, sent_text(&sent, "prompt"));
	command_text(command, odd || entry_field(e, "op") ? "operation" : plain ? "job" : "odd");
	char *json = NULL;
	if (job->fields && job_to_json(job, &json, NULL) == SUMI_OK)
		command_text(command, json);
	free(json);
	free(text);
	json_decref(sent.all);
	json_decref(sent.job);
}

/* cancel, retry, pause, resume as intake entries. */
static int operation_command(struct queue *queue, const struct intake_entry *e, const char *op,
			     struct command *command, struct error *err)
{
	const struct job_text *id = entry_field(e, "id"), *reason = entry_field(e, "reason");
	if (strcmp(op, "pause") == 0 || strcmp(op, "resume") == 0) {
		command_script(command, queue, SCRIPT_PAUSE);
		command_text(command, e->entry);
		command_text(command, op);
		command_add(command, reason ? reason->value : "", reason ? reason->value_size : 0);
		return SUMI_OK;
	}
	bool cancel = strcmp(op, "cancel") == 0;
	if (!cancel && strcmp(op, "retry") != 0)
		return error_set(err, SUMI_INVALID,
				 "unknown op: write cancel, retry, pause or resume");
	char text[JOB_ID_SIZE] = "";
	if (id && id->value_size <= JOB_ID_MAX)
		snprintf(text, sizeof text, "%.*s", (int)id->value_size, id->value);
	if (!id || strlen(text) != id->value_size || !job_id_valid(text))
		return error_set(err, SUMI_INVALID, "op %s needs the field id", op);
	command_script(command, queue, cancel ? SCRIPT_CANCEL : SCRIPT_RETRY);
	command_text(command, e->entry);
	command_text(command, text);
	return SUMI_OK;
}

static int parse_entry(const struct intake_entry *e, struct job *job, struct error *err)
{
	const struct job_text *json = entry_field(e, "job");
	if (e->too_many)
		return error_set(err, SUMI_INVALID, "job: more than %d fields", MAX_ENTRY_FIELDS);
	if (!json)
		return job_parse_flat(e->fields, e->count, job, err);
	if (e->count > 1)
		return error_set(err, SUMI_INVALID, "the field 'job' must stand alone");
	return job_parse_json(json->value, json->value_size, job, err);
}

static int first_due(const struct job *job, int64_t *due, struct error *err)
{
	*due = job->not_before;
	if (job->not_before || !job->every || !schedule_every_is_daily(job->every))
		return SUMI_OK;
	int64_t now = clock_wall_ms();
	return schedule_every_next(job->every, job->tz, now, now, due, err);
}

int admit_command(struct queue *queue, const char *kind, const char *entry, struct job *job,
		  struct command *command, struct error *err)
{
	struct job_entry_facts facts = {.seed_drawn = !job->seed_given};
	char *json;
	int status = job_complete(job, err);
	if (status == SUMI_OK && queue->settle && !job->every)
		status = queue->settle(queue->check_context, job, err);
	if (status == SUMI_OK)
		status = first_due(job, &facts.due, err);
	if (status == SUMI_OK)
		status = job_to_json(job, &json, err);
	if (status)
		return status;
	command_script(command, queue, SCRIPT_ADMIT);
	command_text(command, kind);
	command_text(command, entry);
	job_arguments(command, job, json, &facts);
	free(json);
	return SUMI_OK;
}

/* Entries that are taken in together: a job of them may start from what another makes. */
struct chunk {
	struct queue *queue;
	const redisReply *entries;
	json_t *ids; /* of jobs that lie there; NULL: nobody has asked */
	bool all;    /* those behind these entries too */
};

static void note_ids(json_t *ids, const redisReply *entries)
{
	struct intake_entry e;
	for (size_t i = 0; i < entries->elements; i++) {
		read_entry(entries->element[i], &e);
		struct sent sent = read_sent(&e);
		if (*sent.id && strlen(sent.id) == sent.id_size)
			json_object_set_new(ids, sent.id, json_true());
		json_decref(sent.all);
		json_decref(sent.job);
	}
}

/* Who sends two jobs in one breath has woken the daemon with the first, or filled a chunk. */
static bool is_coming(void *context, const char *id)
{
	enum { MOST = 1000 };
	struct chunk *chunk = context;
	struct command command = {0};
	redisReply *lying = NULL;
	struct error ignored;
	if (!chunk->ids) {
		chunk->ids = json_object();
		note_ids(chunk->ids, chunk->entries);
	}
	if (!chunk->all && !json_object_get(chunk->ids, id)) {
		chunk->all = true;
		command_text(&command, "XRANGE");
		command_key(&command, chunk->queue, "in", NULL);
		command_text(&command, "-");
		command_text(&command, "+");
		command_text(&command, "COUNT");
		command_int(&command, MOST);
		if (link_call(chunk->queue, &command, &lying, &ignored) == SUMI_OK)
			note_ids(chunk->ids, lying);
		freeReplyObject(lying);
		command_free(&command);
	}
	return json_object_get(chunk->ids, id) != NULL;
}

/* What can be known now is not left to the worker. */
static int check_entry(struct queue *queue, struct job *job, struct chunk *chunk, struct error *err)
{
	int status = job_check(job, err);
	if (status == SUMI_OK)
		status = queue_sources_check(queue, job, is_coming, chunk, err);
	if (status == SUMI_OK && queue->check)
		status = queue->check(queue->check_context, job, err);
	/* Written down, so that it holds for a job that is entered again elsewhere. */
	if (status == SUMI_OK && queue->max_attempts &&
	    queue->max_attempts != job->max_attempts &&
	    !json_object_get(job->fields, "max_attempts"))
		status = job_set(job, "max_attempts", json_integer(queue->max_attempts), err);
	return status;
}

/* The command that deals with an entry, whatever it holds. */
static void entry_command(struct queue *queue, const struct intake_entry *e, struct chunk *chunk,
			  struct command *command)
{
	struct error why = {0};
	struct job job = {0};
	const struct job_text *op = entry_field(e, "op");
	char word[16];
	int status;
	if (op) {
		snprintf(word, sizeof word, "%.*s",
			 (int)(op->value_size < 15 ? op->value_size : 15), op->value);
		status = operation_command(queue, e, word, command, &why);
	} else {
		status = parse_entry(e, &job, &why);
		if (status == SUMI_OK)
			status = check_entry(queue, &job, chunk, &why);
		if (status == SUMI_OK)
			status = admit_command(queue, "in", e->entry, &job, command, &why);
	}
	if (status) {
		command_free(command);
		reject_command(queue, e, why.text, false, &job, command);
	}
	job_clear(&job);
}

static void count_reply(const redisReply *reply, struct queue_admitted *admitted)
{
	if (reply_is(reply, "gone"))
		return;
	if (reply_is(reply, "duplicate"))
		admitted->duplicates++;
	else if (reply_is(reply, "rejected"))
		admitted->rejected++;
	else if (reply_is(reply, "ready") || reply_is(reply, "delayed") ||
		 reply_is(reply, "blocked") || reply_is(reply, "failed"))
		admitted->jobs++;
	else
		admitted->operations++;
}

/* An entry at which a script fails by itself would be met again for ever, and nothing behind it be
 * taken in. */
static int set_aside(struct queue *queue, const redisReply *entry, const struct error *why,
		     struct queue_admitted *admitted, struct error *err)
{
	struct intake_entry e;
	struct command command = {0};
	redisReply *reply = NULL;
	read_entry(entry, &e);
	reject_command(queue, &e, why->text, true, &(struct job){0}, &command);
	int status = script_call(queue, SCRIPT_REJECT, &command, &reply, err);
	if (!status)
		count_reply(reply, admitted);
	freeReplyObject(reply);
	command_free(&command);
	return status;
}

/* All commands are made before the first is sent: a look at what a job starts from asks Redis too. *asked: how
 * many were sent. */
static int send_chunk(struct queue *queue, const redisReply *entries, size_t *asked, struct error *err)
{
	struct command commands[PIPELINE] = {0};
	struct intake_entry e;
	struct chunk chunk = {.queue = queue, .entries = entries};
	for (size_t i = 0; i < entries->elements; i++) {
		read_entry(entries->element[i], &e);
		entry_command(queue, &e, &chunk, &commands[i]);
	}
	json_decref(chunk.ids);
	int status = link_need(queue, err);
	for (*asked = 0; *asked < entries->elements && !status; *asked += !status)
		status = link_append(queue, &commands[*asked], err);
	for (size_t i = 0; i < entries->elements; i++)
		command_free(&commands[i]);
	return status;
}

/* *forgotten: Redis did not know the scripts, so the entries are there still; now it does. */
static int admit_chunk(struct queue *queue, const redisReply *entries,
		       struct queue_admitted *admitted, bool *forgotten, struct error *err)
{
	size_t asked;
	struct error why[PIPELINE] = {0};
	*forgotten = false;
	int failure = send_chunk(queue, entries, &asked, err);
	for (size_t i = 0; i < asked; i++) {
		redisReply *reply;
		int status = link_reply(queue, &reply, err);
		if (status)
			return status;
		if (strncmp(reply_text(reply), "NOSCRIPT", 8) == 0)
			*forgotten = true;
		else if (reply->type != REDIS_REPLY_ERROR)
			count_reply(reply, admitted);
		else if (reply_error(reply, &why[i]) != SUMI_CORRUPT && !failure)
			failure = error_set(err, why[i].status, "%s", why[i].text);
		freeReplyObject(reply);
	}
	for (size_t i = 0; i < asked && !failure; i++)
		if (why[i].status == SUMI_CORRUPT)
			failure = set_aside(queue, entries->element[i], &why[i], admitted, err);
	return *forgotten && !failure ? script_load_all(queue, err) : failure;
}

/* The entries that rang are here already: asking for them once more would be a round trip that
 * every sender waits for. True when there are no others; what went wrong is tried again in the
 * usual way. */
static bool admit_rung(struct queue *queue, struct queue_admitted *admitted)
{
	char in[192];
	bool forgotten = false;
	redisReply *rung = queue->rung;
	const redisReply *entries = NULL;
	struct error ignored;
	queue->rung = NULL;
	snprintf(in, sizeof in, "%sin", queue->prefix);
	for (size_t i = 0; rung && i < rung->elements; i++)
		if (reply_is(reply_at(rung->element[i], 0), in))
			entries = reply_at(rung->element[i], 1);
	size_t count = entries ? entries->elements : 0;
	bool done = count > 0 && count < RUNG_MAX && queue->redis &&
		    admit_chunk(queue, entries, admitted, &forgotten, &ignored) == SUMI_OK;
	freeReplyObject(rung);
	return done && !forgotten;
}

int queue_admit(struct queue *queue, size_t limit, struct queue_admitted *admitted,
		struct error *err)
{
	int status = SUMI_OK;
	memset(admitted, 0, sizeof *admitted);
	if (limit >= RUNG_MAX && admit_rung(queue, admitted))
		return SUMI_OK;
	bool more = true;
	for (size_t taken = 0; more && taken < limit && status == SUMI_OK;) {
		struct command command = {0};
		redisReply *entries = NULL;
		bool forgotten = false;
		size_t asked = limit - taken < PIPELINE ? limit - taken : PIPELINE;
		command_text(&command, "XRANGE");
		command_key(&command, queue, "in", NULL);
		command_text(&command, "-");
		command_text(&command, "+");
		command_text(&command, "COUNT");
		command_int(&command, (int64_t)asked);
		status = link_call(queue, &command, &entries, err);
		command_free(&command);
		size_t count = status == SUMI_OK ? entries->elements : 0;
		if (count)
			status = admit_chunk(queue, entries, admitted, &forgotten, err);
		freeReplyObject(entries);
		taken += forgotten ? 0 : count;
		more = forgotten || count == asked;
	}
	return status;
}

int queue_lying(struct queue *queue, size_t most, json_t **jobs, struct error *err)
{
	struct command command = {0};
	redisReply *entries = NULL;
	struct error ignored;
	*jobs = json_array();
	command_text(&command, "XRANGE");
	command_key(&command, queue, "in", NULL);
	command_text(&command, "-");
	command_text(&command, "+");
	command_text(&command, "COUNT");
	command_int(&command, (int64_t)most);
	int status = *jobs ? link_call(queue, &command, &entries, err) : error_set(err, SUMI_NOMEM, "queue: no memory");
	command_free(&command);
	for (size_t i = 0; !status && i < entries->elements; i++) {
		struct intake_entry e;
		struct job job = {0};
		read_entry(entries->element[i], &e);
		/* What can be none is told of when it is taken in. */
		if (!entry_field(&e, "op") && parse_entry(&e, &job, &ignored) == SUMI_OK) {
			if (job.id)
				json_array_append(*jobs, job.fields);
			job_clear(&job);
		}
	}
	freeReplyObject(entries);
	return status;
}

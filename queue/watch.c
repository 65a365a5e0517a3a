/* XREAD without waiting for it. */
#include "queue/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "queue/internal.h"

enum { PAGE = 100 };

struct watched {
	char id[JOB_ID_SIZE];
	char cursor[QUEUE_CURSOR_SIZE];
};

struct queue_watch {
	struct queue *queue; /* for its address, prefix and connection */
	char cursor[QUEUE_CURSOR_SIZE];
	struct watched jobs[WATCH_JOBS_MAX];
	size_t count;
};

/* The last entries of a stream, the newest first; the caller frees *reply. */
static int read_back(struct queue *queue, const char *stream, const char *id, int most, redisReply **reply,
		     struct error *err)
{
	struct command command = {0};
	command_text(&command, "XREVRANGE");
	command_key(&command, queue, stream, id);
	command_text(&command, "+");
	command_text(&command, "-");
	command_text(&command, "COUNT");
	command_int(&command, most);
	int status = link_call(queue, &command, reply, err);
	command_free(&command);
	return status;
}

/* "$" at each read would miss what happens between two of them. */
static int latest(struct queue *queue, char cursor[QUEUE_CURSOR_SIZE], struct error *err)
{
	redisReply *reply = NULL;
	int status = read_back(queue, "ev", NULL, 1, &reply, err);
	strcpy(cursor, "0-0");
	if (!status && reply->elements)
		reply_copy(reply_at(reply->element[0], 0), cursor, QUEUE_CURSOR_SIZE);
	freeReplyObject(reply);
	return status;
}

int queue_watch_open(const struct queue_options *options, struct queue_watch **out, struct error *err)
{
	struct queue_watch *w = calloc(1, sizeof *w);
	*out = NULL;
	if (!w)
		return error_set(err, SUMI_NOMEM, "queue: no memory");
	int status = queue_open(options, &w->queue, err);
	if (!status)
		status = latest(w->queue, w->cursor, err);
	if (status)
		queue_watch_close(w);
	else
		*out = w;
	return status;
}

void queue_watch_close(struct queue_watch *w)
{
	if (!w)
		return;
	queue_close(w->queue);
	free(w);
}

const char *queue_watch_cursor(const struct queue_watch *w)
{
	return w->cursor;
}

void queue_watch_from(struct queue_watch *w, const char *cursor)
{
	snprintf(w->cursor, sizeof w->cursor, "%s", cursor);
}

int queue_watch_fd(const struct queue_watch *w)
{
	return w->queue->redis->fd;
}

static bool has(const struct queue_watch *w, const char *id)
{
	for (size_t i = 0; i < w->count; i++)
		if (strcmp(w->jobs[i].id, id) == 0)
			return true;
	return false;
}

void queue_watch_job(struct queue_watch *w, const char *id, const char *from)
{
	if (w->count == WATCH_JOBS_MAX || has(w, id))
		return;
	struct watched *job = &w->jobs[w->count++];
	snprintf(job->id, sizeof job->id, "%s", id);
	snprintf(job->cursor, sizeof job->cursor, "%s", from);
}

void queue_watch_forget(struct queue_watch *w, const char *id)
{
	for (size_t i = 0; i < w->count; i++)
		if (strcmp(w->jobs[i].id, id) == 0) {
			w->jobs[i] = w->jobs[--w->count];
			return;
		}
}

int queue_watch_ask(struct queue_watch *w, int wait_ms, struct error *err)
{
	struct command command = {0};
	int done = 0;
	command_text(&command, "XREAD");
	command_text(&command, "COUNT");
	command_int(&command, PAGE);
	command_text(&command, "BLOCK");
	command_int(&command, wait_ms > 0 ? wait_ms : 1);
	command_text(&command, "STREAMS");
	command_key(&command, w->queue, "ev", NULL);
	for (size_t i = 0; i < w->count; i++)
		command_key(&command, w->queue, "ev:", w->jobs[i].id);
	command_text(&command, w->cursor);
	for (size_t i = 0; i < w->count; i++)
		command_text(&command, w->jobs[i].cursor);
	int status = link_append(w->queue, &command, err);
	command_free(&command);
	while (!status && !done)
		if (redisBufferWrite(w->queue->redis, &done) != REDIS_OK)
			status = error_set(err, SUMI_CONNECT, "redis: %s",
					   link_problem(w->queue->redis));
	return status;
}

static void read_stream(struct queue_watch *w, const redisReply *stream, queue_watch_function *each,
			void *context)
{
	const redisReply *entries = reply_at(stream, 1);
	const char *key = reply_text(reply_at(stream, 0)) + strlen(w->queue->prefix);
	bool own = strncmp(key, "ev:", 3) == 0;
	char *cursor = w->cursor;
	for (size_t i = 0; own && i < w->count; i++)
		if (strcmp(w->jobs[i].id, key + 3) == 0)
			cursor = w->jobs[i].cursor;
	for (size_t i = 0; entries && i < entries->elements; i++) {
		struct queue_event event;
		reply_event(entries->element[i], &event);
		if (!own || cursor != w->cursor)
			strcpy(cursor, event.cursor);
		each(context, &event, own);
	}
}

int queue_watch_take(struct queue_watch *w, queue_watch_function *each, void *context, bool *whole,
		     struct error *err)
{
	redisContext *c = w->queue->redis;
	void *reply = NULL;
	*whole = false;
	if (redisBufferRead(c) != REDIS_OK || redisGetReplyFromReader(c, &reply) != REDIS_OK)
		return error_set(err, SUMI_CONNECT, "redis: %s", link_problem(c));
	if (!reply)
		return SUMI_OK;
	redisReply *r = reply;
	int status = r->type == REDIS_REPLY_ERROR ? reply_error(r, err) : SUMI_OK;
	*whole = !status;
	/* A callback may forget jobs: cursors are looked up by name. */
	for (size_t i = 0; !status && r->type == REDIS_REPLY_ARRAY && i < r->elements; i++)
		read_stream(w, r->element[i], each, context);
	freeReplyObject(r);
	return status ? error_set(err, SUMI_CONNECT, "%s", err->text) : SUMI_OK;
}

int queue_watch_past(struct queue *queue, const char *cursor, size_t limit, queue_watch_function *each,
		     void *context, struct error *err)
{
	struct command command = {0};
	redisReply *reply = NULL;
	command_text(&command, "XRANGE");
	command_key(&command, queue, "ev", NULL);
	command_format(&command, "(%s", cursor);
	command_text(&command, "+");
	command_text(&command, "COUNT");
	command_int(&command, (int64_t)limit);
	int status = link_call(queue, &command, &reply, err);
	command_free(&command);
	for (size_t i = 0; !status && i < reply->elements; i++) {
		struct queue_event event;
		reply_event(reply->element[i], &event);
		each(context, &event, false);
	}
	freeReplyObject(reply);
	return status;
}

int queue_last_preview(struct queue *queue, const char *id, char **data, size_t *size,
		       struct error *err)
{
	enum { LOOKED_AT = 20 };
	redisReply *reply = NULL;
	*data = NULL;
	int status = read_back(queue, "ev:", id, LOOKED_AT, &reply, err);
	for (size_t i = 0; !status && !*data && i < reply->elements; i++) {
		struct queue_event event;
		reply_event(reply->element[i], &event);
		for (size_t k = 0; k < event.field_count && strcmp(event.event, "preview") == 0; k++)
			if (strcmp(event.fields[k].name, "webp") == 0 && !*data &&
			    (*data = malloc(event.fields[k].size + 1))) {
				memcpy(*data, event.fields[k].value, event.fields[k].size);
				*size = event.fields[k].size;
			}
	}
	freeReplyObject(reply);
	return status || *data ? status
			       : error_set(err, SUMI_NOTFOUND, "there is no preview of %.64s", id);
}

static void read_submitter(const redisReply *reply, char out[JOB_ID_SIZE])
{
	const redisReply *json = reply_at(reply, 1);
	reply_copy(reply_at(reply, 0), out, JOB_ID_SIZE);
	if (*out || !json || json->type != REDIS_REPLY_STRING)
		return;
	json_t *job = json_loadb(json->str, json->len, 0, NULL);
	const char *submitter = json_string_value(json_object_get(job, "submitter"));
	if (submitter)
		snprintf(out, JOB_ID_SIZE, "%s", submitter);
	json_decref(job);
}

int queue_submitters(struct queue *queue, const char *const *ids, size_t count,
		     char (*submitters)[JOB_ID_SIZE], struct error *err)
{
	int status = link_need(queue, err);
	for (size_t i = 0; i < count && !status; i++) {
		struct command command = {0};
		command_text(&command, "HMGET");
		command_key(&command, queue, "job:", ids[i]);
		command_text(&command, "submitter");
		command_text(&command, "job");
		status = link_append(queue, &command, err);
		command_free(&command);
	}
	for (size_t i = 0; i < count && !status; i++) {
		redisReply *reply;
		if (!(status = link_reply(queue, &reply, err))) {
			read_submitter(reply, submitters[i]);
			freeReplyObject(reply);
		}
	}
	if (status)
		link_drop(queue); /* replies may be under way still */
	return status;
}

/* Waiting: the doorbell of workers, and following the events of jobs. Both block in Redis on
 * connections of their own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "queue/internal.h"

#define RECONNECT_WAIT_MS 200

/* XREAD on a connection whose read timeout lies behind Redis' own. *reply is NULL, with 0,
 * when nothing came. */
static int blocking_read(const struct queue *queue, redisContext **link, int timeout_ms,
			 const char *command, size_t size, redisReply **reply, struct error *err)
{
	int wait = timeout_ms + queue->command_ms, status = SUMI_OK;
	*reply = NULL;
	if (!*link)
		status = link_open(queue, link, err);
	if (status)
		return status;
	redisSetTimeout(*link,
			(struct timeval){.tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000});
	redisReply *got = NULL;
	if (redisAppendFormattedCommand(*link, command, size) != REDIS_OK ||
	    redisGetReply(*link, (void **)&got) != REDIS_OK) {
		status = error_set(err, SUMI_CONNECT, "redis: %s", link_problem(*link));
	} else if (got->type == REDIS_REPLY_ERROR) {
		status = reply_error(got, err);
	} else if (got->type == REDIS_REPLY_ARRAY && got->elements > 0) {
		*reply = got;
		return SUMI_OK;
	}
	freeReplyObject(got);
	if (status) {
		redisFree(*link);
		*link = NULL;
	}
	return status;
}

int queue_doorbell(struct queue *queue, int timeout_ms, bool *rang, struct error *err)
{
	char *command, in[192], bell[192];
	redisReply *reply;
	*rang = false;
	freeReplyObject(queue->rung);
	queue->rung = NULL;
	snprintf(in, sizeof in, "%sin", queue->prefix);
	snprintf(bell, sizeof bell, "%sbell", queue->prefix);
	/* The intake from its beginning: an entry that lies there rings. The bell from where it was
	 * heard last: what rang between two calls is not missed. BLOCK 0 would be for ever. */
	int size =
	    redisFormatCommand(&command, "XREAD COUNT %d BLOCK %d STREAMS %s %s 0-0 %s", RUNG_MAX,
			       timeout_ms > 0 ? timeout_ms : 1, in, bell, queue->bell_cursor);
	if (size < 0)
		return error_set(err, SUMI_NOMEM, "queue: no memory");
	int status =
	    blocking_read(queue, &queue->bell, timeout_ms, command, (size_t)size, &reply, err);
	redisFreeCommand(command);
	if (status || !reply)
		return status;
	*rang = true;
	for (size_t i = 0; i < reply->elements; i++) {
		const redisReply *entries = reply_at(reply->element[i], 1);
		if (reply_is(reply_at(reply->element[i], 0), bell) && entries && entries->elements)
			reply_copy(reply_at(entries->element[entries->elements - 1], 0),
				   queue->bell_cursor, sizeof queue->bell_cursor);
	}
	queue->rung = reply;
	return SUMI_OK;
}

struct queue_follower {
	struct queue *queue; /* for its address and options only */
	redisContext *link;
	char key[256];
	char cursor[QUEUE_CURSOR_SIZE];
};

/* "$" at each read would miss what happens between two of them: it is looked up once. */
static int latest_cursor(struct queue_follower *f, struct error *err)
{
	redisReply *reply = redisCommand(f->link, "XREVRANGE %s + - COUNT 1", f->key);
	int status = SUMI_OK;
	strcpy(f->cursor, "0-0");
	if (!reply)
		status = error_set(err, SUMI_CONNECT, "redis: %s", link_problem(f->link));
	else if (reply->type == REDIS_REPLY_ERROR)
		status = reply_error_at(reply, f->key, strlen(f->key), err);
	else if (reply->elements)
		reply_copy(reply_at(reply->element[0], 0), f->cursor, sizeof f->cursor);
	freeReplyObject(reply);
	return status;
}

int queue_follow(struct queue *queue, const char *id, const char *from, struct queue_follower **out,
		 struct error *err)
{
	*out = NULL;
	if (id && !job_id_valid(id))
		return error_set(err, SUMI_INVALID, "'%.64s' cannot be the id of a job", id);
	struct queue_follower *f = calloc(1, sizeof *f);
	if (!f)
		return error_set(err, SUMI_NOMEM, "queue: no memory");
	f->queue = queue;
	snprintf(f->key, sizeof f->key, "%sev%s%s", queue->prefix, id ? ":" : "", id ? id : "");
	snprintf(f->cursor, sizeof f->cursor, "%s", from);
	int status = link_open(queue, &f->link, err);
	if (status == SUMI_OK && strcmp(from, "$") == 0)
		status = latest_cursor(f, err);
	if (status) {
		queue_follow_close(f);
		return status;
	}
	*out = f;
	return SUMI_OK;
}

void queue_follow_close(struct queue_follower *follower)
{
	if (!follower)
		return;
	if (follower->link)
		redisFree(follower->link);
	free(follower);
}

void queue_event_clear(struct queue_event *event)
{
	freeReplyObject(event->reply);
	memset(event, 0, sizeof *event);
}

const char *queue_event_value(const struct queue_event *event, const char *name)
{
	for (size_t i = 0; i < event->field_count; i++)
		if (strcmp(event->fields[i].name, name) == 0)
			return event->fields[i].value;
	return NULL;
}

void reply_event(const redisReply *entry, struct queue_event *event)
{
	const redisReply *fields = reply_at(entry, 1);
	*event = (struct queue_event){.event = ""};
	reply_copy(reply_at(entry, 0), event->cursor, sizeof event->cursor);
	for (size_t i = 0; fields && i + 1 < fields->elements; i += 2) {
		const redisReply *name = fields->element[i], *value = fields->element[i + 1];
		if (reply_is(name, "id"))
			reply_copy(value, event->id, sizeof event->id);
		else if (reply_is(name, "event"))
			event->event = reply_text(value);
		else if (event->field_count < sizeof event->fields / sizeof event->fields[0])
			event->fields[event->field_count++] =
			    (struct queue_event_field){reply_text(name), reply_text(value),
						   reply_size(value)};
	}
}

int queue_follow_next(struct queue_follower *f, int timeout_ms, struct queue_event *event,
		      struct error *err)
{
	int64_t end = clock_boot_ms() + timeout_ms;
	memset(event, 0, sizeof *event);
	for (;;) {
		char *command;
		redisReply *reply;
		int64_t left = end - clock_boot_ms();
		int size = redisFormatCommand(&command, "XREAD COUNT 1 BLOCK %d STREAMS %s %s",
					      left > 0 ? (int)left : 1, f->key, f->cursor);
		if (size < 0)
			return error_set(err, SUMI_NOMEM, "queue: no memory");
		int status = blocking_read(f->queue, &f->link, left > 0 ? (int)left : 1, command,
					   (size_t)size, &reply, err);
		redisFreeCommand(command);
		if (reply) {
			reply_event(reply_at(reply_at(reply_at(reply, 0), 1), 0), event);
			event->reply = reply;
			strcpy(f->cursor, event->cursor);
			return SUMI_OK;
		}
		left = end - clock_boot_ms();
		if (left <= 0)
			return status
				   ? status
				   : error_set(err, SUMI_TIMEOUT, "no event in %d ms", timeout_ms);
		if (status != SUMI_OK && status != SUMI_CONNECT)
			return status;
		if (status) /* Redis is away: it may come back in time */
			clock_sleep_ms(left < RECONNECT_WAIT_MS ? left : RECONNECT_WAIT_MS);
	}
}

/* Files that jobs start from, on their way through the queue. */
#include "queue/inputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "queue/internal.h"

#define SCAN_COUNT 1000 /* keys that Redis looks at at once */
#define MET_AT_ONCE 20  /* names that one script looks at */

/* Runs input.lua with the arguments that the caller has put behind it. */
static int call(struct queue *queue, struct command *command, redisReply **reply, struct error *err)
{
	int status = script_call(queue, SCRIPT_INPUT, command, reply, err);
	command_free(command);
	return status;
}

int queue_input_send(struct queue *queue, const char *sha256, const void *data, size_t size,
		     struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	command_script(&command, queue, SCRIPT_INPUT);
	command_text(&command, "offer");
	command_text(&command, sha256);
	command_int(&command, (int64_t)size);
	int status = call(queue, &command, &reply, err);
	if (status)
		return status;
	bool there = reply_is(reply, "there"), room = reply_is(reply, "room");
	if (!there && !room)
		status = error_set(err, SUMI_TOOBIG, "%s", reply_text(reply));
	freeReplyObject(reply);
	if (status || there)
		return status;
	command = (struct command){0};
	command_text(&command, "SET");
	command_key(&command, queue, "input:", sha256);
	command_add(&command, data, size);
	return link_tell(queue, &command, err);
}

int queue_input_get(struct queue *queue, const char *sha256, void **data, size_t *size,
		    struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	*data = NULL;
	command_text(&command, "GETRANGE");
	command_key(&command, queue, "input:", sha256);
	command_int(&command, 0);
	command_int(&command, (int64_t)QUEUE_INPUT_MAX); /* one byte too many is enough */
	int status = link_call(queue, &command, &reply, err);
	command_free(&command);
	if (status == SUMI_CORRUPT)
		return error_set(err, SUMI_NOTFOUND, "what the queue has as %s is no string", sha256);
	if (status)
		return status;
	*size = reply->type == REDIS_REPLY_STRING ? (size_t)reply->len : 0;
	if (*size == 0)
		status = error_set(err, SUMI_NOTFOUND, "the queue has no input %s", sha256);
	else if (*size > QUEUE_INPUT_MAX)
		status = error_set(err, SUMI_TOOBIG, "input %s has more than %zu bytes", sha256,
				   QUEUE_INPUT_MAX);
	else if (!(*data = malloc(*size)))
		status = error_set(err, SUMI_NOMEM, "no memory for an input of %zu bytes", *size);
	else
		memcpy(*data, reply->str, *size);
	freeReplyObject(reply);
	return status;
}

int queue_input_there(struct queue *queue, const char *sha256, bool *there, struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	command_text(&command, "EXISTS");
	command_key(&command, queue, "input:", sha256);
	int status = link_call(queue, &command, &reply, err);
	command_free(&command);
	*there = !status && reply_int(reply) > 0;
	if (!status)
		freeReplyObject(reply);
	return status;
}

void input_name(const char *value, char out[INPUT_NAME_SIZE])
{
	*out = '\0';
	if (sha256_is_name(value, out) || strchr(value, '/') || strpbrk(value, " \t\n\v\f\r"))
		return;
	int n = snprintf(out, INPUT_NAME_SIZE, "result:%s", value);
	if (n >= INPUT_NAME_SIZE) /* longer than any result's name */
		*out = '\0';
}

int queue_inputs_used(struct queue *queue, char *const *names, size_t count, bool *used,
		      struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	*used = false;
	command_text(&command, "EXISTS");
	for (size_t i = 0; i < count; i++) {
		char name[INPUT_NAME_SIZE];
		input_name(names[i], name);
		command_key(&command, queue, "uses:", name);
	}
	int status = count ? link_call(queue, &command, &reply, err) : SUMI_OK;
	command_free(&command);
	if (status || !count)
		return status;
	*used = reply_int(reply) > 0;
	freeReplyObject(reply);
	return SUMI_OK;
}

int queue_inputs_limit(struct queue *queue, int64_t bytes, struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	command_script(&command, queue, SCRIPT_INPUT);
	command_text(&command, "limit");
	command_int(&command, bytes);
	int status = call(queue, &command, &reply, err);
	if (!status)
		freeReplyObject(reply);
	return status;
}

/* Tells input.lua of some of the names in a page of a SCAN, from number first on. */
static int meet(struct queue *queue, const redisReply *keys, size_t first, struct error *err)
{
	struct command command = {0};
	char name[SHA256_HEX_SIZE];
	redisReply *reply = NULL;
	int status = SUMI_OK;
	bool found = false;
	command_script(&command, queue, SCRIPT_INPUT);
	command_text(&command, "found");
	for (size_t i = first; i < first + MET_AT_ONCE && i < keys->elements; i++) {
		const char *last = strrchr(reply_text(keys->element[i]), ':');
		if (last && sha256_is_name(last + 1, name)) {
			command_text(&command, last + 1);
			found = true;
		}
	}
	if (found)
		status = script_call(queue, SCRIPT_INPUT, &command, &reply, err);
	command_free(&command);
	freeReplyObject(reply);
	return status;
}

/* Page after page, so that Redis is never held up. */
static int find_unnamed(struct queue *queue, struct error *err)
{
	char cursor[32] = "0";
	int status;
	do {
		struct command command = {0};
		redisReply *reply;
		command_text(&command, "SCAN");
		command_text(&command, cursor);
		command_text(&command, "MATCH");
		command_key(&command, queue, "input:", "*");
		command_text(&command, "COUNT");
		command_int(&command, SCAN_COUNT);
		status = link_call(queue, &command, &reply, err);
		command_free(&command);
		if (status)
			break;
		reply_copy(reply_at(reply, 0), cursor, sizeof cursor);
		const redisReply *keys = reply_at(reply, 1);
		for (size_t i = 0; keys && i < keys->elements && !status; i += MET_AT_ONCE)
			status = meet(queue, keys, i, err);
		freeReplyObject(reply);
	} while (!status && *cursor && strcmp(cursor, "0") != 0);
	return status;
}

int queue_inputs_sweep(struct queue *queue, size_t *dropped, struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	*dropped = 0;
	int status = find_unnamed(queue, err);
	if (status)
		return status;
	command_script(&command, queue, SCRIPT_INPUT);
	command_text(&command, "sweep");
	if ((status = call(queue, &command, &reply, err)))
		return status;
	*dropped = (size_t)reply_int(reply);
	freeReplyObject(reply);
	return SUMI_OK;
}

/* ---- from other hosts ------------------------------------------------------------------ */

int queue_input_want(struct queue *queue, const char *sha256, struct error *err)
{
	struct command command = {0};
	command_text(&command, "SADD");
	command_key(&command, queue, "wanted", NULL);
	command_text(&command, sha256);
	int status = link_tell(queue, &command, err);
	if (status)
		return status;
	command = (struct command){0};
	command_text(&command, "EXPIRE");
	command_key(&command, queue, "wanted", NULL);
	command_text(&command, "60");
	return link_tell(queue, &command, err);
}

int queue_inputs_wanted(struct queue *queue, char names[QUEUE_WANTED_MAX][SHA256_HEX_SIZE],
			size_t *count, struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	*count = 0;
	command_text(&command, "SRANDMEMBER");
	command_key(&command, queue, "wanted", NULL);
	command_int(&command, QUEUE_WANTED_MAX);
	int status = link_call(queue, &command, &reply, err);
	command_free(&command);
	if (status)
		return status;
	for (size_t i = 0; i < reply->elements && *count < QUEUE_WANTED_MAX; i++)
		if (sha256_is_name(reply_text(reply->element[i]), names[*count]))
			(*count)++;
	freeReplyObject(reply);
	return SUMI_OK;
}

int queue_input_delivered(struct queue *queue, const char *sha256, struct error *err)
{
	struct command command = {0};
	command_text(&command, "SREM");
	command_key(&command, queue, "wanted", NULL);
	command_text(&command, sha256);
	return link_tell(queue, &command, err);
}

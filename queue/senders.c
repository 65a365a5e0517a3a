/* Keys in the hash `keys`, jobs under way in `sent:<sender>`, texts in `once:<name>`. */
#include "queue/senders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "queue/internal.h"

enum { WEEK_MS = 7 * 86400 * 1000, ALIVE_MAX = 10000, TRIM_EVERY = 50 };

static const char *const scope_words[] = {
#define X(name, word) word,
    QUEUE_SCOPE_MAP(X)
#undef X
};

const char *queue_scope_word(enum queue_scope scope)
{
	return scope < QUEUE_SCOPES ? scope_words[scope] : "unknown";
}

int queue_scope_from_word(const char *word)
{
	for (int i = 0; i < QUEUE_SCOPES; i++)
		if (strcmp(scope_words[i], word) == 0)
			return i;
	return -1;
}

static int ask(struct queue *queue, struct command *command, redisReply **reply, struct error *err)
{
	*reply = NULL;
	int status = link_call(queue, command, reply, err);
	command_free(command);
	return status;
}

/* A command whose answer is a number. */
static int ask_number(struct queue *queue, struct command *command, int64_t *number,
		      struct error *err)
{
	redisReply *reply;
	int status = ask(queue, command, &reply, err);
	if (!status)
		*number = reply_int(reply);
	freeReplyObject(reply);
	return status;
}

/* ---- keys --------------------------------------------------------------------------------- */

int queue_key_add(struct queue *queue, const struct queue_key *key, struct error *err)
{
	struct command command = {0};
	int64_t added = 0;
	json_t *o = json_pack("{s:s, s:s, s:f, s:I, s:I}", "sha256", key->sha256, "scope",
			      queue_scope_word(key->scope), "rate", key->rate, "jobs",
			      (json_int_t)key->jobs, "created", (json_int_t)key->created);
	char *text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (!text)
		return error_set(err, SUMI_NOMEM, "queue: no memory");
	command_text(&command, "HSETNX");
	command_key(&command, queue, "keys", NULL);
	command_text(&command, key->name);
	command_text(&command, text);
	free(text);
	int status = ask_number(queue, &command, &added, err);
	if (!status && !added)
		status = error_set(err, SUMI_EXISTS, "there is a key '%s' already: revoke it first",
				   key->name);
	return status;
}

int queue_key_revoke(struct queue *queue, const char *name, struct error *err)
{
	struct command command = {0};
	int64_t gone = 0;
	command_text(&command, "HDEL");
	command_key(&command, queue, "keys", NULL);
	command_text(&command, name);
	int status = ask_number(queue, &command, &gone, err);
	if (!status && !gone)
		status = error_set(err, SUMI_NOTFOUND, "there is no key '%.64s'", name);
	return status;
}

static bool read_key(const char *name, const redisReply *value, struct queue_key *key)
{
	struct error ignored;
	json_t *o = NULL;
	const char *sha = NULL, *scope = NULL;
	*key = (struct queue_key){0};
	bool fine =
	    job_id_valid(name) && strlen(name) <= JOB_ID_MAX && value->type == REDIS_REPLY_STRING &&
	    json_read_text(reply_text(value), reply_size(value), "key", &o, &ignored) == SUMI_OK &&
	    json_want_string(o, "key", "sha256", &sha, &ignored) == SUMI_OK && sha &&
	    sha256_is_name(sha, key->sha256) &&
	    json_want_string(o, "key", "scope", &scope, &ignored) == SUMI_OK && scope &&
	    queue_scope_from_word(scope) >= 0 &&
	    json_want_number(o, "key", "rate", 0, 1e9, &key->rate, &ignored) == SUMI_OK &&
	    json_want_int(o, "key", "jobs", 0, INT64_MAX, &key->jobs, &ignored) == SUMI_OK &&
	    json_want_int(o, "key", "created", 0, INT64_MAX, &key->created, &ignored) == SUMI_OK;
	if (fine) {
		snprintf(key->name, sizeof key->name, "%s", name);
		key->scope = (enum queue_scope)queue_scope_from_word(scope);
	}
	json_decref(o);
	return fine;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct queue_key *)a)->name, ((const struct queue_key *)b)->name);
}

int queue_keys(struct queue *queue, struct queue_key **keys, size_t *count, struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	*keys = NULL;
	*count = 0;
	command_text(&command, "HGETALL");
	command_key(&command, queue, "keys", NULL);
	int status = ask(queue, &command, &reply, err);
	if (status)
		return status;
	*keys = calloc(reply->elements / 2 + 1, sizeof **keys);
	for (size_t i = 0; *keys && i + 1 < reply->elements; i += 2)
		*count += read_key(reply_text(reply->element[i]), reply->element[i + 1],
				   &(*keys)[*count]);
	freeReplyObject(reply);
	if (!*keys)
		return error_set(err, SUMI_NOMEM, "queue: no memory");
	qsort(*keys, *count, sizeof **keys, by_name);
	return SUMI_OK;
}

/* ---- jobs under way ------------------------------------------------------------------------ */

int queue_sent_note(struct queue *queue, const char *sender, const char *const *ids, size_t count, struct error *err)
{
	struct command command = {0};
	int64_t ignored, now = clock_wall_ms();
	command_text(&command, "ZADD");
	command_key(&command, queue, "sent:", sender);
	for (size_t i = 0; i < count; i++) {
		command_int(&command, now);
		command_text(&command, ids[i]);
	}
	int status = ask_number(queue, &command, &ignored, err);
	/* Old ones go now and then. */
	if (status || now % TRIM_EVERY)
		return status;
	command_text(&command, "ZREMRANGEBYSCORE");
	command_key(&command, queue, "sent:", sender);
	command_text(&command, "-inf");
	command_int(&command, now - WEEK_MS);
	return ask_number(queue, &command, &ignored, err);
}

int queue_sent_by(struct queue *queue, const char *sender, const char *id, bool *sent,
		  struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	command_text(&command, "ZSCORE");
	command_key(&command, queue, "sent:", sender);
	command_text(&command, id);
	int status = ask(queue, &command, &reply, err);
	*sent = !status && reply->type == REDIS_REPLY_STRING;
	freeReplyObject(reply);
	return status;
}

/* The states of the jobs listed; those that have ended are counted out and taken off the list. */
static int look_at(struct queue *queue, const char *sender, const redisReply *ids,
		   char (*out)[JOB_ID_SIZE], size_t most, size_t *alive, struct error *err)
{
	struct command over = {0};
	int64_t ignored;
	int status = link_need(queue, err);
	for (size_t i = 0; i < ids->elements && !status; i++) {
		struct command command = {0};
		command_text(&command, "HGET");
		command_key(&command, queue, "job:", reply_text(ids->element[i]));
		command_text(&command, "state");
		status = link_append(queue, &command, err);
		command_free(&command);
	}
	command_text(&over, "ZREM");
	command_key(&over, queue, "sent:", sender);
	for (size_t i = 0; i < ids->elements && !status; i++) {
		redisReply *reply;
		if ((status = link_reply(queue, &reply, err)))
			break;
		int state = job_state_from_word(reply_text(reply));
		if (state >= 0 && job_state_is_final((enum job_state)state))
			command_text(&over, reply_text(ids->element[i]));
		else if (!out)
			(*alive)++;
		else if (*alive < most)
			reply_copy(ids->element[i], out[(*alive)++], JOB_ID_SIZE);
		freeReplyObject(reply);
	}
	if (!status && over.count > 2)
		return ask_number(queue, &over, &ignored, err);
	if (status)
		link_drop(queue); /* replies may be under way still */
	command_free(&over);
	return status;
}

int queue_sent_list(struct queue *queue, const char *sender, char (*ids)[JOB_ID_SIZE], size_t most,
		    size_t *count, struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	*count = 0;
	command_text(&command, "ZREVRANGE");
	command_key(&command, queue, "sent:", sender);
	command_int(&command, 0);
	command_int(&command, ALIVE_MAX - 1);
	int status = ask(queue, &command, &reply, err);
	if (!status && reply->elements)
		status = look_at(queue, sender, reply, ids, most, count, err);
	freeReplyObject(reply);
	return status;
}

int queue_sent_alive(struct queue *queue, const char *sender, size_t *alive, struct error *err)
{
	return queue_sent_list(queue, sender, NULL, 0, alive, err);
}

/* ---- once ---------------------------------------------------------------------------------- */

int queue_remember(struct queue *queue, const char *name, const char *text, int64_t seconds, char *held,
		   size_t size, bool *made, struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	/* SET … NX GET gives what stood there, or nothing where it stands now. */
	command_text(&command, "SET");
	command_key(&command, queue, "once:", name);
	command_text(&command, text);
	command_text(&command, "NX");
	command_text(&command, "GET");
	command_text(&command, "EX");
	command_int(&command, seconds);
	int status = ask(queue, &command, &reply, err);
	*made = !status && reply->type != REDIS_REPLY_STRING;
	if (!status)
		snprintf(held, size, "%s", *made ? text : reply_text(reply));
	freeReplyObject(reply);
	return status;
}

int queue_remember_now(struct queue *queue, const char *name, const char *text, int64_t seconds,
		       struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	command_text(&command, "SET");
	command_key(&command, queue, "once:", name);
	command_text(&command, text);
	command_text(&command, "EX");
	command_int(&command, seconds);
	int status = ask(queue, &command, &reply, err);
	freeReplyObject(reply);
	return status;
}

int queue_recall(struct queue *queue, const char *name, char *text, size_t size, struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	command_text(&command, "GET");
	command_key(&command, queue, "once:", name);
	int status = ask(queue, &command, &reply, err);
	if (!status)
		reply_copy(reply, text, size);
	freeReplyObject(reply);
	return status;
}

int queue_remember_longer(struct queue *queue, const char *name, int64_t seconds, struct error *err)
{
	struct command command = {0};
	int64_t ignored;
	command_text(&command, "EXPIRE"); /* 0 deletes */
	command_key(&command, queue, "once:", name);
	command_int(&command, seconds);
	return ask_number(queue, &command, &ignored, err);
}

/* The stream of changes to results. */
#include "queue/changes.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "queue/internal.h"

#define KEPT "10000"

void queue_change_clear(struct queue_change *c)
{
	json_decref(c->tags);
	c->tags = NULL;
}

int queue_change_send(struct queue *queue, const struct queue_change *c, struct error *err)
{
	struct command command = {0};
	json_t *o = json_pack("{s:s, s:O*}", "id", c->id, "tags", c->tags);
	if (c->starred >= 0)
		json_object_set_new(o, "starred", json_boolean(c->starred));
	if (c->deleted)
		json_object_set_new(o, "deleted", json_true());
	char *text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (!text)
		return error_set(err, SUMI_NOMEM, "no memory for a change");
	const char *const words[] = {"MAXLEN", "~", KEPT, "*", "change", text};
	command_text(&command, "XADD");
	command_key(&command, queue, "changes", NULL);
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		command_text(&command, words[i]);
	int status = link_tell(queue, &command, err);
	free(text);
	return status;
}

/* One entry: [cursor, [field, value …]]. What is no change is left out. */
static void read_change(const redisReply *entry, struct queue_change *c)
{
	const redisReply *fields = reply_at(entry, 1);
	struct error ignored;
	json_t *o = NULL, *text;
	size_t i;
	*c = (struct queue_change){.starred = -1};
	reply_copy(reply_at(entry, 0), c->cursor, sizeof c->cursor);
	const char *json = reply_is(reply_at(fields, 0), "change") ? reply_text(reply_at(fields, 1)) : "";
	if (json_read_text(json, strlen(json), "change", &o, &ignored))
		return;
	const char *id = json_string_value(json_object_get(o, "id"));
	json_t *starred = json_object_get(o, "starred"), *tags = json_object_get(o, "tags");
	bool texts = json_is_array(tags);
	json_array_foreach(tags, i, text) texts = texts && json_is_string(text);
	if (id && job_id_valid(id)) {
		strcpy(c->id, id);
		c->starred = json_is_boolean(starred) ? json_is_true(starred) : -1;
		c->tags = texts ? json_incref(tags) : NULL;
		c->deleted = json_is_true(json_object_get(o, "deleted"));
	}
	json_decref(o);
}

static int ask(struct queue *queue, const char *verb, const char *from, const char *to, int limit,
	       redisReply **reply, struct error *err)
{
	struct command command = {0};
	command_text(&command, verb);
	command_key(&command, queue, "changes", NULL);
	command_text(&command, from);
	command_text(&command, to);
	command_text(&command, "COUNT");
	command_int(&command, limit);
	int status = link_call(queue, &command, reply, err);
	command_free(&command);
	return status;
}

int queue_changes(struct queue *queue, char cursor[QUEUE_CURSOR_SIZE], int limit,
		  struct queue_change **list, size_t *count, struct error *err)
{
	redisReply *reply;
	char from[QUEUE_CURSOR_SIZE + 1];
	bool first = !*cursor;
	*list = NULL;
	*count = 0;
	snprintf(from, sizeof from, "(%s", cursor);
	int status = first ? ask(queue, "XREVRANGE", "+", "-", 1, &reply, err)
			   : ask(queue, "XRANGE", from, "+", limit, &reply, err);
	if (status)
		return status;
	if (first && !reply->elements)
		strcpy(cursor, "0-0");
	size_t n = first ? 0 : reply->elements;
	struct queue_change *all = n ? calloc(n, sizeof *all) : NULL;
	if (n && !all)
		status = error_set(err, SUMI_NOMEM, "no memory for %zu changes", n);
	for (size_t i = 0; i < n && !status; i++)
		read_change(reply_at(reply, i), &all[i]);
	if (reply->elements && !status)
		reply_copy(reply_at(reply_at(reply, reply->elements - 1), 0), cursor, QUEUE_CURSOR_SIZE);
	freeReplyObject(reply);
	*list = all;
	*count = status ? 0 : n;
	return status;
}

/* Changes to results, one after the other. */
#include "daemon/changes.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "queue/changes.h"
#include "request/table.h"
#include "storage/keep.h"

#define PLACE "changes"
enum { AT_ONCE = 100, AGAIN_MS = 1000 };

/* A job that the queue has again stays: it was sent anew under its id. */
static int delete_job(struct store *store, struct queue *queue, const char *id, struct error *err)
{
	struct store_removed removed = {0};
	int status = queue_forget(queue, id, err);
	if (status == SUMI_BUSY)
		return SUMI_NOTFOUND;
	if (status && status != SUMI_NOTFOUND)
		return status;
	return store_remove(store, id, &removed, err);
}

static int make(struct store *store, struct queue *queue, const struct queue_change *c, struct error *err)
{
	char *tags[JOB_MAX_TAGS];
	size_t count = json_array_size(c->tags);
	bool changed;
	int status = SUMI_OK;
	if (c->deleted)
		return delete_job(store, queue, c->id, err);
	for (size_t i = 0; i < count && i < JOB_MAX_TAGS; i++)
		tags[i] = (char *)json_string_value(json_array_get(c->tags, i));
	if (c->starred >= 0)
		status = store_star(store, c->id, c->starred, &changed, err);
	if (!status && c->tags)
		status = store_tags_set(store, c->id, tags, count < JOB_MAX_TAGS ? count : JOB_MAX_TAGS, err);
	return status;
}

static int make_all(struct changer *c, struct store *store, struct queue *queue,
		    const struct queue_change *list, size_t count, struct error *err)
{
	int status = SUMI_OK;
	for (size_t i = 0; i < count && !status; i++) {
		status = *list[i].id ? make(store, queue, &list[i], err) : SUMI_OK;
		/* Another host's, or one that is gone. */
		if (status == SUMI_NOTFOUND)
			status = SUMI_OK;
		else if (!status && *list[i].id)
			log_info("result.changed", "id=%s deleted=%d", list[i].id, list[i].deleted);
		if (!status)
			status = store_place_set(store, PLACE, list[i].cursor, err);
		if (!status)
			strcpy(c->cursor, list[i].cursor);
	}
	return status;
}

static int look(struct changer *c, struct store *store, struct queue *queue, struct error *err)
{
	struct queue_change *list = NULL;
	size_t count = 0;
	char cursor[QUEUE_CURSOR_SIZE];
	int status = *c->cursor ? SUMI_OK : store_place(store, PLACE, c->cursor, sizeof c->cursor, err);
	bool first = !*c->cursor;
	strcpy(cursor, c->cursor);
	if (!status)
		status = queue_changes(queue, cursor, AT_ONCE, &list, &count, err);
	if (!status && first && !(status = store_place_set(store, PLACE, cursor, err)))
		strcpy(c->cursor, cursor);
	if (!status)
		status = make_all(c, store, queue, list, count, err);
	for (size_t i = 0; i < count; i++)
		queue_change_clear(&list[i]);
	free(list);
	return status;
}

void changes_make(struct changer *c, struct store *store, struct queue *queue, int64_t now)
{
	struct error err;
	if (now < c->next || !look(c, store, queue, &err))
		return;
	log_warn("changes.failed", "error=\"%s\"", err.text);
	c->next = now + AGAIN_MS;
}

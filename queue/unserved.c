/* What living workers can do, and which waiting jobs none of them can. Changes nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/internal.h"

enum { LOOK_MS = 5000 }; /* between two looks at what devices hold */

#define SCAN_PAGE 100
#define MOST_UNSERVED 1000 /* classes that are told of */

static int ask(struct queue *queue, struct command *command, redisReply **reply, struct error *err)
{
	*reply = NULL;
	int status = link_call(queue, command, reply, err);
	command_free(command);
	return status;
}

/* Adds "image/ink image/ " of one worker to *classes. */
static int add_classes(struct queue *queue, const char *worker, char **classes, struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	command_text(&command, "HGET");
	command_key(&command, queue, "worker:", worker);
	command_text(&command, "classes");
	int status = ask(queue, &command, &reply, err);
	if (status == SUMI_CORRUPT) /* a key of that name that is no worker's */
		return SUMI_OK;
	if (status)
		return status;
	const char *more = reply_text(reply);
	size_t used = strlen(*classes), room = used + strlen(more) + sizeof " ";
	char *grown = realloc(*classes, room);
	if (grown) {
		snprintf(grown + used, room - used, "%s ", more);
		*classes = grown;
	}
	freeReplyObject(reply);
	return grown ? SUMI_OK : error_set(err, SUMI_NOMEM, "queue: no memory");
}

int queue_classes(struct queue *queue, char **out, struct error *err)
{
	struct queue_worker_info *workers;
	size_t count;
	*out = NULL;
	int status = queue_workers(queue, &workers, &count, err);
	if (status || count == 0)
		goto done;
	*out = strdup(" ");
	if (!*out)
		status = error_set(err, SUMI_NOMEM, "queue: no memory");
	for (size_t i = 0; i < count && !status; i++)
		status = add_classes(queue, workers[i].name, out, err);
	if (status) {
		free(*out);
		*out = NULL;
	}
done:
	free(workers);
	return status;
}

static bool is_served(const char *classes, const char *class)
{
	char word[QUEUE_CLASS_SIZE + 2];
	snprintf(word, sizeof word, " %s ", class);
	return strstr(classes, word) != NULL;
}

int queue_served(struct queue *queue, const char *modality, const char *model, bool *served,
		 struct error *err)
{
	char class[QUEUE_CLASS_SIZE], *classes;
	snprintf(class, sizeof class, "%s/%s", modality, model ? model : "");
	int status = queue_classes(queue, &classes, err);
	if (status)
		return status;
	*served = !classes || is_served(classes, class);
	free(classes);
	return SUMI_OK;
}

/* Those of one page of the classes that have waiting jobs. */
static int add_page(const redisReply *page, const char *classes, struct queue_unserved **list,
		    size_t *count, struct error *err)
{
	struct queue_unserved *grown =
	    realloc(*list, (*count + page->elements / 2 + 1) * sizeof *grown);
	if (!grown)
		return error_set(err, SUMI_NOMEM, "queue: no memory");
	*list = grown;
	for (size_t i = 0; i + 1 < page->elements; i += 2) {
		struct queue_unserved *u = &grown[*count];
		const char *class = reply_text(page->element[i]);
		size_t at = 0;
		while (at < *count && strcmp(grown[at].class, class) != 0)
			at++; /* a page may tell of one once more */
		if (at < *count || strlen(class) >= sizeof u->class || is_served(classes, class))
			continue;
		strcpy(u->class, class);
		u->jobs = reply_int(page->element[i + 1]);
		(*count)++;
	}
	return SUMI_OK;
}

int queue_unserved(struct queue *queue, struct queue_unserved **list, size_t *count,
		   struct error *err)
{
	char *classes, cursor[32] = "0";
	*list = NULL;
	*count = 0;
	int status = queue_classes(queue, &classes, err);
	if (status || !classes)
		return status;
	do {
		struct command command = {0};
		redisReply *reply;
		command_text(&command, "HSCAN");
		command_key(&command, queue, "classes", NULL);
		command_text(&command, cursor);
		command_text(&command, "COUNT");
		command_int(&command, SCAN_PAGE);
		if ((status = ask(queue, &command, &reply, err)))
			break;
		reply_copy(reply_at(reply, 0), cursor, sizeof cursor);
		if (reply_at(reply, 1))
			status = add_page(reply_at(reply, 1), classes, list, count, err);
		freeReplyObject(reply);
	} while (!status && strcmp(cursor, "0") != 0 && *count < MOST_UNSERVED);
	if (status) {
		free(*list);
		*list = NULL;
		*count = 0;
	}
	free(classes);
	return status;
}

void queue_look_for_room(struct queue *queue, int64_t now_ms, int64_t *next_ms, uint64_t *most, char *name,
			 size_t name_size)
{
	struct queue_worker_info *workers;
	struct error ignored;
	size_t count;
	bool known = true;
	if (now_ms < *next_ms || queue_workers(queue, &workers, &count, &ignored))
		return;
	if (count) /* else the first is about to tell that it lives */
		*next_ms = now_ms + LOOK_MS;
	*most = 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t memory = (uint64_t)workers[i].figures.memory;
		known &= workers[i].figures.memory > 0;
		if (memory <= *most)
			continue;
		*most = memory;
		snprintf(name, name_size, "%s", workers[i].device);
	}
	if (!known) /* then it may be the largest */
		*most = 0;
	free(workers);
}

int queue_waiting(struct queue *queue, size_t most, struct queue_unserved **list, size_t *count,
		  struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	char text[16];
	*list = NULL;
	*count = 0;
	snprintf(text, sizeof text, "%zu", most);
	command_text(&command, "HSCAN");
	command_key(&command, queue, "classes", NULL);
	command_text(&command, "0");
	command_text(&command, "COUNT");
	command_text(&command, text);
	int status = ask(queue, &command, &reply, err);
	const redisReply *rows = status ? NULL : reply_at(reply, 1);
	size_t pairs = rows ? rows->elements / 2 : 0;
	if (!status && !(*list = calloc(pairs + 1, sizeof **list)))
		status = error_set(err, SUMI_NOMEM, "queue: no memory");
	for (size_t i = 0; !status && i < pairs && *count < most; i++) {
		struct queue_unserved *u = &(*list)[(*count)++];
		reply_copy(rows->element[2 * i], u->class, sizeof u->class);
		u->jobs = reply_int(rows->element[2 * i + 1]);
	}
	freeReplyObject(reply);
	return status;
}

/* Which waiting jobs nobody that lives can do: their model is nowhere. Changes nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/internal.h"

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

/* What the living workers can do, each class with a space before and behind it; NULL where none
 * lives. The caller frees it. */
static int living_classes(struct queue *queue, char **out, struct error *err)
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
	int status = living_classes(queue, &classes, err);
	if (status)
		return status;
	*served = !classes || is_served(classes, class);
	free(classes);
	return SUMI_OK;
}

/* Adds the jobs of one `ready:` key, "image/ink" or "image/ink|22:00-06:00@UTC". */
static int add_waiting(struct queue *queue, const char *key, const char *classes,
		       struct queue_unserved *list, size_t *count, struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	char class[QUEUE_CLASS_SIZE];
	snprintf(class, sizeof class, "%.*s", (int)strcspn(key, "|"), key);
	if (is_served(classes, class))
		return SUMI_OK;
	command_text(&command, "ZCARD");
	command_key(&command, queue, "ready:", key);
	int status = ask(queue, &command, &reply, err);
	if (status)
		return status;
	size_t at = 0;
	while (at < *count && strcmp(list[at].class, class) != 0)
		at++;
	if (at == *count)
		strcpy(list[(*count)++].class, class);
	list[at].jobs += reply_int(reply);
	freeReplyObject(reply);
	return SUMI_OK;
}

int queue_unserved(struct queue *queue, struct queue_unserved **list, size_t *count,
		   struct error *err)
{
	struct command command = {0};
	redisReply *queues = NULL;
	char *classes;
	*list = NULL;
	*count = 0;
	int status = living_classes(queue, &classes, err);
	if (status || !classes)
		return status;
	command_text(&command, "SMEMBERS");
	command_key(&command, queue, "queues", NULL);
	status = ask(queue, &command, &queues, err);
	if (!status && !(*list = calloc(queues->elements + 1, sizeof **list)))
		status = error_set(err, SUMI_NOMEM, "queue: no memory");
	for (size_t i = 0; !status && i < queues->elements; i++)
		status =
		    add_waiting(queue, reply_text(queues->element[i]), classes, *list, count, err);
	if (status) {
		free(*list);
		*list = NULL;
		*count = 0;
	}
	freeReplyObject(queues);
	free(classes);
	return status;
}

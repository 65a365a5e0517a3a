/* Who tells a job's `notify` URL of its end, and how far the telling has come. */
#include "queue/notice.h"

#include <stdio.h>
#include <string.h>

#include "queue/internal.h"

static int call_one(struct queue *queue, struct command *command, redisReply **reply,
		    struct error *err)
{
	int status = link_call(queue, command, reply, err);
	command_free(command);
	return status;
}

int queue_notice_take(struct queue *queue, const struct queue_entry *entry, bool *taken,
		      struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	char end[48];
	/* The moment of the end tells a second run's end from the first. */
	snprintf(end, sizeof end, "told:%lld", (long long)entry->finished_ms);
	command_text(&command, "HSETNX");
	command_key(&command, queue, "job:", entry->id);
	command_text(&command, end);
	command_text(&command, "1");
	int status = call_one(queue, &command, &reply, err);
	if (status)
		return status;
	*taken = reply_int(reply) == 1;
	freeReplyObject(reply);
	return SUMI_OK;
}

int queue_notice_cursor(struct queue *queue, char cursor[QUEUE_CURSOR_SIZE], struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	command_text(&command, "GET");
	command_key(&command, queue, "notices", NULL);
	int status = call_one(queue, &command, &reply, err);
	if (status)
		return status;
	if (reply->type == REDIS_REPLY_STRING)
		reply_copy(reply, cursor, QUEUE_CURSOR_SIZE);
	else
		strcpy(cursor, "$");
	freeReplyObject(reply);
	return SUMI_OK;
}

int queue_notice_seen(struct queue *queue, const char *cursor, struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	command_text(&command, "SET");
	command_key(&command, queue, "notices", NULL);
	command_text(&command, cursor);
	int status = call_one(queue, &command, &reply, err);
	if (!status)
		freeReplyObject(reply);
	return status;
}

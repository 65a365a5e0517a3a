/* Saved steps of running jobs. */
#include "queue/saved.h"

#include <stdlib.h>
#include <string.h>

#include "queue/internal.h"

int queue_save(struct queue *queue, const struct queue_lease *lease, int variant, const void *data,
	       size_t size, struct error *err)
{
	if (size > QUEUE_SAVED_MAX)
		return error_set(err, SUMI_TOOBIG,
				 "job %s: a saved state of %zu bytes, at most %u fit", lease->id,
				 size, QUEUE_SAVED_MAX);
	struct command command = {0};
	redisReply *reply;
	command_script(&command, queue, SCRIPT_SAVE);
	command_text(&command, lease->id);
	command_text(&command, lease->token);
	command_int(&command, variant);
	command_add(&command, data, size);
	int status = script_call(queue, SCRIPT_SAVE, &command, &reply, err);
	command_free(&command);
	if (status)
		return status;
	if (!reply_is(reply, "ok"))
		status = error_set(err, SUMI_LOST, "job %s: the lease has ended", lease->id);
	freeReplyObject(reply);
	return status;
}

int queue_saved(struct queue *queue, const char *id, int variant, void **data, size_t *size,
		struct error *err)
{
	struct command command = {0};
	redisReply *reply;
	*data = NULL;
	command_text(&command, "HMGET");
	command_key(&command, queue, "saved:", id);
	command_text(&command, "variant");
	command_text(&command, "data");
	int status = link_call(queue, &command, &reply, err);
	command_free(&command);
	if (status)
		return status;
	const redisReply *of = reply_at(reply, 0), *bytes = reply_at(reply, 1);
	if (!of || of->type != REDIS_REPLY_STRING || !bytes || bytes->type != REDIS_REPLY_STRING ||
	    reply_int(of) != variant) {
		status = error_set(err, SUMI_NOTFOUND, "job %s: nothing is saved of variant %d", id,
				   variant);
		goto done;
	}
	*size = (size_t)bytes->len;
	*data = malloc(*size + 1);
	if (*data)
		memcpy(*data, bytes->str, *size);
	else
		status = error_set(err, SUMI_NOMEM, "job %s: no memory for its saved state", id);
done:
	freeReplyObject(reply);
	return status;
}

int queue_saved_drop(struct queue *queue, const char *id, struct error *err)
{
	struct command command = {0};
	command_text(&command, "UNLINK");
	command_key(&command, queue, "saved:", id);
	return link_tell(queue, &command, err);
}

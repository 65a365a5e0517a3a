/* The hash of what models can do. */
#include "queue/offers.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "queue/internal.h"

int queue_offer(struct queue *queue, const char *model, const json_t *about, struct error *err)
{
	struct command command = {0};
	char *text = json_dumps(about, JSON_COMPACT | JSON_REAL_PRECISION(9));
	if (!text)
		return error_set(err, SUMI_NOMEM, "no memory for what a model can do");
	command_text(&command, "HSET");
	command_key(&command, queue, "models", NULL);
	command_text(&command, model);
	command_text(&command, text);
	int status = link_tell(queue, &command, err);
	free(text);
	return status;
}

int queue_offers(struct queue *queue, json_t **out, struct error *err)
{
	struct command command = {0};
	struct error ignored;
	redisReply *reply;
	command_text(&command, "HGETALL");
	command_key(&command, queue, "models", NULL);
	int status = link_call(queue, &command, &reply, err);
	command_free(&command);
	if (status)
		return status;
	*out = json_object();
	for (size_t i = 0; i + 1 < reply->elements; i += 2) {
		const redisReply *text = reply_at(reply, i + 1);
		json_t *about;
		if (json_read_text(reply_text(text), reply_size(text), "model", &about, &ignored))
			continue;
		if (json_is_object(about))
			json_object_set(*out, reply_text(reply_at(reply, i)), about);
		json_decref(about);
	}
	freeReplyObject(reply);
	return *out ? SUMI_OK : error_set(err, SUMI_NOMEM, "no memory for what models can do");
}

/* Changing what has been made: stars, tags, deleting. The gateway writes nothing to a store: the wish goes
 * through the queue to the daemons, and is done within a second. */
#include <string.h>

#include "gateway/handlers.h"
#include "gateway/jobs.h"
#include "queue/changes.h"
#include "request/job.h"

/* A job of the caller's that has ended, and has results somewhere. */
static bool find_ended(struct call *call, struct worker *w, bool results)
{
	struct found f;
	struct error err;
	if (jobs_find(call, w, call->args[0], &f, &err)) {
		call_fail(call, &err);
		return false;
	}
	enum job_state state = jobs_state(&f);
	bool ended = !f.sent && job_state_is_final(state), made = f.stored || (f.queued && f.entry.variants);
	jobs_clear(&f);
	if (!ended)
		call_refuse(call, 409, NULL, "the job %.64s has not ended: it is %s", call->args[0],
			    job_state_word(state));
	else if (results && !made)
		call_refuse(call, 409, NULL, "the job %.64s has made nothing", call->args[0]);
	return ended && (made || !results);
}

/* Tags are what a job's tags may be. */
static bool check_tags(struct call *call, json_t *tags)
{
	struct job job;
	struct error err;
	json_t *fields = json_pack("{s:s, s:s, s:O}", "modality", "image", "prompt", "x", "tags", tags);
	int status = job_parse_object(fields, &job, &err);
	if (!status) {
		status = job_check(&job, &err);
		job_clear(&job);
	}
	json_decref(fields);
	if (status)
		call_fail(call, &err);
	return !status;
}

static bool read_change(struct call *call, json_t *body, struct queue_change *c)
{
	const char *key;
	json_t *value;
	json_object_foreach(body, key, value)
	{
		if (strcmp(key, "starred") == 0 && json_is_boolean(value)) {
			c->starred = json_is_true(value);
		} else if (strcmp(key, "tags") == 0) {
			if (!check_tags(call, value))
				return false;
			c->tags = json_incref(value);
		} else {
			bool known = strcmp(key, "starred") == 0;
			call_refuse(call, 400, key, known ? "field 'starred' must be true or false"
							  : "field '%.40s': only starred and tags can be changed",
				    key);
			return false;
		}
	}
	if (c->starred < 0 && !c->tags)
		call_refuse(call, 400, NULL, "nothing is to be changed: name starred or tags");
	return c->starred >= 0 || c->tags;
}

static bool send_change(struct call *call, struct worker *w, struct queue_change *c)
{
	struct queue *queue;
	struct error err;
	if (!call_queue(call, w, &queue))
		return false;
	strcpy(c->id, call->args[0]);
	if (!queue_change_send(queue, c, &err))
		return true;
	call_fail(call, &err);
	return false;
}

void jobs_change(struct call *call, struct worker *w)
{
	struct queue_change c = {.starred = -1};
	json_t *body;
	if (!call_body(call, false, &body))
		return;
	if (read_change(call, body, &c) && find_ended(call, w, true) && send_change(call, w, &c))
		call_json(call, 202,
			  json_pack("{s:s, s:O}", "id", call->args[0], "change", body));
	json_decref(body);
	queue_change_clear(&c);
}

void jobs_delete(struct call *call, struct worker *w)
{
	struct queue_change c = {.starred = -1, .deleted = true};
	struct queue *queue;
	struct error err;
	if (!find_ended(call, w, false) || !call_queue(call, w, &queue))
		return;
	/* First the queue: what it cannot let go is not deleted. */
	int status = queue_forget(queue, call->args[0], &err);
	if (status && status != SUMI_NOTFOUND)
		call_fail(call, &err);
	else if (send_change(call, w, &c))
		call_json(call, 202, json_pack("{s:s, s:s}", "id", call->args[0], "state", "deleted"));
}

/* The queue as a whole: what waits, who works, models, pausing. */
#include <stdlib.h>
#include <string.h>

#include "gateway/handlers.h"
#include "queue/offers.h"

static json_t *states_json(const struct queue_stats *stats)
{
	json_t *o = json_object();
	for (int i = 0; i < JOB_STATES; i++)
		json_object_set_new(o, job_state_word((enum job_state)i),
				    json_integer((json_int_t)stats->states[i]));
	return o;
}

/* Names of hosts and devices are for admins. */
static json_t *workers_json(const struct queue_worker_info *workers, size_t count)
{
	json_t *rows = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:s, s:s*, s:s*}", "name",
						      workers[i].name, "device", workers[i].device,
						      "host", workers[i].host, "job", workers[i].job,
						      "trouble",
						      *workers[i].trouble ? workers[i].trouble : NULL,
						      "waits", *workers[i].waits ? workers[i].waits : NULL));
	return rows;
}

void queue_show(struct call *call, struct worker *w)
{
	struct queue *queue;
	struct queue_stats stats;
	struct queue_worker_info *workers = NULL;
	size_t count = 0, mine = 0;
	struct error err;
	int status = worker_queue(w, &queue, &err);
	if (!status)
		status = queue_stats(queue, &stats, &err);
	if (!status)
		status = queue_workers(queue, &workers, &count, &err);
	if (!status)
		status = queue_sent_alive(queue, call->caller.name, &mine, &err);
	if (status) {
		call_fail(call, &err);
		return;
	}
	json_t *o = json_pack("{s:b, s:b, s:s*, s:i, s:i, s:I, s:o}", "paused", (int)stats.paused, "may_pause",
			      (int)(call->caller.scope >= QUEUE_SCOPE_ADMIN), "reason",
			      stats.paused && call->caller.all ? stats.pause_reason : NULL, "workers",
			      (int)count, "busy", (int)stats.workers_busy, "yours", (json_int_t)mine,
			      "jobs", states_json(&stats));
	if (call->caller.all)
		json_object_set_new(o, "who", workers_json(workers, count));
	free(workers);
	call_json(call, 200, o);
}

/* "image/ink" of the classes " image/ink image/ ": one row a model, with whether jobs that name none get it. */
static json_t *models_json(const struct config *config, const char *classes, const json_t *offers)
{
	json_t *rows = json_array(), *seen = json_object();
	for (const char *at = classes ? classes : ""; *(at += strspn(at, " "));) {
		char modality[32], model[QUEUE_CLASS_SIZE];
		size_t n = strcspn(at, " "), slash = strcspn(at, "/ ");
		bool chosen;
		if (slash + 1 < n && slash < sizeof modality && n < sizeof model) {
			snprintf(modality, sizeof modality, "%.*s", (int)slash, at);
			snprintf(model, sizeof model, "%.*s", (int)(n - slash - 1), at + slash + 1);
			if (!json_object_get(seen, model)) {
				const char *usual = config_model(config, modality, &chosen);
				json_t *row = json_pack("{s:s, s:s, s:b}", "name", model, "modality",
							modality, "default", strcmp(usual, model) == 0);
				json_object_update_missing(row, json_object_get(offers, model));
				json_array_append_new(rows, row);
				json_object_set_new(seen, model, json_true());
			}
		}
		at += n;
	}
	json_decref(seen);
	return rows;
}

void models_list(struct call *call, struct worker *w)
{
	struct queue *queue;
	struct error err;
	char *classes = NULL;
	json_t *offers = NULL;
	int status = worker_queue(w, &queue, &err);
	if (!status)
		status = queue_classes(queue, &classes, &err);
	if (!status)
		status = queue_offers(queue, &offers, &err);
	if (status)
		call_fail(call, &err);
	else
		call_json(call, 200,
			  json_pack("{s:o, s:b}", "models", models_json(worker_config(w), classes, offers),
				    "key", (int)!call->caller.keyless));
	json_decref(offers);
	free(classes);
}

static void set_paused(struct call *call, struct worker *w, bool pause)
{
	struct queue *queue;
	struct error err;
	json_t *body = NULL;
	const char *reason = "";
	if (pause && call->http->size) {
		if (!call_body(call, false, &body))
			return;
		const char *given = json_string_value(json_object_get(body, "reason"));
		reason = given ? given : "";
	}
	int status = worker_queue(w, &queue, &err);
	if (!status)
		status = pause ? queue_pause(queue, reason, &err) : queue_resume(queue, &err);
	json_decref(body);
	if (status)
		call_fail(call, &err);
	else
		call_json(call, 200, json_pack("{s:b}", "paused", (int)pause));
}

void queue_stop(struct call *call, struct worker *w)
{
	set_paused(call, w, true);
}

void queue_go_on(struct call *call, struct worker *w)
{
	set_paused(call, w, false);
}

/* Ollama's API as far as it makes pictures: /api/generate, and what its clients ask before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "gateway/handlers.h"
#include "gateway/work.h"

struct wanted {
	char model[129];
	bool lines; /* a stream is one JSON document a line */
};

static void finish(struct call *call, struct worker *w)
{
	const struct wanted *wanted = call->state;
	const struct store_artifact *file;
	struct found f;
	struct error err;
	char *data, now[CLOCK_TEXT_SIZE];
	size_t size;
	if (!work_done(call, w, &f))
		return;
	if (work_result(call, &f, 0, &data, &size, &file, &err)) {
		call_fail(call, &err);
		jobs_clear(&f);
		return;
	}
	clock_text(clock_wall_ms(), now);
	int64_t ns = f.queued ? (f.entry.finished_ms - f.entry.created_ms) * 1000000 : 0;
	call_json(call, 200,
		  json_pack("{s:s, s:s, s:s, s:b, s:s, s:I, s:o}", "model", wanted->model, "created_at", now,
			    "response", "", "done", 1, "done_reason", "stop", "total_duration", (json_int_t)ns,
			    "image", base64_json(data, size)));
	if (wanted->lines)
		call->answer.type = "application/x-ndjson";
	free(data);
	jobs_clear(&f);
}

void ollama_generate(struct call *call, struct worker *w)
{
	static const char *const names[] = {"prompt", "width", "height", "steps", "seed"};
	json_t *body, *fields = json_object(), *value;
	struct wanted *wanted = calloc(1, sizeof *wanted);
	struct job job;
	struct error err;
	call->state = wanted;
	if (!wanted || !call_body(call, false, &body)) {
		json_decref(fields);
		return;
	}
	/* Some clients have room for them among the options alone. */
	const json_t *places[] = {json_object_get(body, "options"), body};
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
			if ((value = json_object_get(places[k], names[i])) && !json_is_null(value))
				json_object_set(fields, names[i], value);
	const char *model = json_string_value(json_object_get(body, "model"));
	snprintf(wanted->model, sizeof wanted->model, "%s", model ? model : "");
	wanted->lines = !json_is_false(json_object_get(body, "stream"));
	/* "ink:latest" is what it calls "ink". */
	char name[129];
	snprintf(name, sizeof name, "%.*s", (int)strcspn(wanted->model, ":"), wanted->model);
	json_object_set_new(fields, "modality", json_string("image"));
	json_object_set_new(fields, "format", json_string("png"));
	work_model(w, name, "image", fields);
	json_decref(body);
	if (jobs_prepare(call, w, fields, &job, &err))
		call_fail(call, &err);
	else
		work_start(call, w, &job, finish);
}

void ollama_version(struct call *call, struct worker *w)
{
	(void)w;
	call_json(call, 200, json_pack("{s:s}", "version", SUMI_VERSION));
}

void ollama_tags(struct call *call, struct worker *w)
{
	struct queue *queue;
	struct error err;
	char *classes = NULL, *rest = NULL, now[CLOCK_TEXT_SIZE];
	json_t *rows = json_array();
	clock_text(clock_wall_ms(), now);
	if (!call_queue(call, w, &queue)) {
		json_decref(rows);
		return;
	}
	int status = queue_classes(queue, &classes, &err);
	for (char *c = classes ? strtok_r(classes, " ", &rest) : NULL; c; c = strtok_r(NULL, " ", &rest))
		if (strncmp(c, "image/", 6) == 0 && c[6])
			json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:i, s:s, s:{s:s, s:s}}", "name", c + 6,
							      "model", c + 6, "modified_at", now, "size", 0, "digest",
							      "", "details", "format", "sumi", "family", "image"));
	free(classes);
	if (status)
		call_fail(call, &err);
	else
		call_json(call, 200, json_pack("{s:O}", "models", rows));
	json_decref(rows);
}

/* Jobs and events of the queue as JSON. */
#include "queue/describe.h"

#include <math.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"

static void put_time(json_t *o, const char *key, int64_t ms)
{
	char text[CLOCK_TEXT_SIZE];
	if (ms <= 0)
		return;
	clock_text(ms, text);
	json_object_set_new(o, key, json_string(text));
}

json_t *queue_entry_json(const struct queue_entry *e)
{
	json_t *o = json_object();
	json_object_set_new(o, "id", json_string(e->id));
	json_object_set_new(o, "state", json_string(job_state_word(e->state)));
	json_object_update_missing(o, e->job.fields);
	put_time(o, "created", e->created_ms);
	put_time(o, "started", e->started_ms);
	put_time(o, "finished", e->finished_ms);
	put_time(o, "due", e->due_ms);
	json_object_set_new(o, "attempts_made", json_integer(e->attempts));
	if (e->crashes)
		json_object_set_new(o, "crashes", json_integer(e->crashes));
	if (e->failures)
		json_object_set_new(o, "failures", json_integer(e->failures));
	json_object_set_new(o, "results", json_integer(e->variants));
	if (e->state == JOB_RUNNING) {
		json_object_set_new(o, "worker", json_string(e->worker));
		json_object_set_new(o, "variant", json_integer(e->variant));
		json_object_set_new(o, "step", json_integer(e->step));
		json_object_set_new(o, "of_steps", json_integer(e->steps));
		if (isfinite(e->eta_s))
			json_object_set_new(o, "eta_s", json_real(e->eta_s));
	}
	if (e->cancelling)
		json_object_set_new(o, "cancelling", json_true());
	if (e->error)
		json_object_set_new(o, "error", json_string(e->error));
	return o;
}

enum kind { TEXT, NUMBER, JSON, BYTES };

static const struct {
	const char *name;
	enum kind kind;
} kinds[] = {
    {"variant", NUMBER}, {"step", NUMBER},  {"steps", NUMBER}, {"eta", NUMBER},
    {"number", NUMBER},  {"count", NUMBER}, {"in_ms", NUMBER}, {"attempt", NUMBER},
    {"crashes", NUMBER}, {"result", JSON},  {"webp", BYTES},
};

static enum kind kind_of(const char *name)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return kinds[i].kind;
	return TEXT;
}

static json_t *field_json(const struct queue_event_field *field)
{
	enum kind kind = kind_of(field->name);
	json_t *value = NULL;
	if (kind == BYTES)
		return base64_json(field->value, field->size);
	if (kind != TEXT)
		value = json_loadb(field->value, field->size, JSON_DECODE_ANY, NULL);
	/* A sender of another version may mean something else by the name. */
	return value ? value : json_stringn(field->value, field->size);
}

json_t *queue_event_json(const struct queue_event *event)
{
	json_t *o = json_pack("{s:s, s:s, s:s}", "id", event->id, "event", event->event, "cursor",
			      event->cursor);
	for (size_t i = 0; o && i < event->field_count; i++)
		json_object_set_new(o, event->fields[i].name, field_json(&event->fields[i]));
	return o;
}

/* Events of a job as JSON. */
#include "cli/event_json.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

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

static json_t *base64(const struct queue_event_field *field)
{
	char *text = malloc((field->size + 2) / 3 * 4 + 1);
	if (!text)
		return NULL;
	EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)field->value,
			(int)field->size);
	json_t *value = json_string(text);
	free(text);
	return value;
}

static json_t *field_json(const struct queue_event_field *field)
{
	enum kind kind = kind_of(field->name);
	json_t *value = NULL;
	if (kind == BYTES)
		return base64(field);
	if (kind != TEXT)
		value = json_loadb(field->value, field->size, JSON_DECODE_ANY, NULL);
	/* A sender of another version may mean something else by the name. */
	return value ? value : json_stringn(field->value, field->size);
}

json_t *event_json(const struct queue_event *event)
{
	json_t *o = json_pack("{s:s, s:s, s:s}", "id", event->id, "event", event->event, "cursor",
			      event->cursor);
	for (size_t i = 0; o && i < event->field_count; i++)
		json_object_set_new(o, event->fields[i].name, field_json(&event->fields[i]));
	return o;
}

/* Canonical values as texts that param_from_text() reads. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "request/param.h"

static void put_text(struct bytes_writer *w, const char *text)
{
	bytes_put(w, text, strlen(text));
}

static void put_json(struct bytes_writer *w, const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	w->failed |= !text;
	if (text)
		put_text(w, text);
	free(text);
}

static void put_plain(struct bytes_writer *w, const json_t *value)
{
	if (json_is_string(value))
		put_text(w, json_string_value(value));
	else
		put_json(w, value);
}

/* Whether the short form of objects can hold a member's value. */
static bool is_short(const json_t *value)
{
	const char *text = json_string_value(value);
	if (!text)
		return !json_is_array(value) && !json_is_object(value);
	size_t n = strlen(text);
	return n > 0 && !strpbrk(text, ",;=[{\n") && text[0] != ' ' && text[n - 1] != ' ';
}

static bool are_short(const struct param *p, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		for (const struct param *m = p->members; m->name; m++) {
			json_t *value = json_object_get(json_array_get(list, i), m->name);
			if (value ? !is_short(value) : m == p->members)
				return false;
		}
	return true;
}

static void put_objects(struct bytes_writer *w, const struct param *p, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		put_text(w, i ? "; " : "");
		for (const struct param *m = p->members; m->name; m++) {
			json_t *value = json_object_get(json_array_get(list, i), m->name);
			if (!value)
				continue;
			if (m != p->members) {
				put_text(w, ", ");
				put_text(w, m->name);
				put_text(w, "=");
			}
			put_plain(w, value);
		}
	}
}

char *param_text(const struct param *p, const json_t *value)
{
	struct bytes_writer w = {0};
	if (p->type == PARAM_OBJECT_LIST && are_short(p, value))
		put_objects(&w, p, value);
	else if (p->type == PARAM_ID_LIST || p->type == PARAM_TEXT_LIST)
		for (size_t i = 0; i < json_array_size(value); i++) {
			put_text(&w, i ? ", " : "");
			put_plain(&w, json_array_get(value, i));
		}
	else
		put_plain(&w, value);
	bytes_put(&w, "", 1);
	if (!w.failed)
		return (char *)w.data;
	free(w.data);
	return NULL;
}

/* Forms as JSON. */
#include "gateway/form.h"

#include <stdlib.h>
#include <string.h>

/* What is a text whatever it looks like. */
static bool is_text(const char *name)
{
	static const char *const names[] = {"prompt", "negative_prompt", "user", "model", "size"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static json_t *value_of(const struct multipart_part *p)
{
	json_t *value = p->size < 32 && !is_text(p->name) ? json_loadb(p->data, p->size, JSON_DECODE_ANY, NULL) : NULL;
	if (value && !json_is_string(value) && !json_is_array(value) && !json_is_object(value))
		return value;
	json_decref(value);
	return memchr(p->data, 0, p->size) ? NULL : json_stringn(p->data, p->size);
}

static json_t *to_json(struct call *call, const struct multipart *form)
{
	json_t *o = json_object();
	for (size_t i = 0; o && i < form->count; i++) {
		const struct multipart_part *p = &form->parts[i];
		json_t *value = p->file ? NULL : value_of(p);
		size_t n = strlen(p->name);
		bool list = n > 2 && strcmp(p->name + n - 2, "[]") == 0, twice = value && !list && json_object_get(o, p->name);
		if (!p->file && (!value || twice)) {
			call_refuse(call, 400, p->name, twice ? "the form names '%s' twice" : "'%s' of the form is not UTF-8, or has a NUL in it",
				    p->name);
			json_decref(value);
			json_decref(o);
			return NULL;
		}
		if (value)
			json_object_set_new(o, p->name, value);
	}
	return o;
}

bool form_read(struct call *call, struct multipart **form, json_t **body)
{
	const struct http_request *r = call->http;
	struct error err;
	*body = NULL;
	*form = malloc(sizeof **form);
	int status = *form ? multipart_parse(head_value(&r->head, "content-type"), r->body ? r->body : "", r->size, *form, &err)
			   : error_set(&err, SUMI_NOMEM, "out of memory");
	if (status)
		call_fail(call, &err);
	else if ((*body = to_json(call, *form)))
		return true;
	free(*form);
	*form = NULL;
	return false;
}

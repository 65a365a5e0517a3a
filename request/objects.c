/* Lists of objects, whose members are values; with them a parameter of any type. */
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "request/value.h"

/* What was wrong with a value within, said of the whole. */
static int wrong_within(const struct param *p, size_t entry, struct error *err)
{
	struct error inner = *err;
	const char *text = strncmp(inner.text, "job: ", 5) == 0 ? inner.text + 5 : inner.text;
	return error_set(err, inner.status, "job: field '%s', entry %zu: %s", p->name, entry + 1, text);
}

static int find_stranger(const struct param *p, const json_t *object, struct error *err)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)object, key, value)
	{
		struct nearest near = nearest_to(key);
		const struct param *m = p->members;
		for (; m->name && strcmp(m->name, key) != 0; m++)
			nearest_try(&near, m->name);
		if (!m->name)
			return error_set(err, SUMI_INVALID, "unknown field '%.40s'%s%s%s", key,
					 near.best ? " (did you mean '" : "",
					 near.best ? near.best : "", near.best ? "'?)" : "");
	}
	return SUMI_OK;
}

/* One number that means the same is written in one way. */
static json_t *plain_number(const struct param *m, json_t *value)
{
	if (!value || (m->type != PARAM_NUMBER && m->type != PARAM_AMOUNT))
		return value;
	json_t *real = json_real(json_number_value(value));
	json_decref(value);
	return real;
}

static int canonical_member(const struct param *m, unsigned modality, const json_t *object,
			    json_t *out, struct error *err)
{
	json_t *given = json_object_get(object, m->name), *value = NULL;
	int status = given ? value_canonical(m, modality, given, &value, err) : SUMI_OK;
	if (!status && !value && m->fallback)
		status = value_from_text(m, modality, m->fallback, strlen(m->fallback), &value, err);
	if (status)
		return status;
	if (!value && m->flags & PARAM_NEEDED)
		return error_set(err, SUMI_INVALID, "field '%s' is missing", m->name);
	value = plain_number(m, value);
	return value && json_object_set_new(out, m->name, value)
		   ? error_set(err, SUMI_NOMEM, "job: no memory")
		   : SUMI_OK;
}

static int canonical_object(const struct param *p, unsigned modality, const json_t *object,
			    json_t *out, struct error *err)
{
	if (!json_is_object(object))
		return error_set(err, SUMI_INVALID, "must be an object");
	if (!out)
		return error_set(err, SUMI_NOMEM, "job: no memory");
	int status = find_stranger(p, object, err);
	for (const struct param *m = p->members; m->name && !status; m++)
		status = canonical_member(m, modality, object, out, err);
	return status;
}

static int canonical_objects(const struct param *p, unsigned modality, const json_t *value,
			     json_t **out, struct error *err)
{
	size_t count = json_array_size(value);
	if (!json_is_array(value))
		return value_wrong(p, err, "a list of objects");
	if ((double)count < p->min || (double)count > p->max)
		return error_set(err, SUMI_INVALID,
				 "job: field '%s' has %zu entries, allowed are %.0f to %.0f", p->name,
				 count, p->min, p->max);
	json_t *list = json_array();
	if (!list)
		return error_set(err, SUMI_NOMEM, "job: no memory");
	for (size_t i = 0; i < count; i++) {
		json_t *object = json_object();
		int status = canonical_object(p, modality, json_array_get(value, i), object, err);
		if (!status && json_array_append(list, object))
			status = error_set(err, SUMI_NOMEM, "job: no memory");
		json_decref(object);
		if (status) {
			json_decref(list);
			return wrong_within(p, i, err);
		}
	}
	*out = list;
	return SUMI_OK;
}

/* ---- out of text --------------------------------------------------------------------- */

/* A part of a text between two marks, without the spaces around it. */
struct piece {
	const char *at;
	size_t size;
};

static bool next_piece(struct piece *left, char mark, struct piece *out)
{
	if (!left->at)
		return false;
	const char *end = memchr(left->at, mark, left->size);
	*out = (struct piece){left->at, end ? (size_t)(end - left->at) : left->size};
	left->size -= out->size + (end != NULL);
	left->at = end ? end + 1 : NULL;
	while (out->size && out->at[0] == ' ')
		out->at++, out->size--;
	while (out->size && out->at[out->size - 1] == ' ')
		out->size--;
	return true;
}

/* "scale=0.5"; of an object's first part also the first member's value alone. */
static int member_from_text(const struct param *p, unsigned modality, struct piece part, bool first,
			    json_t *object, struct error *err)
{
	const char *equals = memchr(part.at, '=', part.size);
	size_t n = equals ? (size_t)(equals - part.at) : 0;
	const struct param *m = p->members;
	while (equals && m->name && (strlen(m->name) != n || memcmp(m->name, part.at, n) != 0))
		m++;
	if (!m->name || (!equals && !first))
		return error_set(err, SUMI_INVALID, "'%.*s' is no MEMBER=VALUE",
				 (int)(part.size < 40 ? part.size : 40), part.at);
	if (json_object_get(object, m->name))
		return error_set(err, SUMI_INVALID, "field '%s' stands there twice", m->name);
	const char *text = equals ? equals + 1 : part.at;
	json_t *value;
	int status = value_from_text(m, modality, text, part.size - (size_t)(text - part.at), &value, err);
	if (!status && json_object_set_new(object, m->name, value))
		status = error_set(err, SUMI_NOMEM, "job: no memory");
	return status;
}

static const struct param *colon_member(const struct param *p, int index)
{
	for (const struct param *m = p->members; m->name; m++)
		if ((m->flags & PARAM_COLON) && index-- == 0)
			return m;
	return NULL;
}

static int put_member(const struct param *m, unsigned modality, struct piece text, json_t *object,
		      struct error *err)
{
	json_t *value;
	int status = value_from_text(m, modality, text.at, text.size, &value, err);
	if (!status && json_object_set_new(object, m->name, value))
		status = error_set(err, SUMI_NOMEM, "job: no memory");
	return status;
}

static bool is_number_piece(struct piece text)
{
	json_t *value = json_loadb(text.at, text.size, JSON_DECODE_ANY, NULL);
	bool is = json_is_number(value);
	json_decref(value);
	return is;
}

/* "canny:photo.jpg:0.8:0:0.5": a word, a file (which may have a ':' itself), and up to as many numbers as
 * there are rows for. *taken false: the rows have no such form, or this is none. */
static int colons_from_text(const struct param *p, unsigned modality, struct piece part, json_t *object,
			    bool *taken, struct error *err)
{
	const struct param *word = colon_member(p, 0), *file = colon_member(p, 1);
	const char *colon = word && file ? memchr(part.at, ':', part.size) : NULL;
	const char *equals = memchr(part.at, '=', part.size);
	struct piece numbers[4], rest;
	int count = 0, most = 0;
	*taken = colon && !(equals && equals < colon);
	if (!*taken)
		return SUMI_OK;
	while (most < 4 && colon_member(p, 2 + most))
		most++;
	rest = (struct piece){colon + 1, part.size - (size_t)(colon + 1 - part.at)};
	while (count < most) {
		size_t n = rest.size;
		while (n > 0 && rest.at[n - 1] != ':')
			n--;
		struct piece last = {rest.at + n, rest.size - n};
		if (n < 2 || !is_number_piece(last))
			break;
		numbers[count++] = last;
		rest.size = n - 1;
	}
	int status = put_member(word, modality, (struct piece){part.at, (size_t)(colon - part.at)}, object,
				err);
	if (!status)
		status = put_member(file, modality, rest, object, err);
	for (int i = 0; i < count && !status; i++)
		status = put_member(colon_member(p, 2 + i), modality, numbers[count - 1 - i], object, err);
	return status;
}

/* JSON, or "a,scale=0.5;b". */
static int objects_from_text(const struct param *p, unsigned modality, const char *text, size_t size,
			     json_t **out, struct error *err)
{
	struct piece left = {text, size}, whole, part;
	size_t lead = 0;
	while (lead < size && text[lead] == ' ')
		lead++;
	if (lead < size && (text[lead] == '[' || text[lead] == '{')) {
		*out = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
		if (json_is_object(*out))
			*out = json_pack("[o]", *out);
		return *out ? SUMI_OK : value_wrong(p, err, "JSON, or MEMBER=VALUE,MEMBER=VALUE;…");
	}
	json_t *list = json_array();
	for (size_t i = 0; list && lead < size && next_piece(&left, ';', &whole); i++) {
		json_t *object = json_object();
		bool first = true;
		int status = SUMI_OK;
		while (object && !status && next_piece(&whole, ',', &part)) {
			bool taken = false;
			if (first)
				status = colons_from_text(p, modality, part, object, &taken, err);
			if (!status && !taken)
				status = member_from_text(p, modality, part, first, object, err);
			first = false;
		}
		if (!status && json_array_append_new(list, object))
			status = error_set(err, SUMI_NOMEM, "job: no memory");
		else if (status)
			json_decref(object);
		if (status) {
			json_decref(list);
			return wrong_within(p, i, err);
		}
	}
	*out = list;
	return list ? SUMI_OK : error_set(err, SUMI_NOMEM, "job: no memory");
}

/* ---- of any type --------------------------------------------------------------------- */

int param_canonical(const struct param *p, unsigned modality, json_t *value, json_t **out,
		    struct error *err)
{
	*out = NULL;
	if (p->type == PARAM_OBJECT_LIST && !json_is_null(value))
		return canonical_objects(p, modality, value, out, err);
	return value_canonical(p, modality, value, out, err);
}

int param_from_text(const struct param *p, unsigned modality, const char *text, size_t size,
		    json_t **value, struct error *err)
{
	json_t *raw;
	*value = NULL;
	if (p->type != PARAM_OBJECT_LIST)
		return value_from_text(p, modality, text, size, value, err);
	int status = objects_from_text(p, modality, text, size, &raw, err);
	if (status)
		return status;
	status = canonical_objects(p, modality, raw, value, err);
	json_decref(raw);
	return status;
}

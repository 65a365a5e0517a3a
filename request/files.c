/* The files that a request names. */
#include "request/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request/param.h"

static const void *value_at(const struct request *r, const struct param *p)
{
	return (const char *)r + (p->offset - offsetof(struct job, request));
}

static void *own_value_at(struct request *r, const struct param *p)
{
	return (char *)r + (p->offset - offsetof(struct job, request));
}

/* Counts *left down at each file; true at the one that is wanted. */
static bool is_it(const char *value, size_t *left, struct request_file *out)
{
	out->value = value;
	return value && (*left)-- == 0;
}

static bool find_in_list(const json_t *list, const struct param *p, size_t *left,
			 struct request_file *out)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		for (const struct param *m = p->members; m->name; m++) {
			const json_t *value = json_object_get(json_array_get(list, i), m->name);
			if (m->type != PARAM_FILE ||
			    !is_it(json_string_value(value), left, out))
				continue;
			out->member = m;
			out->entry = i;
			snprintf(out->name, sizeof out->name, "%s, entry %zu, %s", p->name, i + 1,
				 m->name);
			return true;
		}
	return false;
}

bool request_file(const struct request *r, size_t i, struct request_file *out)
{
	for (const struct param *p = param_table; p->name; p++) {
		*out = (struct request_file){.param = p};
		if (p->concern != PARAM_PICTURE)
			continue;
		if (p->type == PARAM_OBJECT_LIST &&
		    find_in_list(*(const json_t *const *)value_at(r, p), p, &i, out))
			return true;
		if (p->type == PARAM_FILE && is_it(*(const char *const *)value_at(r, p), &i, out)) {
			snprintf(out->name, sizeof out->name, "%s", p->name);
			return true;
		}
	}
	return false;
}

/* A list with another value in one place. */
static int change(json_t *list, const struct request_file *f, const char *value)
{
	return json_object_set_new(json_array_get(list, f->entry), f->member->name,
				   json_string(value));
}

json_t *request_file_changed(const struct request *r, const struct request_file *f,
			     const char *value)
{
	if (!f->member)
		return json_string(value);
	json_t *list = json_deep_copy(*(json_t *const *)value_at(r, f->param));
	if (list && change(list, f, value)) {
		json_decref(list);
		return NULL;
	}
	return list;
}

/* ---- where they lie -------------------------------------------------------------------- */

int request_places_prepare(struct request_places *places, const struct request *r, struct error *err)
{
	struct request_file f;
	size_t count = 0;
	while (request_file(r, count, &f))
		count++;
	if (places->count == count)
		return SUMI_OK;
	request_places_clear(places);
	places->at = calloc(count, sizeof *places->at);
	if (count && !places->at)
		return error_set(err, SUMI_NOMEM, "no memory for %zu files", count);
	places->count = count;
	return SUMI_OK;
}

/* The list that a request has, as one of our own; made once. */
static json_t *own_list(struct request_places *places, const struct request *r,
			const struct param *p)
{
	json_t *list = json_object_get(places->lists, p->name);
	if (list)
		return list;
	if (!places->lists)
		places->lists = json_object();
	list = json_deep_copy(*(json_t *const *)value_at(r, p));
	return json_object_set_new(places->lists, p->name, list) ? NULL : list;
}

int request_places_put(struct request_places *places, struct request *r, struct error *err)
{
	struct request_file f;
	r->places = places;
	for (size_t i = 0; i < places->count && request_file(r, i, &f); i++) {
		struct request_place *place = &places->at[i];
		if (!f.member) {
			const char **value = own_value_at(r, f.param);
			value[0] = place->sha256;
			value[1] = place->path; /* as PARAM_MEMBER_FILE has them */
			continue;
		}
		json_t *list = own_list(places, r, f.param);
		if (!list || change(list, &f, place->sha256))
			return error_set(err, SUMI_NOMEM, "out of memory");
		*(const json_t **)own_value_at(r, f.param) = list;
	}
	return SUMI_OK;
}

const char *request_file_path(const struct request *r, const char *sha256)
{
	for (size_t i = 0; r->places && i < r->places->count; i++)
		if (strcmp(r->places->at[i].sha256, sha256) == 0 && r->places->at[i].path[0])
			return r->places->at[i].path;
	return NULL;
}

void request_places_clear(struct request_places *places)
{
	free(places->at);
	json_decref(places->lists);
	*places = (struct request_places){0};
}

/* ---- their names ----------------------------------------------------------------------- */

const char *request_file_key(size_t n)
{
	for (const struct param *p = param_table; p->name; p++) {
		if (p->type == PARAM_FILE && n-- == 0)
			return p->name;
		if (p->type != PARAM_OBJECT_LIST)
			continue;
		for (const struct param *m = p->members; m->name; m++)
			if (m->type == PARAM_FILE && n-- == 0)
				return m->name;
	}
	return NULL;
}

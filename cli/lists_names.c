/* Lists of jobs: names that fields have there, and values among a job's fields. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/lists.h"
#include "cli/size.h"
#include "cli/when.h"

const char *list_place(const struct list *l, long line, char *out, size_t size)
{
	snprintf(out, size, l->form == LIST_JSON ? "%s: entry %ld" : "%s:%ld", l->shown, line);
	return out;
}

bool list_is_size(const char *name)
{
	return strcasecmp(name, "size") == 0;
}

int list_name(struct list *l, const char *name, const struct param **p, struct error *err)
{
	char clean[64];
	*p = param_named(name);
	if (*p || list_is_size(name))
		return SUMI_OK;
	snprintf(clean, sizeof clean, "%s", name);
	for (char *c = clean; *c; c++)
		*c = *c == '-' || *c == ' ' ? '_' : *c;
	const char *near = param_nearest(clean);
	if (near)
		return error_set(err, SUMI_INVALID, "there is no field '%.60s', did you mean %s?",
				 name, near);
	if (!l->keep)
		json_object_set_new(l->unknown, name, json_true());
	return SUMI_OK;
}

int list_put_tag(json_t *object, const char *name, const char *text, struct error *err)
{
	enum { TAG_MAX = 64 };
	char tag[TAG_MAX + 1];
	if (strlen(name) + 1 + strlen(text) > TAG_MAX)
		return error_set(err, SUMI_TOOBIG,
				 "'%.40s' would make a tag of more than %d bytes: shorten it, or "
				 "leave out --keep-columns",
				 name, TAG_MAX);
	json_t *tags = json_object_get(object, "tags");
	snprintf(tag, sizeof tag, "%s=%s", name, text);
	for (char *c = tag; *c; c++)
		if (*c == ',' || (unsigned char)*c < 0x20)
			*c = ' ';
	if (!tags) {
		tags = json_array();
		json_object_set_new(object, "tags", tags);
	}
	if (json_array_append_new(tags, json_string(tag)))
		return error_set(err, SUMI_INVALID, "'%.60s' is not valid UTF-8", name);
	return SUMI_OK;
}

/* 7,5 of a table between semicolons is 7.5. */
static void point(const struct list *l, const struct param *p, const char *text, char *out,
		  size_t size)
{
	snprintf(out, size, "%s", text);
	char *comma = strchr(out, ',');
	if (l->form == LIST_TABLE && l->delimiter != ',' && comma &&
	    (p->type == PARAM_NUMBER || p->type == PARAM_AMOUNT))
		*comma = '.';
}

/* Other programs' "tiling" is a switch, ours says which edges. False: it is no such. */
static bool is_tiling(const struct param *p, const char *text, bool *on)
{
	json_t *value;
	if (!p || strcmp(p->name, "tile") != 0 ||
	    param_from_text(param_find("fast"), 0, text, strlen(text), &value, NULL))
		return false;
	*on = json_is_true(value);
	json_decref(value);
	return true;
}

int list_put(struct list *l, json_t *object, const char *name, const char *text, struct error *err)
{
	bool tiled;
	const struct param *p;
	char number[64];
	json_t *value;
	if (list_is_size(name))
		return cli_size(text, object, err);
	int status = list_name(l, name, &p, err);
	if (status)
		return status;
	if (!p)
		return l->keep ? list_put_tag(object, name, text, err) : SUMI_OK;
	if (is_tiling(p, text, &tiled)) {
		if (!tiled)
			return SUMI_OK;
		text = "both";
	}
	if (strlen(text) < sizeof number) {
		point(l, p, text, number, sizeof number);
		text = number;
	}
	/* What a time means depends on the zone, what a word on the modality: both may follow. */
	bool later = *text && (when_resolves(p) || p->words);
	status = param_from_text(later ? param_find("prompt") : p, 0, text, strlen(text), &value, err);
	if (status)
		return status;
	if ((status = cli_size_agrees(object, p, value, err))) {
		json_decref(value);
		return status;
	}
	json_t *before = json_object_get(object, p->name);
	if (json_is_array(before) && json_is_array(value)) {
		json_array_extend(before, value);
		json_decref(value);
	} else {
		json_object_set_new(object, p->name, value);
	}
	return SUMI_OK;
}

/* Lists of jobs: what a file is, and what stands in it as JSON. */
#include "cli/lists.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/files.h"
#include "base/json.h"

enum { FILE_LIMIT = 256 << 20 };

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

/* The names of a JSON object by any that are known; what nobody knows is the job's fault, or a tag. */
static int rename_fields(struct list *l, json_t *object, json_t **out, struct error *err)
{
	const char *key;
	json_t *value;
	int status = SUMI_OK;
	*out = json_object();
	json_object_foreach(object, key, value)
	{
		const struct param *p = param_named(key);
		const char *name = p ? p->name : key;
		if (list_is_size(key) && json_object_get(*out, "size")) {
			status = error_set(err, SUMI_INVALID, "two fields are 'size'");
		} else if (list_is_size(key)) {
			json_object_set(*out, "size", value);
		} else if (!p && l->keep && !json_is_array(value) && !json_is_object(value) &&
		    !param_nearest(key)) {
			char *text = json_is_string(value) ? strdup(json_string_value(value))
							   : json_dumps(value, JSON_ENCODE_ANY);
			status = text ? list_put_tag(*out, key, text, err)
				      : error_set(err, SUMI_NOMEM, "out of memory");
			free(text);
		} else if (p && strcmp(name, "tile") == 0 && json_is_boolean(value)) {
			if (json_is_true(value))
				json_object_set_new(*out, name, json_string("both"));
		} else if (p && json_object_get(*out, name) && !json_is_array(value)) {
			status = error_set(err, SUMI_INVALID, "two fields are '%s'", name);
		} else if (p && json_is_array(json_object_get(*out, name))) {
			json_array_extend(json_object_get(*out, name), value);
		} else {
			json_object_set(*out, name, value);
		}
		if (status)
			break;
	}
	if (status) {
		json_decref(*out);
		*out = NULL;
	}
	return status;
}

/* An object, or a text that is a prompt. Takes the value. */
static int give_json(struct list *l, json_t *value, long line, list_sink sink, void *context,
		     struct error *err)
{
	json_t *object = NULL;
	int status = SUMI_OK;
	if (json_is_string(value) && l->form == LIST_JSON)
		object = json_pack("{s:O}", "prompt", value);
	else if (json_is_object(value))
		status = rename_fields(l, value, &object, err);
	else
		status = error_set(err, SUMI_INVALID, "a job is a JSON object, not this");
	json_decref(value);
	return status ? status : sink(context, object, line, err);
}

static int walk_lines(struct list *l, char *text, list_sink sink, void *context, struct error *err)
{
	int status = SUMI_OK;
	long line = 0;
	char place[FILES_PATH_MAX];
	for (char *at = text, *next; at && !status; at = next) {
		line++;
		next = strchr(at, '\n');
		if (next)
			*next++ = '\0';
		if (at[strspn(at, " \t\r")] == '\0')
			continue;
		json_t *value;
		list_place(l, line, place, sizeof place);
		status = json_read_text(at, strlen(at), l->shown, &value, err);
		if (status)
			return error_set(err, SUMI_INVALID, "%s: not JSON: %.300s", place,
					 err->text);
		status = give_json(l, value, line, sink, context, err);
		if (status)
			error_prefix(err, "%s", place);
	}
	return status;
}

/* Jobs may also follow one another without an array, each over several lines. */
static int walk_json(struct list *l, char *text, list_sink sink, void *context, struct error *err)
{
	json_t *root, *value;
	size_t i;
	char place[FILES_PATH_MAX];
	int status = json_read_text(text, strlen(text), l->shown, &root, err);
	if (status)
		return status;
	if (!json_is_array(root)) {
		status = give_json(l, root, 1, sink, context, err);
		return status ? error_prefix(err, "%s", list_place(l, 1, place, sizeof place)) : 0;
	}
	json_array_foreach(root, i, value)
	{
		status = give_json(l, json_incref(value), (long)i + 1, sink, context, err);
		if (status) {
			error_prefix(err, "%s", list_place(l, (long)i + 1, place, sizeof place));
			break;
		}
	}
	json_decref(root);
	return status;
}

/* ---- the file ----------------------------------------------------------------------- */

static const struct {
	const char *suffix;
	enum list_form form;
} suffixes[] = {
    {".jsonl", LIST_JSONL}, {".ndjson", LIST_JSONL}, {".json", LIST_JSON}, {".csv", LIST_TABLE},
    {".tsv", LIST_TABLE},   {".tab", LIST_TABLE},    {".txt", LIST_TEXT},
};

/* One object a line, or one over several lines? */
static enum list_form form_of_json(const char *text)
{
	const char *line = strchr(text, '\n');
	size_t size = line ? (size_t)(line - text) : strlen(text);
	json_t *one = json_loadb(text, size, JSON_DECODE_INT_AS_REAL, NULL), *all = NULL;
	if (!one)
		all = json_loads(text, JSON_DECODE_INT_AS_REAL, NULL);
	json_decref(one);
	json_decref(all);
	return all ? LIST_JSON : LIST_JSONL;
}

static enum list_form form_by_content(const char *text, bool only_json, char *delimiter)
{
	const char *first = text + strspn(text, " \t\r\n");
	if (*first == '[')
		return LIST_JSON;
	if (*first == '{' || only_json)
		return form_of_json(first);
	return table_header(text, delimiter) ? LIST_TABLE : LIST_TEXT;
}

static void find_form(struct list *l, bool only_json)
{
	size_t n = l->path ? strlen(l->path) : 0;
	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		size_t m = strlen(suffixes[i].suffix);
		if (n <= m || strcasecmp(l->path + n - m, suffixes[i].suffix) != 0)
			continue;
		l->form = suffixes[i].form;
		if (l->form == LIST_TABLE)
			l->delimiter = table_delimiter(l->first);
		if (l->form == LIST_JSON && *l->first == '{')
			l->form = form_of_json(l->first);
		return;
	}
	l->form = form_by_content(l->first, only_json, &l->delimiter);
}

int list_open(const char *path, bool only_json, bool keep, struct list *l, struct error *err)
{
	bool standard = strcmp(path, "-") == 0;
	size_t size, mark = strlen(BYTE_ORDER_MARK);
	*l = (struct list){.path = standard ? NULL : path,
			   .shown = standard ? "standard input" : path,
			   .keep = keep,
			   .unknown = json_object()};
	int status = files_read(standard ? "/dev/stdin" : path, FILE_LIMIT, &l->text, &size, err);
	if (status)
		return status;
	if (memchr(l->text, 0, size))
		return error_set(err, SUMI_INVALID,
				 "%s: has NUL bytes: save it as UTF-8, not as UTF-16", l->shown);
	/* Spreadsheets begin what they export with a mark. */
	l->first = strncmp(l->text, BYTE_ORDER_MARK, mark) ? l->text : l->text + mark;
	find_form(l, only_json);
	return SUMI_OK;
}

void list_close(struct list *l)
{
	free(l->text);
	json_decref(l->unknown);
	*l = (struct list){0};
}

int list_walk(struct list *l, list_sink sink, void *context, struct error *err)
{
	static int (*const walks[])(struct list *, char *, list_sink, void *, struct error *) = {
	    [LIST_JSONL] = walk_lines,
	    [LIST_JSON] = walk_json,
	    [LIST_TABLE] = table_walk,
	    [LIST_TEXT] = text_walk,
	};
	char *copy = strdup(l->first);
	if (!copy)
		return error_set(err, SUMI_NOMEM, "out of memory");
	int status = walks[l->form](l, copy, sink, context, err);
	free(copy);
	return status;
}

#include "modalities/wildcards_tree.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/utf8.h"

enum { LEVELS = 8, JSON_MEMORY = 64 << 20 };

bool wildcard_tree_ending(const char *file)
{
	static const char *const endings[] = {".yaml", ".yml", ".json"};
	const char *dot = strrchr(file, '.');
	for (size_t i = 0; dot && i < sizeof endings / sizeof endings[0]; i++)
		if (strcasecmp(dot, endings[i]) == 0)
			return true;
	return false;
}

/* ---- JSON ---- */

struct visitor {
	wildcard_line *visit;
	void *context;
	const char *path;
};

static int add_name(char out[WILDCARD_TREE_NAME], const char *above, const char *name, size_t size)
{
	size_t n = strlen(above);
	if (n + 1 + size >= WILDCARD_TREE_NAME)
		return SUMI_TOOBIG;
	memmove(out, above, n);
	if (n)
		out[n++] = '/';
	memcpy(out + n, name, size);
	out[n + size] = '\0';
	return SUMI_OK;
}

static int walk_json(const struct visitor *v, const json_t *value, const char *name, int level, struct error *err)
{
	char below[WILDCARD_TREE_NAME];
	const char *key;
	json_t *member;
	size_t i;
	int status = SUMI_OK;
	if (json_is_string(value))
		return v->visit(v->context, name, 0, json_string_value(value), json_string_length(value), err);
	if (json_is_array(value)) {
		json_array_foreach((json_t *)(uintptr_t)value, i, member)
			if (!status && json_is_string(member))
				status = walk_json(v, member, name, level, err);
		return status;
	}
	json_object_foreach((json_t *)(uintptr_t)value, key, member)
	{
		if (status)
			break;
		if (level >= LEVELS || add_name(below, name, key, strlen(key)))
			return error_set(err, SUMI_INVALID, "%s: '%.40s' lies too deep, or its names are too long", v->path, key);
		status = walk_json(v, member, below, level + 1, err);
	}
	return status;
}

/* ---- YAML ---- */

struct line {
	const char *at;
	size_t size, indent;
	int number;
};

/* What is open above a line: names, and how far each stands from the edge. */
struct yaml {
	const struct visitor *v;
	char names[LEVELS + 1][WILDCARD_TREE_NAME]; /* names[0] is "" */
	size_t indents[LEVELS + 1];
	int level;
};

static int not_read(const struct yaml *y, const struct line *l, const char *why, struct error *err)
{
	return error_set(err, SUMI_INVALID, "%s:%d: %s", y->v->path, l->number, why);
}

/* The text without blanks at its ends. */
static void trim(const char **at, size_t *size)
{
	while (*size && strchr(" \t\r", (*at)[*size - 1]))
		--*size;
	while (*size && strchr(" \t", **at)) {
		++*at;
		--*size;
	}
}

/* Without a comment that follows a blank. */
static void cut_comment(const char *at, size_t *size)
{
	for (size_t i = 0; i < *size; i++)
		if (at[i] == '#' && (i == 0 || strchr(" \t", at[i - 1])))
			*size = i;
}

/* The size of the quoted text at the start, with its marks; out: without them. 0: it does not end. */
static size_t unquote(const char *at, size_t size, char *out, size_t *out_size)
{
	char mark = *at;
	*out_size = 0;
	for (size_t i = 1; i < size; i++) {
		char c = at[i];
		if (c == mark && mark == '\'' && i + 1 < size && at[i + 1] == mark)
			i++;
		else if (c == mark)
			return i + 1;
		else if (c == '\\' && mark == '"' && i + 1 < size)
			c = at[++i] == 'n' ? '\n' : at[i] == 't' ? '\t' : at[i];
		out[(*out_size)++] = c;
	}
	return 0;
}

/* One scalar, to its end or that of the list in brackets around it; *used: with its marks. */
static int put_scalar(const struct yaml *y, const struct line *l, const char *name, const char *at, size_t size,
		      bool listed, size_t *used, struct error *err)
{
	char *out = malloc(size + 1);
	size_t n = 0;
	int status = SUMI_OK;
	*used = size;
	if (!out)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", y->v->path);
	if (size && (*at == '"' || *at == '\'')) {
		if (!(*used = unquote(at, size, out, &n)))
			status = not_read(y, l, "the quotes do not close in this line", err);
	} else {
		for (size_t i = 0; listed && i < size; i++)
			if (at[i] == ',' || at[i] == ']') {
				*used = i;
				break;
			}
		n = *used;
		cut_comment(at, &n);
		memcpy(out, at, n);
		const char *from = out;
		trim(&from, &n);
		memmove(out, from, n);
		if (n && strchr("&*!|>%@`", *out))
			status = not_read(y, l, "anchors, tags and blocks of text are not read: put quotes around what begins with such a sign", err);
	}
	if (!status && n)
		status = y->v->visit(y->v->context, name, l->number, out, n, err);
	free(out);
	return status;
}

/* "[a, 'b, c']" or one scalar. */
static int put_value(const struct yaml *y, const struct line *l, const char *name, const char *at, size_t size, struct error *err)
{
	size_t used;
	int status = SUMI_OK;
	trim(&at, &size);
	if (!size || *at != '[') {
		status = put_scalar(y, l, name, at, size, false, &used, err);
		at += used;
		size -= used;
		cut_comment(at, &size);
		trim(&at, &size);
		return status || !size ? status : not_read(y, l, "there is more behind the quotes", err);
	}
	for (at++, size--; !status;) {
		trim(&at, &size);
		status = put_scalar(y, l, name, at, size, true, &used, err);
		at += used;
		size -= used;
		trim(&at, &size);
		if (!status && (!size || (*at != ',' && *at != ']')))
			return not_read(y, l, "the list in brackets does not close in this line", err);
		if (status || *at == ']')
			break;
		at++;
		size--;
	}
	return status;
}

/* Where the ':' behind a name stands; size: there is none. */
static size_t name_end(const char *at, size_t size)
{
	size_t i = 0;
	if (size && (*at == '"' || *at == '\'')) {
		const char *close = memchr(at + 1, *at, size - 1);
		i = close ? (size_t)(close - at) + 1 : size;
	}
	while (i < size && !(at[i] == ':' && (i + 1 == size || at[i + 1] == ' ')))
		i++;
	return i;
}

static int read_line(struct yaml *y, struct line *l, struct error *err)
{
	bool item = *l->at == '-' && (l->size == 1 || l->at[1] == ' ');
	/* An item may stand as far from the edge as the name above it. */
	while (y->level && (item ? l->indent < y->indents[y->level] : l->indent <= y->indents[y->level]))
		y->level--;
	if (item)
		return l->size > 2 && name_end(l->at + 2, l->size - 2) < l->size - 2 && !strchr("\"'[", l->at[2])
			   ? not_read(y, l, "a name within a list is not read: put quotes around a line that has ': '", err)
			   : put_value(y, l, y->names[y->level], l->at + 1, l->size - 1, err);
	const char *name = l->at;
	size_t colon = name_end(l->at, l->size), size = colon;
	if (colon == l->size)
		return not_read(y, l, "it is neither 'name:' nor '- a line'", err);
	trim(&name, &size);
	if (size >= 2 && strchr("\"'", *name)) {
		name++;
		size -= 2;
	}
	if (y->level == LEVELS || add_name(y->names[y->level + 1], y->names[y->level], name, size))
		return not_read(y, l, "it lies too deep, or its names are too long", err);
	y->level++;
	y->indents[y->level] = l->indent;
	const char *value = l->at + colon + 1;
	size = l->size - colon - 1;
	trim(&value, &size);
	if (size && *value == '#')
		size = 0;
	return size ? put_value(y, l, y->names[y->level], value, size, err) : SUMI_OK;
}

static int walk_yaml(const struct visitor *v, const char *text, size_t size, struct error *err)
{
	struct yaml *y = calloc(1, sizeof *y);
	int status = y ? SUMI_OK : error_set(err, SUMI_NOMEM, "%s: out of memory", v->path), number = 0;
	if (y)
		y->v = v;
	for (size_t at = 0; at < size && !status;) {
		const char *end = memchr(text + at, '\n', size - at);
		struct line l = {text + at, end ? (size_t)(end - text) - at : size - at, 0, ++number};
		at += l.size + 1;
		while (l.size && *l.at == ' ') {
			l.at++;
			l.size--;
			l.indent++;
		}
		trim(&l.at, &l.size);
		if (l.size && *l.at != '#' && !(l.size == 3 && memcmp(l.at, "---", 3) == 0))
			status = read_line(y, &l, err);
	}
	free(y);
	return status;
}

int wildcard_tree_read(const char *text, size_t size, const char *path, wildcard_line *visit, void *context,
		       struct error *err)
{
	const struct visitor v = {visit, context, path};
	json_t *root;
	if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
		text += 3;
		size -= 3;
	}
	if (!utf8_valid(text, size))
		return error_set(err, SUMI_INVALID, "%s: it is not UTF-8: save the file as UTF-8", path);
	const char *dot = strrchr(path, '.');
	if (!dot || strcasecmp(dot, ".json") != 0)
		return walk_yaml(&v, text, size, err);
	int status = json_read_foreign(text, size, JSON_MEMORY, path, &root, err);
	if (!status) {
		status = walk_json(&v, root, "", 0, err);
		json_decref(root);
	}
	return status;
}

/* Lists of jobs as people and other programs write them. What a file is, its suffix says, else its
 * first line:
 *
 *     .jsonl .ndjson   one JSON object a line
 *     .json            a JSON array of objects or prompts, or one object
 *     .csv .tsv        columns named in the first line, between commas, semicolons or tabs
 *     .txt             a prompt a line; # begins a comment; a line that begins with -- is one of
 *                      stable-diffusion-webui's "prompts from file": --prompt "…" --seed 7
 */
#ifndef SUMI_CLI_LISTS_H
#define SUMI_CLI_LISTS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/status.h"
#include "request/param.h"

enum list_form { LIST_JSONL, LIST_JSON, LIST_TABLE, LIST_TEXT };

struct list {
	const char *path;  /* NULL for standard input */
	const char *shown; /* in messages */
	enum list_form form;
	char delimiter;  /* of a table */
	char *text;      /* all of it */
	char *first;     /* within text, behind a byte order mark */
	bool keep;       /* values that no field has become tags: NAME=VALUE */
	json_t *unknown; /* names that no field has and that are left out, as keys */
};

/* Gets a job's fields, which it owns from then on, and the line where it begins (in a JSON array:
 * its number). */
typedef int (*list_sink)(void *context, json_t *object, long line, struct error *err);

/* Reads a file, or standard input with "-". only_json: nothing else may stand there. Fills *l, to be
 * released with list_close(), also on failure. */
int list_open(const char *path, bool only_json, bool keep, struct list *l, struct error *err);
void list_close(struct list *l);

/* Hands every job to the sink, in order; may be called again. Stops at the first failure, which
 * has "file:line" before it. */
int list_walk(struct list *l, list_sink sink, void *context, struct error *err);

/* "file:3", or in a JSON array "file: entry 3". */
const char *list_place(const struct list *l, long line, char *out, size_t size);

/* One value of a list among a job's fields, by any of the names that param_named() knows. */
int list_put(struct list *l, json_t *object, const char *name, const char *text, struct error *err);

/* What no field has as a tag, "page=12": commas would end it. */
int list_put_tag(json_t *object, const char *name, const char *text, struct error *err);

/* No field, but two: "512x768", as on the command line. */
bool list_is_size(const char *name);

/* Whether a name is a field's, or may be left out: SUMI_INVALID for one that is near to a field's
 * name. *p is NULL for what is left out or becomes a tag. */
int list_name(struct list *l, const char *name, const struct param **p, struct error *err);

/* The readers of the forms; text is theirs to change. */
int table_walk(struct list *l, char *text, list_sink sink, void *context, struct error *err);
int text_walk(struct list *l, char *text, list_sink sink, void *context, struct error *err);

/* Whether a first line is one of columns' names, and what stands between them. */
bool table_header(const char *text, char *delimiter);
/* What stands between the columns of a table, by its first line. */
char table_delimiter(const char *text);

#endif

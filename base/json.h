/* Reading JSON with errors a person can use, on top of jansson.
 * `where` names the document in messages ("job", "unet/config.json"). */
#ifndef SUMI_BASE_JSON_H
#define SUMI_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* Parsed, a text takes many times its size: "[]," is 3 bytes there and 176 here. A file may take
 * so many times the bytes that it may have. */
enum { JSON_EXPANSION = 16 };

/* What a text would become, told without parsing it. */
struct json_weight {
	size_t memory;  /* bytes, at most */
	size_t objects; /* "{" outside of texts */
};
struct json_weight json_weigh(const char *text, size_t size);

/* json_read_text(), or SUMI_TOOBIG where the result would take more than memory bytes. */
int json_read_bounded(const char *text, size_t size, size_t memory, const char *where,
		      json_t **root, struct error *err);

/* The same where texts may hold NUL, at which json_string_value() ends. */
int json_read_bounded_nul(const char *text, size_t size, size_t memory, const char *where, json_t **root,
			  struct error *err);

/* The same as json_read_bounded() for what other programs write: NaN and Infinity, as Python has them, become null or 0, of a
 * key that stands twice the last counts, texts may hold NUL. */
int json_read_foreign(const char *text, size_t size, size_t memory, const char *where,
		      json_t **root, struct error *err);

/* Parses a regular file of at most limit bytes; the caller releases *root with
 * json_decref(). Messages read "path:line:column: reason"; SUMI_TOOBIG past limit, or where the
 * result would take more than JSON_EXPANSION times as much. */
int json_read_file(const char *path, size_t limit, json_t **root, struct error *err);

/* Parses text of the given length. Messages read "where:line:column: reason". Whole numbers
 * beyond 63 bits become texts of their digits: seeds have 64. */
int json_read_text(const char *text, size_t size, const char *where, json_t **root,
		   struct error *err);

/* Each of these leaves *value as it was when the field is missing or null, and
 * returns SUMI_INVALID with "where: field 'key' …" for a wrong type or range. */
int json_want_int(const json_t *object, const char *where, const char *key, int64_t min,
		  int64_t max, int64_t *value, struct error *err);
int json_want_number(const json_t *object, const char *where, const char *key, double min,
		     double max, double *value, struct error *err);
int json_want_bool(const json_t *object, const char *where, const char *key, bool *value,
		   struct error *err);
/* *value borrows from object. */
int json_want_string(const json_t *object, const char *where, const char *key, const char **value,
		     struct error *err);

/* json_dumps() for a terminal: characters that utf8_shows() refuses, which may stand in JSON as
 * they are, become \u escapes, so the value stays the same. The caller frees it; NULL: no memory.
 */
char *json_text(const json_t *value, size_t flags);

/* The name of the first field of object that is not in names (NULL-terminated),
 * or NULL. Borrowed from object. */
const char *json_unknown_field(const json_t *object, const char *const *names);

#endif

/* Reading JSON with errors a person can use. */
#include "base/json.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/utf8.h"

#define LONG_NUMBER 19 /* digits: with fewer, every whole number has its place in 63 bits */

/* The length of the number at text, 0 where none begins; *is_long: a whole one beyond 63 bits. */
static size_t number_length(const char *text, size_t size, bool *is_long)
{
	size_t sign = size && text[0] == '-', digits = 0, n;
	while (sign + digits < size && isdigit((unsigned char)text[sign + digits]))
		digits++;
	for (n = sign + digits; digits && n < size && text[n]; n++)
		if (!strchr("0123456789.eE+-", text[n]))
			break;
	*is_long =
	    n == sign + digits &&
	    (digits > LONG_NUMBER ||
	     (digits == LONG_NUMBER && memcmp(text + sign, "9223372036854775807", digits) > 0));
	return digits ? n : 0;
}

/* A copy in which whole numbers beyond 63 bits stand as texts; NULL: no memory. */
static char *quote_long_numbers(const char *text, size_t size, size_t *out_size)
{
	char *out = malloc(size + size / LONG_NUMBER * 2 + 3), *to = out;
	bool string = false;
	for (size_t i = 0, n; out && i < size; i += n) {
		bool is_long = false;
		n = string ? 0 : number_length(text + i, size - i, &is_long);
		if (n == 0) {
			n = string && text[i] == '\\' && i + 1 < size ? 2 : 1;
			string ^= text[i] == '"';
		}
		if (is_long)
			*to++ = '"';
		memcpy(to, text + i, n);
		to += n;
		if (is_long)
			*to++ = '"';
	}
	*out_size = (size_t)(to - out);
	return out;
}

/* flags: jansson's */
static int read_text(const char *text, size_t size, size_t flags, const char *where, json_t **root,
		     struct error *err)
{
	json_error_t e;
	*root = json_loadb(text, size, flags, &e);
	char *quoted = NULL;
	if (!*root && json_error_code(&e) == json_error_numeric_overflow)
		quoted = quote_long_numbers(text, size, &size);
	if (quoted)
		*root = json_loadb(quoted, size, flags, &e);
	free(quoted);
	if (*root)
		return SUMI_OK;
	return error_set(err, SUMI_INVALID, "%s:%d:%d: %s", where, e.line, e.column, e.text);
}

int json_read_text(const char *text, size_t size, const char *where, json_t **root,
		   struct error *err)
{
	return read_text(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, where, root, err);
}

/* What jansson allocates for one of each, malloc's own part included; a bound from above. */
enum { OBJECT = 240, LIST = 128, PAIR = 104, TEXT = 28, NEXT = 48 };

struct json_weight json_weigh(const char *text, size_t size)
{
	static const unsigned char costs[256] = {
	    ['{'] = OBJECT, ['['] = LIST, [':'] = PAIR, ['"'] = TEXT, [','] = NEXT};
	struct json_weight w = {.memory = size};
	bool in_text = false;
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c == '"')
			in_text = !in_text;
		else if (in_text) {
			i += c == '\\';
			continue;
		}
		w.memory += costs[c];
		w.objects += c == '{';
	}
	return w;
}

static int read_bounded(const char *text, size_t size, size_t memory, size_t flags, const char *where,
			json_t **root, struct error *err)
{
	size_t needs = json_weigh(text, size).memory;
	*root = NULL;
	if (needs > memory)
		return error_set(err, SUMI_TOOBIG,
				 "%s: its %zu bytes would take %zu MiB of memory, at most %zu are "
				 "allowed",
				 where, size, needs >> 20, memory >> 20);
	return read_text(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | flags, where, root, err);
}

int json_read_bounded(const char *text, size_t size, size_t memory, const char *where,
		      json_t **root, struct error *err)
{
	return read_bounded(text, size, memory, 0, where, root, err);
}

int json_read_bounded_nul(const char *text, size_t size, size_t memory, const char *where, json_t **root,
			  struct error *err)
{
	return read_bounded(text, size, memory, JSON_ALLOW_NUL, where, root, err);
}

/* NaN and Infinity become null, or 0 where there is no room for it. */
static void mend_numbers(char *text, size_t size)
{
	static const struct {
		const char *word, *instead;
	} words[] = {{"-Infinity", "null     "}, {"Infinity", "null    "}, {"NaN", "0  "}};
	bool quoted = false;
	for (size_t at = 0; at < size; at++) {
		if (quoted && text[at] == '\\')
			at++;
		else if (text[at] == '"')
			quoted = !quoted;
		for (size_t i = 0; !quoted && i < sizeof words / sizeof words[0]; i++) {
			size_t n = strlen(words[i].word);
			if (size - at >= n && memcmp(text + at, words[i].word, n) == 0)
				memcpy(text + at, words[i].instead, n);
		}
	}
}

int json_read_foreign(const char *text, size_t size, size_t memory, const char *where,
		      json_t **root, struct error *err)
{
	*root = NULL;
	if (json_weigh(text, size).memory > memory)
		return json_read_bounded(text, size, memory, where, root, err);
	char *copy = malloc(size + 1);
	if (!copy)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", where);
	memcpy(copy, text, size);
	mend_numbers(copy, size);
	int status = read_text(copy, size, JSON_ALLOW_NUL | JSON_DECODE_ANY, where, root, err);
	free(copy);
	return status;
}

int json_read_file(const char *path, size_t limit, json_t **root, struct error *err)
{
	char *text;
	size_t size;
	*root = NULL;
	int status = files_read_regular(path, limit, &text, &size, err);
	if (status)
		return status;
	status = json_read_bounded(text, size, JSON_EXPANSION * limit, path, root, err);
	free(text);
	return status;
}

static const json_t *field(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	return json_is_null(value) ? NULL : value;
}

int json_want_int(const json_t *object, const char *where, const char *key, int64_t min,
		  int64_t max, int64_t *value, struct error *err)
{
	const json_t *f = field(object, key);
	if (!f)
		return SUMI_OK;
	if (!json_is_integer(f))
		return error_set(err, SUMI_INVALID, "%s: field '%s' must be a whole number", where,
				 key);
	int64_t v = json_integer_value(f);
	if (v < min || v > max)
		return error_set(err, SUMI_INVALID,
				 "%s: field '%s' is %lld, allowed are %lld to %lld", where, key,
				 (long long)v, (long long)min, (long long)max);
	*value = v;
	return SUMI_OK;
}

int json_want_number(const json_t *object, const char *where, const char *key, double min,
		     double max, double *value, struct error *err)
{
	const json_t *f = field(object, key);
	if (!f)
		return SUMI_OK;
	if (!json_is_number(f))
		return error_set(err, SUMI_INVALID, "%s: field '%s' must be a number", where, key);
	double v = json_number_value(f);
	if (!isfinite(v) || v < min || v > max)
		return error_set(err, SUMI_INVALID, "%s: field '%s' is %g, allowed are %g to %g",
				 where, key, v, min, max);
	*value = v;
	return SUMI_OK;
}

int json_want_bool(const json_t *object, const char *where, const char *key, bool *value,
		   struct error *err)
{
	const json_t *f = field(object, key);
	if (!f)
		return SUMI_OK;
	if (!json_is_boolean(f))
		return error_set(err, SUMI_INVALID, "%s: field '%s' must be true or false", where,
				 key);
	*value = json_is_true(f);
	return SUMI_OK;
}

int json_want_string(const json_t *object, const char *where, const char *key, const char **value,
		     struct error *err)
{
	const json_t *f = field(object, key);
	if (!f)
		return SUMI_OK;
	if (!json_is_string(f))
		return error_set(err, SUMI_INVALID, "%s: field '%s' must be a text", where, key);
	*value = json_string_value(f);
	return SUMI_OK;
}

const char *json_unknown_field(const json_t *object, const char *const *names)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)object, key, value)
	{
		const char *const *n = names;
		while (*n && strcmp(*n, key) != 0)
			n++;
		if (!*n)
			return key;
	}
	return NULL;
}

/* A character as JSON writes those that cannot stand for themselves. */
static size_t put_escaped(uint32_t code, char *out)
{
	uint32_t over = code - 0x10000;
	if (code < 0x10000)
		return (size_t)sprintf(out, "\\u%04x", (unsigned)code);
	return (size_t)sprintf(out, "\\u%04x\\u%04x", (unsigned)(0xD800 + (over >> 10)),
			       (unsigned)(0xDC00 + (over & 0x3FF)));
}

char *json_text(const json_t *value, size_t flags)
{
	char *text = json_dumps(value, flags);
	size_t size = text ? strlen(text) : 0;
	char *out = text ? malloc(6 * size + 1) : NULL, *to = out;
	for (size_t i = 0; out && i < size;) {
		uint32_t code = 0;
		size_t n = utf8_decode(text + i, size - i, &code);
		/* Line breaks are those between the values: within them they are escaped already.
		 */
		if (n == 0 || code == '\n' || utf8_shows(code)) {
			n = n ? n : 1;
			memcpy(to, text + i, n);
			to += n;
		} else {
			to += put_escaped(code, to);
		}
		i += n;
	}
	if (out)
		*to = '\0';
	free(text);
	return out;
}

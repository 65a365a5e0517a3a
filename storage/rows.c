/* Rows: one table of columns for each struct, from which reading, writing, JSON and freeing
 * follow. */
#include "storage/internal.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

#define COLUMN(type, kind, field)                                                                  \
	{                                                                                          \
#field, KIND_##kind, offsetof(struct type, field)                                  \
	}

const struct store_column store_job_columns[] = {
    COLUMN(store_job, TEXT, id),
    COLUMN(store_job, TEXT, state),
    COLUMN(store_job, TEXT, modality),
    COLUMN(store_job, TEXT, model),
    COLUMN(store_job, TEXT, prompt),
    COLUMN(store_job, TEXT, negative_prompt),
    COLUMN(store_job, TEXT, submitter),
    COLUMN(store_job, JSON, params),
    COLUMN(store_job, TEXT, digest),
    COLUMN(store_job, TEXT, token),
    COLUMN(store_job, TEXT, error),
    COLUMN(store_job, INT, priority),
    COLUMN(store_job, INT, variants),
    COLUMN(store_job, TIME, created),
    COLUMN(store_job, TIME, started),
    COLUMN(store_job, TIME, finished),
    COLUMN(store_job, FLAG, starred),
    {NULL, 0, 0},
};

const struct store_column store_attempt_columns[] = {
    COLUMN(store_attempt, INT, n),        COLUMN(store_attempt, TEXT, token),
    COLUMN(store_attempt, TEXT, worker),  COLUMN(store_attempt, TEXT, host),
    COLUMN(store_attempt, TEXT, device),  COLUMN(store_attempt, TEXT, driver),
    COLUMN(store_attempt, TEXT, version), COLUMN(store_attempt, TEXT, model_digest),
    COLUMN(store_attempt, TEXT, outcome), COLUMN(store_attempt, TEXT, error),
    COLUMN(store_attempt, JSON, timings), COLUMN(store_attempt, TIME, started),
    COLUMN(store_attempt, TIME, ended),   {NULL, 0, 0},
};

const struct store_column store_artifact_columns[] = {
    COLUMN(store_artifact, INT, variant),   COLUMN(store_artifact, TEXT, role),
    COLUMN(store_artifact, INT, number),    COLUMN(store_artifact, TEXT, format),
    COLUMN(store_artifact, TEXT, mime),     COLUMN(store_artifact, SHA256, sha256),
    COLUMN(store_artifact, BYTES, bytes),   COLUMN(store_artifact, INT, width),
    COLUMN(store_artifact, INT, height),    COLUMN(store_artifact, REAL, duration),
    COLUMN(store_artifact, SEED, seed),     COLUMN(store_artifact, TEXT, infotext),
    COLUMN(store_artifact, TEXT, metadata), COLUMN(store_artifact, TEXT, state),
    COLUMN(store_artifact, TIME, created),  COLUMN(store_artifact, BYTES, thumb),
    {NULL, 0, 0},
};

const struct store_column store_model_columns[] = {
    COLUMN(store_model, TEXT, name),
    COLUMN(store_model, TEXT, digest),
    COLUMN(store_model, TEXT, modality),
    COLUMN(store_model, JSON, info),
    COLUMN(store_model, TIME, first_used),
    COLUMN(store_model, TIME, last_used),
    {NULL, 0, 0},
};

static void *slot(const struct store_column *column, const void *row)
{
	return (char *)row + column->offset;
}

int store_canonical_json(const char *text, const char *where, char **out, struct error *err)
{
	json_t *root;
	*out = NULL;
	if (!text)
		return SUMI_OK;
	int status = json_read_text(text, strlen(text), where, &root, err);
	if (status)
		return status;
	*out = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	json_decref(root);
	return *out ? SUMI_OK : error_set(err, SUMI_NOMEM, "no memory for %s", where);
}

int store_set_text(char **slot, const char *text, struct error *err)
{
	char *copy = text ? strdup(text) : NULL;
	if (text && !copy)
		return error_set(err, SUMI_NOMEM, "no memory for a row");
	free(*slot);
	*slot = copy;
	return SUMI_OK;
}

void *store_grow(void *list, size_t count, size_t size)
{
	void *grown = realloc(list, (count + 1) * size);
	if (grown)
		memset((char *)grown + count * size, 0, size);
	return grown;
}

/* ---- SQL ---- */

void store_column_list(const struct store_column *columns, const char *table, char out[512])
{
	size_t n = 0;
	for (const struct store_column *c = columns; c->name; c++)
		n += (size_t)snprintf(out + n, 512 - n, "%s%s.%s", n ? ", " : "", table, c->name);
}

int store_read_columns(sqlite3_stmt *statement, int first, const struct store_column *columns,
		       void *row, struct error *err)
{
	for (const struct store_column *c = columns; c->name; c++, first++) {
		void *at = slot(c, row);
		switch (c->kind) {
		case KIND_TEXT:
		case KIND_JSON:
			if (store_set_text(at, (const char *)sqlite3_column_text(statement, first),
					   err))
				return SUMI_NOMEM;
			break;
		case KIND_INT:
			*(int *)at = sqlite3_column_int(statement, first);
			break;
		case KIND_FLAG:
			*(bool *)at = sqlite3_column_int(statement, first) != 0;
			break;
		case KIND_BYTES:
		case KIND_TIME:
			*(int64_t *)at = sqlite3_column_int64(statement, first);
			break;
		case KIND_REAL:
			*(double *)at = sqlite3_column_double(statement, first);
			break;
		case KIND_SEED:
			*(uint64_t *)at = (uint64_t)sqlite3_column_int64(statement, first);
			break;
		case KIND_SHA256: {
			const char *text = (const char *)sqlite3_column_text(statement, first);
			snprintf(at, SHA256_HEX_SIZE, "%s", text ? text : "");
			break;
		}
		}
	}
	return SUMI_OK;
}

static void store_free_columns(const struct store_column *columns, void *row)
{
	for (const struct store_column *c = columns; c->name; c++)
		if (c->kind == KIND_TEXT || c->kind == KIND_JSON)
			free(*(char **)slot(c, row));
}

/* One value of the row, to bind. */
static struct db_value store_column_value(const struct store_column *column, const void *row)
{
	const void *at = slot(column, row);
	switch (column->kind) {
	case KIND_TEXT:
	case KIND_JSON:
		return T(*(char *const *)at);
	case KIND_INT:
		return I(*(const int *)at);
	case KIND_FLAG:
		return I(*(const bool *)at);
	case KIND_BYTES:
	case KIND_TIME:
		return I(*(const int64_t *)at);
	case KIND_REAL:
		return R(*(const double *)at);
	case KIND_SEED:
		return I(*(const uint64_t *)at);
	default:
		return T((const char *)at);
	}
}

int store_insert(struct store *s, const char *table, const struct store_column *columns,
		 const void *row, const char *extra, const struct db_value *values, size_t count,
		 struct error *err)
{
	char sql[1024];
	struct db_value all[32];
	size_t n = 0, used = (size_t)snprintf(sql, sizeof sql, "INSERT INTO %s (%s", table, extra);
	memcpy(all, values, count * sizeof *values);
	n = count;
	for (const struct store_column *c = columns; c->name; c++) {
		used +=
		    (size_t)snprintf(sql + used, sizeof sql - used, "%s%s", n ? ", " : "", c->name);
		all[n++] = store_column_value(c, row);
	}
	used += (size_t)snprintf(sql + used, sizeof sql - used, ") VALUES (");
	for (size_t i = 0; i < n; i++)
		used += (size_t)snprintf(sql + used, sizeof sql - used, i ? ", ?" : "?");
	snprintf(sql + used, sizeof sql - used, ")");
	return db_run_values(s, err, sql, all, n);
}

/* ---- JSON ---- */

/* jansson's numbers end at 2^63 - 1; seeds beyond travel as text. */
static json_t *seed_json(uint64_t seed)
{
	char text[24];
	if (seed <= INT64_MAX)
		return json_integer((json_int_t)seed);
	snprintf(text, sizeof text, "%" PRIu64, seed);
	return json_string(text);
}

static json_t *time_json(int64_t time)
{
	char text[CLOCK_TEXT_SIZE];
	if (time == 0)
		return NULL;
	clock_text(time, text);
	return json_string(text);
}

static json_t *column_json(const struct store_column *c, const void *row)
{
	const void *at = slot(c, row);
	const char *text;
	switch (c->kind) {
	case KIND_TEXT:
		text = *(char *const *)at;
		return text ? json_string(text) : NULL;
	case KIND_JSON:
		text = *(char *const *)at;
		return text ? json_loads(text, 0, NULL) : NULL;
	case KIND_INT:
		return json_integer(*(const int *)at);
	case KIND_FLAG:
		return *(const bool *)at ? json_true() : NULL;
	case KIND_BYTES:
		return json_integer((json_int_t) * (const int64_t *)at);
	case KIND_TIME:
		return time_json(*(const int64_t *)at);
	case KIND_REAL:
		return json_real(*(const double *)at);
	case KIND_SEED:
		return seed_json(*(const uint64_t *)at);
	default:
		return json_string(at);
	}
}

json_t *store_columns_json(const struct store_column *columns, const void *row)
{
	json_t *object = json_object();
	for (const struct store_column *c = columns; object && c->name; c++) {
		json_t *value = column_json(c, row);
		if (value && json_object_set_new(object, c->name, value) != 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static int column_from_json(const struct store_column *c, const json_t *object, const char *where,
			    void *row, struct error *err)
{
	void *at = slot(c, row);
	const char *text = NULL;
	int64_t number = 0;
	double real = 0;
	int status;
	switch (c->kind) {
	case KIND_TEXT:
		status = json_want_string(object, where, c->name, &text, err);
		return status ? status : store_set_text(at, text, err);
	case KIND_JSON: {
		const json_t *value = json_object_get(object, c->name);
		if (!value || json_is_null(value))
			return SUMI_OK;
		char *dump = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
		if (!dump)
			return error_set(err, SUMI_NOMEM, "no memory for a row");
		free(*(char **)at);
		*(char **)at = dump;
		return SUMI_OK;
	}
	case KIND_INT:
		status = json_want_int(object, where, c->name, INT32_MIN, INT32_MAX, &number, err);
		*(int *)at = (int)number;
		return status;
	case KIND_FLAG:
		*(bool *)at = json_is_true(json_object_get(object, c->name));
		return SUMI_OK;
	case KIND_BYTES:
		return json_want_int(object, where, c->name, 0, INT64_MAX, at, err);
	case KIND_TIME:
		status = json_want_string(object, where, c->name, &text, err);
		return status || !text ? status : clock_parse(text, at, err);
	case KIND_REAL:
		status = json_want_number(object, where, c->name, -1e300, 1e300, &real, err);
		*(double *)at = real;
		return status;
	case KIND_SEED: {
		const json_t *value = json_object_get(object, c->name);
		*(uint64_t *)at = json_is_string(value)
				      ? strtoull(json_string_value(value), NULL, 10)
				      : (uint64_t)json_integer_value(value);
		return SUMI_OK;
	}
	default:
		status = json_want_string(object, where, c->name, &text, err);
		if (!status && text && strspn(text, "0123456789abcdef") == 64 && text[64] == '\0')
			memcpy(at, text, SHA256_HEX_SIZE);
		else if (!status)
			status = error_set(err, SUMI_INVALID, "%s: field '%s' is no SHA-256", where,
					   c->name);
		return status;
	}
}

int store_columns_from_json(const struct store_column *columns, const json_t *object,
			    const char *where, void *row, struct error *err)
{
	if (!json_is_object(object))
		return error_set(err, SUMI_INVALID, "%s: is not an object", where);
	for (const struct store_column *c = columns; c->name; c++) {
		int status = column_from_json(c, object, where, row, err);
		if (status)
			return status;
	}
	return SUMI_OK;
}

/* ---- the public structs ---- */

void store_job_free(struct store_job *job)
{
	store_free_columns(store_job_columns, job);
	for (size_t i = 0; i < job->tag_count; i++)
		free(job->tags[i]);
	free(job->tags);
	*job = (struct store_job){0};
}

void store_attempt_free(struct store_attempt *a)
{
	store_free_columns(store_attempt_columns, a);
	free(a->job);
	*a = (struct store_attempt){0};
}

void store_artifact_free(struct store_artifact *a)
{
	store_free_columns(store_artifact_columns, a);
	free(a->job);
	free(a->path);
	*a = (struct store_artifact){0};
}

void store_artifacts_free(struct store_artifact *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		store_artifact_free(&list[i]);
	free(list);
}

void store_attempts_free(struct store_attempt *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		store_attempt_free(&list[i]);
	free(list);
}

void store_models_free(struct store_model *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		store_free_columns(store_model_columns, &list[i]);
	free(list);
}

void store_page_free(struct store_page *page)
{
	for (size_t i = 0; i < page->count; i++)
		store_job_free(&page->jobs[i]);
	free(page->jobs);
	*page = (struct store_page){0};
}

json_t *store_job_json(const struct store_job *job)
{
	json_t *object = store_columns_json(store_job_columns, job);
	json_t *tags = json_array();
	for (size_t i = 0; tags && i < job->tag_count; i++)
		json_array_append_new(tags, json_string(job->tags[i]));
	if (!object || !tags || json_object_set(object, "tags", tags) != 0 ||
	    json_object_set_new(object, "attempts", json_integer(job->attempts)) != 0 ||
	    json_object_set_new(object, "artifacts", json_integer(job->artifacts)) != 0) {
		json_decref(object);
		object = NULL;
	}
	json_decref(tags);
	return object;
}

json_t *store_attempt_json(const struct store_attempt *a)
{
	return store_columns_json(store_attempt_columns, a);
}

json_t *store_artifact_json(const struct store_artifact *a)
{
	json_t *object = store_columns_json(store_artifact_columns, a);
	if (object && a->path) {
		json_object_set_new(object, "path", json_string(a->path));
		json_object_set_new(object, "present", json_boolean(a->present));
	}
	return object;
}

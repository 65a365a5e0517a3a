/* docs/job.schema.json, printed from the table of queue/job.c. */
#include <stdlib.h>
#include <string.h>

#include "queue/job.h"

static json_t *number(double value)
{
	if (value >= 9e18) /* 2^63 − 1 has no exact double */
		return json_integer(INT64_MAX);
	return value == (double)(json_int_t)value ? json_integer((json_int_t)value)
						  : json_real(value);
}

static json_t *word_list(const char *const *words)
{
	json_t *list = json_array();
	for (; *words; words++)
		json_array_append_new(list, json_string(*words));
	return list;
}

static json_t *text_type(const struct job_field *f, const char *pattern)
{
	json_t *t = json_pack("{s:s}", "type", "string");
	if (f->min > 0)
		json_object_set_new(t, "minLength",
				    json_integer((json_int_t)(f->type == JOB_TEXT ? 1 : f->min)));
	/* JSON Schema counts characters, the queue bytes: as an upper bound it holds. */
	if (f->max > 0)
		json_object_set_new(t, "maxLength", json_integer((json_int_t)f->max));
	if (pattern)
		json_object_set_new(t, "pattern", json_string(pattern));
	return t;
}

static json_t *list_type(const struct job_field *f, const char *pattern)
{
	json_t *entry = json_pack("{s:s, s:i, s:i, s:s}", "type", "string", "minLength", 1,
				  "maxLength", 64, "pattern", pattern);
	return json_pack("{s:s, s:o, s:i}", "type", "array", "items", entry, "maxItems",
			 (int)f->max);
}

static json_t *type_of(const struct job_field *f)
{
	switch (f->type) {
	case JOB_INT:
	case JOB_NUMBER:
		return json_pack("{s:s, s:o, s:o}", "type",
				 f->type == JOB_INT ? "integer" : "number", "minimum",
				 number(f->min), "maximum", number(f->max));
	case JOB_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case JOB_WORD:
	case JOB_RANK:
		return json_pack("{s:o}", "enum", word_list(f->words));
	case JOB_TIME:
		return json_pack("{s:[{s:s, s:s}, {s:s, s:i}]}", "anyOf", "type", "string",
				 "format", "date-time", "type", "integer", "minimum", 1);
	case JOB_ID_LIST:
		return list_type(f, "^[A-Za-z0-9._:-]+$");
	case JOB_TEXT_LIST:
		return list_type(f, "^[^,]+$");
	case JOB_ID:
		return text_type(f, "^[A-Za-z0-9._:-]+$");
	case JOB_NAME:
		return text_type(f, "^[A-Za-z0-9._:/+-]+$");
	case JOB_WINDOW:
		return text_type(f, "^[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]$");
	case JOB_EVERY:
		return text_type(f, "^([0-9.]+(ms|s|m|h|d)?|[0-2][0-9]:[0-5][0-9])$");
	default:
		return text_type(f, NULL);
	}
}

static json_t *fallback_of(const struct job_field *f)
{
	json_t *value = NULL;
	if (f->fallback)
		job_field_value(f, f->fallback, strlen(f->fallback), &value, NULL);
	return value;
}

int job_schema_text(char **text, struct error *err)
{
	json_t *properties = json_object();
	for (const struct job_field *f = job_fields; f->name; f++) {
		json_t *property = type_of(f), *fallback = fallback_of(f);
		json_object_set_new(property, "description", json_string(f->help));
		if (fallback)
			json_object_set_new(property, "default", fallback);
		json_object_set_new(properties, f->name, property);
	}
	json_t *root =
	    json_pack("{s:s, s:s, s:s, s:s, s:b, s:[s], s:[{s:[s]}, {s:[s]}], s:o}", "$schema",
		      "https://json-schema.org/draft/2020-12/schema", "title", "sumi job",
		      "description", "One job of sumi's queue, version 1.", "type", "object",
		      "additionalProperties", 0, "required", "modality", "anyOf", "required",
		      "prompt", "required", "mood", "properties", properties);
	char *body = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) : NULL;
	json_decref(root);
	if (!body)
		return error_set(err, SUMI_NOMEM, "job schema: no memory");
	size_t size = strlen(body);
	char *line = realloc(body, size + 2);
	if (!line) {
		free(body);
		return error_set(err, SUMI_NOMEM, "job schema: no memory");
	}
	memcpy(line + size, "\n", 2);
	*text = line;
	return SUMI_OK;
}

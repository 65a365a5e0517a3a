/* docs/job.schema.json, printed from the table of parameters. */
#include <stdlib.h>
#include <string.h>

#include "request/job.h"

static json_t *described(const struct param *p);

static json_t *number(double value)
{
	return value == (double)(json_int_t)value ? json_integer((json_int_t)value)
						  : json_real(value);
}

static json_t *word_list(const struct param_word *words)
{
	json_t *list = json_array();
	for (; words->word; words++)
		json_array_append_new(list, json_string(words->word));
	return list;
}

static json_t *text_type(const struct param *p, const char *pattern)
{
	json_t *t = json_pack("{s:s}", "type", "string");
	if (p->min > 0)
		json_object_set_new(t, "minLength",
				    json_integer((json_int_t)(p->type == PARAM_TEXT ? 1 : p->min)));
	/* JSON Schema counts characters, the queue bytes: as an upper bound it holds. */
	if (p->max > 0)
		json_object_set_new(t, "maxLength", json_integer((json_int_t)p->max));
	if (pattern)
		json_object_set_new(t, "pattern", json_string(pattern));
	return t;
}

static json_t *list_type(const struct param *p, const char *pattern)
{
	json_t *entry = json_pack("{s:s, s:i, s:i, s:s}", "type", "string", "minLength", 1,
				  "maxLength", 64, "pattern", pattern);
	return json_pack("{s:s, s:o, s:i}", "type", "array", "items", entry, "maxItems",
			 (int)p->max);
}

/* Values of members as the list itself is described: one object for each. */
static json_t *objects_type(const struct param *p)
{
	json_t *properties = json_object(), *needed = json_array();
	for (const struct param *m = p->members; m->name; m++) {
		json_object_set_new(properties, m->name, described(m));
		if (m->flags & PARAM_NEEDED)
			json_array_append_new(needed, json_string(m->name));
	}
	return json_pack("{s:s, s:{s:s, s:b, s:o, s:o}, s:i, s:i}", "type", "array", "items", "type",
			 "object", "additionalProperties", 0, "required", needed, "properties",
			 properties, "minItems", (int)p->min, "maxItems", (int)p->max);
}

json_t *param_schema(const struct param *p)
{
	switch (p->type) {
	case PARAM_SEED: /* 2^64 - 1 has no place among a JSON library's whole numbers */
		return json_pack("{s:[{s:s, s:i}, {s:s, s:s}]}", "anyOf", "type", "integer",
				 "minimum", -1, "type", "string", "pattern", "^(-1|[0-9]{1,20})$");
	case PARAM_INT:
	case PARAM_NUMBER:
	case PARAM_AMOUNT:
		return json_pack("{s:s, s:o, s:o}", "type",
				 p->type == PARAM_INT ? "integer" : "number", "minimum",
				 number(p->min), "maximum", number(p->max));
	case PARAM_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case PARAM_WORD:
		if (p->flags & PARAM_OTHERS)
			return json_pack("{s:[{s:o}, o]}", "anyOf", "enum", word_list(p->words),
					 text_type(p, NULL));
		return json_pack("{s:o}", "enum", word_list(p->words));
	case PARAM_RANK:
		return json_pack("{s:o}", "enum", word_list(p->words));
	case PARAM_TIME:
		return json_pack("{s:[{s:s, s:s}, {s:s, s:i}]}", "anyOf", "type", "string",
				 "format", "date-time", "type", "integer", "minimum", 1);
	case PARAM_ID_LIST:
		return list_type(p, "^[A-Za-z0-9._:-]+$");
	case PARAM_TEXT_LIST:
		return list_type(p, "^[^,]+$");
	case PARAM_OBJECT_LIST:
		return objects_type(p);
	case PARAM_ID:
		return text_type(p, "^[A-Za-z0-9._:-]+$");
	case PARAM_NAME:
		return text_type(p, "^[A-Za-z0-9._:/+-]+$");
	case PARAM_LABEL:
		return text_type(p, "^[A-Za-z0-9._:/+ -]+$");
	case PARAM_URL:
		return text_type(p, "^https?://");
	case PARAM_WINDOW:
		return text_type(p, "^[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]$");
	case PARAM_EVERY:
		return text_type(p, "^([0-9.]+( *(ms|s|m|h|d|w))?|[0-2][0-9]:[0-5][0-9])$");
	default:
		return text_type(p, NULL);
	}
}

static json_t *fallback_of(const struct param *p)
{
	json_t *value = NULL;
	if (p->type == PARAM_SEED)
		return json_integer(-1);
	if (p->fallback)
		param_from_text(p, 0, p->fallback, strlen(p->fallback), &value, NULL);
	return value;
}

static json_t *described(const struct param *p)
{
	json_t *property = param_schema(p), *fallback = fallback_of(p);
	json_object_set_new(property, "description", json_string(p->help));
	if (fallback)
		json_object_set_new(property, "default", fallback);
	return property;
}

int job_schema_text(char **text, struct error *err)
{
	json_t *properties = json_object();
	for (const struct param *p = param_table; p->name; p++)
		json_object_set_new(properties, p->name, described(p));
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

/* GET /openapi.json: what routes.c and the table of parameters say, as OpenAPI 3.1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/handlers.h"
#include "gateway/routes.h"
#include "request/job.h"

static json_t *ref(const char *name)
{
	char text[64];
	snprintf(text, sizeof text, "#/components/schemas/%s", name);
	return json_pack("{s:s}", "$ref", text);
}

static json_t *json_content(json_t *schema)
{
	return json_pack("{s:{s:o}}", "application/json", "schema", schema);
}

/* "jobs/(id)/files/(name)" → "/jobs/{id}/files/{name}", and its parameters. */
static void read_path(const char *path, char *out, size_t size, json_t *parameters)
{
	size_t used = 0;
	out[used++] = '/';
	for (; *path && used + 1 < size; path++) {
		out[used++] = *path == '(' ? '{' : *path == ')' ? '}' : *path;
		if (*path == '(') {
			json_t *name = json_stringn(path + 1, strcspn(path + 1, ")"));
			json_array_append_new(parameters,
					      json_pack("{s:o, s:s, s:b, s:{s:s, s:i}}", "name", name, "in",
							"path", "required", 1, "schema", "type", "string",
							"minLength", 1));
		}
	}
	out[used] = '\0';
}

static void add_query(const char *names, json_t *parameters)
{
	while (names && *(names += strspn(names, " "))) {
		size_t n = strcspn(names, " ");
		json_array_append_new(parameters, json_pack("{s:s%, s:s, s:{s:s}}", "name", names, n, "in",
							    "query", "schema", "type", "string"));
		names += n;
	}
}

static json_t *operation(const struct route *r, json_t *parameters)
{
	char id[96];
	size_t used = 0;
	for (const char *p = r->path; *p && used + 1 < sizeof id - 8; p++)
		if (*p != '(' && *p != ')')
			id[used++] = *p == '/' || *p == '.' ? '-' : *p;
	id[used] = '\0';
	json_t *o = json_pack("{s:s, s:o, s:o, s:s*}", "summary", r->summary, "operationId",
			      json_sprintf("%s-%s", r->method, id), "parameters", parameters, "x-scope",
			      r->flags & ROUTE_OPEN ? NULL : queue_scope_word(r->scope));
	if (r->flags & ROUTE_OPEN)
		json_object_set_new(o, "security", json_array());
	if (r->body > ROUTE_BODY_UNREAD) {
		bool jobs = r->handle == jobs_send, form = r->handle == openai_edit || r->handle == openai_vary;
		json_t *schema = jobs ? json_pack("{s:[o, {s:s, s:o, s:i, s:i}]}", "anyOf", ref("job"), "type",
						  "array", "items", ref("job"), "minItems", 1, "maxItems", 1000)
				      : json_pack("{s:s}", "type", "object");
		json_t *content = form ? json_pack("{s:{s:o}}", "multipart/form-data", "schema", schema)
				       : json_content(schema);
		json_object_set_new(o, "requestBody",
				    json_pack("{s:o, s:b}", "content", content, "required", (int)jobs));
	}
	json_t *content = r->dialect == DIALECT_SUMI ? json_content(ref("error")) : NULL;
	json_object_set_new(o, "responses",
			    json_pack("{s:{s:s}, s:{s:s, s:o*}}", r->handle == jobs_send				       ? "201"
			      : r->handle == jobs_change || r->handle == jobs_delete ? "202"
										   : "200",
				      "description", "done", "default", "description",
				      "what was wrong, and with which field", "content", content));
	if (r->handle == jobs_send)
		json_object_set_new(json_object_get(o, "responses"), "200",
				    json_pack("{s:s}", "description", "the job that has this id already"));
	return o;
}

static json_t *paths_json(void)
{
	json_t *paths = json_object();
	for (const struct route *r = route_table; r->path; r++) {
		json_t *parameters = json_array();
		char path[160], method[8];
		size_t n = strlen(r->method);
		read_path(r->path, path, sizeof path, parameters);
		add_query(r->query, parameters);
		for (size_t i = 0; i <= n && i < sizeof method; i++)
			method[i] = (char)(r->method[i] >= 'A' && r->method[i] <= 'Z' ? r->method[i] + 32
										 : r->method[i]);
		json_t *item = json_object_get(paths, path);
		if (!item) {
			item = json_object();
			json_object_set_new(paths, path, item);
		}
		json_object_set_new(item, method, operation(r, parameters));
	}
	return paths;
}

static json_t *error_schema(void)
{
	return json_pack("{s:s, s:{s:{s:s, s:{s:{s:s}, s:{s:s}, s:{s:s}}, s:[s, s]}}, s:[s]}", "type", "object",
			 "properties", "error", "type", "object", "properties", "code", "type", "string",
			 "message", "type", "string", "field", "type", "string", "required", "code", "message",
			 "required", "error");
}

/* What a job may say is `size` beside the table's rows, and the modality has a usual value here. */
static json_t *job_schema(struct error *err)
{
	char *text;
	if (job_schema_text(&text, err))
		return NULL;
	json_t *schema = json_loads(text, 0, NULL);
	free(text);
	json_object_del(schema, "$schema");
	json_object_del(schema, "required");
	json_object_set_new(json_object_get(schema, "properties"), "size",
			    json_pack("{s:s, s:s, s:s}", "type", "string", "pattern", "^[0-9]{1,5}x[0-9]{1,5}$",
				      "description", "width and height"));
	return schema;
}

void openapi_show(struct call *call, struct worker *w)
{
	struct error err;
	(void)w;
	json_t *schema = job_schema(&err);
	if (!schema) {
		call_fail(call, &err);
		return;
	}
	call_json(call, 200,
		  json_pack("{s:s, s:{s:s, s:s, s:s}, s:[{s:[]}, {s:[]}, {s:[]}], s:o, s:{s:{s:o, s:o}, s:{s:{s:s, s:s}, "
			    "s:{s:s, s:s}, s:{s:s, s:s, s:s}}}}",
			    "openapi", "3.1.0", "info", "title", "sumi", "version", SUMI_VERSION, "description",
			    "Jobs over HTTP", "security", "bearer", "basic", "xi", "paths", paths_json(),
			    "components", "schemas", "job", schema, "error", error_schema(), "securitySchemes",
			    "bearer", "type", "http", "scheme", "bearer", "basic", "type", "http", "scheme",
			    "basic", "xi", "type", "apiKey", "in", "header", "name", "xi-api-key"));
}

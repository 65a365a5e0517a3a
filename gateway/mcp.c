/* MCP, the protocol of language models' tools, over HTTP: revision 2026-07-28, in which each request stands alone, and
 * 2025-11-25 with its handshake. Four tools: generate, job, cancel, search. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "gateway/handlers.h"
#include "gateway/once.h"
#include "gateway/work.h"

#define MODERN "2026-07-28"
#define HANDSHAKE "2025-11-25"

enum {
	WAIT_MS = 40000,    /* clients give up after a minute */
	INLINE_MAX = 500000, /* bytes of a file that stands in an answer; larger ones are links */
	FOUND_MAX = 20,
	CACHED_MS = 3600000,
	NO_METHOD = -32601,
	BAD_REQUEST = -32600,
	BAD_PARAMS = -32602,
	BAD_VERSION = -32022
};

/* What an answer needs of the request when the body is gone. */
struct asked {
	char id[96]; /* of the request, as JSON */
	char job[JOB_ID_SIZE];
	int64_t until;
};

/* ---- answers -------------------------------------------------------------------------------- */

static void reply(struct call *call, const char *id, const char *kind, json_t *value, int status)
{
	json_t *request = json_loads(id, JSON_DECODE_ANY, NULL);
	free(call->answer.body);
	call->answer = (struct http_answer){.fd = -1};
	call_json(call, status,
		  json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "id", request ? request : json_null(), kind, value));
}

static void reply_error(struct call *call, const char *id, int code, const char *message, json_t *data)
{
	int status = code == NO_METHOD ? 404 : 400;
	reply(call, id, "error", json_pack("{s:i, s:s, s:o*}", "code", code, "message", message, "data", data), status);
}

static json_t *text_block(const char *text)
{
	return json_pack("{s:s, s:s}", "type", "text", "text", text);
}

static void reply_content(struct call *call, const char *id, json_t *content, json_t *structured, bool failed)
{
	reply(call, id, "result",
	      json_pack("{s:o, s:o*, s:b, s:s}", "content", content, "structuredContent", structured, "isError",
			(int)failed, "resultType", "complete"),
	      200);
}

static void reply_text(struct call *call, const char *id, const char *text, bool failed)
{
	reply_content(call, id, json_pack("[o]", text_block(text)), NULL, failed);
}

/* What a handler of another route has answered, as a tool's result. */
static void reply_refusal(struct call *call, const char *id)
{
	json_t *body = call->answer.body ? json_loadb(call->answer.body, call->answer.size, 0, NULL) : NULL;
	const char *message = json_string_value(json_object_get(json_object_get(body, "error"), "message"));
	reply_text(call, id, message ? message : "it could not be done", true);
	json_decref(body);
}

/* ---- results -------------------------------------------------------------------------------- */

static void add_file(const struct call *call, const struct store_artifact *a, json_t *content)
{
	bool image = strncmp(a->mime, "image/", 6) == 0, sound = strncmp(a->mime, "audio/", 6) == 0;
	char *data = NULL, name[JOBS_FILE_NAME_SIZE];
	size_t size = 0;
	struct error ignored;
	if ((image || sound) && a->bytes <= INLINE_MAX &&
	    files_read_regular(a->path, INLINE_MAX, &data, &size, &ignored) == SUMI_OK)
		json_array_append_new(content, json_pack("{s:s, s:o, s:s}", "type", image ? "image" : "audio", "data",
							 base64_json(data, size), "mimeType", a->mime));
	free(data);
	jobs_file_name(a, name);
	char *url = work_url(call, a);
	json_array_append_new(content, json_pack("{s:s, s:s, s:s*, s:s, s:I}", "type", "resource_link", "name", name, "uri",
						 url, "mimeType", a->mime, "size", (json_int_t)a->bytes));
	free(url);
}

static void reply_job(struct call *call, const char *request, const char *id, const struct found *f)
{
	enum job_state state = jobs_state(f);
	json_t *content = json_array(), *document = jobs_document(call, id, f);
	char text[300];
	const char *error = f->queued ? f->entry.error : f->stored ? f->row.error : NULL;
	snprintf(text, sizeof text, "job %s is %s%s%.200s%s", id, f->sent ? "queued" : job_state_word(state),
		 error ? ": " : "", error ? error : "",
		 job_state_is_final(state) && !f->sent ? "" : "; ask again with the tool job");
	json_array_append_new(content, text_block(text));
	for (size_t i = 0; i < f->file_count; i++)
		if (strcmp(f->files[i].role, "main") == 0)
			add_file(call, &f->files[i], content);
	struct error why;
	if (state == JOB_DONE && !f->sent && !jobs_main_file(f)) {
		jobs_no_file(call, f, id, &why);
		json_array_append_new(content, text_block(why.text));
	}
	reply_content(call, request, content, document, state == JOB_FAILED);
}

static void show_job(struct call *call, struct worker *w)
{
	const struct asked *asked = call->state;
	struct found f;
	struct error err;
	if (jobs_find(call, w, asked->job, &f, &err)) {
		reply_text(call, asked->id, err.text, true);
		return;
	}
	bool final = !f.sent && job_state_is_final(jobs_state(&f));
	if (!final && clock_boot_ms() < asked->until)
		call_wait(call, show_job);
	else
		reply_job(call, asked->id, asked->job, &f);
	jobs_clear(&f);
}

/* ---- tools ---------------------------------------------------------------------------------- */

static const char *const generate_fields[] = {"modality", "prompt", "negative_prompt", "model",    "width", "height",
					      "n",	  "seed",   "steps",	       "cfg_scale", "mood",  "duration",
					      "frames",	  "init",   "strength"};

static void tool_generate(struct call *call, struct worker *w, const json_t *arguments)
{
	struct asked *asked = call->state;
	json_t *fields = json_object();
	struct job job;
	struct error err;
	bool known;
	for (size_t i = 0; i < sizeof generate_fields / sizeof generate_fields[0]; i++) {
		json_t *value = json_object_get(arguments, generate_fields[i]);
		if (value && !json_is_null(value))
			json_object_set(fields, generate_fields[i], value);
	}
	if (jobs_prepare(call, w, fields, &job, &err)) {
		reply_text(call, asked->id, err.text, true);
		return;
	}
	if (once_name(call, w, &job, false, &known) && jobs_submit(call, w, &job, 1)) {
		memcpy(asked->job, job.id, strlen(job.id) + 1);
		memcpy(call->jobs[0], job.id, strlen(job.id) + 1);
		call->job_count = 1;
		asked->until = clock_boot_ms() + WAIT_MS;
		call_wait(call, show_job);
	} else {
		reply_refusal(call, asked->id);
	}
	job_clear(&job);
}

static bool read_id(struct call *call, const json_t *arguments)
{
	struct asked *asked = call->state;
	const char *id = json_string_value(json_object_get(arguments, "id"));
	if (id && job_id_valid(id) && strlen(id) < sizeof asked->job) {
		strcpy(asked->job, id);
		return true;
	}
	reply_text(call, asked->id, "id must be the id of a job", true);
	return false;
}

static void tool_job(struct call *call, struct worker *w, const json_t *arguments)
{
	if (read_id(call, arguments))
		show_job(call, w);
}

static void tool_cancel(struct call *call, struct worker *w, const json_t *arguments)
{
	struct asked *asked = call->state;
	if (!read_id(call, arguments))
		return;
	call->args[0] = asked->job;
	jobs_cancel(call, w);
	if (call->answer.status == 200)
		reply_text(call, asked->id, "it is cancelled", false);
	else
		reply_refusal(call, asked->id);
}

static void tool_search(struct call *call, struct worker *w, const json_t *arguments)
{
	struct asked *asked = call->state;
	const char *words = json_string_value(json_object_get(arguments, "words"));
	struct store_filter filter = {.text = words && *words ? words : NULL,
				      .submitter = call->caller.all ? NULL : call->caller.name,
				      .limit = FOUND_MAX};
	struct store *store;
	struct store_page page = {0};
	struct error err;
	json_t *content = json_array(), *rows = json_array();
	int status = worker_store(w, &store, &err);
	if (!status)
		status = store_list(store, &filter, &page, &err);
	for (size_t i = 0; i < page.count && !status; i++) {
		char line[400];
		snprintf(line, sizeof line, "%s %s %s: %.250s", page.jobs[i].id, page.jobs[i].state,
			 page.jobs[i].modality, page.jobs[i].prompt ? page.jobs[i].prompt : "");
		json_t *block = text_block(line); /* NULL where a character was cut in two */
		json_array_append_new(content, block ? block : text_block(page.jobs[i].id));
		json_array_append_new(rows, json_string(page.jobs[i].id));
	}
	store_page_free(&page);
	if (status && status != SUMI_NOTFOUND) {
		json_decref(content);
		json_decref(rows);
		reply_text(call, asked->id, err.text, true);
		return;
	}
	if (json_array_size(content) == 0)
		json_array_append_new(content, text_block("nothing there"));
	reply_content(call, asked->id, content, json_pack("{s:o}", "ids", rows), false);
}

static const struct tool {
	const char *name, *description;
	void (*run)(struct call *call, struct worker *w, const json_t *arguments);
} tools[] = {
    {"generate",
     "Makes pictures, a short video or music from a prompt. Waits for up to 40 seconds; what takes longer goes on, and the tool job "
     "gives it later.",
     tool_generate},
    {"job", "How far a job is, and what it has made.", tool_job},
    {"cancel", "Stops a job.", tool_cancel},
    {"search", "Finds what was made before, by words of the prompt; without words the newest.", tool_search},
};

static json_t *schema_of(const struct tool *tool, const json_t *properties)
{
	json_t *own = json_object(), *required = json_array();
	if (tool->run == tool_generate) {
		for (size_t i = 0; i < sizeof generate_fields / sizeof generate_fields[0]; i++)
			json_object_set(own, generate_fields[i], json_object_get(properties, generate_fields[i]));
	} else if (tool->run == tool_search) {
		json_object_set_new(own, "words", json_pack("{s:s}", "type", "string"));
	} else {
		json_object_set_new(own, "id", json_pack("{s:s}", "type", "string"));
		json_array_append_new(required, json_string("id"));
	}
	return json_pack("{s:s, s:o, s:o}", "type", "object", "properties", own, "required", required);
}

static json_t *tools_json(void)
{
	char *text = NULL;
	struct error ignored;
	json_t *schema = job_schema_text(&text, &ignored) ? NULL : json_loads(text, 0, NULL);
	json_t *rows = json_array();
	for (size_t i = 0; i < sizeof tools / sizeof tools[0]; i++)
		json_array_append_new(rows, json_pack("{s:s, s:s, s:o}", "name", tools[i].name, "description",
						      tools[i].description, "inputSchema",
						      schema_of(&tools[i], json_object_get(schema, "properties"))));
	json_decref(schema);
	free(text);
	return rows;
}

/* ---- methods -------------------------------------------------------------------------------- */

static json_t *with_server(json_t *result)
{
	json_object_set_new(result, "capabilities", json_pack("{s:{s:b}}", "tools", "listChanged", 0));
	json_object_set_new(result, "serverInfo", json_pack("{s:s, s:s}", "name", "sumi", "version", SUMI_VERSION));
	json_object_set_new(result, "instructions",
			    json_string("Pictures, short videos and music. Results are shown in the answer or linked; links are "
					"good for a day."));
	return result;
}

/* A list that may be kept for a while. */
static json_t *cacheable(json_t *result)
{
	json_object_set_new(result, "resultType", json_string("complete"));
	json_object_set_new(result, "ttlMs", json_integer(CACHED_MS));
	json_object_set_new(result, "cacheScope", json_string("public"));
	return result;
}

static void initialize(struct call *call, const char *id, const json_t *params)
{
	static const char *const versions[] = {HANDSHAKE, "2025-06-18", "2025-03-26"};
	const char *wanted = json_string_value(json_object_get(params, "protocolVersion")), *version = HANDSHAKE;
	for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++)
		if (wanted && strcmp(wanted, versions[i]) == 0)
			version = versions[i];
	reply(call, id, "result", with_server(json_pack("{s:s}", "protocolVersion", version)), 200);
}

static void call_tool(struct call *call, struct worker *w, const json_t *params)
{
	struct asked *asked = call->state;
	const char *name = json_string_value(json_object_get(params, "name"));
	const json_t *arguments = json_object_get(params, "arguments");
	for (size_t i = 0; name && i < sizeof tools / sizeof tools[0]; i++)
		if (strcmp(tools[i].name, name) == 0) {
			tools[i].run(call, w, arguments);
			return;
		}
	reply_error(call, asked->id, BAD_PARAMS, "there is no such tool: tools/list names them", NULL);
}

static void run_method(struct call *call, struct worker *w, const char *method, const json_t *params)
{
	const char *id = ((struct asked *)call->state)->id;
	if (strcmp(method, "server/discover") == 0)
		reply(call, id, "result",
		      with_server(cacheable(json_pack("{s:[s]}", "supportedVersions", MODERN))), 200);
	else if (strcmp(method, "initialize") == 0)
		initialize(call, id, params);
	else if (strcmp(method, "ping") == 0)
		reply(call, id, "result", json_object(), 200);
	else if (strcmp(method, "tools/list") == 0)
		reply(call, id, "result", cacheable(json_pack("{s:o}", "tools", tools_json())), 200);
	else if (strcmp(method, "tools/call") == 0)
		call_tool(call, w, params);
	else
		reply_error(call, id, NO_METHOD, "there is no such method", NULL);
}

static bool known_version(const char *version)
{
	static const char *const known[] = {MODERN, HANDSHAKE, "2025-06-18", "2025-03-26"};
	for (size_t i = 0; version && i < sizeof known / sizeof known[0]; i++)
		if (strcmp(version, known[i]) == 0)
			return true;
	return !version;
}

void mcp_serve(struct call *call, struct worker *w)
{
	json_t *body = NULL;
	struct asked *asked = calloc(1, sizeof *asked);
	call->state = asked;
	if (!asked || !call_body(call, true, &body))
		return;
	const char *method = json_string_value(json_object_get(body, "method"));
	json_t *id = json_object_get(body, "id");
	char *text = id ? json_dumps(id, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
	bool fine = method && (!id || ((json_is_string(id) || json_is_integer(id)) && strlen(text) < sizeof asked->id));
	snprintf(asked->id, sizeof asked->id, "%s", fine && text ? text : "null");
	free(text);
	if (!fine)
		reply_error(call, asked->id, BAD_REQUEST, "a request is one JSON-RPC object with a method and an id", NULL);
	else if (!id)
		call_text(call, 202, "application/json", strdup(""), 0); /* a notification */
	else if (!known_version(head_value(&call->http->head, "mcp-protocol-version")))
		reply_error(call, asked->id, BAD_VERSION, "this revision of MCP is not spoken here",
			    json_pack("{s:[s, s]}", "supported", MODERN, HANDSHAKE));
	else
		run_method(call, w, method, json_object_get(body, "params"));
	json_decref(body);
}

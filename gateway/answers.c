/* Answers of handlers, and errors in the form of each API. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "gateway/call.h"
#include "request/param.h"

#define JSON_TYPE "application/json"
#define BODY_MEMORY ((size_t)64 << 20)

static void take_json(struct http_answer *answer, int status, json_t *json)
{
	answer->status = status;
	answer->type = JSON_TYPE;
	answer->body = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
	answer->size = answer->body ? strlen(answer->body) : 0;
	if (!answer->body)
		answer->status = 500;
	json_decref(json);
	http_header(answer, "Cache-Control: no-store");
}

void call_json(struct call *call, int status, json_t *json)
{
	take_json(&call->answer, status, json);
}

void call_text(struct call *call, int status, const char *type, char *body, size_t size)
{
	call->answer.status = body ? status : 500;
	call->answer.type = type;
	call->answer.body = body;
	call->answer.size = body ? size : 0;
}

/* OpenAI's words: its clients choose the exception by the status, people read the type. */
static const char *openai_type(int status)
{
	return status == 401   ? "authentication_error"
	       : status == 403 ? "permission_error"
	       : status == 429 ? "rate_limit_error"
	       : status >= 500 ? "server_error"
			       : "invalid_request_error";
}

static json_t *error_body(enum dialect dialect, int status, const char *code, const char *field,
			  const char *message)
{
	switch (dialect) {
	case DIALECT_OPENAI:
		return json_pack("{s:{s:s, s:s, s:s?, s:s}}", "error", "message", message, "type",
				 openai_type(status), "param", field, "code", code);
	case DIALECT_A1111:
		return json_pack("{s:s, s:s, s:s}", "error", code, "detail", message, "errors",
				 message);
	case DIALECT_ELEVENLABS:
		return json_pack("{s:{s:s, s:s}}", "detail", "status", code, "message", message);
	case DIALECT_MCP:
		return json_pack("{s:s, s:n, s:{s:i, s:s}}", "jsonrpc", "2.0", "id", "error", "code",
				 status < 500 ? -32600 : -32603, "message", message);
	case DIALECT_OLLAMA:
		return json_pack("{s:s}", "error", message);
	default:
		return json_pack("{s:{s:s, s:s, s:s*}}", "error", "code", code, "message", message,
				 "field", field);
	}
}

void answer_error(struct http_answer *answer, enum dialect dialect, int status, const char *code,
		  const char *field, const char *message)
{
	take_json(answer, status, error_body(dialect, status, code, field, message));
	/* Its libraries would send it again, which changes nothing. */
	if (dialect == DIALECT_OPENAI && status == 409)
		http_header(answer, "x-should-retry: false");
}

static const struct {
	int error, status;
} statuses[] = {
    {SUMI_INVALID, 400},  {SUMI_TOOBIG, 400},  {SUMI_NOTFOUND, 404}, {SUMI_PERM, 403},
    {SUMI_EXISTS, 409},   {SUMI_BUSY, 409},    {SUMI_CONNECT, 503},  {SUMI_FULL, 503},
    {SUMI_UNSUPPORTED, 400}, {SUMI_TIMEOUT, 504}, {SUMI_NOMEM, 503},
};

/* "job: field 'steps' must be …" → steps, and so "job: steps is …", "job: unknown sampler 'x': …" */
static bool named_field(const char *text, char *out, size_t size)
{
	const char *at = strstr(text, "field '");
	bool quoted = at != NULL;
	at = quoted ? at + 7 : strncmp(text, "job: ", 5) == 0 ? text + 5 : "";
	if (!quoted && strncmp(at, "unknown ", 8) == 0)
		at += 8;
	size_t n = strcspn(at, quoted ? "'" : " ,:");
	if (!n || n + 1 > size || !at[n])
		return false;
	snprintf(out, size, "%.*s", (int)n, at);
	return quoted || param_find(out);
}

void call_fail(struct call *call, const struct error *err)
{
	char field[64];
	int status = 500;
	for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
		if (statuses[i].error == err->status)
			status = statuses[i].status;
	bool named = named_field(err->text, field, sizeof field);
	/* Where the queue's server is to be reached is nobody's business. */
	bool away = err->status == SUMI_CONNECT && !call->caller.all;
	const char *hint = err->status == SUMI_CONNECT && call->caller.all && !call->shared->config->redis[0] ? " (is sumid running?)" : "";
	char text[sizeof err->text + 32];
	snprintf(text, sizeof text, "%s%s", err->text, hint);
	answer_error(&call->answer, call->route->dialect, status, status_word(err->status),
		     named ? field : NULL, away ? "the queue does not answer: try again in a while" : text);
	if (status == 503)
		http_header(&call->answer, "Retry-After: 5");
}

static const struct {
	int status;
	const char *word;
} codes[] = {{400, "invalid"},	 {401, "unauthorized"}, {403, "forbidden"}, {404, "not_found"},
	     {409, "conflict"},	 {413, "too_big"},	{415, "type"},	    {422, "mismatch"},
	     {429, "too_many"}, {502, "failed"},	{503, "unavailable"}};

void call_refuse(struct call *call, int status, const char *field, const char *format, ...)
{
	struct error message;
	va_list ap;
	char text[sizeof message.text];
	const char *code = "error";
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (codes[i].status == status)
			code = codes[i].word;
	error_set(&message, SUMI_INVALID, "%s", text); /* makes it printable */
	answer_error(&call->answer, call->route->dialect, status, code, field, message.text);
}

bool call_body(struct call *call, bool list, json_t **out)
{
	struct error err;
	const struct http_request *r = call->http;
	*out = NULL;
	if (!r->size) {
		call_refuse(call, 400, NULL, "the request needs a body: a JSON object");
		return false;
	}
	/* Brackets take many times their size; texts, such as pictures in base64, do not. */
	if (json_read_bounded(r->body, r->size, r->size + BODY_MEMORY, "body", out, &err)) {
		call_fail(call, &err);
		return false;
	}
	if (json_is_object(*out) || (list && json_is_array(*out)))
		return true;
	json_decref(*out);
	*out = NULL;
	call_refuse(call, 400, NULL, "the body must be a JSON object%s", list ? " or a list of them" : "");
	return false;
}

bool call_texts(struct call *call, const json_t *body, const char *const *names)
{
	bool own = call->route->dialect == DIALECT_A1111 || call->route->dialect == DIALECT_ELEVENLABS;
	for (; *names; names++) {
		const json_t *value = json_object_get(body, *names);
		if (value && !json_is_null(value) && !json_is_string(value)) {
			call_refuse(call, own ? 422 : 400, *names, "%s must be a text", *names);
			return false;
		}
	}
	return true;
}

int call_count(const json_t *value, int most)
{
	double n = json_number_value(value);
	if (!value || json_is_null(value))
		return 1;
	return n >= 1 && n <= most && n == floor(n) ? (int)n : 0;
}

char *call_query(struct call *call, const char *name, bool *ok)
{
	bool bad;
	char *value = head_query(call->http->head.query, name, &bad);
	if (bad && *ok)
		call_refuse(call, 400, name, "the query cannot be read, or names '%s' twice", name);
	*ok = *ok && !bad;
	return value;
}

bool call_queue(struct call *call, struct worker *w, struct queue **queue)
{
	struct error err;
	int status = worker_queue(w, queue, &err);
	if (status)
		call_fail(call, &err);
	return !status;
}

void call_wait(struct call *call, call_handler *resume)
{
	call->waits = true;
	call->resume = resume;
}

bool call_owns(const struct call *call, const char *submitter)
{
	return call->caller.all || (submitter && strcmp(submitter, call->caller.name) == 0);
}

char *call_url(const struct call *call, const char *path)
{
	const char *base = call->shared->config->public_url;
	size_t length = strlen(base), room = length + strlen(call->http->head.host) + strlen(path) + 16;
	char *url = malloc(room);
	while (length && base[length - 1] == '/')
		length--;
	if (url && length)
		snprintf(url, room, "%.*s%s", (int)length, base, path);
	else if (url)
		snprintf(url, room, "http://%s%s", call->http->head.host, path);
	return url;
}

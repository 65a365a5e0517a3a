/* Request heads, parsed in place. RFC 9112 with the liberties left out that it grants to recipients. */
#include "gateway/head.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"

static bool is_token(unsigned char c)
{
	return isalnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* Nobody's head has a NUL or a bare CR or LF: whoever sends one hopes that two parsers differ. */
long head_size(const char *data, size_t size)
{
	size_t line = 0; /* where the present line begins */
	for (size_t i = 0; i < size; i++) {
		if (i >= HEAD_MAX)
			return -1;
		unsigned char c = (unsigned char)data[i];
		if (c == '\r') {
			if (i + 1 == size)
				return 0;
			if (data[i + 1] != '\n')
				return -1;
			if (i == line)
				return i == 0 ? -1 : (long)i + 2;
			line = i + 2;
			i++;
		} else if ((c < 0x20 && c != '\t') || c == 0x7F) {
			return -1;
		}
	}
	return size >= HEAD_MAX ? -1 : 0;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10
					  : c >= 'A' && c <= 'F'     ? c - 'A' + 10
								     : -1;
}

/* Decodes in place; false for a bad escape, a NUL, a control character, or what is not UTF-8. Texts may have
 * lines. */
static bool decode(char *text, bool form, bool lines)
{
	char *to = text;
	for (const char *at = text; *at; at++) {
		char c = form && *at == '+' ? ' ' : *at;
		if (c == '%') {
			int high = hex_digit(at[1]), low = high < 0 ? -1 : hex_digit(at[2]);
			if (low < 0)
				return false;
			c = (char)(high * 16 + low);
			at += 2;
		}
		bool line = lines && (c == '\n' || c == '\r' || c == '\t');
		if (((unsigned char)c < 0x20 && !line) || c == 0x7F)
			return false;
		*to++ = c;
	}
	*to = '\0';
	return utf8_valid(text, (size_t)(to - text));
}

static int split_path(struct head *h, char *path, const char **why)
{
	*why = "the path cannot be read: each part is UTF-8, escaped as %41";
	if (*path++ != '/') {
		*why = "the target must be a path that begins with /";
		return 400;
	}
	h->segment_count = 0;
	if (!*path)
		return 0;
	for (char *next; path; path = next) {
		next = strchr(path, '/');
		if (next)
			*next++ = '\0';
		if (!decode(path, false, false) || !strcmp(path, ".") || !strcmp(path, ".."))
			return 400;
		if (h->segment_count < 0 || h->segment_count == HEAD_SEGMENTS_MAX)
			h->segment_count = -1;
		else
			h->segments[h->segment_count++] = path;
	}
	return 0;
}

static int parse_line(struct head *h, char *line, const char **why)
{
	char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;
	*why = "the request line is not METHOD /path HTTP/1.1";
	if (!version || version == target + 1)
		return 400;
	*target++ = *version++ = '\0';
	h->method = line;
	for (const char *p = line; *p || p == line; p++)
		if (!is_token((unsigned char)*p))
			return 400;
	for (const char *p = target; *p; p++)
		if (*p <= 0x20 || (unsigned char)*p > 0x7E || *p == '#')
			return 400;
	if (strncmp(version, "HTTP/", 5) != 0 || !isdigit((unsigned char)version[5]) ||
	    version[6] != '.' || !isdigit((unsigned char)version[7]) || version[8])
		return 400;
	if (version[5] != '1') {
		*why = "this server speaks HTTP/1.1";
		return 505;
	}
	h->minor = version[7] > '0';
	char *query = strchr(target, '?');
	if (query)
		*query++ = '\0';
	h->query = query ? query : "";
	return split_path(h, target, why);
}

static int parse_header(struct head *h, char *line, const char **why)
{
	char *colon = strchr(line, ':');
	*why = "a header is not Name: value";
	if (!colon || colon == line)
		return 400;
	if (h->header_count == HEAD_HEADERS_MAX) {
		*why = "more than 64 headers";
		return 431;
	}
	for (char *p = line; p < colon; p++) {
		if (!is_token((unsigned char)*p))
			return 400;
		*p = (char)tolower((unsigned char)*p);
	}
	*colon = '\0';
	char *value = colon + 1 + strspn(colon + 1, " \t"), *end = value + strlen(value);
	while (end > value && strchr(" \t", end[-1]))
		*--end = '\0';
	h->headers[h->header_count++] = (struct head_header){line, value};
	return 0;
}

const char *head_value(const struct head *head, const char *name)
{
	for (size_t i = 0; i < head->header_count; i++)
		if (strcmp(head->headers[i].name, name) == 0)
			return head->headers[i].value;
	return NULL;
}

/* Headers that decide something: a second one would be read by one party and not by the other. */
static bool once(const struct head *h, const char **why)
{
	static const char *const names[] = {
	    "host",   "content-length", "transfer-encoding", "content-type",    "authorization",
	    "cookie", "xi-api-key",     "origin",            "idempotency-key", "range",
	    "expect", "last-event-id",  "connection"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		int count = 0;
		for (size_t k = 0; k < h->header_count; k++)
			count += strcmp(h->headers[k].name, names[i]) == 0;
		if (count > 1) {
			*why = "a header that may stand once stands there twice";
			return false;
		}
	}
	return true;
}

static bool parse_length(const char *text, int64_t *length)
{
	*length = 0;
	if (!*text || strlen(text) > 15)
		return false;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			return false;
		*length = *length * 10 + (*text - '0');
	}
	return true;
}

/* A name or address with an optional port: nothing that could be taken for a path or a user. */
static bool is_host(const char *text)
{
	if (!*text || strlen(text) > 255)
		return false;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr("-._:[]", *text))
			return false;
	return true;
}

static int parse_framing(struct head *h, const char **why)
{
	const char *length = head_value(h, "content-length");
	const char *encoding = head_value(h, "transfer-encoding");
	h->length = -1;
	*why = "Content-Length must be digits";
	if (length && !parse_length(length, &h->length))
		return 400;
	*why = "Transfer-Encoding must be chunked, and stand without Content-Length, in HTTP/1.1";
	if (encoding && (length || strcmp(encoding, "chunked") != 0 || h->minor == 0))
		return 400;
	h->chunked = encoding != NULL;
	*why = "there must be one Host, a name with or without a port";
	h->host = head_value(h, "host");
	if (!h->host || !is_host(h->host))
		return 400;
	const char *expect = head_value(h, "expect");
	h->wants_continue = expect && strcasecmp(expect, "100-continue") == 0;
	*why = "Expect can be 100-continue only";
	return expect && !h->wants_continue ? 417 : 0;
}

int head_parse(char *text, size_t size, struct head *head, const char **why)
{
	*head = (struct head){.text = text, .query = "", .length = -1};
	char *at = text, *end = text + size;
	int status = 0;
	for (int line = 0; at < end && !status; line++) {
		char *stop = strstr(at, "\r\n");
		if (!stop)
			break;
		*stop = '\0';
		if (line == 0)
			status = parse_line(head, at, why);
		else if (*at)
			status = parse_header(head, at, why);
		at = stop + 2;
	}
	if (!status && !once(head, why))
		status = 400;
	if (!status)
		status = parse_framing(head, why);
	const char *connection = head_value(head, "connection");
	head->keep_alive = head->minor ? !connection || strcasecmp(connection, "close") != 0
				       : connection && strcasecmp(connection, "keep-alive") == 0;
	return status;
}

void head_clear(struct head *head)
{
	free(head->text);
	*head = (struct head){.length = -1};
}

/* ---- queries and forms ------------------------------------------------------------------ */

bool head_each(const char *query, head_pair *each, void *context)
{
	char *text = strdup(query);
	bool fine = text != NULL;
	for (char *at = text, *next; fine && at; at = next) {
		if ((next = strchr(at, '&')))
			*next++ = '\0';
		if (!*at)
			continue;
		char *value = strchr(at, '=');
		if (value)
			*value++ = '\0';
		fine = decode(at, true, false) && (!value || decode(value, true, true)) &&
		       each(context, at, value ? value : "");
	}
	free(text);
	return fine;
}

struct wanted {
	const char *name;
	char *value;
	bool twice;
};

static bool take_wanted(void *context, const char *name, const char *value)
{
	struct wanted *w = context;
	if (strcmp(name, w->name) != 0)
		return true;
	w->twice = w->value != NULL;
	if (!w->value)
		w->value = strdup(value);
	return !w->twice;
}

char *head_query(const char *query, const char *name, bool *bad)
{
	struct wanted w = {.name = name};
	*bad = !head_each(query, take_wanted, &w);
	if (*bad) {
		free(w.value);
		return NULL;
	}
	return w.value;
}

/* ---- bodies ----------------------------------------------------------------------------- */

bool head_chunk_size(const char *data, size_t size, uint64_t *chunk, size_t *used)
{
	size_t i = 0;
	*chunk = 0;
	*used = 0;
	for (; i < size && hex_digit(data[i]) >= 0; i++) {
		if (i == 8)
			return false;
		*chunk = *chunk * 16 + (uint64_t)hex_digit(data[i]);
	}
	if (i == size)
		return true;
	if (i == 0 || data[i] != '\r')
		return false;
	if (i + 1 == size)
		return true;
	*used = i + 2;
	return data[i + 1] == '\n';
}

const char *head_reason(int status)
{
	static const struct {
		int status;
		const char *words;
	} reasons[] = {{200, "OK"},
		       {201, "Created"},
		       {202, "Accepted"},
		       {204, "No Content"},
		       {206, "Partial Content"},
		       {303, "See Other"},
		       {304, "Not Modified"},
		       {400, "Bad Request"},
		       {401, "Unauthorized"},
		       {403, "Forbidden"},
		       {404, "Not Found"},
		       {405, "Method Not Allowed"},
		       {406, "Not Acceptable"},
		       {408, "Request Timeout"},
		       {409, "Conflict"},
		       {411, "Length Required"},
		       {413, "Content Too Large"},
		       {415, "Unsupported Media Type"},
		       {416, "Range Not Satisfiable"},
		       {417, "Expectation Failed"},
		       {422, "Unprocessable Content"},
		       {429, "Too Many Requests"},
		       {431, "Request Header Fields Too Large"},
		       {500, "Internal Server Error"},
		       {501, "Not Implemented"},
		       {503, "Service Unavailable"},
		       {504, "Gateway Timeout"},
		       {505, "HTTP Version Not Supported"}};
	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (reasons[i].status == status)
			return reasons[i].words;
	return "Unknown";
}

/* "12" up to what is no digit; -1 where there is none, or too many. */
static int64_t take_number(const char **text)
{
	int64_t n = 0;
	int digits = 0;
	for (; isdigit((unsigned char)**text); (*text)++) {
		if (++digits > 18)
			return -1;
		n = n * 10 + (**text - '0');
	}
	return digits ? n : -1;
}

int head_range(const char *text, int64_t size, int64_t *first, int64_t *last)
{
	*first = 0;
	*last = size - 1;
	if (!text || strncmp(text, "bytes=", 6) != 0)
		return 200;
	text += 6;
	bool suffix = *text == '-';
	text += suffix;
	int64_t a = take_number(&text), b = -1;
	if (a < 0)
		return 200;
	if (!suffix) {
		if (*text++ != '-')
			return 200;
		if (*text && (b = take_number(&text)) < a)
			return 200;
	}
	if (*text)
		return 200;
	if (suffix) {
		*first = a < size ? size - a : 0;
		return a && size ? 206 : 416;
	}
	if (a >= size)
		return 416;
	*first = a;
	*last = b >= 0 && b < size ? b : size - 1;
	return 206;
}

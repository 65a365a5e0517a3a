/* The head of a request: request line and headers, taken strictly. What two parsers could read in two
 * ways is refused, so that a proxy in front and the gateway never see different requests.
 *
 * Pure functions over bytes; http.c reads and writes. */
#ifndef SUMI_GATEWAY_HEAD_H
#define SUMI_GATEWAY_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	HEAD_MAX = 16384, /* bytes of request line and headers */
	HEAD_HEADERS_MAX = 64,
	HEAD_SEGMENTS_MAX = 8,
	HEAD_CHUNK_LINE_MAX = 64
};

struct head_header {
	const char *name; /* in lower case */
	const char *value;
};

/* Strings point into text, which head_parse() took over. */
struct head {
	char *text;
	const char *method;
	/* Of the path "/jobs/a%20b": "jobs", "a b". */
	const char *segments[HEAD_SEGMENTS_MAX];
	int segment_count;  /* 0: "/"; -1: more than there is room for */
	const char *query;  /* behind '?', as it was sent; "" where there is none */
	int minor;          /* HTTP/1.minor */
	struct head_header headers[HEAD_HEADERS_MAX];
	size_t header_count;
	const char *host;
	int64_t length;     /* of the body; -1: not said */
	bool chunked;
	bool keep_alive;    /* the client wants further requests on this connection */
	bool wants_continue;
};

/* Where the head ends that begins at data: its size with the empty line, 0 where it is not whole yet, -1
 * where it can be none: too long, or a byte that stands in no head. */
long head_size(const char *data, size_t size);

/* Parses a whole head (head_size() has found its end). text is malloc'd, with a NUL behind size bytes, and
 * owned by *head from now on, also on failure: head_clear(). 0, or the status to refuse it with (400, 405,
 * 417, 501, 505) and in *why a sentence for a person. */
int head_parse(char *text, size_t size, struct head *head, const char **why);
void head_clear(struct head *head);

/* The value of a header by its name in lower case, NULL where it was not sent. */
const char *head_value(const struct head *head, const char *name);

/* A parameter of a query or a form, decoded; the caller frees it. NULL: it is not there. *bad: it is there
 * and cannot be decoded, or stands there twice. */
char *head_query(const char *query, const char *name, bool *bad);

/* Calls back for each parameter; false where one cannot be decoded, or the callback said so. */
typedef bool head_pair(void *context, const char *name, const char *value);
bool head_each(const char *query, head_pair *each, void *context);

/* The line before a chunk, "1a3f\r\n": its size in *chunk; *used bytes were taken, 0 where the line is not
 * whole yet. False for what is no such line. Extensions are refused: nobody needs them. */
bool head_chunk_size(const char *data, size_t size, uint64_t *chunk, size_t *used);

/* The word of a status: "Not Found". */
const char *head_reason(int status);

/* A header such as Range: "bytes=0-99", of a file with that many bytes. 206 with *first and *last, 416 where
 * nothing of it is there, 200 for what is to be ignored (several ranges, other units). */
int head_range(const char *text, int64_t size, int64_t *first, int64_t *last);

#endif

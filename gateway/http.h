/* HTTP/1.1 on libevent: connections, request bodies, answers, streams. One event loop, one thread.
 *
 * Not on evhttp: that reads a request before anybody can look at its bytes, joins folded lines, ends
 * names at a NUL and takes "+5" and "0x5" for the size of a chunk, and hears of a client that has gone
 * only once an answer has begun. Heads are parsed in head.c.
 *
 * A request goes: admit() when its head is there, handle() when its body is; from then on it is the
 * handler's, who ends it once, by http_answer() or http_stream_end(), also when the client has gone. */
#ifndef SUMI_GATEWAY_HTTP_H
#define SUMI_GATEWAY_HTTP_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "gateway/head.h"

struct http_connection;

struct http_peer {
	bool local;       /* over loopback or a Unix socket */
	char address[46]; /* for the log; "unix" */
};

struct http_request {
	struct head head;
	char *body;        /* size bytes and a NUL; NULL where none came */
	size_t size;
	size_t body_limit; /* admit() sets it; 0: no body is taken */
	struct http_peer peer;
	void *context;     /* the handler's, from malloc(): freed with the request */
	struct http_connection *connection; /* NULL: the client has gone */
	bool streaming;    /* http_stream_begin() */
};

#define HTTP_HEADERS_SIZE 1024

struct http_answer {
	int status;
	const char *type; /* of the body; static */
	char *body;       /* malloc'd, size bytes */
	size_t size;
	int fd;           /* a file instead, from offset on length bytes; -1: none */
	int64_t offset, length;
	char headers[HTTP_HEADERS_SIZE]; /* whole lines, each with its CR LF */
};

struct http_options {
	struct event_base *base;
	size_t connections, per_address; /* at most; local ones do not count for their address */
	int head_ms, idle_ms;            /* from accept to a whole head; between two requests */
	size_t bodies;                   /* bytes that all bodies under way may take together */
	void *context;
	/* The head is there. 0, having set body_limit, or *refusal with its status. */
	int (*admit)(void *context, struct http_request *r, struct http_answer *refusal);
	void (*handle)(void *context, struct http_request *r);
	/* The client of a handled request has gone before it was answered. */
	void (*gone)(void *context, struct http_request *r);
	/* The client sends nothing more: it has gone, or only waits for the answer. */
	void (*silent)(void *context, struct http_request *r);
	/* A head or a body that could not be read: a body in the form of the API. r: NULL before there is a head. */
	void (*refuse)(void *context, const struct http_request *r, int status, const char *why,
		       struct http_answer *answer);
};

struct http_server;

int http_new(const struct http_options *options, struct http_server **out, struct error *err);
/* Takes connections from a listening socket, which it owns from now on. */
int http_listen(struct http_server *server, int fd, struct error *err);
/* No further connections; http_busy(): those that are still answered. */
void http_stop(struct http_server *server);
size_t http_busy(const struct http_server *server);
size_t http_connections(const struct http_server *server);
void http_free(struct http_server *server);

/* The whole answer; takes over body and fd. r is gone afterwards. */
void http_answer(struct http_request *r, struct http_answer *answer);

/* An answer whose length nobody knows yet. headers as in http_answer. */
void http_stream_begin(struct http_request *r, int status, const char *type, const char *headers);
/* Bytes that the client has not taken yet. */
size_t http_stream_pending(const struct http_request *r);
void http_stream_send(struct http_request *r, const void *data, size_t size);
/* whole: false breaks the connection, so that the client knows that something is missing. */
void http_stream_end(struct http_request *r, bool whole);

/* One line into answer->headers; false where there is no room. */
bool http_header(struct http_answer *answer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif

/* Connections: reading requests, writing answers, and who may have how many for how long. */
#include "gateway/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum {
	READ_AHEAD = 65536, /* bytes of a connection that are read before they are asked for */
	BODY_GRACE_MS = 30000,
	BODY_RATE = 32, /* bytes a millisecond that a body must bring behind that */
	WRITE_MS = 60000,
	LINGER_MS = 2000,
	FULL_MS = 1000, /* out of descriptors: no accepting for so long */
	LISTENERS = 16
};

enum state { READ_HEAD, READ_BODY, HANDLED, ANSWERING, STREAMING, LINGERING };

struct http_connection {
	struct http_server *server;
	struct http_connection *next, **link;
	struct bufferevent *bev;
	struct event *timer;
	struct http_request *request; /* from its head to its answer */
	struct http_peer peer;
	unsigned char key[16]; /* of the address; all zero: local */
	enum state state;
	bool keep, ended; /* ended: the client sends nothing more */
	bool fresh;       /* nothing of the next head has come */
	size_t reserved;  /* of server->bodies */
	uint64_t chunk;   /* left of the present one */
	enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_END, CHUNK_TRAILER } part;
	int64_t body_since;
};

struct http_server {
	struct http_options o;
	struct evconnlistener *listeners[LISTENERS];
	int listener_count;
	struct event *retry;
	struct http_connection *first;
	size_t count, body_bytes;
	bool stopping;
};

static void read_on(struct http_connection *c);

/* ---- the end of a connection -------------------------------------------------------------- */

static void free_request(struct http_request *r)
{
	head_clear(&r->head);
	free(r->body);
	free(r->context);
	free(r);
}

static void give_back(struct http_connection *c)
{
	c->server->body_bytes -= c->reserved;
	c->reserved = 0;
}

static void drop(struct http_connection *c)
{
	struct http_server *s = c->server;
	struct http_request *r = c->request;
	bool handled = c->state == HANDLED || c->state == STREAMING;
	if (r)
		r->connection = NULL;
	if (r && handled)
		s->o.gone(s->o.context, r);
	else if (r)
		free_request(r);
	give_back(c);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	s->count--;
	event_free(c->timer);
	bufferevent_free(c->bev);
	free(c);
}

static void arm(struct http_connection *c, int ms)
{
	struct timeval t = {ms / 1000, ms % 1000 * 1000};
	event_add(c->timer, &t);
}

/* What was sent is to arrive although something of the client's lies unread: closing at once would take
 * it back. */
static void linger(struct http_connection *c)
{
	if (c->ended) {
		drop(c);
		return;
	}
	c->state = LINGERING;
	shutdown(bufferevent_getfd(c->bev), SHUT_WR);
	evbuffer_drain(bufferevent_get_input(c->bev), SIZE_MAX);
	arm(c, LINGER_MS);
}

static void next_request(struct http_connection *c)
{
	c->state = READ_HEAD;
	c->fresh = true;
	arm(c, c->server->o.idle_ms);
	read_on(c);
}

static void answered(struct http_connection *c)
{
	if (c->keep)
		next_request(c);
	else
		linger(c);
}

/* ---- answers ----------------------------------------------------------------------------- */

bool http_header(struct http_answer *answer, const char *format, ...)
{
	size_t used = strlen(answer->headers), room = sizeof answer->headers - used;
	va_list ap;
	va_start(ap, format);
	int n = vsnprintf(answer->headers + used, room, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n + 2 >= room) {
		answer->headers[used] = '\0';
		return false;
	}
	memcpy(answer->headers + used + n, "\r\n", 3);
	return true;
}

static void write_head(struct http_connection *c, int status, const char *type, const char *headers)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	char date[64];
	time_t now = time(NULL);
	struct tm tm;
	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
	evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\nX-Content-Type-Options: nosniff\r\n%s",
			    status, head_reason(status), date, headers);
	if (type)
		evbuffer_add_printf(out, "Content-Type: %s\r\n", type);
	if (!c->keep)
		evbuffer_add_printf(out, "Connection: close\r\n");
}

static void clear_answer(struct http_answer *answer)
{
	free(answer->body);
	if (answer->fd >= 0)
		close(answer->fd);
	*answer = (struct http_answer){.fd = -1};
}

/* The answer into the output; the connection goes on, or ends, when all of it is out. */
static void send_answer(struct http_connection *c, const char *method, struct http_answer *answer)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	bool file = answer->fd >= 0, bodiless = answer->status == 204 || answer->status == 304;
	int64_t length = file ? answer->length : (int64_t)answer->size;
	c->keep = c->keep && !c->ended && !c->server->stopping;
	c->state = ANSWERING;
	event_del(c->timer);
	write_head(c, answer->status, bodiless ? NULL : answer->type, answer->headers);
	if (answer->status != 204)
		evbuffer_add_printf(out, "Content-Length: %lld\r\n", (long long)length);
	evbuffer_add(out, "\r\n", 2);
	if (length > 0 && !bodiless && strcmp(method, "HEAD") != 0) {
		if (!file)
			evbuffer_add(out, answer->body, answer->size);
		else if (evbuffer_add_file(out, answer->fd, answer->offset, length) == 0)
			answer->fd = -1; /* the buffer's now */
		else
			c->keep = false;
	}
	clear_answer(answer);
}

/* Before the request was anybody's. The rest of what the client sends is not read any more. */
static void refuse_with(struct http_connection *c, struct http_answer *answer)
{
	char method[8] = "GET";
	if (c->request && c->request->head.method)
		snprintf(method, sizeof method, "%s", c->request->head.method);
	if (c->request)
		free_request(c->request);
	c->request = NULL;
	give_back(c);
	send_answer(c, method, answer);
}

static void refuse(struct http_connection *c, int status, const char *why)
{
	struct http_answer answer = {.fd = -1};
	c->keep = false;
	c->server->o.refuse(c->server->o.context, c->request, status, why, &answer);
	refuse_with(c, &answer);
}

void http_answer(struct http_request *r, struct http_answer *answer)
{
	struct http_connection *c = r->connection;
	if (!c) {
		clear_answer(answer);
		free_request(r);
		return;
	}
	c->request = NULL;
	give_back(c);
	send_answer(c, r->head.method, answer);
	free_request(r);
}

void http_stream_begin(struct http_request *r, int status, const char *type, const char *headers)
{
	struct http_connection *c = r->connection;
	r->streaming = true;
	/* What was sent is of no more use, and a stream may last for days. */
	free(r->body);
	r->body = NULL;
	r->size = 0;
	if (!c)
		return;
	give_back(c);
	c->keep = c->keep && r->head.minor > 0;
	c->state = STREAMING;
	event_del(c->timer);
	write_head(c, status, type, headers);
	if (r->head.minor > 0)
		evbuffer_add_printf(bufferevent_get_output(c->bev), "Transfer-Encoding: chunked\r\n");
	evbuffer_add(bufferevent_get_output(c->bev), "\r\n", 2);
}

size_t http_stream_pending(const struct http_request *r)
{
	return r->connection ? evbuffer_get_length(bufferevent_get_output(r->connection->bev)) : 0;
}

void http_stream_send(struct http_request *r, const void *data, size_t size)
{
	if (!r->connection || !size || strcmp(r->head.method, "HEAD") == 0)
		return;
	struct evbuffer *out = bufferevent_get_output(r->connection->bev);
	if (r->head.minor > 0)
		evbuffer_add_printf(out, "%zx\r\n", size);
	evbuffer_add(out, data, size);
	if (r->head.minor > 0)
		evbuffer_add(out, "\r\n", 2);
}

void http_stream_end(struct http_request *r, bool whole)
{
	struct http_connection *c = r->connection;
	bool head_only = strcmp(r->head.method, "HEAD") == 0, chunked = r->head.minor > 0;
	r->connection = NULL;
	if (c) {
		c->request = NULL;
		c->state = ANSWERING;
		if (whole && chunked && !head_only)
			evbuffer_add(bufferevent_get_output(c->bev), "0\r\n\r\n", 5);
		c->keep = c->keep && whole && !c->ended && !c->server->stopping;
	}
	free_request(r);
	if (c && evbuffer_get_length(bufferevent_get_output(c->bev)) == 0)
		answered(c);
}

/* ---- requests ---------------------------------------------------------------------------- */

static void handle(struct http_connection *c)
{
	struct http_server *s = c->server;
	event_del(c->timer);
	c->state = HANDLED;
	s->o.handle(s->o.context, c->request);
}

/* Room for more bytes of a body; false where it has been refused. */
static bool reserve(struct http_connection *c, size_t size)
{
	struct http_request *r = c->request;
	struct http_server *s = c->server;
	if (size > r->body_limit) {
		refuse(c, 413, "the body is larger than this request may have");
		return false;
	}
	if (size <= c->reserved)
		return true;
	size_t room = c->reserved ? 2 * c->reserved : 4096;
	room = room > r->body_limit ? r->body_limit : room < size ? size : room;
	if (s->body_bytes + (room - c->reserved) > s->o.bodies) {
		refuse(c, 503, "too much is being sent at once: try again in a while");
		return false;
	}
	char *grown = realloc(r->body, room + 1);
	if (!grown) {
		refuse(c, 503, "no memory for the body");
		return false;
	}
	r->body = grown;
	s->body_bytes += room - c->reserved;
	c->reserved = room;
	return true;
}

/* Moves at most so many bytes from the input into the body; false where it has been refused. */
static bool take(struct http_connection *c, size_t most)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct http_request *r = c->request;
	size_t n = evbuffer_get_length(in);
	n = n < most ? n : most;
	if (!n)
		return true;
	if (!reserve(c, r->size + n))
		return false;
	evbuffer_remove(in, r->body + r->size, n);
	r->size += n;
	r->body[r->size] = '\0';
	return true;
}

/* One step of a chunked body: 1 to go on, 0 to wait for more, -1 refused or done. */
static int read_chunk(struct http_connection *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	char line[HEAD_CHUNK_LINE_MAX];
	size_t used = 0, before = c->request->size;
	ssize_t n;
	if (c->part == CHUNK_DATA) {
		if (!take(c, c->chunk > SIZE_MAX ? SIZE_MAX : (size_t)c->chunk))
			return -1;
		c->chunk -= c->request->size - before;
		c->part = c->chunk ? CHUNK_DATA : CHUNK_END;
		return c->request->size > before;
	}
	n = evbuffer_copyout(in, line, sizeof line);
	if (c->part == CHUNK_SIZE) {
		if (n > 0 && !head_chunk_size(line, (size_t)n, &c->chunk, &used)) {
			refuse(c, 400, "a chunk's size is not hexadecimal digits and a line end");
			return -1;
		}
		evbuffer_drain(in, used);
		c->part = c->chunk ? CHUNK_DATA : CHUNK_TRAILER;
		if (!used)
			c->part = CHUNK_SIZE;
		return used > 0;
	}
	/* CHUNK_END, and CHUNK_TRAILER: nobody needs trailers, so none may come. */
	if (n > 0 && (line[0] != '\r' || (n > 1 && line[1] != '\n'))) {
		refuse(c, 400, c->part == CHUNK_END ? "a chunk is longer than it says"
						    : "trailers are not taken");
		return -1;
	}
	if (n < 2)
		return 0;
	evbuffer_drain(in, 2);
	if (c->part == CHUNK_TRAILER) {
		handle(c);
		return -1;
	}
	c->part = CHUNK_SIZE;
	return 1;
}

static void read_body(struct http_connection *c)
{
	if (c->request->head.chunked) {
		while (c->state == READ_BODY && read_chunk(c) > 0)
			;
		return;
	}
	size_t left = (size_t)c->request->head.length - c->request->size;
	if (left && !take(c, left))
		return;
	if (c->request->size == (size_t)c->request->head.length)
		handle(c);
}

static void begin_body(struct http_connection *c)
{
	struct http_request *r = c->request;
	if (!r->head.chunked && r->head.length <= 0) {
		handle(c);
		return;
	}
	if (r->head.length > 0 && (uint64_t)r->head.length > r->body_limit) {
		refuse(c, 413, r->body_limit ? "the body is larger than this request may have"
					     : "this request takes no body");
		return;
	}
	c->state = READ_BODY;
	c->part = CHUNK_SIZE;
	c->body_since = clock_boot_ms();
	arm(c, BODY_GRACE_MS);
	if (r->head.wants_continue && r->head.minor > 0)
		evbuffer_add_printf(bufferevent_get_output(c->bev), "HTTP/1.1 100 Continue\r\n\r\n");
	read_body(c);
}

static void take_head(struct http_connection *c, size_t size)
{
	struct http_server *s = c->server;
	struct http_request *r = calloc(1, sizeof *r);
	char *text = malloc(size + 1);
	const char *why = "no memory";
	if (!r || !text) {
		free(r);
		free(text);
		refuse(c, 503, why);
		return;
	}
	evbuffer_remove(bufferevent_get_input(c->bev), text, size);
	text[size] = '\0';
	r->connection = c;
	r->peer = c->peer;
	c->request = r;
	int status = head_parse(text, size, &r->head, &why);
	if (status) {
		refuse(c, status, why);
		return;
	}
	c->keep = r->head.keep_alive;
	struct http_answer refusal = {.fd = -1};
	if (s->o.admit(s->o.context, r, &refusal) == 0) {
		begin_body(c);
		return;
	}
	/* A body that is under way is not worth reading. */
	if (r->head.chunked || r->head.length > 0)
		c->keep = false;
	refuse_with(c, &refusal);
}

static void read_head(struct http_connection *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t n = evbuffer_get_length(in);
	if (n && c->fresh) {
		c->fresh = false;
		arm(c, c->server->o.head_ms);
	}
	n = n > HEAD_MAX ? HEAD_MAX : n;
	long size = n ? head_size((const char *)evbuffer_pullup(in, (ssize_t)n), n) : 0;
	if (size < 0)
		refuse(c, n == HEAD_MAX ? 431 : 400,
		       "the head of the request is too long, or holds a byte or a line end that "
		       "has no place in it");
	else if (size > 0)
		take_head(c, (size_t)size);
	else if (c->ended)
		drop(c);
}

/* What the input holds, as far as the state goes. */
static void read_on(struct http_connection *c)
{
	if (c->state == READ_HEAD)
		read_head(c);
	else if (c->state == READ_BODY && c->ended &&
		 evbuffer_get_length(bufferevent_get_input(c->bev)) == 0)
		drop(c);
	else if (c->state == READ_BODY)
		read_body(c);
	else if (c->state == LINGERING)
		evbuffer_drain(bufferevent_get_input(c->bev), SIZE_MAX);
}

/* ---- events ------------------------------------------------------------------------------ */

static void on_read(struct bufferevent *bev, void *context)
{
	(void)bev;
	read_on(context);
}

static void on_written(struct bufferevent *bev, void *context)
{
	struct http_connection *c = context;
	if (c->state != ANSWERING || evbuffer_get_length(bufferevent_get_output(bev)))
		return;
	answered(c);
}

/* A client that has sent its last byte may still wait for the answer; of a stream nobody is left. */
static void on_event(struct bufferevent *bev, short what, void *context)
{
	struct http_connection *c = context;
	(void)bev;
	if (!(what & BEV_EVENT_EOF) || c->state == STREAMING || c->state == LINGERING) {
		drop(c);
		return;
	}
	c->ended = true;
	if (c->state == READ_HEAD || c->state == READ_BODY)
		drop(c);
	else if (c->state == HANDLED)
		c->server->o.silent(c->server->o.context, c->request);
}

static void on_time(evutil_socket_t fd, short what, void *context)
{
	struct http_connection *c = context;
	(void)fd, (void)what;
	if (c->state == READ_BODY) {
		int64_t spent = clock_boot_ms() - c->body_since - BODY_GRACE_MS;
		if (spent > 0 && (int64_t)c->request->size < spent * BODY_RATE)
			refuse(c, 408, "the body comes too slowly");
		else
			arm(c, BODY_GRACE_MS / 10);
	} else if (c->state == READ_HEAD && !c->fresh) {
		refuse(c, 408, "the head of the request did not come in time");
	} else {
		drop(c);
	}
}

static void describe_peer(struct http_connection *c, const struct sockaddr *address)
{
	strcpy(c->peer.address, "unix");
	c->peer.local = address->sa_family == AF_UNIX;
	if (address->sa_family == AF_INET) {
		const struct sockaddr_in *v4 = (const void *)address;
		memcpy(c->key + 12, &v4->sin_addr, 4);
		c->key[0] = 4;
		c->peer.local = ntohl(v4->sin_addr.s_addr) >> 24 == 127;
		inet_ntop(AF_INET, &v4->sin_addr, c->peer.address, sizeof c->peer.address);
	} else if (address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const void *)address;
		bool mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
		/* One customer's addresses share the first half. */
		memcpy(c->key, v6->sin6_addr.s6_addr, mapped ? 16 : 8);
		c->peer.local = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ||
				(mapped && v6->sin6_addr.s6_addr[12] == 127);
		inet_ntop(AF_INET6, &v6->sin6_addr, c->peer.address, sizeof c->peer.address);
	}
}

/* A proxy in front shows its own address for everybody: local ones are not counted. */
static bool too_many(const struct http_server *s, const struct http_connection *c)
{
	size_t same = 0;
	if (s->count >= s->o.connections)
		return true;
	if (c->peer.local)
		return false;
	for (const struct http_connection *o = s->first; o; o = o->next)
		same += memcmp(o->key, c->key, sizeof c->key) == 0;
	return same >= s->o.per_address;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
		      int size, void *context)
{
	struct http_server *s = context;
	struct timeval write_time = {WRITE_MS / 1000, 0};
	struct http_connection *c = calloc(1, sizeof *c);
	(void)listener, (void)size;
	int one = 1;
	if (c)
		describe_peer(c, address);
	if (!c || too_many(s, c)) {
		free(c);
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	c->server = s;
	c->timer = event_new(s->o.base, -1, 0, on_time, c);
	c->bev = c->timer ? bufferevent_socket_new(s->o.base, fd, BEV_OPT_CLOSE_ON_FREE) : NULL;
	if (!c->bev) {
		if (c->timer)
			event_free(c->timer);
		free(c);
		close(fd);
		return;
	}
	c->next = s->first;
	c->link = &s->first;
	if (s->first)
		s->first->link = &c->next;
	s->first = c;
	s->count++;
	bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, READ_AHEAD);
	bufferevent_set_timeouts(c->bev, NULL, &write_time);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	arm(c, s->o.head_ms);
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
	struct http_server *s = context;
	(void)fd, (void)what;
	for (int i = 0; i < s->listener_count && !s->stopping; i++)
		evconnlistener_enable(s->listeners[i]);
}

/* Mostly out of descriptors: trying again at once would only burn the processor. */
static void on_accept_error(struct evconnlistener *listener, void *context)
{
	struct http_server *s = context;
	struct timeval t = {FULL_MS / 1000, 0};
	log_warn("accept.failed", "error=\"%s\"", strerror(errno));
	evconnlistener_disable(listener);
	event_add(s->retry, &t);
}

int http_new(const struct http_options *options, struct http_server **out, struct error *err)
{
	struct http_server *s = calloc(1, sizeof *s);
	*out = s;
	if (s)
		s->o = *options;
	if (!s || !(s->retry = event_new(options->base, -1, 0, on_retry, s))) {
		free(s);
		*out = NULL;
		return error_set(err, SUMI_NOMEM, "out of memory");
	}
	return SUMI_OK;
}

int http_listen(struct http_server *s, int fd, struct error *err)
{
	if (s->listener_count == LISTENERS) {
		close(fd);
		return error_set(err, SUMI_TOOBIG, "more than %d listening sockets", LISTENERS);
	}
	struct evconnlistener *l =
	    evconnlistener_new(s->o.base, on_accept, s, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC,
			       SOMAXCONN, fd);
	if (!l) {
		close(fd);
		return error_set(err, SUMI_NOMEM, "out of memory");
	}
	evconnlistener_set_error_cb(l, on_accept_error);
	s->listeners[s->listener_count++] = l;
	return SUMI_OK;
}

void http_stop(struct http_server *s)
{
	s->stopping = true;
	while (s->listener_count)
		evconnlistener_free(s->listeners[--s->listener_count]);
	/* Those that wait for a further request have nothing to lose. */
	for (struct http_connection *c = s->first, *next; c; c = next) {
		next = c->next;
		if (c->state == READ_HEAD && c->fresh)
			drop(c);
	}
}

size_t http_busy(const struct http_server *s)
{
	size_t busy = 0;
	for (const struct http_connection *c = s->first; c; c = c->next)
		busy += c->state == HANDLED || c->state == ANSWERING;
	return busy;
}

size_t http_connections(const struct http_server *s)
{
	return s->count;
}

void http_free(struct http_server *s)
{
	if (!s)
		return;
	http_stop(s);
	while (s->first)
		drop(s->first);
	event_free(s->retry);
	free(s);
}

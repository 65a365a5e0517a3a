/* Requests to handlers and back; keys; calls that wait for jobs. */
#include "gateway/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/access.h"
#include "gateway/hub.h"
#include "gateway/metrics.h"
#include "gateway/once.h"
#include "gateway/routes.h"

enum {
	THREADS = 4,
	HEAD_MS = 10000,
	IDLE_MS = 75000,
	TICK_MS = 1000,
	LOOK_MS = 10000, /* waiting calls look for themselves so often: an event may be missed */
	SILENT_MS = 45000, /* what takes longer than that begins to send spaces: nginx waits for 60 s */
	SPACE_MS = 15000,
	ENDED_MAX = 1000, /* jobs that end in a second and are counted */
	SECRET_S = 365 * 86400
};
#define BODIES_MAX ((size_t)256 << 20)

struct service {
	struct service_options o;
	struct http_server *http;
	struct pool *pool;
	struct hub *hub;
	struct shared shared;
	struct task ended_task; /* reads the times of jobs that have ended */
	bool ended_task_runs;
	char (*ended)[JOB_ID_SIZE], (*reading)[JOB_ID_SIZE];
	size_t ended_count, reading_count;
	struct access access;
	struct event *tick;
	struct task key_task; /* reads the keys once a second */
	bool key_task_runs;
	int key_status;
	struct queue_key *read_keys;
	size_t read_count;
	char read_secret[65];
	struct call *waiting;
	bool stopping, closed; /* closed: the pool runs no more */
};

struct http_server *service_http(struct service *s)
{
	return s->http;
}

/* ---- keys ----------------------------------------------------------------------------------- */

static struct service *of_key_task(struct task *t)
{
	return (struct service *)(void *)((char *)t - offsetof(struct service, key_task));
}

/* Gateways of one queue have one secret: the first draws it. */
static int read_secret(struct queue *queue, char out[65], struct error *err)
{
	unsigned char random[32];
	char text[65];
	bool made;
	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		return error_errno(err, "random numbers");
	for (size_t i = 0; i < sizeof random; i++)
		snprintf(text + 2 * i, 3, "%02x", random[i]);
	return queue_remember(queue, "secret", text, SECRET_S, out, 65, &made, err);
}

static void read_keys(struct task *t, struct worker *w)
{
	struct service *s = of_key_task(t);
	struct queue *queue;
	struct error err;
	s->key_status = worker_queue(w, &queue, &err);
	if (!s->key_status)
		s->key_status = queue_keys(queue, &s->read_keys, &s->read_count, &err);
	if (!s->key_status && !*s->access.secret)
		s->key_status = read_secret(queue, s->read_secret, &err);
}

int service_load_keys(struct service *s, size_t *count, struct error *err)
{
	struct queue_options options = {
	    .url = s->o.queue_url, .prefix = s->o.config->prefix, .patience_ms = -1};
	struct queue *queue;
	struct queue_key *keys;
	int status = queue_open(&options, &queue, err);
	if (status)
		return status;
	status = queue_keys(queue, &keys, count, err);
	if (!status)
		status = read_secret(queue, s->access.secret, err);
	queue_close(queue);
	if (status)
		free(keys);
	else
		access_set_keys(&s->access, keys, *count);
	return status;
}

/* ---- calls ---------------------------------------------------------------------------------- */

static void unlink_call(struct call *c)
{
	if (c->link) {
		*c->link = c->next;
		if (c->next)
			c->next->link = c->link;
	}
	c->link = NULL;
}

static void add_cors(const struct service *s, const struct head *head, struct http_answer *answer)
{
	const char *origin = head_value(head, "origin");
	if (origin && access_origin_listed(s->o.config, origin))
		http_header(answer, "Access-Control-Allow-Origin: %s\r\nVary: Origin\r\nAccess-Control-Expose-Headers: "
				    "Location, Retry-After, x-should-retry, song-id, x-sumi-note", origin);
}

/* The call is gone afterwards. */
static void end_call(struct call *c)
{
	struct http_request *r = c->http;
	unlink_call(c);
	free(c->state);
	free(c->piece);
	c->state = c->piece = NULL;
	add_cors(c->service, &c->http->head, &c->answer);
	once_leave(c->service->shared.once, c);
	metrics_answered(c->service->shared.metrics, c->answer.status);
	struct http_answer answer = c->answer;
	if (!r->streaming) {
		http_answer(r, &answer);
		return;
	}
	/* It has been "200" since the first space. What is broken off is asked for again, and hears why. */
	bool whole = answer.status == 200 || c->events;
	if (answer.status != 200 && c->events)
		http_stream_send(r, "event: error\ndata: ", strlen("event: error\ndata: "));
	if (whole)
		http_stream_send(r, answer.body, answer.size);
	if (answer.status != 200 && c->events)
		http_stream_send(r, "\n\n", 2);
	free(answer.body);
	http_stream_end(r, whole);
}

/* The client's patience, and that of proxies, begins anew with each byte. */
static void keep_alive(struct call *c, int64_t now)
{
	bool streaming = c->http->streaming;
	if (c->events && now - c->spoken >= SPACE_MS) {
		c->spoken = now;
		http_stream_send(c->http, ": ka\n\n", 6);
	}
	/* Whether it streams does not change under a handler. */
	if (c->events || !(c->route->flags & ROUTE_SLOW) || c->http->head.minor == 0 || (!streaming && c->running) ||
	    now - c->spoken < (streaming ? SPACE_MS : SILENT_MS))
		return;
	c->spoken = now;
	if (!streaming) {
		struct http_answer answer = {.fd = -1};
		http_header(&answer, "Cache-Control: no-store");
		http_header(&answer, "X-Accel-Buffering: no");
		add_cors(c->service, &c->http->head, &answer);
		http_stream_begin(c->http, 200, "application/json", answer.headers);
	}
	http_stream_send(c->http, " ", 1);
}

/* What is broken off has told nothing, and who has gone has heard nothing: who asks again shall find the job. */
static void run_call(struct task *t, struct worker *w)
{
	struct call *c = (struct call *)(void *)t;
	(c->resume ? c->resume : c->route->handle)(c, w);
	if (c->decided && !c->silent && !c->gone && (!c->http->streaming || c->events || c->answer.status == 200))
		once_answered(c, w);
}

static void start_call(struct call *c)
{
	c->waits = c->again = false;
	c->running = true;
	pool_add(c->service->pool, &c->task);
}

static void begin_stream(struct call *c)
{
	struct hub_filter filter = *(struct hub_filter *)c->state;
	free(c->state);
	c->state = NULL;
	http_header(&c->answer, "Cache-Control: no-store");
	http_header(&c->answer, "X-Accel-Buffering: no"); /* nginx would keep events back */
	add_cors(c->service, &c->http->head, &c->answer);
	http_stream_begin(c->http, 200, "text/event-stream", c->answer.headers);
	hub_join(c->service->hub, c, &filter);
}

/* One of the jobs that somebody waits for has ended. */
static void on_ended(void *context, const char *id)
{
	struct service *s = context;
	if (s->ended_count < ENDED_MAX)
		snprintf(s->ended[s->ended_count++], JOB_ID_SIZE, "%s", id);
	for (struct call *c = s->waiting, *next; c; c = next) {
		bool wanted = false;
		next = c->next;
		for (int i = 0; i < c->job_count; i++)
			wanted = wanted || strcmp(c->jobs[i], id) == 0;
		if (wanted && c->running)
			c->again = true;
		else if (wanted)
			start_call(c);
	}
}

/* Of a stream of events the head goes out as soon as there is a job to wait for. */
static void send_piece(struct call *c)
{
	if (!c->events)
		return;
	if (!c->http->streaming) {
		struct http_answer answer = {.fd = -1};
		http_header(&answer, "Cache-Control: no-store");
		http_header(&answer, "X-Accel-Buffering: no");
		add_cors(c->service, &c->http->head, &answer);
		http_stream_begin(c->http, 200, "text/event-stream", answer.headers);
	}
	http_stream_send(c->http, c->piece, c->piece_size);
	free(c->piece);
	c->piece = NULL;
	c->piece_size = 0;
}

static void call_done(struct task *t)
{
	struct call *c = (struct call *)(void *)t;
	struct service *s = c->service;
	c->running = false;
	if (c->silent)
		once_leave(s->shared.once, c);
	if (c->streams && !c->gone) {
		begin_stream(c);
		return;
	}
	if (c->waits && s->stopping) {
		call_refuse(c, 503, NULL, "the gateway stops: ask again, the job goes on");
		http_header(&c->answer, "Retry-After: 1");
	}
	if (!c->waits || c->gone || s->stopping) {
		end_call(c);
		return;
	}
	send_piece(c);
	if (!c->link) {
		c->next = s->waiting;
		c->link = &s->waiting;
		if (c->next)
			c->next->link = &c->next;
		s->waiting = c;
		/* What it waits for may have ended before it stood here: long ago, too. */
		c->again = true;
	}
	if (c->again)
		start_call(c);
}

static int refuse_access(const struct route *route, int status, const char *why,
			 struct http_answer *refusal)
{
	answer_error(refusal, route->dialect, status,
		     status == 401   ? "unauthorized"
		     : status == 403 ? "forbidden"
				     : "unavailable",
		     NULL, why);
	if (status == 401)
		http_header(refusal, "WWW-Authenticate: Bearer");
	if (status == 503)
		http_header(refusal, "Retry-After: 5");
	return status;
}

static bool may_stay(void *context, const struct caller *caller)
{
	return access_holds(context, caller);
}

/* A key that has been revoked opens nothing, to those neither who wait already. Their jobs go on. */
static void sift(struct service *s)
{
	struct call *next;
	hub_sift(s->hub, may_stay, &s->access);
	for (struct call *c = s->waiting; c; c = next) {
		next = c->next;
		if (!c->running && !access_holds(&s->access, &c->caller)) {
			refuse_access(c->route, 401, "this key has been revoked", &c->answer);
			end_call(c);
		}
	}
}

/* While the queue is away the keys hold that were there last. */
static void keys_read(struct task *t)
{
	struct service *s = of_key_task(t);
	s->key_task_runs = false;
	if (!s->key_status)
		access_set_keys(&s->access, s->read_keys, s->read_count);
	else
		free(s->read_keys);
	if (!s->key_status && !*s->access.secret)
		memcpy(s->access.secret, s->read_secret, sizeof s->access.secret);
	s->read_keys = NULL;
	sift(s);
}

/* ---- what http.c asks ------------------------------------------------------------------------ */

static void on_refuse(void *context, const struct http_request *r, int status, const char *why,
		      struct http_answer *answer)
{
	const struct call *c = r ? r->context : NULL;
	(void)context;
	answer_error(answer, c && c->route ? c->route->dialect : DIALECT_SUMI, status, "request", NULL, why);
}

static void preflight(const struct service *s, const struct http_request *r,
		      struct http_answer *answer)
{
	const char *origin = head_value(&r->head, "origin");
	answer->status = 204;
	if (!origin || !access_origin_listed(s->o.config, origin))
		return;
	http_header(answer, "Access-Control-Allow-Origin: %s", origin);
	http_header(answer, "Access-Control-Allow-Methods: GET, POST, PATCH, DELETE");
	/* Clients' libraries have headers of their own. */
	const char *asked = head_value(&r->head, "access-control-request-headers");
	http_header(answer, "Access-Control-Allow-Headers: %.500s", asked && *asked ? asked : "authorization, content-type");
	http_header(answer, "Access-Control-Max-Age: 600\r\nVary: Origin");
}

static int admit(struct service *s, struct http_request *r, struct http_answer *refusal)
{
	struct call *c = calloc(1, sizeof *c);
	const char *why = "no memory";
	char allow[128];
	int status = 503;
	if (!c) {
		on_refuse(s, r, status, why, refusal);
		return status;
	}
	r->context = c;
	const struct route *route = route_find(&r->head, c->args, &status, allow);
	if (!route) {
		answer_error(refusal, route_dialect(&r->head), status, status == 404 ? "not_found" : "method",
			     NULL,
			     status == 404 ? "there is nothing under this path"
					   : "this path does not take the method");
		if (status == 405)
			http_header(refusal, "Allow: %s", allow);
		return status;
	}
	if ((status = access_check(&s->access, r, route, c->args, &c->caller, &why)))
		return refuse_access(route, status, why, refusal);
	int wait = route->scope >= QUEUE_SCOPE_SUBMIT ? access_take(&s->access, &c->caller) : 0;
	if (wait) {
		answer_error(refusal, route->dialect, 429, "too_many", NULL,
			     "this key sends more than its rate allows");
		http_header(refusal, "Retry-After: %d", wait);
		return 429;
	}
	c->service = s;
	c->shared = &s->shared;
	c->http = r;
	c->route = route;
	c->answer.fd = -1;
	c->task = (struct task){.run = run_call, .done = call_done};
	r->body_limit = route->body;
	return 0;
}

/* A page that may ask may also read why not. */
static int on_admit(void *context, struct http_request *r, struct http_answer *refusal)
{
	struct service *s = context;
	if (strcmp(r->head.method, "OPTIONS") == 0) {
		preflight(s, r, refusal);
		return refusal->status;
	}
	int status = admit(s, r, refusal);
	if (status)
		add_cors(s, &r->head, refusal);
	return status;
}

static void on_handle(void *context, struct http_request *r)
{
	struct call *c = r->context;
	(void)context;
	c->since = c->spoken = clock_boot_ms();
	if (c->route->flags & ROUTE_QUICK) {
		c->route->handle(c, NULL);
		end_call(c);
	} else {
		start_call(c);
	}
}

/* Nothing of its job is cancelled: whoever asks again shall find it made. */
static void on_gone(void *context, struct http_request *r)
{
	struct service *s = context;
	struct call *c = r->context;
	c->gone = true;
	if (c->stream)
		hub_leave(s->hub, c);
	else if (!c->running || s->closed)
		end_call(c);
}

/* Who sends the same again is not one of two, then. */
static void on_silent(void *context, struct http_request *r)
{
	struct service *s = context;
	struct call *c = r->context;
	c->silent = true;
	if (!c->running)
		once_leave(s->shared.once, c);
}

static void read_ended(struct task *t, struct worker *w)
{
	struct service *s = (struct service *)(void *)((char *)t - offsetof(struct service, ended_task));
	struct queue *queue;
	struct error ignored;
	if (worker_queue(w, &queue, &ignored))
		return;
	for (size_t i = 0; i < s->reading_count; i++)
		metrics_ended(s->shared.metrics, queue, s->reading[i]);
}

static void ended_read(struct task *t)
{
	struct service *s = (struct service *)(void *)((char *)t - offsetof(struct service, ended_task));
	s->ended_task_runs = false;
}

static void count_ended(struct service *s)
{
	metrics_present(s->shared.metrics, http_connections(s->http), hub_streams(s->hub));
	if (s->ended_task_runs || !s->ended_count)
		return;
	char(*swap)[JOB_ID_SIZE] = s->reading;
	s->reading = s->ended;
	s->reading_count = s->ended_count;
	s->ended = swap;
	s->ended_count = 0;
	s->ended_task_runs = true;
	pool_add(s->pool, &s->ended_task);
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
	struct service *s = context;
	int64_t now = clock_boot_ms();
	(void)fd, (void)what;
	if (!s->key_task_runs) {
		s->key_task_runs = true;
		pool_add(s->pool, &s->key_task);
	}
	hub_tick(s->hub);
	count_ended(s);
	for (struct call *c = s->waiting; c; c = c->next)
		keep_alive(c, now);
	for (struct call *c = s->waiting; c; c = c->next)
		if (!c->running && (c->events || now - c->since >= LOOK_MS)) {
			c->since = now;
			start_call(c);
		}
}

int service_new(const struct service_options *options, struct service **out, struct error *err)
{
	struct service *s = calloc(1, sizeof *s);
	struct timeval second = {TICK_MS / 1000, TICK_MS % 1000 * 1000};
	*out = NULL;
	if (!s)
		return error_set(err, SUMI_NOMEM, "out of memory");
	s->o = *options;
	s->access.config = options->config;
	s->key_task = (struct task){.run = read_keys, .done = keys_read};
	struct http_options http = {
	    .base = options->base,
	    .connections = (size_t)options->config->connections,
	    .per_address = (size_t)options->config->connections_per_address,
	    .head_ms = HEAD_MS,
	    .idle_ms = IDLE_MS,
	    .bodies = BODIES_MAX,
	    .context = s,
	    .admit = on_admit,
	    .handle = on_handle,
	    .gone = on_gone,
	    .silent = on_silent,
	    .refuse = on_refuse,
	};
	s->shared = (struct shared){options->config, metrics_new(), once_new(), s->access.secret};
	s->ended = calloc(ENDED_MAX, sizeof *s->ended);
	s->reading = calloc(ENDED_MAX, sizeof *s->reading);
	s->ended_task = (struct task){.run = read_ended, .done = ended_read};
	int status = s->shared.once && s->shared.metrics && s->ended && s->reading
			 ? http_new(&http, &s->http, err)
			     : error_set(err, SUMI_NOMEM, "out of memory");
	if (!status)
		status = pool_new(options->base, options->config, options->queue_url, THREADS,
				  &s->pool, err);
	struct hub_options hub = {.base = options->base,
				  .pool = s->pool,
				  .config = options->config,
				  .queue_url = options->queue_url,
				  .context = s,
				  .ended = on_ended};
	if (!status)
		status = hub_new(&hub, &s->hub, err);
	s->tick = status ? NULL : event_new(options->base, -1, EV_PERSIST, on_tick, s);
	if (!status && (!s->tick || event_add(s->tick, &second)))
		status = error_set(err, SUMI_NOMEM, "out of memory");
	if (status)
		service_free(s);
	else
		*out = s;
	return status;
}

bool service_stop(struct service *s)
{
	if (!s->stopping)
		http_stop(s->http);
	s->stopping = true;
	/* Those that wait for a job ask again; with the same words they find it. */
	for (struct call *c = s->waiting, *next; c; c = next) {
		next = c->next;
		if (!c->running) {
			c->again = false;
			call_done(&c->task);
		}
	}
	return http_busy(s->http) == 0;
}

void service_free(struct service *s)
{
	if (!s)
		return;
	pool_free(s->pool);
	s->closed = true;
	http_free(s->http);
	hub_free(s->hub);
	once_free(s->shared.once);
	metrics_free(s->shared.metrics);
	free(s->ended);
	free(s->reading);
	if (s->tick)
		event_free(s->tick);
	access_clear(&s->access);
	free(s);
}

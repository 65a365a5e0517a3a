/* One watch of the queue for all. Events become text once; whose job it is is asked of the queue in a thread of
 * the pool, and the next events are asked for when these are told, so that they stay in their order. */
#include "gateway/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/grow.h"
#include "base/log.h"
#include "queue/describe.h"
#include "queue/watch.h"

enum {
	WAIT_MS = 1000,
	ALIVE_MS = 15000,
	PENDING_MAX = 1 << 20, /* bytes that a client may be behind */
	PAST_MAX = 10000,
	BATCH_MAX = 100 * (WATCH_JOBS_MAX + 1)
};

/* An event as it goes out, shared by those whom it is told. */
struct note {
	int refs;
	char cursor[QUEUE_CURSOR_SIZE];
	char job[JOB_ID_SIZE], submitter[JOB_ID_SIZE];
	bool own, ended, running;
	size_t size;
	char text[];
};

struct notes {
	struct note **at;
	size_t count, room;
};

struct stream {
	struct stream *next, **link;
	struct call *call; /* NULL: gone while its past was looked up */
	struct hub_filter filter;
	bool behind;       /* its past is being looked up: what happens meanwhile waits */
	struct notes held;
	int64_t spoken;
};

struct hub {
	struct hub_options o;
	struct queue_watch *watch;
	struct event *readable;
	struct stream *streams;
	size_t count;
	struct notes batch; /* of which the senders are being looked up */
	struct task open_task, owner_task, running_task;
	bool opening, looking, listing;
	int status;
	char cursor[QUEUE_CURSOR_SIZE]; /* of the last event; "": none yet */
	struct queue_watch *opened;
	char running[WATCH_JOBS_MAX][JOB_ID_SIZE];
	size_t running_count;
};

#define HUB_OF(task, member) ((struct hub *)(void *)((char *)(task)-offsetof(struct hub, member)))

/* ---- notes ---------------------------------------------------------------------------------- */

static void release(struct note *n)
{
	if (n && --n->refs == 0)
		free(n);
}

static bool push(struct notes *list, struct note *n)
{
	struct note **all = grow_room(list->at, list->count, &list->room, 16, sizeof *all);
	if (!all)
		return false;
	list->at = all;
	n->refs++;
	list->at[list->count++] = n;
	return true;
}

static void empty(struct notes *list)
{
	for (size_t i = 0; i < list->count; i++)
		release(list->at[i]);
	free(list->at);
	*list = (struct notes){0};
}

/* What a stranger need not know of how work is shared out. */
static void make_public(json_t *o)
{
	json_t *file;
	size_t i;
	json_object_del(o, "worker");
	json_array_foreach(json_object_get(o, "result"), i, file)
	{
		json_object_del(file, "lease");
		json_object_del(file, "host");
	}
}

static bool ends(const char *event)
{
	int state = job_state_from_word(event);
	return state >= 0 && job_state_is_final((enum job_state)state);
}

/* Only state changes can be gone on from: they stand in one order. */
static struct note *make_note(const struct queue_event *event, bool own)
{
	json_t *o = queue_event_json(event);
	make_public(o);
	char *data = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9));
	json_decref(o);
	size_t room = data ? strlen(data) + 160 : 0;
	struct note *n = data ? calloc(1, sizeof *n + room) : NULL;
	if (n) {
		int used = snprintf(n->text, room, "%s%s%sevent: %.40s\ndata: %s\n\n", own ? "" : "id: ",
				    own ? "" : event->cursor, own ? "" : "\n", event->event, data);
		n->size = (size_t)used;
		snprintf(n->cursor, sizeof n->cursor, "%s", event->cursor);
		snprintf(n->job, sizeof n->job, "%s", event->id);
		n->own = own;
		n->ended = ends(event->event);
		n->running = strcmp(event->event, "running") == 0;
		n->refs = 1;
	}
	free(data);
	return n;
}

/* An event's name stands on a line of its own. */
static bool is_word(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz_-");
	return n && !text[n] && n <= 40;
}

static bool later(const char *a, const char *b)
{
	unsigned long long ams = 0, an = 0, bms = 0, bn = 0;
	sscanf(a, "%20llu-%20llu", &ams, &an);
	sscanf(b, "%20llu-%20llu", &bms, &bn);
	return ams != bms ? ams > bms : an > bn;
}

/* ---- telling -------------------------------------------------------------------------------- */

static bool wants(const struct stream *s, const struct note *n)
{
	if (n->own && s->filter.quiet)
		return false;
	if (*s->filter.job && strcmp(s->filter.job, n->job) != 0)
		return false;
	return call_owns(s->call, n->submitter);
}

static void put(struct stream *s, const struct note *n)
{
	http_stream_send(s->call->http, n->text, n->size);
	s->spoken = clock_boot_ms();
}

static void leave(struct hub *h, struct stream *s)
{
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	h->count--;
	empty(&s->held);
	free(s);
}

/* Who reads too slowly is cut off, and goes on from its last event when it comes again. */
static void end_stream(struct hub *h, struct stream *s)
{
	struct call *c = s->call;
	c->stream = NULL;
	if (s->behind)
		s->call = NULL; /* the task has it still */
	else
		leave(h, s);
	http_stream_end(c->http, false);
}

static void tell(struct hub *h, struct note *n)
{
	for (struct stream *s = h->streams, *next; s; s = next) {
		next = s->next;
		if (!s->call || !wants(s, n))
			continue;
		if (s->behind)
			push(&s->held, n);
		else if (http_stream_pending(s->call->http) > PENDING_MAX)
			end_stream(h, s);
		else
			put(s, n);
	}
}

/* ---- watching ------------------------------------------------------------------------------- */

static void lost(struct hub *h)
{
	if (h->readable)
		event_free(h->readable);
	h->readable = NULL;
	queue_watch_close(h->watch);
	h->watch = NULL;
	empty(&h->batch);
}

static void ask(struct hub *h)
{
	struct error err;
	if (h->watch && queue_watch_ask(h->watch, WAIT_MS, &err)) {
		log_warn("watch.lost", "error=\"%s\"", err.text);
		lost(h);
	}
}

/* Progress and pictures of a job are watched while it runs and somebody looks. */
static void follow(struct hub *h, const struct note *n)
{
	char from[QUEUE_CURSOR_SIZE];
	if (n->own || !h->watch)
		return;
	if (n->running) {
		snprintf(from, sizeof from, "%.*s-0", (int)strcspn(n->cursor, "-"), n->cursor);
		queue_watch_job(h->watch, n->job, from);
	} else if (n->ended) {
		queue_watch_forget(h->watch, n->job);
	}
}

static void find_owners(struct task *t, struct worker *w)
{
	struct hub *h = HUB_OF(t, owner_task);
	struct queue *queue;
	struct error err;
	size_t count = h->batch.count;
	const char **ids = malloc((count + 1) * sizeof *ids);
	char(*names)[JOB_ID_SIZE] = malloc((count + 1) * sizeof *names);
	h->status = ids && names ? worker_queue(w, &queue, &err) : SUMI_NOMEM;
	for (size_t i = 0; i < count && !h->status; i++)
		ids[i] = h->batch.at[i]->job;
	if (!h->status)
		h->status = queue_submitters(queue, ids, count, names, &err);
	for (size_t i = 0; i < count && !h->status; i++)
		memcpy(h->batch.at[i]->submitter, names[i], JOB_ID_SIZE);
	free(ids);
	free(names);
}

static void owners_found(struct task *t)
{
	struct hub *h = HUB_OF(t, owner_task);
	h->looking = false;
	for (size_t i = 0; i < h->batch.count; i++) {
		if (!h->status)
			tell(h, h->batch.at[i]);
		follow(h, h->batch.at[i]);
	}
	empty(&h->batch);
	ask(h);
}

static void on_happened(void *context, const struct queue_event *event, bool own)
{
	struct hub *h = context;
	if (!own) {
		snprintf(h->cursor, sizeof h->cursor, "%s", event->cursor);
		if (ends(event->event))
			h->o.ended(h->o.context, event->id);
	}
	/* The state changes of a job stand in its own stream as well. */
	static const char *const shown[] = {"progress", "preview", "frame", "answered", "retry",
					    "recovered", "released"};
	bool wanted = !own;
	for (size_t i = 0; i < sizeof shown / sizeof shown[0] && !wanted; i++)
		wanted = strcmp(event->event, shown[i]) == 0;
	if (!wanted || !h->count || h->batch.count >= BATCH_MAX || !is_word(event->event))
		return;
	struct note *n = make_note(event, own);
	if (n)
		push(&h->batch, n);
	release(n);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct hub *h = context;
	bool whole;
	struct error err;
	(void)fd, (void)what;
	if (h->looking)
		return;
	if (queue_watch_take(h->watch, on_happened, h, &whole, &err)) {
		log_warn("watch.lost", "error=\"%s\"", err.text);
		lost(h);
		return;
	}
	if (!whole)
		return;
	if (!h->batch.count) {
		ask(h);
		return;
	}
	h->looking = true;
	pool_add(h->o.pool, &h->owner_task);
}

static void open_watch(struct task *t, struct worker *w)
{
	struct hub *h = HUB_OF(t, open_task);
	struct queue_options options = {
	    .url = h->o.queue_url, .prefix = h->o.config->prefix, .patience_ms = -1};
	struct error err;
	(void)w;
	h->opened = NULL;
	if (queue_watch_open(&options, &h->opened, &err))
		h->opened = NULL;
}

/* Jobs that run already when the first one looks. */
static void list_running(struct task *t, struct worker *w)
{
	struct hub *h = HUB_OF(t, running_task);
	struct queue *queue;
	struct queue_entry *entries = NULL;
	struct error err;
	size_t count = 0;
	h->running_count = 0;
	if (worker_queue(w, &queue, &err) ||
	    queue_list(queue, JOB_RUNNING, 0, WATCH_JOBS_MAX, &entries, &count, &err))
		return;
	for (; h->running_count < count; h->running_count++)
		memcpy(h->running[h->running_count], entries[h->running_count].id, JOB_ID_SIZE);
	queue_list_free(entries, count);
}

static void running_listed(struct task *t)
{
	struct hub *h = HUB_OF(t, running_task);
	char now[QUEUE_CURSOR_SIZE];
	h->listing = false;
	snprintf(now, sizeof now, "%lld-0", (long long)clock_wall_ms());
	for (size_t i = 0; i < h->running_count && h->watch; i++)
		queue_watch_job(h->watch, h->running[i], *h->cursor ? h->cursor : now);
}

static void look_at_running(struct hub *h)
{
	if (h->listing || !h->watch || !h->count)
		return;
	h->listing = true;
	pool_add(h->o.pool, &h->running_task);
}

static void watch_opened(struct task *t)
{
	struct hub *h = HUB_OF(t, open_task);
	h->opening = false;
	if (!h->opened)
		return;
	h->watch = h->opened;
	h->opened = NULL;
	if (*h->cursor) /* what happened while the queue could not be reached is told too */
		queue_watch_from(h->watch, h->cursor);
	else
		snprintf(h->cursor, sizeof h->cursor, "%s", queue_watch_cursor(h->watch));
	h->readable = event_new(h->o.base, queue_watch_fd(h->watch), EV_READ | EV_PERSIST, on_readable, h);
	if (!h->readable || event_add(h->readable, NULL)) {
		lost(h);
		return;
	}
	ask(h);
	look_at_running(h);
}

void hub_tick(struct hub *h)
{
	int64_t now = clock_boot_ms();
	if (!h->watch && !h->opening) {
		h->opening = true;
		pool_add(h->o.pool, &h->open_task);
	}
	for (struct stream *s = h->streams; s; s = s->next)
		if (s->call && now - s->spoken >= ALIVE_MS) {
			http_stream_send(s->call->http, ": ka\n\n", 6);
			s->spoken = now;
		}
}

/* ---- streams -------------------------------------------------------------------------------- */

/* The past of one stream. */
struct past {
	struct task task; /* first */
	struct hub *hub;
	struct stream *stream;
	struct notes notes;
	char after[QUEUE_CURSOR_SIZE];
	int status;
};

static void on_past(void *context, const struct queue_event *event, bool own)
{
	struct past *p = context;
	struct note *n = is_word(event->event) ? make_note(event, own) : NULL;
	if (n)
		push(&p->notes, n);
	release(n);
}

static void read_past(struct task *t, struct worker *w)
{
	struct past *p = (struct past *)(void *)t;
	struct queue *queue;
	struct error err;
	p->status = worker_queue(w, &queue, &err);
	if (!p->status)
		p->status = queue_watch_past(queue, p->after, PAST_MAX, on_past, p, &err);
	size_t count = p->notes.count;
	const char **ids = malloc((count + 1) * sizeof *ids);
	char(*names)[JOB_ID_SIZE] = malloc((count + 1) * sizeof *names);
	if (!p->status && (!ids || !names))
		p->status = SUMI_NOMEM;
	for (size_t i = 0; i < count && !p->status; i++)
		ids[i] = p->notes.at[i]->job;
	if (!p->status)
		p->status = queue_submitters(queue, ids, count, names, &err);
	for (size_t i = 0; i < count && !p->status; i++)
		memcpy(p->notes.at[i]->submitter, names[i], JOB_ID_SIZE);
	free(ids);
	free(names);
}

static void past_read(struct task *t)
{
	struct past *p = (struct past *)(void *)t;
	struct stream *s = p->stream;
	struct hub *h = p->hub;
	const char *last = p->after;
	s->behind = false;
	if (!s->call) {
		leave(h, s);
	} else if (p->status) {
		end_stream(h, s); /* it asks again */
	} else {
		for (size_t i = 0; i < p->notes.count; i++) {
			last = p->notes.at[i]->cursor;
			if (wants(s, p->notes.at[i]))
				put(s, p->notes.at[i]);
		}
		for (size_t i = 0; i < s->held.count; i++)
			if (s->held.at[i]->own || later(s->held.at[i]->cursor, last))
				put(s, s->held.at[i]);
		empty(&s->held);
	}
	empty(&p->notes);
	free(p);
}

static void drop_past(struct task *t)
{
	struct past *p = (struct past *)(void *)t;
	empty(&p->notes);
	free(p);
}

void hub_join(struct hub *h, struct call *call, const struct hub_filter *filter)
{
	static const char hello[] = "retry: 2000\n: sumi\n\n";
	struct stream *s = calloc(1, sizeof *s);
	struct past *p = *filter->after ? calloc(1, sizeof *p) : NULL;
	if (!s || (*filter->after && !p)) {
		free(s);
		free(p);
		http_stream_end(call->http, false);
		return;
	}
	s->call = call;
	s->filter = *filter;
	s->spoken = clock_boot_ms();
	call->stream = s;
	s->next = h->streams;
	s->link = &h->streams;
	if (s->next)
		s->next->link = &s->next;
	h->streams = s;
	h->count++;
	http_stream_send(call->http, hello, sizeof hello - 1);
	if (p) {
		s->behind = true;
		p->task = (struct task){.run = read_past, .done = past_read, .drop = drop_past};
		p->hub = h;
		p->stream = s;
		memcpy(p->after, filter->after, sizeof p->after);
		pool_add(h->o.pool, &p->task);
	}
	if (h->count == 1)
		look_at_running(h);
}

void hub_leave(struct hub *h, struct call *call)
{
	if (call->stream)
		end_stream(h, call->stream);
}

void hub_sift(struct hub *h, bool (*may)(void *context, const struct caller *caller), void *context)
{
	for (struct stream *s = h->streams, *next; s; s = next) {
		next = s->next;
		if (s->call && !may(context, &s->call->caller))
			end_stream(h, s);
	}
}

size_t hub_streams(const struct hub *h)
{
	return h->count;
}

int hub_new(const struct hub_options *options, struct hub **out, struct error *err)
{
	struct hub *h = calloc(1, sizeof *h);
	*out = h;
	if (!h)
		return error_set(err, SUMI_NOMEM, "out of memory");
	h->o = *options;
	h->open_task = (struct task){.run = open_watch, .done = watch_opened};
	h->owner_task = (struct task){.run = find_owners, .done = owners_found};
	h->running_task = (struct task){.run = list_running, .done = running_listed};
	hub_tick(h);
	return SUMI_OK;
}

void hub_free(struct hub *h)
{
	if (!h)
		return;
	while (h->streams)
		leave(h, h->streams);
	lost(h);
	queue_watch_close(h->opened);
	free(h);
}

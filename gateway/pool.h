/* A few threads for what may have to wait: the queue's server, the database, a disk. Each has connections
 * of its own. The event loop hands over a task and gets it back when it is done. */
#ifndef SUMI_GATEWAY_POOL_H
#define SUMI_GATEWAY_POOL_H

#include <event2/event.h>

#include "base/config.h"
#include "queue/sources.h"
#include "storage/storage.h"

struct worker;

/* The thread's connection to the queue: SUMI_CONNECT where it cannot be had. Borrowed. */
int worker_queue(struct worker *w, struct queue **queue, struct error *err);
/* The store, read only; SUMI_NOTFOUND where nothing has been made yet. Borrowed until the task ends. */
int worker_store(struct worker *w, struct store **store, struct error *err);
const struct config *worker_config(const struct worker *w);
/* Whether the packs of this host can make a job, as far as it is theirs to say: SUMI_INVALID and the like with what
 * they would refuse. */
int worker_admit(struct worker *w, const struct job *job, struct error *err);
/* queue_sources_check(): SUMI_INVALID for files and results that will not come. */
int worker_links(struct worker *w, struct job *job, queue_coming *coming, void *context, struct error *err);

struct task {
	void (*run)(struct task *task, struct worker *w); /* in a thread of the pool */
	void (*done)(struct task *task);                  /* in the event loop */
	void (*drop)(struct task *task); /* instead of done, when the pool ends before; may be NULL */
	struct task *next;                                /* the pool's */
};

struct pool;

/* queue_url is copied. */
int pool_new(struct event_base *base, const struct config *config, const char *queue_url, int threads,
	     struct pool **out, struct error *err);
void pool_add(struct pool *pool, struct task *task);
/* Waits for tasks that run; those that wait are left undone, and all that are not done are dropped. */
void pool_free(struct pool *pool);

#endif

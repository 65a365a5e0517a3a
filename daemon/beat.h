/* The heartbeat thread of a worker. It tells Redis that the worker lives and extends the
 * lease of the job that runs, on a connection of its own, because a step may take longer
 * than a lease. It stops extending when work stops: a worker that hangs loses its job. */
#ifndef SUMI_DAEMON_BEAT_H
#define SUMI_DAEMON_BEAT_H

#include "queue/queue.h"

struct beat;

struct beat_options {
	struct queue_options queue;
	const struct queue_worker *worker; /* borrowed for the life of the thread */
	int64_t lease_ms;
	bool seat; /* the worker is one (queue_claim_fellow()), and not told to live */
	/* Called by the heartbeat's thread when a job that was cancelled or lost has made no progress for
	 * so long since that was heard; NULL: nobody. */
	void (*leave)(const char *id);
	int64_t leave_ms;
	/* What grows while the worker works, asked by the heartbeat's thread (device_done()): a step that takes long
	 * is no hang while it does. alive is told then, so that others hear of it; NULL: nobody. */
	uint64_t (*done)(void *context);
	void (*alive)(void *context);
	void *context; /* of both */
};

int beat_start(const struct beat_options *options, struct beat **out, struct error *err);
void beat_stop(struct beat *beat); /* NULL is fine */

/* Why the worker takes no jobs now (a text that lives on), or NULL: told with its signs of life, a
 * new one at once. */
void beat_waits(struct beat *beat, const char *waits);

/* So many steps more have been made, and so many bytes of the device are used: told with the next sign of
 * life. */
void beat_figures(struct beat *beat, int steps, int64_t memory_used);

/* From now on this lease is extended, while beat_progress() is called, or options.done grows, at least every
 * limit_ms. */
void beat_lease(struct beat *beat, const struct queue_lease *lease, int64_t limit_ms);

/* A step was made. limit_ms: how long the next one may take. */
void beat_progress(struct beat *beat, const struct queue_progress *progress, int64_t limit_ms);

/* What the queue last said of the job. *lost: the lease is not ours any more. */
enum queue_hint beat_hint(struct beat *beat, bool *lost);

/* The job has ended or was given back: nothing is extended any more when this returns. */
void beat_release(struct beat *beat);

#endif

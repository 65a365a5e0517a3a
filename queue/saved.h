/* Saved steps of running jobs, kept in Redis so that whichever worker takes a job over, on
 * whichever host, goes on from there. They are a convenience, not the truth: a job without
 * one begins anew and gives the same bytes. */
#ifndef SUMI_QUEUE_SAVED_H
#define SUMI_QUEUE_SAVED_H

#include "queue/queue.h"

#define QUEUE_SAVED_MAX (64u << 20) /* bytes of one saved state */

/* Puts the state of one variant, in place of what was saved before (of any variant of the
 * job). SUMI_LOST when the lease is not ours any more, SUMI_TOOBIG past QUEUE_SAVED_MAX. */
int queue_save(struct queue *queue, const struct queue_lease *lease, int variant, const void *data,
	       size_t size, struct error *err);

/* SUMI_NOTFOUND when nothing is saved for that variant. The caller frees *data. */
int queue_saved(struct queue *queue, const char *id, int variant, void **data, size_t *size,
		struct error *err);

/* After the job's end. Nothing there is fine. */
int queue_saved_drop(struct queue *queue, const char *id, struct error *err);

#endif

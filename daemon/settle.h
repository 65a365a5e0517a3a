/* The end of jobs: telling the queue, and bringing the store into line with what the queue
 * says, also for jobs that another host ended. */
#ifndef SUMI_DAEMON_SETTLE_H
#define SUMI_DAEMON_SETTLE_H

#include "queue/queue.h"
#include "storage/storage.h"

#define SETTLE_MARK_SIZE 17

/* Stands in what is told about a result, so that it can be seen later from which lease, and so
 * from which store, it came. Made from the lease's token, which nobody else may know. */
void settle_mark(const char *token, char out[SETTLE_MARK_SIZE]);

/* The queue's finish for a job that is stored, and then the store's last step. */
int settle_finish(struct store *store, struct queue *queue, const struct queue_finish *finish,
		  struct error *err);

/* settle_finish() for all that a crash left between the two. */
int settle_pending(struct store *store, struct queue *queue, const char *worker, struct error *err);

/* Jobs that were begun here and ended elsewhere: finished by another host, put aside after too
 * many crashes, cancelled. Those that Redis lost, and that are younger than remembered_ms, are
 * sent again. */
int settle_strays(struct store *store, struct queue *queue, int64_t remembered_ms,
		  struct error *err);

#endif

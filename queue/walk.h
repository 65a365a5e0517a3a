/* Going through the queue, whatever its length, while it moves. */
#ifndef SUMI_QUEUE_WALK_H
#define SUMI_QUEUE_WALK_H

#include "queue/queue.h"

/* Stops the walk with the status that it returns; SUMI_CANCELLED ends it without an error. */
typedef int walk_function(void *context, const struct queue_entry *entry, struct error *err);

/* Every job of one state in the order of queue_list(), each once. Pages overlap, so that what
 * leaves the front meanwhile makes no hole. */
int walk_queue(struct queue *queue, enum job_state state, walk_function *each, void *context,
	       struct error *err);

/* Takes in all that was sent before now and still stands in the intake. */
int walk_admit(struct queue *queue, struct error *err);

#endif

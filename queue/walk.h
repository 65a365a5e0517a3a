/* Going through the queue, whatever its length, while it moves. */
#ifndef SUMI_QUEUE_WALK_H
#define SUMI_QUEUE_WALK_H

#include "queue/queue.h"

/* Stops the walk with the status that it returns; SUMI_CANCELLED ends it without an error. */
typedef int walk_function(void *context, const struct queue_entry *entry, struct error *err);

/* The states of jobs that have not ended, in the order in which a person looks for them. */
enum { WALK_LIVE = 4 };
extern const enum job_state walk_live[WALK_LIVE];

/* Every job of one state in the order of queue_list(), each once. Pages overlap, so that what
 * leaves the front meanwhile makes no hole. */
int walk_queue(struct queue *queue, enum job_state state, walk_function *each, void *context,
	       struct error *err);

/* Jobs move on while states are walked one after another, running ones first: what was delayed or blocked may be among the
 * ready ones that were met before, and what was ready may run. Where they went is walked once more; whoever calls back
 * knows whom he has met. waited: there were delayed or blocked ones when the first walk began. */
int walk_moved(struct queue *queue, bool waited, walk_function *each, void *context, struct error *err);

/* Takes in all that was sent before now and still stands in the intake. */
int walk_admit(struct queue *queue, struct error *err);

#endif

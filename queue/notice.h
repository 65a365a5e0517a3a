/* Telling a job's `notify` URL of its end, once, whichever daemon does it. */
#ifndef SUMI_QUEUE_NOTICE_H
#define SUMI_QUEUE_NOTICE_H

#include "queue/queue.h"

/* True in *taken for the one caller who shall send the notice of a job's present end. A job
 * that was run again ends again, and is told again. */
int queue_notice_take(struct queue *queue, const struct queue_entry *entry, bool *taken,
		      struct error *err);

/* Where in the event stream the last daemon stood: "$" when none has been here. */
int queue_notice_cursor(struct queue *queue, char cursor[QUEUE_CURSOR_SIZE], struct error *err);
int queue_notice_seen(struct queue *queue, const char *cursor, struct error *err);

#endif

/* Following the queue from an event loop: the state changes of all jobs and, of some, everything. Nothing here
 * waits but connecting. */
#ifndef SUMI_QUEUE_WATCH_H
#define SUMI_QUEUE_WATCH_H

#include "queue/queue.h"

enum { WATCH_JOBS_MAX = 64 };

struct queue_watch;

/* A connection of its own, from what happens now on. */
int queue_watch_open(const struct queue_options *options, struct queue_watch **out, struct error *err);
void queue_watch_close(struct queue_watch *watch); /* NULL is fine */

/* The state change that it has seen last, and going on behind another one. */
const char *queue_watch_cursor(const struct queue_watch *watch);
void queue_watch_from(struct queue_watch *watch, const char *cursor);

/* The descriptor that becomes readable when an answer is there. */
int queue_watch_fd(const struct queue_watch *watch);

/* Follows a job's own events too, from now on, or from a place in its stream ("0": all that is kept). One more than
 * WATCH_JOBS_MAX is left out. */
void queue_watch_job(struct queue_watch *watch, const char *id, const char *from);
void queue_watch_forget(struct queue_watch *watch, const char *id);

/* Asks for what comes next; an answer comes within wait_ms, an empty one where nothing happens. */
int queue_watch_ask(struct queue_watch *watch, int wait_ms, struct error *err);

/* own: it stands in the job's own stream; the state changes stand in both. The event is cleared afterwards. */
typedef void queue_watch_function(void *context, const struct queue_event *event, bool own);

/* To be called when the descriptor is readable: calls back for each event once the answer is whole; then *whole,
 * and the next can be asked for. SUMI_CONNECT: the connection is gone, and the watch of no more use. */
int queue_watch_take(struct queue_watch *watch, queue_watch_function *each, void *context, bool *whole,
		     struct error *err);

/* The state changes behind a cursor that are still kept, at most limit, oldest first. */
int queue_watch_past(struct queue *queue, const char *cursor, size_t limit, queue_watch_function *each,
		     void *context, struct error *err);

/* The last picture of a running job while it forms, as WebP; the caller frees *data. SUMI_NOTFOUND. */
int queue_last_preview(struct queue *queue, const char *id, char **data, size_t *size,
		       struct error *err);

/* Who sent each of these jobs: "" where that is not known. */
int queue_submitters(struct queue *queue, const char *const *ids, size_t count,
		     char (*submitters)[JOB_ID_SIZE], struct error *err);

#endif

/* What a job starts from, before it is taken in: what can be known of that then. */
#ifndef SUMI_QUEUE_SOURCES_H
#define SUMI_QUEUE_SOURCES_H

#include "base/hash.h"
#include "queue/queue.h"
#include "request/files.h"
#include "request/result_name.h"

/* The SHA-256 that the queue has heard of a result; "" where it has not. */
void queue_result_told(struct queue *queue, const struct result_name *r, char sha256[SHA256_HEX_SIZE]);

/* SUMI_NOTFOUND where a file that the job names by its hash lies nowhere, or a result that it names will not come: its
 * job is at its end without it, or nobody has sent it and `after` does not name it. A result that is being made, or
 * whose job is on its way (coming says so; NULL: none is), is put into `after`, so that the job waits for it. What
 * options.stored cannot know is left to the worker, and so is all where that is NULL or Redis does not answer. */
typedef bool queue_coming(void *context, const char *id);
int queue_source_check(struct queue *queue, struct job *job, const struct request_file *f, queue_coming *coming,
		       void *context, struct error *err);

/* The same of all files of a job. */
int queue_sources_check(struct queue *queue, struct job *job, queue_coming *coming, void *context, struct error *err);

#endif

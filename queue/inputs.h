/* Files that jobs start from, on their way through the queue: named by their SHA-256, counted, and
 * kept for as long as a job that has not ended names them, and a day longer. */
#ifndef SUMI_QUEUE_INPUTS_H
#define SUMI_QUEUE_INPUTS_H

#include "base/hash.h"
#include "queue/queue.h"

#define QUEUE_INPUT_MAX ((size_t)32 << 20) /* bytes of one */

/* Puts a file there, unless it is. A job that names sha256 must follow within an hour. SUMI_TOOBIG
 * when it, or all of them together, would be too large; the message says what to do. */
int queue_input_send(struct queue *queue, const char *sha256, const void *data, size_t size,
		     struct error *err);

/* The bytes, which the caller frees and checks: anybody may have put others there. SUMI_NOTFOUND. */
int queue_input_get(struct queue *queue, const char *sha256, void **data, size_t *size,
		    struct error *err);

int queue_input_there(struct queue *queue, const char *sha256, bool *there, struct error *err);

/* Asks the daemons of all hosts for a file that the queue does not have: whose store has it puts it
 * there, within seconds. */
int queue_input_want(struct queue *queue, const char *sha256, struct error *err);

#define QUEUE_WANTED_MAX 16
/* What is asked for, of the last minute. */
int queue_inputs_wanted(struct queue *queue, char names[QUEUE_WANTED_MAX][SHA256_HEX_SIZE],
			size_t *count, struct error *err);
/* It has been put there. */
int queue_input_delivered(struct queue *queue, const char *sha256, struct error *err);

/* Whether a job that has not ended starts from one of these: SHA-256s, or names of results as jobs
 * write them. What still lies in the intake does not count. */
int queue_inputs_used(struct queue *queue, char *const *names, size_t count, bool *used,
		      struct error *err);

/* What all of them may take, for every sender. */
int queue_inputs_limit(struct queue *queue, int64_t bytes, struct error *err);

/* Counts those that somebody has put there without a job, and drops what nobody needs. */
int queue_inputs_sweep(struct queue *queue, size_t *dropped, struct error *err);

#endif

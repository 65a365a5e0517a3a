/* What is to be changed about results: stars, tags, deleting. A gateway only reads results, and they may
 * lie on any host; so it writes its wish into a stream, and each daemon does in its store what concerns it. */
#ifndef SUMI_QUEUE_CHANGES_H
#define SUMI_QUEUE_CHANGES_H

#include <jansson.h>

#include "queue/queue.h"

struct queue_change {
	char id[JOB_ID_SIZE]; /* of the job */
	int starred;          /* 0, 1; -1: as it is */
	json_t *tags;         /* a list of texts; NULL: as they are */
	bool deleted;
	char cursor[QUEUE_CURSOR_SIZE]; /* read only */
};
void queue_change_clear(struct queue_change *c);

/* Some 10,000 are kept: a daemon that was away for more misses the first ones. */
int queue_change_send(struct queue *queue, const struct queue_change *c, struct error *err);

/* Those behind a cursor, oldest first, at most limit; a damaged one has an empty id. *cursor "": none has
 * been read yet, nothing of the past is told; it is moved on to the newest. The caller clears and frees them. */
int queue_changes(struct queue *queue, char cursor[QUEUE_CURSOR_SIZE], int limit,
		  struct queue_change **list, size_t *count, struct error *err);

#endif

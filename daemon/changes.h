/* What gateways ask to be changed about results: stars, tags, deleting (queue/changes.h). */
#ifndef SUMI_DAEMON_CHANGES_H
#define SUMI_DAEMON_CHANGES_H

#include "queue/queue.h"
#include "storage/storage.h"

struct changer {
	char cursor[QUEUE_CURSOR_SIZE]; /* as the store has it; "" until it has been read */
	int64_t next;                   /* after a failure: when to try again */
};

/* Does what has been asked since the last call, as far as this store has those jobs; how far it has come
 * stands in the store. now: monotonic milliseconds. Harmless to repeat. */
void changes_make(struct changer *c, struct store *store, struct queue *queue, int64_t now);

#endif

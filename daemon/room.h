/* What devices and stores hold, for what is admitted to a queue. */
#ifndef SUMI_DAEMON_ROOM_H
#define SUMI_DAEMON_ROOM_H

#include "modalities/admission.h"
#include "queue/queue.h"
#include "storage/storage.h"

/* Asks the queue, every few seconds, which is the largest device of a living worker; *next_ms, monotonic, is
 * when it does so again and begins with 0. */
void room_look(struct queue *queue, int64_t now_ms, int64_t *next_ms, struct admission *a);

/* queue_options.stored, context is a struct room_store: *store, NULL until it is open, and whether other hosts have
 * one too. */
struct room_store {
	struct store **store;
	bool others;
};
enum queue_stored room_stored(void *context, const char *name);

#endif

/* What stores hold, for what is admitted to a queue. */
#ifndef SUMI_DAEMON_ROOM_H
#define SUMI_DAEMON_ROOM_H

#include "queue/queue.h"
#include "storage/storage.h"

/* queue_options.stored, context is a struct room_store: *store, NULL until it is open, and whether other hosts have
 * one too. */
struct room_store {
	struct store **store;
	bool others;
};
enum queue_stored room_stored(void *context, const char *name);

#endif

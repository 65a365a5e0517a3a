#include "daemon/room.h"

#include "storage/blobs.h"

enum { LOOK_MS = 5000 };

void room_look(struct queue *queue, int64_t now_ms, int64_t *next_ms, struct admission *a)
{
	struct error ignored;
	bool any;
	if (now_ms < *next_ms ||
	    queue_largest_device(queue, &a->memory, a->device, sizeof a->device, &any, &ignored))
		return;
	if (any) /* else the first is about to tell that it lives */
		*next_ms = now_ms + LOOK_MS;
}

enum queue_stored room_stored(void *context, const char *name)
{
	const struct room_store *own = context;
	struct error ignored;
	bool there;
	if (!*own->store || store_has(*own->store, name, &there, &ignored))
		return QUEUE_MAY_BE_STORED;
	return there ? QUEUE_STORED : own->others ? QUEUE_MAY_BE_STORED : QUEUE_NOT_STORED;
}

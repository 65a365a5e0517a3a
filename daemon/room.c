#include "daemon/room.h"

#include "storage/blobs.h"

enum queue_stored room_stored(void *context, const char *name)
{
	const struct room_store *own = context;
	struct error ignored;
	bool there;
	if (!*own->store || store_has(*own->store, name, &there, &ignored))
		return QUEUE_MAY_BE_STORED;
	return there ? QUEUE_STORED : own->others ? QUEUE_MAY_BE_STORED : QUEUE_NOT_STORED;
}

/* keep_results: what becomes too old, or too much, is deleted. */
#ifndef SUMI_DAEMON_KEEP_H
#define SUMI_DAEMON_KEEP_H

#include "base/config.h"
#include "queue/queue.h"
#include "storage/storage.h"

struct keeper {
	int64_t next; /* by the clock that keep_results() is given */
	int64_t excess; /* bytes that the pieces of this look have yet to free; 0: it begins */
	bool told;	/* that nothing more can be deleted */
	int spared[2];	/* of this look, by age and by size: jobs at the beginning that stay */
};

/* Deletes the oldest results beyond what the settings keep, a piece of it: for a quarter of a second
 * at most. What a waiting job starts from stays. now: monotonic milliseconds; it looks once a minute, and again at the next call while
 * there is more to do. The queue forgets a job first, then the store; both are harmless to repeat.
 * What fails is logged, and tried again a minute later. */
void keep_results(struct keeper *keeper, const struct config_keep *keep, struct store *store,
		  struct queue *queue, int64_t now);

#endif

/* Jobs that several hosts had a hand in: what of them stands in this store. */
#ifndef SUMI_STORAGE_SETTLE_H
#define SUMI_STORAGE_SETTLE_H

#include "storage/storage.h"

/* The queue says that a job is done, by whichever host. Bit k of ours: result k came from here
 * and is shown; other results of it that stand here are dropped, another store shows them. A job
 * of which nothing is left here becomes superseded, unless the last lease was ours (winner): then
 * it is shown without files. A job that is visible already stays as it is. */
int store_job_settle(struct store *s, const char *id, uint64_t ours, bool winner,
		     struct error *err);

/* Jobs that a worker of this host began and that have not ended here, oldest first; finished
 * holds when they were entered. The caller frees *list with store_pending_free(). */
int store_unsettled(struct store *s, struct store_pending **list, size_t *count, struct error *err);

#endif

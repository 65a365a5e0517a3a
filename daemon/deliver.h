/* Files that workers of other hosts start from, out of this host's store. */
#ifndef SUMI_DAEMON_DELIVER_H
#define SUMI_DAEMON_DELIVER_H

#include "queue/queue.h"
#include "storage/storage.h"

/* Puts into the queue what is asked for there and lies here. */
int deliver_inputs(struct store *store, struct queue *queue, struct error *err);

#endif

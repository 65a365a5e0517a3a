/* The queue of a server that others run, copied out of it and into it. What lies between is the folder
 * of a private Redis (queue/private_redis.h), the same that redis_copy() makes. */
#ifndef SUMI_QUEUE_SNAPSHOT_H
#define SUMI_QUEUE_SNAPSHOT_H

#include <stdbool.h>

#include "queue/queue.h"

/* Copies all keys of the queue's prefix, as they stand at one moment, into state_dir/redis, which is
 * made. The server is asked for a copy of itself, as a replica would (SYNC); redis-server runs here for
 * a moment. SUMI_UNSUPPORTED where the server gives none. */
int queue_copy_out(struct queue *queue, const char *state_dir, struct error *err);

/* The reverse. SUMI_BUSY while a worker of that queue lives; SUMI_INVALID, where the server has keys of
 * the prefix and replace is not given. Not in one moment: nobody may use the queue meanwhile. */
int queue_copy_in(struct queue *queue, const char *state_dir, bool replace, struct error *err);

#endif

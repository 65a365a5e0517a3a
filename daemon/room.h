/* What the devices that serve a queue hold, for what is admitted to it. */
#ifndef SUMI_DAEMON_ROOM_H
#define SUMI_DAEMON_ROOM_H

#include "modalities/admission.h"
#include "queue/queue.h"

/* Asks the queue, every few seconds, which is the largest device of a living worker; *next_ms, monotonic, is
 * when it does so again and begins with 0. */
void room_look(struct queue *queue, int64_t now_ms, int64_t *next_ms, struct admission *a);

#endif

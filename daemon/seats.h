/* The seats of a worker: names and heartbeats for the jobs that it makes beside another one. */
#ifndef SUMI_DAEMON_SEATS_H
#define SUMI_DAEMON_SEATS_H

#include "daemon/beat.h"

struct seats;

struct seat {
	struct queue_worker self; /* the worker, under the seat's name */
	struct beat *beat;
	char name[QUEUE_NAME_SIZE];
};

/* options: of the worker's own beat; what they point to is borrowed. */
int seats_new(const struct beat_options *options, struct seats **out, struct error *err);
void seats_free(struct seats *seats); /* NULL is fine */

/* The seat with a number from 0 to GROUP_MAX - 2; its heartbeat starts when it is first asked for.
 * Borrowed. SUMI_CONNECT and others of beat_start(). */
int seats_get(struct seats *seats, int number, struct seat **out, struct error *err);

#endif

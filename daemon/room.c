#include "daemon/room.h"

#include <stdio.h>
#include <stdlib.h>

enum { LOOK_MS = 5000 };

void room_look(struct queue *queue, int64_t now_ms, int64_t *next_ms, struct admission *a)
{
	struct queue_worker_info *workers;
	struct error ignored;
	size_t count;
	bool known = true;
	if (now_ms < *next_ms || queue_workers(queue, &workers, &count, &ignored))
		return;
	if (count) /* else the first is about to tell that it lives */
		*next_ms = now_ms + LOOK_MS;
	a->memory = 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t memory = (uint64_t)workers[i].figures.memory;
		known &= memory > 0;
		if (memory <= a->memory)
			continue;
		a->memory = memory;
		snprintf(a->device, sizeof a->device, "%s", workers[i].device);
	}
	if (!known) /* then it may be the largest */
		a->memory = 0;
	free(workers);
}

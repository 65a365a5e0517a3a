/* Seats, each with a heartbeat of its own. */
#include "daemon/seats.h"

#include <stdio.h>
#include <stdlib.h>

#include "daemon/group.h"

struct seats {
	struct beat_options options;
	struct seat all[GROUP_MAX - 1];
};

int seats_new(const struct beat_options *options, struct seats **out, struct error *err)
{
	*out = calloc(1, sizeof **out);
	if (!*out)
		return error_set(err, SUMI_NOMEM, "out of memory");
	(*out)->options = *options;
	(*out)->options.seat = true;
	return SUMI_OK;
}

void seats_free(struct seats *seats)
{
	if (!seats)
		return;
	for (int i = 0; i < GROUP_MAX - 1; i++)
		beat_stop(seats->all[i].beat);
	free(seats);
}

int seats_get(struct seats *seats, int number, struct seat **out, struct error *err)
{
	struct seat *seat = &seats->all[number];
	if (!seat->beat) {
		int used = snprintf(seat->name, sizeof seat->name, "%s:%d",
				    seats->options.worker->name, number + 1);
		if (used >= (int)sizeof seat->name)
			return error_set(err, SUMI_INVALID, "worker %s: the name is too long",
					 seats->options.worker->name);
		seat->self = *seats->options.worker;
		seat->self.name = seat->name;
		struct beat_options options = seats->options;
		options.worker = &seat->self;
		int status = beat_start(&options, &seat->beat, err);
		if (status)
			return status;
	}
	*out = seat;
	return SUMI_OK;
}

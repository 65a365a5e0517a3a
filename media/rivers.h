/* Rivers of a landscape: where its lowest way from border to border is a channel, that becomes a bed
 * that falls all the way. */
#ifndef SUMI_MEDIA_RIVERS_H
#define SUMI_MEDIA_RIVERS_H

#include <stdbool.h>

#include "base/status.h"

struct relief_field {
	int width, height;       /* cells, each a metre wide */
	float *heights;          /* [height, width], changed */
	double metres;           /* how high 1 stands */
	double sea_level;        /* a bed stays above it; below 0: there is no sea */
	bool joined_x, joined_y; /* the landscape goes on beside itself */
};

/* Looks for rivers and carves each: along its way heights fall by FALL at least, its banks are cut and
 * its pits filled up no steeper than they may stand, everything else stays to the bit. A landscape
 * without one stays as it is. Same input, same bytes. `found` gets their number (may be NULL).
 * SUMI_NOMEM. */
int rivers_settle(struct relief_field *f, int *found, struct error *err);

#endif

/* Where the time goes by kind of operation: a device's table of operations is exchanged for
 * one that waits after each and takes its time. One device at a time. */
#ifndef SUMI_BENCH_PROFILE_H
#define SUMI_BENCH_PROFILE_H

#include <jansson.h>

#include "backends/backend.h"

/* Forgets what was measured and puts the measuring table in the place of the device's. */
void profile_begin(struct device *d);
/* Gives the device its own table back. */
void profile_end(struct device *d);

/* What came between the last two, as a table for people and as a new reference to
 * [{kind, calls, busy_seconds, share, gmac, gflops}], without kinds that were not called. */
void profile_print(void);
json_t *profile_json(void);

#endif

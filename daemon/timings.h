/* How long the stages of an attempt took, as JSON for its row. */
#ifndef SUMI_DAEMON_TIMINGS_H
#define SUMI_DAEMON_TIMINGS_H

#include <stdint.h>

enum { TIMINGS_MAX = 12 };

struct timings {
	struct {
		const char *stage; /* a literal */
		int64_t us;
		int count;
	} rows[TIMINGS_MAX];
	int count;
};

/* Adds to a stage's sum. */
void timings_add(struct timings *t, const char *stage, int64_t us);

/* {"steps": 812.4, …} in milliseconds; the caller frees it. NULL: out of memory. */
char *timings_text(const struct timings *t);

#endif

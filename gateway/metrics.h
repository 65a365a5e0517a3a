/* What is counted, for Prometheus. Any thread may count. */
#ifndef SUMI_GATEWAY_METRICS_H
#define SUMI_GATEWAY_METRICS_H

#include "gateway/call.h"

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/* An answer went out. */
void metrics_answered(struct metrics *m, int status);
/* How many connections and streams of events there are now. */
void metrics_present(struct metrics *m, size_t connections, size_t streams);
/* A job has ended: its times are read from the queue. */
void metrics_ended(struct metrics *m, struct queue *queue, const char *id);

#endif

/* One job from claim to end: its variants one after the other, step by step, each saved,
 * each result durable before the next is begun. */
#ifndef SUMI_DAEMON_EXECUTE_H
#define SUMI_DAEMON_EXECUTE_H

#include "daemon/executor.h"

/* Runs the job of the lease. Whatever happens is told to queue and store; failures of those
 * are retried until they answer or the lease is lost. */
enum execute_result execute_job(struct executor *x, struct queue_lease *lease);

#endif

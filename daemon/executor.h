/* With what jobs are made, and what came of one: all that is about a job in work stands above this. */
#ifndef SUMI_DAEMON_EXECUTOR_H
#define SUMI_DAEMON_EXECUTOR_H

#include <signal.h>

#include "base/config.h"
#include "daemon/beat.h"
#include "daemon/models.h"
#include "daemon/seats.h"
#include "storage/storage.h"

struct executor {
	const struct config *config;
	struct device *device;
	struct queue *queue;
	struct store *store;
	struct beat *beat;
	struct models *models;
	const struct catalogue *catalogue;
	const struct queue_worker *worker;
	struct seats *seats; /* for the jobs that are made beside the one that was claimed */
	const volatile sig_atomic_t *drain; /* set: save, give back, return */
	/* Called after every step and wherever something long begins: I live, and may be
	 * silent for limit_ms now. */
	void (*report)(void *context, int64_t limit_ms, const char *text);
	void *report_context;
};

enum execute_result {
	EXECUTE_ENDED,    /* done, failed, cancelled, superseded or given back */
	EXECUTE_NO_SPACE, /* given back because the disk is full: do not claim for a while */
	EXECUTE_BROKEN,   /* device or store failed: a fresh process should go on */
};

#endif

/* One worker: a process of its own that holds one device, claims jobs and runs them. */
#ifndef SUMI_DAEMON_WORKER_H
#define SUMI_DAEMON_WORKER_H

#include "base/config.h"
#include "base/status.h"
#include "queue/queue.h"

/* What a worker tells its supervisor through the pipe: it lives, and when to worry. */
struct worker_report {
	int64_t limit_ms; /* kill me unless I report again within so long */
	char text[120];   /* what I do, for the service's status line */
};

struct worker_options {
	const struct config *config;
	const char *redis_url;
	const char *selector; /* of the device */
	int index;            /* among this daemon's workers */
	int report_fd;        /* pipe to the supervisor; -1: none */
};

enum {
	WORKER_HOST_SIZE = 48,
	WORKER_LEFT = 100 /* exit status: its job is not wanted any more, and its step would have gone on */
};

/* The name of the worker with that index of the daemon whose supervisor has that process id, and of
 * this host. */
void worker_name(long supervisor, int index, char name[QUEUE_NAME_SIZE],
		 char host[WORKER_HOST_SIZE]);

/* Runs until SIGTERM (drain: the job is saved and given back at the next step) or a failure
 * that a fresh process may not have. */
int worker_run(const struct worker_options *options, struct error *err);

#endif

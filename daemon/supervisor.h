/* The supervisor: starts what is needed, one worker process per device, replaces those that
 * die or hang, keeps the queue's clockwork going, and drains at the end. It never opens a
 * device, so no driver can take it down. */
#ifndef SUMI_DAEMON_SUPERVISOR_H
#define SUMI_DAEMON_SUPERVISOR_H

#include "base/config.h"
#include "base/status.h"

struct supervisor_options {
	const char *config_file; /* NULL: the search of base/config.h */
	const char *state_dir;   /* wins over the file; NULL: as it says */
	const char *program;     /* to start workers with: /proc/self/exe */
};

/* Returns after SIGTERM, SIGINT or a failure that nothing can be done about. */
int supervisor_run(const struct supervisor_options *options, struct error *err);

#endif

/* The supervisor's worker processes: started, listened to, killed when they hang, started
 * again when they die. */
#ifndef SUMI_DAEMON_CHILDREN_H
#define SUMI_DAEMON_CHILDREN_H

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/devices.h"
#include "daemon/worker.h"

struct child {
	char selector[CONFIG_DEVICE_SIZE];
	pid_t pid; /* 0: not running */
	int report_fd;
	int64_t deadline_ms; /* monotonic: it hangs if it has not reported by then */
	int64_t restart_ms;  /* when it may be started again */
	int64_t started_ms;
	int failures; /* in a row, for the growing pause before a restart */
	bool hung;    /* that is why it was killed */
	bool owes;    /* the queue does not know yet that it has ended … */
	enum queue_spare spare; /* … and what its jobs pay for that */
	int64_t owes_until_ms; /* then its leases have ended anyway */
	char text[sizeof((struct worker_report *)0)->text];
};

struct children {
	struct child list[DEVICES_MAX];
	int count;
	const char *program, *config_file, *state_dir, *redis_url;
	bool draining;
	/* Tells the queue that the worker of that index has ended; false: not now. No other one is
	 * started in its place before, as that bears its name, or lease_ms have gone by. */
	bool (*tell_end)(void *context, int index, enum queue_spare spare);
	void *context;
	int64_t lease_ms;
};

void children_init(struct children *c, const struct device_choice *devices);

/* Starts those that are due, reads reports, kills those that hang, reaps those that ended.
 * Call it after poll() and about once a second. now_ms is monotonic. */
void children_tick(struct children *c, int64_t now_ms);

/* SIGTERM to all; none is started again. */
void children_drain(struct children *c);
/* SIGTERM to all; each is started again when it has given its job back. */
void children_restart(struct children *c);
void children_kill(struct children *c);
bool children_any(const struct children *c);

#endif

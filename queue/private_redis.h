/* The redis-server that sumid runs for itself when no other is configured: on a Unix
 * socket in the state directory, append-only file on, no TCP port. */
#ifndef SUMI_QUEUE_PRIVATE_REDIS_H
#define SUMI_QUEUE_PRIVATE_REDIS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/files.h"
#include "base/status.h"

struct private_redis_options {
	const char *state_dir; /* the server's files go to state_dir/redis, mode 0700 */
	const char *program;   /* NULL: "redis-server" of PATH */
	bool fsync_always;     /* appendfsync always instead of everysec */
	int start_timeout_ms;  /* without a sign of life; 0: 10 s */
};

struct private_redis {
	pid_t pid;                /* of the server, also when it was adopted */
	bool child;               /* started by this process: its exit is seen by waitpid() */
	int64_t cut_bytes;        /* an unfinished end that a power cut left of its file, removed */
	char url[FILES_PATH_MAX]; /* unix:///…/redis/redis.sock */
	char socket[FILES_PATH_MAX];
	char dir[FILES_PATH_MAX];
};

/* Starts the server, or adopts one that lives on from a daemon that died. Returns when it
 * answers PING. SUMI_NOTFOUND with the package to install when there is no redis-server;
 * a server that dies at once is reported with the last line of its log. */
int private_redis_start(const struct private_redis_options *options, struct private_redis *out,
			struct error *err);

/* Is the process still there? Reaps it when it is a child. */
bool private_redis_alive(struct private_redis *redis);

/* SIGTERM (the server writes what it holds), and SIGKILL after timeout_ms. */
void private_redis_stop(struct private_redis *redis, int timeout_ms);

/* The URL that private_redis_start() would give for this state directory, for clients. */
int private_redis_url(const char *state_dir, char out[FILES_PATH_MAX], struct error *err);

#endif

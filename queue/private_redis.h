/* The redis-server (or valkey-server) that sumid runs for itself when no other is configured:
 * on a Unix socket in the state directory, append-only file on, no TCP port. The server holds
 * a lock on redis.lock in its folder for as long as it lives: two servers over one append-only
 * file would ruin it. */
#ifndef SUMI_QUEUE_PRIVATE_REDIS_H
#define SUMI_QUEUE_PRIVATE_REDIS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/files.h"
#include "base/status.h"

struct private_redis_options {
	const char *state_dir; /* the server's files go to state_dir/redis, mode 0700 */
	const char *program;   /* NULL: see private_redis_program() */
	bool fsync_always;     /* appendfsync always instead of everysec */
	int start_timeout_ms;  /* without a sign of life; 0: 10 s */
	/* Called again and again while a server loads or is waited for (which may take minutes);
	 * false gives up with SUMI_CANCELLED. NULL: nobody to ask. */
	bool (*waiting)(void *context);
	void *context;
};

struct private_redis {
	pid_t pid;                /* of the server, also when it was adopted */
	bool child;               /* started by this process: its exit is seen by waitpid() */
	int64_t cut_bytes;        /* an unfinished end that a power cut left of its file, removed */
	char url[FILES_PATH_MAX]; /* unix:///…/redis/redis.sock */
	char socket[FILES_PATH_MAX];
	char dir[FILES_PATH_MAX];
};

/* The path of the server's program: wanted, or where that is NULL the first of redis-server and
 * valkey-server that PATH has. SUMI_NOTFOUND with the package to install. */
int private_redis_program(const char *wanted, char out[FILES_PATH_MAX], struct error *err);

/* Starts the server, or adopts one that lives on from a daemon that died. Returns when it
 * answers PING. SUMI_BUSY, with its pid, when the folder's server lives and does not answer:
 * nothing in the folder is touched then. A server that dies at once is reported with the last
 * line of its log. out->pid is 0 where no server was started or adopted. */
int private_redis_start(const struct private_redis_options *options, struct private_redis *out,
			struct error *err);

/* Is the process still there? Reaps it when it is a child. */
bool private_redis_alive(struct private_redis *redis);

/* SIGTERM (the server writes what it holds), and SIGKILL after timeout_ms. */
void private_redis_stop(struct private_redis *redis, int timeout_ms);

/* The URL that private_redis_start() would give for this state directory, for clients. */
int private_redis_url(const char *state_dir, char out[FILES_PATH_MAX], struct error *err);

#endif

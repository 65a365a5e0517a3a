/* A redis-server of one's own: start, adopt, watch, stop. */
#include "queue/private_redis.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/aof.h"

#define POLL_MS 20

/* Of a socket whose path is short enough: three times as long, it still fits. */
static void make_url(struct private_redis *r)
{
	char *out = r->url + sprintf(r->url, "unix://");
	for (const char *p = r->socket; *p; p++)
		out += sprintf(out, *p == '%' || *p == '?' ? "%%%02X" : "%c", *p);
}

static int fill_paths(const char *state_dir, struct private_redis *r, struct error *err)
{
	int status = files_path(r->dir, err, "%s/redis", state_dir);
	if (status == SUMI_OK)
		status = files_path(r->socket, err, "%s/redis/redis.sock", state_dir);
	if (status == SUMI_OK && strlen(r->socket) >= sizeof((struct sockaddr_un *)0)->sun_path)
		status = error_set(err, SUMI_TOOBIG,
				   "%s: longer than a Unix socket's path may be (107 bytes): set "
				   "SUMI_STATE_DIR to a shorter folder",
				   r->socket);
	if (status == SUMI_OK)
		make_url(r);
	return status;
}

int private_redis_url(const char *state_dir, char out[FILES_PATH_MAX], struct error *err)
{
	struct private_redis r = {0};
	int status = fill_paths(state_dir, &r, err);
	if (status == SUMI_OK)
		strcpy(out, r.url);
	return status;
}

/* The pid of the server that answers there, 0 when none does, −1 while it is loading. */
static pid_t ask_pid(const char *socket)
{
	pid_t pid = 0;
	redisContext *c = redisConnectUnixWithTimeout(socket, (struct timeval){.tv_sec = 2});
	if (c && !c->err) {
		redisSetTimeout(c, (struct timeval){.tv_sec = 5});
		redisReply *ping = redisCommand(c, "PING");
		redisReply *info = ping ? redisCommand(c, "INFO server") : NULL;
		const char *line = info && info->str ? strstr(info->str, "process_id:") : NULL;
		if (ping && ping->type == REDIS_REPLY_ERROR)
			pid = -1;
		else if (line)
			pid = (pid_t)strtol(line + 11, NULL, 10);
		freeReplyObject(ping);
		freeReplyObject(info);
	}
	if (c)
		redisFree(c);
	return pid;
}

/* The pid that the server has written, if a process of that name lives. */
static pid_t read_pidfile(const struct private_redis *r, const char *program)
{
	const char *slash = strrchr(program, '/'), *name = slash ? slash + 1 : program;
	char path[FILES_PATH_MAX], comm[64], *text = NULL;
	if (files_path(path, NULL, "%s/redis.pid", r->dir) ||
	    files_read(path, 64, &text, NULL, NULL))
		return 0;
	pid_t pid = (pid_t)strtol(text, NULL, 10);
	free(text);
	if (pid <= 1 || files_path(path, NULL, "/proc/%d/comm", (int)pid) ||
	    files_read(path, sizeof comm, &text, NULL, NULL))
		return 0;
	/* The number may have gone to another process since. */
	bool ours = strncmp(text, name, strlen(name) < 15 ? strlen(name) : 15) == 0;
	free(text);
	return ours ? pid : 0;
}

/* The last line of its log, which says why a server did not start. */
static int died(const struct private_redis *r, int exit_status, struct error *err)
{
	char path[FILES_PATH_MAX], *text = NULL, *last = NULL;
	if (WIFEXITED(exit_status) && WEXITSTATUS(exit_status) == 127)
		return error_set(
		    err, SUMI_NOTFOUND,
		    "there is no redis-server: apt-get install redis-server, or name a "
		    "Redis in sumi.conf (redis = redis://host:6379/0)");
	if (files_path(path, NULL, "%s/redis.log", r->dir) == SUMI_OK &&
	    files_read(path, 16 << 20, &text, NULL, NULL) == SUMI_OK) {
		for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
			if (*line)
				last = line;
	}
	int status = error_set(err, SUMI_IO, "redis-server does not start: %.300s (log: %.100s)",
			       last ? last : "no reason in its log", path);
	free(text);
	return status;
}

static void run_server(const char *program, const struct private_redis *r, bool always)
{
	int null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < 3 && null >= 0; fd++)
		dup2(null, fd);
	sigset_t none; /* a daemon that reads its signals from a descriptor has blocked them */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Its own session: Ctrl-C at a terminal is for the daemon, which stops it in order. */
	setsid();
	umask(0077);
	/* A job's hash is kept packed up to that length of a field: 0.8 KB a job instead of 2. */
	execlp(program, program, "--port", "0", "--unixsocket", r->socket, "--unixsocketperm",
	       "700", "--dir", r->dir, "--pidfile", "redis.pid", "--logfile", "redis.log",
	       "--daemonize", "no", "--supervised", "no", "--appendonly", "yes", "--appendfsync",
	       always ? "always" : "everysec", "--maxmemory-policy", "noeviction", "--save", "",
	       "--auto-aof-rewrite-min-size", "16mb", "--hash-max-listpack-value", "1024",
	       "--loglevel", "notice", "--set-proc-title", "no", (char *)NULL);
	_exit(127);
}

static int wait_until_up(struct private_redis *r, int timeout_ms, struct error *err)
{
	int64_t end = clock_boot_ms() + timeout_ms;
	for (;;) {
		int exit_status;
		pid_t pid = ask_pid(r->socket);
		if (pid > 0) {
			r->pid = pid;
			return SUMI_OK;
		}
		if (pid < 0) /* it loads: a million jobs take longer than a server that hangs may */
			end = clock_boot_ms() + timeout_ms;
		if (r->child && waitpid(r->pid, &exit_status, WNOHANG) == r->pid)
			return died(r, exit_status, err);
		if (clock_boot_ms() >= end)
			return error_set(err, SUMI_TIMEOUT,
					 "redis-server does not answer at %s within %d ms",
					 r->socket, timeout_ms);
		clock_sleep_ms(POLL_MS);
	}
}

int private_redis_start(const struct private_redis_options *options, struct private_redis *out,
			struct error *err)
{
	const char *program = options->program ? options->program : "redis-server";
	int timeout = options->start_timeout_ms ? options->start_timeout_ms : 10000;
	memset(out, 0, sizeof *out);
	int status = fill_paths(options->state_dir, out, err);
	if (status == SUMI_OK)
		status = files_make_dirs(out->dir, 0700, err);
	if (status == SUMI_OK && chmod(out->dir, 0700) != 0)
		status = error_errno(err, "%s", out->dir);
	if (status)
		return status;
	out->pid = ask_pid(out->socket);
	if (out->pid > 0)
		return SUMI_OK;
	/* A server that still loads, or is shutting down, does not answer yet: two on one
	 * append-only file would ruin it. */
	out->pid = read_pidfile(out, program);
	if (out->pid > 0) {
		status = wait_until_up(out, timeout, err);
		if (status == SUMI_OK || private_redis_alive(out))
			return status;
	}
	out->pid = 0;
	status = aof_mend(out->dir, &out->cut_bytes, err);
	if (status)
		return status;
	unlink(out->socket);
	out->pid = fork();
	if (out->pid < 0)
		return error_errno(err, "starting redis-server");
	if (out->pid == 0)
		run_server(program, out, options->fsync_always);
	out->child = true;
	status = wait_until_up(out, timeout, err);
	if (status == SUMI_TIMEOUT)
		private_redis_stop(out, 1000);
	return status;
}

bool private_redis_alive(struct private_redis *redis)
{
	if (redis->pid <= 0)
		return false;
	bool alive =
	    redis->child ? waitpid(redis->pid, NULL, WNOHANG) == 0 : kill(redis->pid, 0) == 0;
	if (!alive)
		redis->pid = 0;
	return alive;
}

void private_redis_stop(struct private_redis *redis, int timeout_ms)
{
	if (!private_redis_alive(redis))
		return;
	int64_t end = clock_boot_ms() + timeout_ms;
	kill(redis->pid, SIGTERM);
	while (private_redis_alive(redis) && clock_boot_ms() < end)
		clock_sleep_ms(POLL_MS);
	if (!private_redis_alive(redis))
		return;
	kill(redis->pid, SIGKILL);
	while (private_redis_alive(redis))
		clock_sleep_ms(POLL_MS);
}

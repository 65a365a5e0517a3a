/* A redis-server of one's own: start, adopt, watch, stop. */
#include "queue/private_redis.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/aof.h"

#define POLL_MS 20
#define LEAVING_MS 250 /* a server that was told to stop answers for a tenth of a second more */

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

/* name in a folder of PATH, or as it is when it has a slash. */
static bool find_program(const char *name, char out[FILES_PATH_MAX])
{
	const char *at = getenv("PATH");
	if (strchr(name, '/'))
		return files_path(out, NULL, "%s", name) == SUMI_OK && access(out, X_OK) == 0;
	for (; at && *at; at += *at == ':') {
		int n = (int)strcspn(at, ":");
		if (n && files_path(out, NULL, "%.*s/%s", n, at, name) == SUMI_OK &&
		    access(out, X_OK) == 0)
			return true;
		at += n;
	}
	return false;
}

int private_redis_program(const char *wanted, char out[FILES_PATH_MAX], struct error *err)
{
	static const char *const known[] = {"redis-server", "valkey-server"};
	if (wanted && find_program(wanted, out))
		return SUMI_OK;
	for (size_t i = 0; !wanted && i < sizeof known / sizeof *known; i++)
		if (find_program(known[i], out))
			return SUMI_OK;
	return error_set(err, SUMI_NOTFOUND,
			 "there is no %s: apt-get install redis-server (on Fedora, Arch and Alpine "
			 "the package valkey), or name a Redis in sumi.conf (redis = "
			 "redis://host:6379/0)",
			 wanted ? wanted : "redis-server and no valkey-server");
}

int private_redis_url(const char *state_dir, char out[FILES_PATH_MAX], struct error *err)
{
	struct private_redis r = {0};
	int status = fill_paths(state_dir, &r, err);
	if (status == SUMI_OK)
		strcpy(out, r.url);
	return status;
}

/* The pid of the server that answers there, 0 when none does, −1 while it is loading or busy. */
static pid_t ask_pid(const char *socket)
{
	pid_t pid = 0;
	redisContext *c = redisConnectUnixWithTimeout(socket, (struct timeval){.tv_sec = 1});
	if (c && !c->err) {
		redisSetTimeout(c, (struct timeval){.tv_sec = 1});
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

/* Does that process live, with dir as its working folder? The number of a dead server may have
 * gone to another process since, and one that nobody has buried still takes signals. Where the
 * system does not tell, a living process counts as the server. */
static bool serves(const char *dir, pid_t pid)
{
	char path[FILES_PATH_MAX];
	struct stat here, there;
	if (pid <= 1 || kill(pid, 0) != 0 || stat(dir, &here) != 0)
		return false;
	if (files_path(path, NULL, "/proc/%d/cwd", (int)pid) == SUMI_OK && stat(path, &there) == 0)
		return here.st_dev == there.st_dev && here.st_ino == there.st_ino;
	return errno == EACCES || errno == EPERM || access("/proc/self", F_OK) != 0;
}

/* The pid that a server has written, if it still serves this folder; else 0. */
static pid_t read_pidfile(const struct private_redis *r)
{
	char path[FILES_PATH_MAX], *text = NULL;
	if (files_path(path, NULL, "%s/redis.pid", r->dir) ||
	    files_read(path, 64, &text, NULL, NULL))
		return 0;
	pid_t pid = (pid_t)strtol(text, NULL, 10);
	free(text);
	return serves(r->dir, pid) ? pid : 0;
}

/* A descriptor that owns the folder; −1 with SUMI_BUSY in err when a server does. The server
 * inherits it, and so has the lock for as long as it lives, whatever becomes of its daemon. */
static int lock_folder(const struct private_redis *r, struct error *err)
{
	char path[FILES_PATH_MAX];
	if (files_path(path, err, "%s/redis.lock", r->dir))
		return -1;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		error_errno(err, "%s", path);
		return -1;
	}
	pid_t pid = 0; /* a server that knows no lock is told by its pid */
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && (pid = read_pidfile(r)) == 0)
		return fd;
	if (pid == 0 && errno != EWOULDBLOCK)
		error_errno(err, "%s", path);
	else
		error_set(err, SUMI_BUSY, "%s", path);
	close(fd);
	return -1;
}

/* The last line of its log, which says why a server did not start. */
static int died(const struct private_redis *r, const char *program, int exit_status,
		struct error *err)
{
	char path[FILES_PATH_MAX], *text = NULL, *last = NULL;
	if (WIFEXITED(exit_status) && WEXITSTATUS(exit_status) == 127)
		return error_set(err, SUMI_NOTFOUND, "%s cannot be run: install it anew", program);
	if (files_path(path, NULL, "%s/redis.log", r->dir) == SUMI_OK &&
	    files_read(path, 16 << 20, &text, NULL, NULL) == SUMI_OK) {
		for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
			if (*line)
				last = line;
	}
	int status = error_set(err, SUMI_IO, "%s does not start: %.300s (log: %.100s)", program,
			       last ? last : "no reason in its log", path);
	free(text);
	return status;
}

static void run_server(const char *program, const struct private_redis *r, int lock, bool always)
{
	int null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < 3 && null >= 0; fd++)
		dup2(null, fd);
	fcntl(lock, F_SETFD, 0);
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

/* One wait for a server: how long it may give no sign of life. */
struct patience {
	const struct private_redis_options *options;
	int64_t silent_ms, end;
};

static void hopes(struct patience *p)
{
	p->end = clock_boot_ms() + p->silent_ms;
}

/* Between two looks: SUMI_OK to go on. */
static int be_patient(struct patience *p, struct error *err)
{
	const struct private_redis_options *o = p->options;
	if (o->waiting && !o->waiting(o->context))
		return error_set(err, SUMI_CANCELLED, "stopped while Redis was starting");
	if (clock_boot_ms() >= p->end)
		return SUMI_TIMEOUT;
	clock_sleep_ms(POLL_MS);
	return SUMI_OK;
}

static int name_holder(const struct private_redis *r, struct error *err)
{
	pid_t pid = read_pidfile(r);
	if (!pid)
		return error_set(err, SUMI_BUSY,
				 "%s: a process that a Redis server has left holds the lock of this "
				 "folder (fuser redis.lock names it): wait until it has ended",
				 r->dir);
	return error_set(err, SUMI_BUSY,
			 "%s: the Redis server of this folder (pid %ld) lives and does not answer: "
			 "let it go on (kill -CONT %ld) or end it (kill %ld)",
			 r->dir, (long)pid, (long)pid, (long)pid);
}

/* Until a server answers (r->pid) or the folder is ours (*lock). One that loads, is stopped,
 * hangs or shuts down does not answer and holds its file all the same: a second one on it
 * would ruin it. */
static int take_folder(struct private_redis *r, struct patience *p, int *lock, struct error *err)
{
	int status = SUMI_OK;
	pid_t seen = 0;
	for (hopes(p); !status; status = be_patient(p, err)) {
		struct error why = {0};
		pid_t pid = ask_pid(r->socket);
		if (pid != 0) /* loading a million jobs takes longer than one that hangs may */
			hopes(p);
		if (pid > 0 && pid == seen) {
			r->pid = pid;
			return SUMI_OK;
		}
		if (pid > 0) {
			seen = pid;
			clock_sleep_ms(LEAVING_MS);
			continue;
		}
		*lock = lock_folder(r, &why);
		if (*lock >= 0)
			return SUMI_OK;
		if (why.status != SUMI_BUSY)
			return error_set(err, why.status, "%s", why.text);
	}
	return status == SUMI_TIMEOUT ? name_holder(r, err) : status;
}

static int wait_until_up(struct private_redis *r, struct patience *p, const char *program,
			 struct error *err)
{
	int status = SUMI_OK, exit_status;
	for (hopes(p); !status; status = be_patient(p, err)) {
		pid_t pid = ask_pid(r->socket);
		if (pid > 0) {
			r->pid = pid;
			return SUMI_OK;
		}
		if (pid < 0)
			hopes(p);
		if (waitpid(r->pid, &exit_status, WNOHANG) == r->pid) {
			r->pid = 0;
			return died(r, program, exit_status, err);
		}
	}
	if (status == SUMI_TIMEOUT) {
		error_set(err, SUMI_TIMEOUT, "%s does not answer at %s within %lld ms", program,
			  r->socket, (long long)p->silent_ms);
		private_redis_stop(r, 1000);
	}
	return status;
}

/* Over a folder that is ours. */
static int start_server(struct private_redis *r, struct patience *p, int lock, struct error *err)
{
	char program[FILES_PATH_MAX];
	int status = private_redis_program(p->options->program, program, err);
	if (!status)
		status = aof_mend(r->dir, &r->cut_bytes, err);
	if (status)
		return status;
	unlink(r->socket);
	r->pid = fork();
	if (r->pid < 0)
		return error_errno(err, "starting %s", program);
	if (r->pid == 0)
		run_server(program, r, lock, p->options->fsync_always);
	r->child = true;
	return wait_until_up(r, p, program, err);
}

int private_redis_start(const struct private_redis_options *options, struct private_redis *out,
			struct error *err)
{
	struct patience patience = {options, options->start_timeout_ms, 0};
	int lock = -1;
	if (!patience.silent_ms)
		patience.silent_ms = 10000;
	memset(out, 0, sizeof *out);
	int status = fill_paths(options->state_dir, out, err);
	if (status == SUMI_OK)
		status = files_make_dirs(out->dir, 0700, err);
	if (status == SUMI_OK && chmod(out->dir, 0700) != 0)
		status = error_errno(err, "%s", out->dir);
	if (status == SUMI_OK)
		status = take_folder(out, &patience, &lock, err);
	if (status == SUMI_OK && lock >= 0)
		status = start_server(out, &patience, lock, err);
	if (lock >= 0)
		close(lock);
	return status;
}

bool private_redis_alive(struct private_redis *redis)
{
	if (redis->pid <= 0)
		return false;
	bool alive =
	    redis->child ? waitpid(redis->pid, NULL, WNOHANG) == 0 : serves(redis->dir, redis->pid);
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

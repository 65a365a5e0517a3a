/* The supervisor's worker processes. */
#include "daemon/children.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/backend.h"
#include "base/clock.h"
#include "base/log.h"

enum {
	START_LIMIT_MS = 600000, /* until the first report */
	PAUSE_MS = 500,          /* before the first restart; doubles … */
	PAUSE_MAX_MS = 30000,    /* … up to here */
	HEALTHY_MS = 60000,      /* who lived for so long did not fail in a row */
	TELL_MS = 1000,          /* between two tries to tell the queue of an end */
};

void children_init(struct children *c, const struct device_choice *devices)
{
	c->count = devices->count;
	for (int i = 0; i < c->count; i++) {
		memset(&c->list[i], 0, sizeof c->list[i]);
		c->list[i].report_fd = -1;
		snprintf(c->list[i].selector, sizeof c->list[i].selector, "%s",
			 devices->selectors[i]);
	}
}

static void exec_worker(const struct children *c, int index, int fd)
{
	char index_text[16], fd_text[16];
	const char *args[16];
	int n = 0;
	snprintf(index_text, sizeof index_text, "%d", index);
	snprintf(fd_text, sizeof fd_text, "%d", fd);
	args[n++] = "sumid";
	args[n++] = "--worker";
	args[n++] = c->list[index].selector;
	args[n++] = "--index";
	args[n++] = index_text;
	args[n++] = "--report-fd";
	args[n++] = fd_text;
	args[n++] = "--state-dir";
	args[n++] = c->state_dir;
	if (c->config_file) {
		args[n++] = "--config";
		args[n++] = c->config_file;
	}
	args[n] = NULL;
	/* Not an argument: those of a process are shown to everybody, and this may hold a password. */
	setenv("SUMI_REDIS", c->redis_url, 1);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(c->program, (char *const *)args);
	_exit(127);
}

static void start(struct children *c, int index, int64_t now_ms)
{
	struct child *child = &c->list[index];
	int ends[2];
	if (pipe(ends) != 0) {
		child->restart_ms = now_ms + PAUSE_MAX_MS;
		return;
	}
	fcntl(ends[0], F_SETFD, FD_CLOEXEC);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	pid_t pid = fork();
	if (pid == 0) {
		close(ends[0]);
		exec_worker(c, index, ends[1]);
	}
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		child->restart_ms = now_ms + PAUSE_MAX_MS;
		log_error("worker.fork", "device=%s", child->selector);
		return;
	}
	child->pid = pid;
	child->report_fd = ends[0];
	child->started_ms = now_ms;
	child->deadline_ms = now_ms + START_LIMIT_MS;
	snprintf(child->text, sizeof child->text, "starting");
	log_info("worker.started", "device=%s pid=%ld", child->selector, (long)pid);
}

static void listen(struct child *child, int64_t now_ms)
{
	struct worker_report r;
	while (child->report_fd >= 0 && read(child->report_fd, &r, sizeof r) == (ssize_t)sizeof r) {
		child->deadline_ms = now_ms + r.limit_ms;
		r.text[sizeof r.text - 1] = '\0';
		snprintf(child->text, sizeof child->text, "%s", r.text);
	}
}

/* Its jobs are given back at once, not when their leases end. */
static void tell_end(struct children *c, int index, int64_t now_ms)
{
	struct child *child = &c->list[index];
	child->owes =
	    now_ms < child->owes_until_ms && !c->tell_end(c->context, index, child->spare);
	if (child->owes && child->restart_ms < now_ms + TELL_MS)
		child->restart_ms = now_ms + TELL_MS;
}

static void log_end(const struct child *child, int status, bool stopped)
{
	if (WIFSIGNALED(status) && !stopped)
		log_error("worker.died", "device=%s pid=%ld signal=%d while=\"%s\"",
			  child->selector, (long)child->pid, WTERMSIG(status),
			  child->spare == QUEUE_SPARE_CACHES ? "building or loading kernels"
							     : child->text);
	else
		log_info("worker.ended", "device=%s pid=%ld exit=%d", child->selector,
			 (long)child->pid, stopped ? 0 : WEXITSTATUS(status));
	if (child->spare == QUEUE_SPARE_CACHES)
		log_warn("cache.damaged",
			 "device=%s warning=\"what its driver had compiled is set aside\"",
			 child->selector);
}

/* One that hangs is no sign of damaged caches: work that takes too long does the same, and would take as long
 * again. Its guard tells the next worker, which begins other caches when it meets the second in a row. */
static enum queue_spare spare_of(const struct child *child, int signal, bool left, bool clean)
{
	if (left)
		device_died(child->pid, false);
	if (left || clean || child->hung)
		return left ? QUEUE_SPARE_LEFT : QUEUE_SPARE_NONE;
	return device_died(child->pid, signal != SIGKILL) ? QUEUE_SPARE_CACHES : QUEUE_SPARE_NONE;
}

static void ended(struct children *c, int index, int status, int64_t now_ms)
{
	struct child *child = &c->list[index];
	int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	/* Told to stop before it had anything to give back. */
	bool stopped = signal == SIGTERM || signal == SIGINT;
	bool clean = stopped || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
	bool left = WIFEXITED(status) && WEXITSTATUS(status) == WORKER_LEFT;
	child->spare = spare_of(child, signal, left, clean);
	log_end(child, status, stopped);
	close(child->report_fd);
	child->report_fd = -1;
	child->pid = 0;
	child->hung = false;
	if (clean || left || now_ms - child->started_ms > HEALTHY_MS)
		child->failures = 0;
	int64_t pause = PAUSE_MS;
	for (int i = 0; i < child->failures && pause < PAUSE_MAX_MS; i++)
		pause *= 2;
	child->failures++;
	if (clean || left)
		pause = 0;
	child->restart_ms = now_ms + (pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS);
	child->owes_until_ms = now_ms + c->lease_ms;
	if (!clean)
		tell_end(c, index, now_ms);
	if (!clean && !left && !c->draining)
		log_warn("worker.restart", "device=%s in_ms=%lld", child->selector,
			 (long long)(child->restart_ms - now_ms));
}

void children_tick(struct children *c, int64_t now_ms)
{
	for (int i = 0; i < c->count; i++) {
		struct child *child = &c->list[i];
		int status;
		if (child->pid == 0) {
			if (child->owes && now_ms >= child->restart_ms)
				tell_end(c, i, now_ms);
			if (!c->draining && now_ms >= child->restart_ms)
				start(c, i, now_ms);
			continue;
		}
		listen(child, now_ms);
		if (waitpid(child->pid, &status, WNOHANG) == child->pid) {
			listen(child, now_ms);
			ended(c, i, status, now_ms);
		} else if (now_ms > child->deadline_ms) {
			log_error("worker.hangs", "device=%s pid=%ld doing=\"%s\"", child->selector,
				  (long)child->pid, child->text);
			kill(child->pid, SIGKILL);
			child->hung = true;
			child->deadline_ms = now_ms + START_LIMIT_MS;
		}
	}
}

static void signal_all(struct children *c, int signal)
{
	for (int i = 0; i < c->count; i++)
		if (c->list[i].pid > 0)
			kill(c->list[i].pid, signal);
}

void children_drain(struct children *c)
{
	c->draining = true;
	signal_all(c, SIGTERM);
}

void children_restart(struct children *c)
{
	signal_all(c, SIGTERM);
}

void children_kill(struct children *c)
{
	signal_all(c, SIGKILL);
}

bool children_any(const struct children *c)
{
	for (int i = 0; i < c->count; i++)
		if (c->list[i].pid > 0)
			return true;
	return false;
}

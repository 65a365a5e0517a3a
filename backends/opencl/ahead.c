#define _GNU_SOURCE /* sched_getaffinity, close_range, pipe2 */
#include "backends/opencl/ahead.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/opencl/cache.h"

enum {
	HELPERS = 3,
	JOBS = 64,
	COLD = 8,         /* fewer programs in the cache: it is as good as empty */
	IDLE_MS = 10000,  /* a helper that nobody has asked for so long ends */
	LOOK_MS = 20,     /* how often a helper that is waited for is looked after */
	WAKE = 3, DONE = 4, /* a helper's descriptors */
};

/* Of a job. Whoever turns WANTED into another builds it. */
enum { WANTED = 1, OURS, HELPED, BUILT, FAILED };

struct job {
	int state; /* atomic; 0: the rest is not written yet */
	int by;    /* which helper */
	int device;
	int order;
	char files[160], options[256];
};

/* Shared by all. */
struct table {
	int count, ending; /* atomic */
	struct job jobs[JOBS];
};

static struct {
	bool prepared;
	struct table *table;
	cl_ahead_build *build;
	int wake, done; /* a byte for each job that is wanted, and for each that was built */
	int count;
	pid_t pids[HELPERS]; /* 0: has ended */
} ahead;

static bool change(int *state, int from, int to)
{
	return __atomic_compare_exchange_n(state, &from, to, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

static int look(const int *state)
{
	return __atomic_load_n(state, __ATOMIC_ACQUIRE);
}

/* ---- a helper --------------------------------------------------------------------- */

/* The one of the highest order below AHEAD_LATER, or where there is none the highest; NULL: none. */
static struct job *best_job(struct table *t)
{
	struct job *best = NULL;
	int count = look(&t->count);
	for (int i = 0; i < count; i++) {
		struct job *j = &t->jobs[i];
		bool later = j->order >= AHEAD_LATER, best_later = best && best->order >= AHEAD_LATER;
		if (look(&j->state) == WANTED &&
		    (!best || (later == best_later ? j->order > best->order : best_later)))
			best = j;
	}
	return best;
}

static struct job *next_job(struct table *t, int helper)
{
	struct job *j;
	while (!look(&t->ending) && (j = best_job(t)))
		if (change(&j->state, WANTED, HELPED)) {
			j->by = helper;
			return j;
		}
	return NULL;
}

static void build(struct job *j, struct device **d, int *opened)
{
	if (*opened != j->device) {
		char selector[32];
		device_close(*d);
		*d = NULL;
		snprintf(selector, sizeof selector, "opencl:%d", j->device);
		*opened = device_open(selector, d, NULL) == SUMI_OK ? j->device : -1;
	}
	int status = *d ? ahead.build(cl_device_of(*d), j->files, j->options) : SUMI_DEVICE;
	cl_cache_leave();
	__atomic_store_n(&j->state, status ? FAILED : BUILT, __ATOMIC_RELEASE);
	if (write(DONE, "", 1) != 1)
		_exit(0);
}

static _Noreturn void help(int helper, int wake, int done)
{
	struct table *t = ahead.table;
	struct device *d = NULL;
	int opened = -1;
	/* It ends when the process that it works for has: then what it builds is whole. */
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
	for (int i = 0; i < CL_COUNT(signals); i++)
		signal(signals[i], SIG_IGN);
	int null = open("/dev/null", O_RDWR);
	/* Nothing of the process may stay open here: locks, sockets, pipes that somebody reads. */
	int ends[] = {fcntl(wake, F_DUPFD, DONE + 1), fcntl(done, F_DUPFD, DONE + 1)};
	if (null < 0 || ends[0] < 0 || ends[1] < 0 || dup2(ends[0], WAKE) < 0 ||
	    dup2(ends[1], DONE) < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
		_exit(1);
	cl_cache_forked();
	close_range(DONE + 1, ~0u, 0);
	cl_cache_watch();
	struct pollfd p = {.fd = WAKE, .events = POLLIN};
	char byte;
	while (poll(&p, 1, IDLE_MS) == 1 && read(WAKE, &byte, 1) == 1)
		for (struct job *j; (j = next_job(t, helper));)
			build(j, &d, &opened);
	device_close(d);
	_exit(0);
}

/* ---- the process ------------------------------------------------------------------ */

/* Are there fewer programs than any model has? */
static bool is_cold(void)
{
	char path[FILES_PATH_MAX], programs[FILES_PATH_MAX];
	int count = 0;
	if (files_cache_dir(path, NULL) || files_path(programs, NULL, "%s/programs", path))
		return false;
	DIR *dir = opendir(programs);
	if (!dir)
		return true;
	for (const struct dirent *e; count < COLD && (e = readdir(dir));)
		count += e->d_name[0] != '.';
	closedir(dir);
	return count < COLD;
}

static int spare_cores(void)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
	return cores - 1 < HELPERS ? cores - 1 : HELPERS;
}

void cl_ahead_prepare(cl_ahead_build *build)
{
	int wake[2], done[2], wanted = spare_cores();
	if (ahead.prepared)
		return;
	ahead.prepared = true;
	ahead.build = build;
	if (wanted < 1 || !is_cold())
		return;
	void *p = mmap(NULL, sizeof *ahead.table, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return;
	if (pipe2(wake, O_CLOEXEC) != 0) {
		munmap(p, sizeof *ahead.table);
		return;
	}
	if (pipe2(done, O_CLOEXEC) != 0) {
		close(wake[0]);
		close(wake[1]);
		munmap(p, sizeof *ahead.table);
		return;
	}
	ahead.table = p;
	while (ahead.count < wanted) {
		pid_t pid = fork();
		if (pid == 0)
			help(ahead.count, wake[0], done[1]);
		if (pid < 0)
			break;
		ahead.pids[ahead.count++] = pid;
	}
	close(wake[0]);
	close(done[1]);
	ahead.wake = wake[1];
	ahead.done = done[0];
	if (!ahead.count)
		cl_ahead_end();
}

bool cl_ahead_helps(void)
{
	return ahead.count > 0;
}

static bool lives(int helper)
{
	pid_t *pid = &ahead.pids[helper];
	if (*pid && waitpid(*pid, NULL, WNOHANG) != 0) /* also where somebody else has seen it end */
		*pid = 0;
	return *pid != 0;
}

static int device_index(const struct cl_device *d)
{
	return atoi(d->base.info.selector + strlen("opencl:"));
}

static struct job *find(const struct cl_device *d, const char *files, const char *options)
{
	int count = ahead.table->count, device = device_index(d);
	for (int i = 0; i < count; i++) {
		struct job *j = &ahead.table->jobs[i];
		if (j->device == device && strcmp(j->files, files) == 0 &&
		    strcmp(j->options, options) == 0)
			return j;
	}
	return NULL;
}

void cl_ahead_want(const struct cl_device *d, const char *files, const char *options, int order)
{
	struct table *t = ahead.table;
	if (!cl_ahead_helps() || t->count == JOBS || find(d, files, options))
		return;
	struct job *j = &t->jobs[t->count];
	if (strlen(files) >= sizeof j->files || strlen(options) >= sizeof j->options)
		return;
	strcpy(j->files, files);
	strcpy(j->options, options);
	j->device = device_index(d);
	j->order = order;
	__atomic_store_n(&j->state, WANTED, __ATOMIC_RELEASE);
	__atomic_store_n(&t->count, t->count + 1, __ATOMIC_RELEASE);
	struct sigaction old, ignored = {.sa_handler = SIG_IGN};
	sigaction(SIGPIPE, &ignored, &old); /* they may have ended */
	if (write(ahead.wake, "", 1) != 1)
		change(&j->state, WANTED, OURS);
	sigaction(SIGPIPE, &old, NULL);
}

bool cl_ahead_take(const struct cl_device *d, const char *files, const char *options)
{
	struct job *j = cl_ahead_helps() ? find(d, files, options) : NULL;
	if (!j || change(&j->state, WANTED, OURS))
		return false;
	while (look(&j->state) == HELPED) {
		struct pollfd p = {.fd = ahead.done, .events = POLLIN};
		char bytes[JOBS];
		if (poll(&p, 1, LOOK_MS) == 1 && read(ahead.done, bytes, sizeof bytes) < 0 &&
		    errno != EINTR)
			break;
		if (!lives(j->by) && look(&j->state) == HELPED)
			break; /* it has died of it */
	}
	return look(&j->state) == BUILT;
}

void cl_ahead_end(void)
{
	if (!ahead.table)
		return;
	__atomic_store_n(&ahead.table->ending, 1, __ATOMIC_RELEASE);
	close(ahead.wake);
	for (int i = 0; i < ahead.count; i++)
		while (ahead.pids[i] && waitpid(ahead.pids[i], NULL, 0) < 0 && errno == EINTR)
			;
	close(ahead.done);
	munmap(ahead.table, sizeof *ahead.table);
	ahead.table = NULL;
	ahead.count = 0;
}

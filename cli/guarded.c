/* A child process for work on devices. */
#include "cli/guarded.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The drivers' caches go first, then sumi's own. */
enum { TRIES = 3 };

static volatile pid_t child;
static int tries_left; /* after the present one */

static void pass_on(int signal)
{
	if (child > 0)
		kill(child, signal);
}

static const int passed[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
enum { PASSED = sizeof passed / sizeof passed[0] };

/* What a program does to itself, against what comes from outside. */
static bool is_crash(int signal)
{
	static const int crashes[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGTRAP};
	for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++)
		if (crashes[i] == signal)
			return true;
	return false;
}

/* waitpid() of the child, while signals go on to it. */
static int wait_for_child(void)
{
	struct sigaction old[PASSED], passing = {.sa_handler = pass_on};
	int status = 0;
	for (int i = 0; i < PASSED; i++)
		sigaction(passed[i], &passing, &old[i]);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	for (int i = 0; i < PASSED; i++)
		sigaction(passed[i], &old[i], NULL);
	return status;
}

static int call_once(int (*call)(void *context), void *context, int *status, struct error *err)
{
	fflush(NULL);
	pid_t parent = getpid();
	child = fork();
	if (child < 0)
		return error_errno(err, "starting a process");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		int result = getppid() == parent ? call(context) : 1;
		fflush(NULL);
		_exit(result);
	}
	*status = wait_for_child();
	return SUMI_OK;
}

int guarded_call(int (*call)(void *context), void *context, struct error *err)
{
	for (tries_left = TRIES - 1;; tries_left--) {
		int how = 0, status = call_once(call, context, &how, err);
		if (status)
			return status;
		int signal = WIFSIGNALED(how) ? WTERMSIG(how) : 0;
		bool damaged = device_died(child, !signal || is_crash(signal));
		if (signal && signal != SIGKILL && !is_crash(signal)) {
			raise(signal);
			_exit(128 + signal);
		}
		if (!signal && (!damaged || WEXITSTATUS(how) == 0 || !tries_left))
			return WEXITSTATUS(how);
		if (signal == SIGKILL)
			return error_set(err, SUMI_DEVICE,
					 "the process was killed: the system may have run out of "
					 "memory");
		error_set(err, SUMI_DEVICE, "the driver of the device %s%s",
			  damaged ? "could not load or build kernels: " : "crashed: ",
			  signal ? strsignal(signal) : "what it had kept is damaged");
		if (!damaged || !tries_left)
			return err->status;
		fprintf(stderr,
			"sumi: warning: %s; what was compiled is set aside and made anew\n",
			err->text);
	}
}

bool guarded_again(void)
{
	return tries_left > 0 && device_is_damaged();
}

void *guarded_memory(unsigned long size)
{
	void *p =
	    mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

void guarded_warn(const struct device *used, const char *asked)
{
	struct device_health health;
	device_health(&health);
	if (health.set_aside[0] && tries_left == TRIES - 1) /* else it was said before this try */
		fprintf(stderr,
			"sumi: warning: compiled kernels were damaged: they are set aside and made "
			"anew: %s\n",
			health.set_aside);
	if (health.cache[0])
		fprintf(stderr, "sumi: warning: %s\n", health.cache);
	bool chosen = asked && *asked && strcmp(asked, "auto") != 0;
	if (used && !chosen && strcmp(used->info.platform, "reference") == 0)
		fprintf(stderr,
			"sumi: warning: the scalar device is used, which is hundreds of times "
			"slower than OpenCL: %s (sumi doctor)\n",
			health.missing);
}

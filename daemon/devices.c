/* Which devices the workers are to use. */
#include "daemon/devices.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/backend.h"
#include "base/log.h"

void devices_tell_renewed(void)
{
	struct device_health health;
	device_health(&health);
	if (health.set_aside[0])
		log_warn("cache.damaged",
			 "warning=\"what drivers had compiled is set aside and made anew\" "
			 "reason=\"%s\"",
			 health.set_aside);
}

static int list_devices(struct device_info info[DEVICES_MAX], struct error *err)
{
	int n = device_list(info, DEVICES_MAX, err);
	devices_tell_renewed();
	return n;
}

int devices_print(struct error *err)
{
	struct device_info info[DEVICES_MAX];
	int n = list_devices(info, err);
	if (n < 0)
		return n;
	for (int i = 0; i < n && i < DEVICES_MAX; i++)
		printf("%s %s\n", info[i].selector, info[i].is_cpu ? "cpu" : "gpu");
	return SUMI_OK;
}

/* Calls back for each entry of the list that means no device; the sum of what that returns, or a
 * negative status. */
static int each_unmatched(const char *devices, void (*tell)(const char *text), struct error *err)
{
	struct device_info info[DEVICES_MAX];
	struct error why;
	char entry[CONFIG_DEVICE_SIZE];
	int n = list_devices(info, err), unmatched = 0;
	if (n < 0)
		return n;
	if (n > DEVICES_MAX)
		n = DEVICES_MAX;
	for (const char *at = devices; (at = config_next_device(at, entry));)
		if (device_match(info, n, entry, &why) < 0) {
			if (!unmatched++ && err)
				*err = why;
			if (tell)
				tell(why.text);
		}
	return unmatched;
}

static void print_line(const char *text)
{
	printf("%s\n", text);
}

int devices_print_unmatched(const char *devices, struct error *err)
{
	int n = each_unmatched(devices, print_line, err);
	return n < 0 ? n : SUMI_OK;
}

static int add(struct device_choice *out, const char *selector, struct error *err)
{
	if (out->count == DEVICES_MAX)
		return error_set(err, SUMI_INVALID, "devices: more than %d", DEVICES_MAX);
	snprintf(out->selectors[out->count++], sizeof out->selectors[0], "%s", selector);
	return SUMI_OK;
}

static int split(const char *devices, struct device_choice *out, struct error *err)
{
	char entry[CONFIG_DEVICE_SIZE];
	int status = SUMI_OK;
	for (const char *at = devices; !status && (at = config_next_device(at, entry));)
		status = add(out, entry, err);
	if (!status && !out->count)
		status =
		    error_set(err, SUMI_INVALID,
			      "devices: the list is empty: write auto, or names of `sumi devices`");
	return status;
}

int devices_check(const char *devices, struct error *err)
{
	struct device_choice choice = {.count = 0};
	int n = split(devices, &choice, err);
	if (!n)
		n = each_unmatched(devices, NULL, err);
	if (n <= 0)
		return n;
	err->status = SUMI_INVALID;
	return error_prefix(err, "devices");
}

/* Starts `program OPTION [ARGUMENT]`; *lines is its standard output. */
static pid_t start_listing(const char *program, const char *option, const char *argument,
			   FILE **lines, struct error *err)
{
	int ends[2];
	if (pipe(ends) != 0) {
		error_errno(err, "listing devices");
		return -1;
	}
	pid_t child = fork();
	if (child < 0) {
		error_errno(err, "listing devices");
		close(ends[0]);
		close(ends[1]);
		return -1;
	}
	if (child == 0) {
		sigset_t none; /* the supervisor reads its signals from a descriptor */
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		execl(program, "sumid", option, argument, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	*lines = fdopen(ends[0], "r");
	return child;
}

static int find_once(const char *program, struct device_choice *gpus, struct device_choice *cpus,
		     bool *damaged, struct error *err)
{
	FILE *lines;
	int status = SUMI_OK, exit_status = 0;
	pid_t child = start_listing(program, "--list-devices", NULL, &lines, err);
	if (child < 0)
		return err->status;
	char selector[32], kind[8];
	gpus->count = cpus->count = 0;
	while (!status && lines && fscanf(lines, "%31s %7s", selector, kind) == 2)
		status = add(strcmp(kind, "gpu") == 0 ? gpus : cpus, selector, err);
	if (lines)
		fclose(lines);
	waitpid(child, &exit_status, 0);
	*damaged = device_died(child, exit_status != 0);
	if (!status && (exit_status != 0 || gpus->count + cpus->count == 0))
		status = error_set(err, SUMI_DEVICE,
				   "listing the devices failed: an OpenCL driver may be broken; "
				   "'devices = reference' in sumi.conf does without");
	return status;
}

static int find_all(const char *program, struct device_choice *gpus, struct device_choice *cpus,
		    struct error *err)
{
	bool damaged = false;
	int status = find_once(program, gpus, cpus, &damaged, err);
	/* What a driver had kept is set aside by then. */
	return status && damaged ? find_once(program, gpus, cpus, &damaged, err) : status;
}

int devices_choose(const char *devices, const char *program, struct device_choice *out,
		   struct error *err)
{
	struct device_choice cpus = {.count = 0};
	out->count = 0;
	if (strcmp(devices, "auto") != 0)
		return split(devices, out, err);
	int status = find_all(program, out, &cpus, err);
	/* The list has the best CPU device first and the reference last. */
	if (!status && out->count == 0)
		status = add(out, cpus.selectors[0], err);
	return status;
}

void devices_warn(const char *devices, const char *program)
{
	struct error err;
	FILE *lines;
	char line[sizeof err.text];
	int exit_status;
	pid_t child = start_listing(program, "--unmatched-devices", devices, &lines, &err);
	if (child < 0)
		return;
	while (lines && fgets(line, sizeof line, lines)) {
		line[strcspn(line, "\n")] = '\0';
		log_warn("devices.unknown", "warning=\"devices: %s\"", line);
	}
	if (lines)
		fclose(lines);
	waitpid(child, &exit_status, 0);
}

/* Which devices the workers are to use. */
#include "daemon/devices.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/backend.h"

int devices_print(struct error *err)
{
	struct device_info info[DEVICES_MAX];
	int n = device_list(info, DEVICES_MAX, err);
	if (n < 0)
		return n;
	for (int i = 0; i < n && i < DEVICES_MAX; i++)
		printf("%s %s\n", info[i].selector, info[i].is_cpu ? "cpu" : "gpu");
	return SUMI_OK;
}

static int add(struct device_choice *out, const char *selector, size_t n, struct error *err)
{
	if (out->count == DEVICES_MAX || n >= sizeof out->selectors[0])
		return error_set(err, SUMI_INVALID,
				 "devices: more than %d, or a name longer than %zu bytes",
				 DEVICES_MAX, sizeof out->selectors[0] - 1);
	memcpy(out->selectors[out->count], selector, n);
	out->selectors[out->count++][n] = '\0';
	return SUMI_OK;
}

static int split(const char *devices, struct device_choice *out, struct error *err)
{
	while (*devices) {
		devices += strspn(devices, ", ");
		size_t n = strcspn(devices, ",");
		int status = n ? add(out, devices, n, err) : SUMI_OK;
		if (status)
			return status;
		devices += n;
	}
	return out->count ? SUMI_OK : error_set(err, SUMI_INVALID, "devices: the list is empty");
}

/* Starts `program --list-devices`; *lines is its standard output. */
static pid_t start_listing(const char *program, FILE **lines, struct error *err)
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
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		execl(program, "sumid", "--list-devices", (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	*lines = fdopen(ends[0], "r");
	return child;
}

static int find_all(const char *program, struct device_choice *gpus, struct device_choice *cpus,
		    struct error *err)
{
	FILE *lines;
	int status = SUMI_OK, exit_status;
	pid_t child = start_listing(program, &lines, err);
	if (child < 0)
		return err->status;
	char selector[32], kind[8];
	while (!status && lines && fscanf(lines, "%31s %7s", selector, kind) == 2)
		status =
		    add(strcmp(kind, "gpu") == 0 ? gpus : cpus, selector, strlen(selector), err);
	if (lines)
		fclose(lines);
	waitpid(child, &exit_status, 0);
	if (!status && gpus->count + cpus->count == 0)
		status = error_set(err, SUMI_DEVICE,
				   "listing the devices failed: an OpenCL driver may be broken; "
				   "'devices = reference' in sumi.conf does without");
	return status;
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
		status = add(out, cpus.selectors[0], strlen(cpus.selectors[0]), err);
	return status;
}

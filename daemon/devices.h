/* Which devices the workers are to use, found out in a child process: drivers may crash. */
#ifndef SUMI_DAEMON_DEVICES_H
#define SUMI_DAEMON_DEVICES_H

#include <stdio.h>

#include "base/config.h"

enum { DEVICES_MAX = 32 };

struct device_choice {
	char selectors[DEVICES_MAX][CONFIG_DEVICE_SIZE];
	int count;
};

/* devices: "auto" or selectors separated by ','. auto takes every GPU; without one the best
 * CPU device; without OpenCL the reference device. program is run with --list-devices. */
int devices_choose(const char *devices, const char *program, struct device_choice *out,
		   struct error *err);

/* Logs a warning for each entry that means no device. Not an error: a device may come later, and
 * until then its worker is started again and again. */
void devices_warn(const char *devices, const char *program);

/* Logs that this process has begun another cache of compiled kernels, where it has, and why. */
void devices_tell_renewed(void);

/* What the children do: one line a device on stdout, "SELECTOR cpu|gpu" … */
int devices_print(struct error *err);
/* … and one line for each entry that means no device, with those that are there. */
int devices_print_unmatched(const char *devices, struct error *err);

/* For `sumid --check`: SUMI_INVALID for the first entry that means no device. */
int devices_check(const char *devices, struct error *err);

#endif

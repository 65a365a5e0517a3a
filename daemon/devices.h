/* Which devices the workers are to use, found out in a child process: drivers may crash. */
#ifndef SUMI_DAEMON_DEVICES_H
#define SUMI_DAEMON_DEVICES_H

#include "base/status.h"

enum { DEVICES_MAX = 32 };

struct device_choice {
	char selectors[DEVICES_MAX][32];
	int count;
};

/* devices: "auto" or selectors separated by ','. auto takes every GPU; without one the best
 * CPU device; without OpenCL the reference device. program is run with --list-devices. */
int devices_choose(const char *devices, const char *program, struct device_choice *out,
		   struct error *err);

/* What the child does: one line a device on stdout, "SELECTOR cpu|gpu". */
int devices_print(struct error *err);

#endif

/* The OpenCL backend as backends/device.c sees it. */
#ifndef SUMI_BACKENDS_OPENCL_OPENCL_H
#define SUMI_BACKENDS_OPENCL_OPENCL_H

#include <sys/types.h>

#include "backends/backend.h"

/* Describes at most max usable OpenCL devices of all platforms, in the order the loader
 * gives them, and returns how many there are (which may be more). No platform is 0. */
int opencl_list(struct device_info *out, int max, struct error *err);

/* Opens the device of that place in opencl_list(). The caller closes it by its ops. */
int opencl_open(int index, struct device **out, struct error *err);

/* device_health(), device_is_damaged() and device_died(). */
void opencl_health(struct device_health *out);
bool opencl_is_damaged(void);
bool opencl_died(pid_t pid, bool by_itself);

#endif

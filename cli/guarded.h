/* Work on devices in a process of its own: a driver that crashes takes nothing else with it. */
#ifndef SUMI_CLI_GUARDED_H
#define SUMI_CLI_GUARDED_H

#include "backends/backend.h"
#include "base/status.h"

/* Runs call(context), again if it dies while the driver builds or loads programs, or fails and has
 * met damage there: the caches are set aside then. The result of call(), from 0 to 255, or
 * SUMI_DEVICE where it died otherwise or too often. What call() leaves in memory is lost, but for a context that
 * guarded_memory() gave. Ends this process where a signal such as Ctrl-C ended that one. */
int guarded_call(int (*call)(void *context), void *context, struct error *err);

/* Within call(): what has failed will be tried again. */
bool guarded_again(void);

/* Zeroed memory that this process shares with guarded calls; NULL: there is none. It is given back
 * when the process ends. */
void *guarded_memory(unsigned long size);

/* Within call(): writes on standard error what nobody shall miss: that compiled kernels were damaged,
 * or are not kept, and, where used is the scalar device without having been asked for, that it is slow,
 * and why. used may be NULL. */
void guarded_warn(const struct device *used, const char *asked);

#endif

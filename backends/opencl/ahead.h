/* Programs that will be needed, built by other processes on other cores while this one does what comes
 * first. Processes, because a driver's compiler may let in one thread at a time (PoCL's does); forked
 * before a driver is first called, because what it starts does not survive that. They leave what they
 * build in the caches, and end when it is all built, or with this process. */
#ifndef SUMI_BACKENDS_OPENCL_AHEAD_H
#define SUMI_BACKENDS_OPENCL_AHEAD_H

#include "backends/opencl/matrix.h"

/* Before the first call into a driver: starts helpers where the caches are as good as empty and there
 * are cores for them. Does nothing the second time. build: leaves a program in the caches, as
 * cl_program_keep(); they call it with devices of their own. */
typedef int cl_ahead_build(struct cl_device *d, const char *files, const char *options);
void cl_ahead_prepare(cl_ahead_build *build);

/* Whether there are helpers. */
bool cl_ahead_helps(void);

/* A program, as of cl_kernel_get(). This process will need those of a low order first, and builds them
 * itself while helpers begin with the high ones: they meet in the middle. From AHEAD_LATER on they
 * are for afterwards. */
#define AHEAD_LATER 1000
void cl_ahead_want(const struct cl_device *d, const char *files, const char *options, int order);

/* The program is needed now. True: a helper has built it, or has now, after waiting for it. False: it
 * is the caller's to build. */
bool cl_ahead_take(const struct cl_device *d, const char *files, const char *options);

/* Nothing more is wanted; returns when the helpers have ended. */
void cl_ahead_end(void);

/* What models that have such a weight will need is wanted. */
void cl_foresee(struct cl_device *d, const struct weight *w);

/* Half precision will be used: what the weights that came before need in it. */
void cl_foresee_half(struct device *base);

#endif

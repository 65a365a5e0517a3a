/* Where compiled kernels are kept, sumi's own and the drivers', and the guard over them. */
#ifndef SUMI_BACKENDS_OPENCL_CACHE_H
#define SUMI_BACKENDS_OPENCL_CACHE_H

#include <stdbool.h>
#include <sys/types.h>

/* Before the first call into a driver: finds a folder that can be written, sets aside what another
 * process died of, and tells the drivers by their environment variables where to keep theirs and what
 * nobody has chosen. What is wrong is told by cl_cache_trouble(). Does nothing the second time for one
 * cache folder. */
void cl_cache_prepare(void);

/* What PoCL's programs depend on and their options do not say, as the environment has it now. */
enum { CL_SETTINGS_SIZE = 160 };
void cl_cache_settings(char out[CL_SETTINGS_SIZE]);

/* One line, or "": the cache folder cannot be used, and what is used instead. */
const char *cl_cache_trouble(void);

/* One line, or "": why this process has set aside what drivers had kept. */
const char *cl_cache_set_aside(void);

/* In a process that was forked from one that has prepared: forgets that one's guard; watch makes one for
 * this process. */
void cl_cache_forked(void);
void cl_cache_watch(void);

/* From enter to leave the process builds, loads or runs a program for the first time: should it die
 * there, then the caches are suspected. */
void cl_cache_enter(void);
void cl_cache_leave(void);

/* What once could be built or loaded cannot any more: the next process sets the caches aside. */
void cl_cache_blame(void);

/* Whether that was done; or looks at what is kept, and does it where that is damaged or there is no
 * room for more. */
bool cl_cache_is_damaged(void);

/* A device was used and closed: what is kept can be used. */
void cl_cache_proved(void);

/* Whether the process that ended was within a driver; by_itself: nobody killed it. */
bool cl_cache_died(pid_t pid, bool by_itself);

#endif

/* How much memory there is for this process. */
#ifndef SUMI_BASE_MEMORY_H
#define SUMI_BASE_MEMORY_H

#include <stdint.h>

/* Bytes: the machine's, or less where a control group (as of a second ago at most) or a resource limit
 * (ulimit -v) allows only that. What others use of it does not count. */
uint64_t memory_limit(void);

/* Bytes that could be had at the moment, swap included, as the files under root ("": the system's)
 * tell; UINT64_MAX where they do not. */
uint64_t memory_free(const char *root);

/* The smallest limit of the control groups that the process is in, as the files under root ("": the
 * system's) tell; UINT64_MAX where there is none. */
uint64_t memory_group_limit(const char *root);

#endif

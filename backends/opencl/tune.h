/* What the tuner's trials share: operands, and the memory of what was chosen. */
#ifndef SUMI_BACKENDS_OPENCL_TUNE_H
#define SUMI_BACKENDS_OPENCL_TUNE_H

#include "backends/opencl/matrix.h"

#define TUNE_REPEATS 3
#define TUNE_BATCH 8 /* launches of a timed run: one alone is mostly the driver's time */

/* The two ways to compute something: the kernel that always works, and Winograd or matrix
 * instructions. */
enum way { WAY_UNKNOWN, WAY_PLAIN, WAY_SPECIAL };

/* Is there to be a trial at all? Drivers' simulators gain nothing from one; SUMI_TUNE=1 and 0
 * decide otherwise. */
bool tune_wanted(const struct cl_device *d);

/* What is remembered for an operation, dtype and class; WAY_UNKNOWN: nothing. path: where
 * tune_choose() is to write, "" when there is no cache directory. */
enum way tune_recall(const struct cl_device *d, const char *what, enum dtype dtype, int class,
		     char path[FILES_PATH_MAX]);

/* The quickest way by `time` (microseconds; negative: wrong, or not possible), written to path
 * where that is not ""; WAY_PLAIN when none could be timed. */
enum way tune_choose(struct cl_device *d, int64_t (*time)(struct cl_device *, void *, enum way),
		     void *trial, const char *path);

/* Number i of a trial's operand: multiples of 1/256 from -1/2 to 1/2, the same everywhere.
 * Products and sums of some hundreds of them are exact in float. */
float tune_value(size_t i, uint32_t seed);

/* The first n of them in this dtype, malloc'ed. NULL: no memory. */
void *tune_values(size_t n, enum dtype dtype, uint32_t seed);

#endif

/* The tuner: walks the rows of an operation's table on the device, throws away what gives
 * wrong results, and remembers the fastest. */
#ifndef SUMI_BACKENDS_OPENCL_TUNE_H
#define SUMI_BACKENDS_OPENCL_TUNE_H

#include <stdint.h>

#include "backends/opencl/variant.h"

/* An operation with operands of its own, and what its result must be. */
struct trial {
	const void *job;  /* what the rows are given */
	struct buffer *y; /* the job's output, `bytes` long */
	size_t bytes;
	/* Is this the right result? */
	bool (*right)(const struct trial *t, const void *y);
	void (*free)(struct cl_device *d, struct trial *t); /* NULL is not called */
};

/* What is tuned. */
struct tuned {
	const char *name; /* of the operation, in the key of what is remembered */
	enum tune_slot slot;
	const struct variant *rows; /* the first is always possible: it stays without a trial */
	int count;
	/* Ways of several roundings, where one class of sizes decides for all which one is taken:
	 * a picture's bytes then do not depend on how many are computed at once. -1: none. */
	int deciding_class;
	/* Operands of a class, *out NULL or for out->free() also after a failure. */
	int (*trial_new)(struct cl_device *d, enum dtype dtype, int class, struct trial **out,
			 struct error *err);
};

/* The row for jobs of this dtype and class on this device: from memory, from the cache
 * directory, or by trial. What fails in a trial only costs the gain. */
const struct variant *tune_choose(struct cl_device *d, const struct tuned *op, enum dtype dtype,
				  int class, const void *job);

/* Whether this driver, as it is now, can do `what`, by a trial that is made once: what it said is kept in
 * the cache directory. A trial that ends the process is made once more by the next one, and then never
 * again. It returns TRIAL_FAILED where the driver was not to blame: that is not kept. */
enum trial_result { TRIAL_WRONG, TRIAL_RIGHT, TRIAL_FAILED };
typedef enum trial_result (*trial_call)(struct cl_device *d, const void *how);
bool tune_tried(struct cl_device *d, const char *what, trial_call trial, const void *how);

/* Number i of a trial's operand: multiples of 1/256 from -1/2 to 1/2, the same everywhere.
 * Products and sums of some hundreds of them are exact in float. */
float tune_value(size_t i, uint32_t seed);

/* The first n of them in this dtype, malloc'ed. NULL: no memory. */
void *tune_values(size_t n, enum dtype dtype, uint32_t seed);

#endif

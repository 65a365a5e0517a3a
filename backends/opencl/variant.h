/* The ways to compute an operation, as rows of a table: what asks for one way walks the table
 * (variant_first(), or the tuner of tune.h), and a new way is a new row. */
#ifndef SUMI_BACKENDS_OPENCL_VARIANT_H
#define SUMI_BACKENDS_OPENCL_VARIANT_H

#include "backends/opencl/internal.h"

/* Ways of one class add in the same order and round alike: they give the same bytes. */
enum rounding {
	ROUNDING_PLAIN,
	ROUNDING_WINOGRAD,
	ROUNDING_DOT,    /* products of bfloat16 pairs: never with PRECISION_EXACT */
	ROUNDING_SPLIT,  /* each number as the sum of two: near float32; otherwise as ROUNDING_DOT */
	ROUNDING_DOT4,   /* products of whole numbers by fours: with PRECISION_INT8 only */
	ROUNDING_MATRIX, /* matrix instructions of GPUs: operands as f16 */
};

struct variant {
	const char *name; /* what the tuner's file says */
	enum rounding rounding;
	/* Can this device compute this job so, and is it worth a try? NULL: always. */
	bool (*possible)(const struct cl_device *d, const void *job, const void *how);
	int (*enqueue)(struct cl_device *d, const void *job, const void *how, struct error *err);
	const void *how; /* handed to both: what rows with the same functions differ in */
};

static inline bool variant_possible(const struct variant *v, const struct cl_device *d,
				    const void *job)
{
	return !v->possible || v->possible(d, job, v->how);
}

/* The first possible row; the last one is possible always. */
static inline const struct variant *variant_first(const struct variant *rows, int count,
						  const struct cl_device *d, const void *job)
{
	int i = 0;
	while (i < count - 1 && !variant_possible(&rows[i], d, job))
		i++;
	return &rows[i];
}

static inline int variant_run(const struct variant *v, struct cl_device *d, const void *job,
			      struct error *err)
{
	return v->enqueue(d, job, v->how, err);
}

#endif

/* One operation of the backend at a shape, with random operands: what `ops` and `floors` time. */
#ifndef SUMI_BENCH_WORK_H
#define SUMI_BENCH_WORK_H

#include "bench/meter.h"

enum work_kind { CONV, LINEAR, ATTENTION, GROUP_NORM, LAYER_NORM, AXPBY, PERMUTE };

struct work_row {
	enum work_kind kind;
	int n, side, w; /* side: h = w = side; else h = 1 and w tokens */
	int cin, cout;
	int kernel, stride, heads, keys;
	bool upsample;
	enum activation act;
};

#define WORK_NAME_SIZE 96

struct work {
	struct device *device;
	const struct work_row *row;
	enum dtype dtype; /* of the activations */
	struct tensor x, k, v, y;
	struct grid in, out; /* of x and y */
	struct buffer *vector;
	struct weight *weight;
	double flops; /* a multiply-add is two; 0: bound by memory */
	double bytes; /* the least that must be moved */
	char name[WORK_NAME_SIZE];
};

/* Fills w; work_free() releases it, also after a failure. weight: their format, f16 where the
 * operation cannot take it. */
int work_make(struct device *d, const struct work_row *r, enum dtype dtype, enum dtype weight,
	      struct work *w, struct error *err);
void work_free(struct work *w);

/* Enqueues the operation once; a meter_call whose user is the work. */
int work_run(void *user, struct error *err);

/* "conv 64x64 320->320 k3" */
void work_describe(const struct work_row *r, char out[WORK_NAME_SIZE]);

#endif

/* Eight-bit weights and their scales, as ComfyUI and others write them: NAME.weight in fp8 or int8,
 * beside it NAME.scale_weight or NAME.weight_scale, one number or one a row. */
#ifndef SUMI_WEIGHTS_SCALED_H
#define SUMI_WEIGHTS_SCALED_H

#include "weights/source.h"

struct scale {
	const struct tensor_file *file;
	const struct tensor_entry *entry; /* NULL: none */
	bool needed;                      /* int8 means nothing without one */
	uint64_t row;                     /* numbers that share one of the scales; 0: all */
	float *values;                    /* owned; scale_free() */
	size_t count;
};

/* The scale of a weight, *out zeroed where it has none. SUMI_UNSUPPORTED where it is scaled in a
 * way that is not known, SUMI_CORRUPT where the scale does not fit the weight. */
int scale_find(const struct source *s, const struct tensor_entry *weight, struct scale *out,
	       struct error *err);
void scale_free(struct scale *scale);

/* Multiplies count numbers, the first of which is number `at` of the weight. */
void scale_apply(const struct scale *scale, float *values, uint64_t at, size_t count);

/* Whether an entry is no tensor of the model but says how others are scaled. */
bool scale_belongs(const struct source *s, const struct tensor_entry *entry);

#endif

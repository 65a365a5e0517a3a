/* What a denoiser is told beside latents and time: a few tensors by name, made of a run's texts.
 * Those who make them and those who read them agree on names and shapes, and on nothing else. */
#ifndef SUMI_DIFFUSION_CONDITIONS_H
#define SUMI_DIFFUSION_CONDITIONS_H

#include "base/status.h"

#define CONDITION_TOKENS "tokens" /* [n, rows, width]: an embedding for each token */
#define CONDITION_POOLED "pooled" /* [n, 1, width]: one for the whole text */
#define CONDITION_IDS "ids"       /* [n, 1, width]: numbers about the picture, such as its size */

enum { CONDITIONS_MAX = 6 };

struct condition {
	const char *name; /* a constant */
	float *values;    /* [n, rows, width], owned by the conditions */
	int rows, width;
};

struct conditions {
	int n; /* texts; the prompt is the last of them */
	int count;
	struct condition tensors[CONDITIONS_MAX];
};

/* A new tensor of zeros, to be filled in through *out. n must stand. SUMI_NOMEM, SUMI_INTERNAL. */
int conditions_add(struct conditions *c, const char *name, int rows, int width,
		   struct condition **out, struct error *err);

/* The tensor of that name, or NULL. */
const struct condition *conditions_get(const struct conditions *c, const char *name);

void conditions_free(struct conditions *c); /* zeroed ones are fine */

#endif

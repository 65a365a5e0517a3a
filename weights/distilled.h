/* LoRAs that make a model one of few steps, told by what their files are called: such files say nothing of it
 * themselves. */
#ifndef SUMI_WEIGHTS_DISTILLED_H
#define SUMI_WEIGHTS_DISTILLED_H

#include <stdbool.h>

struct distilled {
	const char *sampler, *scheduler; /* scheduler NULL: the model's own */
	int steps;
	double cfg_scale, eta; /* eta 0: the sampler's own */
};

/* False for a name that says nothing of the kind. */
bool distilled_named(const char *name, struct distilled *out);

#endif

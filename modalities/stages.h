/* Pictures that are made in two runs: the second makes what the first left larger, and goes over it. */
#ifndef SUMI_MODALITIES_STAGES_H
#define SUMI_MODALITIES_STAGES_H

#include <stdbool.h>

#include "diffusion/run.h"
#include "request/request.h"

/* Fills in what is left open of a second run. Sizes and steps are resolved. SUMI_INVALID for what
 * cannot be. */
int stages_resolve(const struct pack_info *info, struct request *r, struct error *err);

/* Whether a resolved request has a second run. */
bool stages_second(const struct request *r);

/* The second run's parameters, of the first one's. What it goes on from is left open. */
struct run_params stages_params(const struct request *r, const struct pack_info *info,
				const struct run_params *first);

/* What it goes on from, of a first run that is done: fills in latents or init of *next, whose numbers are
 * *owned, which the caller frees. */
int stages_go_on(const struct request *r, struct run *first, struct run_params *next, float **owned,
		 struct error *err);

#endif

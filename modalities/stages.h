/* Pictures that are made in two runs: the second makes what the first left larger, and goes over it; or it
 * goes on where the first ended, with another model. */
#ifndef SUMI_MODALITIES_STAGES_H
#define SUMI_MODALITIES_STAGES_H

#include <stdbool.h>

#include "base/files.h"
#include "diffusion/run.h"
#include "request/request.h"

/* Fills in what is left open of a second run. Sizes and steps are resolved. SUMI_INVALID for what
 * cannot be. */
int stages_resolve(const struct pack_info *info, struct request *r, struct error *err);

/* Whether a resolved request has a second run. */
bool stages_second(const struct request *r);

/* The first run's parameters, of those that would make all of it. */
void stages_first(const struct request *r, struct run_params *first);

/* The folder of the pack that makes the second run, where it is another one; else empty. SUMI_NOTFOUND;
 * SUMI_INVALID for one that does not go on with what this one makes. */
int stages_pack(const struct request *r, const struct pack_info *info, char folder[FILES_PATH_MAX],
		struct error *err);

/* The second run's parameters, of the first one's. What it goes on from is left open. */
struct run_params stages_params(const struct request *r, const struct pack_info *info,
				const struct run_params *first);

struct generation;

/* Between two runs. */
struct stage {
	const struct generation *g; /* told of parts where a network enlarges */
	const struct request *request;
	struct pack *pack;
	struct run *first; /* done */
	struct run_params *next;
};

/* What the second goes on from: fills in latents or init of *next, whose numbers are *owned, which the caller
 * frees. */
int stages_go_on(const struct stage *s, float **owned, struct error *err);

#endif

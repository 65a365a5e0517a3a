/* A request's controls: what the core is given for them. */
#ifndef SUMI_MODALITIES_CONTROLS_H
#define SUMI_MODALITIES_CONTROLS_H

#include "diffusion/run.h"
#include "request/request.h"

struct request_controls {
	struct run_control all[RUN_CONTROLS_MAX];
	float *pictures[RUN_CONTROLS_MAX], *masks[RUN_CONTROLS_MAX]; /* owned */
	int count;
};

/* Reads their pictures and masks in the size of the result (or of what an image encoder sees) and makes maps of
 * them. The request's networks and places
 * must stand. The caller clears *out in any case. */
int request_controls_read(const struct request *r, int width, int height, struct request_controls *out,
			  struct error *err);
void request_controls_clear(struct request_controls *controls);

/* The same without pictures, for those who only ask whether a run can begin. */
void request_controls_list(const struct request *r, struct request_controls *out);

/* The request's list with the names of the networks that were found, held by r->networks; NULL: no memory. */
const json_t *request_controls_named(const struct request *r);

#endif

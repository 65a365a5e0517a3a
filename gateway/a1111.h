/* AUTOMATIC1111's API: what its files share. */
#ifndef SUMI_GATEWAY_A1111_H
#define SUMI_GATEWAY_A1111_H

#include "gateway/work.h"

#define A1111_API "sdapi"

/* The model that the caller has chosen with POST /sdapi/v1/options, or the usual one; "" where no worker
 * has any. */
#define A1111_MODEL_SIZE 129
int a1111_model(struct call *call, struct worker *w, char out[A1111_MODEL_SIZE], struct error *err);

/* A model by its title, which may have a hash behind it: whether a living worker has it. */
int a1111_known_model(struct worker *w, const char *title, char name[A1111_MODEL_SIZE], bool *known,
		      struct error *err);

#endif

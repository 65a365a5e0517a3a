/* What is added to a UNet's skip connections, its levels and its middle from outside. It stays on the device
 * and is used again in each step. */
#ifndef SUMI_NETWORKS_RESIDUALS_H
#define SUMI_NETWORKS_RESIDUALS_H

#include "networks/pass.h"

struct residuals;

/* skips, levels: how many places a UNet has; the device outlives what is returned. NULL: they only count
 * what is put there. */
int residuals_new(struct device *device, int skips, int levels, struct residuals **out,
		  struct error *err);
void residuals_free(struct residuals *r); /* NULL is fine */

/* Nothing is added until somebody says something again. */
void residuals_clear(struct residuals *r);

/* Bytes of what was put, where they only count. */
uint64_t residuals_bytes(const struct residuals *r);

/* Where something is added: behind a skip connection was made and the way down has gone on; on the way down, at
 * a level's end; behind the middle. */
enum residual_place { RESIDUAL_SKIP, RESIDUAL_LEVEL, RESIDUAL_MIDDLE };

/* Adds strength · y to what is there already, for y.n pictures of n from the one at `first`. For the middle
 * index is 0. */
void residuals_put(struct pass *p, struct residuals *r, enum residual_place place, int index, struct map y,
		   float strength, int first, int n);

/* Adds what stands at a place to x, in place. r NULL, or nothing there: x stays. */
void residuals_apply(struct pass *p, const struct residuals *r, enum residual_place place, int index,
		     struct map x);

#endif

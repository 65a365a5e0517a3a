/* What a model takes on each device of this machine, and how fast it is expected to be there. */
#ifndef SUMI_CLI_MODELS_DEVICES_H
#define SUMI_CLI_MODELS_DEVICES_H

#include <jansson.h>

#include "cli/cli.h"
#include "diffusion/catalogue.h"

/* [{"device", "name", "memory", "needs", "parts", "step_seconds", "seconds", "measured"}, …], a new array. needs: bytes
 * at the peak, as parts says: "together", "in turn" or "too large". Seconds are those of jobs that have
 * finished here, in proportion to what is multiplied; where there was none, of a product that is made now. */
json_t *models_devices(struct cli *cli, const struct catalogue *c, const struct pack_info *p);

/* The same for people, a line each. */
void models_devices_print(const json_t *devices);

#endif

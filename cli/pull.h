/* Fetching models, for `sumi pull` and `sumi models add`. */
#ifndef SUMI_CLI_PULL_H
#define SUMI_CLI_PULL_H

#include "cli/cli.h"
#include "hub/plan.h"

/* Fetches what `what` names (hub/plan.h) into the state folder's models and prints its path. name: what
 * it shall be called; NULL: as its hub calls it. SUMI_EXISTS where there is one of that name. */
int pull_model(struct cli *cli, const char *what, const char *name, struct error *err);

#endif

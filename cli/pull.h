/* Fetching models, for `sumi pull` and `sumi models add`. */
#ifndef SUMI_CLI_PULL_H
#define SUMI_CLI_PULL_H

#include "cli/cli.h"
#include "hub/plan.h"

/* Fetches what each of `what` names (hub/plan.h) into the state folder's models, all at once, and prints their
 * paths. The option --name says what one shall be called, else its hub does. SUMI_EXISTS where there is one
 * of that name. Nothing is fetched unless all can be. */
int pull_models(struct cli *cli, const char *const *what, size_t count, struct error *err);

#endif

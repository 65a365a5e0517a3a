/* sumi models verify. */
#ifndef SUMI_CLI_MODELS_VERIFY_H
#define SUMI_CLI_MODELS_VERIFY_H

#include "cli/cli.h"

/* Of one that is named, or of all models and what goes on top of them. */
int models_verify(struct cli *cli, struct error *err);

#endif

/* What this machine's model packs can tell of a job before it is sent. */
#ifndef SUMI_CLI_PREFLIGHT_H
#define SUMI_CLI_PREFLIGHT_H

#include "cli/cli.h"

/* SUMI_INVALID for parameters that the job's model cannot do. With a private queue, whose workers
 * have this machine's packs, SUMI_NOTFOUND for a model that is not installed; with a shared one
 * it may be on another machine, and nothing is said. */
int preflight(const struct cli *cli, const struct job *job, struct error *err);

#endif

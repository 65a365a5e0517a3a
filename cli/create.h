/* From a job to its results: what all verbs that make one job share. */
#ifndef SUMI_CLI_CREATE_H
#define SUMI_CLI_CREATE_H

#include "cli/cli.h"

/* Sends a job that preflight() has passed, with what it starts from, and follows it to its end or, with
 * --detach, says its id. Clears the job; prints what fails. Returns the exit code. */
int create_job(struct cli *cli, struct job *job);

#endif

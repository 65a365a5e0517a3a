/* What this machine's model packs can tell of a job before it is sent. */
#ifndef SUMI_CLI_PREFLIGHT_H
#define SUMI_CLI_PREFLIGHT_H

#include "cli/inputs.h"

/* SUMI_INVALID for what the queue would refuse, and for parameters that the job's model cannot do. With a private queue, whose workers
 * have this machine's packs, SUMI_NOTFOUND for a model that is not installed; with a shared one
 * it may be on another machine, and nothing is said. */
int preflight(struct cli *cli, const struct job *job, struct error *err);

/* What the queue adds to that: SUMI_TOOBIG and the like for a size that no living worker's device holds, SUMI_NOTFOUND
 * for a result that will not come; the job waits for one that is being made (inputs_link()). */
int preflight_here(struct cli *cli, struct queue *queue, struct job *job, const struct inputs_from *from, struct error *err);

/* One line on stderr where a value that was given has no say, once for many jobs. told: as below. */
void preflight_note_idle(const struct cli *cli, const struct job *job, json_t *told);

/* The same, and one line where no living worker has the model of a job that was sent: it waits until
 * one comes. told (may be NULL) is an object that remembers which models were asked about, so that
 * many jobs make one line. */
void preflight_warn(const struct cli *cli, struct queue *queue, const struct job *job,
		    json_t *told);

/* Of jobs that wait for one that nobody has sent somebody should hear now, not in a day: notes for what a
 * job waits (id → the job), and warns of what is not there when all are sent. */
void preflight_note_after(json_t *noted, const struct job *job);
void preflight_warn_after(const struct cli *cli, struct queue *queue, json_t *noted);

#endif

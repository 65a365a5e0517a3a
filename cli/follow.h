/* Waiting for a job: progress bar, previews, and fetching what came out. */
#ifndef SUMI_CLI_FOLLOW_H
#define SUMI_CLI_FOLLOW_H

#include "cli/cli.h"

struct follow_options {
	bool previews;      /* draw them, where the terminal can */
	bool events;        /* with --json: print each event as a line of its own */
	int64_t until_ms;   /* give up then, by clock_boot_ms(); 0: never */
};

/* Takes in what was sent a moment ago and still stands in the intake, by any client. */
int admit_sent(struct queue *queue, struct error *err);

/* What the queue knows of a job, also of one that still stands in the intake. */
int find_entry(struct queue *queue, const char *id, struct queue_entry *entry, struct error *err);

/* Follows a job to its end and fills *entry, which the caller clears. SUMI_NOTFOUND,
 * SUMI_TIMEOUT, SUMI_CONNECT; a job that failed is no error here: look at entry->state.
 * After Ctrl-C SUMI_BUSY: the job goes on. */
int follow_job(struct cli *cli, struct queue *queue, const char *id,
	       const struct follow_options *options, struct queue_entry *entry, struct error *err);

/* Copies a job's visible files to output: a file, a folder, "-" for standard output, or NULL for
 * the present folder. Prints each path (or with json adds it to *paths, which may be NULL). SUMI_NOTFOUND when
 * this host has none of them. */
int fetch_files(struct cli *cli, const char *id, const char *output, json_t *paths,
		struct error *err);

/* The end of the verbs that submit one job: with --detach its id; else follow_job(),
 * fetch_files() to --output, and the words and exit code that fit. */
int follow_submitted(struct cli *cli, struct queue *queue, const char *id);

/* The exit code of a job's final state; prints why it failed. */
int report_end(struct cli *cli, const struct queue_entry *entry);

#endif

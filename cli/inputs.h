/* What jobs start from: files of this host, sent to whoever makes the job. */
#ifndef SUMI_CLI_INPUTS_H
#define SUMI_CLI_INPUTS_H

#include "base/hash.h"
#include "cli/cli.h"
#include "queue/sources.h"
#include "request/files.h"

/* From where relative paths count. NULL: from the present folder. */
struct inputs_from {
	const char *folder;
	const json_t *own; /* the parameters to which that applies are fields here; NULL: all */
};

/* The files that a job names and that are here: whether a job of its modality can take them.
 * seen, which may be NULL, remembers files between calls. Nothing is sent. */
int inputs_check(const struct job *job, const struct inputs_from *from, json_t *seen,
		 struct error *err);

/* The results of other jobs that a job names: queue_source_check() of each, with the same arguments. */
int inputs_link(struct queue *queue, struct job *job, const struct inputs_from *from, queue_coming *coming,
		void *context, struct error *err);

/* queue_options.stored; context is the struct cli. */
enum queue_stored inputs_stored(void *context, const char *name);

/* Sends the files that the job names and puts their SHA-256 in their place. A file that the queue has
 * is not sent again; from and seen as above. A result of another job is left to the worker, or sent as
 * well where workers may be on other hosts. SUMI_NOTFOUND says what a parameter can name. */
int inputs_send(const struct cli *cli, struct queue *queue, struct job *job,
		const struct inputs_from *from, json_t *seen, struct error *err);

/* Where the job's files lie on this host: files, or what the store has of a SHA-256 or result. The
 * caller clears *places, which begins with {0}. */
int inputs_locate(const struct cli *cli, const struct job *job, struct request_places *places,
		  struct error *err);

#endif

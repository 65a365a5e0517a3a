/* What jobs start from: files of this host, sent to whoever makes the job. */
#ifndef SUMI_CLI_INPUTS_H
#define SUMI_CLI_INPUTS_H

#include "base/hash.h"
#include "cli/cli.h"

/* Where a job's init is a file here: whether a job of its modality can start from it.
 * folder: from where relative paths count; NULL: the present one. seen, which may be NULL, remembers
 * files between calls. Nothing is sent. */
int inputs_check(const struct job *job, const char *folder, json_t *seen, struct error *err);

/* Sends the file that the job's init names and puts its SHA-256 in init's place. A file that the
 * queue has is not sent again; folder and seen as above. A result of another job is left to the worker, or sent as well where workers may be on other hosts. SUMI_NOTFOUND
 * says what init can be. */
int inputs_send(const struct cli *cli, struct queue *queue, struct job *job, const char *folder,
		json_t *seen, struct error *err);

/* Where init lies on this host: a file, or what the store has of that SHA-256 or result. */
int inputs_locate(const struct cli *cli, const char *init, char path[FILES_PATH_MAX],
		  char sha256[SHA256_HEX_SIZE], struct error *err);

#endif

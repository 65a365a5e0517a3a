/* The files that a request names: the values of rows whose type is FILE, and those of such members of
 * lists of objects. Whoever carries, finds or keeps files asks here and names no parameter. */
#ifndef SUMI_REQUEST_FILES_H
#define SUMI_REQUEST_FILES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/files.h"
#include "base/hash.h"
#include "request/members.h"

struct param;

#define REQUEST_FILE_NAME 160

struct request_file {
	const struct param *param;    /* the row */
	const struct param *member;   /* of its objects; NULL: the row's own value */
	size_t entry;                 /* the object */
	const char *value;            /* borrowed */
	char name[REQUEST_FILE_NAME]; /* for messages: "init", "controls, entry 2, image" */
};

/* The file number i of a request, in the table's order; false when it has no more. */
bool request_file(const struct request *r, size_t i, struct request_file *out);

/* Of a job as JSON the file's row with another value, for job_set(); a new reference, NULL: no memory. */
json_t *request_file_changed(const struct request *r, const struct request_file *f,
			     const char *value);

/* Where the files of a request were found: one for each, in their order. Begin with {0}. */
struct request_place {
	char sha256[SHA256_HEX_SIZE], path[FILES_PATH_MAX]; /* "": not looked for */
};

struct request_places {
	struct request_place *at;
	size_t count;
	json_t *lists; /* rows of objects as they are with the hashes */
};

/* Room for each file of r; what is known already stays. */
int request_places_prepare(struct request_places *places, const struct request *r, struct error *err);

/* Lets r, whose files have all been found, name them by SHA-256 and know their paths. What r then
 * points to lives as long as places does. */
int request_places_put(struct request_places *places, struct request *r, struct error *err);

/* The path of a file by its SHA-256, as r names it after that; NULL: nobody has looked for it. */
const char *request_file_path(const struct request *r, const char *sha256);

void request_places_clear(struct request_places *places);

/* The n-th name of a parameter, or of a member of objects, that names a file; NULL when there are no
 * more. One may come twice. */
const char *request_file_key(size_t n);

#endif

/* Where results go: the present folder, a folder, a file's name, or standard output. */
#ifndef SUMI_CLI_OUTPUT_H
#define SUMI_CLI_OUTPUT_H

#include "cli/cli.h"

/* Whether -o is "-": the bytes of the one result go to standard output, and nothing else does. */
bool output_is_standard(const char *output);

/* Looks at --output, --detach and --format together before anything is sent: the suffix of the name
 * chooses the format (a job field then), and what contradicts it is refused, as are unknown
 * suffixes, a name where nothing can be written, a terminal for "-". format: what it is where neither
 * says so, or NULL. */
int output_prepare(struct cli *cli, const char *modality, const char *format, struct error *err);

/* The part of that which needs no job: can it be written there. */
int output_check(const struct cli *cli, struct error *err);

/* Refuses a file's name whose suffix is not the format of what goes into it. */
int output_fits(const char *output, const char *format, struct error *err);

/* One of a job's files. */
struct output_part {
	const char *job; /* for names in a folder */
	int variant;     /* from 0 */
	const char *role, *format;
	int number; /* of several with one role, from 1; else 0 */
};

/* Its path: NULL → ./ID-1.webp; a folder → folder/ID-1.webp; "x.webp" → x.webp, the second variant
 * x-2.webp, its third frame x-2-frame-3.webp. */
int output_path(const char *output, const struct output_part *part, char out[FILES_PATH_MAX],
		struct error *err);

/* Writes bytes to a path, durably, or for "-" to standard output. */
int output_write(const char *output, const char *path, const void *data, size_t size,
		 struct error *err);

#endif

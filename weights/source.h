/* The files behind a set of weights, and the list of their tensors. */
#ifndef SUMI_WEIGHTS_SOURCE_H
#define SUMI_WEIGHTS_SOURCE_H

#include "base/files.h"
#include "weights/layout.h"

/* Files that are opened together: the shards of an index, or one. */
struct source {
	struct tensor_file **files;
	size_t file_count;
	struct tensor_list list;             /* of all of them */
	const struct tensor_entry **entries; /* the list's memory */
	char part[32];                       /* of FILE/part; or empty */
};

/* Opens a folder's weights, or FILE, or FILE/part (files are told from folders by the disk). The
 * caller calls source_close() in any case. */
int source_open(const char *path, struct source *out, struct error *err);
void source_close(struct source *s); /* also a zeroed one */

/* The file of an entry of the list. */
const struct tensor_file *source_file(const struct source *s, const struct tensor_entry *entry);

/* Splits "FILE/rest" where FILE is a regular file. rest is borrowed from path, "" where path is
 * the file itself. False for anything else. */
bool source_split(const char *path, char file[FILES_PATH_MAX], const char **rest);

/* Whether a component's weights are incomplete: file becomes the name of the first that is not
 * there; usual where there is none at all. */
#define WEIGHTS_FILE_MAX 256
bool weights_missing(const char *folder, const char *usual, char file[WEIGHTS_FILE_MAX]);

#endif

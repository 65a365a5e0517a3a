/* Wildcards of structured files, as sd-dynamic-prompts has them: YAML and JSON, names within names, lists of lines. */
#ifndef SUMI_MODALITIES_WILDCARDS_TREE_H
#define SUMI_MODALITIES_WILDCARDS_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { WILDCARD_TREE_NAME = 256 };

/* A line of a list, under the names that lead to it, "clothes/hats"; "" of a file that is one list. number: of the
 * line in the file, 0: not told. text is not closed by a NUL. */
typedef int wildcard_line(void *context, const char *name, int number, const char *text, size_t size, struct error *err);

/* Whether such a file is one by its ending. */
bool wildcard_tree_ending(const char *file);

/* Calls visit() for each line. SUMI_INVALID names the file's line that is not read: of YAML, mappings and lists of one
 * line each are, plain, quoted or in brackets; no anchors, tags, or blocks of text. */
int wildcard_tree_read(const char *text, size_t size, const char *path, wildcard_line *visit, void *context,
		       struct error *err);

#endif

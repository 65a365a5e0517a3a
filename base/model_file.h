/* How files of tensors are called. What they hold is told from their bytes, never from this. */
#ifndef SUMI_BASE_MODEL_FILE_H
#define SUMI_BASE_MODEL_FILE_H

#include <stdbool.h>

/* The ending of such a file's name, within name and with its dot, in any letter case; NULL where it has
 * none of them. */
const char *model_file_ending(const char *name);

/* Whether one asks for a model of that name, with its file's ending or without. */
bool model_file_is_called(const char *name, const char *asked);

#endif

/* How files of tensors are called. What they hold is told from their bytes, never from this. */
#ifndef SUMI_BASE_MODEL_FILE_H
#define SUMI_BASE_MODEL_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* The ending of such a file's name, within name and with its dot, in any letter case; NULL where it has
 * none of them. */
const char *model_file_ending(const char *name);

/* How long the name of a model is in what one calls it by: less than strlen(called) where its file's ending stands
 * behind it, or several (a.ckpt.safetensors is a). So no model's name ends like a file, and cutting twice cuts no more. */
size_t model_name_length(const char *called);

/* Whether one asks for a model of that name, with its file's ending or without. */
bool model_file_is_called(const char *name, const char *asked);

#endif

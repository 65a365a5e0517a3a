/* What a file of tensors is, for `sumi models show FILE`. */
#ifndef SUMI_CLI_MODELS_FILE_H
#define SUMI_CLI_MODELS_FILE_H

#include <jansson.h>

#include "base/status.h"

/* Kind, family, formats and what the file says of itself, a new object. Nothing but its header is read.
 * SUMI_UNSUPPORTED with what it is where it holds no tensors. */
int models_file_describe(const char *path, json_t **out, struct error *err);

#endif

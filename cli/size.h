/* The size of a picture as people write it. */
#ifndef SUMI_CLI_SIZE_H
#define SUMI_CLI_SIZE_H

#include <jansson.h>

#include "base/status.h"

/* "512x768", and "512" for both: width and height among a job's fields. */
int cli_size(const char *text, json_t *fields, struct error *err);

#endif

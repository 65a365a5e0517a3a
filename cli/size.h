/* The size of a picture as people write it. */
#ifndef SUMI_CLI_SIZE_H
#define SUMI_CLI_SIZE_H

#include <jansson.h>

#include "base/status.h"
#include "request/param.h"

/* "512x768", and "512" for both: width and height among a job's fields. */
int cli_size(const char *text, json_t *fields, struct error *err);

/* SUMI_INVALID where p is a side of a picture and the fields have it already, as another number. */
int cli_size_agrees(const json_t *fields, const struct param *p, const json_t *value,
		    struct error *err);

#endif

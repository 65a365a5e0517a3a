/* What is asked for: the parameters that decide a result. */
#ifndef SUMI_REQUEST_REQUEST_H
#define SUMI_REQUEST_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "request/members.h"

/* A resolved request as an object of the table's names, without what has its usual value or no
 * say: what stands in a file's metadata and decides its digest. NULL: no memory. */
json_t *request_json(const struct request *r);

struct param;

/* One of a request's values as JSON, NULL where it is open or as usual. */
json_t *request_value(const struct request *r, const struct param *p);

/* SUMI_INVALID names a parameter that this modality (PARAM_IMAGE, …) does not have, or one beyond
 * the limits of its row. What is open is fine. */
int request_check(const struct request *r, unsigned modality, struct error *err);

/* Whether a part of its init is made anew and the rest stays. */
bool request_masked(const struct request *r);

/* The name of a value that was given and has no say beside the others, and why; NULL: all have. */
const char *request_idle(const struct request *r, const char **why);

/* What of a request two jobs must have in common to be made together, as a text: rows with
 * PARAM_SHAPE. size: REQUEST_SHAPE_SIZE is enough. */
#define REQUEST_SHAPE_SIZE 640
void request_shape(const struct request *r, char *out, size_t size);

#endif

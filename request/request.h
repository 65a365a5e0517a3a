/* What is asked for: the parameters that decide a result. Its members come from the table. */
#ifndef SUMI_REQUEST_REQUEST_H
#define SUMI_REQUEST_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "request/table.h"

struct param_list {
	size_t count;
	const char *at[PARAM_LIST_MAX];
};

/* How each type is held. Open is 0, NULL, false; of a NUMBER NaN, because its 0 is a value. */
#define PARAM_MEMBER_TEXT(name) const char *name;
#define PARAM_MEMBER_NAME(name) const char *name;
#define PARAM_MEMBER_LABEL(name) const char *name;
#define PARAM_MEMBER_ID(name) const char *name;
#define PARAM_MEMBER_WORD(name) const char *name;
#define PARAM_MEMBER_WINDOW(name) const char *name;
#define PARAM_MEMBER_ZONE(name) const char *name;
#define PARAM_MEMBER_EVERY(name) const char *name;
#define PARAM_MEMBER_RANK(name) int name;
#define PARAM_MEMBER_INT(name) int name;
#define PARAM_MEMBER_SEED(name) uint64_t name;
#define PARAM_MEMBER_NUMBER(name) double name;
#define PARAM_MEMBER_AMOUNT(name) double name;
#define PARAM_MEMBER_BOOL(name) bool name;
#define PARAM_MEMBER_TIME(name) int64_t name; /* ms since 1970 */
#define PARAM_MEMBER_ID_LIST(name) struct param_list name;
#define PARAM_MEMBER_TEXT_LIST(name) struct param_list name;

#define REQUEST_MEMBER_PICTURE(type, name) PARAM_MEMBER_##type(name)
#define REQUEST_MEMBER_QUEUE(type, name)
#define REQUEST_MEMBER_CLIENT(type, name)
#define REQUEST_MEMBER(name, type, concern, ...) REQUEST_MEMBER_##concern(type, name)

/* Strings are borrowed. A modality's resolve() replaces what is open by what the pack proposes,
 * and the result is what the metadata record. */
struct request {
	PARAM_TABLE(REQUEST_MEMBER)
	/* Where the file lies that init names; needed when a generation begins. */
	const char *init_file;
};

/* A resolved request as an object of the table's names, without what has its usual value or no
 * say: what stands in a file's metadata and decides its digest. NULL: no memory. */
json_t *request_json(const struct request *r);

struct param;

/* One of a request's values as JSON, NULL where it is open or as usual. */
json_t *request_value(const struct request *r, const struct param *p);

/* SUMI_INVALID names a parameter that this modality (PARAM_IMAGE, …) does not have, or one beyond
 * the limits of its row. What is open is fine. */
int request_check(const struct request *r, unsigned modality, struct error *err);

/* The name of a value that was given and has no say beside the others, and why; NULL: all have. */
const char *request_idle(const struct request *r, const char **why);

/* What of a request two jobs must have in common to be made together, as a text: rows with
 * PARAM_SHAPE. size: REQUEST_SHAPE_SIZE is enough. */
#define REQUEST_SHAPE_SIZE 256
void request_shape(const struct request *r, char *out, size_t size);

/* A seed in JSON: a whole number up to 2^63 - 1, beyond it a text, as JSON libraries lose such
 * numbers. */
json_t *request_seed_json(uint64_t seed);

#endif

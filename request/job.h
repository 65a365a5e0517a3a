/* A job as its sender writes it: the parameters of the table (request/table.h), read from JSON or
 * from flat fields, checked, and written as canonical JSON. What becomes of it (state, attempts,
 * results) is the queue's.
 *
 * Schema version 1. Unknown fields are an error that names them. */
#ifndef SUMI_REQUEST_JOB_H
#define SUMI_REQUEST_JOB_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/schedule.h"
#include "base/status.h"
#include "request/members.h"
#include "request/param.h"
#include "request/request.h"

#define JOB_ID_SIZE (JOB_ID_MAX + 1)
#define JOB_JSON_MAX (64 * 1024) /* bytes of a whole job as JSON */

enum job_priority { JOB_HIGH, JOB_NORMAL, JOB_BATCH };

/* Each fills *job (to be released with job_clear()), or leaves nothing to release and
 * returns SUMI_INVALID / SUMI_TOOBIG with "job: field 'x' …". modality and prompt are
 * required. */
int job_parse_object(const json_t *object, struct job *job, struct error *err);
int job_parse_json(const char *text, size_t size, struct job *job, struct error *err);

struct job_text { /* one flat field; bytes are borrowed and need no terminator */
	const char *name;
	size_t name_size;
	const char *value;
	size_t value_size;
};
int job_parse_flat(const struct job_text *fields, size_t count, struct job *job, struct error *err);

void job_clear(struct job *job);

/* Sets one field of a parsed job; value is stolen also on failure. */
int job_set(struct job *job, const char *name, json_t *value, struct error *err);

/* Draws what the sender left open and the queue must know: id (a ULID), the seed, tz where a
 * window or a daily time needs one. */
int job_complete(struct job *job, struct error *err);

/* Canonical JSON, one line, fields in the order of the table. The caller frees *text. */
int job_to_json(const struct job *job, char **text, struct error *err);

/* The JSON Schema (draft 2020-12) of the table. The caller frees *text. */
int job_schema_text(char **text, struct error *err);

/* The modality of fields that do not name it, by one that it alone has (a mood, frames) or a word
 * that it alone knows (ogg). NULL: there is no telling. */
const char *job_implied_modality(const json_t *fields);

/* The request of variant k: its seed is the job's plus k, and 0 follows 2^64 - 1. Strings are
 * borrowed from the job, whose seed must have been drawn (job_complete). */
struct request job_request(const struct job *job, int variant);

/* What of a job that can be read keeps it from being made, as far as it says so itself: a field of
 * another modality, values that exclude each other, an id that no file may have. Asked where a job
 * enters the queue, and not of those that stand there. SUMI_INVALID: "job: …". */
int job_check(const struct job *job, struct error *err);

/* Length of an id without the ".20261122T220000Z" of a recurring job's later occurrences. */
size_t job_series_length(const char *id);

#endif

/* The job: one table of fields (queue/job.c) from which come parsing, limits, help texts
 * and docs/job.schema.json. A job is what a sender asks for; what becomes of it (state,
 * attempts, results) is the queue's and stands in queue/queue.h.
 *
 * Schema version 1. Unknown fields are an error that names them. */
#ifndef SUMI_QUEUE_JOB_H
#define SUMI_QUEUE_JOB_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define JOB_ID_MAX 64
#define JOB_ID_SIZE (JOB_ID_MAX + 1)
#define JOB_JSON_MAX (64 * 1024) /* bytes of a whole job as JSON */
#define JOB_MAX_AFTER 64
#define JOB_MAX_TAGS 16

/* X(NAME, word): where a job stands. The words are stable. */
#define JOB_STATE_MAP(X)                                                                           \
	X(READY, "ready")                                                                          \
	X(DELAYED, "delayed")                                                                      \
	X(BLOCKED, "blocked")                                                                      \
	X(RUNNING, "running")                                                                      \
	X(DONE, "done")                                                                            \
	X(FAILED, "failed")                                                                        \
	X(CANCELLED, "cancelled")

enum job_state {
#define X(name, word) JOB_##name,
	JOB_STATE_MAP(X)
#undef X
	    JOB_STATES
};

const char *job_state_word(enum job_state state);
int job_state_from_word(const char *word); /* -1 for a word that is none */
bool job_state_is_final(enum job_state state);

enum job_priority { JOB_HIGH, JOB_NORMAL, JOB_BATCH };

/* What a sender asks for. Strings and lists are owned by the job (they point into
 * `fields`); 0, NULL, NaN and false mean "not given: as the pack proposes". */
struct job {
	json_t *fields; /* canonical: every given field, checked, in its JSON type */

	const char *id; /* NULL until job_complete() when the sender chose none */
	const char *modality;
	const char *prompt, *negative_prompt;
	const char *model;
	int64_t seed; /* −1: to be drawn; variant k of a job uses seed + k */
	int64_t n;    /* variants, 1…64 */
	int64_t steps, width, height, clip_skip;
	int64_t deep_cache, deep_cache_level;
	double cfg_scale, guidance_rescale, guidance_start, guidance_end, eta;
	const char *sampler, *scheduler, *rng;
	bool fast;
	const char *format;
	double quality;
	bool lossless;
	const char *init;
	double strength;
	double duration; /* seconds */
	const char *mood;
	int64_t frames, fps, loop_count;
	bool loop, reverse, boomerang;

	int64_t priority;             /* enum job_priority */
	int64_t not_before, deadline; /* ms since 1970; 0: none */
	const char *window;           /* "22:00-06:00", or NULL */
	const char *tz;               /* time zone of window and every; NULL: the daemon's */
	const char *every;            /* "24h", or "22:00" for daily; NULL: once */
	const char *after[JOB_MAX_AFTER];
	size_t after_count;
	int64_t max_attempts; /* failures, and apart from them crashes, until it is put aside */
	const char *tags[JOB_MAX_TAGS];
	size_t tag_count;
	const char *notify;
	const char *submitter; /* never NULL */
};

enum job_field_type {
	JOB_TEXT, /* UTF-8 string */
	JOB_NAME, /* [A-Za-z0-9._:/+-] */
	JOB_ID,   /* [A-Za-z0-9._:-]{1,64} */
	JOB_WORD, /* one of words */
	JOB_RANK, /* one of words, held as its index */
	JOB_INT,
	JOB_NUMBER,
	JOB_BOOL,
	JOB_TIME,   /* RFC 3339 text, or ms since 1970 */
	JOB_WINDOW, /* HH:MM-HH:MM */
	JOB_ZONE,   /* name of the tz database */
	JOB_EVERY,  /* duration or HH:MM */
	JOB_ID_LIST,
	JOB_TEXT_LIST
};

/* One row of the schema. `sumi` makes its options from these rows. */
struct job_field {
	const char *name;
	enum job_field_type type;
	double min, max;          /* numbers: the range; texts: bytes; lists: entries */
	const char *const *words; /* JOB_WORD, JOB_RANK: NULL-terminated */
	const char *fallback;     /* value when not given, as text; NULL: left to the pack */
	bool render;              /* a parameter of the picture, not of the queue */
	const char *help;         /* one line */
	size_t offset;            /* in struct job */
};

extern const struct job_field job_fields[]; /* ends with name == NULL */

const struct job_field *job_field_find(const char *name);

/* The known field nearest to a misspelt one, or NULL when none is near. */
const char *job_field_nearest(const char *name);

/* Text as it stands in a flat intake entry or behind a command-line option → the JSON value
 * of the field's type (lists: separated by commas). The caller releases *value. */
int job_field_value(const struct job_field *field, const char *text, size_t size, json_t **value,
		    struct error *err);

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

/* Draws what the sender left open and the queue must know: id (a ULID), seed where it
 * is −1, tz where a window or a daily time needs one. */
int job_complete(struct job *job, struct error *err);

/* Canonical JSON, one line, fields in the order of the table. The caller frees *text. */
int job_to_json(const struct job *job, char **text, struct error *err);

/* The JSON Schema (draft 2020-12) of the table. The caller frees *text. */
int job_schema_text(char **text, struct error *err);

/* 1…64 of [A-Za-z0-9._:-]. */
bool job_id_valid(const char *id);

/* Length of an id without the ".20261122T220000Z" of a recurring job's later occurrences. */
size_t job_series_length(const char *id);

#endif

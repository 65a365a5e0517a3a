/* A request and a job as structs: their members come from the table of parameters. */
#ifndef SUMI_REQUEST_MEMBERS_H
#define SUMI_REQUEST_MEMBERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
#define PARAM_MEMBER_URL(name) const char *name;
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
/* What it names, and where the file lies: needed when a generation begins. */
#define PARAM_MEMBER_FILE(name) const char *name, *name##_file;
/* Canonical: every object has its members in the table's order, those with a fallback all. */
#define PARAM_MEMBER_OBJECT_LIST(name) const json_t *name;

#define REQUEST_MEMBER_PICTURE(type, name) PARAM_MEMBER_##type(name)
#define REQUEST_MEMBER_QUEUE(type, name)
#define REQUEST_MEMBER_CLIENT(type, name)
#define REQUEST_MEMBER(name, type, concern, ...) REQUEST_MEMBER_##concern(type, name)

struct control_list;
struct enlargers;
struct request_places;

/* Strings are borrowed. A modality's resolve() replaces what is open by what the pack proposes,
 * and the result is what the metadata record. */
struct request {
	PARAM_TABLE(REQUEST_MEMBER)
	const char *host_precision; /* taken where the job leaves precision open; NULL: open as well */
	const char *usual_precision; /* the device's, where the pack leaves it open too; NULL: exact */
	/* Where words are looked for that stand for vectors: models folders as sumi.conf has them; NULL:
	 * nowhere. */
	const char *host_packs, *host_state;
	const char *refiner_digest;    /* of the pack that goes on; NULL: not told */
	struct control_list *networks; /* of its controls (diffusion/controls.h), or NULL */
	const struct enlargers *enlargers; /* upscalers (modalities/enlarge.h), or NULL: not looked for */
	const struct request_places *places; /* where its files lie (request/files.h), or NULL */
};

#define JOB_MEMBER_PICTURE(type, name)
#define JOB_MEMBER_QUEUE(type, name) PARAM_MEMBER_##type(name)
#define JOB_MEMBER_CLIENT(type, name) PARAM_MEMBER_##type(name)
#define JOB_MEMBER(name, type, concern, ...) JOB_MEMBER_##concern(type, name)

/* What a sender asks for. Strings and lists are owned by the job (they point into
 * `fields`); 0, NULL, NaN and false mean "not given: as the pack proposes". */
struct job {
	json_t *fields; /* canonical: every given field, checked, in its JSON type */
	union {         /* job.steps and job.request.steps are one */
		struct request request;
		struct {
			PARAM_TABLE(REQUEST_MEMBER)
		};
	};
	bool seed_given; /* else it is to be drawn */
	/* id is NULL until job_complete() when the sender chose none; submitter never is. */
	PARAM_TABLE(JOB_MEMBER)
};

#endif

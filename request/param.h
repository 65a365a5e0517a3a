/* The rows of the table of parameters, and the values that stand behind their names. */
#ifndef SUMI_REQUEST_PARAM_H
#define SUMI_REQUEST_PARAM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/modality_table.h"
#include "base/status.h"
#include "request/table.h"

enum param_type {
	PARAM_TEXT,   /* UTF-8 string */
	PARAM_NAME,   /* [A-Za-z0-9._:/+-] */
	PARAM_LABEL,  /* [A-Za-z0-9._:/+ -]: a name as people write it, "DPM++ 2M Karras" */
	PARAM_ID,     /* an id of a job, job_id_valid() */
	PARAM_WORD,   /* one of words */
	PARAM_RANK,   /* one of words, held as its index */
	PARAM_INT,    /* whole number */
	PARAM_SEED,   /* 0 … 2^64 - 1, -1: open; as a number, or as digits in a text */
	PARAM_NUMBER, /* any number */
	PARAM_AMOUNT, /* a number whose 0 is as good as not given */
	PARAM_BOOL,
	PARAM_TIME,   /* RFC 3339 text, or ms since 1970 */
	PARAM_WINDOW, /* HH:MM-HH:MM */
	PARAM_URL,    /* http(s)://… */
	PARAM_ZONE,   /* name of the tz database */
	PARAM_EVERY,  /* duration or HH:MM */
	PARAM_ID_LIST,
	PARAM_TEXT_LIST,
	PARAM_FILE,       /* its SHA-256, or what it is found by: the id of a result, a path */
	PARAM_OBJECT_LIST /* objects of members, a table of rows like these */
};

enum param_concern { PARAM_PICTURE, PARAM_QUEUE, PARAM_CLIENT };

enum {
#define X(NAME, ...) PARAM_##NAME = 1 << MODALITY_##NAME,
	MODALITY_TABLE(X)
#undef X
	    PARAM_ALL = (1 << MODALITIES) - 1,
	    PARAM_PACKS = (1 << MODALITIES_OF_PACKS) - 1 /* those that a model makes */
};

enum { PARAM_SHAPE = 1, PARAM_UNWRITTEN = 2, PARAM_ECHOED = 4, PARAM_NEEDED = 8, PARAM_EMPTY = 16, PARAM_COLON = 32, PARAM_OTHERS = 64, PARAM_FILED = 128 };

/* X(NAME, title): the groups of the help, in its order. */
#define PARAM_GROUP_MAP(X)                                                                         \
	X(PROMPT, "what is made")                                                                  \
	X(FORM, "its form")                                                                        \
	X(SAMPLING, "how it is made")                                                              \
	X(INIT, "what it starts from")                                                             \
	X(QUEUE, "when it is made")                                                                \
	X(SENDER, "the sender's own")

enum param_group {
#define X(name, title) PARAM_GROUP_##name,
	PARAM_GROUP_MAP(X)
#undef X
	    PARAM_GROUPS
};

const char *param_group_title(enum param_group group);

/* A word of a choice, and the modalities that know it. */
struct param_word {
	const char *word;
	unsigned modalities;
};

struct param {
	const char *name;
	enum param_type type;
	enum param_concern concern;
	unsigned modalities;
	double min, max;
	struct {
		const struct param_word *words; /* of a choice; ends with word == NULL */
		const struct param *members;    /* of objects; ends with name == NULL */
	};
	const char *fallback;
	unsigned flags;
	enum param_group group;
	const char *infotext;
	const char *help; /* one line */
	size_t offset;    /* in struct job */
};

enum {
	PARAM_COUNT = 0
#define X(...) +1
	PARAM_TABLE(X)
#undef X
};

extern const struct param param_table[]; /* ends with name == NULL */

const struct param *param_find(const char *name);

/* The same as people write it ("cfg-scale", "Negative prompt") and as other programs call it
 * ("guidance_scale", "num_inference_steps"). */
const struct param *param_named(const char *name);

/* The known name nearest to a misspelt one, or NULL when none is near. */
const char *param_nearest(const char *name);

/* PARAM_IMAGE … of a modality's name; 0 for a name that is none, and for NULL. */
unsigned param_modality(const char *name);

/* The names of a mask's modalities: "video and audio". */
const char *param_modality_names(unsigned modalities, char *out, size_t size);

/* The words of a choice that a modality knows, separated by commas (of PARAM_ALL with who knows
 * them); and whether it knows one. */
const char *param_words(const struct param *p, unsigned modality, char *out, size_t size);
bool param_has_word(const struct param *p, unsigned modality, const char *word);

/* A word of the choice as the table has it, whatever its case; NULL: it is none. */
const char *param_word(const struct param *p, const char *text);

/* A word of hires_upscaler as A1111 calls it, and back in any case; NULL: it is none. */
const char *param_hires_label(const char *word);
const char *param_hires_word(const char *label);

/* The first of them, or NULL. */
const char *param_first_word(const struct param *p, unsigned modality);

/* Text as it stands in a flat intake entry or behind a command-line option → the JSON value
 * of the parameter's type (lists: separated by commas), null where the text means "open". The
 * caller releases *value. modality: whose words an error names, 0 where that is not known. */
int param_from_text(const struct param *p, unsigned modality, const char *text, size_t size,
		    json_t **value, struct error *err);

/* A value checked, and in the parameter's canonical form: a new reference, NULL where it means
 * "open". Words are taken in any case. modality: as above. SUMI_INVALID: "job: field 'x' …". */
int param_canonical(const struct param *p, unsigned modality, json_t *value, json_t **out,
		    struct error *err);

/* A canonical value as the text that param_from_text() reads; the caller frees it. NULL: no memory. */
char *param_text(const struct param *p, const json_t *value);

/* The JSON Schema of the parameter's values; a new reference. */
json_t *param_schema(const struct param *p);

/* A canonical seed; false for what is none. */
bool param_seed(const json_t *value, uint64_t *seed);

/* 1…64 of [A-Za-z0-9._:-]. */
bool job_id_valid(const char *id);

/* A seed in JSON: a whole number up to 2^63 - 1, beyond it a text, as JSON libraries lose such
 * numbers. */
json_t *param_seed_json(uint64_t seed);

#endif

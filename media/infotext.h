/* A1111's "parameters" text: what stable-diffusion-webui writes into its pictures and other
 * programs paste back.
 *
 *     PROMPT
 *     Negative prompt: NEGATIVE
 *     Steps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x512, …
 *
 * Order of fields, quoting and the parser's rules follow stable-diffusion-webui's
 * modules/processing.py and modules/infotext_utils.py. */
#ifndef SUMI_MEDIA_INFOTEXT_H
#define SUMI_MEDIA_INFOTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

#define INFOTEXT_MAX_FIELDS 128

struct infotext_field {
	char *key;   /* "Steps", "CFG scale" */
	char *value; /* unquoted; NULL: left out */
};

struct infotext {
	char *prompt;
	char *negative_prompt; /* NULL or empty: no such line */
	struct infotext_field *fields;
	size_t count;
};

/* Fields come out in A1111's order whatever order they are given in; unknown keys stand
 * before "Version", in the order given. All of text is borrowed. The caller frees *out. */
int infotext_write(const struct infotext *text, char **out, struct error *err);

/* Fills *text with strings that infotext_free() releases. Prompts of several lines are fine;
 * without a line of parameters all of it is the prompt. A key that stands twice counts as it
 * stands last. JSON that is not quoted is one value. Texts of one line with a full stop for each line
 * end, as exiftool prints them, are read too. (A1111 splits "Size" in two on reading; here it stays "512x768".) */
int infotext_parse(const char *in, size_t size, struct infotext *text, struct error *err);
void infotext_free(struct infotext *text); /* what it holds, not text itself */

/* Sets a field, in the place of one with that key; value is copied. SUMI_TOOBIG beyond
 * INFOTEXT_MAX_FIELDS. text: zero-initialised, or from infotext_parse(). */
int infotext_set(struct infotext *text, const char *key, const char *value, struct error *err);

/* Sets the prompt, or the negative one, where there is none yet. */
int infotext_set_prompt(struct infotext *text, bool negative, const char *prompt,
			struct error *err);

/* The value of a key, or NULL. Borrowed. */
const char *infotext_get(const struct infotext *text, const char *key);

#endif

/* A story for a theme, by a grammar over what packs say that they can make (words.json, docs/packs-format.md). */
#ifndef SUMI_MODALITIES_SCRIPT_H
#define SUMI_MODALITIES_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "diffusion/pack.h"

enum { SCRIPT_SCENES_MAX = 48 };

struct script_order {
	const char *theme;             /* UTF-8 */
	const char *language;          /* "en", "ru"; NULL: the theme's */
	int scenes;                    /* 1 … SCRIPT_SCENES_MAX */
	uint64_t seed;
	const struct pack_info *video; /* that paints, with its base */
	const struct pack_info *audio; /* that plays; NULL: no music */
};

/* *text: a story as story_read() reads it, with comments about what of the theme no pack can make; the caller frees
 * it. The same order gives the same text. SUMI_NOTFOUND where the packs do not say what they can paint. */
int script_write(const struct script_order *order, char **text, struct error *err);

/* Whether a word (UTF-8) means a value of that kind by what a pack says (words.json, "near"); the value's name into
 * name. */
bool script_means(const struct pack_info *info, const char *kind, const char *word, char *name, size_t size);

#endif

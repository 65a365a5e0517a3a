/* The table of modalities: what sumi makes. A row is
 *
 *     X(NAME, name, model, usage, least, summary)
 *
 * and from it follow: the word of jobs and packs, PARAM_NAME for the rows of request/table.h,
 * the verb `sumi name`, and a place for modality_name, the functions, which a file in modalities/
 * defines; where packs make it, the setting model_name. Another modality is one row here and that file. The first
 * is what is made where nobody says what.
 *
 *   model    the pack in the box
 *   usage    of the verb: what may stand behind it
 *   least    arguments that must
 *   summary  of the verb: one line
 */
#ifndef SUMI_BASE_MODALITY_TABLE_H
#define SUMI_BASE_MODALITY_TABLE_H

/* clang-format off */
#define MODALITY_OF_PACKS(X) \
X(IMAGE, image, "ink", "PROMPT [options]", 1, "paint pictures and save them") \
X(VIDEO, video, "ink-motion", "PROMPT [options]", 1, "make a short video and save it") \
X(AUDIO, audio, "ink-music", "[PROMPT] [--mood NAME] [options]", 0, "make a music clip and save it") \
X(WORLD, world, "ink-world", "PROMPT [options]", 1, "make a landscape: a mesh, a turntable, heights")

/* And those that are made of results, without a model: they have a verb of their own. */
#define MODALITY_TABLE(X) \
MODALITY_OF_PACKS(X) \
X(FILM, film, NULL, "STORY [options]", 1, "make the scenes and the music of a story, and a film of them")
/* clang-format on */

enum modality_index {
#define X(NAME, ...) MODALITY_##NAME,
	MODALITY_TABLE(X)
#undef X
	    MODALITIES
};

enum {
	MODALITIES_OF_PACKS = 0
#define X(...) +1
	MODALITY_OF_PACKS(X)
#undef X
};

/* By index. */
extern const char *const modality_names[MODALITIES];

/* All of them in one text, constant: "image, video, audio" and "image|video|audio". */
#define MODALITY_COMMA(NAME, name, ...) ", " #name
#define MODALITY_BAR(NAME, name, ...) "|" #name
#define MODALITY_LIST (&(MODALITY_TABLE(MODALITY_COMMA))[2])
#define MODALITY_CHOICE (&(MODALITY_TABLE(MODALITY_BAR))[1])

/* MODALITIES for a word that is none, and for NULL. */
enum modality_index modality_index(const char *name);

#endif

/* Words of prompts that stand for vectors (textual inversion): found by name in models folders, checked
 * against a pack, made lists for its text encoders. */
#ifndef SUMI_DIFFUSION_EMBEDDINGS_H
#define SUMI_DIFFUSION_EMBEDDINGS_H

#include <jansson.h>

#include "base/bytes.h"
#include "diffusion/conditioner.h"
#include "diffusion/places.h"

#define EMBEDDINGS_FOLDER "embeddings" /* of a models folder */

enum { EMBEDDINGS_MAX = 32, EMBEDDINGS_ENCODERS = 2 };

struct pack_info;
struct embeddings;

/* What two texts name, of either NULL: none; places as for catalogue_read(). A word is the name of a file,
 * or what the file says; in ComfyUI's syntax behind "embedding:", else by itself, in any case. *out is NULL
 * where there is none. SUMI_NOTFOUND for an "embedding:NAME" of ComfyUI's that is not there, with those that
 * are; SUMI_INVALID where a word's files are all for other models, or a file is damaged. The caller closes
 * *out. */
int embeddings_find(const char *paths, const char *state_dir, enum prompt_syntax syntax,
		    const char *prompt, const char *negative, const struct pack_info *info,
		    struct embeddings **out, struct error *err);
void embeddings_close(struct embeddings *e); /* NULL is fine */

/* [encoders of the pack's kind]; NULL for NULL. */
const struct conditioner_words *embeddings_words(const struct embeddings *e);

/* Appends what decides results: names and hashes; nothing for NULL. */
void embeddings_identity(const struct embeddings *e, struct bytes_writer *out);

/* [{"name", "sha256", "vectors"}], a new reference; NULL for NULL. */
json_t *embeddings_json(const struct embeddings *e);

/* A number that changes with the files that there are; 0: there are none. */
uint64_t embeddings_stamp(const char *paths, const char *state_dir);

/* What a file is, for those who list it; word: "" where it is called as its file. Errors as for embedding_open(). */
struct embedding_summary {
	int vectors, width;
	char word[PLACES_LABEL_MAX + 1];
};
int embeddings_look(const char *path, struct embedding_summary *out, struct error *err);

/* places_visit_files() of their folder. */
int embeddings_visit(const char *paths, const char *state_dir, place_file_visit *visit, void *context,
		     struct error *err);

#endif

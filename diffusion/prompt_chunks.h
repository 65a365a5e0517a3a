/* A prompt's text as rows of token ids with their weights, cut into chunks as its syntax has it. */
#ifndef SUMI_DIFFUSION_PROMPT_CHUNKS_H
#define SUMI_DIFFUSION_PROMPT_CHUNKS_H

#include "diffusion/prompt.h"
#include "networks/tokenizer.h"

/* A word that stands for vectors (textual inversion). */
struct prompt_word {
	const char *name; /* in any case */
	int vectors;
	int first; /* of them in the encoder's list */
};

struct prompt_words {
	const struct prompt_word *rows;
	int count;
};

struct prompt_chunks {
	struct tokens tokens;
	float *weights;   /* [chunks, length]; NULL: all are 1 */
	int32_t *vectors; /* [chunks, length]: from 1 on, which of the encoder's vectors stands in the id's
			     place; 0: none. NULL: none at all */
};

/* words may be NULL. Errors as of prompt_segments_read() and tokenizer_encode(); SUMI_INVALID for a word
 * of more vectors than a chunk has room. The caller releases *out, which is empty after a failure. */
int prompt_chunks_make(enum prompt_syntax syntax, const char *text, const struct tokenizer *tokenizer,
		       const struct prompt_words *words, int min_chunks, struct prompt_chunks *out,
		       struct error *err);
/* The same of words whose weights are known; s->rows: at least one. */
int prompt_chunks_of(enum prompt_syntax syntax, const struct prompt_segments *s,
		     const struct tokenizer *tokenizer, const struct prompt_words *words, int min_chunks,
		     struct prompt_chunks *out, struct error *err);
void prompt_chunks_free(struct prompt_chunks *c); /* zeroed ones are fine */

/* Whether the text becomes the same rows as one without any syntax, which it must be by
 * prompt_tell_plain(). */
int prompt_chunks_plain(enum prompt_syntax syntax, const char *text, const struct tokenizer *tokenizer,
			const struct prompt_words *words, bool *plain, struct error *err);

/* What stands behind "embedding:" at the start of a text in ComfyUI's way: the size of its name. */
size_t prompt_embedding_name(const char *text, size_t size);

extern const char prompt_embedding_mark[]; /* "embedding:" */

/* Whether a prompt's spelling is that name: in any case, with a file's ending or without. */
bool prompt_word_is(const char *name, const char *spelt, size_t size);

#endif

/* A prompt in compel's way as a sum: texts of which each is encoded by itself, and how much of it there is where. */
#ifndef SUMI_DIFFUSION_PROMPT_TERMS_H
#define SUMI_DIFFUSION_PROMPT_TERMS_H

#include "diffusion/prompt_chunks.h"

enum { PROMPT_TERMS_MAX = 128 };

struct prompt_terms {
	struct prompt_term {
		struct prompt_chunks chunks; /* weights as ComfyUI's: from the empty text and beyond */
		double factor;
		int at; /* its first chunk in the whole */
	} *rows; /* owned */
	size_t count;
	int chunks; /* of the whole */
	struct prompt_chunks whole; /* the first term of each place, for those who show what is encoded */
};

/* Words of less than 1 count less by a share of the text without them, as compel.DownweightMode.REMOVE has it. words may
 * be NULL; padded with empty chunks up to min_chunks. Errors as of compel_read() and prompt_chunks_of(). The caller
 * releases *out, which is empty after a failure. */
int prompt_terms_make(const char *text, const struct tokenizer *tokenizer, const struct prompt_words *words,
		      int min_chunks, struct prompt_terms *out, struct error *err);
void prompt_terms_free(struct prompt_terms *t); /* zeroed ones are fine */

#endif

/* Embeddings of the texts that were encoded last: variants, repeated prompts and the empty
 * negative prompt need no second pass through the text encoder. What is kept are the encoder's
 * own bytes, so a result does not depend on whether its text was found here. */
#ifndef SUMI_DIFFUSION_TEXT_MEMORY_H
#define SUMI_DIFFUSION_TEXT_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct text_memory;

/* Of which encoder, and of what. */
struct text_key {
	int encoder;        /* a number of the caller's for each */
	const int32_t *ids; /* [count] */
	size_t count;
	int clip_skip;
	uint64_t added; /* of vectors that stand in the place of ids: a hash; 0: there are none */
	size_t floats;  /* of the embedding */
};

/* budget: bytes that embeddings may take together; the one used longest ago makes room. */
int text_memory_new(size_t budget, struct text_memory **out, struct error *err);
void text_memory_free(struct text_memory *m); /* NULL is fine */
void text_memory_clear(struct text_memory *m); /* forgets all of them */

/* The embedding [floats], borrowed until the next call with m, or NULL. */
const float *text_memory_find(struct text_memory *m, const struct text_key *key);

/* Keeps a copy. What does not fit or finds no memory is not kept. */
void text_memory_keep(struct text_memory *m, const struct text_key *key, const float *embedding);

#endif

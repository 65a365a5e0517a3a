/* What the parts of the tokenizer share. Nobody else includes it. */
#ifndef SUMI_NETWORKS_TOKENIZER_INTERNAL_H
#define SUMI_NETWORKS_TOKENIZER_INTERNAL_H

#include <stdbool.h>
#include <utf8proc.h>

#include "networks/tokenizer.h"

#define TOKENIZER_NO_RANK UINT32_MAX

/* left and right become id; of several possible merges the one of lowest rank comes first. */
struct tokenizer_merge {
	int32_t left, right, id;
	uint32_t rank; /* TOKENIZER_NO_RANK: an empty place of the table */
};

/* A token that is found in the text before anything is split. */
struct tokenizer_special {
	char *text; /* UTF-8; owned */
	size_t size;
	int32_t id;
	bool normalized;          /* looked for after lower-casing, else before */
	utf8proc_int32_t *points; /* [point_count], normalised; owned */
	size_t point_count;
};

struct tokenizer {
	struct tokenizer_merge *merges; /* [merge_mask + 1], open addressing */
	uint32_t merge_mask;
	int32_t byte_ids[256][2]; /* of a byte: inside a word, at its end */
	struct tokenizer_special *specials;
	int special_count;
	int32_t bos, eos, pad, unk;
	int length, vocab_size;
};

/* The place of a pair: its entry or the empty one where it belongs. */
struct tokenizer_merge *tokenizer_merge_place(const struct tokenizer *t, int32_t left, int32_t right);

/* Normalises valid UTF-8 into a new array, which the caller frees. SUMI_NOMEM. */
int tokenizer_normalise(const char *text, size_t size, utf8proc_int32_t **points, size_t *count,
			struct error *err);

/* ids that grow. */
struct tokenizer_ids {
	int32_t *ids;
	size_t count, capacity;
};

/* Encodes one word, given as bytes, and appends its ids. SUMI_NOMEM. */
int tokenizer_encode_word(const struct tokenizer *t, const unsigned char *bytes, size_t size,
			  struct tokenizer_ids *out, struct error *err);
int tokenizer_push_id(struct tokenizer_ids *out, int32_t id, struct error *err);

#endif

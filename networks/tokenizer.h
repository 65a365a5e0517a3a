/* CLIP's tokenizer: byte-level byte-pair encoding from vocab.json and merges.txt, with the
 * ids that transformers' CLIPTokenizer gives (version 5, the tokenizers library): special
 * tokens are found in the text as it is, the rest is composed (NFC), lower-cased and split
 * into words by CLIP's pattern. There is no ftfy and no prompt weighting. */
#ifndef SUMI_NETWORKS_TOKENIZER_H
#define SUMI_NETWORKS_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define TOKENIZER_TEXT_MAX 65536 /* bytes of a prompt */

/* A prompt as the text encoder gets it: length − 2 pieces a chunk, each chunk with the marks
 * of begin and end and padding of its own. */
struct tokens {
	int32_t *ids; /* [chunks, length] */
	int chunks, length;
	int count; /* pieces of the prompt, without marks and padding */
};

struct tokenizer;

/* Reads a tokenizer folder: vocab.json, merges.txt and, where they are there,
 * tokenizer_config.json and special_tokens_map.json. SUMI_INVALID or SUMI_CORRUPT with file
 * and line or entry for a folder that contradicts itself. The caller closes *out. */
int tokenizer_open(const char *folder, struct tokenizer **out, struct error *err);
void tokenizer_close(struct tokenizer *tokenizer); /* NULL is fine */

int tokenizer_length(const struct tokenizer *tokenizer);     /* ids a chunk (model_max_length) */
int tokenizer_vocab_size(const struct tokenizer *tokenizer); /* greatest id + 1 */

/* Encodes size bytes of UTF-8 into at least min_chunks chunks. The caller releases out with
 * tokens_free(). SUMI_INVALID with the offset of the first byte that is not UTF-8, SUMI_TOOBIG
 * above TOKENIZER_TEXT_MAX. Safe from several threads at once. */
int tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t size,
		     int min_chunks, struct tokens *out, struct error *err);
void tokens_free(struct tokens *tokens); /* also zeroed ones */

/* The ids of a piece of a prompt alone: no marks, no chunks. The caller frees *ids, NULL after a failure;
 * errors as above. */
int tokenizer_pieces(const struct tokenizer *tokenizer, const char *text, size_t size, int32_t **ids,
		     size_t *count, struct error *err);

/* What n ids stand for, a new text each that the caller frees, with the array; a space behind what ends a
 * word. Bytes that are no characters alone are '?'. SUMI_NOMEM. */
int tokenizer_spell(const struct tokenizer *tokenizer, const int32_t *ids, size_t n, char ***out,
		    struct error *err);

/* A chunk's row [length]: n ids, at most length − 2, between the marks, and padding. */
void tokenizer_row(const struct tokenizer *tokenizer, const int32_t *ids, size_t n, int32_t *row);

#endif

/* Embeddings (textual inversion): files of vectors for which a word stands, whatever program wrote them:
 * stable-diffusion-webui's .pt and .safetensors, diffusers' concepts, SDXL's pairs. */
#ifndef SUMI_WEIGHTS_EMBEDDING_H
#define SUMI_WEIGHTS_EMBEDDING_H

#include <stdbool.h>

#include "base/status.h"

enum { EMBEDDING_HALVES = 2, EMBEDDING_WORD_MAX = 128, EMBEDDING_VECTORS_MAX = 1024 };

struct embedding_file {
	/* One for each text encoder; of a file for one encoder the first alone, halves false. [count, width],
	 * owned. */
	struct {
		float *values;
		int width;
	} half[EMBEDDING_HALVES];
	int count; /* vectors */
	bool halves;
	char word[EMBEDDING_WORD_MAX + 1]; /* that the file itself gives, or empty: it is called as the file */
};

/* SUMI_INVALID for a file that is none, or whose vectors are no finite numbers, unequal in number, or too
 * many. The caller releases *out, which is empty after a failure. */
int embedding_open(const char *path, struct embedding_file *out, struct error *err);
void embedding_close(struct embedding_file *e); /* zeroed ones are fine */

/* "Stable Diffusion XL" and the like, by the widths; NULL: not told. */
const char *embedding_family(const struct embedding_file *e);

#endif

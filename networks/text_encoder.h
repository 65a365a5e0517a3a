/* CLIPTextModel: token ids to embeddings. */
#ifndef SUMI_NETWORKS_TEXT_ENCODER_H
#define SUMI_NETWORKS_TEXT_ENCODER_H

#include <stdint.h>

#include "backends/backend.h"
#include "networks/config.h"
#include "networks/pass.h"

struct text_encoder;

/* Loads FOLDER/config.json and the weights beside it onto the device, which must outlive
 * the encoder. Weights that contradict the config are SUMI_INVALID with file and tensor. */
int text_encoder_open(struct device *device, const char *folder, struct text_encoder **out,
		      struct error *err);
void text_encoder_close(struct text_encoder *te); /* NULL is fine */

const struct text_config *text_encoder_config(const struct text_encoder *te);

struct text_input {
	const int32_t *ids; /* [n, tokens] */
	int n, tokens;      /* tokens: at most the config's */
	int clip_skip;  /* layers left out at the end, 0 … layers − 1; the final layer norm is
			   applied in any case (diffusers' clip_skip; A1111's number less one) */
	struct tap tap; /* hidden.I as in transformers' hidden_states */
};

/* embeddings: host, [n, tokens, width]. Several rows of one text, one after the other, are
 * the context of a prompt that is longer than the model's positions. */
int text_encoder_forward(struct text_encoder *te, const struct text_input *in, float *embeddings,
			 struct error *err);

/* Bytes of temporaries that a forward pass takes at its peak, without what the device's
 * operations may need for themselves. */
uint64_t text_encoder_memory(const struct text_config *config, int n, int tokens, enum dtype dtype);

#endif

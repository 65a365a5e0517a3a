/* CLIPTextModel and CLIPTextModelWithProjection: token ids to embeddings. */
#ifndef SUMI_NETWORKS_TEXT_ENCODER_H
#define SUMI_NETWORKS_TEXT_ENCODER_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/backend.h"
#include "networks/config.h"
#include "networks/pass.h"

struct text_encoder;

/* Loads FOLDER/config.json and the weights beside it onto the device, which must outlive
 * the encoder. projects: with the projection of the pooled text, which the file must hold then.
 * Weights that contradict the config are SUMI_INVALID with file and tensor. */
int text_encoder_open(struct device *device, const char *folder, bool projects,
		      struct text_encoder **out, struct error *err);

struct overlays;
/* The same with adapters on its weights; on: borrowed, NULL for none. */
int text_encoder_open_with(struct device *device, const char *folder, bool projects,
			   const struct overlays *on, struct text_encoder **out, struct error *err);
/* As unet_adapt(). */
int text_encoder_adapt(struct text_encoder *te, const char *folder, const struct overlays *on,
		       struct error *err);
void text_encoder_close(struct text_encoder *te); /* NULL is fine */

const struct text_config *text_encoder_config(const struct text_encoder *te);

/* Others will need memory before the encoder is called again: weights that are mapped from a file
 * leave the process until then. */
void text_encoder_rest(const struct text_encoder *te);

struct text_input {
	const int32_t *ids; /* [n, tokens] */
	int n, tokens;      /* tokens: at most the config's */
	int clip_skip;  /* layers left out at the end, 0 … layers − 1; the final layer norm is
			   applied in any case (diffusers' clip_skip; A1111's number less one) */
	bool penultimate; /* one layer less than that, and without the final layer norm */
	float *pooled;    /* host, [n, projection], or NULL: of each row's end, after all layers.
			     Only where the encoder projects */
	/* Rows that are no token's: [n, tokens], from 1 on the number of one of added [added_count, width],
	 * 0: the id's. NULL: all are tokens. */
	const int32_t *vectors;
	const float *added;
	int added_count;
	struct tap tap;   /* hidden.I as in transformers' hidden_states */
};

/* embeddings: host, [n, tokens, width]. Several rows of one text, one after the other, are
 * the context of a prompt that is longer than the model's positions. */
int text_encoder_forward(struct text_encoder *te, const struct text_input *in, float *embeddings,
			 struct error *err);

#endif

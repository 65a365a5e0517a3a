/* The layers that CLIP's text and vision models have in common: self-attention and an MLP, each behind a
 * layer norm. */
#ifndef SUMI_NETWORKS_CLIP_LAYERS_H
#define SUMI_NETWORKS_CLIP_LAYERS_H

#include "networks/pass.h"

struct clip_shape {
	int width, inner; /* channels of a token, and inside the MLP */
	int heads;
	enum activation act;
	double epsilon;
	bool causal; /* a token sees those before it alone */
};

struct clip_layer {
	struct norm_layer norm1, norm2;
	struct linear_layer qkv, out; /* self-attention; q, k and v side by side */
	struct linear_layer fc1, fc2;
};

/* Loads the layer named prefix. */
void clip_layer_load(struct loader *l, struct clip_layer *t, const struct clip_shape *s,
		     const char *prefix);

/* x [n, 1, tokens, width] in place. */
void clip_layer_forward(struct pass *p, const struct clip_layer *t, const struct clip_shape *s,
			struct map x);

#endif

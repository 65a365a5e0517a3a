/* The blocks that UNet and autoencoder are made of: residual blocks and transformers over
 * pictures. Module names are those of diffusers' state dicts. */
#ifndef SUMI_NETWORKS_BLOCKS_H
#define SUMI_NETWORKS_BLOCKS_H

#include "networks/pass.h"
#include "weights/loader.h"

/* --- ResnetBlock2D: y = shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x))) + time))) --- */

struct resnet_block {
	struct norm_layer norm1, norm2;
	struct conv_layer conv1, conv2;
	struct conv_layer shortcut; /* 1×1, only where cin != cout */
	int cin, cout;
	int time_first; /* first channel of this block's slice of the time projections; -1: none */
};

/* Loads the block named prefix, all but its time projection. */
void resnet_load(struct loader *l, struct resnet_block *r, int cin, int cout, int groups,
		 double epsilon, const char *prefix);

/* x [n, h, w, cin] → y [n, h, w, cout], which may be a slice but not x's memory.
 * time [n, 1, 1, all blocks' channels]; unused when the block has no time projection. */
void resnet_forward(struct pass *p, const struct resnet_block *r, struct map x,
		    struct map time, struct map y);

/* The same without time and for a temporary: *x is replaced by the result, with less memory. */
void resnet_replace(struct pass *p, const struct resnet_block *r, struct map *x);

/* --- Transformer2DModel with BasicTransformerBlocks --- */

struct transformer_layer {
	struct norm_layer norm1, norm2, norm3;
	struct linear_layer qkv;           /* self-attention: q, k and v side by side */
	struct linear_layer q, kv;         /* cross-attention: from the picture, from the text */
	struct linear_layer out1, out2;    /* of the two attentions */
	struct linear_layer ff_in, ff_out; /* GEGLU, four times as wide */
	int text_index;                    /* which entry of a text_cache is this layer's */
};

struct transformer_block {
	struct norm_layer norm;
	struct linear_layer proj_in, proj_out; /* 1×1 convolutions or linear layers: the same */
	struct transformer_layer *layers;      /* owned */
	int count;
	int channels, heads;
};

/* Keys and values of the text for every transformer layer of a model: they do not change
 * from step to step. */
struct text_cache {
	struct device *device; /* borrowed */
	struct map *kv;     /* [n, 1, tokens, 2·channels] each, by text_index */
	int count, n, tokens;
};

/* Where a picture beside the text counts, for maps of [h, w]. */
struct look_mask {
	int h, w;
	struct buffer *gain; /* [h · w] f32 */
};

/* A picture that is attended to beside a text: strength · attention(its tokens) is added. */
struct text_look {
	struct text_cache cache; /* of as many texts */
	float strength;
	const struct look_mask *masks; /* borrowed; mask_count 0: it counts everywhere */
	int mask_count;
};

/* Texts of a batch whose pictures belong to several: those of a part stand behind those of the
 * part before it. */
struct text_part {
	struct text_cache cache;
	int pictures; /* a multiple of cache.n: neighbouring pictures share a text */
	struct text_look *looks; /* of look_count */
	int look_count;
};

struct text_batch {
	const struct text_part *parts;
	int count;
};

/* Of a layer: its weights (borrowed), and who sees whom. */
struct self_attention {
	const struct norm_layer *norm;
	const struct linear_layer *qkv, *out; /* q, k and v side by side */
	int heads;
	bool causal; /* only what stands before */
};

/* x += out(attention of x's own pixels or tokens to each other, behind the norm). scratch has x's shape. */
void self_attention(struct pass *p, const struct self_attention *s, struct map x, struct map scratch);

/* Loads the block named prefix; *text_index counts the layers of a model. */
void transformer_load(struct loader *l, struct transformer_block *t, int channels, int heads,
		      int count, int context, int groups, const char *prefix, int *text_index);
void transformer_clear(struct transformer_block *t);

/* x [n, h, w, c] → y of the same shape, not x's memory; n is the sum of the texts' pictures.
 * prefix names the block for taps. */
void transformer_forward(struct pass *p, const struct transformer_block *t, struct map x,
			 const struct text_batch *texts, struct map y, const char *prefix);

/* --- Attention over a picture's pixels, as in AutoencoderKL's middle block --- */

struct pixel_attention {
	struct norm_layer norm;
	struct linear_layer qkv, out;
	int channels;
};

/* Loads the block named prefix. */
void pixel_attention_load(struct loader *l, struct pixel_attention *a, int channels, int groups,
			  double epsilon, const char *prefix);

/* x [n, h, w, c] → y = x + attention(norm(x)), one head; y may be x. */
void pixel_attention_forward(struct pass *p, const struct pixel_attention *a, struct map x,
			     struct map y);

/* Replaces the temporary *x by the result of a convolution to h × w × layer->cout. */
void pass_conv_replace(struct pass *p, const struct conv_layer *layer, struct map *x, int h, int w,
		  struct conv2d_args args);

#endif

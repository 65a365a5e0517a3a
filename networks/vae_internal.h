/* What vae.c (both kinds), vae_kl.c and vae_tiny.c share. */
#ifndef SUMI_NETWORKS_VAE_INTERNAL_H
#define SUMI_NETWORKS_VAE_INTERNAL_H

#include "base/files.h"
#include "networks/blocks.h"
#include "networks/vae.h"

/* --- AutoencoderKL --- */

/* One of the encoder's down_blocks or the decoder's up_blocks. */
struct kl_stage {
	struct resnet_block *resnets; /* owned, [count] */
	int count;
	bool resamples;
	struct conv_layer resample; /* stride 2 down; after doubling up */
};

/* Encoder or decoder: they differ in the order of middle and stages. */
struct kl_half {
	struct conv_layer quant; /* quant_conv or post_quant_conv */
	struct conv_layer conv_in, conv_out;
	struct resnet_block mid1, mid2;
	struct pixel_attention attention;
	struct kl_stage stages[CONFIG_LEVELS_MAX];
	struct norm_layer norm_out;
};

/* Loads one half, whose config's kind is VAE_KL; a failure stays in the loader. */
void kl_load(struct loader *l, struct kl_half *half, const struct vae_config *c, bool encoder);
void kl_clear(struct kl_half *half); /* what the host holds: weights are the loader's set's */

/* x: latents as the decoder wants them, replaced by the picture. */
void kl_decode(struct pass *p, const struct kl_half *half, const struct vae_config *c,
	       struct map *x);
/* The same up to the last residual block of so many stages. */
void kl_decode_bottom(struct pass *p, const struct kl_half *half, const struct vae_config *c,
		      int stages, struct map *x);
/* The same as kl_decode() of one picture, in bands. */
void kl_decode_bands(struct pass *p, const struct kl_half *half, const struct vae_config *c,
		     struct vae_bands bands, struct map *x);
/* x: a picture, replaced by [n, h, w, 2·latent_channels]: mean, then logarithm of variance. */
void kl_encode(struct pass *p, const struct kl_half *half, const struct vae_config *c,
	       struct map *x);
/* The same behind the first convolution, from a stage on; and what ends a stage. */
void kl_encode_top(struct pass *p, const struct kl_half *half, const struct vae_config *c,
		   int first, struct map *x);
void kl_downsample(struct pass *p, const struct kl_stage *s, struct map *x);
/* The same as kl_encode() of one picture, in bands. */
void kl_encode_bands(struct pass *p, const struct kl_half *half, const struct vae_config *c,
		     struct vae_bands bands, struct map *x);

/* --- AutoencoderTiny --- */

struct tiny_block {
	struct conv_layer conv[3];
};

struct tiny_stage {
	struct conv_layer conv;    /* encoder: before the blocks; decoder: after them */
	struct tiny_block *blocks; /* owned, [count] */
	int count;
	int first_layer; /* index in diffusers' list of layers, for taps */
};

struct tiny_half {
	struct conv_layer ends; /* the decoder's first, the encoder's last convolution */
	struct tiny_stage stages[CONFIG_LEVELS_MAX];
};

/* The same for VAE_TINY. */
void tiny_load(struct loader *l, struct tiny_half *half, const struct vae_config *c, bool encoder);
void tiny_clear(struct tiny_half *half);

/* x: latents, replaced by the picture in −1 … 1. */
void tiny_decode(struct pass *p, const struct tiny_half *half, const struct vae_config *c,
		 struct map *x);
/* x: a picture in 0 … 1, replaced by latents. */
void tiny_encode(struct pass *p, const struct tiny_half *half, const struct vae_config *c,
		 struct map *x);

/* --- both --- */

struct vae_half {
	struct weight_set set;
	struct kl_half kl;
	struct tiny_half tiny;
};

struct vae {
	struct vae_config config;
	char folder[FILES_PATH_MAX];
	struct vae_half decoder, encoder;
	bool has_encoder; /* its weights are on the device */
	struct packed_store *store; /* borrowed; NULL: nothing is kept */
};

#endif

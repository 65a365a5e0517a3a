/* What codec.c and codec_tile.c share. Nobody else includes it. */
#ifndef SUMI_DIFFUSION_CODEC_INTERNAL_H
#define SUMI_DIFFUSION_CODEC_INTERNAL_H

#include "diffusion/codec.h"

/* The codec's latents with the sizes of a block. */
struct latent_spec codec_block(const struct codec *codec, int frames, int height, int width);

/* Decodes frames whose latents are as the autoencoder has them, in tiles of so many a side. */
int codec_decode_tiled(struct codec *codec, const struct latent_spec *whole, int tile,
		       const float *latents, float *pixels, struct error *err);

#endif

/* The blocks that kinds of codecs are asked for. */
#include "diffusion/codec_internal.h"

struct latent_spec codec_block(const struct codec *codec, int frames, int height, int width)
{
	struct latent_spec block = codec->latents;
	block.frames = frames;
	block.height = height;
	block.width = width;
	return block;
}

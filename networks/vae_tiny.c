/* AutoencoderTiny (TAESD): encoder and decoder.
 *
 * In diffusers both are one list of layers; the indices in the weights' names count
 * activations and upsamplings too. */
#include <stdlib.h>

#include "networks/vae_internal.h"

static void load_blocks(struct loader *l, struct tiny_stage *s, int count, int width,
			const char *side, int *index)
{
	s->first_layer = *index;
	s->blocks = calloc((size_t)count, sizeof *s->blocks);
	if (!s->blocks) {
		loader_fail(l, SUMI_NOMEM, "out of memory while loading a VAE");
		return;
	}
	s->count = count;
	for (int i = 0; i < count; i++, (*index)++)
		for (int k = 0; k < 3; k++)
			load_conv(l, &s->blocks[i].conv[k], width, width, 3, 0,
				  "%s.layers.%d.conv.%d", side, *index, 2 * k);
}

static void load_encoder(struct loader *l, struct tiny_half *half, const struct vae_config *c)
{
	int index = 0, width = c->channels[0];
	for (int i = 0; i < c->levels; i++) {
		load_conv(l, &half->stages[i].conv, width, i ? width : c->in_channels, 3,
			  i ? LOAD_NO_BIAS : 0, "encoder.layers.%d", index++);
		load_blocks(l, &half->stages[i], c->encoder_blocks[i], width, "encoder", &index);
	}
	load_conv(l, &half->ends, c->latent_channels, width, 3, 0, "encoder.layers.%d", index);
}

static void load_decoder(struct loader *l, struct tiny_half *half, const struct vae_config *c)
{
	int index = 0, width = c->decoder_channels[0];
	load_conv(l, &half->ends, width, c->latent_channels, 3, 0, "decoder.layers.%d", index++);
	index++; /* ReLU */
	for (int i = 0; i < c->levels; i++) {
		struct tiny_stage *s = &half->stages[i];
		load_blocks(l, s, c->decoder_blocks[i], width, "decoder", &index);
		if (i < c->levels - 1) {
			index++; /* Upsample */
			load_conv(l, &s->conv, width, width, 3, LOAD_NO_BIAS, "decoder.layers.%d",
				  index++);
			continue;
		}
		/* The decoder's own output is in 0 … 1, ours 2·y − 1: half of that lies in the
		   bias, the doubling is done behind the convolution. */
		load_conv(l, &s->conv, c->out_channels, width, 3, LOAD_NO_BIAS, "decoder.layers.%d",
			  index);
		load_vector(l, &s->conv.bias, c->out_channels, -0.5f, "decoder.layers.%d.bias",
			    index);
	}
}

void tiny_load(struct loader *l, struct tiny_half *half, const struct vae_config *c, bool encoder)
{
	if (encoder)
		load_encoder(l, half, c);
	else
		load_decoder(l, half, c);
}

void tiny_clear(struct tiny_half *half)
{
	for (int i = 0; i < CONFIG_LEVELS_MAX; i++)
		free(half->stages[i].blocks);
}

/* --- running --- */

/* x = relu(conv(relu(conv(relu(conv(x))))) + x). */
static void block_replace(struct pass *p, const struct tiny_block *b, struct map x)
{
	struct map first = pass_new(p, x.n, x.h, x.w, x.t.c);
	struct map second = pass_new(p, x.n, x.h, x.w, x.t.c);
	pass_conv(p, &b->conv[0], x, first, (struct conv2d_args){.act = ACT_RELU});
	pass_conv(p, &b->conv[1], first, second, (struct conv2d_args){.act = ACT_RELU});
	pass_free(p, &first);
	pass_conv(p, &b->conv[2], second, x, (struct conv2d_args){.residual = x.t});
	pass_free(p, &second);
	pass_axpby(p, &(struct axpby_args){.a = x.t, .y = x.t, .alpha = 1, .act = ACT_RELU});
}

static void blocks_replace(struct pass *p, const struct tiny_stage *s, struct map x)
{
	for (int i = 0; i < s->count; i++) {
		block_replace(p, &s->blocks[i], x);
		pass_tap(p, &x, "layer.%d", s->first_layer + i);
	}
}

void tiny_decode(struct pass *p, const struct tiny_half *half, const struct vae_config *c,
		 struct map *x)
{
	pass_axpby(p, &(struct axpby_args){.a = x->t, .y = x->t, .alpha = 1, .act = ACT_TANH3});
	pass_conv_replace(p, &half->ends, x, x->h, x->w, (struct conv2d_args){.act = ACT_RELU});
	pass_tap(p, x, "layer.1");
	for (int i = 0; i < c->levels; i++) {
		const struct tiny_stage *s = &half->stages[i];
		bool up = i < c->levels - 1;
		blocks_replace(p, s, *x);
		pass_conv_replace(p, &s->conv, x, up ? 2 * x->h : x->h, up ? 2 * x->w : x->w,
			     (struct conv2d_args){.upsample = up});
		if (up)
			pass_tap(p, x, "layer.%d", s->first_layer + s->count + 1);
	}
	pass_scale(p, *x, 2, *x);
}

void tiny_encode(struct pass *p, const struct tiny_half *half, const struct vae_config *c,
		 struct map *x)
{
	for (int i = 0; i < c->levels; i++) {
		const struct tiny_stage *s = &half->stages[i];
		pass_conv_replace(p, &s->conv, x, i ? x->h / 2 : x->h, i ? x->w / 2 : x->w,
			     (struct conv2d_args){.stride = i ? 2 : 1});
		pass_tap(p, x, "layer.%d", s->first_layer - 1);
		blocks_replace(p, s, *x);
	}
	pass_conv_replace(p, &half->ends, x, x->h, x->w, (struct conv2d_args){0});
}

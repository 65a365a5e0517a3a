/* AutoencoderKL: encoder and decoder. */
#include <stdlib.h>

#include "networks/vae_internal.h"

/* Fixed in diffusers' Encoder and Decoder. */
#define KL_EPSILON 1e-6

static void load_stage(struct loader *l, struct kl_stage *s, const struct vae_config *c, int cin,
		       int cout, bool encoder, int index)
{
	char name[WEIGHT_NAME_MAX];
	const char *blocks = encoder ? "encoder.down_blocks" : "decoder.up_blocks";
	int count = c->layers + (encoder ? 0 : 1);
	s->resnets = calloc((size_t)count, sizeof *s->resnets);
	if (!s->resnets) {
		loader_fail(l, SUMI_NOMEM, "out of memory while loading a VAE");
		return;
	}
	s->count = count;
	for (int i = 0; i < count; i++) {
		weight_name(name, "%s.%d.resnets.%d", blocks, index, i);
		resnet_load(l, &s->resnets[i], i ? cout : cin, cout, c->groups, KL_EPSILON, name);
	}
	s->resamples = index < c->levels - 1;
	if (s->resamples)
		load_conv(l, &s->resample, cout, cout, 3, 0, "%s.%d.%s.0.conv", blocks, index,
			  encoder ? "downsamplers" : "upsamplers");
}

void kl_load(struct loader *l, struct kl_half *half, const struct vae_config *c, bool encoder)
{
	char name[WEIGHT_NAME_MAX];
	const char *side = encoder ? "encoder" : "decoder";
	int top = c->channels[0], bottom = c->channels[c->levels - 1], latent = c->latent_channels;
	if (encoder && c->quant_conv)
		load_conv(l, &half->quant, 2 * latent, 2 * latent, 1, 0, "quant_conv");
	if (!encoder && c->post_quant_conv)
		load_conv(l, &half->quant, latent, latent, 1, 0, "post_quant_conv");
	load_conv(l, &half->conv_in, encoder ? top : bottom, encoder ? c->in_channels : latent, 3,
		  0, "%s.conv_in", side);
	int cin = encoder ? top : bottom;
	for (int i = 0; i < c->levels; i++) {
		int cout = c->channels[encoder ? i : c->levels - 1 - i];
		load_stage(l, &half->stages[i], c, cin, cout, encoder, i);
		cin = cout;
	}
	weight_name(name, "%s.mid_block.resnets.0", side);
	resnet_load(l, &half->mid1, bottom, bottom, c->groups, KL_EPSILON, name);
	weight_name(name, "%s.mid_block.resnets.1", side);
	resnet_load(l, &half->mid2, bottom, bottom, c->groups, KL_EPSILON, name);
	weight_name(name, "%s.mid_block.attentions.0", side);
	if (c->mid_attention)
		pixel_attention_load(l, &half->attention, bottom, c->groups, KL_EPSILON, name);
	load_norm(l, &half->norm_out, encoder ? bottom : top, c->groups, KL_EPSILON,
		  "%s.conv_norm_out", side);
	load_conv(l, &half->conv_out, encoder ? 2 * latent : c->out_channels,
		  encoder ? bottom : top, 3, 0, "%s.conv_out", side);
}

void kl_clear(struct kl_half *half)
{
	for (int i = 0; i < CONFIG_LEVELS_MAX; i++)
		free(half->stages[i].resnets);
}

/* --- running --- */

static void middle(struct pass *p, const struct kl_half *half, const struct vae_config *c,
		   struct map *x)
{
	resnet_replace(p, &half->mid1, x);
	if (c->mid_attention)
		pixel_attention_forward(p, &half->attention, *x, *x);
	resnet_replace(p, &half->mid2, x);
	pass_tap(p, x, "mid");
}

static void finish(struct pass *p, const struct kl_half *half, struct map *x)
{
	pass_norm(p, &half->norm_out, *x, *x, ACT_SILU);
	pass_conv_replace(p, &half->conv_out, x, x->h, x->w, (struct conv2d_args){0});
}

static void resnets(struct pass *p, const struct kl_stage *s, struct map *x)
{
	for (int k = 0; k < s->count; k++)
		resnet_replace(p, &s->resnets[k], x);
}

static void upsample(struct pass *p, const struct kl_stage *s, struct map *x)
{
	if (s->resamples)
		pass_conv_replace(p, &s->resample, x, 2 * x->h, 2 * x->w,
			     (struct conv2d_args){.upsample = true});
}

void kl_decode_bottom(struct pass *p, const struct kl_half *half, const struct vae_config *c,
		      int stages, struct map *x)
{
	if (c->post_quant_conv)
		pass_conv_replace(p, &half->quant, x, x->h, x->w, (struct conv2d_args){0});
	pass_conv_replace(p, &half->conv_in, x, x->h, x->w, (struct conv2d_args){0});
	pass_tap(p, x, "conv_in");
	middle(p, half, c, x);
	for (int i = 0; i < stages; i++) {
		if (i > 0) {
			upsample(p, &half->stages[i - 1], x);
			pass_tap(p, x, "up.%d", i - 1);
		}
		resnets(p, &half->stages[i], x);
	}
}

void kl_decode(struct pass *p, const struct kl_half *half, const struct vae_config *c,
	       struct map *x)
{
	kl_decode_bottom(p, half, c, c->levels, x);
	pass_tap(p, x, "up.%d", c->levels - 1);
	finish(p, half, x);
}

void kl_downsample(struct pass *p, const struct kl_stage *s, struct map *x)
{
	if (s->resamples)
		pass_conv_replace(p, &s->resample, x, x->h / 2, x->w / 2,
			     (struct conv2d_args){.stride = 2, .pad_end = true});
}

void kl_encode_top(struct pass *p, const struct kl_half *half, const struct vae_config *c,
		   int first, struct map *x)
{
	for (int i = first; i < c->levels; i++) {
		resnets(p, &half->stages[i], x);
		kl_downsample(p, &half->stages[i], x);
		pass_tap(p, x, "down.%d", i);
	}
	middle(p, half, c, x);
	finish(p, half, x);
	if (c->quant_conv)
		pass_conv_replace(p, &half->quant, x, x->h, x->w, (struct conv2d_args){0});
}

void kl_encode(struct pass *p, const struct kl_half *half, const struct vae_config *c,
	       struct map *x)
{
	pass_conv_replace(p, &half->conv_in, x, x->h, x->w, (struct conv2d_args){0});
	pass_tap(p, x, "conv_in");
	kl_encode_top(p, half, c, 0, x);
}

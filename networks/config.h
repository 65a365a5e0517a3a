/* The configs of a pack's models, as diffusers and transformers write them (config.json).
 *
 * Fields that this code does not know are ignored; known ones whose value would change the
 * computation in a way that is not supported are refused by name. Missing fields have the
 * defaults of the libraries. */
#ifndef SUMI_NETWORKS_CONFIG_H
#define SUMI_NETWORKS_CONFIG_H

#include <jansson.h>
#include <stdbool.h>

#include "backends/backend.h"

#define CONFIG_LEVELS_MAX 8
#define CONFIG_LAYERS_MAX 64

/* CLIPTextModel, CLIPTextModelWithProjection. */
struct text_config {
	int vocabulary; /* tokens that have an embedding */
	int width;      /* channels of an embedding */
	int inner;      /* channels inside the MLP */
	int layers, heads;
	int tokens;          /* positions: the longest text */
	enum activation act; /* ACT_QUICK_GELU or ACT_GELU */
	double epsilon;
	int projection; /* channels of the pooled text */
	int eos;        /* the token at which it is read; 2: the one of the highest id (files of old) */
};

/* What stands at the bottom: two residual blocks and attention between; one; nothing (small models that
 * were cut out of large ones, such as BK-SDM, arXiv:2305.15798). */
enum unet_middle { MIDDLE_ATTENTION, MIDDLE_PLAIN, MIDDLE_NONE };

/* UNet2DConditionModel. Levels count from the top (full size) down. */
struct unet_config {
	int in_channels, out_channels;
	int levels;
	int channels[CONFIG_LEVELS_MAX];
	int layers[CONFIG_LEVELS_MAX]; /* residual blocks on the way down; one more up */
	/* Of each residual block's transformer, where there is attention. */
	unsigned char down_transformers[CONFIG_LEVELS_MAX][CONFIG_LAYERS_MAX];
	unsigned char up_transformers[CONFIG_LEVELS_MAX][CONFIG_LAYERS_MAX + 1];
	enum unet_middle middle;
	int mid_transformers;
	int heads[CONFIG_LEVELS_MAX];
	bool down_attention[CONFIG_LEVELS_MAX], up_attention[CONFIG_LEVELS_MAX]; /* by level */
	int context; /* channels of a text embedding */
	int groups;
	double epsilon;
	bool center_input; /* the input is taken as 2·x − 1 */
	bool flip_sin_to_cos;
	double freq_shift;
	int time_width; /* channels of the time embedding */
	int time_cond;  /* channels of the guidance embedding (LCM), 0: none */
	int added;      /* what it is told beside the time ("text_time"): channels of the pooled
			   text and of the ids' sinusoids together; 0: nothing */
	int added_time; /* channels of an id's sinusoid */
	int conv_in_kernel, conv_out_kernel;
	int sample_height, sample_width; /* latent pixels it was trained at */
};

/* MotionAdapter (AnimateDiff), for a UNet with the same levels. */
struct motion_config {
	int heads, groups;
	int positions;                             /* frames that the position table knows */
	int layers[CONFIG_LEVELS_MAX];             /* modules of a block on the way down */
	int transformer_layers[CONFIG_LEVELS_MAX]; /* in each */
	int mid_transformer_layers;                /* 0: no module in the middle */
};

enum vae_kind { VAE_KL, VAE_TINY };

#define VAE_STATS_MAX 128

/* AutoencoderKL or AutoencoderTiny. */
struct vae_config {
	enum vae_kind kind;
	int in_channels, out_channels, latent_channels;
	int levels;
	int scale; /* pixels a latent pixel stands for, each way: 2^(levels − 1) */
	int channels[CONFIG_LEVELS_MAX];
	/* latents as a denoiser sees them = (encoded − mean − shift) · scaling / std */
	double scaling, shift;
	bool force_upcast; /* said to overflow in float16 */
	int latent_stats; /* channels that have a mean and deviation of their own: all or 0 */
	double latents_mean[VAE_STATS_MAX], latents_std[VAE_STATS_MAX];
	/* AutoencoderKL */
	int layers, groups;
	bool quant_conv, post_quant_conv, mid_attention;
	/* AutoencoderTiny; channels[] counts for the encoder */
	int decoder_channels[CONFIG_LEVELS_MAX];
	int encoder_blocks[CONFIG_LEVELS_MAX], decoder_blocks[CONFIG_LEVELS_MAX];
};

/* Each reads FOLDER/config.json. SUMI_INVALID or SUMI_UNSUPPORTED with the file, the field
 * and what is allowed. */
int text_config_read(const char *folder, struct text_config *out, struct error *err);
int unet_config_read(const char *folder, struct unet_config *out, struct error *err);
int vae_config_read(const char *folder, struct vae_config *out, struct error *err);

/* The same; the adapter must fit the UNet. */
int motion_config_read(const char *folder, const struct unet_config *unet,
		       struct motion_config *out, struct error *err);

#endif

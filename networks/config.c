/* The configs of text encoders and autoencoders. */
#include "networks/config.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "networks/config_internal.h"

/* --- CLIPTextModel --- */

static const struct config_rule text_rules[] = {
    {"model_type", "clip_text_model"},
    {"architectures", "CLIPTextModel|CLIPTextModelWithProjection"},
    {"hidden_act", "quick_gelu|gelu"},
};

static int parse_text(const json_t *root, const char *path, struct text_config *c,
		      struct error *err)
{
	const char *act = "quick_gelu";
	int status = config_check(root, path, text_rules, CONFIG_RULES(text_rules), err);
	if (status ||
	    (status = config_int(root, path, "vocab_size", 1, 1 << 22, &c->vocabulary, err)) ||
	    (status = config_int(root, path, "hidden_size", 1, CONFIG_CHANNELS_MAX, &c->width, err)) ||
	    (status =
		 config_int(root, path, "intermediate_size", 1, 4 * CONFIG_CHANNELS_MAX, &c->inner, err)) ||
	    (status = config_int(root, path, "num_hidden_layers", 1, CONFIG_LAYERS_MAX, &c->layers, err)) ||
	    (status = config_int(root, path, "num_attention_heads", 1, 1024, &c->heads, err)) ||
	    (status = config_int(root, path, "max_position_embeddings", 1, 65536, &c->tokens, err)) ||
	    (status = json_want_number(root, path, "layer_norm_eps", 0, 1, &c->epsilon, err)) ||
	    (status = config_int(root, path, "projection_dim", 1, CONFIG_CHANNELS_MAX, &c->projection, err)) ||
	    (status = config_int(root, path, "eos_token_id", 0, 1 << 22, &c->eos, err)) ||
	    (status = json_want_string(root, path, "hidden_act", &act, err)))
		return status;
	c->act = strcmp(act, "gelu") == 0 ? ACT_GELU : ACT_QUICK_GELU;
	if (c->width % c->heads != 0)
		return error_set(
		    err, SUMI_INVALID,
		    "%s: field 'hidden_size' is %d, which %d attention heads do not divide", path,
		    c->width, c->heads);
	return SUMI_OK;
}

int text_config_read(const char *folder, struct text_config *out, struct error *err)
{
	char path[FILES_PATH_MAX];
	json_t *root = NULL;
	int status = config_open(folder, path, &root, err);
	if (status)
		return status;
	*out = (struct text_config){.vocabulary = 49408,
				    .width = 512,
				    .inner = 2048,
				    .layers = 12,
				    .heads = 8,
				    .tokens = 77,
				    .epsilon = 1e-5,
				    .projection = 512,
				    .eos = 49407};
	status = parse_text(root, path, out, err);
	json_decref(root);
	return status;
}

/* --- AutoencoderKL, AutoencoderTiny --- */

static const struct config_rule kl_rules[] = {
    {"act_fn", "silu|swish"}, {"down_block_types", "DownEncoderBlock2D"},
    {"up_block_types", "UpDecoderBlock2D"},
};

static const struct config_rule tiny_rules[] = {
    {"act_fn", "relu"},
    {"upsample_fn", "nearest"},
    {"upsampling_scaling_factor", "2"},
};

/* Numbers for each latent channel; absent and null: none. */
static int want_stats(const json_t *root, const char *path, const char *key, double min,
		      int channels, double *out, bool *there, struct error *err)
{
	const json_t *list = json_object_get(root, key);
	*there = list && !json_is_null(list);
	if (!*there)
		return SUMI_OK;
	if (!json_is_array(list) || json_array_size(list) != (size_t)channels ||
	    channels > VAE_STATS_MAX)
		return error_set(err, SUMI_INVALID,
				 "%s: field '%s' must list a number for each of the %d latent "
				 "channels (at most %d)",
				 path, key, channels, VAE_STATS_MAX);
	for (int i = 0; i < channels; i++) {
		const json_t *value = json_array_get(list, (size_t)i);
		out[i] = json_number_value(value);
		if (!json_is_number(value) || !(out[i] >= min && out[i] <= 1e6))
			return error_set(err, SUMI_INVALID,
					 "%s: field '%s', entry %d: allowed are %g to 1e6", path,
					 key, i, min);
	}
	return SUMI_OK;
}

/* latents_mean and latents_std come together, as pipelines ask for both. */
static int want_latent_stats(const json_t *root, const char *path, struct vae_config *c,
			     struct error *err)
{
	bool mean, std;
	int n = c->latent_channels;
	int status = want_stats(root, path, "latents_mean", -1e6, n, c->latents_mean, &mean, err);
	if (!status)
		status = want_stats(root, path, "latents_std", 1e-6, n, c->latents_std, &std, err);
	if (!status && mean != std)
		status = error_set(err, SUMI_INVALID,
				   "%s: fields 'latents_mean' and 'latents_std' come together", path);
	c->latent_stats = !status && mean ? n : 0;
	return status;
}

static int want_vae_common(const json_t *root, const char *path, struct vae_config *c,
			   struct error *err)
{
	int status;
	if ((status = config_int(root, path, "in_channels", 1, CONFIG_CHANNELS_MAX, &c->in_channels, err)) ||
	    (status =
		 config_int(root, path, "out_channels", 1, CONFIG_CHANNELS_MAX, &c->out_channels, err)) ||
	    (status = config_int(root, path, "latent_channels", 1, 1024, &c->latent_channels, err)) ||
	    (status =
		 json_want_number(root, path, "scaling_factor", -1e6, 1e6, &c->scaling, err)) ||
	    (status = json_want_number(root, path, "shift_factor", -1e6, 1e6, &c->shift, err)) ||
	    (status = json_want_bool(root, path, "force_upcast", &c->force_upcast, err)) ||
	    (status = want_latent_stats(root, path, c, err)))
		return status;
	if (fabs(c->scaling) < 1e-6)
		return error_set(err, SUMI_INVALID, "%s: field 'scaling_factor' is %g", path,
				 c->scaling);
	return SUMI_OK;
}

static int parse_kl(const json_t *root, const char *path, struct vae_config *c, struct error *err)
{
	static const int default_channels[] = {64};
	*c = (struct vae_config){.kind = VAE_KL,
				 .in_channels = 3,
				 .out_channels = 3,
				 .latent_channels = 4,
				 .scaling = 0.18215,
				 .layers = 1,
				 .groups = 32,
				 .quant_conv = true,
				 .post_quant_conv = true,
				 .mid_attention = true};
	int status = config_check(root, path, kl_rules, CONFIG_RULES(kl_rules), err);
	if (status || (status = want_vae_common(root, path, c, err)) ||
	    (status = config_level_list(root, path, "block_out_channels", default_channels, 1, 1,
				      &c->levels, c->channels, err)) ||
	    (status = config_int(root, path, "layers_per_block", 1, CONFIG_LAYERS_MAX, &c->layers, err)) ||
	    (status = config_int(root, path, "norm_num_groups", 1, CONFIG_CHANNELS_MAX, &c->groups, err)) ||
	    (status = json_want_bool(root, path, "use_quant_conv", &c->quant_conv, err)) ||
	    (status =
		 json_want_bool(root, path, "use_post_quant_conv", &c->post_quant_conv, err)) ||
	    (status =
		 json_want_bool(root, path, "mid_block_add_attention", &c->mid_attention, err)))
		return status;
	return SUMI_OK;
}

/* diffusers builds each stage with its own width, but joins stages with convolutions that
 * do not change it: only one width throughout can work. */
static int check_tiny_width(const char *path, const char *key, const int *channels, int levels,
			    struct error *err)
{
	for (int i = 1; i < levels; i++)
		if (channels[i] != channels[0])
			return error_set(err, SUMI_UNSUPPORTED,
					 "%s: field '%s' must hold one width", path, key);
	return SUMI_OK;
}

static int parse_tiny(const json_t *root, const char *path, struct vae_config *c, struct error *err)
{
	static const int default_channels[] = {64, 64, 64, 64}, down[] = {1, 3, 3, 3},
			 up[] = {3, 3, 3, 1};
	int counts[4] = {0};
	*c = (struct vae_config){.kind = VAE_TINY,
				 .in_channels = 3,
				 .out_channels = 3,
				 .latent_channels = 4,
				 .scaling = 1};
	int status = config_check(root, path, tiny_rules, CONFIG_RULES(tiny_rules), err);
	if (status || (status = want_vae_common(root, path, c, err)) ||
	    (status = config_level_list(root, path, "encoder_block_out_channels", default_channels, 4,
				      1, &counts[0], c->channels, err)) ||
	    (status = config_level_list(root, path, "decoder_block_out_channels", default_channels, 4,
				      1, &counts[1], c->decoder_channels, err)) ||
	    (status = config_level_list(root, path, "num_encoder_blocks", down, 4, 0, &counts[2],
				      c->encoder_blocks, err)) ||
	    (status = config_level_list(root, path, "num_decoder_blocks", up, 4, 0, &counts[3],
				      c->decoder_blocks, err)) ||
	    (status = check_tiny_width(path, "encoder_block_out_channels", c->channels, counts[0],
				       err)) ||
	    (status = check_tiny_width(path, "decoder_block_out_channels", c->decoder_channels,
				       counts[1], err)))
		return status;
	for (int i = 1; i < 4; i++)
		if (counts[i] != counts[0])
			return error_set(
			    err, SUMI_INVALID,
			    "%s: 'encoder_block_out_channels', 'decoder_block_out_channels', "
			    "'num_encoder_blocks' and 'num_decoder_blocks' must be equally long",
			    path);
	c->levels = counts[0];
	return SUMI_OK;
}

int vae_config_read(const char *folder, struct vae_config *out, struct error *err)
{
	char path[FILES_PATH_MAX];
	json_t *root = NULL;
	const char *name = "AutoencoderKL";
	int status = config_open(folder, path, &root, err);
	if (status)
		return status;
	status = json_want_string(root, path, "_class_name", &name, err);
	if (!status && strcmp(name, "AutoencoderKL") == 0)
		status = parse_kl(root, path, out, err);
	else if (!status && strcmp(name, "AutoencoderTiny") == 0)
		status = parse_tiny(root, path, out, err);
	else if (!status)
		status = error_set(err, SUMI_UNSUPPORTED,
				   "%s: field '_class_name' is '%.60s': only AutoencoderKL and "
				   "AutoencoderTiny are supported",
				   path, name);
	json_decref(root);
	if (!status)
		out->scale = 1 << (out->levels - 1);
	return status;
}

/* The configs of networks that see pictures: ControlNetModel, CLIPVisionModelWithProjection, IP-Adapters,
 * T2IAdapter. */
#include <string.h>

#include "base/json.h"
#include "networks/config_internal.h"
#include "networks/controlnet.h"
#include "networks/ip_adapter.h"
#include "networks/t2i_adapter.h"
#include "networks/vision_encoder.h"

/* --- ControlNetModel --- */

static const struct config_rule rules[] = {
    {"_class_name", "ControlNetModel|ControlNetUnionModel"},
    {"controlnet_conditioning_channel_order", "rgb|bgr"},
    {"encoder_hid_dim", "null"},
    {"global_pool_conditions", "false"},
};

/* Of one for several kinds of maps. */
static int parse_union(const json_t *root, const char *path, struct controlnet_config *c, struct error *err)
{
	int width = c->trunk.channels[0], projected = width, status;
	c->kinds = 6;
	c->union_layers = 1;
	c->union_heads = 8;
	if (!c->trunk.added)
		return error_set(err, SUMI_UNSUPPORTED, "%s: field 'addition_embed_type' must be text_time", path);
	if ((status = config_int(root, path, "num_control_type", 1, 64, &c->kinds, err)) ||
	    (status = config_int(root, path, "num_trans_layer", 1, CONFIG_LAYERS_MAX, &c->union_layers, err)) ||
	    (status = config_int(root, path, "num_trans_head", 1, 1024, &c->union_heads, err)) ||
	    (status = config_int(root, path, "num_trans_channel", width, width, &width, err)) ||
	    (status = config_int(root, path, "num_proj_channel", width, width, &projected, err)))
		return status;
	return SUMI_OK;
}

static int parse(const json_t *root, const char *path, struct controlnet_config *c, struct error *err)
{
	static const int plain[] = {16, 32, 96, 256}, several[] = {48, 96, 192, 384};
	const char *class = json_string_value(json_object_get(root, "_class_name"));
	bool has_kinds = class && strcmp(class, "ControlNetUnionModel") == 0;
	const int *usual = has_kinds ? several : plain;
	static const char widths[] = "conditioning_embedding_out_channels";
	const char *order =
	    json_string_value(json_object_get(root, "controlnet_conditioning_channel_order"));
	c->colours = 3;
	c->bgr = order && strcmp(order, "bgr") == 0;
	int status = config_check(root, path, rules, CONFIG_RULES(rules), err);
	if (!status)
		status = config_unet_parse(root, path, &c->trunk, err);
	if (!status)
		status = config_int(root, path, "conditioning_channels", 3, 3, &c->colours, err);
	if (!status && has_kinds)
		status = parse_union(root, path, c, err);
	return status ? status
		      : config_level_list(root, path, widths, usual, 4, 1, &c->hint_levels, c->hint, err);
}

int controlnet_config_read(const char *path, struct controlnet_config *out, struct error *err)
{
	char file[FILES_PATH_MAX];
	json_t *root = NULL;
	int status = config_open(path, file, &root, err);
	*out = (struct controlnet_config){0};
	if (status)
		return status;
	status = parse(root, file, out, err);
	json_decref(root);
	return status;
}

/* --- CLIPVisionModelWithProjection --- */

static const struct config_rule vision_rules[] = {
    {"model_type", "clip_vision_model|clip"},
    {"hidden_act", "quick_gelu|gelu"},
    {"num_channels", "3"},
};

static int parse_vision(const json_t *root, const char *path, struct vision_config *c, struct error *err)
{
	const char *act = "quick_gelu";
	int status = config_check(root, path, vision_rules, CONFIG_RULES(vision_rules), err);
	if (status || (status = config_int(root, path, "image_size", 1, 4096, &c->side, err)) ||
	    (status = config_int(root, path, "patch_size", 1, 256, &c->patch, err)) ||
	    (status = config_int(root, path, "hidden_size", 1, CONFIG_CHANNELS_MAX, &c->width, err)) ||
	    (status =
		 config_int(root, path, "intermediate_size", 1, 4 * CONFIG_CHANNELS_MAX, &c->inner, err)) ||
	    (status = config_int(root, path, "num_hidden_layers", 1, CONFIG_LAYERS_MAX, &c->layers, err)) ||
	    (status = config_int(root, path, "num_attention_heads", 1, 1024, &c->heads, err)) ||
	    (status = config_int(root, path, "projection_dim", 1, CONFIG_CHANNELS_MAX, &c->projection, err)) ||
	    (status = json_want_number(root, path, "layer_norm_eps", 0, 1, &c->epsilon, err)) ||
	    (status = json_want_string(root, path, "hidden_act", &act, err)))
		return status;
	c->act = strcmp(act, "gelu") == 0 ? ACT_GELU : ACT_QUICK_GELU;
	if (c->patch > c->side)
		return error_set(err, SUMI_INVALID, "%s: field 'patch_size' is %d, a picture has %d pixels", path,
				 c->patch, c->side);
	if (c->width % c->heads != 0)
		return error_set(err, SUMI_INVALID,
				 "%s: field 'hidden_size' is %d, which %d attention heads do not divide", path,
				 c->width, c->heads);
	return SUMI_OK;
}

int vision_config_read(const char *path, struct vision_config *out, struct error *err)
{
	char file[FILES_PATH_MAX];
	json_t *root = NULL;
	int status = config_open(path, file, &root, err);
	*out = (struct vision_config){.side = 224,
				      .patch = 32,
				      .width = 768,
				      .inner = 3072,
				      .layers = 12,
				      .heads = 12,
				      .epsilon = 1e-5,
				      .projection = 512};
	if (status)
		return status;
	const json_t *part = json_object_get(root, "vision_config"); /* of a whole CLIPModel */
	const char *type = json_string_value(json_object_get(root, "model_type"));
	status = json_is_object(part) || (type && strcmp(type, "clip_vision_model") == 0)
		     ? parse_vision(json_is_object(part) ? part : root, file, out, err)
		     : error_set(err, SUMI_INVALID, "%s: field 'model_type' is '%.60s', not clip_vision_model",
				 file, type ? type : "(missing)");
	if (!status && json_is_object(part))
		status = config_int(root, file, "projection_dim", 1, CONFIG_CHANNELS_MAX, &out->projection, err);
	json_decref(root);
	return status;
}

/* --- IP-Adapters: as weights/derive.c tells them --- */

static const struct config_rule ip_rules[] = {
    {"_class_name", "IPAdapter"},
    {"projection", "linear|resampler|mlp"},
};

static int parse_layers(const json_t *root, const char *path, struct ip_config *c, struct error *err)
{
	const json_t *list = json_object_get(root, "channels");
	size_t n = json_array_size(list);
	if (n < 1 || n > IP_LAYERS_MAX)
		return error_set(err, SUMI_INVALID, "%s: field 'channels' must list 1 to %d cross-attentions",
				 path, IP_LAYERS_MAX);
	c->layers = (int)n;
	return config_levels(root, path, "channels", 1, CONFIG_CHANNELS_MAX, 0, c->layers, c->channels, err);
}

static int parse_ip(const json_t *root, const char *path, struct ip_config *c, struct error *err)
{
	const char *word = json_string_value(json_object_get(root, "projection"));
	int status = config_check(root, path, ip_rules, CONFIG_RULES(ip_rules), err);
	c->projection = !word || strcmp(word, "linear") == 0 ? IP_LINEAR
			: strcmp(word, "mlp") == 0	     ? IP_MLP
							     : IP_RESAMPLER;
	if (status || (status = config_int(root, path, "image_dim", 1, CONFIG_CHANNELS_MAX, &c->image, err)) ||
	    (status = config_int(root, path, "cross_attention_dim", 1, CONFIG_CHANNELS_MAX, &c->context, err)) ||
	    (status = parse_layers(root, path, c, err)))
		return status;
	if (c->projection != IP_MLP)
		status = config_int(root, path, "tokens", 1, IP_TOKENS_MAX, &c->tokens, err);
	if (status || c->projection != IP_RESAMPLER)
		return status;
	if ((status = config_int(root, path, "inner_dim", 1, CONFIG_CHANNELS_MAX, &c->inner, err)) ||
	    (status = config_int(root, path, "asked_dim", 64, CONFIG_CHANNELS_MAX, &c->asked, err)) ||
	    (status = config_int(root, path, "ff_dim", 1, 4 * CONFIG_CHANNELS_MAX, &c->wide, err)) ||
	    (status = config_int(root, path, "depth", 1, IP_DEPTH_MAX, &c->depth, err)))
		return status;
	return c->asked % 64 == 0 ? SUMI_OK
				  : error_set(err, SUMI_INVALID,
					      "%s: field 'asked_dim' is %d, not a multiple of 64", path, c->asked);
}

int ip_config_read(const char *path, struct ip_config *out, struct error *err)
{
	char file[FILES_PATH_MAX];
	json_t *root = NULL;
	int status = config_open(path, file, &root, err);
	*out = (struct ip_config){.tokens = 0};
	if (status)
		return status;
	status = parse_ip(root, file, out, err);
	json_decref(root);
	return status;
}

/* --- T2IAdapter --- */

static const struct config_rule t2i_rules[] = {
    {"_class_name", "T2IAdapter"},
    {"adapter_type", "full_adapter|full_adapter_xl|light_adapter"},
};

static int parse_t2i(const json_t *root, const char *path, struct t2i_config *c, struct error *err)
{
	enum { BLOCKS_MAX = 16 };
	static const int usual[] = {320, 640, 1280, 1280};
	const char *type = json_string_value(json_object_get(root, "adapter_type"));
	bool large = type && strcmp(type, "full_adapter_xl") == 0;
	*c = (struct t2i_config){.colours = 3, .factor = large ? 16 : 8, .blocks = 2};
	c->light = type && strcmp(type, "light_adapter") == 0;
	int status = config_check(root, path, t2i_rules, CONFIG_RULES(t2i_rules), err);
	if (status || (status = config_int(root, path, "in_channels", 1, 3, &c->colours, err)) ||
	    (status = config_int(root, path, "downscale_factor", 1, 64, &c->factor, err)) ||
	    (status = config_int(root, path, "num_res_blocks", 1, BLOCKS_MAX, &c->blocks, err)) ||
	    (status = config_level_list(root, path, "channels", usual, 4, c->light ? 4 : 1, &c->levels,
					c->channels, err)))
		return status;
	if (c->colours == 2)
		return error_set(err, SUMI_INVALID, "%s: field 'in_channels' must be 1 or 3", path);
	if (c->light && c->levels == CONFIG_LEVELS_MAX)
		return error_set(err, SUMI_INVALID, "%s: field 'channels' must list 1 to %d levels", path,
				 CONFIG_LEVELS_MAX - 1);
	if (c->light) { /* the lowest stands for two */
		c->channels[c->levels] = c->channels[c->levels - 1];
		c->levels++;
	}
	for (int i = 1; i < c->levels; i++)
		c->halves[i] = large ? i == 2 : true;
	return SUMI_OK;
}

int t2i_config_read(const char *path, struct t2i_config *out, struct error *err)
{
	char file[FILES_PATH_MAX];
	json_t *root = NULL;
	int status = config_open(path, file, &root, err);
	if (status)
		return status;
	status = parse_t2i(root, file, out, err);
	json_decref(root);
	return status;
}

/* The configs of UNet2DConditionModel and MotionAdapter. */
#include <string.h>

#include "base/json.h"
#include "networks/config_internal.h"

/* --- UNet2DConditionModel --- */

static const struct config_rule class_rules[] = {{"_class_name", "UNet2DConditionModel"}};

/* Of ControlNets too, which are copies of its half. */
static const struct config_rule unet_rules[] = {
    {"act_fn", "silu|swish"},
    {"addition_embed_type", "text_time"},
    {"attention_type", "default"},
    {"class_embed_type", "null"},
    {"class_embeddings_concat", "false"},
    {"cross_attention_norm", "null"},
    {"downsample_padding", "1"},
    {"dual_cross_attention", "false"},
    {"encoder_hid_dim_type", "null"},
    {"mid_block_only_cross_attention", "false"},
    {"mid_block_scale_factor", "1"},
    {"mid_block_type", "UNetMidBlock2DCrossAttn|UNetMidBlock2D"},
    {"num_attention_heads", "null"},
    {"num_class_embeds", "null"},
    {"only_cross_attention", "false"},
    {"resnet_out_scale_factor", "1"},
    {"resnet_skip_time_act", "false"},
    {"resnet_time_scale_shift", "default"},
    {"time_embedding_act_fn", "null"},
    {"time_embedding_type", "positional"},
    {"timestep_post_act", "null"},
};

/* Where null is a value of its own and not "the default". */
static int refuse_null(const json_t *root, const char *path, const char *key, struct error *err)
{
	if (!json_is_null(json_object_get(root, key)))
		return SUMI_OK;
	return error_set(err, SUMI_UNSUPPORTED, "%s: field '%s' is null, which is not supported",
			 path, key);
}

static enum unet_middle middle_of(const json_t *root)
{
	const json_t *type = json_object_get(root, "mid_block_type");
	const char *word = json_string_value(type);
	return json_is_null(type)			     ? MIDDLE_NONE
	       : word && strcmp(word, "UNetMidBlock2D") == 0 ? MIDDLE_PLAIN
							     : MIDDLE_ATTENTION;
}

/* One level's lengths: a number for all of its blocks or a list, one for each. */
static int want_lengths(const json_t *value, const char *path, const char *key, int blocks,
			unsigned char *out, struct error *err)
{
	size_t n = json_array_size(value);
	if (json_is_array(value) && n != (size_t)blocks)
		return error_set(err, SUMI_INVALID, "%s: field '%s' lists %zu values for %d blocks",
				 path, key, n, blocks);
	for (int i = 0; i < blocks; i++) {
		const json_t *item = json_is_array(value) ? json_array_get(value, (size_t)i) : value;
		json_int_t v = json_integer_value(item);
		if (!json_is_integer(item) || v < 0 || v > CONFIG_LAYERS_MAX)
			return error_set(err, SUMI_INVALID,
					 "%s: field '%s' must hold whole numbers from 0 to %d", path,
					 key, CONFIG_LAYERS_MAX);
		out[i] = (unsigned char)v;
	}
	return SUMI_OK;
}

/* A level's entry of "transformer_layers_per_block" and its like; missing: one layer each. */
static int want_transformers(const json_t *list, const char *path, const char *key, int level,
			     int levels, int blocks, bool used, unsigned char *out, struct error *err)
{
	if (json_is_array(list) && json_array_size(list) != (size_t)levels)
		return error_set(err, SUMI_INVALID, "%s: field '%s' lists %zu values for %d levels",
				 path, key, json_array_size(list), levels);
	memset(out, 1, (size_t)blocks);
	const json_t *entry = json_is_array(list) ? json_array_get(list, (size_t)level) : list;
	if (!entry || json_is_null(entry) || !used)
		return SUMI_OK;
	int status = want_lengths(entry, path, key, blocks, out, err);
	for (int i = 0; i < blocks && !status; i++)
		if (out[i] == 0)
			status = error_set(err, SUMI_UNSUPPORTED,
					   "%s: field '%s': attention without a layer is not "
					   "supported", path, key);
	return status;
}

/* The way up has the same lengths in the other direction, unless it has a list of its own; blocks of
 * unequal lengths must have one, as diffusers demands it. */
static int want_transformer_lists(const json_t *root, const char *path, struct unet_config *c,
				  struct error *err)
{
	static const char down[] = "transformer_layers_per_block";
	static const char up[] = "reverse_transformer_layers_per_block";
	const json_t *list = json_object_get(root, down), *back = json_object_get(root, up);
	bool own = back && !json_is_null(back);
	int status = SUMI_OK;
	for (int i = 0; i < c->levels && !status; i++) {
		const json_t *entry = json_is_array(list) ? json_array_get(list, (size_t)i) : NULL;
		if (json_is_array(entry) && !own)
			return error_set(err, SUMI_INVALID, "%s: '%s' has lists in it and '%s' is "
							    "missing", path, down, up);
		status = want_transformers(list, path, down, i, c->levels, c->layers[i],
					   c->down_attention[i], c->down_transformers[i], err);
		if (!status)
			status = want_transformers(own ? back : list, path, own ? up : down,
						   own ? c->levels - 1 - i : i, c->levels, c->layers[i] + 1,
						   c->up_attention[i], c->up_transformers[i], err);
	}
	if (status || c->middle != MIDDLE_ATTENTION)
		return status;
	/* That of the bottom, whose first number counts. */
	const json_t *last = json_is_array(list) ? json_array_get(list, (size_t)c->levels - 1) : list;
	if (json_is_array(last))
		last = json_array_get(last, 0);
	unsigned char length = 1;
	status = want_transformers(last, path, down, 0, 1, 1, true, &length, err);
	c->mid_transformers = length;
	return status;
}

/* Reads one list of block types; step -1 turns the up blocks' order into levels. */
static int want_blocks(const json_t *root, const char *path, const char *key, const char *plain,
		       const char *cross, int levels, bool up, bool *out, struct error *err)
{
	const json_t *list = json_object_get(root, key);
	for (int i = 0; i < levels; i++)
		out[i] =
		    i !=
		    levels - 1; /* diffusers' default: attention everywhere but at the bottom */
	if (!list)
		return SUMI_OK;
	if (json_array_size(list) != (size_t)levels)
		return error_set(err, SUMI_INVALID,
				 "%s: field '%s' lists %zu blocks, 'block_out_channels' %d", path,
				 key, json_array_size(list), levels);
	for (int i = 0; i < levels; i++) {
		const char *word = json_string_value(json_array_get(list, (size_t)i));
		bool attention = word && strcmp(word, cross) == 0;
		if (!attention && (!word || strcmp(word, plain) != 0))
			return error_set(
			    err, SUMI_UNSUPPORTED,
			    "%s: field '%s' names '%.60s': only %s and %s are supported", path, key,
			    word ? word : "(no text)", plain, cross);
		out[up ? levels - 1 - i : i] = attention;
	}
	return SUMI_OK;
}

static int want_unet_levels(const json_t *root, const char *path, struct unet_config *c,
			    struct error *err)
{
	static const int default_channels[] = {320, 640, 1280, 1280};
	int contexts[CONFIG_LEVELS_MAX];
	int status = config_level_list(root, path, "block_out_channels", default_channels, 4, 1,
				     &c->levels, c->channels, err);
	if (status ||
	    (status =
		 want_blocks(root, path, "down_block_types", "DownBlock2D", "CrossAttnDownBlock2D",
			     c->levels, false, c->down_attention, err)) ||
	    (status = want_blocks(root, path, "up_block_types", "UpBlock2D", "CrossAttnUpBlock2D",
				  c->levels, true, c->up_attention, err)) ||
	    (status = config_levels(root, path, "layers_per_block", 1, CONFIG_LAYERS_MAX, 2, c->levels,
				  c->layers, err)) ||
	    (status = want_transformer_lists(root, path, c, err)) ||
	    /* Misnamed in diffusers: for this model the field holds the number of heads
	       (github.com/huggingface/diffusers, issue 2011). */
	    (status = config_levels(root, path, "attention_head_dim", 1, 1024, 8, c->levels, c->heads,
				  err)) ||
	    (status = config_levels(root, path, "cross_attention_dim", 1, CONFIG_CHANNELS_MAX, 1280,
				  c->levels, contexts, err)))
		return status;
	for (int i = 1; i < c->levels; i++)
		if (contexts[i] != contexts[0])
			return error_set(
			    err, SUMI_UNSUPPORTED,
			    "%s: field 'cross_attention_dim' differs between the levels", path);
	c->context = contexts[0];
	return SUMI_OK;
}

static int want_kernel(const json_t *root, const char *path, const char *key, int *kernel,
		       struct error *err)
{
	int status = config_int(root, path, key, 1, 3, kernel, err);
	if (!status && *kernel == 2)
		status = error_set(err, SUMI_UNSUPPORTED,
				   "%s: field '%s' is 2: only 1 and 3 are supported", path, key);
	return status;
}

static int want_sample_size(const json_t *root, const char *path, struct unet_config *c,
			    struct error *err)
{
	const json_t *value = json_object_get(root, "sample_size");
	if (json_is_array(value)) {
		int size[2];
		int status = config_levels(root, path, "sample_size", 1, 65536, 0, 2, size, err);
		if (!status) {
			c->sample_height = size[0];
			c->sample_width = size[1];
		}
		return status;
	}
	int status = config_int(root, path, "sample_size", 1, 65536, &c->sample_height, err);
	c->sample_width = c->sample_height;
	return status;
}

/* addition_embed_type "text_time": pooled text and ids beside the time. */
static int want_added(const json_t *root, const char *path, struct unet_config *c,
		      struct error *err)
{
	static const char size[] = "projection_class_embeddings_input_dim";
	static const char each[] = "addition_time_embed_dim";
	int status;
	if (!json_is_string(json_object_get(root, "addition_embed_type")))
		return SUMI_OK;
	if ((status = config_int(root, path, size, 1, CONFIG_CHANNELS_MAX, &c->added, err)) ||
	    (status = config_int(root, path, each, 2, CONFIG_CHANNELS_MAX, &c->added_time, err)))
		return status;
	if (c->added == 0 || c->added_time == 0 || c->added_time % 2 ||
	    c->added <= c->added_time)
		return error_set(err, SUMI_INVALID,
				 "%s: 'addition_embed_type' wants '%s', an even number, and '%s', "
				 "a larger one",
				 path, each, size);
	return SUMI_OK;
}

int config_unet_parse(const json_t *root, const char *path, struct unet_config *c, struct error *err)
{
	*c = (struct unet_config){.in_channels = 4,
				  .out_channels = 4,
				  .groups = 32,
				  .epsilon = 1e-5,
				  .flip_sin_to_cos = true,
				  .conv_in_kernel = 3,
				  .conv_out_kernel = 3,
				  .sample_height = 64,
				  .sample_width = 64};
	int status = config_check(root, path, unet_rules, CONFIG_RULES(unet_rules), err);
	c->middle = middle_of(root);
	if (status || (status = refuse_null(root, path, "norm_num_groups", err)) ||
	    (status = want_unet_levels(root, path, c, err)) ||
	    (status = config_int(root, path, "in_channels", 1, CONFIG_CHANNELS_MAX, &c->in_channels, err)) ||
	    (status =
		 config_int(root, path, "out_channels", 1, CONFIG_CHANNELS_MAX, &c->out_channels, err)) ||
	    (status = config_int(root, path, "norm_num_groups", 1, CONFIG_CHANNELS_MAX, &c->groups, err)) ||
	    (status = json_want_number(root, path, "norm_eps", 0, 1, &c->epsilon, err)) ||
	    (status = json_want_bool(root, path, "center_input_sample", &c->center_input, err)) ||
	    (status = json_want_bool(root, path, "flip_sin_to_cos", &c->flip_sin_to_cos, err)) ||
	    (status = json_want_number(root, path, "freq_shift", -1e3, 1e3, &c->freq_shift, err)) ||
	    (status =
		 config_int(root, path, "time_cond_proj_dim", 1, CONFIG_CHANNELS_MAX, &c->time_cond, err)) ||
	    (status = want_kernel(root, path, "conv_in_kernel", &c->conv_in_kernel, err)) ||
	    (status = want_kernel(root, path, "conv_out_kernel", &c->conv_out_kernel, err)) ||
	    (status = want_added(root, path, c, err)) ||
	    (status = want_sample_size(root, path, c, err)))
		return status;
	c->time_width = 4 * c->channels[0];
	status =
	    config_int(root, path, "time_embedding_dim", 1, 4 * CONFIG_CHANNELS_MAX, &c->time_width, err);
	if (status)
		return status;
	if (c->channels[0] % 2 != 0)
		return error_set(
		    err, SUMI_UNSUPPORTED,
		    "%s: field 'block_out_channels' begins with %d: an odd number cannot hold "
		    "sine and cosine of the timestep",
		    path, c->channels[0]);
	return SUMI_OK;
}

int unet_config_read(const char *folder, struct unet_config *out, struct error *err)
{
	char path[FILES_PATH_MAX];
	json_t *root = NULL;
	int status = config_open(folder, path, &root, err);
	if (status)
		return status;
	status = config_check(root, path, class_rules, CONFIG_RULES(class_rules), err);
	if (!status)
		status = config_unet_parse(root, path, out, err);
	json_decref(root);
	return status;
}

/* --- MotionAdapter --- */

static const struct config_rule motion_rules[] = {{"conv_in_channels", "null"}};

static int parse_motion(const json_t *root, const char *where, const struct unet_config *u,
			struct motion_config *c, struct error *err)
{
	int channels[CONFIG_LEVELS_MAX], levels, status, middle = 1;
	static const int usual[] = {320, 640, 1280, 1280};
	bool has_middle = true;
	if ((status = config_check(root, where, motion_rules, CONFIG_RULES(motion_rules), err)) ||
	    (status = config_level_list(root, where, "block_out_channels", usual, 4, 1, &levels,
				      channels, err)) ||
	    (status = config_levels(root, where, "motion_layers_per_block", 1, CONFIG_LAYERS_MAX, 2, levels,
				  c->layers, err)) ||
	    (status = config_levels(root, where, "motion_transformer_layers_per_block", 1, CONFIG_LAYERS_MAX,
				  1, levels, c->transformer_layers, err)) ||
	    (status = config_int(root, where, "motion_transformer_layers_per_mid_block", 1,
			       CONFIG_LAYERS_MAX, &c->mid_transformer_layers, err)) ||
	    (status =
		 config_int(root, where, "motion_mid_block_layers_per_block", 1, 1, &middle, err)) ||
	    (status = config_int(root, where, "motion_num_attention_heads", 1, CONFIG_CHANNELS_MAX,
			       &c->heads, err)) ||
	    (status = config_int(root, where, "motion_norm_num_groups", 1, CONFIG_CHANNELS_MAX, &c->groups,
			       err)) ||
	    (status =
		 config_int(root, where, "motion_max_seq_length", 1, 1024, &c->positions, err)) ||
	    (status = json_want_bool(root, where, "use_motion_mid_block", &has_middle, err)))
		return status;
	if (!has_middle)
		c->mid_transformer_layers = 0;
	bool fits = levels == u->levels;
	for (int i = 0; fits && i < levels; i++)
		fits = channels[i] == u->channels[i] && c->layers[i] == u->layers[i];
	if (!fits)
		return error_set(
		    err, SUMI_INVALID,
		    "%s: block_out_channels and motion_layers_per_block are not those of "
		    "the UNet: the adapter is for another model",
		    where);
	for (int i = 0; i < levels; i++)
		if (channels[i] % c->heads != 0 || channels[i] % c->groups != 0)
			return error_set(err, SUMI_INVALID,
					 "%s: %d channels do not form %d attention heads and %d "
					 "groups",
					 where, channels[i], c->heads, c->groups);
	return SUMI_OK;
}

int motion_config_read(const char *folder, const struct unet_config *unet,
		       struct motion_config *out, struct error *err)
{
	char path[FILES_PATH_MAX];
	json_t *root = NULL;
	int status = config_open(folder, path, &root, err);
	if (status)
		return status;
	*out = (struct motion_config){
	    .heads = 8, .groups = 32, .positions = 32, .mid_transformer_layers = 1};
	status = parse_motion(root, path, unet, out, err);
	json_decref(root);
	return status;
}

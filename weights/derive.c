/* Configs from tensors. */
#include "weights/derive.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/formatted.h"
#include "weights/parts.h"

enum { LEVELS_MAX = 8, COUNT_MAX = 128 };

struct part_name {
	char *name;
	const struct tensor_entry *entry;
	int parts;       /* tensors that the entry becomes */
	bool transposed; /* its two axes change places */
};

struct part_names {
	struct part_name *items; /* by name */
	size_t count;
};

/* --- names --- */

static int by_name(const void *a, const void *b)
{
	const struct part_name *x = a, *y = b;
	return strcmp(x->name, y->name);
}

int part_names_new(const struct tensor_list *list, const struct component *components, int count,
		   struct part_names **out, struct error *err)
{
	struct part_names *names = calloc(1, sizeof *names);
	*out = names;
	if (names)
		names->items = calloc(list->count * LAYOUT_PARTS_MAX * (size_t)count + 1,
				      sizeof *names->items);
	bool fine = names && names->items;
	for (int c = 0; fine && c < count; c++)
		for (size_t i = 0; fine && i < list->count; i++) {
			struct renamed as;
			component_rename(&components[c], list->entries[i]->name, &as);
			for (int k = 0; fine && k < as.parts && !as.ignored; k++) {
				names->items[names->count++] =
				    (struct part_name){.name = strdup(as.names[k]),
						       .entry = list->entries[i],
						       .parts = as.parts,
						       .transposed = as.transposed};
				fine = names->items[names->count - 1].name != NULL;
			}
		}
	if (!fine) {
		part_names_free(names);
		*out = NULL;
		return error_set(err, SUMI_NOMEM, "out of memory while reading a checkpoint");
	}
	if (names->count)
		qsort(names->items, names->count, sizeof *names->items, by_name);
	return SUMI_OK;
}

void part_names_free(struct part_names *names)
{
	if (!names)
		return;
	for (size_t i = 0; names->items && i < names->count; i++)
		free(names->items[i].name);
	free(names->items);
	free(names);
}

static const struct part_name *find(const struct part_names *names, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static const struct part_name *find(const struct part_names *names, const char *format, ...)
{
	FORMATTED(name, LAYOUT_NAME_MAX, format);
	struct part_name key = {.name = name};
	return names->count ? bsearch(&key, names->items, names->count, sizeof key, by_name) : NULL;
}

/* A dimension of a tensor, 0 where it is not there. */
static int dim(const struct part_name *n, int axis)
{
	if (!n || axis >= n->entry->rank)
		return 0;
	if (n->transposed && n->entry->rank == 2)
		axis = 1 - axis;
	int64_t value = n->entry->shape[axis];
	if (axis == 0 && n->parts > 1)
		value /= n->parts;
	return value > 0 && value < 1 << 24 ? (int)value : 0;
}

/* How many of them there are, from 0 on; format has one number. */
#define COUNT_NAMES(result, names, ...)                                                            \
	do {                                                                                       \
		result = 0;                                                                        \
		for (int at = 0; at < COUNT_MAX && find(names, __VA_ARGS__, at); at++)             \
			result++;                                                                  \
	} while (0)

/* --- the whole --- */

/* Two checkpoints of one shape predict different things: those of v are told by the spread of one
 * bias (as ComfyUI tells them). */
static int spread_of(const struct source *s, const struct part_name *n, double *out,
		     struct error *err)
{
	enum { MOST = 4096 };
	const struct tensor_entry *e = n->entry;
	uint64_t count = tensor_elements(e);
	double sum = 0, squares = 0;
	*out = 0;
	if (count == 0 || count > MOST || !e->format->usable)
		return SUMI_OK;
	unsigned char *raw = malloc(e->bytes + 1);
	float *values = malloc((size_t)count * sizeof *values);
	int status = raw && values ? tensors_read(source_file(s, e), e, raw, err)
				   : error_set(err, SUMI_NOMEM, "out of memory");
	if (!status)
		tensor_format_floats(e->format, raw, (size_t)count, values);
	for (uint64_t i = 0; i < count && !status; i++) {
		sum += values[i];
		squares += (double)values[i] * values[i];
	}
	free(values);
	free(raw);
	double mean = sum / (double)count;
	*out = sqrt(fmax(squares / (double)count - mean * mean, 0));
	return status;
}

static int tell_velocity(const struct source *s, const struct part_names *unet, struct derived *out,
			 struct error *err)
{
	static const double spread_of_v = 0.09;
	const struct part_name *bias =
	    find(unet, "up_blocks.3.attentions.1.transformer_blocks.0.norm1.bias");
	double spread = 0;
	out->velocity = tensor_list_find(&s->list, "v_pred") != NULL;
	out->zero_snr = out->velocity && tensor_list_find(&s->list, "ztsnr");
	if (out->velocity || out->xl || out->context != 1024 || out->in_channels != 4 || !bias)
		return SUMI_OK;
	int status = spread_of(s, bias, &spread, err);
	out->velocity = spread > spread_of_v;
	return status;
}

static int context_of(const struct part_names *unet)
{
	for (size_t i = 0; i < unet->count; i++)
		if (strstr(unet->items[i].name, ".transformer_blocks.0.attn2.to_k.weight"))
			return dim(&unet->items[i], 1);
	return 0;
}

int derive_model(const struct source *s, const struct part_names *unet, struct derived *out,
		 struct error *err)
{
	enum { REFINER_CONTEXT = 1280, UNCLIP_CONTEXT = 1024 };
	*out = (struct derived){.context = context_of(unet),
				.in_channels = dim(find(unet, "conv_in.weight"), 1)};
	out->xl = find(unet, "add_embedding.linear_1.weight") && out->context != UNCLIP_CONTEXT;
	out->refiner = out->xl && out->context == REFINER_CONTEXT;
	out->lcm = find(unet, "time_embedding.cond_proj.weight") != NULL;
	if (tensor_list_find(&s->list, "edm_mean") ||
	    tensor_list_find(&s->list, "edm_vpred.sigma_max"))
		return error_set(err, SUMI_UNSUPPORTED,
				 "%s: predicts in the way of EDM, which is not supported",
				 tensors_path(s->files[0]));
	return tell_velocity(s, unet, out, err);
}

/* --- the UNet --- */

/* Adds to an object or a list; without memory *to becomes NULL, and stays so. */
static void set(json_t **to, const char *key, json_t *value)
{
	if (!*to || !value) {
		json_decref(value);
		json_decref(*to);
		*to = NULL;
	} else if (key ? json_object_set_new(*to, key, value) : json_array_append_new(*to, value)) {
		json_decref(*to);
		*to = NULL;
	}
}

/* One number for all, or a list. */
static json_t *numbers(const int *values, int count)
{
	bool same = true;
	for (int i = 1; i < count; i++)
		same = same && values[i] == values[0];
	if (same && count)
		return json_integer(values[0]);
	json_t *list = json_array();
	for (int i = 0; i < count; i++)
		set(&list, NULL, json_integer(values[i]));
	return list;
}

struct unet_shape {
	int levels, channels[LEVELS_MAX], layers[LEVELS_MAX], heads[LEVELS_MAX];
	/* Layers of the attentions of each block; 0: it has none. Of the way up in its own order.
	 */
	int down[LEVELS_MAX][COUNT_MAX], up[LEVELS_MAX][COUNT_MAX], middle;
};

static void measure_unet(const struct part_names *n, int context, struct unet_shape *u)
{
	/* With 768 channels of text, and wherever the projections are convolutions, there are 8
	 * heads; elsewhere heads of 64 channels. */
	bool eight = context == 768;
	memset(u, 0, sizeof *u);
	for (int i = 0; i < LEVELS_MAX; i++) {
		const struct part_name *conv = find(n, "down_blocks.%d.resnets.0.conv1.weight", i);
		if (!conv)
			break;
		u->levels++;
		u->channels[i] = dim(conv, 0);
		COUNT_NAMES(u->layers[i], n, "down_blocks.%d.resnets.%d.conv1.weight", i);
		const struct part_name *in =
		    find(n, "down_blocks.%d.attentions.0.proj_in.weight", i);
		eight = eight || (in && in->entry->rank == 4 && context != 1024);
		for (int k = 0; k < u->layers[i]; k++)
			COUNT_NAMES(
			    u->down[i][k], n,
			    "down_blocks.%d.attentions.%d.transformer_blocks.%d.norm1.weight", i,
			    k);
		for (int k = 0; k <= u->layers[i] && k < COUNT_MAX; k++)
			COUNT_NAMES(u->up[i][k], n,
				    "up_blocks.%d.attentions.%d.transformer_blocks.%d.norm1.weight",
				    i, k);
	}
	COUNT_NAMES(u->middle, n, "mid_block.attentions.0.transformer_blocks.%d.norm1.weight");
	for (int i = 0; i < u->levels; i++)
		u->heads[i] = eight ? 8 : u->channels[i] / 64 > 1 ? u->channels[i] / 64 : 1;
}

/* All of one length, and what it is; 0 of unequal ones. */
static int one_length(const int *lengths, int count)
{
	for (int i = 1; i < count; i++)
		if (lengths[i] != lengths[0])
			return 0;
	return lengths[0];
}

/* The layers of attentions: a number a level where the way up mirrors the way down, else lists of
 * both. A level without any has the number that the middle below it counts with, or 1. */
static void set_lengths(json_t **config, const struct unet_shape *u)
{
	json_t *down = json_array(), *up = json_array();
	bool mirrored = true;
	for (int i = 0; i < u->levels; i++) {
		int back = u->levels - 1 - i;
		int one = one_length(u->down[i], u->layers[i]);
		int other = one_length(u->up[back], u->layers[i] + 1);
		bool none = u->down[i][0] == 0, none_up = u->up[back][0] == 0;
		int idle = i == u->levels - 1 && u->middle ? u->middle : 1;
		if (none)
			one = none_up || !other ? idle : other;
		mirrored = mirrored && one && (none_up || other == one);
		set(&down, NULL, one ? json_integer(one) : numbers(u->down[i], u->layers[i]));
		none_up = u->up[i][0] == 0;
		set(&up, NULL, none_up ? json_integer(1) : numbers(u->up[i], u->layers[back] + 1));
	}
	set(config, "transformer_layers_per_block", down);
	if (mirrored)
		json_decref(up);
	else
		set(config, "reverse_transformer_layers_per_block", up);
}

static void set_blocks(json_t **config, const struct unet_shape *u)
{
	json_t *channels = json_array(), *down = json_array(), *up = json_array();
	for (int i = 0; i < u->levels; i++) {
		set(&channels, NULL, json_integer(u->channels[i]));
		set(&down, NULL,
		    json_string(u->down[i][0] ? "CrossAttnDownBlock2D" : "DownBlock2D"));
		set(&up, NULL, json_string(u->up[i][0] ? "CrossAttnUpBlock2D" : "UpBlock2D"));
	}
	set(config, "block_out_channels", channels);
	set(config, "down_block_types", down);
	set(config, "up_block_types", up);
	set(config, "layers_per_block", numbers(u->layers, u->levels));
	set(config, "attention_head_dim", numbers(u->heads, u->levels));
	set_lengths(config, u);
}

static int sample_size(const struct derived *model)
{
	if (model->xl)
		return 128;
	return model->context == 1024 && model->velocity ? 96 : 64;
}

bool derive_guesses_heads(const struct derived *model)
{
	static const int known[] = {768, 1024, 1280, 2048};
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (model->context == known[i])
			return false;
	return true;
}

/* What stands beside the time, of which the ids' width is the same everywhere. */
static void set_added(json_t **config, const struct part_name *added)
{
	if (!added)
		return;
	set(config, "addition_embed_type", json_string("text_time"));
	set(config, "addition_time_embed_dim", json_integer(256));
	set(config, "projection_class_embeddings_input_dim", json_integer(dim(added, 1)));
}

json_t *derive_controlnet(const struct part_names *n)
{
	struct unet_shape u;
	json_t *hint = json_array();
	int context = context_of(n), levels;
	measure_unet(n, context, &u);
	json_t *config = json_pack("{s:s, s:i, s:i}", "_class_name", "ControlNetModel", "in_channels",
				   dim(find(n, "conv_in.weight"), 1), "cross_attention_dim", context);
	if (config)
		set_blocks(&config, &u);
	if (!find(n, "mid_block.attentions.0.proj_in.weight"))
		set(&config, "mid_block_type", json_string("UNetMidBlock2D"));
	/* Two convolutions a level, the second of which halves the picture. */
	COUNT_NAMES(levels, n, "controlnet_cond_embedding.blocks.%d.weight");
	set(&hint, NULL, json_integer(dim(find(n, "controlnet_cond_embedding.conv_in.weight"), 0)));
	for (int i = 1; i < levels; i += 2)
		set(&hint, NULL,
		    json_integer(dim(find(n, "controlnet_cond_embedding.blocks.%d.weight", i), 0)));
	set(&config, "conditioning_embedding_out_channels", hint);
	set_added(&config, find(n, "add_embedding.linear_1.weight"));
	const struct part_name *tasks = find(n, "task_embedding");
	if (!tasks)
		return config;
	set(&config, "_class_name", json_string("ControlNetUnionModel"));
	set(&config, "num_control_type", json_integer(dim(tasks, 0)));
	COUNT_NAMES(levels, n, "transformer_layes.%d.layer_norm1.weight");
	set(&config, "num_trans_layer", json_integer(levels));
	set(&config, "num_trans_channel", json_integer(dim(tasks, 1)));
	set(&config, "num_proj_channel", json_integer(dim(find(n, "spatial_ch_projs.weight"), 0)));
	return config;
}

/* Of 16 pixels, one way, are Stable Diffusion XL's; the picture has three colours or one. */
json_t *derive_t2i_adapter(const struct part_names *n)
{
	int levels, blocks;
	bool light = !find(n, "conv_in.weight");
	int in = dim(find(n, light ? "body.0.in_conv.weight" : "conv_in.weight"), 1);
	bool large = in == 3 * 16 * 16 || in == 16 * 16, grey = in == 16 * 16 || in == 8 * 8;
	json_t *channels = json_array();
	COUNT_NAMES(levels, n, "body.%d.resnets.0.block1.weight");
	COUNT_NAMES(blocks, n, "body.0.resnets.%d.block1.weight");
	/* A light one's lowest level stands twice in the file, and once in a config. */
	for (int i = 0; i < levels - light; i++)
		set(&channels, NULL,
		    json_integer(dim(light ? find(n, "body.%d.out_conv.weight", i)
					   : find(n, "body.%d.resnets.0.block1.weight", i),
				     0)));
	json_t *config = json_pack("{s:s, s:s, s:i, s:i, s:i}", "_class_name", "T2IAdapter", "adapter_type",
				   light   ? "light_adapter"
				   : large ? "full_adapter_xl"
					   : "full_adapter",
				   "in_channels", grey ? 1 : 3, "num_res_blocks", blocks, "downscale_factor",
				   large ? 16 : 8);
	set(&config, "channels", channels);
	return config;
}

/* What its picture becomes: by the tensors that each of the three ways alone has. */
static json_t *ip_projection(const struct part_names *n, int context)
{
	static const char at[] = "image_proj.";
	const struct part_name *latents = find(n, "%slatents", at);
	int depth;
	if (find(n, "%sproj.weight", at))
		return json_pack("{s:s, s:i, s:i}", "projection", "linear", "image_dim",
				 dim(find(n, "%sproj.weight", at), 1), "tokens",
				 context ? dim(find(n, "%sproj.weight", at), 0) / context : 0);
	if (!latents)
		return json_pack("{s:s, s:i}", "projection", "mlp", "image_dim",
				 dim(find(n, "%sproj.0.weight", at), 1));
	COUNT_NAMES(depth, n, "image_proj.layers.%d.0.to_q.weight");
	return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i}", "projection", "resampler", "image_dim",
			 dim(find(n, "%sproj_in.weight", at), 1), "tokens", dim(latents, 1), "inner_dim",
			 dim(latents, 2), "asked_dim", dim(find(n, "%slayers.0.0.to_q.weight", at), 0),
			 "ff_dim", dim(find(n, "%slayers.0.1.1.weight", at), 0), "depth", depth);
}

json_t *derive_ip_adapter(const struct part_names *n)
{
	enum { LAYERS_MAX = 512 };
	int context = dim(find(n, "ip_adapter.1.to_k_ip.weight"), 1);
	json_t *config = ip_projection(n, context), *channels = json_array();
	const struct part_name *k;
	for (int i = 0; i < LAYERS_MAX && (k = find(n, "ip_adapter.%d.to_k_ip.weight", 2 * i + 1)); i++)
		set(&channels, NULL, json_integer(dim(k, 0)));
	set(&config, "_class_name", json_string("IPAdapter"));
	set(&config, "cross_attention_dim", json_integer(context));
	set(&config, "channels", channels);
	return config;
}

/* Heads as in the published ones: of 64 channels up to ViT-L, then of 80, 88 and 104. */
static int vision_heads(int width)
{
	static const struct {
		int width, heads;
	} rows[] = {{1280, 16}, {1408, 16}, {1664, 16}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].width == width)
			return rows[i].heads;
	return width < 64 ? 1 : width / 64;
}

json_t *derive_image_encoder(const struct part_names *n)
{
	static const char at[] = "vision_model.";
	const struct part_name *patch = find(n, "%sembeddings.patch_embedding.weight", at);
	int width = dim(patch, 0), side = dim(patch, 2), layers, across = 1;
	int tokens = dim(find(n, "%sembeddings.position_embedding.weight", at), 0);
	while ((across + 1) * (across + 1) < tokens && across < 1024)
		across++;
	COUNT_NAMES(layers, n, "vision_model.encoder.layers.%d.self_attn.q_proj.weight");
	/* OpenAI's alone have the quick form: told by its widths. */
	return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:s}", "model_type", "clip_vision_model",
			 "image_size", side < 4096 ? across * side : 0, "patch_size", side, "hidden_size",
			 width, "intermediate_size",
			 dim(find(n, "%sencoder.layers.0.mlp.fc1.weight", at), 0), "num_hidden_layers", layers,
			 "num_attention_heads", vision_heads(width), "projection_dim",
			 dim(find(n, "visual_projection.weight"), 0), "hidden_act",
			 width <= 1024 ? "quick_gelu" : "gelu");
}

json_t *derive_unet(const struct part_names *n, const struct derived *model)
{
	struct unet_shape u;
	const struct part_name *added = find(n, "add_embedding.linear_1.weight");
	const struct part_name *guided = find(n, "time_embedding.cond_proj.weight");
	const struct part_name *in = find(n, "conv_in.weight"), *out = find(n, "conv_out.weight");
	measure_unet(n, model->context, &u);
	json_t *config =
	    json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i}", "_class_name", "UNet2DConditionModel",
		      "in_channels", dim(in, 1), "out_channels", dim(out, 0), "conv_in_kernel",
		      dim(in, 2), "conv_out_kernel", dim(out, 2), "cross_attention_dim",
		      model->context, "sample_size", sample_size(model));
	if (!config)
		return NULL;
	set_blocks(&config, &u);
	if (!find(n, "mid_block.attentions.0.proj_in.weight"))
		set(&config, "mid_block_type",
		    find(n, "mid_block.resnets.0.conv1.weight") ? json_string("UNetMidBlock2D")
								: json_null());
	if (guided)
		set(&config, "time_cond_proj_dim", json_integer(dim(guided, 1)));
	if (added && !model->xl)
		set(&config, "class_embed_type", json_string("projection"));
	if (model->xl)
		set_added(&config, added);
	return config;
}

/* --- autoencoders --- */

json_t *derive_vae(const struct part_names *n, const struct derived *model)
{
	json_t *channels = json_array(), *down = json_array(), *up = json_array();
	int levels, layers, latent = dim(find(n, "decoder.conv_in.weight"), 1);
	int colours = dim(find(n, "decoder.conv_out.weight"), 0);
	COUNT_NAMES(levels, n, "decoder.up_blocks.%d.resnets.0.conv2.weight");
	COUNT_NAMES(layers, n, "decoder.up_blocks.0.resnets.%d.conv2.weight");
	for (int i = levels - 1; i >= 0; i--) {
		set(&channels, NULL,
		    json_integer(
			dim(find(n, "decoder.up_blocks.%d.resnets.0.conv2.weight", i), 0)));
		set(&down, NULL, json_string("DownEncoderBlock2D"));
		set(&up, NULL, json_string("UpDecoderBlock2D"));
	}
	/* The numbers by which latents are scaled are none of its tensors. */
	double scaling = latent == 16 ? 0.3611 : model->xl ? 0.13025 : 0.18215;
	json_t *config = json_pack(
	    "{s:s, s:o, s:o, s:o, s:i, s:i, s:i, s:i, s:f, s:b, s:b, s:b}", "_class_name",
	    "AutoencoderKL", "block_out_channels", channels, "down_block_types", down,
	    "up_block_types", up, "layers_per_block", layers - 1, "latent_channels", latent,
	    "in_channels", colours, "out_channels", colours, "scaling_factor", scaling,
	    "use_quant_conv", find(n, "quant_conv.weight") != NULL, "use_post_quant_conv",
	    find(n, "post_quant_conv.weight") != NULL, "mid_block_add_attention",
	    find(n, "decoder.mid_block.attentions.0.to_q.weight") != NULL);
	if (config && latent == 16)
		set(&config, "shift_factor", json_real(0.1159));
	return config;
}

/* Blocks that follow each other from layer `at` on. */
static int run_of_blocks(const struct part_names *n, const char *side, int *at)
{
	int count = 0;
	while (count < COUNT_MAX && find(n, "%s.layers.%d.conv.0.weight", side, *at)) {
		(*at)++;
		count++;
	}
	return count;
}

json_t *derive_tiny_vae(const struct part_names *n)
{
	json_t *widths = json_array(), *down = json_array(), *up = json_array();
	const struct part_name *first = find(n, "decoder.layers.0.weight");
	int at = 2, levels = 0;
	/* A level's blocks, an upsampling without weights, a convolution. */
	for (; levels < LEVELS_MAX; levels++) {
		int blocks = run_of_blocks(n, "decoder", &at);
		set(&up, NULL, json_integer(blocks));
		set(&widths, NULL, json_integer(dim(first, 0)));
		if (!find(n, "decoder.layers.%d.weight", at + 1))
			break;
		at += 2;
	}
	bool whole = find(n, "encoder.layers.0.weight") != NULL;
	at = 1;
	for (int i = 0; i <= levels && i < LEVELS_MAX; i++, at++)
		set(&down, NULL,
		    whole ? json_integer(run_of_blocks(n, "encoder", &at))
			  : json_incref(json_array_get(up, (size_t)(levels - i))));
	return json_pack("{s:s, s:O, s:o, s:o, s:o, s:i}", "_class_name", "AutoencoderTiny",
			 "encoder_block_out_channels", widths, "decoder_block_out_channels", widths,
			 "num_encoder_blocks", down, "num_decoder_blocks", up, "latent_channels",
			 dim(first, 1));
}

/* --- text encoders --- */

json_t *derive_text(const struct part_names *n, bool second)
{
	enum { OPEN_CLIP_WIDTH = 1024 }; /* OpenAI's encoders, of other activations, are narrower */
	const struct part_name *tokens = find(n, "text_model.embeddings.token_embedding.weight");
	const struct part_name *projection = find(n, "text_projection.weight");
	int layers, vocabulary = dim(tokens, 0), width = dim(tokens, 1);
	bool fused = find(n, "text_model.encoder.layers.0.self_attn.q_proj.weight") &&
		     find(n, "text_model.encoder.layers.0.self_attn.q_proj.weight")->parts > 1;
	bool open = fused || width >= OPEN_CLIP_WIDTH;
	COUNT_NAMES(layers, n, "text_model.encoder.layers.%d.layer_norm1.weight");
	json_t *config = json_pack(
	    "{s:s, s:[s], s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:i}", "model_type", "clip_text_model",
	    "architectures", second ? "CLIPTextModelWithProjection" : "CLIPTextModel", "vocab_size",
	    vocabulary, "hidden_size", width, "intermediate_size",
	    dim(find(n, "text_model.encoder.layers.0.mlp.fc1.weight"), 0), "num_hidden_layers",
	    layers, "num_attention_heads", width / 64 > 1 ? width / 64 : 1,
	    "max_position_embeddings",
	    dim(find(n, "text_model.embeddings.position_embedding.weight"), 0), "hidden_act",
	    open ? "gelu" : "quick_gelu", "eos_token_id", vocabulary - 1);
	if (config && projection)
		set(&config, "projection_dim", json_integer(dim(projection, 0)));
	return config;
}

/* --- around them --- */

json_t *derive_scheduler(const struct derived *model)
{
	const char *class = model->lcm        ? "LCMScheduler"
			    : model->zero_snr ? "EulerDiscreteScheduler"
			    : model->xl       ? "EulerDiscreteScheduler"
			    : model->velocity ? "DDIMScheduler"
					      : "PNDMScheduler";
	json_t *config = json_pack("{s:s, s:f, s:f, s:s, s:i, s:b, s:s}", "_class_name", class,
				   "beta_start", 0.00085, "beta_end", 0.012, "beta_schedule",
				   "scaled_linear", "num_train_timesteps", 1000, "clip_sample", 0,
				   "prediction_type", model->velocity ? "v_prediction" : "epsilon");
	if (!config)
		return NULL;
	if (model->zero_snr) {
		set(&config, "rescale_betas_zero_snr", json_true());
		set(&config, "timestep_spacing", json_string("trailing"));
	} else if (!model->lcm) {
		set(&config, "steps_offset", json_integer(1));
		set(&config, "timestep_spacing", json_string("leading"));
	}
	if (!model->xl && !model->lcm && !model->zero_snr)
		set(&config, "set_alpha_to_one", json_false());
	if (!model->xl && !model->lcm && !model->velocity)
		set(&config, "skip_prk_steps", json_true());
	return config;
}

json_t *derive_index(const struct derived *model, bool tiny_vae)
{
	enum { INPAINTING = 9, PIX2PIX = 8 };
	const char *class = model->refiner                     ? "StableDiffusionXLImg2ImgPipeline"
			    : model->xl                        ? "StableDiffusionXLPipeline"
			    : model->in_channels == INPAINTING ? "StableDiffusionInpaintPipeline"
			    : model->in_channels == PIX2PIX
				? "StableDiffusionInstructPix2PixPipeline"
			    : model->lcm ? "LatentConsistencyModelPipeline"
					 : "StableDiffusionPipeline";
	json_t *index = json_pack("{s:s, s:[ss], s:[ss], s:[ss]}", "_class_name", class, "unet",
				  "diffusers", "UNet2DConditionModel", "vae", "diffusers",
				  tiny_vae ? "AutoencoderTiny" : "AutoencoderKL", "scheduler",
				  "diffusers", "Scheduler");
	if (!index)
		return NULL;
	for (const struct file_part *p = file_parts; p->name; p++) {
		if (p->kind != COMPONENT_TEXT || (p->place && !model->xl))
			continue;
		bool there = p->place || !model->refiner;
		set(&index, p->name,
		    there ? json_pack("[ss]", "transformers", p->class) : json_pack("[nn]"));
		set(&index, p->tokenizer,
		    there ? json_pack("[ss]", "transformers", "CLIPTokenizer") : json_pack("[nn]"));
	}
	if (model->xl)
		set(&index, "force_zeros_for_empty_prompt", json_boolean(!model->refiner));
	if (model->refiner)
		set(&index, "requires_aesthetics_score", json_true());
	return index;
}

/* Names of tensors: tables of what becomes of them, and what reads the tables. */
#include "weights/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

/* --- tables --- */

enum rule_op {
	OP_NAME = 0,
	OP_SPLIT = 1,     /* three tensors: '@' becomes q, k and v */
	OP_TRANSPOSE = 2, /* [in, out] */
	OP_IGNORE = 3,    /* nothing is computed with it */
};

/* One piece of a name and what it becomes. In `from`, '#' is a number; in `to`, '#' is the next of
 * the numbers, '~' that number less one, '^' counted from the other end of the VAE's levels. A
 * In `to`, '/' is half of the next number, which stays the next one, and '%' what is left of it. A
 * piece begins at the name's beginning (with '^' there alone) or behind a dot, and ends with a dot
 * or with the name. */
struct rule {
	const char *from, *to;
	enum rule_op op;
};

#define RESNET_RULES                                                                               \
	{"in_layers.0.", "norm1.", OP_NAME}, {"in_layers.2.", "conv1.", OP_NAME},                  \
	    {"emb_layers.1.", "time_emb_proj.", OP_NAME}, {"out_layers.0.", "norm2.", OP_NAME},    \
	    {"out_layers.3.", "conv2.", OP_NAME},                                                  \
	{                                                                                          \
		"skip_connection.", "conv_shortcut.", OP_NAME                                      \
	}

/* Marks that a checkpoint has at its top: where a UNet has no prefix, they stand beside it. */
#define MARKS                                                                                      \
	{"^v_pred", "", OP_IGNORE}, {"^ztsnr", "", OP_IGNORE},                                     \
	{                                                                                          \
		"^logvar", "", OP_IGNORE                                                           \
	}

static const struct rule unet_rules[] = {
    MARKS,
    {"time_embed.0.", "time_embedding.linear_1.", OP_NAME},
    {"time_embed.2.", "time_embedding.linear_2.", OP_NAME},
    {"time_embed.cond_proj.", "time_embedding.cond_proj.", OP_NAME},
    {"label_emb.0.0.", "add_embedding.linear_1.", OP_NAME},
    {"label_emb.0.2.", "add_embedding.linear_2.", OP_NAME},
    {"input_blocks.0.0.", "conv_in.", OP_NAME},
    {"out.0.", "conv_norm_out.", OP_NAME},
    {"out.2.", "conv_out.", OP_NAME},
    RESNET_RULES,
    {NULL, NULL, OP_NAME},
};

/* As lllyasviel's files have it: a UNet's names but for the picture and what is said. */
static const struct rule control_rules[] = {
    {"time_embed.0.", "time_embedding.linear_1.", OP_NAME},
    {"time_embed.2.", "time_embedding.linear_2.", OP_NAME},
    {"label_emb.0.0.", "add_embedding.linear_1.", OP_NAME},
    {"label_emb.0.2.", "add_embedding.linear_2.", OP_NAME},
    {"input_blocks.0.0.", "conv_in.", OP_NAME},
    {"input_hint_block.0.", "controlnet_cond_embedding.conv_in.", OP_NAME},
    {"input_hint_block.2.", "controlnet_cond_embedding.blocks.0.", OP_NAME},
    {"input_hint_block.4.", "controlnet_cond_embedding.blocks.1.", OP_NAME},
    {"input_hint_block.6.", "controlnet_cond_embedding.blocks.2.", OP_NAME},
    {"input_hint_block.8.", "controlnet_cond_embedding.blocks.3.", OP_NAME},
    {"input_hint_block.10.", "controlnet_cond_embedding.blocks.4.", OP_NAME},
    {"input_hint_block.12.", "controlnet_cond_embedding.blocks.5.", OP_NAME},
    {"input_hint_block.14.", "controlnet_cond_embedding.conv_out.", OP_NAME},
    {"zero_convs.#.0.", "controlnet_down_blocks.#.", OP_NAME},
    {"middle_block_out.0.", "controlnet_mid_block.", OP_NAME},
    RESNET_RULES,
    {NULL, NULL, OP_NAME},
};

/* As diffusers has them; of one for several kinds of maps a transformer is called as open_clip's. */
static const struct rule control_diffusers_rules[] = {
    {"query.", "to_q.", OP_NAME},
    {"key.", "to_k.", OP_NAME},
    {"value.", "to_v.", OP_NAME},
    {"proj_attn.", "to_out.0.", OP_NAME},
    {"transformer_layes.#.attn.in_proj_weight", "transformer_layes.#.self_attn.@_proj.weight", OP_SPLIT},
    {"transformer_layes.#.attn.in_proj_bias", "transformer_layes.#.self_attn.@_proj.bias", OP_SPLIT},
    {"transformer_layes.#.attn.out_proj.", "transformer_layes.#.self_attn.out_proj.", OP_NAME},
    {"transformer_layes.#.ln_1.", "transformer_layes.#.layer_norm1.", OP_NAME},
    {"transformer_layes.#.ln_2.", "transformer_layes.#.layer_norm2.", OP_NAME},
    {"transformer_layes.#.mlp.c_fc.", "transformer_layes.#.mlp.fc1.", OP_NAME},
    {"transformer_layes.#.mlp.c_proj.", "transformer_layes.#.mlp.fc2.", OP_NAME},
    {NULL, NULL, OP_NAME},
};

static const struct rule vae_rules[] = {
    {"encoder.down.#.block.#.", "encoder.down_blocks.#.resnets.#.", OP_NAME},
    {"encoder.down.#.downsample.", "encoder.down_blocks.#.downsamplers.0.", OP_NAME},
    {"decoder.up.#.block.#.", "decoder.up_blocks.^.resnets.#.", OP_NAME},
    {"decoder.up.#.upsample.", "decoder.up_blocks.^.upsamplers.0.", OP_NAME},
    {"mid.block_#.", "mid_block.resnets.~.", OP_NAME},
    {"mid.attn_1.norm.", "mid_block.attentions.0.group_norm.", OP_NAME},
    {"mid.attn_1.q.", "mid_block.attentions.0.to_q.", OP_NAME},
    {"mid.attn_1.k.", "mid_block.attentions.0.to_k.", OP_NAME},
    {"mid.attn_1.v.", "mid_block.attentions.0.to_v.", OP_NAME},
    {"mid.attn_1.proj_out.", "mid_block.attentions.0.to_out.0.", OP_NAME},
    {"norm_out.", "conv_norm_out.", OP_NAME},
    {"nin_shortcut.", "conv_shortcut.", OP_NAME},
    {"encoder.quant_conv.", "quant_conv.", OP_NAME},
    {"decoder.post_quant_conv.", "post_quant_conv.", OP_NAME},
    {NULL, NULL, OP_NAME},
};

/* What diffusers itself called these before 2023. */
static const struct rule diffusers_rules[] = {
    MARKS,
    {"query.", "to_q.", OP_NAME},
    {"key.", "to_k.", OP_NAME},
    {"value.", "to_v.", OP_NAME},
    {"proj_attn.", "to_out.0.", OP_NAME},
    {NULL, NULL, OP_NAME},
};

/* madebyollin's own files count the decoder's clamp as a layer; sd.cpp and ComfyUI give them a
 * prefix. */
static const struct rule tiny_rules[] = {
    {"taesd_encoder.#.", "encoder.layers.#.", OP_NAME},
    {"taesd_decoder.#.", "decoder.layers.~.", OP_NAME},
    {"vae_scale", "", OP_IGNORE},
    {"vae_shift", "", OP_IGNORE},
    {NULL, NULL, OP_NAME},
};
static const struct rule tiny_decoder_rules[] = {
    {"^#.", "decoder.layers.~.", OP_NAME},
    {NULL, NULL, OP_NAME},
};
static const struct rule tiny_encoder_rules[] = {
    {"^#.", "encoder.layers.#.", OP_NAME},
    {NULL, NULL, OP_NAME},
};

/* TencentARC's: blocks are numbered through the levels, two of each; of a light one they stand in a body. */
static const struct rule t2i_rules[] = {
    {"^body.#.in_conv.", "body./.in_conv.", OP_NAME},
    {"^body.#.block1.", "body./.resnets.%.block1.", OP_NAME},
    {"^body.#.block2.", "body./.resnets.%.block2.", OP_NAME},
    {NULL, NULL, OP_NAME},
};
static const struct rule t2i_light_rules[] = {
    {"^body.#.body.#.", "body.#.resnets.#.", OP_NAME},
    {NULL, NULL, OP_NAME},
};

static const struct rule no_rules[] = {{NULL, NULL, OP_NAME}};

/* transformers 5 leaves "text_model." away. */
static const struct rule bare_clip_rules[] = {
    {"embeddings.", "text_model.embeddings.", OP_NAME},
    {"encoder.layers.", "text_model.encoder.layers.", OP_NAME},
    {"final_layer_norm.", "text_model.final_layer_norm.", OP_NAME},
    {NULL, NULL, OP_NAME},
};

#define LAYER "text_model.encoder.layers.#."
static const struct rule open_clip_rules[] = {
    {"transformer.resblocks.#.attn.in_proj_weight", LAYER "self_attn.@_proj.weight", OP_SPLIT},
    {"transformer.resblocks.#.attn.in_proj_bias", LAYER "self_attn.@_proj.bias", OP_SPLIT},
    {"transformer.resblocks.#.attn.out_proj.", LAYER "self_attn.out_proj.", OP_NAME},
    {"transformer.resblocks.#.ln_1.", LAYER "layer_norm1.", OP_NAME},
    {"transformer.resblocks.#.ln_2.", LAYER "layer_norm2.", OP_NAME},
    {"transformer.resblocks.#.mlp.c_fc.", LAYER "mlp.fc1.", OP_NAME},
    {"transformer.resblocks.#.mlp.c_proj.", LAYER "mlp.fc2.", OP_NAME},
    {"token_embedding.", "text_model.embeddings.token_embedding.", OP_NAME},
    {"positional_embedding", "text_model.embeddings.position_embedding.weight", OP_NAME},
    {"ln_final.", "text_model.final_layer_norm.", OP_NAME},
    {"text_projection", "text_projection.weight", OP_TRANSPOSE},
    {"logit_scale", "", OP_IGNORE},
    {"attn_mask", "", OP_IGNORE},
    {NULL, NULL, OP_NAME},
};

/* A component is there where a name ends with the anchor, `beside` stands at the same prefix and
 * `without` does not. Prefixes that end with `unless` are something else's. */
static const struct layout {
	enum component_kind kind;
	bool original;
	const char *anchor, *beside, *without, *unless;
	const struct rule *rules;
} layouts[] = {
    {COMPONENT_UNET, true, "input_blocks.0.0.weight", "time_embed.0.weight",
     "zero_convs.0.0.weight", NULL, unet_rules},
    {COMPONENT_UNET, false, "time_embedding.linear_1.weight", "conv_in.weight",
     "controlnet_down_blocks.0.weight", NULL, diffusers_rules},
    {COMPONENT_CONTROL_NET, true, "input_hint_block.0.weight", "zero_convs.0.0.weight", NULL, NULL,
     control_rules},
    {COMPONENT_CONTROL_NET, false, "controlnet_cond_embedding.conv_in.weight",
     "controlnet_down_blocks.0.weight", NULL, NULL, control_diffusers_rules},
    {COMPONENT_VAE, true, "decoder.up.0.block.0.norm1.weight", "decoder.conv_in.weight", NULL, NULL,
     vae_rules},
    {COMPONENT_VAE, false, "decoder.up_blocks.0.resnets.0.norm1.weight", "decoder.conv_in.weight",
     NULL, NULL, diffusers_rules},
    {COMPONENT_TINY_VAE, false, "decoder.layers.0.weight", "decoder.layers.2.conv.0.weight", NULL,
     NULL, no_rules},
    {COMPONENT_TINY_VAE, true, "taesd_decoder.1.weight", "taesd_decoder.3.conv.0.weight", NULL,
     NULL, tiny_rules},
    {COMPONENT_TINY_VAE, true, "1.weight", "3.conv.0.weight", NULL, NULL, tiny_decoder_rules},
    {COMPONENT_TINY_VAE, true, "0.weight", "1.conv.0.weight", NULL, NULL, tiny_encoder_rules},
    {COMPONENT_TEXT, false, "text_model.encoder.layers.0.self_attn.q_proj.weight",
     "text_model.embeddings.token_embedding.weight", NULL, NULL, no_rules},
    {COMPONENT_TEXT, true, "encoder.layers.0.self_attn.q_proj.weight",
     "embeddings.token_embedding.weight", NULL, "text_model.", bare_clip_rules},
    {COMPONENT_TEXT, true, "transformer.resblocks.0.attn.in_proj_weight", "token_embedding.weight",
     NULL, "visual.", open_clip_rules},
    {COMPONENT_T2I_ADAPTER, false, "body.0.resnets.0.block1.weight", "conv_in.weight", NULL, NULL, no_rules},
    {COMPONENT_T2I_ADAPTER, false, "body.0.resnets.0.block1.weight", "body.0.out_conv.weight", NULL, NULL,
     no_rules},
    {COMPONENT_T2I_ADAPTER, true, "body.0.block1.weight", "conv_in.weight", NULL, NULL, t2i_rules},
    {COMPONENT_T2I_ADAPTER, true, "body.0.body.0.block1.weight", "body.0.out_conv.weight", NULL, NULL,
     t2i_light_rules},
    {COMPONENT_IP_ADAPTER, false, "ip_adapter.1.to_k_ip.weight", "image_proj.proj.weight", NULL, NULL,
     no_rules},
    {COMPONENT_IP_ADAPTER, false, "ip_adapter.1.to_k_ip.weight", "image_proj.latents",
     "image_proj.time_embedding.linear_1.weight", NULL, no_rules},
    {COMPONENT_IP_ADAPTER, false, "ip_adapter.1.to_k_ip.weight", "image_proj.proj.3.weight", NULL, NULL,
     no_rules},
    {COMPONENT_IMAGE, false, "vision_model.encoder.layers.0.self_attn.q_proj.weight",
     "visual_projection.weight", "text_model.embeddings.token_embedding.weight", NULL, no_rules},
};

/* --- lists --- */

static int by_name(const void *key, const void *entry)
{
	return strcmp(key, (*(const struct tensor_entry *const *)entry)->name);
}

const struct tensor_entry *tensor_list_find(const struct tensor_list *list, const char *name)
{
	const struct tensor_entry *const *found =
	    list->count ? bsearch(name, list->entries, list->count, sizeof *list->entries, by_name)
			: NULL;
	return found ? *found : NULL;
}

/* The same with a name in two parts. */
static const struct tensor_entry *find_in(const struct tensor_list *list, const char *prefix,
					  const char *rest)
{
	char name[LAYOUT_PREFIX_MAX + LAYOUT_NAME_MAX];
	int n = snprintf(name, sizeof name, "%s%s", prefix, rest);
	return n > 0 && (size_t)n < sizeof name ? tensor_list_find(list, name) : NULL;
}

/* --- an original UNet's blocks --- */

enum { BLOCKS_MAX = 64, BLOCK_PARTS = 3 };

/* What part j of input or output block i is, as diffusers names it; "": nothing. */
struct layout_blocks {
	char in[BLOCKS_MAX][BLOCK_PARTS][48], out[BLOCKS_MAX][BLOCK_PARTS][48];
};

static bool has_part(const struct tensor_list *list, const struct component *c, const char *side,
		     int i, int j, const char *rest)
{
	char name[LAYOUT_NAME_MAX];
	snprintf(name, sizeof name, "%s.%d.%d.%s", side, i, j, rest);
	return find_in(list, c->prefix, name) != NULL;
}

/* Blocks are numbered on through the levels; a level ends with its resampling. */
static void walk_blocks(const struct tensor_list *list, struct component *c, bool down)
{
	const char *side = down ? "input_blocks" : "output_blocks";
	const char *name = down ? "down_blocks" : "up_blocks";
	int level = 0, layer = 0;
	for (int i = down ? 1 : 0; i < BLOCKS_MAX; i++) {
		char(*to)[48] = down ? c->blocks->in[i] : c->blocks->out[i];
		bool ends = false;
		for (int j = 0; j < BLOCK_PARTS; j++) {
			if (has_part(list, c, side, i, j, "in_layers.2.weight"))
				snprintf(to[j], sizeof to[j], "%s.%d.resnets.%d.", name, level,
					 layer);
			else if (has_part(list, c, side, i, j, "proj_in.weight"))
				snprintf(to[j], sizeof to[j], "%s.%d.attentions.%d.", name, level,
					 layer);
			else if (has_part(list, c, side, i, j, "op.weight"))
				snprintf(to[j], sizeof to[j], "%s.%d.downsamplers.0.conv.", name,
					 level);
			else if (has_part(list, c, side, i, j, "conv.weight"))
				snprintf(to[j], sizeof to[j], "%s.%d.upsamplers.0.", name, level);
			else
				continue;
			ends = ends || strstr(to[j], "samplers");
		}
		layer = ends ? 0 : layer + 1;
		level += ends;
	}
}

/* --- finding components --- */

static bool ends_with(const char *text, size_t size, const char *end)
{
	size_t n = strlen(end);
	return size >= n && memcmp(text + size - n, end, n) == 0;
}

/* Whether a name ends with the layout's anchor at the beginning of a piece, and its prefix. */
static bool is_anchor(const struct tensor_list *list, const struct layout *l, const char *name,
		      char prefix[LAYOUT_PREFIX_MAX])
{
	size_t size = strlen(name), n = strlen(l->anchor), before = size - n;
	if (!ends_with(name, size, l->anchor) || before >= LAYOUT_PREFIX_MAX ||
	    (before > 0 && name[before - 1] != '.'))
		return false;
	memcpy(prefix, name, before);
	prefix[before] = '\0';
	if (l->unless && ends_with(prefix, before, l->unless))
		return false;
	/* A vision tower has the same names; a number is a layer of something else. */
	if (ends_with(prefix, before, "vision_model.") ||
	    (before > 1 && prefix[before - 2] >= '0' && prefix[before - 2] <= '9'))
		return false;
	return find_in(list, prefix, l->beside) &&
	       !(l->without && find_in(list, prefix, l->without));
}

/* In Stable Diffusion 2's own files the last layer of the text encoder is not used. */
static int skipped_layer(const struct tensor_list *list, const struct component *c)
{
	int layers = 0;
	char name[LAYOUT_NAME_MAX];
	if (strcmp(c->prefix, "cond_stage_model.model.") != 0)
		return -1;
	do
		snprintf(name, sizeof name, "transformer.resblocks.%d.ln_1.weight", layers++);
	while (find_in(list, c->prefix, name));
	return layers - 2;
}

static int complete(const struct tensor_list *list, struct component *c)
{
	char name[LAYOUT_NAME_MAX];
	c->skipped_layer = -1;
	if (c->kind == COMPONENT_TEXT)
		c->skipped_layer = skipped_layer(list, c);
	if (!c->original)
		return SUMI_OK;
	if (c->kind == COMPONENT_VAE)
		do
			snprintf(name, sizeof name, "decoder.up.%d.block.0.norm1.weight",
				 c->levels++);
		while (find_in(list, c->prefix, name));
	c->levels--;
	if (c->kind != COMPONENT_UNET && c->kind != COMPONENT_CONTROL_NET)
		return SUMI_OK;
	c->blocks = calloc(1, sizeof *c->blocks);
	if (!c->blocks)
		return SUMI_NOMEM;
	walk_blocks(list, c, true);
	walk_blocks(list, c, false);
	return SUMI_OK;
}

int components_find(const struct tensor_list *list, struct component *out, int max)
{
	int count = 0;
	for (size_t k = 0; k < sizeof layouts / sizeof layouts[0]; k++)
		for (size_t i = 0; i < list->count && count < max; i++) {
			struct component *c = &out[count];
			*c = (struct component){.kind = layouts[k].kind,
						.layout = &layouts[k],
						.original = layouts[k].original};
			if (!is_anchor(list, &layouts[k], list->entries[i]->name, c->prefix))
				continue;
			count++;
			if (complete(list, c)) {
				while (count)
					component_free(&out[--count]);
				return SUMI_NOMEM;
			}
		}
	return count;
}

void component_free(struct component *c)
{
	free(c->blocks);
	c->blocks = NULL;
}

/* --- renaming --- */

struct text {
	char *out;
	size_t used;
	bool full;
};

static void put(struct text *t, const char *text, size_t size)
{
	if (t->used + size >= LAYOUT_NAME_MAX) {
		t->full = true;
		return;
	}
	memcpy(t->out + t->used, text, size);
	t->used += size;
	t->out[t->used] = '\0';
}

static void put_number(struct text *t, long value)
{
	char digits[24];
	put(t, digits, (size_t)snprintf(digits, sizeof digits, "%ld", value));
}

enum { NUMBERS_MAX = 4 };

/* The bytes of name that a rule takes, 0 where it does not fit; numbers[] gets its numbers. */
static size_t match(const struct rule *rule, const char *name, bool first,
		    long numbers[NUMBERS_MAX])
{
	const char *at = name;
	int count = 0;
	if (*rule->from == '^' && !first)
		return 0;
	for (const char *f = rule->from + (*rule->from == '^'); *f; f++) {
		if (*f != '#') {
			if (*at++ != *f)
				return 0;
			continue;
		}
		char *end;
		if (*at < '0' || *at > '9' || count == NUMBERS_MAX)
			return 0;
		numbers[count++] = strtol(at, &end, 10);
		if (end - at > 4)
			return 0;
		at = end;
	}
	return at[-1] == '.' || *at == '\0' ? (size_t)(at - name) : 0;
}

/* "input_blocks.4.1." at the beginning of a name: what it becomes, or ""; *taken: how long it is.
 */
static const char *block_part(const struct component *c, const char *name, size_t *taken)
{
	static const struct rule middle = {"middle_block.#.", "", OP_NAME},
				 in = {"input_blocks.#.#.", "", OP_NAME},
				 out = {"output_blocks.#.#.", "", OP_NAME};
	static const char *const parts[] = {"mid_block.resnets.0.", "mid_block.attentions.0.",
					    "mid_block.resnets.1."};
	long n[NUMBERS_MAX];
	bool down = false;
	if (!c->blocks)
		return "";
	if ((*taken = match(&middle, name, true, n)))
		return n[0] < 3 ? parts[n[0]] : "";
	if ((*taken = match(&in, name, true, n)))
		down = true;
	else if (!(*taken = match(&out, name, true, n)))
		return "";
	if (n[0] >= BLOCKS_MAX || n[1] >= BLOCK_PARTS)
		return "";
	if (down && strncmp(name + *taken, "op.", 3) == 0)
		*taken += 3;
	return down ? c->blocks->in[n[0]][n[1]] : c->blocks->out[n[0]][n[1]];
}

static void apply(const struct component *c, const struct rule *rule, char letter,
		  const long *numbers, struct text *t)
{
	for (const char *p = rule->to; *p; p++) {
		if (*p == '#')
			put_number(t, *numbers++);
		else if (*p == '~')
			put_number(t, *numbers++ - 1);
		else if (*p == '^')
			put_number(t, c->levels - 1 - *numbers++);
		else if (*p == '/')
			put_number(t, *numbers / 2);
		else if (*p == '%')
			put_number(t, *numbers++ % 2);
		else
			put(t, *p == '@' ? &letter : p, 1);
	}
}

/* One name out of another; returns what the rules say of it besides. */
static enum rule_op rename_one(const struct component *c, const char *name, char letter,
			       struct text *t)
{
	enum rule_op op = OP_NAME;
	size_t taken;
	const char *start = name;
	const char *block = block_part(c, name, &taken);
	if (*block) {
		put(t, block, strlen(block));
		name += taken;
	}
	while (*name) {
		long numbers[NUMBERS_MAX];
		const struct rule *rule = c->layout->rules;
		for (taken = 0; rule->from && !(taken = match(rule, name, name == start, numbers));)
			rule++;
		if (taken) {
			apply(c, rule, letter, numbers, t);
			op = rule->op ? rule->op : op;
		} else {
			const char *dot = strchr(name, '.');
			taken = dot ? (size_t)(dot - name) + 1 : strlen(name);
			put(t, name, taken);
		}
		name += taken;
	}
	return op;
}

static bool is_skipped(const struct component *c, const char *name)
{
	char layer[40];
	snprintf(layer, sizeof layer, "text_model.encoder.layers.%d.", c->skipped_layer);
	return c->skipped_layer >= 0 && strncmp(name, layer, strlen(layer)) == 0;
}

void component_rename(const struct component *c, const char *name, struct renamed *out)
{
	size_t n = strlen(c->prefix);
	*out = (struct renamed){.parts = 0};
	if (strncmp(name, c->prefix, n) != 0)
		return;
	enum rule_op op = OP_NAME;
	do {
		struct text t = {.out = out->names[out->parts]};
		op = rename_one(c, name + n, "qkv"[out->parts], &t);
		if (t.full) {
			out->parts = 0;
			return;
		}
		out->parts++;
	} while (op == OP_SPLIT && out->parts < LAYOUT_PARTS_MAX);
	out->transposed = op == OP_TRANSPOSE;
	out->ignored = op == OP_IGNORE || is_skipped(c, out->names[0]);
}

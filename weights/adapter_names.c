/* The names that programs have for what an adapter changes, as tables. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/adapter_internal.h"

/* ---- which tensor of a module ---- */

/* '*' is any text without a dot. */
static const struct {
	const char *end;
	enum module_tensor which;
	bool bias;
} ends[] = {
    {".lora_down.weight", TENSOR_DOWN, false},
    {".lora_up.weight", TENSOR_UP, false},
    {".lora_mid.weight", TENSOR_MID, false},
    {".lora_A.weight", TENSOR_DOWN, false},
    {".lora_B.weight", TENSOR_UP, false},
    {".lora_A.*.weight", TENSOR_DOWN, false},
    {".lora_B.*.weight", TENSOR_UP, false},
    {".lora_A", TENSOR_DOWN, false},
    {".lora_B", TENSOR_UP, false},
    {".lora_B.bias", TENSOR_UP_BIAS, true},
    {".lora_B.*.bias", TENSOR_UP_BIAS, true},
    {".lora.down.weight", TENSOR_DOWN, false},
    {".lora.up.weight", TENSOR_UP, false},
    {"_lora.down.weight", TENSOR_DOWN, false},
    {"_lora.up.weight", TENSOR_UP, false},
    {".lora_linear_layer.down.weight", TENSOR_DOWN, false},
    {".lora_linear_layer.up.weight", TENSOR_UP, false},
    {".alpha", TENSOR_ALPHA, false},
    {".dora_scale", TENSOR_DORA, false},
    {".lora_magnitude_vector", TENSOR_MAGNITUDE, false},
    {".lora_magnitude_vector.weight", TENSOR_MAGNITUDE, false},
    {".lora_magnitude_vector.*.weight", TENSOR_MAGNITUDE, false},
    {".hada_w1_a", TENSOR_HADA_W1A, false},
    {".hada_w1_b", TENSOR_HADA_W1B, false},
    {".hada_w2_a", TENSOR_HADA_W2A, false},
    {".hada_w2_b", TENSOR_HADA_W2B, false},
    {".hada_t1", TENSOR_HADA_T1, false},
    {".hada_t2", TENSOR_HADA_T2, false},
    {".lokr_w1", TENSOR_KRON_W1, false},
    {".lokr_w1_a", TENSOR_KRON_W1A, false},
    {".lokr_w1_b", TENSOR_KRON_W1B, false},
    {".lokr_w2", TENSOR_KRON_W2, false},
    {".lokr_w2_a", TENSOR_KRON_W2A, false},
    {".lokr_w2_b", TENSOR_KRON_W2B, false},
    {".lokr_t2", TENSOR_KRON_T2, false},
    {".diff", TENSOR_DIFF, false},
    {".diff_b", TENSOR_DIFF, true},
    {".set_weight", TENSOR_SAVED, false}, /* ComfyUI's */
    {".w_norm", TENSOR_DIFF, false},
    {".b_norm", TENSOR_DIFF, true},
    /* XLabs has several pairs of a module, by number. */
    {".down.weight", TENSOR_DOWN, false},
    {".up.weight", TENSOR_UP, false},
};

/* Where `end` begins in name; 0: it does not stand there. */
static size_t where_ends(const char *name, const char *end)
{
	size_t n = strlen(name), tail = strcspn(end, "*");
	if (!end[tail])
		return n > tail && strcmp(name + n - tail, end) == 0 ? n - tail : 0;
	const char *last = end + tail + 1; /* behind the star */
	size_t after = strlen(last);
	if (n < tail + after || strcmp(name + n - after, last) != 0)
		return 0;
	size_t at = n - after;
	while (at > 0 && name[at - 1] != '.')
		at--;
	return at > tail && strncmp(name + at - tail, end, tail) == 0 ? at - tail : 0;
}

bool adapter_suffix(const char *name, enum module_tensor *which, bool *bias, size_t *stem)
{
	if (strncmp(name, "bundle_emb.", 11) == 0) {
		*which = TENSOR_EMBEDDING;
		*bias = false;
		*stem = strlen(name);
		return true;
	}
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		*stem = where_ends(name, ends[i].end);
		*which = ends[i].which;
		*bias = ends[i].bias;
		if (*stem)
			return true;
	}
	return false;
}

/* ---- which part, and what it is called there ---- */

/* Fronts are taken off again and again; one without a part only leads to the next. */
static const struct {
	const char *front;
	unsigned part;
	bool kept; /* it belongs to the name */
} fronts[] = {
    {"lora_unet_", ADAPTER_DENOISER, false},
    {"lycoris_unet_", ADAPTER_DENOISER, false},
    {"lora_te1_", ADAPTER_TEXT, false},
    {"lora_te2_", ADAPTER_TEXT_2, false},
    {"lora_te_", ADAPTER_TEXT, false},
    {"lora_unet.", ADAPTER_DENOISER, false}, /* OneTrainer's, as are those of CLIP */
    {"lora_te1.", ADAPTER_TEXT, false},
    {"lora_te2.", ADAPTER_TEXT_2, false},
    {"lora_te.", ADAPTER_TEXT, false},
    {"clip_l.", ADAPTER_TEXT, false},
    {"clip_g.", ADAPTER_TEXT_2, false},
    {"clip.", ADAPTER_TEXT, false},
    {"text_encoders.", 0, false}, /* ComfyUI's: text_encoders.clip_l.transformer. */
    {"cond_stage_model.", ADAPTER_TEXT, false},
    {"conditioner.embedders.0.", ADAPTER_TEXT, false},
    {"transformer.", 0, false},
    {"lycoris_", 0, false},
    {"unet.", ADAPTER_DENOISER, false},
    {"diffusion_model.", ADAPTER_DENOISER, false},
    {"text_encoder_2.", ADAPTER_TEXT_2, false},
    {"text_encoder.", ADAPTER_TEXT, false},
    {"base_model.model.", 0, false},
    {"model.", 0, false},
    {"down_blocks", ADAPTER_DENOISER, true},
    {"up_blocks", ADAPTER_DENOISER, true},
    {"mid_block", ADAPTER_DENOISER, true},
    {"conv_", ADAPTER_DENOISER, true},
    {"time_embedding", ADAPTER_DENOISER, true},
    {"add_embedding", ADAPTER_DENOISER, true},
    {"input_blocks", ADAPTER_DENOISER, true},
    {"output_blocks", ADAPTER_DENOISER, true},
    {"middle_block", ADAPTER_DENOISER, true},
    {"text_model", ADAPTER_TEXT, true},
    {"encoder.layers", ADAPTER_TEXT, true}, /* CLIP of transformers 5 alone */
};

/* Pieces of flat names that are called otherwise, or are left out; '$': at its end alone. */
static const struct {
	unsigned parts;
	const char *piece, *as;
} pieces[] = {
    {ADAPTER_DENOISER, "_processor_", "_"},
    {ADAPTER_DENOISER, "_to_out$", "_to_out_0"},
    {ADAPTER_TEXT | ADAPTER_TEXT_2, "_self_attn_to_q$", "_self_attn_q_proj"},
    {ADAPTER_TEXT | ADAPTER_TEXT_2, "_self_attn_to_k$", "_self_attn_k_proj"},
    {ADAPTER_TEXT | ADAPTER_TEXT_2, "_self_attn_to_v$", "_self_attn_v_proj"},
    {ADAPTER_TEXT | ADAPTER_TEXT_2, "_self_attn_to_out$", "_self_attn_out_proj"},
};

static void replace_piece(char *name, const char *piece, const char *as)
{
	char rest[ADAPTER_NAME_MAX];
	size_t n = strlen(piece), at = strlen(name);
	bool at_end = piece[n - 1] == '$';
	char *found = NULL;
	n -= at_end;
	if (!at_end)
		found = strstr(name, piece);
	else if (at > n && strncmp(name + at - n, piece, n) == 0)
		found = name + at - n;
	if (!found)
		return;
	snprintf(rest, sizeof rest, "%s", found + n);
	snprintf(found, ADAPTER_NAME_MAX - (size_t)(found - name), "%s%s", as, rest);
}

static bool take_front(const char **name, unsigned *part)
{
	for (size_t i = 0; i < sizeof fronts / sizeof fronts[0]; i++) {
		size_t n = strlen(fronts[i].front);
		if (strncmp(*name, fronts[i].front, n) != 0 || (fronts[i].kept && *part))
			continue;
		*name += fronts[i].kept ? 0 : n;
		if (!*part)
			*part = fronts[i].part;
		return !fronts[i].kept;
	}
	return false;
}

bool adapter_flat_name(const char *stem, unsigned *part, char out[ADAPTER_NAME_MAX])
{
	*part = 0;
	while (take_front(&stem, part))
		;
	if (!*part || strlen(stem) + 16 > ADAPTER_NAME_MAX)
		return false;
	size_t n = 0;
	for (; stem[n]; n++)
		out[n] = stem[n] == '.' ? '_' : stem[n];
	out[n] = '\0';
	for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
		if (pieces[i].parts & *part)
			replace_piece(out, pieces[i].piece, pieces[i].as);
	return true;
}

/* ---- Stable Diffusion's original names ---- */

/* Within a resnet. */
static const char *const resnet_pieces[][2] = {
    {"_in_layers_0", "_norm1"},         {"_in_layers_2", "_conv1"},
    {"_emb_layers_1", "_time_emb_proj"}, {"_out_layers_0", "_norm2"},
    {"_out_layers_3", "_conv2"},        {"_skip_connection", "_conv_shortcut"},
};

static const char *const whole_names[][2] = {
    {"input_blocks_0_0", "conv_in"},
    {"time_embed_0", "time_embedding_linear_1"},
    {"time_embed_2", "time_embedding_linear_2"},
    {"label_emb_0_0", "add_embedding_linear_1"},
    {"label_emb_0_2", "add_embedding_linear_2"},
    {"out_0", "conv_norm_out"},
    {"out_2", "conv_out"},
};

static void resnet_name(char *out, const char *rest)
{
	for (size_t i = 0; i < sizeof resnet_pieces / sizeof resnet_pieces[0]; i++)
		if (strcmp(rest, resnet_pieces[i][0]) == 0) {
			strcat(out, resnet_pieces[i][1]);
			return;
		}
	strcat(out, rest);
}

/* The number at *at, which then stands behind it; -1: there is none. */
static int take_number(const char **at)
{
	char *end;
	if (!isdigit((unsigned char)**at))
		return -1;
	long n = strtol(*at, &end, 10);
	*at = end;
	return n < 1000 ? (int)n : -1;
}

static bool is_resnet(const char *rest)
{
	return strncmp(rest, "_in_layers", 10) == 0 || strncmp(rest, "_out_layers", 11) == 0 ||
	       strncmp(rest, "_emb_layers", 11) == 0 || strncmp(rest, "_skip_connection", 16) == 0;
}

/* out: what stands for the block's front and the sort of what is in it. */
static void block_name(char *out, const char *side, int level, int layer, const char *rest)
{
	const char *sampler = strcmp(side, "down") == 0 ? "down" : "up";
	if (is_resnet(rest)) {
		snprintf(out, ADAPTER_NAME_MAX, "%s_blocks_%d_resnets_%d", side, level, layer);
		resnet_name(out, rest);
	} else if (strcmp(rest, "_op") == 0 || strcmp(rest, "_conv") == 0) {
		snprintf(out, ADAPTER_NAME_MAX, "%s_blocks_%d_%ssamplers_0_conv", side, level, sampler);
	} else {
		snprintf(out, ADAPTER_NAME_MAX, "%s_blocks_%d_attentions_%d%s", side, level, layer, rest);
	}
}

void adapter_unet_name(const char *flat, int layers, char out[ADAPTER_NAME_MAX])
{
	const char *at;
	int i, sub;
	snprintf(out, ADAPTER_NAME_MAX, "%s", flat);
	for (size_t k = 0; k < sizeof whole_names / sizeof whole_names[0]; k++)
		if (strcmp(flat, whole_names[k][0]) == 0)
			strcpy(out, whole_names[k][1]);
	if (strlen(flat) + 32 > ADAPTER_NAME_MAX || layers < 1)
		return;
	if (strncmp(flat, "input_blocks_", 13) == 0) {
		at = flat + 13;
		if ((i = take_number(&at)) > 0 && *at++ == '_' && take_number(&at) >= 0)
			block_name(out, "down", (i - 1) / (layers + 1), (i - 1) % (layers + 1), at);
	} else if (strncmp(flat, "output_blocks_", 14) == 0) {
		at = flat + 14;
		if ((i = take_number(&at)) >= 0 && *at++ == '_' && take_number(&at) >= 0)
			block_name(out, "up", i / (layers + 1), i % (layers + 1), at);
	} else if (strncmp(flat, "middle_block_", 13) == 0) {
		at = flat + 13;
		if ((sub = take_number(&at)) < 0)
			return;
		if (is_resnet(at)) {
			snprintf(out, ADAPTER_NAME_MAX, "mid_block_resnets_%d", sub / 2);
			resnet_name(out, at);
		} else {
			snprintf(out, ADAPTER_NAME_MAX, "mid_block_attentions_0%s", at);
		}
	}
}

/* Telling what a file of tensors is: two tables, of kinds and of families. */
#include "weights/recognise.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PATTERNS = 3 };

/* A name that must be there: '*' is any text, '#' a number. With a size, its last axis has that
 * many. */
struct pattern {
	const char *name;
	int64_t last;
};

/* Rows are asked in their order, and the first counts whose names are all there. */
struct row {
	const char *word;
	struct pattern names[PATTERNS];
};

/* --- what it is --- */

/* What changes a model's weights; the finer word first. */
static const struct row adapters[] = {
    {"DoRA", {{"*lora_down.weight", 0}, {"*.dora_scale", 0}}},
    {"DoRA", {{"*lora_A.weight", 0}, {"*.dora_scale", 0}}},
    {"LoHa", {{"*.hada_w1_a", 0}}},
    {"LoKr", {{"*.lokr_w1", 0}}},
    {"LoKr", {{"*.lokr_w1_a", 0}}},
    {"LoRA", {{"*.lora_mid.weight", 0}}},
    {"LoRA", {{"*lora_down.weight", 0}}},
    {"LoRA", {{"*lora.down.weight", 0}}},
    {"LoRA", {{"*.lora_A.weight", 0}}},
    {"LoRA", {{"*.lora_A.default.weight", 0}}},
    {"LoRA", {{"*.lora_A.*.weight", 0}}},
    {"LoRA", {{"*.lora_linear_layer.down.weight", 0}}},
    {"LoRA", {{"*_lora.down.weight", 0}}},
    {"LoRA", {{"*_lora#.down.weight", 0}}},
    {"OFT", {{"*.oft_blocks", 0}}},
    {"OFT", {{"*.oft_diag", 0}}},
    {"GLoRA", {{"*.a1.weight", 0}, {"*.b1.weight", 0}, {"*.a2.weight", 0}}},
    {"(IA)3", {{"*.on_input", 0}}},
    /* PEFT's other ways. */
    {"OFT", {{"*.oft_R.weight", 0}}},
    {"BOFT", {{"*.boft_R*", 0}}},
    {"(IA)3", {{"*.ia3_l*", 0}}},
    {"VeRA", {{"*.vera_lambda_b*", 0}}},
    {"FourierFT", {{"*.fourierft_spectrum*", 0}}},
    {"HRA", {{"*.hra_u*", 0}}},
    {"RandLoRA", {{"*.randlora_lambda*", 0}}},
    {"SHiRA", {{"*.shira_weight*", 0}}},
    {"C3A", {{"*.c3a_kernel*", 0}}},
    {"MiSS", {{"*.miss_block*", 0}}},
    {"VB-LoRA", {{"*vblora_vector_bank*", 0}}},
    {"AdaLoRA", {{"*.lora_E*", 0}}},
};

static const struct row kinds[] = {
    {"ControlNet", {{"*zero_convs.0.0.weight", 0}}},
    {"ControlNet", {{"*controlnet_down_blocks.0.weight", 0}}},
    {"ControlNet", {{"*controlnet_blocks.0.weight", 0}}},
    {"ControlNet", {{"*lllite_mid*.weight", 0}}},
    {"IP-Adapter of a face's numbers (FaceID)", {{"image_proj.proj.0.weight", 0}, {"image_proj.norm.weight", 0}}},
    {"IP-Adapter of a face's numbers (FaceID)", {{"image_proj.perceiver_resampler.*", 0}}},
    {"IP-Adapter", {{"ip_adapter.#.to_k_ip.weight", 0}}},
    {"IP-Adapter", {{"*ip_adapter_double_stream_k_proj.weight", 0}}},
    {"IP-Adapter", {{"image_proj.*", 0}}},
    {"T2I-Adapter", {{"*body.0.resnets.0.block1.weight", 0}}},
    {"T2I-Adapter", {{"*body.0.block1.weight", 0}, {"*conv_in.weight", 0}}},
    {"T2I-Adapter", {{"*body.0.in_conv.weight", 0}}},
    {"motion module", {{"*motion_modules.0.*temporal_transformer.proj_in.weight", 0}}},
    {"motion module", {{"*motion_modules.0.*proj_in.weight", 0}}},
    {"embedding", {{"emb_params", 0}}},
    {"embedding", {{"clip_g", 0}, {"clip_l", 0}}},
    {"embedding", {{"text_encoders_0", 0}}},
    {"embedding", {{"string_to_param*", 0}}},
    {"embedding", {{"<*>", 0}}},
    /* Larger pictures. */
    {"upscaler", {{"*model.1.sub.0.RDB1.conv1.0.weight", 0}}},
    {"upscaler", {{"*body.0.rdb1.conv1.weight", 0}, {"*conv_first.weight", 0}}},
    {"upscaler", {{"*RRDB_trunk.0.RDB1.conv1.weight", 0}}},
    {"upscaler", {{"*block_1.c1_r.sk.weight", 0}, {"*conv_cat.weight", 0}}},
    {"upscaler", {{"*layers.0.residual_group.*", 0}, {"*conv_first.weight", 0}}},
    {"upscaler", {{"*layers.0.blocks.0.*", 0}, {"*conv_first.weight", 0}}},
    {"upscaler", {{"body.0.weight", 0}, {"body.1.weight", 0}, {"body.2.weight", 0}}},
    {"upscaler", {{"*.body.0.weight", 0}, {"*.body.1.weight", 0}, {"*.body.2.weight", 0}}},
    /* Denoisers that are transformers. */
    {"transformer", {{"*double_blocks.#.img_attn.qkv.weight", 0}}},
    {"transformer", {{"*single_transformer_blocks.#.attn.to_q.weight", 0}}},
    {"transformer", {{"*joint_blocks.#.x_block.attn.qkv.weight", 0}}},
    {"transformer", {{"*transformer_blocks.#.img_mod.1.weight", 0}}},
    {"transformer", {{"*blocks.#.adaln_modulation_cross_attn.1.weight", 0}}},
    {"transformer", {{"*layers.#.attention.qkv.weight", 0}, {"*cap_embedder.1.weight", 0}}},
    {"transformer", {{"*layers.#.attention.to_q.weight", 0}, {"*cap_embedder.1.weight", 0}}},
    {"transformer", {{"*blocks.#.cross_attn.k.weight", 0}, {"*patch_embedding.weight", 0}}},
    {"transformer", {{"*blocks.#.attn2.to_k.weight", 0}, {"*patch_embedding.weight", 0}}},
    {"transformer", {{"*blocks.#.attn.wq.weight", 0}, {"*blocks.#.attn.gate.weight", 0}}},
    {"transformer",
     {{"*transformer_blocks.#.attn2.to_k.weight", 0}, {"*adaln_single.linear.weight", 0}}},
    {"transformer", {{"*double_layers.#.attn.w1q.weight", 0}}},
    {"transformer", {{"decoder.layers.#.cross_attn.*", 0}, {"*null_condition_emb", 0}}},
    {"transformer", {{"*transformer.layers.#.self_attn.to_qkv.weight", 0}}},
    /* Text encoders that are none of CLIP's. */
    {"text encoder", {{"*encoder.block.0.layer.0.SelfAttention.q.weight", 0}}},
    {"text encoder", {{"enc.blk.0.attn_q.weight", 0}}},
    {"text encoder", {{"*visual.blocks.0.attn.qkv.weight", 0}}},
    {"text encoder", {{"*layers.0.self_attn.q_proj.weight", 0}, {"*embed_tokens.weight", 0}}},
    {"text encoder", {{"blk.0.attn_q.weight", 0}, {"token_embd.weight", 0}}},
    /* Autoencoders that are none of ours. */
    {"VAE", {{"bn.running_mean", 0}, {"decoder.conv_in.weight", 0}}},
    {"VAE", {{"*decoder.middle.0.residual.0.gamma", 0}}},
    {"VAE", {{"*decoder.up_blocks.0.res_blocks.0.conv1.conv.weight", 0}}},
    {"image encoder", {{"*vision_model.encoder.layers.0.self_attn.q_proj.weight", 0}}},
};

/* --- what it is of --- */

static const struct row families[] = {
    {"FLUX.2", {{"*double_stream_modulation_img*.weight", 0}}},
    {"FLUX.2", {{"bn.running_mean", 0}, {"decoder.conv_in.weight", 0}}},
    {"FLUX.1", {{"*double_blocks?#?img_attn?*", 3072}}},
    {"FLUX.1", {{"*double_blocks?#?*", 0}, {"*img_attn?proj.lokr_w1*", 0}}},
    {"FLUX.2", {{"*double_blocks?#?img_attn?*", 0}}},
    {"FLUX.1", {{"*single_transformer_blocks?#?*", 0}}},
    {"FLUX.1", {{"*single_blocks?#?*", 0}}},
    {"FLUX.1", {{"*double_blocks?#?*", 0}}},
    {"FLUX.1", {{"*controlnet_x_embedder.weight", 64}}},
    {"Stable Diffusion 3", {{"*joint_blocks?#?*", 0}}},
    {"Anima (Cosmos)", {{"*blocks?#?adaln_modulation_cross_attn?*", 0}}},
    {"Anima (Cosmos)", {{"*blocks?#?cross_attn?k_proj*", 0}}},
    {"Krea 2", {{"*blocks?#?attn?wk*", 0}}},
    {"Wan", {{"*blocks?#?cross_attn?k.*", 0}}},
    {"Wan", {{"*decoder.middle.0.residual.0.gamma", 0}}},
    {"Wan", {{"*blocks?#?attn2?to_k*", 0}, {"*patch_embedding.weight", 0}}},
    {"LTX-Video", {{"*transformer_blocks.#.attn2.to_k.*", 0}, {"*patchify_proj*", 0}}},
    {"LTX-Video", {{"*decoder.up_blocks.0.res_blocks.0.conv1.conv.weight", 0}}},
    {"Z-Image", {{"*cap_embedder.1.weight", 2560}}},
    {"Lumina 2", {{"*cap_embedder.1.weight", 2304}}},
    {"Z-Image", {{"*layers?#?attention?*", 3840}}},
    {"Z-Image", {{"*layers?#?attention?*", 0}}},
    {"AuraFlow", {{"*double_layers?#?attn?*", 0}}},
    {"ACE-Step", {{"*null_condition_emb", 0}}},
    /* "blocks" of UNets are numbered within down_blocks; transformers' stand alone. */
    {"Stable Diffusion XL", {{"*down_blocks?1?attentions?0?transformer_blocks?1?*", 0}}},
    {"Stable Diffusion XL", {{"*input_blocks?4?1?transformer_blocks?1?*", 0}}},
    {"Stable Diffusion XL", {{"lora_te2_*", 0}}},
    {"Stable Diffusion XL", {{"*attn2?to_k?lora_down.weight", 2048}}},
    {"Stable Diffusion XL", {{"*attn2?to_k.weight", 2048}}},
    {"Stable Diffusion XL", {{"*add_embedding.linear_1.weight", 0}}},
    {"Stable Diffusion 2", {{"*attn2?to_k*down.weight", 1024}}},
    {"Stable Diffusion 2", {{"*attn2?to_k.lora_A.weight", 1024}}},
    {"Stable Diffusion 2", {{"*attn2?to_k.weight", 1024}}},
    {"Stable Diffusion 1", {{"*attn2?to_k*down.weight", 768}}},
    {"Stable Diffusion 1", {{"*attn2?to_k.lora_A.weight", 768}}},
    {"Stable Diffusion 1", {{"*attn2?to_k.weight", 768}}},
    {"Stable Diffusion 1", {{"*down_blocks?#?attentions?#?*attn2?*", 0}}},
    {"Stable Diffusion 1", {{"*input_blocks?#?1?*attn2?*", 0}}},
    {"Stable Diffusion 1", {{"*lora_te_text_model*", 0}}},
    {"Stable Diffusion XL", {{"ip_adapter.1.to_k_ip.weight", 2048}}},
    {"Stable Diffusion 2", {{"ip_adapter.1.to_k_ip.weight", 1024}}},
    {"Stable Diffusion 1", {{"ip_adapter.1.to_k_ip.weight", 768}}},
    {"Qwen-Image", {{"*transformer_blocks?#?img_mod?*", 0}}},
    {"Qwen-Image", {{"*transformer_blocks?#?attn?to_k*", 0}}},
    {"Stable Diffusion XL", {{"clip_g", 1280}, {"clip_l", 768}}},
    {"Stable Diffusion 1", {{"emb_params", 768}}},
    {"Stable Diffusion 2", {{"emb_params", 1024}}},
    {"Stable Diffusion 1", {{"<*>", 768}}},
    {"UMT5", {{"*encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight", 0}}},
    {"T5", {{"*SelfAttention.q.weight", 0}}},
    {"T5", {{"enc.blk.0.attn_q.weight", 0}}},
    {"CLIP", {{"*vision_model.encoder.layers.0.self_attn.q_proj.weight", 0}}},
    {"Qwen2.5-VL",
     {{"*visual.blocks.0.attn.qkv.weight", 0}, {"*layers.0.self_attn.q_proj.bias", 0}}},
    {"Qwen3-VL", {{"*visual.blocks.0.attn.qkv.weight", 0}}},
    {"Gemma", {{"*layers.0.pre_feedforward_layernorm.weight", 0}}},
    {"Qwen3", {{"*layers.0.self_attn.q_norm.weight", 0}}},
    {"Llama", {{"*layers.0.self_attn.q_proj.weight", 0}}},
};

/* Names with '*' first, '#' for digits, '?' for one character. A hostile pattern is none: these are
 * the tables above. */
static bool fits(const char *p, const char *name)
{
	const char *star = NULL, *retry = NULL;
	for (;;) {
		if (*p == '*') {
			star = ++p;
			retry = name;
		} else if (*p == '#' && *name >= '0' && *name <= '9') {
			while (*name >= '0' && *name <= '9')
				name++;
			p++;
		} else if (*name && (*p == '?' || (*p == *name && *p != '#'))) {
			p++;
			name++;
		} else if (!*p && !*name) {
			return true;
		} else if (star && *retry) {
			p = star;
			name = ++retry;
		} else {
			return false;
		}
	}
}

static bool has_pattern(const struct tensor_list *list, const struct pattern *p)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct tensor_entry *e = list->entries[i];
		if (fits(p->name, e->name) &&
		    (!p->last || (e->rank > 0 && e->shape[e->rank - 1] == p->last)))
			return true;
	}
	return false;
}

static const char *first_row(const struct tensor_list *list, const struct row *rows, size_t count)
{
	for (size_t r = 0; r < count; r++) {
		bool all = true;
		for (int i = 0; i < PATTERNS && rows[r].names[i].name && all; i++)
			all = has_pattern(list, &rows[r].names[i]);
		if (all)
			return rows[r].word;
	}
	return NULL;
}

/* --- models of ours --- */

/* By the channels of the text that a UNet reads, and what it reads besides. */
static void tell_unet(const struct tensor_list *list, const struct component *c,
		      struct recognition *out)
{
	static const struct {
		int64_t context;
		bool sizes;
		const char *family;
	} rows[] = {{768, false, "Stable Diffusion 1"},
		    {1024, false, "Stable Diffusion 2"},
		    {1024, true, "Stable unCLIP"},
		    {2048, true, "Stable Diffusion XL"},
		    {1280, true, "Stable Diffusion XL refiner"}};
	static const struct {
		int64_t channels;
		const char *word;
	} inputs[] = {{9, "inpainting"}, {8, "instruct-pix2pix"}, {5, "depth"}, {7, "upscaling"}};
	const struct tensor_entry *in = NULL;
	int64_t context = 0;
	bool sizes = false;
	for (size_t i = 0; i < list->count; i++) {
		const struct tensor_entry *e = list->entries[i];
		struct renamed as;
		component_rename(c, e->name, &as);
		if (!as.parts)
			continue;
		if (strcmp(as.names[0], "conv_in.weight") == 0)
			in = e;
		if (strcmp(as.names[0], "time_embedding.cond_proj.weight") == 0)
			snprintf(out->detail, sizeof out->detail, "LCM");
		sizes = sizes || strcmp(as.names[0], "add_embedding.linear_1.weight") == 0;
		if (!context && strstr(as.names[0], ".attn2.to_k.weight") && e->rank > 1)
			context = e->shape[1];
	}
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].context == context && rows[i].sizes == sizes)
			out->family = rows[i].family;
	for (size_t i = 0; in && in->rank > 1 && i < sizeof inputs / sizeof inputs[0]; i++)
		if (in->shape[1] == inputs[i].channels)
			snprintf(out->detail, sizeof out->detail, "%s, %" PRId64 " channels",
				 inputs[i].word, in->shape[1]);
	if (tensor_list_find(list, "v_pred"))
		snprintf(out->detail, sizeof out->detail, "v-prediction");
}

/* A model has a UNet and something beside it; a part is alone. */
static bool tell_components(const struct tensor_list *list, struct recognition *out)
{
	static const char *const words[] = {
	    [COMPONENT_UNET] = "UNet",
	    [COMPONENT_VAE] = "VAE",
	    [COMPONENT_TINY_VAE] = "tiny VAE",
	    [COMPONENT_TEXT] = "text encoder",
	    [COMPONENT_CONTROL_NET] = "ControlNet",
	    [COMPONENT_T2I_ADAPTER] = "T2I-Adapter",
	    [COMPONENT_IP_ADAPTER] = "IP-Adapter",
	    [COMPONENT_IMAGE] = "image encoder",
	};
	struct component all[LAYOUT_COMPONENTS_MAX];
	int count = components_find(list, all, LAYOUT_COMPONENTS_MAX), others = 0;
	for (int i = 0; i < count; i++)
		others += all[i].kind != COMPONENT_UNET;
	for (int i = count - 1; i >= 0; i--)
		out->kind = words[all[i].kind];
	for (int i = 0; i < count; i++) {
		if (all[i].kind == COMPONENT_UNET) {
			tell_unet(list, &all[i], out);
			out->kind = others ? "checkpoint" : "UNet";
		}
		if (all[i].kind == COMPONENT_TEXT && !out->family &&
		    strcmp(out->kind, "text encoder") == 0)
			out->family = "CLIP";
		component_free(&all[i]);
	}
	return count > 0;
}

void recognise(const struct tensor_list *list, struct recognition *out)
{
	*out = (struct recognition){.kind = first_row(list, adapters, sizeof adapters / sizeof adapters[0])};
	out->adapter = out->kind != NULL;
	if (!out->kind)
		out->kind = first_row(list, kinds, sizeof kinds / sizeof kinds[0]);
	if (!out->kind && tell_components(list, out))
		return;
	/* One tensor of a text's width, under whatever name: a word of somebody's. */
	if (!out->kind && list->count == 1 && list->entries[0]->rank <= 2 &&
	    list->entries[0]->rank) {
		const struct tensor_entry *e = list->entries[0];
		int64_t width = e->shape[e->rank - 1];
		if (width == 768 || width == 1024 || width == 1280)
			out->kind = "embedding";
		out->family = width == 768    ? "Stable Diffusion 1"
			      : width == 1024 ? "Stable Diffusion 2"
					      : NULL;
	}
	if (out->kind && !out->family)
		out->family = first_row(list, families, sizeof families / sizeof families[0]);
}

const char *recognition_text(const struct recognition *r, char *out, size_t size)
{
	if (!r->kind) {
		snprintf(out, size, "of no kind that is known");
		return out;
	}
	bool vowel = strchr("aeiouAEIOU", *r->kind) && strncmp(r->kind, "UNet", 4) != 0;
	snprintf(out, size, "%s %s%s%s%s%s%s", vowel ? "an" : "a", r->kind, r->family ? " of " : "",
		 r->family ? r->family : "", *r->detail ? " (" : "", r->detail,
		 *r->detail ? ")" : "");
	return out;
}

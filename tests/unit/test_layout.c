/* Names of tensors as other programs have them, and what becomes of them. The lists of real files
 * are read where they are there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "tests/unit/name_list.h"
#include "weights/recognise.h"

/* --- small models with every kind of name --- */

static const struct {
	const char *theirs, *ours;
} pairs[] = {
    {"model.diffusion_model.time_embed.0.weight", "time_embedding.linear_1.weight"},
    {"model.diffusion_model.time_embed.2.bias", "time_embedding.linear_2.bias"},
    {"model.diffusion_model.label_emb.0.0.weight", "add_embedding.linear_1.weight"},
    {"model.diffusion_model.label_emb.0.2.weight", "add_embedding.linear_2.weight"},
    {"model.diffusion_model.input_blocks.0.0.weight", "conv_in.weight"},
    {"model.diffusion_model.input_blocks.1.0.in_layers.0.weight",
     "down_blocks.0.resnets.0.norm1.weight"},
    {"model.diffusion_model.input_blocks.1.0.in_layers.2.weight",
     "down_blocks.0.resnets.0.conv1.weight"},
    {"model.diffusion_model.input_blocks.2.0.op.weight",
     "down_blocks.0.downsamplers.0.conv.weight"},
    {"model.diffusion_model.input_blocks.3.0.in_layers.2.weight",
     "down_blocks.1.resnets.0.conv1.weight"},
    {"model.diffusion_model.input_blocks.3.0.emb_layers.1.bias",
     "down_blocks.1.resnets.0.time_emb_proj.bias"},
    {"model.diffusion_model.input_blocks.3.0.out_layers.0.bias",
     "down_blocks.1.resnets.0.norm2.bias"},
    {"model.diffusion_model.input_blocks.3.0.out_layers.3.bias",
     "down_blocks.1.resnets.0.conv2.bias"},
    {"model.diffusion_model.input_blocks.3.0.skip_connection.bias",
     "down_blocks.1.resnets.0.conv_shortcut.bias"},
    {"model.diffusion_model.input_blocks.3.1.proj_in.weight",
     "down_blocks.1.attentions.0.proj_in.weight"},
    {"model.diffusion_model.input_blocks.3.1.transformer_blocks.0.attn2.to_out.0.weight",
     "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_out.0.weight"},
    {"model.diffusion_model.input_blocks.3.1.transformer_blocks.0.ff.net.0.proj.weight",
     "down_blocks.1.attentions.0.transformer_blocks.0.ff.net.0.proj.weight"},
    {"model.diffusion_model.middle_block.0.in_layers.2.weight", "mid_block.resnets.0.conv1.weight"},
    {"model.diffusion_model.middle_block.1.proj_in.weight",
     "mid_block.attentions.0.proj_in.weight"},
    {"model.diffusion_model.middle_block.2.in_layers.2.weight", "mid_block.resnets.1.conv1.weight"},
    {"model.diffusion_model.output_blocks.0.0.in_layers.2.weight",
     "up_blocks.0.resnets.0.conv1.weight"},
    {"model.diffusion_model.output_blocks.1.0.in_layers.2.weight",
     "up_blocks.0.resnets.1.conv1.weight"},
    {"model.diffusion_model.output_blocks.1.1.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"},
    {"model.diffusion_model.output_blocks.2.0.in_layers.2.weight",
     "up_blocks.1.resnets.0.conv1.weight"},
    {"model.diffusion_model.out.0.weight", "conv_norm_out.weight"},
    {"model.diffusion_model.out.2.weight", "conv_out.weight"},
    {"first_stage_model.decoder.conv_in.weight", "decoder.conv_in.weight"},
    {"first_stage_model.decoder.up.0.block.0.norm1.weight",
     "decoder.up_blocks.1.resnets.0.norm1.weight"},
    {"first_stage_model.decoder.up.1.block.0.norm1.weight",
     "decoder.up_blocks.0.resnets.0.norm1.weight"},
    {"first_stage_model.decoder.up.1.upsample.conv.weight",
     "decoder.up_blocks.0.upsamplers.0.conv.weight"},
    {"first_stage_model.decoder.mid.block_2.conv1.weight",
     "decoder.mid_block.resnets.1.conv1.weight"},
    {"first_stage_model.decoder.mid.attn_1.norm.weight",
     "decoder.mid_block.attentions.0.group_norm.weight"},
    {"first_stage_model.decoder.mid.attn_1.proj_out.weight",
     "decoder.mid_block.attentions.0.to_out.0.weight"},
    {"first_stage_model.encoder.down.0.block.0.nin_shortcut.weight",
     "encoder.down_blocks.0.resnets.0.conv_shortcut.weight"},
    {"first_stage_model.encoder.down.0.downsample.conv.weight",
     "encoder.down_blocks.0.downsamplers.0.conv.weight"},
    {"first_stage_model.encoder.norm_out.weight", "encoder.conv_norm_out.weight"},
    {"first_stage_model.quant_conv.weight", "quant_conv.weight"},
    {"conditioner.embedders.1.model.token_embedding.weight",
     "text_model.embeddings.token_embedding.weight"},
    {"conditioner.embedders.1.model.positional_embedding",
     "text_model.embeddings.position_embedding.weight"},
    {"conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight",
     "text_model.encoder.layers.0.self_attn.q_proj.weight"},
    {"conditioner.embedders.1.model.transformer.resblocks.0.mlp.c_fc.weight",
     "text_model.encoder.layers.0.mlp.fc1.weight"},
    {"conditioner.embedders.1.model.text_projection", "text_projection.weight"},
    {"conditioner.embedders.1.model.ln_final.weight", "text_model.final_layer_norm.weight"},
    {"model_ema.diffusion_modelinput_blocks00weight", NULL},
    {"alphas_cumprod", NULL},
};
enum { PAIRS = sizeof pairs / sizeof pairs[0] };

/* The first component that knows a name. */
static void rename_by(const struct component *all, int count, const char *name, struct renamed *out)
{
	out->parts = 0;
	for (int i = 0; i < count && !out->parts; i++)
		component_rename(&all[i], name, out);
}

static void every_kind_of_name(void **state)
{
	(void)state;
	struct name_list names = {.count = 0};
	struct component all[LAYOUT_COMPONENTS_MAX];
	for (int i = 0; i < PAIRS; i++)
		name_list_add(&names, pairs[i].theirs, NULL, 0);
	struct tensor_list list = name_list_sorted(&names);
	int count = components_find(&list, all, LAYOUT_COMPONENTS_MAX);
	assert_int_equal(count, 3);
	for (int i = 0; i < PAIRS; i++) {
		struct renamed as;
		rename_by(all, count, pairs[i].theirs, &as);
		if (!pairs[i].ours && !as.parts)
			continue;
		if (!pairs[i].ours || !as.parts || strcmp(as.names[0], pairs[i].ours) != 0)
			fail_msg("%s became %s", pairs[i].theirs,
				 as.parts ? as.names[0] : "nothing");
		bool split = strstr(pairs[i].theirs, "in_proj_") != NULL;
		assert_int_equal(as.parts, split ? 3 : 1);
		assert_int_equal(as.transposed, strstr(pairs[i].theirs, "text_projection") != NULL);
	}
	for (int i = 0; i < count; i++)
		component_free(&all[i]);
	name_list_free(&names);
}

/* A UNet without a prefix has the marks of the whole beside it. */
static void marks_beside_a_bare_unet(void **state)
{
	(void)state;
	struct name_list names = {.count = 0};
	struct component c;
	struct renamed as;
	name_list_add(&names, "input_blocks.0.0.weight", NULL, 0);
	name_list_add(&names, "time_embed.0.weight", NULL, 0);
	struct tensor_list list = name_list_sorted(&names);
	assert_int_equal(components_find(&list, &c, 1), 1);
	component_rename(&c, "v_pred", &as);
	assert_true(as.ignored);
	component_rename(&c, "ztsnr", &as);
	assert_true(as.ignored);
	component_rename(&c, "time_embed.0.weight", &as);
	assert_false(as.ignored);
	component_free(&c);
	name_list_free(&names);
}

/* --- lists of real files --- */

static const char *const encoders[] = {"te_", "te0_", "te1_", "unet_", "vae_"};

static const char *without_prefix(const char *name)
{
	for (size_t i = 0; i < sizeof encoders / sizeof encoders[0]; i++)
		if (strncmp(name, encoders[i], strlen(encoders[i])) == 0)
			return name + strlen(encoders[i]);
	return name;
}

/* The list's own names for an original one: one, or those that it is cut into. */
static void expect_names(const char *theirs, const json_t *ours, const struct renamed *as)
{
	size_t count = json_is_array(ours) ? json_array_size(ours) : 1;
	if (as->parts != (int)count)
		fail_msg("%s became %d tensors, not %zu", theirs, as->parts, count);
	for (size_t i = 0; i < count; i++) {
		const char *want = without_prefix(
		    json_string_value(json_is_array(ours) ? json_array_get(ours, i) : ours));
		if (strcmp(want, as->names[i]) != 0)
			fail_msg("%s became %s, not %s", theirs, as->names[i], want);
	}
}

static void names_of_real_checkpoints(void **state)
{
	(void)state;
	static const char *const files[] = {"sd1", "sd2", "sdxl"};
	for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
		char path[128];
		json_t *root, *value;
		const char *theirs;
		struct name_list names = {.count = 0};
		struct component all[LAYOUT_COMPONENTS_MAX];
		snprintf(path, sizeof path, REAL_NAMES "/ostris_stable_diffusion_%s.json",
			 files[f]);
		if (access(path, R_OK) != 0) {
			print_message("skip names of real checkpoints: no ../shared/real\n");
			return;
		}
		assert_int_equal(json_read_file(path, 4 << 20, &root, NULL), 0);
		json_t *map = json_object_get(root, "ldm_diffusers_keymap");
		json_t *cut = json_object_get(root, "ldm_diffusers_operator_map");
		json_object_foreach(map, theirs, value) name_list_add(&names, theirs, NULL, 0);
		json_object_foreach(cut, theirs, value) name_list_add(&names, theirs, NULL, 0);
		struct tensor_list list = name_list_sorted(&names);
		int count = components_find(&list, all, LAYOUT_COMPONENTS_MAX);
		assert_int_equal(count, f == 2 ? 4 : 3);
		json_object_foreach(map, theirs, value)
		{
			struct renamed as;
			const json_t *parts = json_object_get(json_object_get(cut, theirs), "cat");
			rename_by(all, count, theirs, &as);
			expect_names(theirs, parts ? parts : value, &as);
		}
		for (int i = 0; i < count; i++)
			component_free(&all[i]);
		name_list_free(&names);
		json_decref(root);
	}
}

/* --- what a file is --- */

/* Lists of real files, and what each is; the list stands in a member of the file. */
static const struct {
	const char *file, *member, *kind, *family;
} real[] = {
    {"ostris_stable_diffusion_sd1", "ldm_diffusers_keymap", "checkpoint", NULL},
    {"ostris_stable_diffusion_sd2", "ldm_diffusers_keymap", "checkpoint", NULL},
    {"ostris_stable_diffusion_sdxl", "ldm_diffusers_keymap", "checkpoint", NULL},
    {"invokeai_anima_comfyui_keys", "state_dict_keys", "transformer", "Anima (Cosmos)"},
    {"invokeai_anima_lora_kohya_with_te_format", "state_dict_keys", "LoRA", "Anima (Cosmos)"},
    {"invokeai_anima_lora_lokr_format", "state_dict_keys", "LoKr", "Anima (Cosmos)"},
    {"invokeai_flux2_transformer_bfl_keys", "state_dict_keys", "transformer", "FLUX.2"},
    {"invokeai_flux2_vae_bfl_keys", "state_dict_keys", "VAE", "FLUX.2"},
    {"invokeai_flux_control_lora_format", "state_dict_keys", "LoRA", "FLUX.1"},
    {"invokeai_flux_dora_onetrainer_format", "state_dict_keys", "DoRA", "FLUX.1"},
    {"invokeai_flux_lokr_bfl_format", "state_dict_keys", "LoKr", "FLUX.1"},
    {"invokeai_flux_lora_aitoolkit_format", "state_dict_keys", "LoRA", "FLUX.1"},
    {"invokeai_flux_lora_diffusers_base_model_format", "state_dict_keys", "LoRA", "FLUX.1"},
    {"invokeai_flux_lora_diffusers_format", "state_dict_keys", "LoRA", "FLUX.1"},
    {"invokeai_flux_lora_kohya_with_te1_format", "state_dict_keys", "LoRA", "FLUX.1"},
    {"invokeai_instantx_flux_controlnet_state_dict", "instantx_sd_shapes", "ControlNet", "FLUX.1"},
    {"invokeai_krea2_lora_kohya_format", "state_dict_keys", "LoRA", "Krea 2"},
    {"invokeai_qwen_image_lora_diffusers_format", "state_dict_keys", "LoRA", "Qwen-Image"},
    {"invokeai_qwen_image_lora_kohya_format", "state_dict_keys", "LoKr", "Qwen-Image"},
    {"invokeai_qwen_vl_encoder_comfyui_keys", "state_dict_keys", "text encoder", "Qwen2.5-VL"},
    {"invokeai_xlabs_flux_controlnet_state_dict", "xlabs_sd_shapes", "ControlNet", "FLUX.1"},
    {"invokeai_xlabs_flux_ip_adapter_v2_state_dict", "xlabs_flux_ip_adapter_v2_sd_shapes",
     "IP-Adapter", "FLUX.1"},
};

static void expect_kind(struct name_list *names, const char *where, const char *kind,
			const char *family)
{
	struct recognition r;
	struct tensor_list list = name_list_sorted(names);
	recognise(&list, &r);
	if (!r.kind || strcmp(r.kind, kind) != 0 ||
	    (family && (!r.family || strcmp(r.family, family) != 0)))
		fail_msg("%s is a %s of %s, not a %s of %s", where, kind, family ? family : "any",
			 r.kind ? r.kind : "?", r.family ? r.family : "?");
	name_list_free(names);
	*names = (struct name_list){.count = 0};
}

static void real_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof real / sizeof real[0]; i++) {
		char path[128];
		json_t *root, *value;
		const char *name;
		struct name_list names = {.count = 0};
		snprintf(path, sizeof path, REAL_NAMES "/%s.json", real[i].file);
		if (access(path, R_OK) != 0) {
			print_message("skip lists of real files: no ../shared/real\n");
			return;
		}
		assert_int_equal(json_read_file(path, 4 << 20, &root, NULL), 0);
		json_object_foreach(json_object_get(root, real[i].member), name, value)
		{
			int64_t shape[TENSOR_RANK_MAX] = {0};
			for (size_t k = 0; k < json_array_size(value) && k < TENSOR_RANK_MAX; k++)
				shape[k] = json_integer_value(json_array_get(value, k));
			name_list_add(&names, name, shape, (int)json_array_size(value));
		}
		expect_kind(&names, real[i].file, real[i].kind, real[i].family);
		json_decref(root);
	}
}

/* Files that are told by few names. */
static const struct {
	const char *names[5];
	int64_t columns; /* of each [8, columns] */
	const char *kind, *family;
} small[] = {
    {{"control_model.zero_convs.0.0.weight", "control_model.time_embed.0.weight",
      "control_model.input_blocks.0.0.weight",
      "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"},
     768,
     "ControlNet",
     "Stable Diffusion 1"},
    {{"controlnet_down_blocks.0.weight", "time_embedding.linear_1.weight", "conv_in.weight",
      "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight"},
     2048,
     "ControlNet",
     "Stable Diffusion XL"},
    {{"body.0.resnets.0.block1.weight", "conv_in.weight"}, 64, "T2I-Adapter", NULL},
    {{"body.0.body.0.block1.weight", "body.0.in_conv.weight"}, 64, "T2I-Adapter", NULL},
    {{"body.0.block1.weight", "conv_in.weight"}, 64, "T2I-Adapter", NULL},
    {{"ip_adapter.1.to_k_ip.weight", "image_proj.proj.weight"}, 768, "IP-Adapter", "Stable Diffusion 1"},
    {{"ip_adapter.1.to_k_ip.weight", "image_proj.latents"}, 2048, "IP-Adapter", "Stable Diffusion XL"},
    {{"ip_adapter.1.to_k_ip.weight", "image_proj.proj.0.weight", "image_proj.norm.weight"},
     768,
     "IP-Adapter of a face's numbers (FaceID)",
     "Stable Diffusion 1"},
    {{"vision_model.encoder.layers.0.self_attn.q_proj.weight", "visual_projection.weight"},
     1280,
     "image encoder",
     "CLIP"},
    {{"down_blocks.0.motion_modules.0.temporal_transformer.proj_in.weight"},
     320,
     "motion module",
     NULL},
    {{"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"},
     768,
     "LoRA",
     "Stable Diffusion 1"},
    {{"lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k.hada_w1_a"},
     8,
     "LoHa",
     "Stable Diffusion XL"},
    {{"down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora.down.weight"},
     768,
     "LoRA",
     "Stable Diffusion 1"},
    {{"emb_params"}, 768, "embedding", "Stable Diffusion 1"},
    {{"clip_g", "clip_l"}, 0, "embedding", NULL},
    {{"*"}, 1024, "embedding", "Stable Diffusion 2"},
    {{"model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"}, 3, "upscaler", NULL},
    {{"conv_first.weight", "body.0.rdb1.conv1.weight"}, 3, "upscaler", NULL},
    {{"body.0.weight", "body.1.weight", "body.2.weight"}, 3, "upscaler", NULL},
    {{"decoder.conv_in.weight", "decoder.up.0.block.0.norm1.weight"}, 3, "VAE", NULL},
    {{"decoder.layers.0.weight", "decoder.layers.2.conv.0.weight"}, 3, "tiny VAE", NULL},
    {{"first_stage_model.decoder.1.weight", "first_stage_model.decoder.3.conv.0.weight"},
     3,
     "tiny VAE",
     NULL},
    {{"text_model.encoder.layers.0.self_attn.q_proj.weight",
      "text_model.embeddings.token_embedding.weight"},
     768,
     "text encoder",
     "CLIP"},
    {{"encoder.block.0.layer.0.SelfAttention.q.weight"}, 4096, "text encoder", "T5"},
    {{"input_blocks.0.0.weight", "time_embed.0.weight",
      "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"},
     768,
     "UNet",
     "Stable Diffusion 1"},
    {{"time_embedding.linear_1.weight", "conv_in.weight", "add_embedding.linear_1.weight",
      "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight"},
     1280,
     "UNet",
     "Stable Diffusion XL refiner"},
};

static void small_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof small / sizeof small[0]; i++) {
		const int64_t shape[] = {8, small[i].columns};
		struct name_list names = {.count = 0};
		for (int k = 0; k < 5 && small[i].names[k]; k++)
			name_list_add(&names, small[i].names[k], shape, 2);
		expect_kind(&names, small[i].names[0], small[i].kind, small[i].family);
	}
	struct name_list names = {.count = 0};
	struct recognition r;
	char text[100];
	static const int64_t in[] = {320, 9, 3, 3}, key[] = {320, 768};
	name_list_add(&names, "unknown.weight", in, 4);
	struct tensor_list list = name_list_sorted(&names);
	recognise(&list, &r);
	assert_string_equal(recognition_text(&r, text, sizeof text), "of no kind that is known");
	name_list_add(&names, "conv_in.weight", in, 4);
	name_list_add(&names, "time_embedding.linear_1.weight", key, 2);
	name_list_add(&names, "x.attn2.to_k.weight", key, 2);
	list = name_list_sorted(&names);
	recognise(&list, &r);
	assert_string_equal(recognition_text(&r, text, sizeof text),
			    "a UNet of Stable Diffusion 1 (inpainting, 9 channels)");
	name_list_free(&names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_kind_of_name),
	    cmocka_unit_test(marks_beside_a_bare_unet),
	    cmocka_unit_test(names_of_real_checkpoints),
	    cmocka_unit_test(real_lists),
	    cmocka_unit_test(small_lists),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

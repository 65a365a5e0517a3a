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
#include "weights/layout.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_kind_of_name),
	    cmocka_unit_test(names_of_real_checkpoints),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

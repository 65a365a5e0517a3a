/* What is told of a model in one file, from few tensors: configs, schedules, what it predicts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/json.h"
#include "weights/checkpoint.h"

static char dir[64];

static int open_folder(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/sumi-checkpoint-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	files_remove_tree(dir);
	return 0;
}

/* One tensor of F32, all of one number, or of that and its negative by turns. */
struct row {
	const char *name;
	int64_t shape[4];
	float value;
	bool swings;
};

static const char *file_path(void)
{
	static char path[128];
	snprintf(path, sizeof path, "%s/m.safetensors", dir);
	return path;
}

static void write_model(const struct row *rows, size_t count)
{
	json_t *header = json_object();
	struct bytes_writer data = {0};
	for (size_t i = 0; i < count; i++) {
		size_t elements = 1, begin = data.size;
		json_t *shape = json_array();
		for (int k = 0; k < 4 && rows[i].shape[k]; k++) {
			elements *= (size_t)rows[i].shape[k];
			json_array_append_new(shape, json_integer(rows[i].shape[k]));
		}
		for (size_t k = 0; k < elements; k++) {
			float value = rows[i].swings && k % 2 ? -rows[i].value : rows[i].value;
			bytes_put_f32s(&data, &value, 1);
		}
		json_object_set_new(header, rows[i].name,
				    json_pack("{s:s, s:o, s:[ii]}", "dtype", "F32", "shape", shape,
					      "data_offsets", (int)begin, (int)data.size));
	}
	char *text = json_dumps(header, JSON_COMPACT);
	unsigned char length[8];
	for (int i = 0; i < 8; i++)
		length[i] = (unsigned char)((uint64_t)strlen(text) >> (8 * i));
	FILE *f = fopen(file_path(), "wb");
	assert_non_null(f);
	fwrite(length, 1, 8, f);
	fwrite(text, 1, strlen(text), f);
	fwrite(data.data, 1, data.size, f);
	fclose(f);
	free(text);
	free(data.data);
	json_decref(header);
}

static void write_beside(const char *text)
{
	char path[128];
	snprintf(path, sizeof path, "%s/m.sumi.json", dir);
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void remove_beside(void)
{
	char path[128];
	snprintf(path, sizeof path, "%s/m.sumi.json", dir);
	unlink(path);
}

static int read_part(const char *name, json_t **out, struct error *err)
{
	char path[FILES_PATH_MAX];
	assert_int_equal(files_path(path, err, "%s/%s", file_path(), name), 0);
	return part_json_read(path, 1 << 20, out, err);
}

/* A document as compact text with sorted keys holds each of the words. */
static void expect_words(const char *part, const char *const *words)
{
	json_t *root;
	struct error err = {0};
	if (read_part(part, &root, &err))
		fail_msg("%s", err.text);
	char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
	for (; *words; words++)
		if (!strstr(text, *words))
			fail_msg("%s: %s is not in %s", part, *words, text);
	free(text);
	json_decref(root);
}
#define EXPECT(part, ...) expect_words(part, (const char *const[]){__VA_ARGS__, NULL})

#define U "model.diffusion_model."
#define BLOCK U "input_blocks.1.1.transformer_blocks.0."

/* The least that is a UNet: two levels, texts of so many channels, so many channels in. */
#define UNET(context, in)                                                                          \
	{U "time_embed.0.weight", {32, 8}, 1, false},                                              \
	    {U "input_blocks.0.0.weight", {8, in, 3, 3}, 1, false},                                \
	    {U "input_blocks.1.0.in_layers.2.weight", {8, 8, 3, 3}, 1, false},                     \
	    {U "input_blocks.1.1.proj_in.weight", {8, 8}, 1, false},                               \
	    {BLOCK "norm1.weight", {8}, 1, false},                                                 \
	    {BLOCK "attn2.to_k.weight", {8, context}, 1, false},                                   \
	    {U "input_blocks.2.0.op.weight", {8, 8, 3, 3}, 1, false},                              \
	    {U "input_blocks.3.0.in_layers.2.weight", {128, 8, 3, 3}, 1, false},                   \
	    {U "middle_block.0.in_layers.2.weight", {128, 128, 3, 3}, 1, false},                   \
	{                                                                                          \
		U "out.2.weight", {4, 8, 3, 3}, 1, false                                           \
	}

#define WRITE(...)                                                                                 \
	do {                                                                                       \
		const struct row rows[] = {__VA_ARGS__};                                           \
		write_model(rows, sizeof rows / sizeof rows[0]);                                   \
	} while (0)

static void what_a_unet_is(void **state)
{
	(void)state;
	WRITE(UNET(768, 4));
	EXPECT("unet/config.json", "\"block_out_channels\":[8,128]", "\"layers_per_block\":1",
	       "\"attention_head_dim\":8", "\"cross_attention_dim\":768", "\"sample_size\":64",
	       "\"down_block_types\":[\"CrossAttnDownBlock2D\",\"DownBlock2D\"]",
	       "\"mid_block_type\":\"UNetMidBlock2D\"");
	EXPECT("model_index.json", "\"StableDiffusionPipeline\"");
	EXPECT("scheduler/scheduler_config.json", "PNDMScheduler", "\"epsilon\"");
	WRITE(UNET(768, 9));
	EXPECT("model_index.json", "\"StableDiffusionInpaintPipeline\"");
	EXPECT("unet/config.json", "\"in_channels\":9");
	WRITE(UNET(768, 8));
	EXPECT("model_index.json", "\"StableDiffusionInstructPix2PixPipeline\"");
	WRITE(UNET(768, 4), {U "time_embed.cond_proj.weight", {8, 256}, 1, false});
	EXPECT("model_index.json", "\"LatentConsistencyModelPipeline\"");
	EXPECT("unet/config.json", "\"time_cond_proj_dim\":256");
	EXPECT("scheduler/scheduler_config.json", "LCMScheduler");
	WRITE(UNET(2048, 4), {U "label_emb.0.0.weight", {32, 2816}, 1, false});
	EXPECT("model_index.json", "\"StableDiffusionXLPipeline\"");
	EXPECT("unet/config.json", "\"addition_embed_type\":\"text_time\"",
	       "\"projection_class_embeddings_input_dim\":2816", "\"sample_size\":128",
	       "\"attention_head_dim\":[1,2]");
	WRITE(UNET(1280, 4), {U "label_emb.0.0.weight", {32, 2560}, 1, false});
	EXPECT("model_index.json", "\"requires_aesthetics_score\":true",
	       "\"text_encoder\":[null,null]");
	json_t *note;
	assert_int_equal(read_part(CHECKPOINT_NOTE, &note, NULL), SUMI_NOTFOUND);
	WRITE(UNET(32, 4)); /* of no model that is known */
	assert_int_equal(read_part(CHECKPOINT_NOTE, &note, NULL), SUMI_OK);
	assert_non_null(strstr(json_string_value(note), "attention heads"));
	json_decref(note);
	write_beside("{\"config\":{\"unet\":{\"attention_head_dim\":2}}}");
	assert_int_equal(read_part(CHECKPOINT_NOTE, &note, NULL), SUMI_NOTFOUND);
	remove_beside();
	/* unCLIP is of Stable Diffusion 2, and of none that is known. */
	WRITE(UNET(1024, 4), {U "label_emb.0.0.weight", {32, 2048}, 1, false});
	EXPECT("unet/config.json", "\"class_embed_type\":\"projection\"");
}

/* Marks, and of Stable Diffusion 2 the spread of one bias, which must be of the fourth level. */
static void what_it_predicts(void **state)
{
	(void)state;
	json_t *root;
	struct error err = {0};
	WRITE(UNET(768, 4), {"v_pred", {0}, 0, false});
	EXPECT("scheduler/scheduler_config.json", "\"v_prediction\"", "DDIMScheduler");
	WRITE(UNET(768, 4), {"v_pred", {0}, 0, false}, {"ztsnr", {0}, 0, false});
	EXPECT("scheduler/scheduler_config.json", "\"rescale_betas_zero_snr\":true", "\"trailing\"",
	       "\"v_prediction\"");
	WRITE(UNET(768, 4), {"ztsnr", {0}, 0, false});
	EXPECT("scheduler/scheduler_config.json", "\"epsilon\"", "\"leading\"");
	WRITE(UNET(768, 4), {"edm_mean", {4}, 0, false});
	assert_int_equal(read_part("model_index.json", &root, &err), SUMI_UNSUPPORTED);
	assert_non_null(strstr(err.text, "EDM"));
	for (int v = 0; v < 2; v++) {
		float value = v ? 0.2f : 0.05f;
		struct row rows[40] = {UNET(1024, 4)};
		static char names[16][100];
		size_t n = 0;
		while (rows[n].name)
			n++;
		/* Output blocks of four levels, one layer each; the last has a second one. */
		for (int i = 0; i < 5; i++) {
			snprintf(names[2 * i], 100, U "output_blocks.%d.0.in_layers.2.weight", i);
			rows[n++] = (struct row){names[2 * i], {8, 8, 3, 3}, 1, false};
			snprintf(names[2 * i + 1], 100, U "output_blocks.%d.1.conv.weight", i);
			if (i < 3)
				rows[n++] = (struct row){names[2 * i + 1], {8, 8, 3, 3}, 1, false};
		}
		rows[n++] = (struct row){U "output_blocks.4.1.proj_in.weight", {8, 8}, 1, false};
		rows[n++] = (struct row){
		    U "output_blocks.4.1.transformer_blocks.0.norm1.bias", {8}, value, true};
		write_model(rows, n);
		EXPECT("scheduler/scheduler_config.json", v ? "\"v_prediction\"" : "\"epsilon\"");
		EXPECT("unet/config.json", v ? "\"sample_size\":96" : "\"sample_size\":64");
	}
}

static void what_stands_beside_it(void **state)
{
	(void)state;
	json_t *root;
	struct error err = {0};
	WRITE(UNET(768, 4));
	write_beside("{\"name\":\"x\",\"config\":{\"unet\":{\"attention_head_dim\":2},"
		     "\"scheduler\":{\"_class_name\":\"DDIMScheduler\",\"beta_start\":0.5}}}");
	EXPECT("unet/config.json", "\"attention_head_dim\":2", "\"cross_attention_dim\":768");
	EXPECT("scheduler/scheduler_config.json",
	       "{\"_class_name\":\"DDIMScheduler\",\"beta_start\":0.5}");
	EXPECT("sumi.json", "\"name\":\"x\"");
	write_beside("{\"config\":{\"vae\":{}}}");
	assert_int_equal(read_part("unet/config.json", &root, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "m.sumi.json"));
	assert_non_null(strstr(err.text, "'vae'"));
	write_beside("[]");
	assert_int_equal(read_part("unet/config.json", &root, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "one JSON object"));
	remove_beside();
	EXPECT("unet/config.json", "\"attention_head_dim\":8");
	assert_int_equal(read_part("vae/config.json", &root, &err), SUMI_NOTFOUND);
	char path[FILES_PATH_MAX];
	files_path(path, NULL, "%s/unet", file_path());
	assert_true(part_exists(path));
	files_path(path, NULL, "%s/vae", file_path());
	assert_false(part_exists(path));
}

/* Each of a pair may stand alone in its file; latents are scaled as the model that reads them says.
 */
static void parts_that_are_alone(void **state)
{
	(void)state;
	WRITE({"decoder.conv_in.weight", {8, 4, 3, 3}, 1, false},
	      {"decoder.conv_out.weight", {3, 8, 3, 3}, 1, false},
	      {"decoder.up.0.block.0.norm1.weight", {8}, 1, false},
	      {"decoder.up.0.block.0.conv2.weight", {8, 8, 3, 3}, 1, false},
	      {"decoder.up.0.block.1.conv2.weight", {8, 8, 3, 3}, 1, false},
	      {"decoder.up.1.block.0.norm1.weight", {16}, 1, false},
	      {"decoder.up.1.block.0.conv2.weight", {16, 16, 3, 3}, 1, false},
	      {"decoder.up.1.block.1.conv2.weight", {16, 16, 3, 3}, 1, false});
	EXPECT("vae/config.json", "\"block_out_channels\":[8,16]", "\"layers_per_block\":1",
	       "\"scaling_factor\":0.18215", "\"use_quant_conv\":false",
	       "\"mid_block_add_attention\":false");
	EXPECT("xl/vae/config.json", "\"scaling_factor\":0.13025");
	json_t *root;
	struct error err = {0};
	assert_int_equal(read_part("model_index.json", &root, &err), SUMI_NOTFOUND);
	assert_non_null(strstr(err.text, "is a VAE, not a model"));
	WRITE({"text_model.embeddings.token_embedding.weight", {100, 128}, 1, false},
	      {"text_model.embeddings.position_embedding.weight", {77, 128}, 1, false},
	      {"text_model.encoder.layers.0.self_attn.q_proj.weight", {128, 128}, 1, false},
	      {"text_model.encoder.layers.0.layer_norm1.weight", {128}, 1, false},
	      {"text_model.encoder.layers.0.mlp.fc1.weight", {512, 128}, 1, false},
	      {"text_projection.weight", {96, 128}, 1, false});
	EXPECT("text_encoder/config.json", "\"hidden_size\":128", "\"num_attention_heads\":2",
	       "\"num_hidden_layers\":1", "\"projection_dim\":96", "\"vocab_size\":100",
	       "\"eos_token_id\":99", "\"quick_gelu\"", "[\"CLIPTextModel\"]");
	EXPECT("text_encoder_2/config.json", "CLIPTextModelWithProjection");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_a_unet_is),
	    cmocka_unit_test(what_it_predicts),
	    cmocka_unit_test(what_stands_beside_it),
	    cmocka_unit_test(parts_that_are_alone),
	};
	return cmocka_run_group_tests(tests, open_folder, remove_folder);
}

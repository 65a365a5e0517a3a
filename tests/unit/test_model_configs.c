/* What the models answer to configs and weights that are wrong or do not belong together. */
#define _GNU_SOURCE /* memmem */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "networks/text_encoder.h"
#include "networks/unet.h"
#include "networks/vae.h"

static char dir[64]; /* a folder of this test's own */
static struct device *device;

static int open_all(void **state)
{
	(void)state;
	struct error err = {0};
	strcpy(dir, "/tmp/sumi-configs-XXXXXX");
	return mkdtemp(dir) && !device_open("reference", &device, &err) ? 0 : -1;
}

static int close_all(void **state)
{
	(void)state;
	char command[128];
	device_close(device);
	snprintf(command, sizeof command, "rm -r '%s'", dir);
	return system(command);
}

/* --- one model with one changed field --- */

enum part { TEXT, UNET, XL, VAE, TINY };

static const struct {
	const char *folder, *weights;
} parts[] = {
    [TEXT] = {"sd1-tiny/text_encoder", "model.safetensors"},
    [UNET] = {"sd1-tiny/unet", "diffusion_pytorch_model.safetensors"},
    [XL] = {"sdxl-tiny/unet", "diffusion_pytorch_model.safetensors"},
    [VAE] = {"sd1-tiny/vae", "diffusion_pytorch_model.safetensors"},
    [TINY] = {"taesd-tiny/vae", "diffusion_pytorch_model.safetensors"},
};

static void place(char out[512], enum part part, const char *name)
{
	snprintf(out, 512, "tests/vectors/%s/%s", parts[part].folder, name);
}

/* Makes dir hold the part's config with one field changed, and a link to its weights. */
static void prepare(enum part part, const char *key, const char *value)
{
	char from[512], to[512], cwd[256];
	struct error err = {0};
	json_t *config;
	place(from, part, "config.json");
	assert_int_equal(json_read_file(from, 1 << 20, &config, &err), SUMI_OK);
	if (key)
		json_object_set_new(config, key, json_loads(value, JSON_DECODE_ANY, NULL));
	snprintf(to, sizeof to, "%s/config.json", dir);
	assert_int_equal(json_dump_file(config, to, 0), 0);
	json_decref(config);
	place(from, part, parts[part].weights);
	snprintf(to, sizeof to, "%s/%s", dir, parts[part].weights);
	assert_non_null(getcwd(cwd, sizeof cwd));
	char target[1024];
	snprintf(target, sizeof target, "%s/%s", cwd, from);
	char other[512];
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		snprintf(other, sizeof other, "%s/%s", dir, parts[i].weights);
		unlink(other);
	}
	assert_int_equal(symlink(target, to), 0);
}

static int open_part(enum part part, struct error *err)
{
	struct text_encoder *te = NULL;
	struct unet *unet = NULL;
	struct vae *vae = NULL;
	int status = SUMI_INTERNAL;
	if (part == TEXT)
		status = text_encoder_open(device, dir, false, &te, err);
	else if (part == UNET || part == XL)
		status = unet_open(device, dir, &unet, err);
	else
		status = vae_open(device, dir, &vae, err);
	assert_true(status == SUMI_OK || (!te && !unet && !vae));
	text_encoder_close(te);
	unet_close(unet);
	vae_close(vae);
	assert_int_equal(device->bytes_in_use, 0);
	return status;
}

static const struct {
	enum part part;
	const char *key, *value;
	int status;
	const char *message; /* must stand in the error */
} wrong[] = {
    /* the config contradicts the weights */
    {UNET, "in_channels", "9", SUMI_INVALID,
     "tensor 'conv_in.weight' has the shape [16, 4, 3, 3], config.json demands [16, 9, 3, 3]"},
    {UNET, "layers_per_block", "3", SUMI_INVALID, "is missing, config.json demands it"},
    {UNET, "layers_per_block", "1", SUMI_INVALID, "config.json"},
    {UNET, "block_out_channels", "[16,16,32,32]", SUMI_INVALID, "config.json demands"},
    {UNET, "cross_attention_dim", "64", SUMI_INVALID, "config.json demands [16, 64]"},
    {UNET, "time_cond_proj_dim", "16", SUMI_INVALID,
     "'time_embedding.cond_proj.weight' is missing"},
    {UNET, "down_block_types",
     "[\"DownBlock2D\",\"CrossAttnDownBlock2D\",\"CrossAttnDownBlock2D\",\"DownBlock2D\"]",
     SUMI_INVALID, "has no place in the model"},
    {TEXT, "num_hidden_layers", "1", SUMI_INVALID, "has no place in the model"},
    {TEXT, "num_hidden_layers", "3", SUMI_INVALID, "is missing"},
    {TEXT, "vocab_size", "49408", SUMI_INVALID, "config.json demands [49408, 32]"},
    {VAE, "latent_channels", "16", SUMI_INVALID, "config.json demands"},
    {VAE, "use_post_quant_conv", "false", SUMI_OK, ""},
    {TINY, "num_decoder_blocks", "[3,3,3,2]", SUMI_INVALID, "decoder.layers"},
    /* values that cannot be */
    {UNET, "block_out_channels", "[]", SUMI_INVALID, "'block_out_channels' must list 1 to 8"},
    {UNET, "block_out_channels", "[16,16,16,0]", SUMI_INVALID, "'block_out_channels' must hold"},
    {UNET, "block_out_channels", "[16,16,16,1000000]", SUMI_INVALID, "'block_out_channels'"},
    {UNET, "block_out_channels", "7", SUMI_INVALID, "'block_out_channels' must list"},
    {UNET, "block_out_channels", "[15,15,15,30]", SUMI_UNSUPPORTED, "an odd number"},
    {UNET, "attention_head_dim", "[8,8]", SUMI_INVALID, "lists 2 values for 4 levels"},
    {UNET, "attention_head_dim", "7", SUMI_INVALID, "do not form 7 attention heads"},
    {UNET, "attention_head_dim", "0", SUMI_INVALID, "'attention_head_dim' is 0"},
    {UNET, "norm_num_groups", "5", SUMI_INVALID, ": the 16 channels of 'down_blocks.0.resnets.0.norm1' do not form 5 groups, as config.json demands"},
    {UNET, "norm_eps", "\"small\"", SUMI_INVALID, "'norm_eps' must be a number"},
    {UNET, "layers_per_block", "100000", SUMI_INVALID, "allowed are 1 to"},
    {UNET, "down_block_types", "[\"DownBlock2D\"]", SUMI_INVALID, "lists 1 blocks"},
    {UNET, "sample_size", "[16]", SUMI_INVALID, "'sample_size'"},
    {UNET, "conv_in_kernel", "2", SUMI_UNSUPPORTED, "'conv_in_kernel' is 2"},
    {TEXT, "num_attention_heads", "5", SUMI_INVALID, "5 attention heads"},
    {TEXT, "hidden_size", "-1", SUMI_INVALID, "'hidden_size' is -1"},
    {VAE, "scaling_factor", "0", SUMI_INVALID, "'scaling_factor'"},
    {TINY, "num_encoder_blocks", "[1,3,3]", SUMI_INVALID, "equally long"},
    /* what would be computed differently and is not supported */
    {UNET, "dual_cross_attention", "true", SUMI_UNSUPPORTED,
     "field 'dual_cross_attention' is true: only false is supported"},
    {UNET, "only_cross_attention", "[false,true,false,false]", SUMI_UNSUPPORTED,
     "'only_cross_attention'"},
    {UNET, "only_cross_attention", "[false,false,false,false]", SUMI_OK, ""},
    {UNET, "addition_embed_type", "\"text\"", SUMI_UNSUPPORTED, "'addition_embed_type'"},
    {UNET, "addition_embed_type", "\"text_time\"", SUMI_INVALID,
     "'addition_embed_type' wants 'addition_time_embed_dim'"},
    {XL, "addition_embed_type", "null", SUMI_INVALID, "add_embedding"},
    {XL, "addition_time_embed_dim", "7", SUMI_INVALID, "an even number"},
    {XL, "projection_class_embeddings_input_dim", "8", SUMI_INVALID, "a larger one"},
    {XL, "projection_class_embeddings_input_dim", "80", SUMI_INVALID, "config.json demands [32, 80]"},
    {XL, "time_embedding_dim", "16", SUMI_INVALID, "config.json demands [16, "},
    {UNET, "class_embed_type", "\"timestep\"", SUMI_UNSUPPORTED, "'class_embed_type'"},
    {UNET, "num_class_embeds", "1000", SUMI_UNSUPPORTED, "'num_class_embeds'"},
    {UNET, "resnet_time_scale_shift", "\"scale_shift\"", SUMI_UNSUPPORTED, "scale_shift"},
    {UNET, "mid_block_scale_factor", "1.5", SUMI_UNSUPPORTED, "'mid_block_scale_factor' is 1.5"},
    {UNET, "mid_block_type", "\"UNetMidBlock2DSimpleCrossAttn\"", SUMI_UNSUPPORTED, "'mid_block_type'"},
    {UNET, "transformer_layers_per_block", "[[1, 2], 1, 1, 1]", SUMI_INVALID, "is missing"},
    {UNET, "transformer_layers_per_block", "[1, 1]", SUMI_INVALID, "2 values for 4 levels"},
    {UNET, "transformer_layers_per_block", "[1, 0, 1, 1]", SUMI_UNSUPPORTED, "without a layer"},
    {UNET, "reverse_transformer_layers_per_block", "[1, 1, [1, 2], 1]", SUMI_INVALID, "values for 3 blocks"},
    {UNET, "norm_num_groups", "null", SUMI_UNSUPPORTED, "'norm_num_groups' is null"},
    {UNET, "act_fn", "\"gelu\"", SUMI_UNSUPPORTED, "'act_fn' is \"gelu\""},
    {UNET, "cross_attention_dim", "[32,32,32,64]", SUMI_UNSUPPORTED, "differs between"},
    {UNET, "_class_name", "\"UNet3DConditionModel\"", SUMI_UNSUPPORTED, "'_class_name'"},
    {UNET, "upcast_attention", "true", SUMI_OK, ""},
    {UNET, "a_field_of_tomorrow", "true", SUMI_OK, ""},
    {TEXT, "hidden_act", "\"relu\"", SUMI_UNSUPPORTED, "'hidden_act' is \"relu\""},
    {TEXT, "architectures", "[\"T5EncoderModel\"]", SUMI_UNSUPPORTED, "'architectures'"},
    {VAE, "_class_name", "\"VQModel\"", SUMI_UNSUPPORTED, "'_class_name' is 'VQModel'"},
    {VAE, "up_block_types", "[\"AttnUpDecoderBlock2D\"]", SUMI_UNSUPPORTED, "'up_block_types'"},
    {TINY, "upsampling_scaling_factor", "4", SUMI_UNSUPPORTED, "'upsampling_scaling_factor' is 4"},
    {TINY, "decoder_block_out_channels", "[8,8,8,16]", SUMI_UNSUPPORTED, "one width"},
};

static void test_configs(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct error err = {0};
		prepare(wrong[i].part, wrong[i].key, wrong[i].value);
		int status = open_part(wrong[i].part, &err);
		if (status != wrong[i].status || !strstr(err.text, wrong[i].message))
			fail_msg("%s %s: status %d '%s', wanted %d '%s'", wrong[i].key,
				 wrong[i].value, status, err.text, wrong[i].status,
				 wrong[i].message);
		if (status && !strstr(err.text, "config.json"))
			fail_msg("%s %s: '%s' does not name the file", wrong[i].key, wrong[i].value,
				 err.text);
	}
}

static void expect_config(const char *text, const char *message)
{
	char path[512];
	struct error err = {0};
	prepare(UNET, NULL, NULL);
	snprintf(path, sizeof path, "%s/config.json", dir);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_not_equal(open_part(UNET, &err), SUMI_OK);
	if (!strstr(err.text, message))
		fail_msg("'%s' does not say '%s'", err.text, message);
}

static void test_configs_that_are_none(void **state)
{
	(void)state;
	struct error err = {0};
	expect_config("", "config.json:1");
	expect_config("[]", "must hold one JSON object");
	expect_config("{\"in_channels\":", "config.json:1");
	prepare(UNET, NULL, NULL);
	assert_int_equal(open_part(UNET, &err), SUMI_OK);
	char path[512];
	snprintf(path, sizeof path, "%s/config.json", dir);
	unlink(path);
	assert_int_equal(open_part(UNET, &err), SUMI_NOTFOUND);
	assert_non_null(strstr(err.text, "config.json"));
}

/* --- weights --- */

/* Copies the part's weights with one piece of the header replaced by another of the same
 * length, and data cut by so many bytes. */
static void damage(enum part part, const char *old, const char *new, long cut)
{
	char from[512], to[512];
	place(from, part, parts[part].weights);
	snprintf(to, sizeof to, "%s/%s", dir, parts[part].weights);
	FILE *f = fopen(from, "rb");
	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	long size = ftell(f);
	rewind(f);
	char *data = malloc((size_t)size);
	assert_int_equal(fread(data, 1, (size_t)size, f), size);
	fclose(f);
	if (old) {
		char *at = memmem(data, (size_t)size, old, strlen(old));
		assert_non_null(at);
		assert_int_equal(strlen(old), strlen(new));
		memcpy(at, new, strlen(new));
	}
	unlink(to);
	f = fopen(to, "wb");
	assert_non_null(f);
	fwrite(data, 1, (size_t)(size - cut), f);
	fclose(f);
	free(data);
}

static void test_weights(void **state)
{
	(void)state;
	static const struct {
		const char *old, *new;
		long cut;
		int status;
		const char *message;
	} cases[] = {
	    {NULL, NULL, 1, SUMI_CORRUPT, "cut short"},
	    {NULL, NULL, 100000, SUMI_CORRUPT, "cut short"},
	    {"\"conv_in.bias\":{\"dtype\":\"F16\"", "\"conv_in.bias\":{\"dtype\":\"I16\"", 0,
	     SUMI_UNSUPPORTED, "tensor 'conv_in.bias' has the dtype I16"},
	    {"\"conv_in.bias\"", "\"conv_in.bios\"", 0, SUMI_INVALID,
	     "tensor 'conv_in.bias' is missing"},
	    {"\"shape\":[16,4,3,3]", "\"shape\":[4,16,3,3]", 0, SUMI_INVALID,
	     "tensor 'conv_in.weight' has the shape [4, 16, 3, 3]"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct error err = {0};
		prepare(UNET, NULL, NULL);
		damage(UNET, cases[i].old, cases[i].new, cases[i].cut);
		int status = open_part(UNET, &err);
		if (status != cases[i].status || !strstr(err.text, cases[i].message))
			fail_msg("status %d '%s', wanted %d '%s'", status, err.text,
				 cases[i].status, cases[i].message);
		if (!strstr(err.text, dir))
			fail_msg("'%s' does not name the file", err.text);
	}
}

/* --- calls --- */

static void test_unet_calls(void **state)
{
	(void)state;
	struct error err = {0};
	struct unet *unet;
	struct unet_text *text = NULL;
	static float context[2 * 3 * 32], latents[3 * 4 * 4 * 4], out[3 * 4 * 4 * 4];
	const float timesteps[] = {1, 2, 3}, bad[] = {0.0f / 0.0f, 0, 0};
	assert_int_equal(unet_open(device, "tests/vectors/sd1-tiny/unet", &unet, &err), SUMI_OK);
	assert_int_equal(unet_text_new(unet, context, 0, 3, &text, &err), SUMI_INVALID);
	assert_int_equal(unet_text_new(unet, context, 2, 3, &text, &err), SUMI_OK);
	struct unet_input in = {
	    .latents = latents, .n = 3, .h = 4, .w = 4, .timesteps = timesteps, .text = text};
	assert_int_equal(unet_forward(unet, &in, out, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "3 pictures cannot share 2 texts"));
	in.n = 2;
	in.h = 0;
	assert_int_equal(unet_forward(unet, &in, out, &err), SUMI_INVALID);
	in.h = 4;
	in.time_cond = context;
	assert_int_equal(unet_forward(unet, &in, out, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "time_cond_proj_dim"));
	in.time_cond = NULL;
	in.timesteps = bad;
	size_t before = device->bytes_in_use; /* a pass that fails half-way gives all back */
	assert_int_equal(unet_forward(unet, &in, out, &err), SUMI_INVALID);
	assert_int_equal(device->bytes_in_use, before);
	in.timesteps = timesteps;
	assert_int_equal(unet_forward(unet, &in, out, &err), SUMI_OK);
	unet_text_free(text);
	unet_close(unet);
}

/* With center_input_sample the UNet sees 2·x − 1. */
static void test_centred_input(void **state)
{
	(void)state;
	struct error err = {0};
	static float context[3 * 32], latents[4 * 6 * 4], plain[4 * 6 * 4], centred[4 * 6 * 4];
	const float timestep = 7;
	for (int i = 0; i < 96; i++) {
		context[i] = (float)(i % 7) - 3;
		latents[i] = (float)(i % 5) * 0.25f;
	}
	for (int round = 0; round < 2; round++) {
		struct unet *unet;
		struct unet_text *text;
		prepare(UNET, "center_input_sample", round ? "true" : "false");
		assert_int_equal(unet_open(device, dir, &unet, &err), SUMI_OK);
		assert_int_equal(unet_text_new(unet, context, 1, 3, &text, &err), SUMI_OK);
		float given[4 * 6 * 4];
		for (int i = 0; i < 96; i++)
			given[i] = round ? latents[i] : 2 * latents[i] - 1;
		struct unet_input in = {
		    .latents = given, .n = 1, .h = 4, .w = 6, .timesteps = &timestep, .text = text};
		assert_int_equal(unet_forward(unet, &in, round ? centred : plain, &err), SUMI_OK);
		unet_text_free(text);
		unet_close(unet);
	}
	assert_memory_equal(plain, centred, sizeof plain);
}

static void test_other_calls(void **state)
{
	(void)state;
	struct error err = {0};
	struct text_encoder *te;
	struct vae *vae;
	static int32_t ids[128];
	static float out[128 * 32], picture[20 * 16 * 3];
	assert_int_equal(
	    text_encoder_open(device, "tests/vectors/sd1-tiny/text_encoder", false, &te, &err), SUMI_OK);
	struct text_input text = {.ids = ids, .n = 1, .tokens = 78};
	assert_int_equal(text_encoder_forward(te, &text, out, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "77 positions"));
	text.tokens = 5;
	text.clip_skip = 2;
	assert_int_equal(text_encoder_forward(te, &text, out, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "allow 0 to 1"));
	text.clip_skip = 0;
	ids[3] = 834;
	assert_int_equal(text_encoder_forward(te, &text, out, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "834"));
	text_encoder_close(te);
	assert_int_equal(vae_open(device, "tests/vectors/sd1-tiny/vae", &vae, &err), SUMI_OK);
	struct vae_input in = {.values = picture, .n = 1, .h = 20, .w = 16};
	assert_int_equal(vae_encode(vae, &in, out, NULL, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "steps of 8"));
	in.n = -1;
	assert_int_equal(vae_decode(vae, &in, out, &err), SUMI_INVALID);
	vae_close(vae);
	assert_int_equal(device->bytes_in_use, 0);
}

/* The plan counts what the pass then takes. */
static void test_memory_plans(void **state)
{
	(void)state;
	struct error err = {0};
	struct unet *unet;
	struct unet_text *text = NULL;
	static float context[2 * 77 * 32], latents[2 * 16 * 16 * 4], out[2 * 16 * 16 * 4];
	const float timesteps[] = {1, 1};
	struct device *own;
	assert_int_equal(device_open("reference", &own, &err), SUMI_OK);
	assert_int_equal(unet_open(own, "tests/vectors/sd1-tiny/unet", &unet, &err), SUMI_OK);
	size_t weights = own->bytes_in_use;
	assert_int_equal(unet_text_new(unet, context, 2, 77, &text, &err), SUMI_OK);
	struct unet_input in = {
	    .latents = latents, .n = 2, .h = 16, .w = 16, .timesteps = timesteps, .text = text};
	assert_int_equal(unet_forward(unet, &in, out, &err), SUMI_OK);
	struct unet_plan plan = {.config = unet_config(unet),
				 .texts = 2,
				 .tokens = 77,
				 .n = 2,
				 .h = 16,
				 .w = 16,
				 .dtype = DTYPE_F32};
	assert_int_equal(own->bytes_peak - weights, unet_memory(&plan, NULL));
	unet_text_free(text);
	unet_close(unet);
	device_close(own);

	struct vae *vae;
	static float pictures[64 * 64 * 3];
	assert_int_equal(device_open("reference", &own, &err), SUMI_OK);
	assert_int_equal(vae_open(own, "tests/vectors/sd1-tiny/vae", &vae, &err), SUMI_OK);
	weights = own->bytes_in_use;
	struct vae_input v = {.values = latents, .n = 1, .h = 8, .w = 8};
	assert_int_equal(vae_decode(vae, &v, pictures, &err), SUMI_OK);
	assert_int_equal(own->bytes_peak - weights,
			 vae_memory(vae_config(vae), 1, 8, 8, DTYPE_F32));
	/* The encoder is loaded with its first picture, which is small. */
	struct vae_input small = {.values = pictures, .n = 1, .h = 16, .w = 16};
	assert_int_equal(vae_encode(vae, &small, latents, NULL, &err), SUMI_OK);
	weights = own->bytes_in_use;
	own->bytes_peak = 0;
	small.h = small.w = 64;
	assert_int_equal(vae_encode(vae, &small, latents, NULL, &err), SUMI_OK);
	assert_int_equal(own->bytes_peak - weights,
			 vae_encode_memory(vae_config(vae), 1, 64, 64, DTYPE_F32));
	vae_close(vae);
	device_close(own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_configs),       cmocka_unit_test(test_configs_that_are_none),
	    cmocka_unit_test(test_weights),       cmocka_unit_test(test_unet_calls),
	    cmocka_unit_test(test_centred_input), cmocka_unit_test(test_other_calls),
	    cmocka_unit_test(test_memory_plans),
	};
	return cmocka_run_group_tests(tests, open_all, close_all);
}

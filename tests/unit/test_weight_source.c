/* Tensors as a network gets them, whatever a file does with them: quantised, scaled, turned, in one
 * with others. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/half.h"
#include "networks/vae.h"
#include "tests/unit/vector_file.h"
#include "weights/weights.h"

static char dir[64];

static int open_folder(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/sumi-source-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	files_remove_tree(dir);
	return 0;
}

/* A safetensors file of a header and data; its path. */
static const char *write_file(const char *header, const void *data, size_t size)
{
	static char path[128];
	unsigned char length[8];
	size_t n = strlen(header);
	snprintf(path, sizeof path, "%s/x.safetensors", dir);
	for (int i = 0; i < 8; i++)
		length[i] = (unsigned char)((uint64_t)n >> (8 * i));
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(length, 1, 8, f) + fwrite(header, 1, n, f), 8 + n);
	assert_int_equal(fwrite(data, 1, size, f), size);
	fclose(f);
	return path;
}

#define ENTRY(name, dtype, shape, offsets)                                                         \
	"\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void expect_halves(struct weights *w, const char *name, const float *want, size_t count)
{
	const struct weight_tensor *t = weights_find(w, name);
	struct error err = {0};
	uint16_t got[64];
	float exact[64];
	assert_non_null(t);
	assert_true(t->usable);
	assert_int_equal(t->dtype, DTYPE_F16);
	assert_int_equal(t->bytes, 2 * count);
	assert_int_equal(weights_read(t, got, &err), SUMI_OK);
	assert_int_equal(weights_read_floats(t, exact, count, &err), SUMI_OK);
	for (size_t i = 0; i < count; i++) {
		assert_true(exact[i] == want[i]);
		assert_int_equal(got[i], half_from_float(want[i]));
	}
}

/* --- scales --- */

static void scaled_weights(void **state)
{
	(void)state;
	static const char header[] =
	    "{" ENTRY("a.weight", "F8_E4M3", "[2,3]", "[0,6]") "," ENTRY("a.scale_weight", "F32", "[]", "[6,10]") "," ENTRY(
		"a.scale_input", "F32", "[]",
		"[10,14]") "," ENTRY("b.weight", "I8", "[2,2]",
				     "[14,18]") "," ENTRY("b.weight_scale", "F32", "[2,1]",
							  "[18,26]") "," ENTRY("c.weight", "I8",
									       "[2,1]",
									       "[26,28]") "," ENTRY("d.weight",
												    "F8_E5M2",
												    "[2]",
												    "[28,30]") "," ENTRY("scaled_fp8",
															 "F8_E4M3",
															 "[2]",
															 "[30,32]") "}";
	unsigned char data[32] = {0x38, 0xB8, 0x40, 0x00, 0x7E, 0x01};
	static const float half = 0.5f, one = 1, rows[] = {0.25f, 2};
	memcpy(data + 6, &half, 4);
	memcpy(data + 10, &one, 4);
	memcpy(data + 14, (const unsigned char[]){4, 0xFC, 127, 0x80}, 4);
	memcpy(data + 18, rows, 8);
	data[28] = 0x3C;
	data[29] = 0xC0;
	struct weights *w;
	struct error err = {0};
	if (weights_open(write_file(header, data, sizeof data), &w, &err))
		fail_msg("%s", err.text);
	assert_int_equal(weights_tensors(w), 4); /* the others say how these are scaled */
	expect_halves(w, "a.weight", (const float[]){0.5f, -0.5f, 1, 0, 224, 0.0009765625f}, 6);
	expect_halves(w, "b.weight", (const float[]){1, -1, 254, -256}, 4);
	expect_halves(w, "d.weight", (const float[]){1, -2}, 2);
	assert_false(weights_find(w, "c.weight")->usable); /* int8 without a scale means nothing */
	assert_true(weights_find(w, "c.weight")->unscaled);
	assert_false(weights_find(w, "b.weight")->unscaled);
	assert_int_equal(weights_check_unused(w, "", &err), SUMI_OK);
	weights_close(w);
}

static const struct {
	const char *header;
	const char *text; /* the first bytes of the data */
	const char *words;
} bad_scales[] = {
    {"{" ENTRY("a.weight", "F8_E4M3", "[2,3]", "[0,6]") "," ENTRY("a.scale_weight", "F32", "[3]",
								  "[6,18]") "}",
     "", "only one number or one a row"},
    {"{" ENTRY("a.weight", "F8_E4M3", "[2,3]", "[0,6]") "," ENTRY("a.weight_scale", "I64", "[]",
								  "[6,14]") "}",
     "", "only one number or one a row"},
    {"{" ENTRY("a.comfy_quant", "U8", "[18]", "[0,18]") "," ENTRY(
	 "a.weight", "F8_E4M3", "[6]", "[18,24]") "," ENTRY("a.weight_scale", "F32", "[]",
							    "[24,28]") "}",
     "{\"format\":\"nvfp4\"}", "quantised as 'nvfp4'"},
    {"{" ENTRY("a.comfy_quant", "U8", "[43]", "[0,43]") "," ENTRY(
	 "a.weight", "I8", "[6]", "[43,49]") "," ENTRY("a.weight_scale", "F32", "[]",
						       "[49,53]") "}",
     "{\"format\":\"int8_tensorwise\",\"convrot\":true}", "convrot"},
    {"{\"__metadata__\":{\"_quantization_metadata\":\"{\\\"layers\\\":{\\\"a\\\":{\\\"format\\\":"
     "\\\"mxfp8\\\"}}}\"}," ENTRY("a.weight", "F8_E4M3", "[6]",
				  "[0,6]") "," ENTRY("a.weight_scale", "F32", "[]", "[6,10]") "}",
     "", "quantised as 'mxfp8'"},
};

static void scales_that_are_not_known(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad_scales / sizeof bad_scales[0]; i++) {
		char data[64] = "";
		struct weights *w;
		struct error err = {0};
		const char *end = strrchr(bad_scales[i].header, ',') + 1;
		strcpy(data, bad_scales[i].text);
		int status = weights_open(write_file(bad_scales[i].header, data, (size_t)atoi(end)),
					  &w, &err);
		if (!status || !strstr(err.text, bad_scales[i].words))
			fail_msg("wanted '%s', not (%d) '%s'", bad_scales[i].words, status,
				 err.text);
	}
}

/* --- what is cut and turned --- */

static void fused_and_turned(void **state)
{
	(void)state;
	static const char header[] =
	    "{" ENTRY("token_embedding.weight", "BF16", "[2,2]", "[0,8]") "," ENTRY(
		"text_projection", "BF16", "[2,3]",
		"[8,20]") "," ENTRY("transformer.resblocks.0.attn.in_proj_weight", "F16", "[6,2]",
				    "[20,44]") "}";
	unsigned char data[44] = {0};
	for (int i = 0; i < 6; i++) {
		float value = (float)(i + 1);
		uint32_t bits;
		memcpy(&bits, &value, 4);
		data[8 + 2 * i] = (unsigned char)(bits >> 16);
		data[9 + 2 * i] = (unsigned char)(bits >> 24);
	}
	for (int i = 0; i < 12; i++) {
		uint16_t half = half_from_float((float)i);
		memcpy(data + 20 + 2 * i, &half, 2);
	}
	struct weights *w;
	struct error err = {0};
	if (weights_open(write_file(header, data, sizeof data), &w, &err))
		fail_msg("%s", err.text);
	static const char *const names[] = {"q_proj", "k_proj", "v_proj"};
	for (int i = 0; i < 3; i++) {
		char name[100];
		float want[4];
		snprintf(name, sizeof name, "text_model.encoder.layers.0.self_attn.%s.weight",
			 names[i]);
		for (int k = 0; k < 4; k++)
			want[k] = (float)(4 * i + k);
		expect_halves(w, name, want, 4);
		assert_int_equal(weights_find(w, name)->shape[0], 2);
	}
	const struct weight_tensor *t = weights_find(w, "text_projection.weight");
	static const float turned[] = {1, 4, 2, 5, 3, 6};
	uint16_t got[6];
	assert_int_equal(t->shape[0], 3);
	assert_int_equal(t->shape[1], 2);
	assert_int_equal(t->dtype, DTYPE_BF16);
	assert_int_equal(weights_read(t, got, &err), SUMI_OK);
	for (int i = 0; i < 6; i++)
		assert_true(bfloat_to_float(got[i]) == turned[i]);
	weights_close(w);
}

/* Blocks become halves, each the nearest to what the format says. */
static void blocks_become_halves(void **state)
{
	(void)state;
	struct weights *w;
	struct error err = {0};
	struct tensor_file *want = vector_file_open("files.safetensors");
	if (weights_open("tests/vectors/files.gguf", &w, &err))
		fail_msg("%s", err.text);
	static const char *const names[] = {"Q8_0.weight", "Q4_K.weight", "IQ4_XS.weight",
					    "conv.weight"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		size_t n;
		float *expected = vector_copy(want, names[i], &n);
		uint16_t got[512];
		const struct weight_tensor *t = weights_find(w, names[i]);
		assert_int_equal(n, 512);
		assert_int_equal(t->bytes, sizeof got);
		assert_int_equal(weights_read(t, got, &err), SUMI_OK);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(got[k], half_from_float(expected[k]));
		free(expected);
	}
	weights_close(w);
	tensors_close(want);
}

/* Views of one storage, as a torch archive may hold them. */
static void views_are_read_in_their_order(void **state)
{
	(void)state;
	struct weights *w;
	struct error err = {0};
	struct tensor_file *want = vector_file_open("files.safetensors");
	if (weights_open("tests/vectors/archive.ckpt", &w, &err))
		fail_msg("%s", err.text);
	static const char *const names[] = {"turned", "cut", "double"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		size_t n;
		char full[40];
		snprintf(full, sizeof full, "archive.%s", names[i]);
		float *expected = vector_copy(want, full, &n), got[24];
		const struct weight_tensor *t = weights_find(w, names[i]);
		assert_int_equal(t->bytes, 4 * n);
		assert_int_equal(weights_read(t, got, &err), SUMI_OK);
		assert_memory_equal(got, expected, 4 * n);
		free(expected);
	}
	weights_close(w);
	tensors_close(want);
}

/* TAESD's decoder as stable-diffusion.cpp ships it: the picture that diffusers decodes with it. */
static void the_tiny_decoder_of_a_gguf(void **state)
{
	(void)state;
	static const char path[] = "../shared/real/upscale/sdcpp_taesd-decoder.gguf/vae";
	enum { SIDE = 4, VALUES = 3 * 32 * 32 };
	struct vae *vae;
	struct device *device;
	struct error err = {0};
	float latents[SIDE * SIDE * 4];
	float *pictures = malloc(VALUES * sizeof *pictures);
	double sum = 0;
	if (access("../shared/real/upscale/sdcpp_taesd-decoder.gguf", R_OK) != 0) {
		print_message("skip the tiny decoder of a GGUF: no ../shared/real\n");
		free(pictures);
		return;
	}
	for (int i = 0; i < SIDE * SIDE * 4; i++)
		latents[i] = (float)(i % 7 - 3) * 0.3f;
	assert_int_equal(device_open("reference", &device, &err), SUMI_OK);
	if (vae_open(device, path, &vae, &err))
		fail_msg("%s", err.text);
	struct vae_input in = {.values = latents, .n = 1, .h = SIDE, .w = SIDE};
	assert_int_equal(vae_decode(vae, &in, pictures, &err), SUMI_OK);
	for (int i = 0; i < VALUES; i++)
		sum += pictures[i];
	assert_true(fabs(sum + 295.1157) < 0.01);
	assert_true(fabs(pictures[1000] + 0.521581) < 1e-4);
	vae_close(vae);
	device_close(device);
	free(pictures);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(scaled_weights),
	    cmocka_unit_test(scales_that_are_not_known),
	    cmocka_unit_test(fused_and_turned),
	    cmocka_unit_test(blocks_become_halves),
	    cmocka_unit_test(views_are_read_in_their_order),
	    cmocka_unit_test(the_tiny_decoder_of_a_gguf),
	};
	return cmocka_run_group_tests(tests, open_folder, remove_folder);
}

/* Adapters: each kind and dialect gives the weights that LyCORIS and peft make of it, what does not fit is
 * named, tags in prompts become a list. */
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
#include "diffusion/adapters.h"
#include "diffusion/run.h"
#include "request/job.h"
#include "request/lora_tags.h"
#include "tests/unit/vector_file.h"
#include "weights/embedding.h"
#include "weights/overlay.h"
#include "weights/pattern.h"

#define VECTORS "tests/vectors/adapters/"
#define REAL "../shared/real/lora/"
#define ALL_PARTS (ADAPTER_DENOISER | ADAPTER_TEXT | ADAPTER_TEXT_2)

static struct error err;

static struct weights *open_weights(const char *name)
{
	char path[FILES_PATH_MAX];
	struct weights *w;
	assert_int_equal(files_path(path, &err, VECTORS "%s.safetensors", name), SUMI_OK);
	if (weights_open(path, &w, &err))
		fail_msg("%s", err.text);
	return w;
}

static size_t count_of(const struct weight_tensor *t)
{
	size_t n = 1;
	for (int i = 0; i < t->rank; i++)
		n *= (size_t)t->shape[i];
	return n;
}

static float *read_all(const struct weight_tensor *t)
{
	float *values = malloc(count_of(t) * sizeof *values + 1);
	assert_non_null(values);
	if (weights_read_floats(t, values, count_of(t), &err))
		fail_msg("%s: %s", t->name, err.text);
	return values;
}

static double strength_of(const char *path)
{
	struct tensor_file *f;
	assert_int_equal(tensors_open(path, &f, &err), SUMI_OK);
	double s = atof(json_string_value(json_object_get(tensors_metadata(f), "strength")));
	tensors_close(f);
	return s;
}

static const char *const cases[] = {
    "locon",	    "tucker",	 "loha",	"loha_tucker",	  "lokr",	     "lokr_both",
    "lokr_tucker",  "dora",	 "dora_half",	"dora_inputs",	  "doha",	     "peft",
    "kohya_alpha_0", "kohya_negative", "first_diffusers", "original_names", "difference", "peft_dora",
    "peft_config",  "comfy_names",    "lycoris_names",
    /* folders of PEFT's */
    "peft_lora",    "peft_rslora",    "peft_dora_folder", "peft_loha",	     "peft_loha_tucker",
    "peft_lokr",    "peft_lokr_whole", "peft_lokr_tucker", "peft_saved", "peft_biases", "peft_own_biases"};

/* The tensors that it changes are the reference's within 1e-5, all others are as they were. */
static void check_case(const char *name, size_t elsewhere)
{
	char path[FILES_PATH_MAX], saved[FILES_PATH_MAX], merged_name[64];
	struct adapter *a;
	struct adapter_fit fit = {0};
	snprintf(saved, sizeof saved, VECTORS "%s", name);
	bool folder = adapter_in_folder(saved, path);
	if (!folder)
		snprintf(path, sizeof path, VECTORS "%s.safetensors", name);
	snprintf(merged_name, sizeof merged_name, folder ? "%s/merged" : "%s.merged", name);
	struct weights *w = open_weights("base"), *plain = open_weights("base");
	struct weights *merged = open_weights(merged_name);
	if (adapter_open(path, &a, &err))
		fail_msg("%s", err.text);
	double s = folder ? 1 : strength_of(path);
	if (weights_adapt(w, a, ALL_PARTS, &(struct adapter_weight){s, s, 0}, &fit, &err))
		fail_msg("%s: %s", name, err.text);
	assert_int_equal(fit.fit + elsewhere, adapter_modules(a));
	assert_int_equal(fit.modules, fit.fit);
	size_t changed = 0;
	for (size_t i = 0; i < weights_tensors(w); i++) {
		const struct weight_tensor *t = weights_at(w, i), *want = weights_find(merged, t->name);
		changed += want != NULL;
		assert_int_equal(t->changed, want != NULL);
		float *got = read_all(t), *wanted = read_all(want ? want : weights_at(plain, i));
		for (size_t k = 0; k < count_of(t); k++)
			if (!(fabs(got[k] - wanted[k]) <= 1e-5 * (1 + fabs(wanted[k]))))
				fail_msg("%s: %s[%zu] is %.9g, wanted %.9g", name, t->name, k, got[k],
					 wanted[k]);
		free(got);
		free(wanted);
	}
	assert_int_equal(changed, weights_tensors(merged));
	weights_close(w);
	weights_close(plain);
	weights_close(merged);
	adapter_close(a);
}

static void test_kinds_are_the_references(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		check_case(cases[i], 0);
	check_case("whole_alphas", 1); /* an embedding is in that file too */
}

/* Two of them add up in any order; the text encoder has a strength of its own. */
static void test_several_add_up(void **state)
{
	(void)state;
	static const char *const name = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight";
	static const char *const text = "text_model.encoder.layers.0.self_attn.q_proj.weight";
	struct adapter *a, *b;
	float *results[2];
	assert_int_equal(adapter_open(VECTORS "peft.safetensors", &a, &err), SUMI_OK);
	assert_int_equal(adapter_open(VECTORS "loha.safetensors", &b, &err), SUMI_OK);
	struct weights *plain = open_weights("base");
	for (int i = 0; i < 2; i++) {
		struct weights *w = open_weights("base");
		struct adapter_fit fit = {0};
		struct adapter_weight weight = {1, 0, 0};
		assert_int_equal(weights_adapt(w, i ? a : b, ALL_PARTS, &weight, &fit, &err), SUMI_OK);
		assert_int_equal(weights_adapt(w, i ? b : a, ALL_PARTS, &weight, &fit, &err), SUMI_OK);
		results[i] = read_all(weights_find(w, name));
		float *got = read_all(weights_find(w, text)), *was = read_all(weights_find(plain, text));
		assert_memory_equal(got, was, 64 * sizeof *got);
		free(got);
		free(was);
		weights_close(w);
	}
	for (size_t k = 0; k < 48; k++)
		assert_true(fabs(results[0][k] - results[1][k]) < 1e-5);
	free(results[0]);
	free(results[1]);
	weights_close(plain);
	adapter_close(a);
	adapter_close(b);
}

/* Of a bf16 or quantised weight the changed numbers are float32 or what it expands to; ranks can be cut. */
static void test_fewer_ranks(void **state)
{
	(void)state;
	struct adapter *a;
	struct adapter_weight none = {0, 0, 0}, few = {1, 1, 1}, all = {1, 1, 3}, usual = {1, 1, 0};
	const int64_t shape[] = {8, 6};
	float values[4][48] = {{0}};
	const struct adapter_weight *weights[] = {&none, &few, &all, &usual};
	assert_int_equal(adapter_open(VECTORS "peft.safetensors", &a, &err), SUMI_OK);
	size_t at = 0;
	while (!strstr(adapter_module_name(a, at), "attn1.to_q"))
		at++;
	for (int i = 0; i < 4; i++)
		assert_int_equal(adapter_apply(a, at, weights[i], shape, 2, values[i], 48, &err), SUMI_OK);
	assert_true(values[0][0] == 0 && values[1][0] != 0);
	assert_memory_not_equal(values[1], values[2], sizeof values[1]);
	assert_memory_equal(values[2], values[3], sizeof values[2]);
	adapter_close(a);
}

/* ---- files that are not right ---- */

static char dir[64];

static int open_folder(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/sumi-adapter-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	files_remove_tree(dir);
	return 0;
}

/* A safetensors file of F32 tensors that all begin at the same zeros. */
static const char *write_file(const char *header)
{
	static char path[128];
	static const char zeros[1024];
	unsigned char length[8] = {0};
	snprintf(path, sizeof path, "%s/x.safetensors", dir);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < 8; i++)
		length[i] = (unsigned char)((uint64_t)strlen(header) >> (8 * i));
	fwrite(length, 1, 8, f);
	fwrite(header, 1, strlen(header), f);
	const char *last = strrchr(header, ',');
	fwrite(zeros, 1, (size_t)atoi(last + 1), f);
	fclose(f);
	return path;
}

static void refuse(const char *header, int status, const char *why)
{
	struct adapter *a;
	assert_int_equal(adapter_open(write_file(header), &a, &err), status);
	assert_null(a);
	if (!strstr(err.text, why))
		fail_msg("'%s' lacks '%s'", err.text, why);
}

static void test_files_that_are_not_right(void **state)
{
	(void)state;
	refuse("{\"lora_unet_a.lora_down.weight\":{\"dtype\":\"F32\",\"shape\":[2,4],\"data_offsets\":[0,32]}}",
	       SUMI_INVALID, "'lora_unet_a' do not go together, or one lacks");
	refuse("{\"lora_unet_a.lora_down.weight\":{\"dtype\":\"F32\",\"shape\":[2,4],\"data_offsets\":[0,32]},"
	       "\"lora_unet_a.lora_up.weight\":{\"dtype\":\"F32\",\"shape\":[4,3],\"data_offsets\":[32,80]}}",
	       SUMI_INVALID, "'lora_unet_a' do not go together");
	refuse("{\"lora_unet_a.oft_blocks\":{\"dtype\":\"F32\",\"shape\":[2,4],\"data_offsets\":[0,32]}}",
	       SUMI_UNSUPPORTED, "'lora_unet_a.oft_blocks' is of no kind of adapter that is read");
	refuse("{\"lora_unet_a.lora_down.weight\":{\"dtype\":\"I64\",\"shape\":[2,4],\"data_offsets\":[0,64]}}",
	       SUMI_UNSUPPORTED, "is of the dtype I64");
}

#define PAIR(name, at, middle, end) \
	"\"" name ".down.weight\":{\"dtype\":\"F32\",\"shape\":[2,4],\"data_offsets\":[" at "," middle "]}," \
	"\"" name ".up.weight\":{\"dtype\":\"F32\",\"shape\":[4,2],\"data_offsets\":[" middle "," end "]}"
#define WITH(config) "{\"__metadata__\":{\"lora_adapter_metadata\":\"" config "\"}," PAIR("unet.conv_in.lora", "0", "32", "64") "}"

/* Whole numbers of any width are alphas: trainers write what their settings held. */
static void test_alphas_of_whole_numbers(void **state)
{
	(void)state;
	static const struct {
		const char *dtype;
		int bytes;
	} rows[] = {{"I64", 8}, {"I32", 4}, {"I16", 2}, {"I8", 1}, {"U64", 8}, {"U32", 4}, {"U16", 2}, {"U8", 1}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (int sign = 0; sign < (*rows[i].dtype == 'I' ? 2 : 1); sign++) {
			char header[512];
			struct adapter *a;
			struct adapter_pair pair;
			unsigned char bytes[8];
			snprintf(header, sizeof header,
				 "{" PAIR("lora_unet_a.lora", "0", "32", "64") ",\"lora_unet_a.alpha\":{\"dtype\":\"%s\",\"shape\":[],"
				 "\"data_offsets\":[64,%d]}}",
				 rows[i].dtype, 64 + rows[i].bytes);
			const char *path = write_file(header);
			FILE *f = fopen(path, "r+");
			assert_non_null(f);
			memset(bytes, sign ? 0xFF : 0, sizeof bytes);
			bytes[0] = sign ? 0xFA : 6;
			fseek(f, -rows[i].bytes, SEEK_END);
			fwrite(bytes, 1, (size_t)rows[i].bytes, f);
			fclose(f);
			if (adapter_open(path, &a, &err))
				fail_msg("%s: %s", rows[i].dtype, err.text);
			assert_true(adapter_pair(a, 0, 1, 0, &pair));
			if (pair.scale != (sign ? -3 : 3))
				fail_msg("%s: %g", rows[i].dtype, pair.scale);
			adapter_close(a);
		}
}

/* The first encoder's half alone is an embedding of a model that has no other; the second's alone is none. */
static void test_half_of_an_embedding(void **state)
{
	(void)state;
	struct embedding_file e;
	if (embedding_open(write_file("{\"clip_l\":{\"dtype\":\"F32\",\"shape\":[2,4],\"data_offsets\":[0,32]}}"), &e, &err))
		fail_msg("%s", err.text);
	assert_int_equal(e.count, 2);
	assert_false(e.halves);
	embedding_close(&e);
	assert_int_equal(embedding_open(write_file("{\"clip_g\":{\"dtype\":\"F32\",\"shape\":[2,4],\"data_offsets\":[0,32]}}"), &e, &err),
			 SUMI_INVALID);
	assert_non_null(strstr(err.text, "of a pair for two text encoders one is missing"));
	assert_int_equal(embedding_open(write_file("{\"emb_params\":{\"dtype\":\"F32\",\"shape\":[0,4],\"data_offsets\":[0,0]}}"), &e, &err),
			 SUMI_INVALID);
	assert_non_null(strstr(err.text, "it has no vector"));
	/* What an archive that is one tensor is called here is no word of anybody's. */
	assert_int_equal(embedding_open(write_file("{\"tensor\":{\"dtype\":\"F32\",\"shape\":[2,4],\"data_offsets\":[0,32]}}"), &e, &err), SUMI_OK);
	assert_string_equal(e.word, "");
	embedding_close(&e);
}

/* What diffusers writes beside the tensors counts, and what is not understood there is told. */
static void test_configs(void **state)
{
	(void)state;
	static const struct {
		const char *file;
		double scale;
	} good[] = {
	    {WITH("{\\\"unet.lora_alpha\\\":8}"), 4},
	    {WITH("{\\\"lora_alpha\\\":1.0}"), 0.5},
	    {WITH("{\\\"text_encoder.lora_alpha\\\":8}"), 1},
	    {WITH("{\\\"unet.lora_alpha\\\":8,\\\"unet.alpha_pattern\\\":{\\\"in\\\":3,\\\"conv_in\\\":6}}"), 3},
	    {WITH("{\\\"unet.lora_alpha\\\":8,\\\"unet.alpha_pattern\\\":{\\\".*conv\\\":3,\\\".*c.*_(in|out)\\\":6}}"), 3},
	};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct adapter *a;
		struct adapter_pair pair;
		if (adapter_open(write_file(good[i].file), &a, &err))
			fail_msg("%s", err.text);
		assert_true(adapter_pair(a, 0, 1, 0, &pair));
		assert_true(fabs(pair.scale - good[i].scale) < 1e-9);
		adapter_close(a);
	}
	refuse(WITH("{\\\"unet.lora_alpha\\\":\\\"8\\\"}"), SUMI_INVALID, "'lora_alpha' in its lora_adapter_metadata is no number");
	refuse(WITH("[1]"), SUMI_INVALID, "is no JSON object");
	refuse(WITH("{\\\"unet.alpha_pattern\\\":{\\\"(?=conv)\\\":3}}"), SUMI_UNSUPPORTED,
	       "alpha_pattern '(?=conv)' in its lora_adapter_metadata is no pattern that is read");
}

/* As Python's re.match(rf"(.*\\.)?({pattern})$", name) says, which PEFT asks. */
static void test_patterns(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *name;
		int ends;
	} rows[] = {
	    {"to_q", "a.to_q", 1},	   {"o_q", "a.to_q", 0},		{"^to_q", "a.to_q", 0},
	    {"^a.*", "a.to_q", 1},	   {"a\\.to_[qkv]", "a.to_q", 1},	{"a\\.to_[^qkv]", "a.to_q", 0},
	    {".*", "", 1},		   {"", "a.", 1},			{"", "a", 0},
	    {"b\\d+.x", "a.b12.x", 1},	   {"b\\d{3}.x", "a.b12.x", 0},	{"b\\d{1,2}.x", "a.b12.x", 1},
	    {"b\\d{2,}.x", "a.b12.x", 1},  {"(a|b)+?x?", "abab", 1},	{"(?:(a*)*)*b", "aaaaaaaaab", 1},
	    {"a|b.c", "x.b.c", 1},	   {"x.(b|c)$", "x.c", 1},		{"\\w+\\W\\w+", "ab.c", 1},
	    {"(a", "a", -1},		   {"a)", "a", -1},			{"*a", "a", -1},
	    {"[a", "a", -1},		   {"(?!a)b", "b", -1},		{"a{", "a", -1},
	    {"\\", "a", -1},		   {"\\1", "a", -1},			{"a{9999}", "a", -1},
	    {"((((((((((a))))))))))", "a", -1}, {"((((", "a", -1},		{"(a|(?:b([c", "a", -1},
	    {"(a{", "a", -1}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		long work = 10000;
		/* Of its own, so that a sanitizer sees who reads behind its end. */
		char *pattern = strdup(rows[i].pattern);
		int ends = pattern_ends(pattern, rows[i].name, &work);
		free(pattern);
		if (ends != rows[i].ends)
			fail_msg("%s of %s: %d", rows[i].pattern, rows[i].name, ends);
	}
	long work = 100;
	assert_int_equal(pattern_ends("((a*)*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", &work), -1);
}

/* A folder of PEFT's whose config says what is not so, or what is not read. */
static void test_folders(void **state)
{
	(void)state;
	static const struct {
		const char *config;
		int status;
		const char *why;
	} bad[] = {
	    {"{\"r\":2}", SUMI_INVALID, "it says no 'peft_type'"},
	    {"[]", SUMI_INVALID, "it is no JSON object"},
	    {"{\"peft_type\":\"LORA\",\"r\":4}", SUMI_INVALID, "'conv_in' is of rank 2, its adapter_config.json says 4"},
	    {"{\"peft_type\":\"LORA\"}", SUMI_INVALID, "is of rank 2, its adapter_config.json says 8"},
	    {"{\"peft_type\":\"LORA\",\"r\":2,\"use_dora\":true}", SUMI_INVALID, "'conv_in' has no magnitudes"},
	    {"{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":\"x\"}", SUMI_INVALID, "'lora_alpha' in its adapter_config.json is no number"},
	    {"{\"peft_type\":\"LORA\",\"r\":2,\"init_lora_weights\":\"pissa_niter_4\"}", SUMI_UNSUPPORTED, "init_lora_weights 'pissa_niter_4'"},
	    {"{\"peft_type\":\"LORA\",\"r\":2,\"use_qalora\":true}", SUMI_UNSUPPORTED, "'use_qalora' is not read"},
	    {"{\"peft_type\":\"VERA\",\"r\":2}", SUMI_UNSUPPORTED, "of the peft_type 'VERA' are not read"},
	    {"{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":6,\"use_qalora\":false,\"layer_replication\":null}", SUMI_OK, ""},
	};
	static const char header[] = "{" PAIR("conv_in.lora", "0", "32", "64") "}";
	char folder[] = "/tmp/sumi-peft-XXXXXX", path[FILES_PATH_MAX], config[FILES_PATH_MAX];
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
	snprintf(config, sizeof config, "%s/adapter_config.json", folder);
	assert_int_equal(files_copy(write_file(header), path, &err), SUMI_OK);
	assert_false(adapter_in_folder(folder, path));
	snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct adapter *a = NULL;
		struct adapter_pair pair;
		assert_int_equal(files_write_durable(config, bad[i].config, strlen(bad[i].config), &err), SUMI_OK);
		assert_true(adapter_in_folder(folder, path));
		assert_int_equal(adapter_open(path, &a, &err), bad[i].status);
		if (bad[i].status && !strstr(err.text, bad[i].why))
			fail_msg("%s", err.text);
		if (!bad[i].status)
			assert_true(adapter_pair(a, 0, 1, 0, &pair) && pair.scale == 3);
		adapter_close(a);
	}
	files_remove_tree(folder);
}

/* ComfyUI's: all of a tensor, which takes the place of the model's as far as it counts. */
static void test_whole_tensors(void **state)
{
	(void)state;
	static const char header[] = "{\"lora_unet_time_embedding_linear_1.set_weight\":{\"dtype\":\"F32\",\"shape\":[10,6],"
				     "\"data_offsets\":[0,240]}}";
	struct adapter *a;
	if (adapter_open(write_file(header), &a, &err))
		fail_msg("%s", err.text);
	struct weights *plain = open_weights("base");
	float *was = read_all(weights_find(plain, "time_embedding.linear_1.weight"));
	for (double s = 0.25; s <= 1; s *= 2) {
		struct weights *w = open_weights("base");
		struct adapter_fit fit = {0};
		assert_int_equal(weights_adapt(w, a, ALL_PARTS, &(struct adapter_weight){s, s, 0}, &fit, &err), SUMI_OK);
		float *got = read_all(weights_find(w, "time_embedding.linear_1.weight"));
		for (int i = 0; i < 60; i++)
			assert_true(fabs(got[i] - (1 - s) * was[i]) <= 1e-6);
		free(got);
		weights_close(w);
	}
	free(was);
	weights_close(plain);
	adapter_close(a);
}

/* XLabs' layout: several pairs of a module, by number; of no model that is here. */
static void test_numbered_pairs(void **state)
{
	(void)state;
	struct adapter *a;
	char target[ADAPTER_NAME_MAX];
	if (adapter_open(write_file("{" PAIR("double_blocks.0.processor.qkv_lora1", "0", "32", "64") ","
				    PAIR("double_blocks.0.processor.qkv_lora2", "64", "96", "128") "}"), &a, &err))
		fail_msg("%s", err.text);
	assert_int_equal(adapter_modules(a), 2);
	assert_false(adapter_target(a, 0, ALL_PARTS, 2, target));
	adapter_close(a);
}

/* What has no place is counted and named; what has one of another shape is another model's. */
static void test_what_does_not_fit(void **state)
{
	(void)state;
	struct adapter *a;
	struct adapter_fit fit = {0};
	struct adapter_weight one = {1, 1, 0};
	struct weights *w = open_weights("base");
	assert_int_equal(
	    adapter_open(write_file("{\"lora_unet_elsewhere.diff\":{\"dtype\":\"F32\",\"shape\":[4],\"data_"
				    "offsets\":[0,16]},\"lora_unet_down_blocks_0_resnets_0_norm1.w_norm\":{"
				    "\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[16,32]}}"),
			 &a, &err),
	    SUMI_OK);
	assert_int_equal(weights_adapt(w, a, ALL_PARTS, &one, &fit, &err), SUMI_OK);
	assert_int_equal(fit.modules, 2);
	assert_int_equal(fit.fit, 1);
	assert_string_equal(fit.first, "lora_unet_elsewhere");
	adapter_close(a);
	assert_int_equal(adapter_open(write_file("{\"lora_unet_down_blocks_0_resnets_0_norm1.w_norm\":{"
						 "\"dtype\":\"F32\",\"shape\":[5],\"data_offsets\":[0,20]}}"),
				      &a, &err),
			 SUMI_OK);
	assert_int_equal(weights_adapt(w, a, ALL_PARTS, &one, &fit, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "made for 5 outputs"));
	weights_close(w);
	adapter_close(a);
}

/* ---- files of other people's programs ---- */

static void check_module(const struct adapter *a, const char *name, const int64_t *shape, int rank,
			 double norm, size_t at, double element)
{
	size_t i = 0, count = 1;
	while (i < adapter_modules(a) && strcmp(adapter_module_name(a, i), name) != 0)
		i++;
	assert_true(i < adapter_modules(a));
	for (int k = 0; k < rank; k++)
		count *= (size_t)shape[k];
	float *values = calloc(count, sizeof *values);
	assert_non_null(values);
	assert_int_equal(adapter_fits(a, i, shape, rank, &err), SUMI_OK);
	assert_int_equal(adapter_apply(a, i, &(struct adapter_weight){1, 1, 0}, shape, rank, values, count, &err),
			 SUMI_OK);
	double sum = 0;
	for (size_t k = 0; k < count; k++)
		sum += (double)values[k] * values[k];
	assert_true(fabs(sqrt(sum) - norm) <= 1e-5 * norm);
	if (element != 0)
		assert_true(fabs(values[at] - element) <= 1e-5 * fabs(element) + 1e-9);
	free(values);
}

static void test_real_files(void **state)
{
	(void)state;
	struct adapter *a;
	if (access(REAL, F_OK) != 0) {
		printf("skip test_adapter there are no real files beside the checkout\n");
		return;
	}
	if (adapter_open(REAL "kohya_lokr_rank4.safetensors", &a, &err))
		fail_msg("%s", err.text);
	assert_int_equal(adapter_modules(a), 350);
	assert_string_equal(adapter_kind(a), "LoKr");
	check_module(a, "lora_te_text_model_encoder_layers_0_self_attn_q_proj", (int64_t[]){768, 768}, 2,
		     2.398435, 5 * 768 + 100, -4.509725e-03);
	check_module(a, "lora_unet_mid_block_resnets_0_conv1", (int64_t[]){1280, 1280, 3, 3}, 4, 47.497295, 0,
		     0);
	check_module(a, "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k",
		     (int64_t[]){640, 768}, 2, 14.605510, 0, 3.955528e-03);
	adapter_close(a);
	if (adapter_open(REAL "catundchat_pytorch_lora_weights.safetensors", &a, &err))
		fail_msg("%s", err.text);
	assert_int_equal(adapter_modules(a), 128);
	check_module(a, "down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_k",
		     (int64_t[]){320, 768}, 2, 0.242315, 0, -1.318977e-04);
	adapter_close(a);
}

/* ---- a whole run ---- */

/* diffusers' latents within 1e-4 and its picture within 60 dB. */
static void test_run_is_that_of_diffusers(void **state)
{
	(void)state;
	static struct adapter_list list = {.count = 1};
	struct run_params p = {.prompt = "a boat", .seed = 7, .steps = 4, .cfg_scale = 7.5, .sampler = "pndm",
			       .schedule = "default", .rng = "torch", .width = 64, .height = 64, .frames = 1,
			       .guidance_end = 1};
	struct tensor_file *dump = vector_file_open("adapters/sd1-tiny.run.safetensors");
	size_t count, have, pixels = 64 * 64;
	struct device *device;
	struct pack *pack;
	struct run *run;
	strcpy(list.rows[0].name, "sd1-tiny");
	strcpy(list.rows[0].path, VECTORS "sd1-tiny.safetensors");
	list.rows[0].weight = (struct adapter_weight){0.9, 0.5, 0};
	if (device_open(NULL, &device, &err) ||
	    pack_open_with(device, "tests/vectors/sd1-tiny", &list, NULL, &pack, &err) ||
	    run_begin(pack, &p, &run, &err))
		fail_msg("%s", err.text);
	while (run_steps_done(run) < run_steps(run))
		assert_int_equal(run_step(run, &err), SUMI_OK);
	const float *got = run_latents(run, false, &have);
	double distance = vector_latents_distance(dump, "latents", got, have), sum = 0;
	if (!(distance <= 1e-4))
		fail_msg("latents are off by %.2e", distance);
	float *want = vector_copy(dump, "image", &count);
	float *picture = malloc(pixels * 3 * sizeof *picture);
	assert_non_null(picture);
	assert_int_equal(run_decode(run, 0, picture, &err), SUMI_OK);
	for (size_t c = 0; c < 3; c++)
		for (size_t i = 0; i < pixels; i++)
			sum += pow((double)want[c * pixels + i] - (double)picture[i * 3 + c], 2);
	if (!(sum <= 1e-6 * (double)(pixels * 3)))
		fail_msg("the picture is %.1f dB off", -10 * log10(sum / (double)(pixels * 3)));
	free(want);
	free(picture);
	run_free(run);
	pack_close(pack);
	device_close(device);
	tensors_close(dump);
}

/* ---- in prompts ---- */

static void tags(const char *fields, const char *prompt, const char *loras, const char *text)
{
	struct job job;
	char out[512];
	if (job_parse_json(fields, strlen(fields), &job, &err))
		fail_msg("%s", err.text);
	assert_string_equal(job.prompt, prompt);
	char *list = json_dumps(job.loras, JSON_COMPACT | JSON_REAL_PRECISION(9));
	assert_string_equal(list, loras);
	lora_tags_text(job.loras, out, sizeof out);
	assert_string_equal(out, text);
	free(list);
	job_clear(&job);
}

static void test_tags(void **state)
{
	(void)state;
	tags("{\"modality\":\"image\",\"prompt\":\"a <lora:x y:0.8> cat<lora:b>\"}", "a  cat",
	     "[{\"name\":\"x y\",\"weight\":0.8},{\"name\":\"b\",\"weight\":1.0}]", " <lora:x y:0.8> <lora:b:1>");
	tags("{\"modality\":\"image\",\"prompt\":\"<lora:a:0.5:0.25>\",\"loras\":[{\"name\":\"c\"}]}", " ",
	     "[{\"name\":\"c\",\"weight\":1.0},{\"name\":\"a\",\"weight\":0.25,\"te_weight\":0.5}]",
	     " <lora:c:1> <lora:a:0.5:0.25>");
	tags("{\"modality\":\"image\",\"prompt\":\"x<lora:a:unet=-1:dyn=4>y\"}", "xy",
	     "[{\"name\":\"a\",\"weight\":-1.0,\"te_weight\":1.0,\"dyn\":4}]", " <lora:a:1:-1:dyn=4>");
	tags("{\"modality\":\"image\",\"prompt\":\"<lyco:a:te=0.3> x < y <lora:> (z)\"}", " x < y <lora:> (z)",
	     "[{\"name\":\"a\",\"weight\":0.3}]", " <lora:a:0.3>");
	static const char *const bad[] = {"<lora:a:x>", "<lora:a:0.5:0.5:4:2>", "<lora::1>", "<lora:a:what=1>",
					  "<lora:a:99>", "<lora:a:nan>", "<lora:a:1:1:1e55>", "<lora:a:dyn=2.5>",
					  "<lora:a:dyn=0>"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char fields[128];
		struct job job;
		snprintf(fields, sizeof fields, "{\"modality\":\"image\",\"prompt\":\"%s\"}", bad[i]);
		assert_int_equal(job_parse_json(fields, strlen(fields), &job, &err), SUMI_INVALID);
	}
}

/* Two lists that differ late are no one shape. */
static void test_shapes_differ(void **state)
{
	(void)state;
	char shapes[2][REQUEST_SHAPE_SIZE];
	for (int i = 0; i < 2; i++) {
		char fields[600], name[121];
		struct job job;
		memset(name, 'n', 120);
		name[120] = '\0';
		snprintf(fields, sizeof fields,
			 "{\"modality\":\"image\",\"prompt\":\"x\",\"loras\":[{\"name\":\"%s\"},{\"name\":\"%s\","
			 "\"weight\":0.%d}]}",
			 name, name, i + 1);
		assert_int_equal(job_parse_json(fields, strlen(fields), &job, &err), SUMI_OK);
		request_shape(&job.request, shapes[i], sizeof shapes[i]);
		job_clear(&job);
	}
	assert_string_not_equal(shapes[0], shapes[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_kinds_are_the_references),
	    cmocka_unit_test(test_several_add_up),
	    cmocka_unit_test(test_fewer_ranks),
	    cmocka_unit_test_setup_teardown(test_files_that_are_not_right, open_folder, remove_folder),
	    cmocka_unit_test_setup_teardown(test_configs, open_folder, remove_folder),
	    cmocka_unit_test(test_patterns),
	    cmocka_unit_test_setup_teardown(test_alphas_of_whole_numbers, open_folder, remove_folder),
	    cmocka_unit_test_setup_teardown(test_half_of_an_embedding, open_folder, remove_folder),
	    cmocka_unit_test_setup_teardown(test_folders, open_folder, remove_folder),
	    cmocka_unit_test_setup_teardown(test_numbered_pairs, open_folder, remove_folder),
	    cmocka_unit_test_setup_teardown(test_whole_tensors, open_folder, remove_folder),
	    cmocka_unit_test_setup_teardown(test_what_does_not_fit, open_folder, remove_folder),
	    cmocka_unit_test(test_real_files),
	    cmocka_unit_test(test_run_is_that_of_diffusers),
	    cmocka_unit_test(test_tags),
	    cmocka_unit_test(test_shapes_differ),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

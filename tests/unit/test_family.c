/* Which family a pack is of, which parts that gives it, and that these alone are in its digest. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "diffusion/catalogue.h"
#include "diffusion/family.h"
#include "diffusion/pack.h"

#define SD "\"unet\": [\"diffusers\", \"U\"], \"text_encoder\": [\"transformers\", \"C\"], "           \
	   "\"tokenizer\": [\"transformers\", \"T\"], \"vae\": [\"diffusers\", \"V\"], "              \
	   "\"scheduler\": [\"diffusers\", \"S\"]"

/* name: of the family; NULL: of none. */
static const struct {
	const char *index, *name;
} indices[] = {
    {"{}", "Stable Diffusion"},
    {"{\"unet\": [\"diffusers\", \"U\"]}", "Stable Diffusion"},
    {"{\"_class_name\": \"StableDiffusionPipeline\"}", "Stable Diffusion"},
    {"{\"_class_name\": \"AnimateDiffPipeline\", \"motion_adapter\": [\"diffusers\", \"M\"]}",
     "Stable Diffusion"},
    {"{\"_class_name\": \"StableDiffusionPipeline\", \"safety_checker\": [null, null], " SD "}",
     "Stable Diffusion"},
    {"{\"_class_name\": \"MyOwnPipeline\", " SD "}", "Stable Diffusion"},
    {"{\"_class_name\": \"MyOwnPipeline\"}", NULL},
    {"{\"_class_name\": \"MyOwnPipeline\", \"vae\": [null, null]}", NULL},
    {"{\"_class_name\": \"FluxPipeline\", \"transformer\": [\"diffusers\", \"F\"], "
     "\"text_encoder\": [\"transformers\", \"C\"], \"tokenizer\": [\"transformers\", \"T\"], "
     "\"vae\": [\"diffusers\", \"V\"], \"scheduler\": [\"diffusers\", \"S\"]}",
     NULL},
    {"{\"_class_name\": \"StableVideoDiffusionPipeline\", \"unet\": [\"diffusers\", \"U\"], "
     "\"image_encoder\": [\"transformers\", \"C\"], \"vae\": [\"diffusers\", \"V\"], "
     "\"scheduler\": [\"diffusers\", \"S\"]}",
     NULL},
    {"{\"_class_name\": \"StableDiffusionPipeline\", \"text_encoder\": [null, null]}", NULL},
    {"{\"_class_name\": \"StableDiffusionXLPipeline\"}", "Stable Diffusion XL"},
    {"{\"_class_name\": \"StableDiffusionXLImg2ImgPipeline\"}", "Stable Diffusion XL"},
    {"{\"_class_name\": \"StableDiffusionXLImg2ImgPipeline\", \"text_encoder\": [null, null], "
     "\"tokenizer\": [null, null]}",
     "its refiner"},
    {"{\"_class_name\": \"MyOwnPipeline\", \"text_encoder_2\": [\"transformers\", \"C\"], "
     "\"tokenizer_2\": [\"transformers\", \"T\"], " SD "}",
     "Stable Diffusion XL"},
};

static void test_indices(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof indices / sizeof *indices; i++) {
		const struct family *family;
		struct error err = {0};
		json_t *index = json_loads(indices[i].index, 0, NULL);
		assert_non_null(index);
		int status = family_of(index, "there/model_index.json", &family, &err);
		json_decref(index);
		assert_int_equal(status, indices[i].name ? SUMI_OK : SUMI_UNSUPPORTED);
		if (!status)
			assert_string_equal(family->name, indices[i].name);
		else
			assert_non_null(strstr(err.text, "Pipeline', and such models are not "
							 "supported: those of Stable Diffusion"));
	}
	const struct family *family;
	json_t *index = json_loads("{\"_class_name\": 7}", 0, NULL);
	assert_int_equal(family_of(index, "x", &family, NULL), SUMI_INVALID);
	json_decref(index);
}

static void test_parts(void **state)
{
	(void)state;
	const struct family *f;
	for (size_t i = 0; (f = families[i]); i++) {
		for (const struct part *const *p = f->parts; *p; p++)
			assert_ptr_equal(family_part(f, (*p)->folder), *p);
		assert_null(family_part(f, "safety_checker"));
		assert_int_equal(family_part(f, family_folder(f, PART_DENOISER))->use, PART_DENOISER);
	}
}

/* Results are known by them: they stay as they are. A pack that was written anew has another. */
static void test_digests_stay(void **state)
{
	static const char *const packs[][2] = {
	    {"sd1-tiny", "31e0a5aaa6f6b006db6caf265d47da13ed3e67bb7c0f19c0ec5a5823a0098d7a"},
	    {"motion-tiny", "041d72a6aa83b836a2d3226af5ac59c221cf12a1436e29c0daa94566ff28d15a"},
	    {"levels-tiny", "e7a91654d78424ad6f551c259d58328c7d080ac1032498fbf0c7bb0220ec99eb"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof packs / sizeof *packs; i++) {
		char path[64];
		struct pack_info info;
		snprintf(path, sizeof path, "tests/vectors/%s", packs[i][0]);
		assert_int_equal(pack_info_read(path, &info, NULL), SUMI_OK);
		assert_string_equal(info.digest, packs[i][1]);
		pack_info_free(&info);
	}
}

/* ---- a folder of packs ---- */

static char root[64];

static void write_text(const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", root, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void link_to(const char *from, const char *name)
{
	char target[PATH_MAX], path[256];
	assert_non_null(realpath(from, target));
	snprintf(path, sizeof path, "%s/%s", root, name);
	assert_int_equal(symlink(target, path), 0);
}

static int setup(void **state)
{
	static const char *const parts[] = {"unet", "text_encoder", "tokenizer", "vae",
					    "scheduler"};
	char path[128], from[128];
	(void)state;
	strcpy(root, "/tmp/sumi-family-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	snprintf(path, sizeof path, "%s/own", root);
	assert_int_equal(mkdir(path, 0700), 0);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		snprintf(path, sizeof path, "own/%s", parts[i]);
		snprintf(from, sizeof from, "tests/vectors/sd1-tiny/%s", parts[i]);
		link_to(from, path);
	}
	write_text("own/model_index.json", "{\"_class_name\": \"StableDiffusionPipeline\"}");
	return 0;
}

static int teardown(void **state)
{
	char command[128];
	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", root);
	return system(command);
}

static const char *own_digest(char out[SHA256_HEX_SIZE])
{
	struct pack_info info;
	struct error err = {0};
	char path[128];
	snprintf(path, sizeof path, "%s/own", root);
	if (pack_info_read(path, &info, &err))
		fail_msg("%s", err.text);
	strcpy(out, info.digest);
	pack_info_free(&info);
	return out;
}

/* What is no part of the family, or no content of a part, may come and go. */
static void test_strangers_are_not_in_the_digest(void **state)
{
	char before[SHA256_HEX_SIZE], now[SHA256_HEX_SIZE], path[128];
	(void)state;
	own_digest(before);
	snprintf(path, sizeof path, "%s/own/safety_checker", root);
	assert_int_equal(mkdir(path, 0700), 0);
	write_text("own/safety_checker/config.json", "{}");
	write_text("own/README.md", "a pack");
	write_text("own/sumi.png", "a picture");
	assert_string_equal(own_digest(now), before);
	write_text("own/more.json", "{}");
	assert_string_not_equal(own_digest(now), before);
}

/* Models of other kinds are told by what they are, not by what they lack. */
static void test_other_kinds_are_told_so(void **state)
{
	struct catalogue c;
	(void)state;
	write_text("own/model_index.json", "{\"_class_name\": \"FluxPipeline\", \"transformer\": "
					   "[\"diffusers\", \"FluxTransformer2DModel\"]}");
	assert_int_equal(catalogue_list(root, NULL, &c, NULL), SUMI_OK);
	int told = 0;
	for (int i = 0; i < c.problem_count; i++)
		told += strstr(c.problems[i], root) &&
			strstr(c.problems[i], "own/model_index.json: field '_class_name' is "
					      "'FluxPipeline', and such models are not supported");
	assert_int_equal(told, 1);
	catalogue_free(&c);
}

/* A pack that says nothing of itself is what its base is. */
static void test_the_family_of_a_base(void **state)
{
	struct pack_info info;
	struct error err = {0};
	char path[128];
	(void)state;
	snprintf(path, sizeof path, "%s/other", root);
	assert_int_equal(mkdir(path, 0700), 0);
	write_text("other/model_index.json", "{}");
	write_text("other/sumi.json", "{\"base\": \"own\"}");
	assert_int_equal(pack_info_read_plain(path, &info, &err), SUMI_OK);
	assert_string_equal(info.family->name, "Stable Diffusion");
	pack_info_free(&info);
	write_text("own/model_index.json", "{\"_class_name\": \"FluxPipeline\"}");
	assert_int_equal(pack_info_read_plain(path, &info, &err), SUMI_UNSUPPORTED);
	assert_non_null(strstr(err.text, "own/model_index.json: field '_class_name'"));
	write_text("other/model_index.json", "{\"_class_name\": \"StableDiffusionPipeline\"}");
	assert_int_equal(pack_info_read_plain(path, &info, &err), SUMI_OK);
	pack_info_free(&info);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_indices),
	    cmocka_unit_test(test_parts),
	    cmocka_unit_test(test_digests_stay),
	    cmocka_unit_test_setup_teardown(test_strangers_are_not_in_the_digest, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_other_kinds_are_told_so, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_the_family_of_a_base, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

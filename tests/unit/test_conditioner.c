/* What texts become: shapes from the configs, tokens beside reference vectors, long texts, texts
 * that are not there, and what is left after a failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diffusion/family.h"
#include "diffusion/pack.h"
#include "tests/unit/vector_file.h"

static struct device *device;
static struct pack_info info;
static struct conditioner *conditioner;

static void open_pack(const char *folder)
{
	struct error err = {0};
	if (pack_info_read_plain(folder, &info, &err) ||
	    conditioner_open(info.family->conditioner, device, &info, &conditioner, &err))
		fail_msg("%s", err.text);
}

static void close_pack(void)
{
	conditioner_close(conditioner);
	pack_info_free(&info);
	assert_int_equal(device->bytes_in_use, 0);
}

static struct conditions say(const char *negative, const char *prompt, int clip_skip)
{
	const char *const texts[2] = {negative, prompt};
	struct conditioner_input in = {
	    .texts = texts, .n = 2, .clip_skip = clip_skip, .width = 96, .height = 64};
	struct conditions out;
	struct error err = {0};
	if (conditioner_encode(conditioner, &in, &out, &err))
		fail_msg("%s", err.text);
	assert_int_equal(out.n, 2);
	return out;
}

static void test_shape(void **state)
{
	static const struct {
		const char *folder;
		int tokens, width, clip_skip, pooled, ids;
	} rows[] = {
	    {"tests/vectors/sd1-tiny", 77, 32, 1, 0, 0},
	    {"tests/vectors/sd2-tiny", 77, 40, 2, 0, 0},
	    {"tests/vectors/levels-tiny", 32, 24, 1, 0, 0},
	    {"tests/vectors/sdxl-tiny", 77, 72, 1, 24, 6},
	    {"tests/vectors/refiner-tiny", 77, 40, 2, 24, 5},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct conditioner_shape shape;
		struct pack_info read;
		assert_int_equal(pack_info_read_plain(rows[i].folder, &read, NULL), 0);
		assert_int_equal(conditioner_shape_read(read.family->conditioner, &read, &shape,
							NULL),
				 0);
		assert_int_equal(shape.tokens, rows[i].tokens);
		assert_int_equal(shape.width, rows[i].width);
		assert_int_equal(shape.clip_skip, rows[i].clip_skip);
		assert_int_equal(shape.pooled, rows[i].pooled);
		assert_int_equal(shape.ids, rows[i].ids);
		pack_info_free(&read);
	}
}

/* The first n numbers of out beside a tensor of the reference, which cuts what is longer than the
 * model's positions. */
static void check_tokens(struct tensor_file *dump, const char *name, const float *out)
{
	size_t n;
	float *wanted = vector_copy(dump, name, &n);
	double distance = vector_distance(out, wanted, n);
	if (!(distance < 1e-4))
		fail_msg("%s: %g from the reference", name, distance);
	free(wanted);
}

static void test_tokens(void **state)
{
	static const char *const packs[] = {"sd1-tiny", "sd2-tiny", "levels-tiny"};
	(void)state;
	for (size_t i = 0; i < sizeof packs / sizeof *packs; i++) {
		char path[128];
		snprintf(path, sizeof path, "tests/vectors/%s", packs[i]);
		open_pack(path);
		snprintf(path, sizeof path, "%s.json", packs[i]);
		json_t *spec = vector_json_open(path);
		snprintf(path, sizeof path, "%s.safetensors", packs[i]);
		struct tensor_file *dump = vector_file_open(path);
		const char *prompt = json_string_value(json_object_get(spec, "prompt"));
		const char *negative = json_string_value(json_object_get(spec, "negative_prompt"));
		struct conditions said = say(negative, prompt, 0);
		const struct condition *tokens = conditions_get(&said, CONDITION_TOKENS);
		size_t one = (size_t)tokens->rows * (size_t)tokens->width;
		check_tokens(dump, "negative.last_hidden", tokens->values);
		check_tokens(dump, "text.last_hidden", tokens->values + one);
		conditions_free(&said);
		said = say(negative, prompt, 1);
		check_tokens(dump, "text.penultimate_ln",
			     conditions_get(&said, CONDITION_TOKENS)->values + one);
		conditions_free(&said);
		tensors_close(dump);
		json_decref(spec);
		close_pack();
	}
}

/* Two encoders: what the reference gives to the UNet. */
static void check_pair(struct tensor_file *dump, const char *row, const char *text,
		       const struct conditions *said, int which)
{
	const struct condition *tokens = conditions_get(said, CONDITION_TOKENS);
	const struct condition *pooled = conditions_get(said, CONDITION_POOLED);
	char name[64];
	assert_int_equal(tokens->width, 72);
	assert_int_equal(pooled->width, 24);
	snprintf(name, sizeof name, "%s.%stokens", row, text);
	check_tokens(dump, name, tokens->values + which * tokens->rows * tokens->width);
	snprintf(name, sizeof name, "%s.%spooled", row, text);
	check_tokens(dump, name, pooled->values + which * pooled->width);
}

static void test_pairs(void **state)
{
	(void)state;
	json_t *spec = vector_json_open("sdxl-tiny.json");
	struct tensor_file *dump = vector_file_open("sdxl-tiny.safetensors");
	const char *prompt = json_string_value(json_object_get(spec, "prompt"));
	const char *negative = json_string_value(json_object_get(spec, "negative_prompt"));
	open_pack("tests/vectors/sdxl-tiny");
	for (int turn = 0; turn < 2; turn++) { /* from the encoders, and from their memory */
		struct conditions said = say(negative, prompt, 0), empty = say("", prompt, 0);
		struct conditions skipped = say(negative, prompt, 1), none = say(NULL, prompt, 0);
		check_pair(dump, "pair", "negative.", &said, 0);
		check_pair(dump, "pair", "", &said, 1);
		check_pair(dump, "pair.skip", "", &skipped, 1);
		check_pair(dump, "pair.empty", "negative.", &empty, 0);
		check_pair(dump, "pair", "", &none, 1);
		const struct condition *tokens = conditions_get(&none, CONDITION_TOKENS);
		for (int i = 0; i < tokens->rows * tokens->width; i++)
			assert_true(tokens->values[i] == 0);
		for (int i = 0; i < 24; i++)
			assert_true(conditions_get(&none, CONDITION_POOLED)->values[i] == 0);
		const struct condition *ids = conditions_get(&said, CONDITION_IDS);
		assert_int_equal(ids->width, 6);
		check_tokens(dump, "pair.ids", ids->values);
		check_tokens(dump, "pair.ids", ids->values + 6);
		conditions_free(&said);
		conditions_free(&empty);
		conditions_free(&skipped);
		conditions_free(&none);
		assert_true((device->bytes_in_use > 0) == (turn == 0));
		conditioner_unload(conditioner);
		assert_int_equal(device->bytes_in_use, 0);
	}
	tensors_close(dump);
	json_decref(spec);
	close_pack();
}

/* The second encoder alone: a score stands where the wanted size is elsewhere, and no text is an
 * empty one. */
static void test_the_second_alone(void **state)
{
	(void)state;
	json_t *spec = vector_json_open("refiner-tiny.json");
	struct tensor_file *dump = vector_file_open("refiner-tiny.safetensors");
	const char *prompt = json_string_value(json_object_get(spec, "prompt"));
	const char *negative = json_string_value(json_object_get(spec, "negative_prompt"));
	open_pack("tests/vectors/refiner-tiny");
	struct conditions said = say(negative, prompt, 0);
	check_tokens(dump, "refine.tokens", conditions_get(&said, CONDITION_TOKENS)->values);
	check_tokens(dump, "refine.pooled", conditions_get(&said, CONDITION_POOLED)->values);
	const struct condition *ids = conditions_get(&said, CONDITION_IDS);
	assert_int_equal(ids->width, 5);
	for (int i = 0; i < 2; i++) { /* of 96x64 here, and of another size there */
		const float row[5] = {64, 96, 0, 0, i ? 6.0f : 2.5f};
		assert_memory_equal(ids->values + 5 * i, row, sizeof row);
	}
	size_t count;
	float *theirs = vector_copy(dump, "refine.ids", &count);
	assert_int_equal(count, 10);
	assert_memory_equal(theirs + 2, ids->values + 2, 3 * sizeof(float));
	assert_memory_equal(theirs + 7, ids->values + 7, 3 * sizeof(float));
	conditions_free(&said);
	free(theirs);
	tensors_close(dump);
	json_decref(spec);
	close_pack();
}

/* A text that is longer than the model's positions makes the others as long. */
static void test_long_texts(void **state)
{
	char text[1200] = "";
	(void)state;
	for (int i = 0; i < 100; i++)
		strcat(text, "a tree, ");
	open_pack("tests/vectors/sd1-tiny");
	struct conditions said = say(text, "fog", 0), other = say("fog", text, 0);
	const struct condition *a = conditions_get(&said, CONDITION_TOKENS);
	const struct condition *b = conditions_get(&other, CONDITION_TOKENS);
	assert_true(a->rows > 77);
	assert_int_equal(a->rows % 77, 0);
	assert_int_equal(a->rows, b->rows);
	size_t one = (size_t)a->rows * (size_t)a->width;
	assert_memory_equal(a->values, b->values + one, one * sizeof(float));
	assert_memory_equal(a->values + one, b->values, one * sizeof(float));
	assert_null(conditions_get(&said, CONDITION_POOLED));
	conditions_free(&said);
	conditions_free(&other);
	close_pack();
}

/* Both encoders see as many chunks; the first one is pooled. */
static void test_long_pairs(void **state)
{
	char text[1200] = "";
	(void)state;
	for (int i = 0; i < 100; i++)
		strcat(text, "a tree, ");
	open_pack("tests/vectors/sdxl-tiny");
	struct conditions said = say("fog", text, 0);
	strcat(text, "and a house");
	struct conditions other = say("a house", text, 0);
	const struct condition *a = conditions_get(&said, CONDITION_TOKENS);
	const struct condition *b = conditions_get(&other, CONDITION_TOKENS);
	size_t one = (size_t)(a->rows * a->width);
	assert_true(a->rows > 77);
	assert_int_equal(a->rows % 77, 0);
	assert_memory_equal(a->values + one, b->values + (size_t)(b->rows * b->width),
			    77 * 72 * sizeof(float));
	a = conditions_get(&said, CONDITION_POOLED);
	b = conditions_get(&other, CONDITION_POOLED);
	assert_memory_equal(a->values + 24, b->values + 24, 24 * sizeof(float));
	assert_memory_not_equal(a->values, b->values, 24 * sizeof(float));
	conditions_free(&said);
	conditions_free(&other);
	close_pack();
}

static void test_a_text_that_is_not_given(void **state)
{
	(void)state;
	open_pack("tests/vectors/sd1-tiny");
	struct conditions absent = say(NULL, "fog", 0), empty = say("", "fog", 0);
	const struct condition *a = conditions_get(&absent, CONDITION_TOKENS);
	const struct condition *b = conditions_get(&empty, CONDITION_TOKENS);
	assert_memory_equal(a->values, b->values,
			    2 * (size_t)a->rows * (size_t)a->width * sizeof(float));
	conditions_free(&absent);
	conditions_free(&empty);
	close_pack();
}

static void test_nothing_is_left_of_a_failure(void **state)
{
	static const struct {
		const char *text;
		int n, clip_skip;
		const char *message;
	} rows[] = {
	    {"fog", 1, 2, "clip_skip is 2, the text encoder's 2 layers allow 0 to 1"},
	    {"fog\xff", 1, 0, "byte 3 (0xff) is not valid UTF-8"},
	    {"fog", 0, 0, "0 texts, allowed are 1 to 2"},
	    {"fog", 3, 0, "3 texts, allowed are 1 to 2"},
	};
	(void)state;
	open_pack("tests/vectors/sd1-tiny");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *const texts[3] = {rows[i].text, rows[i].text, rows[i].text};
		struct conditioner_input in = {
		    .texts = texts, .n = rows[i].n, .clip_skip = rows[i].clip_skip};
		struct conditions out;
		struct error err = {0};
		assert_int_equal(conditioner_encode(conditioner, &in, &out, &err), SUMI_INVALID);
		assert_non_null(strstr(err.text, rows[i].message));
		assert_int_equal(out.count, 0);
	}
	close_pack();
}

static void test_conditions(void **state)
{
	struct conditions c = {.n = 2};
	struct condition *added;
	struct error err = {0};
	(void)state;
	static const char *const names[CONDITIONS_MAX + 1] = {CONDITION_TOKENS, CONDITION_POOLED,
							      CONDITION_IDS,    "a", "b", "c", "d"};
	for (int i = 0; i < CONDITIONS_MAX; i++) {
		assert_int_equal(conditions_add(&c, names[i], 3, 2, &added, &err), SUMI_OK);
		for (int k = 0; k < 2 * 3 * 2; k++)
			assert_true(added->values[k] == 0);
		assert_ptr_equal(conditions_get(&c, names[i]), added);
	}
	assert_int_equal(conditions_add(&c, names[CONDITIONS_MAX], 3, 2, &added, &err),
			 SUMI_INTERNAL);
	assert_non_null(strstr(err.text, "'d'"));
	assert_null(conditions_get(&c, "mask"));
	conditions_free(&c);
	assert_int_equal(c.count, 0);
}

static int open_device(void **state)
{
	(void)state;
	return device_open("reference", &device, NULL);
}

static int close_device(void **state)
{
	(void)state;
	device_close(device);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_shape),
	    cmocka_unit_test(test_tokens),
	    cmocka_unit_test(test_pairs),
	    cmocka_unit_test(test_the_second_alone),
	    cmocka_unit_test(test_long_texts),
	    cmocka_unit_test(test_long_pairs),
	    cmocka_unit_test(test_a_text_that_is_not_given),
	    cmocka_unit_test(test_nothing_is_left_of_a_failure),
	    cmocka_unit_test(test_conditions),
	};
	return cmocka_run_group_tests(tests, open_device, close_device);
}

/* The random streams against torch's, CUDA's and Random123's. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diffusion/rng.h"
#include "tests/unit/vector_file.h"

#define NORMAL_TOLERANCE 2e-6

static const uint64_t seeds[] = {
    0, 1, 42, UINT64_C(1) << 31, (UINT64_C(1) << 63) - 1, UINT64_C(12345678901)};
#define SEEDS (sizeof seeds / sizeof *seeds)

static void compare(const struct tensor_file *file, const char *name, const float *got, size_t n)
{
	size_t count;
	float *want = vector_copy(file, name, &count);
	assert_int_equal(count, n);
	for (size_t i = 0; i < n; i++)
		if (!(fabs((double)got[i] - want[i]) <= NORMAL_TOLERANCE))
			fail_msg("%s[%zu] is %.9g, want %.9g", name, i, (double)got[i],
				 (double)want[i]);
	free(want);
}

static void mt19937_is_exact(void **state)
{
	(void)state;
	json_t *root = vector_json_open("rng.json"), *row;
	size_t index, checked = 0;
	json_array_foreach(json_object_get(root, "mt19937"), index, row)
	{
		struct rng rng;
		uint32_t mixed = 0;
		rng_init(&rng, RNG_TORCH,
			 strtoull(json_string_value(json_object_get(row, "seed")), NULL, 10));
		for (size_t i = 0; i < 1300; i++) {
			uint32_t word = rng_mt_next(&rng);
			const char *list = i < 16 ? "first" : i >= 1240 ? "from_1240" : "from_616";
			size_t start = i < 16 ? 0 : i >= 1240 ? 1240 : 616;
			mixed ^= word;
			if (i < start || i >= start + 16)
				continue;
			const json_t *want = json_array_get(json_object_get(row, list), i - start);
			assert_int_equal(word, json_integer_value(want));
			checked++;
		}
		assert_int_equal(mixed, json_integer_value(json_object_get(row, "xor_1300")));
	}
	assert_int_equal(checked, SEEDS * 48);
	json_decref(root);
}

static void randn_equals_torch(void **state)
{
	(void)state;
	static const size_t sizes[] = {1, 5, 15, 16, 17, 64, 257};
	struct tensor_file *file = vector_file_open("rng.safetensors");
	for (size_t s = 0; s < SEEDS; s++) {
		for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
			char name[64];
			float out[257];
			struct rng rng;
			rng_init(&rng, RNG_TORCH, seeds[s]);
			rng_randn(&rng, out, sizes[k]);
			snprintf(name, sizeof name, "randn.%llu.%zu", (unsigned long long)seeds[s],
				 sizes[k]);
			compare(file, name, out, sizes[k]);
		}
	}
	tensors_close(file);
}

static void large_randn_equals_torch(void **state)
{
	(void)state;
	struct tensor_file *file = vector_file_open("rng.safetensors");
	json_t *root = vector_json_open("rng.json"), *row;
	size_t index;
	json_array_foreach(json_object_get(root, "sums"), index, row)
	{
		const char *seed = json_string_value(json_object_get(row, "seed"));
		size_t n = (size_t)json_integer_value(json_object_get(row, "size"));
		double sum = 0, absolute = 0;
		char name[64];
		float *out = malloc(n * sizeof *out);
		struct rng rng;
		assert_non_null(out);
		rng_init(&rng, RNG_TORCH, strtoull(seed, NULL, 10));
		rng_randn(&rng, out, n);
		for (size_t i = 0; i < n; i++) {
			sum += out[i];
			absolute += fabs((double)out[i]);
		}
		snprintf(name, sizeof name, "randn.%s.%zu.first32", seed, n);
		compare(file, name, out, 32);
		snprintf(name, sizeof name, "randn.%s.%zu.last32", seed, n);
		compare(file, name, out + n - 32, 32);
		assert_true(fabs(sum - json_number_value(json_object_get(row, "sum"))) < 1e-3);
		assert_true(fabs(absolute - json_number_value(json_object_get(row, "sum_abs"))) <
			    1e-3);
		free(out);
	}
	assert_int_equal(index, SEEDS);
	json_decref(root);
	tensors_close(file);
}

static void calls_share_one_stream(void **state)
{
	(void)state;
	static const size_t sizes[] = {5, 3, 17, 3, 16, 1, 1, 20, 2};
	struct tensor_file *file = vector_file_open("rng.safetensors");
	for (int s = 0; s <= 42; s += 42) {
		struct rng rng;
		rng_init(&rng, RNG_TORCH, (uint64_t)s);
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			char name[64];
			float out[20];
			rng_randn(&rng, out, sizes[i]);
			snprintf(name, sizeof name, "calls.%d.%zu", s, i);
			compare(file, name, out, sizes[i]);
		}
	}
	tensors_close(file);
}

static void philox_known_answers(void **state)
{
	(void)state;
	json_t *root = vector_json_open("rng.json"), *row;
	size_t index;
	json_array_foreach(json_object_get(root, "philox4x32_10"), index, row)
	{
		uint32_t in[6], out[4];
		for (size_t i = 0; i < 6; i++) {
			const json_t *list = json_object_get(row, i < 4 ? "counter" : "key");
			in[i] =
			    (uint32_t)json_integer_value(json_array_get(list, i < 4 ? i : i - 4));
		}
		rng_philox(in, in + 4, out);
		for (size_t i = 0; i < 4; i++)
			assert_int_equal(out[i], json_integer_value(json_array_get(
						     json_object_get(row, "result"), i)));
	}
	assert_int_equal(index, 3);
	json_decref(root);
}

static void philox_equals_cuda(void **state)
{
	(void)state;
	struct tensor_file *file = vector_file_open("rng.safetensors");
	for (size_t s = 0; s < SEEDS; s++) {
		struct rng rng;
		rng_init(&rng, RNG_PHILOX, seeds[s]);
		for (int call = 0; call < 3; call++) {
			char name[64];
			float out[64];
			rng_randn(&rng, out, 64);
			snprintf(name, sizeof name, "philox.%llu.%d.64",
				 (unsigned long long)seeds[s], call);
			compare(file, name, out, 64);
		}
	}
	tensors_close(file);
}

/* Saves after some draws, goes on with both, and compares the bytes of everything. */
static void check_saved(enum rng_kind kind, size_t before)
{
	struct rng rng, other;
	struct error err = {0};
	struct bytes_writer saved = {0}, again = {0};
	float a[40], b[40];
	rng_init(&rng, kind, 99);
	rng_init(&other, RNG_TORCH, 1);
	if (before)
		rng_randn(&rng, a, before);
	rng_save(&rng, &saved);
	struct bytes_reader r = {.data = saved.data, .size = saved.size};
	assert_int_equal(rng_restore(&other, &r, &err), SUMI_OK);
	assert_true(bytes_complete(&r));
	rng_save(&other, &again);
	assert_int_equal(again.size, saved.size);
	assert_memory_equal(again.data, saved.data, saved.size);
	for (size_t n = 3; n <= 40; n += 37) {
		rng_randn(&rng, a, n);
		rng_randn(&other, b, n);
		assert_memory_equal(a, b, n * sizeof *a);
	}
	free(saved.data);
	free(again.data);
}

static void saved_streams_go_on(void **state)
{
	(void)state;
	static const size_t before[] = {0, 1, 2, 3, 16, 40};
	for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
		check_saved(RNG_TORCH, before[i]);
		check_saved(RNG_PHILOX, before[i]);
	}
}

static void damaged_states_are_refused(void **state)
{
	(void)state;
	struct rng rng;
	struct error err = {0};
	struct bytes_writer saved = {0};
	rng_init(&rng, RNG_TORCH, 5);
	rng_save(&rng, &saved);
	for (size_t size = 0; size < saved.size; size += 100) {
		struct bytes_reader r = {.data = saved.data, .size = size};
		assert_int_equal(rng_restore(&rng, &r, &err), SUMI_CORRUPT);
	}
	static const size_t at[] = {0, 4, 16 + 4 * RNG_MT_WORDS + 1, 20 + 4 * RNG_MT_WORDS};
	for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
		unsigned char was = saved.data[at[i]];
		struct bytes_reader r = {.data = saved.data, .size = saved.size};
		saved.data[at[i]] = 0x77;
		assert_int_equal(rng_restore(&rng, &r, &err), SUMI_CORRUPT);
		saved.data[at[i]] = was;
	}
	struct bytes_writer now = {0};
	rng_save(&rng, &now);
	assert_int_equal(now.size, saved.size);
	assert_memory_equal(now.data, saved.data, saved.size);
	free(now.data);
	free(saved.data);
}

static void names(void **state)
{
	(void)state;
	enum rng_kind kind = RNG_PHILOX;
	struct error err = {0};
	assert_int_equal(rng_kind_from_name(NULL, &kind, &err), SUMI_OK);
	assert_int_equal(kind, RNG_TORCH);
	assert_int_equal(rng_kind_from_name("philox", &kind, &err), SUMI_OK);
	assert_int_equal(kind, RNG_PHILOX);
	assert_int_equal(rng_kind_from_name("dice", &kind, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "torch"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(mt19937_is_exact),
	    cmocka_unit_test(randn_equals_torch),
	    cmocka_unit_test(large_randn_equals_torch),
	    cmocka_unit_test(calls_share_one_stream),
	    cmocka_unit_test(philox_known_answers),
	    cmocka_unit_test(philox_equals_cuda),
	    cmocka_unit_test(saved_streams_go_on),
	    cmocka_unit_test(damaged_states_are_refused),
	    cmocka_unit_test(names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Rounding to blocks: to the byte as the gguf package does it, and for K types as near as they can be. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/vector_file.h"
#include "weights/quantise.h"

static void *read_all(const struct tensor_file *file, const char *name, size_t *bytes)
{
	const struct tensor_entry *e = tensors_find(file, name);
	assert_non_null(e);
	void *data = malloc(e->bytes);
	assert_non_null(data);
	assert_int_equal(tensors_read(file, e, data, NULL), 0);
	*bytes = e->bytes;
	return data;
}

static void test_bytes(void **state)
{
	static const char *const names[] = {"q8_0", "q5_1", "q5_0", "q4_1", "q4_0"};
	(void)state;
	struct tensor_file *file = vector_file_open("rounded.safetensors");
	size_t size, wanted;
	float *x = read_all(file, "values", &size);
	size_t n = size / sizeof *x;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const struct quantiser *q;
		assert_int_equal(quantiser_named(names[i], &q, NULL), 0);
		unsigned char *want = read_all(file, names[i], &wanted), *got = malloc(wanted);
		assert_int_equal(format_row_bytes(q->dtype, n), wanted);
		quantise(q, x, n, got);
		for (size_t k = 0; k < wanted; k++)
			if (got[k] != want[k])
				fail_msg("%s: byte %zu is %d, should be %d", names[i], k, got[k], want[k]);
		free(want);
		free(got);
	}
	free(x);
	tensors_close(file);
}

/* Approximately normal: the sum of four uniform numbers. */
static float random_value(uint32_t *state)
{
	float sum = 0;
	for (int i = 0; i < 4; i++)
		sum += (float)((*state = *state * 1664525u + 1013904223u) >> 8) * 0x1p-24f - 0.5f;
	return sum;
}

static double error_of(const struct quantiser *q, const float *x, size_t n)
{
	unsigned char *bytes = malloc(format_row_bytes(q->dtype, n));
	float *y = malloc(n * sizeof *y);
	double error = 0, energy = 0;
	assert_non_null(bytes);
	assert_non_null(y);
	quantise(q, x, n, bytes);
	format_expand(q->dtype, bytes, n, y);
	for (size_t i = 0; i < n; i++) {
		error += pow((double)y[i] - (double)x[i], 2);
		energy += (double)x[i] * (double)x[i];
	}
	free(y);
	free(bytes);
	return energy > 0 ? error / energy : error;
}

/* Squared errors of normal numbers: ggml's are 0.0833, 0.0212, 0.00473, 0.00123 and 0.000292. Blocks that are
 * odd: zeros, one number, equal ones of either sign, ones that half precision barely holds, and one
 * that is a thousand times the others. */
static void test_near(void **state)
{
	static const struct {
		const char *name;
		double most;
	} rows[] = {{"q2_K", 0.0680},
		  {"q3_K", 0.0195},
		  {"q4_K", 0.00473},
		  {"q5_K", 0.001215},
		  {"q6_K", 0.000281}};
	enum { N = 64 * 256 };
	float *x = malloc(N * sizeof *x), *odd = calloc(6 * 256, sizeof *odd);
	uint32_t random = 7;
	(void)state;
	assert_non_null(x);
	assert_non_null(odd);
	for (int i = 0; i < N; i++)
		x[i] = 0.03f * random_value(&random);
	odd[256 + 77] = -3;
	for (int i = 0; i < 256; i++) {
		odd[2 * 256 + i] = 0.25f;
		odd[3 * 256 + i] = -0.25f;
		odd[4 * 256 + i] = 1e-4f * random_value(&random);
		odd[5 * 256 + i] = (i == 100 ? 1000 : 1) * random_value(&random);
	}
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct quantiser *q;
		assert_int_equal(quantiser_named(rows[i].name, &q, NULL), 0);
		double error = error_of(q, x, N);
		if (error > rows[i].most)
			fail_msg("%s: %.4g of the energy, at most %.4g", rows[i].name, error, rows[i].most);
		for (int b = 0; b < 6; b++) {
			error = error_of(q, odd + 256 * b, 256);
			if (!(error <= (b == 4 ? 0.2 : 0.1)))
				fail_msg("%s: block %d is %.4g off", rows[i].name, b, error);
		}
	}
	free(odd);
	free(x);
}

static void test_rows_that_are_no_blocks(void **state)
{
	const struct quantiser *k, *small;
	(void)state;
	assert_int_equal(quantiser_named("q4_k", &k, NULL), 0);
	assert_int_equal(quantiser_named("q5_0", &small, NULL), 0);
	assert_ptr_equal(quantiser_for_rows(k, 1280), k);
	assert_ptr_equal(quantiser_for_rows(k, 320), small);
	assert_null(quantiser_for_rows(k, 100));
	assert_null(quantiser_for_rows(small, 100));
}

static void test_names(void **state)
{
	(void)state;
	const struct quantiser *q;
	struct error err = {0};
	assert_int_equal(quantiser_named("Q8_0", &q, &err), 0);
	assert_int_equal(quantiser_named("iq4_nl", &q, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "q8_0, q6_K"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_bytes), cmocka_unit_test(test_near),
					   cmocka_unit_test(test_rows_that_are_no_blocks),
					   cmocka_unit_test(test_names)};
	return cmocka_run_group_tests_name("quantise", tests, NULL, NULL);
}

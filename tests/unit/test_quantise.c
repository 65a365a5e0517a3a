/* Rounding to blocks, to the byte as the gguf package does it. */
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

static void test_names(void **state)
{
	(void)state;
	const struct quantiser *q;
	struct error err = {0};
	assert_int_equal(quantiser_named("Q8_0", &q, &err), 0);
	assert_int_equal(quantiser_named("q4_K", &q, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "q8_0, q5_1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_bytes), cmocka_unit_test(test_names)};
	return cmocka_run_group_tests_name("quantise", tests, NULL, NULL);
}

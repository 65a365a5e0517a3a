/* Formats of weights: their table, and their numbers as other programs read them. */
#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/backend.h"
#include "tests/unit/vector_file.h"

static void test_sizes(void **state)
{
	(void)state;
	static const struct {
		enum dtype dtype;
		size_t n, bytes;
	} rows[] = {
	    {DTYPE_F32, 7, 28},      {DTYPE_F16, 7, 14},     {DTYPE_BF16, 1, 2},
	    {DTYPE_F8_E4M3, 7, 7},   {DTYPE_F8_E5M2, 7, 7},  {DTYPE_Q8_0, 64, 68},
	    {DTYPE_Q4_0, 64, 36},    {DTYPE_Q4_1, 64, 40},   {DTYPE_Q5_0, 64, 44},
	    {DTYPE_Q5_1, 64, 48},    {DTYPE_Q2_K, 512, 168}, {DTYPE_Q3_K, 512, 220},
	    {DTYPE_Q4_K, 512, 288},  {DTYPE_Q5_K, 512, 352}, {DTYPE_Q6_K, 512, 420},
	    {DTYPE_IQ4_NL, 64, 36},  {DTYPE_IQ4_XS, 512, 272},
	    /* no whole blocks */
	    {DTYPE_Q8_0, 33, 0},     {DTYPE_Q4_K, 128, 0},
	    /* more than memory has */
	    {DTYPE_F32, SIZE_MAX / 2, 0}, {DTYPES, 32, 0},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_int_equal(format_row_bytes(rows[i].dtype, rows[i].n), rows[i].bytes);
	assert_null(format_info(DTYPES));
	assert_null(format_info((enum dtype) - 1));
	for (int i = 0; i < DTYPES; i++)
		for (int j = 0; j < i; j++)
			assert_string_not_equal(format_info((enum dtype)i)->name,
						format_info((enum dtype)j)->name);
}

/* NAME.blocks or NAME.values of the vectors, which the caller frees. */
static void *vector(const struct tensor_file *file, const char *name, const char *part,
		    size_t *bytes)
{
	char full[64];
	struct error err;
	snprintf(full, sizeof full, "%s.%s", name, part);
	for (char *c = full; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	const struct tensor_entry *e = tensors_find(file, full);
	if (!e)
		fail_msg("%s is missing", full);
	void *data = malloc(e->bytes);
	assert_non_null(data);
	assert_int_equal(tensors_read(file, e, data, &err), 0);
	*bytes = e->bytes;
	return data;
}

static void compare(const char *name, const float *got, const float *want, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (memcmp(&got[i], &want[i], sizeof *got) != 0 &&
		    !(isnan(got[i]) && isnan(want[i])))
			fail_msg("%s: number %zu is %a, should be %a", name, i, (double)got[i],
				 (double)want[i]);
}

static void test_numbers(void **state)
{
	(void)state;
	struct tensor_file *file = vector_file_open("formats.safetensors");
	for (int i = DTYPE_BF16 + 1; i < DTYPES; i++) {
		const struct block_format *f = format_info((enum dtype)i);
		size_t size, values_size;
		unsigned char *data = vector(file, f->name, "blocks", &size), *odd;
		float *want = vector(file, f->name, "values", &values_size), *got;
		size_t n = values_size / sizeof *want;
		assert_int_equal(size, format_row_bytes((enum dtype)i, n));
		got = malloc(values_size);
		odd = malloc(size + 1);
		assert_non_null(got);
		assert_non_null(odd);
		memcpy(odd + 1, data, size);
		format_expand((enum dtype)i, odd + 1, n, got);
		compare(f->name, got, want, n);
		free(odd);
		free(got);
		free(want);
		free(data);
	}
	tensors_close(file);
}

/* A table of one column of blocks on the reference device gives the same numbers. */
static void test_reference(void **state)
{
	(void)state;
	struct tensor_file *file = vector_file_open("formats.safetensors");
	struct device *d;
	struct error err;
	assert_int_equal(device_open("reference", &d, &err), 0);
	for (int i = DTYPE_Q8_0; i < DTYPES; i++) {
		const struct block_format *f = format_info((enum dtype)i);
		size_t size, values_size;
		void *data = vector(file, f->name, "blocks", &size);
		float *want = vector(file, f->name, "values", &values_size), got[512];
		int32_t ids[] = {3, 0};
		struct weight_desc desc = {.data = data, .dtype = (enum dtype)i, .cout = 8};
		desc.cin = 256;
		desc.kernel = 1;
		desc.table = true;
		struct weight *table;
		struct buffer *out;
		struct embedding_args a = {.n = 1, .ids = ids};
		assert_true(device_takes_format(d, desc.dtype, 1));
		assert_int_equal(device_weight_new(d, &desc, &table, &err), 0);
		assert_int_equal(device_buffer_new(d, sizeof got, &out, &err), 0);
		a.table = table;
		a.y = (struct tensor){.buffer = out, .rows = 2, .c = 256, .ld = 256};
		assert_int_equal(device_embedding(d, &a, &err), 0);
		assert_int_equal(device_read(d, out, 0, got, sizeof got, &err), 0);
		compare(f->name, got, want + 3 * 256, 256);
		compare(f->name, got + 256, want, 256);
		device_buffer_free(d, out);
		device_weight_free(d, table);
		free(want);
		free(data);
	}
	device_close(d);
	tensors_close(file);
}

static void test_refusals(void **state)
{
	(void)state;
	static const struct {
		struct weight_desc desc;
		const char *says;
	} bad[] = {
	    {{.dtype = DTYPES, .cout = 1, .cin = 32, .kernel = 1}, "is none"},
	    {{.dtype = DTYPE_Q8_0, .cout = 1, .cin = 48, .kernel = 1}, "no whole blocks of q8_0"},
	    {{.dtype = DTYPE_Q4_K, .cout = 1, .cin = 32, .kernel = 1}, "no whole blocks of q4_K"},
	    {{.dtype = DTYPE_Q8_0, .cout = 1, .cin = 32, .kernel = 3}, "across the taps"},
	};
	unsigned char data[1024] = {0};
	struct device *d;
	struct error err;
	assert_int_equal(device_open("reference", &d, &err), 0);
	assert_false(device_takes_format(d, DTYPES, 1));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct weight_desc desc = bad[i].desc;
		struct weight *w;
		desc.data = data;
		assert_true(device_weight_new(d, &desc, &w, &err) < 0);
		if (!strstr(err.text, bad[i].says))
			fail_msg("\"%s\" does not say \"%s\"", err.text, bad[i].says);
	}
	device_close(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_reference),
	    cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

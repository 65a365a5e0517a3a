/* Products of whole numbers (precision int8): what is not finite stays so, and a picture's bytes do not
 * depend on those that are computed beside it. With the instruction emulated, on any processor. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/backend.h"

enum { PICTURES = 3, ROWS = 17, CIN = 64, COUT = 33, BLOCKS = CIN / 32, BLOCK_BYTES = 34 };

static struct device *device;
static struct weight *weight;
static float x[PICTURES * ROWS * CIN], y[PICTURES * ROWS * COUT];

static int set_up(void **state)
{
	struct error err;
	struct device_info list[8];
	static unsigned char data[COUT * BLOCKS * BLOCK_BYTES];
	uint32_t random = 1;
	(void)state;
	int n = device_list(list, 8, &err);
	for (int i = 0; i < n && i < 8 && !device; i++)
		if (list[i].is_cpu && strncmp(list[i].selector, "opencl:", 7) == 0 &&
		    device_open(list[i].selector, &device, &err))
			return -1;
	if (!device)
		return 0;
	for (size_t i = 0; i < sizeof data; i++) {
		random = random * 1664525u + 1013904223u;
		data[i] = (unsigned char)(random >> 24);
	}
	for (size_t i = 0; i < sizeof data; i += BLOCK_BYTES)
		memcpy(data + i, "\x00\x24", 2); /* a factor of 1/64 */
	struct weight_desc desc = {
	    .data = data, .dtype = DTYPE_Q8_0, .cout = COUT, .cin = CIN, .kernel = 1};
	if (device_set_precision(device, PRECISION_INT8, &err) ||
	    device_weight_new(device, &desc, &weight, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return -1;
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (device)
		device_weight_free(device, weight);
	device_close(device);
	return 0;
}

static void fill(void)
{
	uint32_t random = 2;
	for (size_t i = 0; i < PICTURES * ROWS * CIN; i++) {
		random = random * 1664525u + 1013904223u;
		x[i] = (float)(int32_t)random * 0x1p-31f;
	}
}

/* Pictures [first, first + n) of x to y. */
static void multiply(int first, int n)
{
	size_t rows = (size_t)n * ROWS;
	struct linear_args a = {.x = {.rows = rows, .c = CIN, .ld = CIN, .dtype = DTYPE_F32},
				.y = {.rows = rows, .c = COUT, .ld = COUT, .dtype = DTYPE_F32},
				.n = n,
				.weight = weight};
	size_t in = rows * CIN * sizeof *x, out = rows * COUT * sizeof *y;
	assert_int_equal(device_buffer_of(device, x + first * ROWS * CIN, in, &a.x.buffer, NULL), 0);
	assert_int_equal(device_buffer_new(device, out, &a.y.buffer, NULL), 0);
	assert_int_equal(device_linear(device, &a, NULL), 0);
	assert_int_equal(device_read(device, a.y.buffer, 0, y + first * ROWS * COUT, out, NULL), 0);
	device_buffer_free(device, a.y.buffer);
	device_buffer_free(device, a.x.buffer);
}

static void test_not_finite(void **state)
{
	static const float bad[] = {INFINITY, -INFINITY, NAN};
	(void)state;
	if (!device)
		skip();
	fill();
	for (int i = 0; i < 3; i++)
		x[(2 + 5 * i) * CIN + 7 + 9 * i] = bad[i];
	multiply(0, 1);
	for (int r = 0; r < ROWS; r++)
		for (int c = 0; c < COUT; c++) {
			bool finite = isfinite(y[r * COUT + c]), wanted = r % 5 != 2 || r > 12;
			if (finite != wanted)
				fail_msg("row %d channel %d is %g", r, c, (double)y[r * COUT + c]);
		}
}

/* Rows of zeros and of the smallest numbers are no divisions by zero. */
static void test_small(void **state)
{
	(void)state;
	if (!device)
		skip();
	memset(x, 0, sizeof x);
	for (int i = 0; i < CIN; i++) {
		x[CIN + i] = 1e-39f;
		x[2 * CIN + i] = 1e-30f;
	}
	multiply(0, 1);
	for (int i = 0; i < ROWS * COUT; i++)
		assert_true(fabsf(y[i]) <= (i < 2 * COUT ? 1e-28f : i < 3 * COUT ? 1e-26f : 0.0f));
}

static void test_together(void **state)
{
	static float alone[PICTURES * ROWS * COUT];
	(void)state;
	if (!device)
		skip();
	fill();
	for (int i = 0; i < PICTURES; i++)
		multiply(i, 1);
	memcpy(alone, y, sizeof alone);
	multiply(0, PICTURES);
	assert_memory_equal(y, alone, sizeof alone);
}

int main(void)
{
	char cache[256];
	const char *build = getenv("BUILD");
	snprintf(cache, sizeof cache, "%.200s/test-cache", build ? build : "build");
	setenv("SUMI_CACHE_DIR", cache, 0);
	setenv("SUMI_KERNELS", "cpu8-emulated", 1);
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_not_finite),
					   cmocka_unit_test(test_small),
					   cmocka_unit_test(test_together)};
	return cmocka_run_group_tests_name("fours", tests, set_up, tear_down);
}

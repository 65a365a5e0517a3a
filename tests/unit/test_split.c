/* Numbers as sums of two bfloat16 (SUMI_KERNELS=cpu16-amx-split): three products of them stand for
 * one of sixteen bits. Each rest is at most 2⁻⁸ of its number, and what its rounding loses at most
 * 2⁻¹⁶; the product of both rests is left out: 3 · 2⁻¹⁶ of the sum of all products' sizes, and some
 * for the sums in float. With the instruction emulated, on any processor. */
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
#include "base/half.h"

/* CIN: three steps of a sum, none of them whole pairs of tiles. */
enum { ROWS = 33, CIN = 351, COUT = 35 };
#define BOUND (3.02 * 0x1p-16 + 3.0 * CIN * 0x1p-24)

static uint16_t weights[COUT * CIN];
static float x[ROWS * CIN], y[ROWS * COUT];

static void fill(void)
{
	uint32_t random = 3;
	for (int i = 0; i < ROWS * CIN; i++) {
		random = random * 1664525u + 1013904223u;
		x[i] = (float)(int32_t)random * 0x1p-31f;
	}
	for (int i = 0; i < COUT * CIN; i++) {
		random = random * 1664525u + 1013904223u;
		weights[i] = half_from_float((float)(int32_t)random * 0x1p-31f);
	}
}

/* The worst error, in units of the sum of its products' sizes; negative: there is no such device.
 */
static double worst_error(const char *kernels)
{
	struct device_info list[8];
	struct device *device = NULL;
	struct weight *weight;
	struct error err;
	double worst = 0;
	setenv("SUMI_KERNELS", kernels, 1);
	int n = device_list(list, 8, &err);
	for (int i = 0; i < n && i < 8 && !device; i++)
		if (list[i].is_cpu && strncmp(list[i].selector, "opencl:", 7) == 0)
			assert_int_equal(device_open(list[i].selector, &device, &err), 0);
	if (!device)
		return -1;
	fill();
	struct weight_desc desc = {
	    .data = weights, .dtype = DTYPE_F16, .cout = COUT, .cin = CIN, .kernel = 1};
	struct linear_args a = {.x = {.rows = ROWS, .c = CIN, .ld = CIN, .dtype = DTYPE_F32},
				.y = {.rows = ROWS, .c = COUT, .ld = COUT, .dtype = DTYPE_F32},
				.n = 1};
	assert_int_equal(device_set_precision(device, PRECISION_HALF, &err), 0);
	assert_int_equal(device_weight_new(device, &desc, &weight, &err), 0);
	a.weight = weight;
	assert_int_equal(device_buffer_of(device, x, sizeof x, &a.x.buffer, NULL), 0);
	assert_int_equal(device_buffer_new(device, sizeof y, &a.y.buffer, NULL), 0);
	assert_int_equal(device_linear(device, &a, NULL), 0);
	assert_int_equal(device_read(device, a.y.buffer, 0, y, sizeof y, NULL), 0);
	for (int r = 0; r < ROWS; r++)
		for (int c = 0; c < COUT; c++) {
			double sum = 0, size = 0;
			for (int k = 0; k < CIN; k++) {
				double product = (double)x[r * CIN + k] *
						 (double)half_to_float(weights[c * CIN + k]);
				sum += product;
				size += fabs(product);
			}
			worst = fmax(worst, fabs((double)y[r * COUT + c] - sum) / size);
		}
	device_buffer_free(device, a.y.buffer);
	device_buffer_free(device, a.x.buffer);
	device_weight_free(device, weight);
	device_close(device);
	return worst;
}

static void test_bound(void **state)
{
	(void)state;
	double worst = worst_error("cpu16-amx-split-emulated");
	if (worst < 0)
		skip();
	if (!(worst <= BOUND))
		fail_msg("the worst error is %g, more than %g", worst, BOUND);
	/* Were one product alone within it, the bound would mean nothing. */
	worst = worst_error("cpu16-amx-emulated");
	if (!(worst > 2 * BOUND))
		fail_msg("one product's worst error is %g", worst);
}

/* A word that nobody knows, and a width that a way is not for, are told: nothing else is taken for
 * them. */
static void test_refused(void **state)
{
	static const char *const words[] = {"cpu16-nothing", "cpu8-amx-emulated",  "cpu17", "CPU",
					    "gpu-emulated",  "cpu16-emulated-amx", "mma"};
	static const char *const known[] = {"",          "cpu", "cpu-emulated", "cpu8-arm-sdot",
					    "cpu16-amx", "gpu"};
	struct device *device;
	struct error err;
	(void)state;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		setenv("SUMI_KERNELS", known[i], 1);
		if (device_open("opencl:0", &device, &err) != SUMI_OK)
			skip();
		device_close(device);
	}
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		setenv("SUMI_KERNELS", words[i], 1);
		assert_int_equal(device_open("opencl:0", &device, &err), SUMI_INVALID);
		assert_non_null(strstr(err.text, words[i]));
	}
	unsetenv("SUMI_KERNELS");
}

int main(void)
{
	char cache[256];
	const char *build = getenv("BUILD");
	snprintf(cache, sizeof cache, "%.200s/test-cache", build ? build : "build");
	setenv("SUMI_CACHE_DIR", cache, 0);
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_bound),
					   cmocka_unit_test(test_refused)};
	return cmocka_run_group_tests_name("split", tests, NULL, NULL);
}

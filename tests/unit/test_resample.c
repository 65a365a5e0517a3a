/* Other sizes, beside what torch 2.13's interpolate and PIL 13's resize made of the same numbers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/resample.h"

enum { H = 7, W = 9, C = 2, MOST = 14 * 21 };

static const struct {
	enum resample how;
	int h, w;
	double first, last, inner, sum, sizes; /* inner: row 2, column 3 */
} rows[] = {
    {RESAMPLE_NEAREST, 14, 18, 0.0, -0.987756, -0.961397, -0.492651, 159.281647},
    {RESAMPLE_NEAREST, 5, 4, 0.0, -0.953484, 0.04069, -0.61675, 11.510318},
    {RESAMPLE_NEAREST, 7, 21, 0.0, -0.987756, 0.773327, -0.417512, 92.850983},
    {RESAMPLE_NEAREST_EXACT, 14, 18, 0.0, -0.987756, -0.961397, -0.492651, 159.281647},
    {RESAMPLE_NEAREST_EXACT, 5, 4, 0.991665, -0.027444, 0.949405, -0.490649, 13.008754},
    {RESAMPLE_NEAREST_EXACT, 7, 21, 0.0, -0.987756, 0.773327, -0.412252, 92.925636},
    {RESAMPLE_LINEAR, 14, 18, 0.0, -0.987756, -0.398757, -0.49265, 75.325485},
    {RESAMPLE_LINEAR, 5, 4, 0.405413, -0.193966, 0.664296, 0.075469, 5.499755},
    {RESAMPLE_LINEAR, 7, 21, 0.0, -0.987756, 0.773327, -0.305218, 75.598351},
    {RESAMPLE_CUBIC, 14, 18, -0.172572, -1.297703, -0.752675, -0.365665, 120.277641},
    {RESAMPLE_CUBIC, 5, 4, 0.517118, -0.234942, 0.827392, -0.051204, 7.314594},
    {RESAMPLE_CUBIC, 7, 21, -0.108418, -1.092746, 0.773327, -0.283137, 90.044586},
    {RESAMPLE_SMOOTH_LINEAR, 14, 18, 0.0, -0.987756, -0.398757, -0.492651, 75.325485},
    {RESAMPLE_SMOOTH_LINEAR, 5, 4, 0.151105, -0.018502, 0.118117, -0.030336, 1.226095},
    {RESAMPLE_SMOOTH_LINEAR, 7, 21, 0.0, -0.987756, 0.773327, -0.305218, 75.598351},
    {RESAMPLE_SMOOTH_CUBIC, 14, 18, -0.140801, -1.244955, -0.655455, -0.604257, 114.165329},
    {RESAMPLE_SMOOTH_CUBIC, 5, 4, 0.160315, -0.000851, 0.117564, 0.000257, 1.278347},
    {RESAMPLE_SMOOTH_CUBIC, 7, 21, -0.095352, -1.080094, 0.773327, -0.288293, 86.48439},
    {RESAMPLE_LANCZOS, 14, 18, -0.338022, -1.376026, -0.804692, -0.742295, 131.648895},
    {RESAMPLE_LANCZOS, 5, 4, 0.123198, 0.037657, 0.054387, 0.022557, 0.917045},
    {RESAMPLE_LANCZOS, 7, 21, -0.196157, -1.085578, 0.773327, -0.282655, 93.411987},
};

/* The second channel is the first one's opposite. */
static void test_as_others_do(void **state)
{
	float in[H * W * C], out[MOST * C];
	struct error err = {0};
	(void)state;
	for (int i = 0; i < H * W; i++)
		in[i * C + 1] = -(in[i * C] = sinf((float)i * 1.7f));
	for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
		int h = rows[r].h, w = rows[r].w;
		double sum = 0, sizes = 0;
		assert_int_equal(resample(rows[r].how, in, H, W, C, out, h, w, &err), 0);
		for (int i = 0; i < h * w; i++) {
			sum += out[i * C];
			sizes += fabsf(out[i * C]);
			assert_true(out[i * C] == -out[i * C + 1]);
		}
		if (fabs(out[0] - rows[r].first) > 2e-6 ||
		    fabs(out[(h * w - 1) * C] - rows[r].last) > 2e-6 ||
		    fabs(out[(2 * w + 3) * C] - rows[r].inner) > 2e-6 ||
		    fabs(sum - rows[r].sum) > 1e-4 || fabs(sizes - rows[r].sizes) > 1e-4)
			fail_msg("row %zu: %f %f %f %f %f", r, (double)out[0],
				 (double)out[(h * w - 1) * C], (double)out[(2 * w + 3) * C], sum,
				 sizes);
	}
}

static void test_one_pixel(void **state)
{
	float in = 0.25f, out[12];
	struct error err = {0};
	(void)state;
	for (int how = 0; how <= RESAMPLE_LANCZOS; how++) {
		assert_int_equal(resample(how, &in, 1, 1, 1, out, 3, 4, &err), 0);
		for (int i = 0; i < 12; i++)
			assert_true(fabsf(out[i] - in) < 1e-6f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_as_others_do),
	    cmocka_unit_test(test_one_pixel),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

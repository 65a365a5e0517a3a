/* Eight transforms at once against sums in double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "modalities/fft.h"

#define TURN 6.283185307179586

static uint32_t seed = 1;

static float noise(void)
{
	seed = 1664525u * seed + 1013904223u;
	return (float)(seed / 2147483648.0 - 1);
}

/* Bin k of frame lane of in [n, FFT_FRAMES]. */
static void bin_of(const float *in, int n, int lane, int k, double *re, double *im)
{
	*re = *im = 0;
	for (int i = 0; i < n; i++) {
		double angle = TURN * (double)((long long)i * k % n) / n;
		*re += in[i * FFT_FRAMES + lane] * cos(angle);
		*im -= in[i * FFT_FRAMES + lane] * sin(angle);
	}
}

/* What frame lane becomes when its lowest bins get the magnitudes in wanted, and the others 0. */
static void reshape(const float *in, int n, int lane, const float *wanted, int bins, double *out)
{
	memset(out, 0, (size_t)n * sizeof *out);
	for (int k = 0; k < bins; k++) {
		double re, im;
		bin_of(in, n, lane, k, &re, &im);
		double length = sqrt(re * re + im * im);
		double twice = k == 0 || 2 * k == n ? 1 : 2;
		for (int i = 0; i < n; i++) {
			double angle = TURN * (double)((long long)i * k % n) / n;
			out[i] += twice * wanted[k] *
				  (re / length * cos(angle) - im / length * sin(angle));
		}
	}
}

static void check_size(int n, int bins)
{
	struct error err;
	struct fft *f;
	size_t count = (size_t)n * FFT_FRAMES;
	float *in = malloc(count * sizeof *in), *magnitudes = malloc(count * sizeof *magnitudes);
	double *want = malloc((size_t)n * sizeof *want), worst = 0, largest = 0;
	const float *wanted[FFT_FRAMES] = {NULL};
	assert_int_equal(fft_new(n, &f, &err), 0);
	for (size_t i = 0; i < count; i++) {
		in[i] = noise();
		magnitudes[i] = fabsf(noise());
	}
	/* The last frame has no magnitudes: it falls silent. */
	for (int lane = 0; lane < FFT_FRAMES - 1; lane++)
		wanted[lane] = magnitudes + (size_t)lane * (size_t)n;
	memcpy(fft_samples(f), in, count * sizeof *in);
	fft_forward(f);
	fft_reshape(f, wanted, bins, 0.5f);
	fft_inverse(f);
	const float *got = fft_samples(f);
	for (int lane = 0; lane < FFT_FRAMES; lane++) {
		memset(want, 0, (size_t)n * sizeof *want);
		if (wanted[lane])
			reshape(in, n, lane, wanted[lane], bins, want);
		for (int i = 0; i < n; i++) {
			worst = fmax(worst, fabs(got[i * FFT_FRAMES + lane] - 0.5 * want[i]));
			largest = fmax(largest, fabs(0.5 * want[i]));
		}
	}
	if (!(worst <= 1e-5 * largest))
		fail_msg("%d numbers, %d bins: off by %g of %g", n, bins, worst, largest);
	fft_free(f);
	free(in);
	free(magnitudes);
	free(want);
}

static void eight_frames_at_once_are_right(void **state)
{
	(void)state;
	static const int sizes[] = {2, 4, 6, 8, 10, 16, 30, 32, 90, 128, 154, 202, 240, 512, 882};
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		check_size(sizes[i], sizes[i] / 2 + 1);
		check_size(sizes[i], sizes[i] / 4 + 1);
	}
}

/* A frame's own numbers do not depend on its neighbours' kind: silence beside noise stays. */
static void silence_stays_silent(void **state)
{
	enum { N = 64 };
	(void)state;
	struct error err;
	struct fft *f;
	float magnitudes[N] = {0};
	const float *wanted[FFT_FRAMES];
	for (int lane = 0; lane < FFT_FRAMES; lane++)
		wanted[lane] = magnitudes;
	assert_int_equal(fft_new(N, &f, &err), 0);
	memset(fft_samples(f), 0, N * FFT_FRAMES * sizeof(float));
	fft_forward(f);
	fft_reshape(f, wanted, N / 2 + 1, 1);
	fft_inverse(f);
	for (int i = 0; i < N * FFT_FRAMES; i++)
		assert_true(fft_samples(f)[i] == 0);
	fft_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(eight_frames_at_once_are_right),
	    cmocka_unit_test(silence_stays_silent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Runs in windows: one window is a plain run, a circle of them has no edge. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diffusion/run.h"
#include "tests/unit/vector_file.h"

static struct device *device;
static struct pack *pack;

static struct run_params params(int width, int window, int overlap)
{
	return (struct run_params){
	    .prompt = "a painting",
	    .seed = 11,
	    .steps = 3,
	    .cfg_scale = 5,
	    .sampler = "ddim",
	    .width = width,
	    .height = 64,
	    .frames = 1,
	    .window = window,
	    .overlap = overlap,
	};
}

/* Latents after all steps, [8, width/8, 4], which the caller frees. */
static float *finish(const struct run_params *p, float *picture, size_t *count)
{
	struct error err = {0};
	struct run *run;
	if (run_begin(pack, p, &run, &err))
		fail_msg("%s", err.text);
	while (run_steps_done(run) < run_steps(run))
		assert_int_equal(run_step(run, &err), 0);
	if (picture)
		assert_int_equal(run_decode(run, 0, picture, &err), 0);
	const float *latents = run_latents(run, false, count);
	float *copy = malloc(*count * sizeof *copy);
	memcpy(copy, latents, *count * sizeof *copy);
	run_free(run);
	return copy;
}

/* Overlaps of as many columns as there are rows, and more: rows are in one window all the same. */
static void one_window_is_a_plain_run(void **state)
{
	static const int cases[][2] = {{64, 32}, {128, 64}, {128, 96}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		size_t count, n, pixels = (size_t)cases[i][0] * 64 * 3;
		struct run_params plain = params(cases[i][0], 0, 0), windowed = params(cases[i][0], cases[i][0], cases[i][1]);
		float *first = malloc(pixels * sizeof *first);
		float *second = malloc(pixels * sizeof *second);
		float *want = finish(&plain, first, &count), *got = finish(&windowed, second, &n);
		assert_int_equal(n, count);
		assert_true(vector_distance(got, want, count) < 1e-5);
		assert_true(vector_distance(second, first, pixels) < 1e-5);
		free(want);
		free(got);
		free(first);
		free(second);
	}
}

/* The mean step from column to column, and that from the last to the first. */
static void column_steps(const float *picture, int width, int height, double *mean, double *seam)
{
	*mean = *seam = 0;
	for (int x = 0; x < width; x++) {
		double sum = 0;
		for (int i = 0; i < height * 3; i++) {
			int y = i / 3, c = i % 3;
			sum += fabsf(picture[(y * width + x) * 3 + c] -
				     picture[(y * width + (x + 1) % width) * 3 + c]);
		}
		if (x == width - 1)
			*seam = sum;
		else
			*mean += sum / (width - 1);
	}
}

static void circles_have_no_edge(void **state)
{
	(void)state;
	static const int widths[] = {24, 64, 136, 200};
	for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
		int w = widths[i];
		size_t count;
		double mean, seam, plain_seam;
		struct run_params circle = params(w, 64, 32), plain = params(w, 0, 0);
		float *picture = malloc((size_t)w * 64 * 3 * sizeof *picture);
		circle.circular = true;
		free(finish(&circle, picture, &count));
		column_steps(picture, w, 64, &mean, &seam);
		free(finish(&plain, picture, &count));
		column_steps(picture, w, 64, &(double){0}, &plain_seam);
		print_message("width %d: seam %.3f of the mean, without a circle %.3f\n", w,
			      seam / mean, plain_seam / mean);
		assert_true(seam < 3 * mean);
		assert_true(seam < plain_seam);
		free(picture);
	}
}

static void check_refused(const struct run_params *p)
{
	struct error err = {0};
	struct run *run;
	assert_int_equal(run_begin(pack, p, &run, &err), SUMI_INVALID);
	assert_true(*err.text);
}

static void windows_that_do_not_fit_are_refused(void **state)
{
	(void)state;
	struct error err;
	struct run *run;
	void *saved;
	size_t size;
	struct run_params p = params(128, 60, 32);
	check_refused(&p);
	p = params(128, 64, 64);
	check_refused(&p);
	p = params(128, 64, -8);
	check_refused(&p);
	p = params(56, 64, 32);
	check_refused(&p);
	p = params(128, 64, 32);
	p.frames = 2;
	check_refused(&p);
	/* A state fits only the windows that it was saved with. */
	p = params(128, 64, 32);
	assert_int_equal(run_begin(pack, &p, &run, &err), 0);
	assert_int_equal(run_save(run, &saved, &size, &err), 0);
	run_free(run);
	p.overlap = 16;
	assert_int_equal(run_restore(pack, &p, saved, size, &run, &err), SUMI_INVALID);
	free(saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_window_is_a_plain_run),
	    cmocka_unit_test(circles_have_no_edge),
	    cmocka_unit_test(windows_that_do_not_fit_are_refused),
	};
	struct error err = {0};
	if (device_open(NULL, &device, &err) ||
	    pack_open(device, "tests/vectors/taesd-tiny", &pack, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	pack_close(pack);
	device_close(device);
	return failed;
}

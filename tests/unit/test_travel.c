/* Videos whose text changes on the way. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diffusion/run.h"
#include "check.h"

enum { FRAMES = 8, SIDE = 32 };

static struct device *device;
static struct pack *pack;

static struct run_params video(void)
{
	return (struct run_params){.prompt = "birds", .seed = 3, .steps = 2, .cfg_scale = 5, .width = SIDE, .height = SIDE,
				   .frames = FRAMES};
}

static struct run_params going(const char *prompt, int frame)
{
	struct run_params p = video();
	p.travel[p.travel_count++] = (struct run_travel){.frame = frame, .prompt = prompt};
	return p;
}

/* The latents that become of it, [FRAMES, one], saved and restored on the way where that is asked for; the caller
 * frees them. */
static float *latents(const struct run_params *p, bool saved, size_t *one)
{
	struct run *run;
	struct error err = {0};
	if (run_begin(pack, p, &run, &err))
		fail_msg("%s", err.text);
	while (run_steps_done(run) < run_steps(run)) {
		void *data;
		size_t size;
		assert_int_equal(run_step(run, &err), 0);
		if (!saved)
			continue;
		assert_int_equal(run_save(run, &data, &size, &err), 0);
		run_free(run);
		if (run_restore(pack, p, data, size, &run, &err))
			fail_msg("%s", err.text);
		free(data);
	}
	struct latent_spec spec = run_latent_spec(run);
	size_t count;
	*one = (size_t)spec.height * (size_t)spec.width * (size_t)spec.channels;
	float *copy = malloc(FRAMES * *one * sizeof *copy);
	memcpy(copy, run_latents(run, false, &count), FRAMES * *one * sizeof *copy);
	run_free(run);
	return copy;
}

/* How far each frame is from another video's. */
static void distances(const struct run_params *a, const struct run_params *b, double out[FRAMES])
{
	size_t one;
	float *x = latents(a, false, &one), *y = latents(b, false, &one);
	for (int f = 0; f < FRAMES; f++) {
		out[f] = 0;
		for (size_t i = 0; i < one; i++)
			out[f] += fabs((double)x[(size_t)f * one + i] - y[(size_t)f * one + i]) / (double)one;
	}
	free(x);
	free(y);
}

static void to_the_same_text_is_no_travel(void **state)
{
	(void)state;
	static const double scales[] = {5, 1};
	for (int i = 0; i < 2; i++) {
		struct run_params none = video(), same = going("birds", 4);
		double far[FRAMES];
		none.cfg_scale = same.cfg_scale = scales[i];
		distances(&none, &same, far);
		for (int f = 0; f < FRAMES; f++)
			assert_true(far[f] == 0);
	}
}

/* From text to text; the ends are nearer to the video of one than to that of the other. */
static void frames_go_over(void **state)
{
	(void)state;
	struct run_params from = video(), to = video(), on_the_way = going("a harbour in the rain at night", FRAMES - 1);
	double first[FRAMES], last[FRAMES];
	to.prompt = "a harbour in the rain at night";
	distances(&from, &on_the_way, first);
	distances(&to, &on_the_way, last);
	assert_true(first[0] < last[0]);
	assert_true(last[FRAMES - 1] < first[FRAMES - 1]);
	/* Frames see each other, so only halves can be told apart for sure. */
	double near = 0, far = 0;
	for (int f = 0; f < FRAMES; f++) {
		*(f < FRAMES / 2 ? &near : &far) += first[f];
		*(f < FRAMES / 2 ? &far : &near) += last[f];
	}
	assert_true(near < far);
}

/* A stop at the first frame stands for the prompt. */
static void a_stop_at_the_beginning_is_all(void **state)
{
	(void)state;
	struct run_params to = video(), all = going("rain", 0);
	double far[FRAMES];
	to.prompt = "rain";
	distances(&to, &all, far);
	for (int f = 0; f < FRAMES; f++)
		assert_true(far[f] == 0);
}

static void noise_goes_over_with_a_seed(void **state)
{
	(void)state;
	struct run_params none = video(), other = video(), on_the_way = going("birds", FRAMES - 1);
	double from[FRAMES], to[FRAMES];
	on_the_way.travel[0].seeded = true;
	on_the_way.travel[0].seed = other.seed = 9;
	distances(&none, &on_the_way, from);
	distances(&other, &on_the_way, to);
	assert_true(from[0] < to[0] && to[FRAMES - 1] < from[FRAMES - 1]);
	on_the_way.travel[0].seed = 3;
	distances(&none, &on_the_way, from);
	for (int f = 0; f < FRAMES; f++)
		assert_true(from[f] == 0);
}

static void an_interrupted_travel_is_the_same(void **state)
{
	(void)state;
	struct run_params p = going("rain", 5);
	size_t one;
	p.travel[0].seeded = true;
	p.travel[0].seed = 4;
	float *a = latents(&p, false, &one), *b = latents(&p, true, &one);
	assert_memory_equal(a, b, FRAMES * one * sizeof *a);
	free(a);
	free(b);
	/* Another way does not go on from there. */
	struct run *run;
	struct error err = {0};
	void *data;
	size_t size;
	assert_int_equal(run_begin(pack, &p, &run, &err), 0);
	assert_int_equal(run_save(run, &data, &size, &err), 0);
	run_free(run);
	p.travel[0].frame = 6;
	assert_int_not_equal(run_restore(pack, &p, data, size, &run, &err), 0);
	free(data);
}

static void refused(struct run_params p, const char *says)
{
	struct error err = {0};
	int status = run_text_check(pack_info_of(pack), &p, &err);
	if (status != SUMI_INVALID || !strstr(err.text, says))
		fail_msg("status %d, '%s', wanted '%s'", status, err.text, says);
}

static void what_cannot_be_is_refused(void **state)
{
	(void)state;
	struct run_params p = going("rain", FRAMES);
	refused(p, "travel, entry 1: frame is 8, allowed are 0 to 7");
	p = going("rain", 4);
	p.travel[p.travel_count++] = (struct run_travel){.frame = 4, .prompt = "x"};
	refused(p, "travel, entry 2: frame is 4, allowed are 5 to 7");
	p = going("(rain:1.5)", 4);
	p.prompt_syntax = "a1111";
	refused(p, "without weights");
	p = going("rain", 4);
	p.guidance_end = 0.5;
	refused(p, "from beginning to end");
	p = going("rain", 4);
	p.init = (const float *)&p;
	refused(p, "init");
	/* Frames that share their noise have one seed. */
	struct error err = {0};
	struct pack_info info = {.name = "shares", .noise_shared = 0.9, .family = pack_info_of(pack)->family};
	p = going("rain", 4);
	assert_int_equal(run_text_check(&info, &p, &err), 0);
	p.travel[0].seeded = true;
	assert_int_equal(run_text_check(&info, &p, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "share their noise"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(to_the_same_text_is_no_travel),
	    cmocka_unit_test(frames_go_over),
	    cmocka_unit_test(a_stop_at_the_beginning_is_all),
	    cmocka_unit_test(noise_goes_over_with_a_seed),
	    cmocka_unit_test(an_interrupted_travel_is_the_same),
	    cmocka_unit_test(what_cannot_be_is_refused),
	};
	struct error err = {0};
	if ((device_open("opencl:0", &device, &err) && device_open("reference", &device, &err)) ||
	    pack_open(device, "tests/vectors/motion-tiny", &pack, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	pack_close(pack);
	device_close(device);
	return failed;
}

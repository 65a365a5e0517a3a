/* Guidance in a part of the run: against the same run computed by hand with one text at a time,
 * and by counting what the model is asked. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diffusion/pack_internal.h"
#include "diffusion/run.h"
#include "tests/unit/counted_pack.h"
#include "tests/unit/vector_file.h"

enum { SIDE = 8, CHANNELS = 4, LATENTS = SIDE * SIDE * CHANNELS, STEPS = 5 };

static const char prompt[] = "a lone tree", negative[] = "fog";

static struct run_params params(double start, double end)
{
	return (struct run_params){
	    .prompt = prompt,
	    .negative_prompt = negative,
	    .seed = 3,
	    .steps = STEPS,
	    .cfg_scale = 6,
	    .guidance_start = start,
	    .guidance_end = end,
	    .sampler = "euler",
	    .width = SIDE * 8,
	    .height = SIDE * 8,
	    .frames = 1,
	};
}

/* ---- by hand ----------------------------------------------------------------------- */

static struct unet_text *text_of(const char *words)
{
	struct conditioner_input in = {.texts = &words, .n = 1};
	struct conditions said;
	struct unet_text *text;
	assert_int_equal(conditioner_encode(pack->conditioner, &in, &said, NULL), 0);
	const struct condition *tokens = conditions_get(&said, CONDITION_TOKENS);
	assert_int_equal(unet_text_new(pack_unet, tokens->values, 1, tokens->rows, &text, NULL),
			 0);
	conditions_free(&said);
	return text;
}

/* [c, h, w] to [h, w, c] or back. */
static void turn(const float *x, float *y, bool to_pixels)
{
	for (int k = 0; k < CHANNELS; k++)
		for (int i = 0; i < SIDE * SIDE; i++)
			if (to_pixels)
				y[i * CHANNELS + k] = x[k * SIDE * SIDE + i];
			else
				y[k * SIDE * SIDE + i] = x[i * CHANNELS + k];
}

static void evaluate(const struct unet_text *text, float timestep, const float *x, float *out)
{
	struct unet_input in = {
	    .latents = x,
	    .n = 1,
	    .h = SIDE,
	    .w = SIDE,
	    .timesteps = &timestep,
	    .text = text,
	};
	assert_int_equal(unet_forward(pack_unet, &in, out, NULL), 0);
}

/* Latents [h, w, c] after all steps, guided in the steps from … to less one. */
static void by_hand(int from, int to, float out[LATENTS])
{
	float x[LATENTS], scaled[LATENTS], in[LATENTS], with[LATENTS], without[LATENTS];
	struct unet_text *yes = text_of(prompt), *no = text_of(negative);
	struct sampler *s;
	struct rng rng;
	rng_init(&rng, RNG_TORCH, 3);
	assert_int_equal(sampler_new("euler", &pack->scheduler, STEPS, &s, NULL), 0);
	rng_randn(&rng, x, LATENTS);
	for (int i = 0; i < LATENTS; i++)
		x[i] *= sampler_init_noise_sigma(s);
	for (int call = 0; call < STEPS; call++) {
		float t = (float)sampler_timestep(s, call);
		sampler_scale_input(s, call, x, scaled, LATENTS);
		turn(scaled, in, true);
		evaluate(yes, t, in, with);
		if (call >= from && call < to) {
			evaluate(no, t, in, without);
			for (int i = 0; i < LATENTS; i++)
				with[i] = without[i] + 6.0f * (with[i] - without[i]);
		}
		turn(with, scaled, false);
		assert_int_equal(sampler_step(s, call, scaled, x, LATENTS, &rng, NULL), 0);
	}
	turn(x, out, true);
	sampler_free(s);
	unet_text_free(yes);
	unet_text_free(no);
}

/* ---- by the run -------------------------------------------------------------------- */

/* Interrupted after `stop` steps, if that is more than 0. */
static void by_run(const struct run_params *p, int stop, float out[LATENTS])
{
	struct run *run;
	struct error err = {0};
	size_t count;
	pass_count = 0;
	if (run_begin(pack, p, &run, &err))
		fail_msg("%s", err.text);
	while (run_steps_done(run) < run_steps(run)) {
		if (run_step(run, &err))
			fail_msg("%s", err.text);
		if (run_steps_done(run) != stop)
			continue;
		void *data;
		size_t size;
		assert_int_equal(run_save(run, &data, &size, &err), 0);
		run_free(run);
		assert_int_equal(run_restore(pack, p, data, size, &run, &err), 0);
		free(data);
	}
	memcpy(out, run_latents(run, false, &count), LATENTS * sizeof *out);
	assert_int_equal(count, LATENTS);
	run_free(run);
}

/* Intervals with the calls that they mean: ⌊start·5⌋ … ⌊end·5⌋ − 1. */
static const struct {
	double start, end;
	int from, to;
} intervals[] = {{0, 0, 0, 5},    {0, 1, 0, 5},     {0.2, 0.8, 1, 4}, {0, 0.4, 0, 2},
		 {0.59, 1, 2, 5}, {0.2, 0.3, 1, 1}, {0.99, 1, 4, 5}};

static void test_as_by_hand(void **state)
{
	(void)state;
	float want[LATENTS], got[LATENTS], resumed[LATENTS];
	for (size_t i = 0; i < sizeof intervals / sizeof intervals[0]; i++) {
		struct run_params p = params(intervals[i].start, intervals[i].end);
		by_hand(intervals[i].from, intervals[i].to, want);
		by_run(&p, 0, got);
		assert_int_equal(pass_count, STEPS);
		for (int call = 0; call < STEPS; call++)
			assert_int_equal(passes[call].batch,
					 1 + (call >= intervals[i].from && call < intervals[i].to));
		if (vector_distance(got, want, LATENTS) > 1e-5)
			fail_msg("interval %zu: distance %g", i,
				 vector_distance(got, want, LATENTS));
		for (int stop = 1; stop < STEPS; stop++) {
			by_run(&p, stop, resumed);
			assert_memory_equal(resumed, got, sizeof got);
		}
	}
}

/* Windows take the same way. */
static void test_one_window(void **state)
{
	(void)state;
	float want[LATENTS], got[LATENTS];
	struct run_params p = params(0.2, 0.8);
	p.window = SIDE * 8;
	by_hand(1, 4, want);
	by_run(&p, 0, got);
	assert_true(vector_distance(got, want, LATENTS) < 1e-5);
}

static void test_intervals_differ(void **state)
{
	(void)state;
	float all[LATENTS], part[LATENTS];
	struct run_params p = params(0, 1), q = params(0.2, 1);
	by_run(&p, 0, all);
	by_run(&q, 0, part);
	assert_memory_not_equal(all, part, sizeof all);
	/* and a saved run is only taken up with its own */
	struct run *run;
	void *data;
	size_t size;
	assert_int_equal(run_begin(pack, &p, &run, NULL), 0);
	assert_int_equal(run_save(run, &data, &size, NULL), 0);
	run_free(run);
	assert_int_equal(run_restore(pack, &q, data, size, &run, NULL), SUMI_INVALID);
	free(data);
}

static void test_refused(void **state)
{
	(void)state;
	static const double wrong[][2] = {{-0.1, 1}, {0, 1.1}, {0.5, 0.5}, {0.6, 0.5}, {1, 0},
					  {1, 1},    {NAN, 1}, {0, NAN},   {0, -0.5}};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct run_params p = params(wrong[i][0], wrong[i][1]);
		struct run *run;
		struct error err = {0};
		assert_int_equal(run_begin(pack, &p, &run, &err), SUMI_INVALID);
		assert_non_null(strstr(err.text, "guidance_start"));
	}
}

static void test_text_that_is_not_there(void **state)
{
	(void)state;
	struct unet_text *text = text_of(prompt);
	float x[LATENTS] = {0}, y[LATENTS], t = 1;
	struct error err = {0};
	struct unet_input in = {
	    .latents = x,
	    .n = 1,
	    .h = SIDE,
	    .w = SIDE,
	    .timesteps = &t,
	    .text = text,
	    .only_text = 2,
	};
	assert_int_equal(unet_forward(pack_unet, &in, y, &err), SUMI_INVALID);
	unet_text_free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_as_by_hand),
	    cmocka_unit_test(test_one_window),
	    cmocka_unit_test(test_intervals_differ),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_text_that_is_not_there),
	};
	return cmocka_run_group_tests(tests, counted_setup, counted_teardown);
}

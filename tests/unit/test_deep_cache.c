/* Deep-feature reuse: what a shallow pass computes, which passes are shallow, and that a run
 * that was interrupted gives the same bytes although its features were not saved. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diffusion/run.h"
#include "tests/unit/counted_pack.h"
#include "check.h"

enum { SIDE = 8, LATENTS = SIDE * SIDE * 4, STEPS = 7 };

/* ---- one pass ---------------------------------------------------------------------- */

static struct unet_text *any_text(int n)
{
	struct unet_text *text;
	int width = unet_config(pack_unet)->context, count = n * 5 * width;
	float *context = calloc((size_t)count, sizeof *context);
	for (int i = 0; i < count; i++)
		context[i] = (float)(i % 23 - 11) / 11;
	assert_int_equal(unet_text_new(pack_unet, context, n, 5, &text, NULL), 0);
	free(context);
	return text;
}

static int last_level(void)
{
	struct unet_features *f;
	int level = 1;
	for (; unet_features_new(pack_unet, level, &f, NULL) == 0; level++)
		unet_features_free(f);
	return level - 1;
}

/* Where nothing has changed, nothing is lost: the shallow pass gives the whole one's bytes. */
static void test_same_input_same_bytes(void **state)
{
	(void)state;
	float x[2 * LATENTS], whole[2 * LATENTS], shallow[2 * LATENTS], t[2] = {400, 400};
	struct unet_text *text = any_text(2);
	int before = 0;
	for (int i = 0; i < 2 * LATENTS; i++)
		x[i] = (float)(i % 31 - 15) / 15;
	struct unet_input in = {
	    .latents = x,
	    .n = 2,
	    .h = SIDE,
	    .w = SIDE,
	    .timesteps = t,
	    .text = text,
	};
	assert_true(last_level() >= 3);
	for (int level = 1; level <= last_level(); level++) {
		assert_int_equal(unet_features_new(pack_unet, level, &in.features, NULL), 0);
		pass_count = 0;
		in.shallow = false;
		assert_int_equal(unet_forward(pack_unet, &in, whole, NULL), 0);
		in.shallow = true;
		memset(shallow, 0, sizeof shallow);
		assert_int_equal(unet_forward(pack_unet, &in, shallow, NULL), 0);
		assert_memory_equal(shallow, whole, sizeof whole);
		/* conv_in, conv_out and a residual block at least; more with each level */
		assert_within(passes[1].convolutions, before ? before : 4,
				passes[0].convolutions - 1);
		before = passes[1].convolutions;
		/* again, from features that are still there */
		assert_int_equal(unet_forward(pack_unet, &in, shallow, NULL), 0);
		assert_memory_equal(shallow, whole, sizeof whole);
		/* other latents through the same features: another result than the whole pass's */
		x[0] += 1;
		assert_int_equal(unet_forward(pack_unet, &in, shallow, NULL), 0);
		assert_memory_not_equal(shallow, whole, sizeof whole);
		in.shallow = false;
		assert_int_equal(unet_forward(pack_unet, &in, whole, NULL), 0);
		assert_memory_not_equal(shallow, whole, sizeof whole);
		x[0] -= 1;
		unet_features_free(in.features);
	}
	unet_text_free(text);
}

static void test_refused_passes(void **state)
{
	(void)state;
	float x[2 * LATENTS] = {0}, y[2 * LATENTS], t[2] = {1, 1};
	struct unet_text *text = any_text(1);
	struct unet_features *f;
	struct error err = {0};
	assert_int_equal(unet_features_new(pack_unet, 0, &f, &err), SUMI_INVALID);
	assert_int_equal(unet_features_new(pack_unet, last_level() + 1, &f, &err), SUMI_INVALID);
	assert_int_equal(unet_features_new(pack_unet, 1, &f, &err), 0);
	struct unet_input in = {
	    .latents = x,
	    .n = 1,
	    .h = SIDE,
	    .w = SIDE,
	    .timesteps = t,
	    .text = text,
	    .shallow = true,
	};
	assert_int_equal(unet_forward(pack_unet, &in, y, &err), SUMI_INVALID);
	in.features = f;
	assert_int_equal(unet_forward(pack_unet, &in, y, &err), SUMI_INVALID); /* empty */
	in.shallow = false;
	assert_int_equal(unet_forward(pack_unet, &in, y, &err), 0);
	in.shallow = true;
	in.n = 2;
	assert_int_equal(unet_forward(pack_unet, &in, y, &err), SUMI_INVALID); /* of one picture */
	assert_non_null(strstr(err.text, "features"));
	in.shallow = false;
	assert_int_equal(unet_forward(pack_unet, &in, y, &err), 0);
	in.shallow = true;
	assert_int_equal(unet_forward(pack_unet, &in, y, &err), 0);
	unet_features_free(f);
	unet_text_free(text);
}

/* ---- runs -------------------------------------------------------------------------- */

static struct run_params params(int every, int level)
{
	return (struct run_params){
	    .prompt = "a lone tree",
	    .negative_prompt = "fog",
	    .seed = 3,
	    .steps = STEPS,
	    .cfg_scale = 6,
	    .deep_cache = every,
	    .deep_cache_level = level,
	    .sampler = "euler",
	    .width = SIDE * 8,
	    .height = SIDE * 8,
	    .frames = 1,
	};
}

/* Latents after all steps; the run is saved, freed and restored after each step in `stops`. */
static void finish(const struct run_params *p, unsigned stops, float out[LATENTS])
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
		if (!(stops >> run_steps_done(run) & 1))
			continue;
		void *data;
		size_t size;
		assert_int_equal(run_save(run, &data, &size, &err), 0);
		run_free(run);
		if (run_restore(pack, p, data, size, &run, &err))
			fail_msg("%s", err.text);
		free(data);
	}
	memcpy(out, run_latents(run, false, &count), LATENTS * sizeof *out);
	assert_int_equal(count, LATENTS);
	run_free(run);
}

static void test_off(void **state)
{
	(void)state;
	float none[LATENTS], one[LATENTS], two[LATENTS];
	struct run_params p = params(0, 0), q = params(1, 3), r = params(2, 1);
	finish(&p, 0, none);
	finish(&q, 0, one);
	finish(&r, 0, two);
	assert_memory_equal(none, one, sizeof none);
	assert_memory_not_equal(none, two, sizeof none);
}

/* Which calls run the whole UNet: every n-th, and where guidance begins or ends. */
static void check_whole(const struct run_params *p, const char *want)
{
	float out[LATENTS];
	int most = 0;
	finish(p, 0, out);
	assert_int_equal(pass_count, (int)strlen(want));
	for (int i = 0; i < pass_count; i++)
		most = passes[i].convolutions > most ? passes[i].convolutions : most;
	for (int i = 0; i < pass_count; i++)
		if ((passes[i].convolutions == most) != (want[i] == 'W'))
			fail_msg("every %d, pass %d: expected %s", p->deep_cache, i, want);
}

static void test_which_are_whole(void **state)
{
	(void)state;
	struct run_params p = params(2, 1);
	check_whole(&p, "W.W.W.W");
	p = params(3, 2);
	check_whole(&p, "W..W..W");
	p = params(5, 0);
	p.guidance_start = 0.3; /* calls 2 … 4 */
	p.guidance_end = 0.75;
	check_whole(&p, "W.W..W.");
	p = params(3, 1);
	p.sampler = "heun";
	p.steps = 3;
	check_whole(&p, "W..W.");
}

static void test_interrupted(void **state)
{
	(void)state;
	static const struct {
		const char *sampler;
		int every, level;
		double start;
	} rows[] = {{"euler", 3, 3, 0},
		    {"dpmpp_2m", 4, 2, 0.4},
		    {"euler_a", 3, 1, 0},
		    {"heun", 3, 1, 0.25}};
	float want[LATENTS], got[LATENTS];
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct run_params p = params(rows[i].every, rows[i].level);
		p.sampler = rows[i].sampler;
		p.guidance_start = rows[i].start;
		p.steps = strcmp(p.sampler, "heun") == 0 ? 3 : 5;
		finish(&p, 0, want);
		for (int stop = 1; stop < 5; stop++) {
			finish(&p, 1u << stop, got);
			if (memcmp(want, got, sizeof want) != 0)
				fail_msg("%s every %d, interrupted after %d", p.sampler,
					 p.deep_cache, stop);
		}
		finish(&p, ~0u, got);
		assert_memory_equal(want, got, sizeof want);
	}
}

/* The input of the features is saved only where the next call needs it. */
static void test_saved_size(void **state)
{
	(void)state;
	struct run_params plain = params(0, 0), cached = params(2, 1);
	struct run *runs[2];
	struct error err;
	assert_int_equal(run_begin(pack, &plain, &runs[0], &err), 0);
	assert_int_equal(run_begin(pack, &cached, &runs[1], &err), 0);
	for (int step = 0; step <= STEPS; step++) {
		size_t size[2];
		for (int i = 0; i < 2; i++) {
			void *data;
			assert_int_equal(run_save(runs[i], &data, &size[i], &err), 0);
			free(data);
			if (step < STEPS)
				assert_int_equal(run_step(runs[i], &err), 0);
		}
		size_t anchor = step % 2 && step < STEPS ? LATENTS * sizeof(float) : 0;
		assert_int_equal(size[1], size[0] + anchor);
	}
	run_free(runs[0]);
	run_free(runs[1]);
}

static void test_refused_runs(void **state)
{
	(void)state;
	struct run_params rows[] = {params(-1, 0), params(11, 0), params(2, -1), params(2, 99),
				    params(2, 1)};
	rows[4].window = SIDE * 8;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct run *run;
		struct error err = {0};
		assert_int_equal(run_begin(pack, &rows[i], &run, &err), SUMI_INVALID);
		assert_non_null(strstr(err.text, "deep_cache"));
	}
	/* A state that was saved with another setting is not taken up. */
	struct run_params p = params(2, 1), q = params(2, 2);
	struct run *run;
	void *data;
	size_t size;
	assert_int_equal(run_begin(pack, &p, &run, NULL), 0);
	assert_int_equal(run_save(run, &data, &size, NULL), 0);
	run_free(run);
	assert_int_equal(run_restore(pack, &q, data, size, &run, NULL), SUMI_INVALID);
	free(data);
}

static void test_memory(void **state)
{
	(void)state;
	const struct unet_config *config = unet_config(pack_unet);
	struct unet_plan plan = {
	    .config = config,
	    .texts = 2,
	    .tokens = 77,
	    .n = 2,
	    .h = SIDE,
	    .w = SIDE,
	    .dtype = DTYPE_F32,
	};
	uint64_t without = unet_memory(&plan, NULL);
	plan.level = 1;
	assert_int_equal(unet_memory(&plan, NULL),
			 without + 2 * SIDE * SIDE * (uint64_t)config->channels[0] * sizeof(float));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_same_input_same_bytes),
	    cmocka_unit_test(test_refused_passes),
	    cmocka_unit_test(test_off),
	    cmocka_unit_test(test_which_are_whole),
	    cmocka_unit_test(test_interrupted),
	    cmocka_unit_test(test_saved_size),
	    cmocka_unit_test(test_refused_runs),
	    cmocka_unit_test(test_memory),
	};
	return cmocka_run_group_tests(tests, counted_setup, counted_teardown);
}

/* What a sampler reads back: only what one could have saved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diffusion/sampler.h"

#define N 64

/* Where things stand in a state. */
enum { AT_DONE = 28, AT_COUNTERS = 32, AT_SIZE = 40 };

static struct sampler *quick(const char *name, int steps)
{
	struct sampler_config config;
	struct sampler *s = NULL;
	struct error err = {0};
	sampler_config_init(&config);
	config.betas = BETAS_SCALED_LINEAR;
	config.beta_start = 0.00085;
	config.beta_end = 0.012;
	sampler_config_for_latents(&config);
	if (sampler_new(name, &config, steps, &s, &err))
		fail_msg("%s: %s", name, err.text);
	return s;
}

static void draw(float x[N])
{
	struct rng rng;
	rng_init(&rng, RNG_TORCH, 3);
	rng_randn(&rng, x, N);
}

/* Makes a sampler's first calls, whose model sees nothing but noise. */
static void advance(struct sampler *s, int calls)
{
	float x[N], output[N];
	struct rng rng;
	struct error err = {0};
	rng_init(&rng, RNG_TORCH, 99);
	draw(x);
	draw(output);
	for (int call = sampler_done(s); call < calls; call++)
		if (sampler_step(s, call, output, x, N, &rng, &err))
			fail_msg("%s, call %d: %s", sampler_name(s), call, err.text);
}

static int restore(struct sampler *s, const struct bytes_writer *w, size_t size, struct error *err)
{
	struct bytes_reader r = {.data = w->data, .size = size};
	return sampler_restore(s, &r, err);
}

static void damaged_states_are_refused(void **state)
{
	(void)state;
	for (int i = 0; sampler_name_at(i); i++) {
		struct sampler *s = quick(sampler_name_at(i), 5),
			       *other = quick(sampler_name_at(i), 6);
		struct sampler *stranger = quick(sampler_name_at(i ? 0 : 1), 5);
		struct bytes_writer w = {0};
		struct error err = {0};
		advance(s, 1);
		sampler_save(s, &w);
		for (size_t size = 0; size < w.size; size += 1 + size / 8)
			assert_int_equal(restore(s, &w, size, &err), SUMI_CORRUPT);
		assert_int_equal(restore(other, &w, w.size, &err), SUMI_INVALID);
		assert_int_equal(restore(stranger, &w, w.size, &err), SUMI_INVALID);
		for (size_t at = AT_DONE; at <= AT_SIZE + 4; at += 4) {
			w.data[at + 3] ^= 0x40;
			assert_int_equal(restore(s, &w, w.size, &err), SUMI_CORRUPT);
			w.data[at + 3] ^= 0x40;
		}
		assert_int_equal(sampler_done(s), 1);
		advance(s, 2);
		free(w.data);
		sampler_free(s);
		sampler_free(other);
		sampler_free(stranger);
	}
}

/* Counters index the history and the schedule behind a step: those that are wrong by one are as
 * bad as absurd ones. */
static void counters_stay_within_the_run(void **state)
{
	(void)state;
	for (int i = 0; sampler_name_at(i); i++)
		for (int calls = 1; calls < 6; calls++) {
			struct sampler *s = quick(sampler_name_at(i), 8);
			struct bytes_writer w = {0};
			struct error err = {0};
			advance(s, calls);
			sampler_save(s, &w);
			for (size_t at = AT_COUNTERS; at < AT_SIZE; at += 4) {
				unsigned char kept = w.data[at];
				w.data[at] = (unsigned char)(calls + 1);
				assert_int_equal(restore(s, &w, w.size, &err), SUMI_CORRUPT);
				w.data[at] = kept;
			}
			assert_int_equal(restore(s, &w, w.size, &err), SUMI_OK);
			free(w.data);
			sampler_free(s);
		}
}

static void orders_stay_within_the_solver(void **state)
{
	(void)state;
	const char *const solvers[] = {"dpmpp_2m", "dpmpp_2m_sde", "unipc"};
	for (size_t i = 0; i < sizeof solvers / sizeof *solvers; i++) {
		struct sampler *s = quick(solvers[i], 8);
		struct bytes_writer w = {0};
		struct error err = {0};
		advance(s, 6);
		sampler_save(s, &w);
		w.data[AT_COUNTERS] = SOLVER_ORDER_MAX + 1;
		assert_int_equal(restore(s, &w, w.size, &err), SUMI_CORRUPT);
		free(w.data);
		sampler_free(s);
	}
}

/* A step that was only asked for, as where the one of another run failed beside it. */
static void a_checked_step_is_none(void **state)
{
	(void)state;
	for (int i = 0; sampler_name_at(i); i++) {
		struct sampler *s = quick(sampler_name_at(i), 5);
		struct bytes_writer before = {0}, after = {0};
		struct error err = {0};
		float output[N];
		draw(output);
		sampler_save(s, &before);
		assert_int_equal(sampler_check(s, 0, output, N, &err), SUMI_OK);
		assert_null(sampler_denoised(s, NULL));
		sampler_save(s, &after);
		assert_int_equal(after.size, before.size);
		assert_memory_equal(after.data, before.data, after.size);
		if (restore(s, &after, after.size, &err))
			fail_msg("%s: %s", sampler_name(s), err.text);
		free(before.data);
		free(after.data);
		sampler_free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(damaged_states_are_refused),
	    cmocka_unit_test(counters_stay_within_the_run),
	    cmocka_unit_test(orders_stay_within_the_solver),
	    cmocka_unit_test(a_checked_step_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

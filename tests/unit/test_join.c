/* Runs that make their steps together: every one of them must be, bit for bit, what it is alone,
 * whoever its neighbours are. A kernel that is chosen, or a sum that is cut, by the size of the
 * whole batch breaks that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/backend.h"
#include "diffusion/pack_internal.h"
#include "diffusion/run.h"

enum { RUNS = 5, STEPS = 3 };

static struct device *device;
static const char *precision; /* of all runs; NULL: exact */

struct saved {
	void *data;
	size_t size;
};

/* Different in all that may differ. */
static struct run_params params_of(int i, int side)
{
	static const struct run_params rows[RUNS] = {
	    {.prompt = "a cat", .steps = 6, .cfg_scale = 5},
	    {.prompt = "three birches in fog, ink on paper, a lake behind them",
	     .negative_prompt = "colour",
	     .steps = 9,
	     .cfg_scale = 3,
	     .sampler = "euler_a"},
	    {.prompt = "the sea", .steps = 5, .cfg_scale = 1, .sampler = "euler"},
	    {.prompt = "a mountain", .steps = 4, .cfg_scale = 7, .guidance_start = 0.25},
	    {.prompt = "", .steps = 7, .cfg_scale = 2, .guidance_end = 0.2, .sampler = "ddim"},
	};
	struct run_params p = rows[i];
	p.seed = 100 + (uint64_t)i;
	p.width = p.height = side;
	p.frames = 1;
	p.precision = precision;
	return p;
}

static struct run *begin(struct pack *pack, int i, int side)
{
	struct run *run;
	struct error err;
	struct run_params p = params_of(i, side);
	if (run_begin(pack, &p, &run, &err))
		fail_msg("run %d: %s", i, err.text);
	return run;
}

static struct saved save(const struct run *run)
{
	struct saved s;
	struct error err;
	assert_int_equal(run_save(run, &s.data, &s.size, &err), 0);
	return s;
}

static void same(const struct run *run, const struct saved *want, const char *what, int i,
		 int count)
{
	struct saved got = save(run);
	if (got.size != want->size || memcmp(got.data, want->data, got.size) != 0)
		fail_msg("%s: run %d of %d together is not what it is alone", what, i, count);
	free(got.data);
}

/* Runs first … first + count - 1, together for STEPS steps. */
static void together(struct pack *pack, const char *what, int side, int first, int count,
		     const struct saved *alone)
{
	struct run *runs[RUNS];
	struct error err;
	for (int i = 0; i < count; i++)
		runs[i] = begin(pack, first + i, side);
	for (int step = 0; step < STEPS; step++)
		if (run_step_together(runs, count, &err))
			fail_msg("%s: %s", what, err.text);
	for (int i = 0; i < count; i++) {
		same(runs[i], &alone[first + i], what, i, count);
		run_free(runs[i]);
	}
}

static void check_pack(const char *folder, int side)
{
	struct pack *pack;
	struct error err;
	struct saved alone[RUNS];
	if (pack_open(device, folder, &pack, &err))
		fail_msg("%s: %s", folder, err.text);
	for (int i = 0; i < RUNS; i++) {
		struct run *run = begin(pack, i, side);
		for (int step = 0; step < STEPS; step++)
			assert_int_equal(run_step(run, &err), 0);
		alone[i] = save(run);
		run_free(run);
	}
	together(pack, folder, side, 0, 1, alone);
	together(pack, folder, side, 0, 2, alone);
	together(pack, folder, side, 2, 3, alone);
	together(pack, folder, side, 0, 5, alone);
	for (int i = 0; i < RUNS; i++)
		free(alone[i].data);
	pack_close(pack);
}

static void test_joined_runs_are_what_they_are_alone(void **state)
{
	static const struct {
		const char *folder;
		int side;
	} rows[] = {
	    {"tests/vectors/sd1-tiny", 64},
	    {"tests/vectors/sd1-odd", 72},
	    {"tests/vectors/sd2-tiny", 64},
	    {"tests/vectors/levels-tiny", 128},
	    {"models/ink", 128},
	    {"models/ink", 176},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		check_pack(rows[i].folder, rows[i].side);
}

/* In half precision too, with the instruction or its emulation. */
static void test_half_joins_as_well(void **state)
{
	(void)state;
	struct device *own = device;
	struct error err;
	setenv("SUMI_KERNELS", "cpu8-emulated", 1);
	if (device_set_precision(own, PRECISION_HALF, &err))
		assert_int_equal(device_open("opencl:0", &device, &err), 0);
	own->precision = PRECISION_EXACT;
	unsetenv("SUMI_KERNELS");
	precision = "half";
	check_pack("tests/vectors/sd1-tiny", 64);
	check_pack("models/ink", 128);
	precision = NULL;
	assert_int_equal(device->precision, PRECISION_EXACT);
	if (device != own)
		device_close(device);
	device = own;
}

/* Half is another picture than exact, the same each time, after a saved state as well, and a saved
 * state of the one is none of the other. */
static void test_precision_is_a_runs_own(void **state)
{
	struct pack *pack;
	struct error err;
	struct run *run;
	(void)state;
	assert_int_equal(pack_open(device, "models/ink", &pack, &err), 0);
	struct run_params p = params_of(0, 64);
	p.precision = "half";
	if (run_check(pack, &p, &err)) {
		assert_non_null(strstr(err.text, "precision"));
		print_message("skip: %s\n", err.text);
		pack_close(pack);
		skip();
	}
	struct saved ends[4];
	for (int i = 0; i < 4; i++) {
		p.precision = i == 0 ? "exact" : "half";
		assert_int_equal(run_begin(pack, &p, &run, &err), 0);
		for (int step = 0; step < p.steps - 1; step++) {
			assert_int_equal(run_step(run, &err), 0);
			if (i < 3 || step > 0)
				continue;
			struct saved half = save(run);
			run_free(run);
			p.precision = "exact";
			assert_int_equal(run_restore(pack, &p, half.data, half.size, &run, &err),
					 SUMI_INVALID);
			p.precision = "half";
			assert_int_equal(run_restore(pack, &p, half.data, half.size, &run, &err),
					 0);
			free(half.data);
		}
		size_t count;
		const float *x = run_latents(run, false, &count);
		ends[i].size = count * sizeof *x;
		ends[i].data = malloc(ends[i].size);
		memcpy(ends[i].data, x, ends[i].size);
		run_free(run);
	}
	assert_memory_not_equal(ends[0].data, ends[1].data, ends[0].size);
	assert_memory_equal(ends[1].data, ends[2].data, ends[1].size);
	assert_memory_equal(ends[1].data, ends[3].data, ends[1].size);
	for (int i = 0; i < 4; i++)
		free(ends[i].data);
	p.precision = "double";
	assert_int_equal(run_begin(pack, &p, &run, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "'double'"));
	pack_close(pack);
}

/* Runs at different steps, and one that takes two evaluations to a timestep. */
static void test_runs_join_at_any_step(void **state)
{
	struct pack *pack;
	struct error err;
	(void)state;
	assert_int_equal(pack_open(device, "models/ink", &pack, &err), 0);
	struct run *late = begin(pack, 0, 128), *early = begin(pack, 1, 128);
	struct run *both[] = {late, early};
	assert_true(run_joins(late, early));
	assert_int_equal(run_step(late, &err), 0);
	assert_int_equal(run_step(late, &err), 0);
	assert_int_equal(run_step_together(both, 2, &err), 0);
	assert_int_equal(run_steps_done(late), 3);
	assert_int_equal(run_steps_done(early), 1);
	struct run *twins[] = {begin(pack, 0, 128), begin(pack, 1, 128)};
	for (int i = 0; i < 3; i++)
		assert_int_equal(run_step(twins[0], &err), 0);
	assert_int_equal(run_step(twins[1], &err), 0);
	for (int i = 0; i < 2; i++) {
		struct saved want = save(twins[i]);
		same(both[i], &want, "at other steps", i, 2);
		free(want.data);
		run_free(twins[i]);
		run_free(both[i]);
	}
	pack_close(pack);
}

static void test_what_does_not_join(void **state)
{
	struct pack *pack;
	struct error err;
	struct run *run;
	(void)state;
	assert_int_equal(pack_open(device, "models/ink", &pack, &err), 0);
	struct run *still = begin(pack, 0, 128);
	assert_true(run_most_together(still) > 1);
	static const struct run_params others[] = {
	    {.width = 136, .height = 128},
	    {.width = 128, .height = 128, .deep_cache = 2},
	    {.width = 256, .height = 128, .window = 128, .overlap = 64},
	};
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		struct run_params p = others[i];
		p.prompt = "a cat";
		p.steps = 4;
		p.cfg_scale = 1;
		p.frames = 1;
		assert_int_equal(run_begin(pack, &p, &run, &err), 0);
		assert_false(run_joins(still, run));
		assert_true(i == 0 || run_most_together(run) == 1);
		struct run *both[] = {still, run};
		struct saved before = save(still);
		assert_int_equal(run_step_together(both, 2, &err), SUMI_INVALID);
		same(still, &before, "after a refusal", 0, 2);
		free(before.data);
		run_free(run);
	}
	if (device->info.is_cpu) { /* busy with one */
		struct run *large = begin(pack, 0, 512);
		assert_int_equal(run_most_together(large), 1);
		run_free(large);
	}
	/* One that is at its end stops all, and none has moved. */
	struct run_params p = params_of(2, 128);
	p.steps = 1;
	assert_int_equal(run_begin(pack, &p, &run, &err), 0);
	assert_int_equal(run_step(run, &err), 0);
	struct run *both[] = {still, run};
	assert_int_equal(run_step_together(both, 2, &err), SUMI_INVALID);
	assert_int_equal(run_steps_done(still), 0);
	run_free(run);
	run_free(still);
	pack_close(pack);
}

/* OpenCL where there is a device: the reference has one way to do anything. */
static int open_device(void **state)
{
	struct error err;
	(void)state;
	return device_open("opencl:0", &device, &err) && device_open("reference", &device, &err)
		   ? -1
		   : 0;
}

static int close_device(void **state)
{
	(void)state;
	device_close(device);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_joined_runs_are_what_they_are_alone),
	    cmocka_unit_test(test_half_joins_as_well),
	    cmocka_unit_test(test_precision_is_a_runs_own),
	    cmocka_unit_test(test_runs_join_at_any_step),
	    cmocka_unit_test(test_what_does_not_join),
	};
	return cmocka_run_group_tests(tests, open_device, close_device);
}

/* Runs whose prompts change on the way or have parts, beside runs of each text alone; saved and restored
 * at every step; together with deep-feature reuse and with others. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diffusion/run.h"
#include "tests/unit/vector_file.h"

enum { STEPS = 6, SIDE = 16, VALUES = SIDE / 8 * SIDE / 8 * 4 };

static struct device *device;
static struct pack *pack;

static struct run_params params_of(const char *prompt)
{
	return (struct run_params){
	    .prompt = prompt,
	    .negative_prompt = "fog",
	    .prompt_syntax = "a1111",
	    .seed = 3,
	    .steps = STEPS,
	    .cfg_scale = 5,
	    .sampler = "euler",
	    .width = SIDE,
	    .height = SIDE,
	    .frames = 1,
	};
}

static struct run *begin(const struct run_params *p)
{
	struct run *run;
	struct error err = {0};
	if (run_begin(pack, p, &run, &err))
		fail_msg("%s: %s", p->prompt, err.text);
	return run;
}

static void step(struct run *run)
{
	struct error err = {0};
	if (run_step(run, &err))
		fail_msg("%s", err.text);
}

static void latents_at(struct run *run, int steps, float out[VALUES])
{
	size_t n;
	while (run_steps_done(run) < steps)
		step(run);
	const float *x = run_latents(run, false, &n);
	assert_int_equal(n, VALUES);
	memcpy(out, x, VALUES * sizeof *out);
}

/* What a run of these words gives after so many steps. */
static void made(const struct run_params *p, int steps, float out[VALUES])
{
	struct run *run = begin(p);
	latents_at(run, steps, out);
	run_free(run);
}

static double between(const float *a, const float *b)
{
	return vector_distance(a, b, VALUES);
}

static void test_changes(void **state)
{
	static const struct {
		const char *prompt, *alone;
		int same, other; /* as this text alone after so many steps, and no more after so many */
	} rows[] = {
	    {"a [cat:tree:3]", "a cat", 3, 4},	 {"a [cat:tree:0.5]", "a cat", 3, 4},
	    {"a [cat::1]", "a cat", 1, 2},	 {"a [ cat:2]", "a ", 2, 3},
	    {"a [cat|tree]", "a cat", 1, 2},	 {"a [cat:tree:0]", "a tree", STEPS, 0},
	    {"a [cat:tree:1.0]", "a cat", STEPS, 0},
	};
	float one[VALUES], other[VALUES];
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct run_params p = params_of(rows[i].prompt), q = params_of(rows[i].alone);
		made(&p, rows[i].same, one);
		made(&q, rows[i].same, other);
		assert_true(between(one, other) < 1e-5);
		if (!rows[i].other)
			continue;
		made(&p, rows[i].other, one);
		made(&q, rows[i].other, other);
		assert_true(between(one, other) > 1e-4);
	}
}

static void test_parts(void **state)
{
	float one[VALUES], other[VALUES];
	(void)state;
	struct run_params p = params_of("a cat AND a tree :0"), q = params_of("a cat");
	made(&p, STEPS, one);
	made(&q, STEPS, other);
	assert_true(between(one, other) < 1e-5);
	/* Two halves of one thing are the thing; its weight is that of guidance. */
	p = params_of("a cat :0.25 AND a cat :0.75");
	made(&p, STEPS, one);
	assert_true(between(one, other) < 1e-5);
	p = params_of("a cat :2");
	q = params_of("a cat");
	p.cfg_scale = 3;
	q.cfg_scale = 6;
	made(&p, STEPS, one);
	made(&q, STEPS, other);
	assert_true(between(one, other) < 1e-5);
	/* Also where nothing else is guided. */
	p.cfg_scale = 1;
	q.cfg_scale = 2;
	made(&p, STEPS, one);
	made(&q, STEPS, other);
	assert_true(between(one, other) < 1e-5);
	p = params_of("a cat AND a tree");
	made(&p, STEPS, one);
	assert_true(between(one, other) > 1e-4);
}

/* A long prompt beside a short negative one is as if each was said alone. */
static void test_lengths(void **state)
{
	float one[VALUES], other[VALUES];
	(void)state;
	struct run_params p = params_of("cat BREAK cat BREAK (cat:1.2)"), q = p;
	q.negative_prompt = "fog BREAK fog";
	made(&p, STEPS, one);
	made(&q, STEPS, other);
	assert_true(between(one, other) < 1e-4);
	q.negative_prompt = "fog BREAK tree";
	made(&q, STEPS, other);
	assert_true(between(one, other) > 1e-4);
	/* Three chunks and one: with a negative prompt of three equal ones nothing else is said. */
	p = params_of("(cat:1.0) BREAK cat BREAK cat");
	q = params_of("cat");
	p.cfg_scale = q.cfg_scale = 1;
	made(&p, STEPS, one);
	made(&q, STEPS, other);
	assert_true(between(one, other) < 1e-4);
}

/* Saved after so many steps and gone on with from there: the latents that the whole run has. The saved
 * bytes are the caller's. */
static void *saved_at(const struct run_params *p, int at, const float whole[VALUES], size_t *size)
{
	struct error err = {0};
	float again[VALUES];
	void *data;
	struct run *run = begin(p);
	latents_at(run, at, again);
	assert_int_equal(run_save(run, &data, size, &err), 0);
	run_free(run);
	assert_int_equal(run_restore(pack, p, data, *size, &run, &err), 0);
	latents_at(run, STEPS, again);
	assert_memory_equal(again, whole, VALUES * sizeof *whole);
	run_free(run);
	return data;
}

static void test_saved(void **state)
{
	struct run_params p = params_of("a [cat|tree|(fog:1.3)] AND a [lake:4] :0.5");
	float whole[VALUES];
	struct error err = {0};
	(void)state;
	made(&p, STEPS, whole);
	for (int at = 0; at < STEPS; at++) {
		struct run *run;
		size_t size;
		void *data = saved_at(&p, at, whole, &size);
		/* Another way to read it is another run. */
		struct run_params q = p;
		q.prompt_syntax = "comfy";
		assert_int_equal(run_restore(pack, &q, data, size, &run, &err), SUMI_INVALID);
		free(data);
	}
}

static void test_reused_features(void **state)
{
	struct run_params p = params_of("a [cat:tree:2]");
	float whole[VALUES];
	(void)state;
	p.deep_cache = 3;
	made(&p, STEPS, whole);
	for (int at = 1; at < STEPS; at++) {
		size_t size;
		free(saved_at(&p, at, whole, &size));
	}
}

static void test_together(void **state)
{
	struct run_params a = params_of("a [cat:tree:2]"), b = params_of("a cat"),
			  c = params_of("a cat AND [tree|lake]");
	float alone[3][VALUES], got[VALUES];
	struct error err = {0};
	(void)state;
	made(&a, STEPS, alone[0]);
	made(&b, STEPS, alone[1]);
	made(&c, STEPS, alone[2]);
	struct run *runs[3] = {begin(&a), begin(&b), begin(&c)};
	for (int k = 0; k < STEPS; k++)
		assert_int_equal(run_step_together(runs, 3, &err), 0);
	for (int i = 0; i < 3; i++) {
		latents_at(runs[i], STEPS, got);
		assert_memory_equal(got, alone[i], sizeof got);
		run_free(runs[i]);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *prompt, *negative, *syntax, *says;
	} rows[] = {
	    {"(a:1.2.3)", NULL, "a1111", "is no weight"},
	    {"cat", "(a:1.2.3)", "a1111", "is no weight"},
	    {"a [b:(c:1.2.3):5]", NULL, "a1111", "is no weight"},
	    {"cat", NULL, "latin", "prompt_syntax is 'latin'"},
	};
	struct error err = {0};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct run_params p = params_of(rows[i].prompt);
		struct run *run;
		p.negative_prompt = rows[i].negative;
		p.prompt_syntax = rows[i].syntax;
		assert_int_equal(run_text_check(pack_info_of(pack), &p, &err), SUMI_INVALID);
		assert_non_null(strstr(err.text, rows[i].says));
		assert_int_equal(run_begin(pack, &p, &run, &err), SUMI_INVALID);
	}
	/* A model that embeds guidance is told one text. */
	struct pack_info info;
	struct run_params p = params_of("a cat AND a tree");
	assert_int_equal(pack_info_read_plain("tests/vectors/taesd-tiny", &info, &err), 0);
	assert_int_equal(run_text_check(&info, &p, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "guides itself"));
	p.prompt = "a [cat|tree]";
	assert_int_equal(run_text_check(&info, &p, &err), 0);
	pack_info_free(&info);
}

static int open_pack(void **state)
{
	struct error err = {0};
	(void)state;
	if (device_open("reference", &device, &err) ||
	    pack_open(device, "tests/vectors/sd1-tiny", &pack, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	return 0;
}

static int close_pack(void **state)
{
	(void)state;
	pack_close(pack);
	device_close(device);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_changes), cmocka_unit_test(test_parts),
	    cmocka_unit_test(test_lengths), cmocka_unit_test(test_saved),
	    cmocka_unit_test(test_reused_features), cmocka_unit_test(test_together),
	    cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, open_pack, close_pack);
}

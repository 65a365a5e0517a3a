/* A family that the library does not know (toy_family.c). Its table stands in the place of
 * diffusion/families.c; all else is the library as it is: a pack in a folder, runs in steps, saved and
 * restored, together, guided, in windows, from a picture, to a file. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "diffusion/guidance.h"
#include "diffusion/run.h"
#include "modalities/modality.h"
#include "tests/unit/toy_family.h"

/* Tests are told nothing. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

const struct family *const families[] = {&toy_family, NULL};

/* ---- a pack of it --------------------------------------------------------------------------- */

static char folder[] = "/tmp/sumi-toy-XXXXXX";
static struct device *device;
static struct pack *pack;

enum { WEIGHT = HIDDEN * CHANNELS };

static float weights[2 * WEIGHT]; /* [cout, cin] of both layers */

static void write_file(const char *part, const char *name, const void *data, size_t size)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", folder, part);
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%s/%s/%s", folder, part, name);
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	fclose(f);
}

static void write_weights(void)
{
	static char file[1024 + sizeof weights];
	int half = (int)sizeof weights / 2;
	int n = snprintf(file + 8, 1000,
			 "{\"first.weight\":{\"dtype\":\"F32\",\"shape\":[%d,%d,1,1],"
			 "\"data_offsets\":[0,%d]},\"second.weight\":{\"dtype\":\"F32\","
			 "\"shape\":[%d,%d,1,1],\"data_offsets\":[%d,%d]}}",
			 HIDDEN, CHANNELS, half, CHANNELS, HIDDEN, half, 2 * half);
	for (int i = 0; i < 2 * WEIGHT; i++)
		weights[i] = 0.3f * sinf((float)i * 0.7f);
	file[0] = (char)(n & 255);
	file[1] = (char)(n >> 8);
	memcpy(file + 8 + n, weights, sizeof weights);
	write_file("mixer", TOY_WEIGHTS, file, 8 + (size_t)n + sizeof weights);
}

static int make_pack(void **state)
{
	struct error err = {0};
	assert_non_null(mkdtemp(folder));
	static const char *const texts[][3] = {
	    {".", "model_index.json", "{\"_class_name\": \"ToyPipeline\"}"},
	    {".", "sumi.json", "{\"name\": \"toy\", \"defaults\": {\"steps\": 4}}"},
	    {"letters", "config.json", "{}"},
	    {"tones", "config.json", "{}"},
	    {"shuffle", "config.json", "{}"},
	    {"noise", "scheduler_config.json",
	     "{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\"}"},
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		write_file(texts[i][0], texts[i][1], texts[i][2], strlen(texts[i][2]));
	write_weights();
	if ((device_open("opencl:0", &device, &err) && device_open("reference", &device, &err)) ||
	    pack_open(device, folder, &pack, &err)) {
		print_error("%s\n", err.text);
		return -1;
	}
	return 0;
}

static int remove_pack(void **state)
{
	char command[64];
	pack_close(pack);
	device_close(device);
	snprintf(command, sizeof command, "rm -r %s", folder);
	return system(command);
}

/* ---- runs ------------------------------------------------------------------------------------ */

enum { H = 5, W = 7, STEPS = 4, LATENTS = H * W * CHANNELS };

static struct run_params params(const char *prompt, uint64_t seed)
{
	return (struct run_params){
	    .prompt = prompt,
	    .negative_prompt = "fog",
	    .seed = seed,
	    .steps = STEPS,
	    .cfg_scale = 3,
	    .width = W * SCALE,
	    .height = H * SCALE,
	    .frames = 1,
	};
}

static struct run *begin(const struct run_params *p)
{
	struct run *run;
	struct error err = {0};
	if (run_begin(pack, p, &run, &err))
		fail_msg("%s", err.text);
	return run;
}

static void step(struct run *run)
{
	struct error err = {0};
	if (run_step(run, &err))
		fail_msg("%s", err.text);
}

/* All steps; after each the run is saved, freed and restored where that is wanted. */
static void finish(const struct run_params *p, bool interrupted, float *out)
{
	struct run *run = begin(p);
	struct error err = {0};
	size_t count, size;
	while (run_steps_done(run) < run_steps(run)) {
		void *data;
		step(run);
		if (!interrupted)
			continue;
		assert_int_equal(run_save(run, &data, &size, &err), 0);
		run_free(run);
		if (run_restore(pack, p, data, size, &run, &err))
			fail_msg("%s", err.text);
		free(data);
	}
	memcpy(out, run_latents(run, false, &count), LATENTS * sizeof *out);
	run_free(run);
}

static void test_what_the_pack_says(void **state)
{
	const struct pack_info *info = pack_info_of(pack);
	assert_string_equal(info->family->name, "Toys");
	assert_int_equal(info->latents.channels, CHANNELS);
	assert_int_equal(info->latents.scale, SCALE);
	assert_int_equal(info->defaults.width, 7 * SCALE);
	assert_int_equal(info->defaults.height, 5 * SCALE);
	assert_int_equal(info->defaults.steps, 4);
	struct run_params small = params("a", 1), large = small;
	large.width *= 2;
	assert_true(run_memory(info, &large) > run_memory(info, &small));
	/* What was read to check the weights waits elsewhere until the first step. */
	assert_true(toy_rests > 0);
	/* What is missing is told by the family's parts, and other families are none here. */
	struct error err = {0};
	struct pack_info other;
	assert_int_equal(pack_info_read("tests/vectors/sd1-tiny", &other, &err), SUMI_UNSUPPORTED);
	assert_non_null(strstr(err.text, "those of Toys are"));
}

/* What the denoiser says of latents [h, w, c], computed in double. */
static void by_hand(const float *latents, const char *text, int rows, float timestep, double *out)
{
	float tokens[64 * LETTERS], pooled[TONES] = {0}, said[HIDDEN];
	toy_letters(text, rows, tokens);
	toy_tones(text, pooled);
	toy_hear(tokens, rows, pooled, said);
	memset(out, 0, LATENTS * sizeof *out);
	for (int p = 0; p < H * W * CHANNELS; p += CHANNELS)
		for (int k = 0; k < HIDDEN; k++) {
			double v = toy_at_time(said[k], k, timestep);
			for (int c = 0; c < CHANNELS; c++)
				v += latents[p + c] * weights[k * CHANNELS + c];
			for (int c = 0; c < CHANNELS; c++)
				out[p + c] += v / (1 + exp(-v)) *
					      weights[WEIGHT + c * HIDDEN + k];
		}
}

/* A whole run of one step is x − (what was said at its time), guided. */
static void test_a_step_is_what_it_is_by_hand(void **state)
{
	struct run_params p = params("a lone tree", 5);
	double with[LATENTS], without[LATENTS];
	float start[LATENTS];
	size_t count;
	p.steps = 1;
	struct run *run = begin(&p);
	memcpy(start, run_latents(run, false, &count), sizeof start);
	by_hand(start, p.prompt, (int)strlen(p.prompt), 1000, with);
	by_hand(start, p.negative_prompt, (int)strlen(p.prompt), 1000, without);
	step(run);
	const float *end = run_latents(run, false, &count);
	for (int i = 0; i < LATENTS; i++) {
		double v = without[i] + 3 * (with[i] - without[i]);
		if (fabs(end[i] - (start[i] - v)) > 1e-3)
			fail_msg("latent %d is %g, by hand %g", i, end[i], start[i] - v);
	}
	run_free(run);
}

static void test_interrupted(void **state)
{
	static const char *const samplers[] = {"euler", "heun", "dpmpp_2m"};
	float want[LATENTS], got[LATENTS];
	for (size_t i = 0; i < sizeof samplers / sizeof *samplers; i++) {
		struct run_params p = params("a lone tree", 9);
		p.sampler = samplers[i];
		finish(&p, false, want);
		finish(&p, true, got);
		assert_memory_equal(want, got, sizeof want);
	}
}

/* Both encoders are heard: an anagram has the same tones, and not the same letters. */
static void test_both_encoders_count(void **state)
{
	float a[LATENTS], b[LATENTS], c[LATENTS], d[LATENTS];
	struct run_params p = params("tea", 1), anagram = params("eat", 1), other = params("tfa", 1);
	finish(&p, false, a);
	finish(&anagram, false, b);
	finish(&other, false, c);
	assert_memory_not_equal(a, b, sizeof a);
	assert_memory_not_equal(a, c, sizeof a);
	p.negative_prompt = "rain";
	finish(&p, false, d);
	assert_memory_not_equal(a, d, sizeof a);
}

static void test_together(void **state)
{
	enum { RUNS = 3 };
	float alone[RUNS][LATENTS];
	struct run_params p[RUNS] = {params("a", 1), params("three birches", 2), params("c", 3)};
	struct run *runs[RUNS];
	struct error err = {0};
	size_t count;
	p[1].cfg_scale = 1;
	for (int i = 0; i < RUNS; i++) {
		finish(&p[i], false, alone[i]);
		runs[i] = begin(&p[i]);
	}
	assert_true(run_joins(runs[0], runs[1]));
	assert_true(run_most_together(runs[0]) > 1);
	for (int i = 0; i < STEPS; i++)
		if (run_step_together(runs, RUNS, &err))
			fail_msg("%s", err.text);
	for (int i = 0; i < RUNS; i++) {
		assert_memory_equal(run_latents(runs[i], false, &count), alone[i], sizeof alone[i]);
		run_free(runs[i]);
	}
}

/* What a run starts from and what is decoded go through the family's codec, in windows too. */
static void check_pictures(int columns, int window, bool circular)
{
	struct error err = {0};
	size_t n = (size_t)(H * columns * CHANNELS), count;
	float *picture = malloc(n * 3 * sizeof *picture), *out = malloc(n * 3 * sizeof *out);
	struct run_params p = params("a", 4);
	for (size_t i = 0; i < n * 3; i++)
		picture[i] = (float)(i / 3 % 19) / 19 - 0.5f;
	p.init = picture;
	p.strength = 0.5;
	p.width = columns * SCALE;
	p.window = window * SCALE;
	p.circular = circular;
	struct run *run = begin(&p);
	assert_true(run_steps(run) < STEPS);
	while (run_steps_done(run) < run_steps(run))
		step(run);
	if (run_decode(run, 0, out, &err))
		fail_msg("%s", err.text);
	const float *x = run_latents(run, false, &count);
	assert_int_equal(count, n);
	for (size_t i = 0; i < n; i++) {
		float grey = x[i] / 2 * 0.5f + 0.5f, got = out[toy_place(columns, i)];
		grey = grey < 0 ? 0 : grey > 1 ? 1 : grey;
		assert_true(fabsf(got - grey) < 1e-5f && got == out[toy_place(columns, i) + 2]);
	}
	run_free(run);
	free(picture);
	free(out);
}

static void test_pictures(void **state)
{
	check_pictures(W, 0, false);
	check_pictures(3 * W, W, false);
	check_pictures(3 * W, W, true);
}

static void test_refused(void **state)
{
	struct run_params odd = params("a", 1), deep = odd;
	struct run *run;
	struct error err = {0};
	odd.width = 30;
	assert_int_equal(run_begin(pack, &odd, &run, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "multiples of 4"));
	deep.deep_cache = 2; /* there is nothing that it could keep */
	assert_int_equal(run_begin(pack, &deep, &run, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "deep_cache"));
	assert_int_equal(run_possible(pack_info_of(pack), &deep, false, &err), SUMI_INVALID);
}

/* ---- to a file ------------------------------------------------------------------------------ */

static int take(void *context, const struct output *o, struct error *err)
{
	const unsigned char *png = o->data;
	assert_true(o->size > 24);
	assert_memory_equal(png, "\x89PNG", 4);
	assert_int_equal(png[19], W * SCALE); /* of the header: width, height */
	assert_int_equal(png[23], H * SCALE);
	(*(int *)context)++;
	return SUMI_OK;
}

static void test_a_file(void **state)
{
	const struct modality *m = &modality_image;
	struct request r = {.modality = "image",
			    .prompt = "a lone tree",
			    .seed = 7,
			    .cfg_scale = NAN,
			    .quality = NAN,
			    .mask_blur = NAN,
			    .mask_padding = NAN,
			    .strength = NAN,
			    .format = "png"};
	struct generation *g;
	struct error err = {0};
	int made = 0;
	struct sink sink = {.context = &made, .output = take};
	if (m->resolve(pack_info_of(pack), &r, &err) || m->begin(pack, &r, NULL, 0, &g, &err))
		fail_msg("%s", err.text);
	assert_int_equal(g->steps, STEPS);
	while (g->steps_done < g->steps)
		assert_int_equal(m->step(g, &err), 0);
	if (m->finish(g, &sink, &err))
		fail_msg("%s", err.text);
	m->free(g);
	assert_int_equal(made, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_the_pack_says),
	    cmocka_unit_test(test_a_step_is_what_it_is_by_hand),
	    cmocka_unit_test(test_interrupted),
	    cmocka_unit_test(test_both_encoders_count),
	    cmocka_unit_test(test_together),
	    cmocka_unit_test(test_pictures),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_a_file),
	};
	return cmocka_run_group_tests(tests, make_pack, remove_pack);
}

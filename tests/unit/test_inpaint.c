/* Runs that make a part of a picture anew, and models that are shown a picture, against what diffusers
 * made, and what ComfyUI and A1111 do around a sampler; and that such a run may be interrupted anywhere. */
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
#include "tests/unit/wider_unet.h"

#define LATENTS_TOLERANCE 1e-4 /* of the largest latent, after any step */
#define PICTURE_PSNR 60.0      /* dB */

static struct device *device;
static struct tensor_file *dump;
static json_t *facts;
static float *init, *mask;
static char nine[] = "/tmp/sumi-inpaint-nine-XXXXXX", eight[] = "/tmp/sumi-inpaint-eight-XXXXXX";
static struct pack *packs[10]; /* by the channels that they take */

static double number(const json_t *o, const char *name)
{
	return json_number_value(json_object_get(o, name));
}

static int setup(void **state)
{
	size_t count;
	struct error err = {0};
	(void)state;
	dump = vector_file_open("inpaint.safetensors");
	facts = vector_json_open("inpaint.json");
	mask = vector_copy(dump, "mask", &count);
	float *planes = vector_copy(dump, "image", &count);
	init = malloc(count * sizeof *init);
	for (size_t i = 0; i < count; i++)
		init[i % (count / 3) * 3 + i / (count / 3)] = planes[i];
	free(planes);
	assert_non_null(mkdtemp(nine));
	assert_non_null(mkdtemp(eight));
	wider_pack(nine, 9);
	wider_pack(eight, 8);
	if (device_open("reference", &device, &err) || pack_open(device, nine, &packs[9], &err) ||
	    pack_open(device, eight, &packs[8], &err) ||
	    pack_open(device, "tests/vectors/sd1-tiny", &packs[4], &err)) {
		print_error("%s\n", err.text);
		return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	char command[128];
	(void)state;
	for (size_t i = 0; i < sizeof packs / sizeof *packs; i++)
		pack_close(packs[i]);
	device_close(device);
	tensors_close(dump);
	json_decref(facts);
	free(init);
	free(mask);
	snprintf(command, sizeof command, "rm -r %s %s", nine, eight);
	return system(command);
}

static struct run_params params_of(const json_t *row)
{
	return (struct run_params){
	    .prompt = json_string_value(json_object_get(facts, "prompt")),
	    .negative_prompt = json_string_value(json_object_get(facts, "negative_prompt")),
	    .seed = (uint64_t)number(facts, "seed"),
	    .steps = (int)number(facts, "steps"),
	    .cfg_scale = number(facts, "guidance_scale"),
	    .sampler = json_string_value(json_object_get(row, "sampler")),
	    .width = (int)number(facts, "width"),
	    .height = (int)number(facts, "height"),
	    .frames = 1,
	    .init = init,
	    .strength = number(row, "channels") != 8 ? number(row, "strength") : 1,
	    .mask = number(row, "channels") != 8 ? mask : NULL,
	    .mask_blend = json_string_value(json_object_get(row, "blend")),
	    .image_cfg_scale = number(facts, "image_guidance_scale"),
	};
}

static double latents_error(const struct run *run, const char *name)
{
	size_t have;
	const float *got = run_latents(run, false, &have);
	return vector_latents_distance(dump, name, got, have);
}

static void compare_picture(struct run *run, const char *name)
{
	char tensor[64];
	size_t count;
	struct error err = {0};
	snprintf(tensor, sizeof tensor, "%s.image", name);
	float *want = vector_copy_maybe(dump, tensor, &count);
	if (!want)
		return;
	float *got = malloc(count * sizeof *got);
	double sum = 0;
	assert_int_equal(run_decode(run, 0, got, &err), 0);
	for (size_t i = 0; i < count; i++)
		sum += pow((double)want[i] - (double)got[i % (count / 3) * 3 + i / (count / 3)], 2);
	double psnr = -10 * log10(sum / (double)count);
	if (!(psnr >= PICTURE_PSNR))
		fail_msg("%s: %.1f dB", name, psnr);
	free(want);
	free(got);
}

/* Each step in a process of its own, as it were. */
static void interrupt(struct pack *pack, const struct run_params *p, struct run **run)
{
	void *saved;
	size_t size;
	struct error err = {0};
	assert_int_equal(run_save(*run, &saved, &size, &err), 0);
	run_free(*run);
	if (run_restore(pack, p, saved, size, run, &err))
		fail_msg("%s", err.text);
	free(saved);
}

static void follow(const json_t *row)
{
	const char *name = json_string_value(json_object_get(row, "name"));
	struct pack *pack = packs[(int)number(row, "channels")];
	struct run_params p = params_of(row);
	struct run *run, *straight = NULL;
	struct error err = {0};
	char tensor[64];
	size_t count;
	snprintf(tensor, sizeof tensor, "%s.image", name);
	bool whole = tensors_find(dump, tensor) != NULL;
	if (run_begin(pack, &p, &run, &err) || (whole && run_begin(pack, &p, &straight, &err)))
		fail_msg("%s: %s", name, err.text);
	for (int i = 0; i < run_steps(run); i++) {
		interrupt(pack, &p, &run);
		if (run_step(run, &err) || (whole && run_step(straight, &err)))
			fail_msg("%s step %d: %s", name, i, err.text);
		snprintf(tensor, sizeof tensor, "%s.latents.%d", name, i);
		double e = latents_error(run, tensor);
		if (!(e < LATENTS_TOLERANCE))
			fail_msg("%s step %d: latents off by %.2e", name, i, e);
		const float *a = run_latents(whole ? straight : run, false, &count);
		assert_memory_equal(a, run_latents(run, false, &count), count * sizeof *a);
	}
	snprintf(tensor, sizeof tensor, "%s.latents.%d", name, run_steps(run));
	assert_null(tensors_find(dump, tensor));
	compare_picture(run, name);
	run_free(run);
	run_free(straight);
}

static void test_as_others_do(void **state)
{
	const json_t *row;
	size_t i;
	(void)state;
	json_array_foreach(json_object_get(facts, "cases"), i, row)
	{
		follow(row);
	}
}

static const json_t *case_of(const char *name)
{
	const json_t *row;
	size_t i;
	json_array_foreach(json_object_get(facts, "cases"), i, row)
	{
		if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0)
			return row;
	}
	fail_msg("no case %s", name);
	return NULL;
}

/* What is said of parameters that do not go together. */
static void refused(int channels, const char *name, bool masked, bool from, const char *word)
{
	struct run_params p = params_of(case_of(name));
	struct run *run;
	struct error err = {0};
	p.mask = masked ? mask : NULL;
	p.init = from ? init : NULL;
	assert_int_equal(run_begin(packs[channels], &p, &run, &err), SUMI_INVALID);
	if (!strstr(err.text, word))
		fail_msg("%s", err.text);
}

static void test_refusals(void **state)
{
	(void)state;
	refused(4, "four", true, false, "no init");
	refused(9, "nine", true, false, "no init");
	refused(8, "edit", false, false, "give one as init");
	refused(8, "four", true, true, "takes no mask");
}

/* A model for inpainting makes a whole picture where nothing is said of one. */
static void test_without_a_picture(void **state)
{
	struct run_params p = params_of(case_of("nine"));
	struct run *run;
	struct error err = {0};
	(void)state;
	p.mask = NULL;
	p.init = NULL;
	if (run_begin(packs[9], &p, &run, &err))
		fail_msg("%s", err.text);
	assert_int_equal(run_step(run, &err), 0);
	run_free(run);
}

/* Several runs with masks, made together, are what each is alone. */
static void test_together(void **state)
{
	struct run_params p[2] = {params_of(case_of("comfy")), params_of(case_of("four"))};
	struct run *alone[2], *runs[2];
	struct error err = {0};
	size_t count;
	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(run_begin(packs[4], &p[i], &alone[i], &err), 0);
		assert_int_equal(run_begin(packs[4], &p[i], &runs[i], &err), 0);
	}
	while (run_steps_done(runs[0]) < run_steps(runs[0])) {
		if (run_step_together(runs, 2, &err))
			fail_msg("%s", err.text);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(run_step(alone[i], &err), 0);
			const float *a = run_latents(alone[i], false, &count);
			assert_memory_equal(a, run_latents(runs[i], false, &count), count * sizeof *a);
		}
	}
	for (int i = 0; i < 2; i++) {
		run_free(alone[i]);
		run_free(runs[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_as_others_do),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_without_a_picture),
	    cmocka_unit_test(test_together),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

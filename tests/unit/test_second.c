/* Pictures that are made in two runs: A1111's second pass at a higher resolution, against its formulas around
 * diffusers' schedulers; taken apart after every step, and refused where it cannot be. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diffusion/pack.h"
#include "modalities/single_run.h"
#include "tests/unit/vector_file.h"

#define LATENTS_TOLERANCE 1e-4 /* of the largest latent, after any step */

static struct device *device;
static struct pack *pack, *large;
static struct tensor_file *dump;
static json_t *facts;

static double number(const char *name)
{
	return json_number_value(json_object_get(facts, name));
}

static int setup(void **state)
{
	struct error err = {0};
	(void)state;
	dump = vector_file_open("second.safetensors");
	facts = vector_json_open("second.json");
	if (device_open("reference", &device, &err) ||
	    pack_open(device, "tests/vectors/sd1-tiny", &pack, &err) ||
	    pack_open(device, "tests/vectors/sdxl-tiny", &large, &err)) {
		print_error("%s\n", err.text);
		return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pack_close(pack);
	pack_close(large);
	device_close(device);
	tensors_close(dump);
	json_decref(facts);
	return 0;
}

static struct request request_of(const char *upscaler, const char *sampler)
{
	return (struct request){
	    .prompt = json_string_value(json_object_get(facts, "prompt")),
	    .negative_prompt = json_string_value(json_object_get(facts, "negative_prompt")),
	    .seed = (uint64_t)number("seed"),
	    .steps = (int)number("steps"),
	    .cfg_scale = number("guidance_scale"),
	    .sampler = sampler,
	    .width = (int)number("side"),
	    .height = (int)number("side"),
	    .quality = NAN,
	    .strength = NAN,
	    .mask_blur = NAN,
	    .mask_padding = NAN,
	    .hires = number("hires"),
	    .hires_steps = (int)number("hires_steps"),
	    .hires_strength = number("hires_strength"),
	    .hires_upscaler = upscaler,
	};
}

static const struct run *run_of(const struct generation *g)
{
	return ((const struct single_run *)g)->run;
}

static void compare(const struct generation *g, const char *name)
{
	size_t have;
	const float *got = run_latents(run_of(g), false, &have);
	double distance = vector_latents_distance(dump, name, got, have);
	if (!(distance < LATENTS_TOLERANCE))
		fail_msg("%s: latents off by %.2e", name, distance);
}

/* Saved, freed and begun again from that. */
static struct generation *interrupt(struct pack *pack, struct generation *g, const struct request *r)
{
	void *saved;
	size_t size;
	struct error err = {0};
	struct generation *again;
	int steps = g->steps, done = g->steps_done;
	assert_int_equal(modality_image.save(g, &saved, &size, &err), 0);
	modality_image.free(g);
	if (modality_image.begin(pack, r, saved, size, &again, &err))
		fail_msg("%s", err.text);
	free(saved);
	assert_int_equal(again->steps, steps);
	assert_int_equal(again->steps_done, done);
	return again;
}

static void follow(const char *upscaler, const char *sampler)
{
	struct request r = request_of(upscaler, sampler);
	struct generation *g;
	struct error err = {0};
	char tensor[64];
	if (modality_image.resolve(pack_info_of(pack), &r, &err) ||
	    modality_image.begin(pack, &r, NULL, 0, &g, &err))
		fail_msg("%s: %s", upscaler, err.text);
	int second = ((struct single_run *)g)->second_steps, first = g->steps - second;
	assert_true(second > 0);
	assert_false(modality_image.joins(g, g));
	for (int i = 0; i < g->steps; i++) {
		g = interrupt(pack, g, &r);
		if (modality_image.step(g, &err))
			fail_msg("%s step %d: %s", upscaler, i, err.text);
		snprintf(tensor, sizeof tensor, "%s.latents.%d", upscaler, i - first);
		if (i >= first)
			compare(g, tensor);
	}
	assert_int_equal(run_latent_spec(run_of(g)).width, number("side") * number("hires") / 8);
	snprintf(tensor, sizeof tensor, "%s.latents.%d", upscaler, second);
	assert_null(tensors_find(dump, tensor));
	modality_image.free(g);
}

static void test_as_a1111_does(void **state)
{
	const json_t *row;
	size_t i;
	(void)state;
	json_array_foreach(json_object_get(facts, "upscalers"), i, row)
	{
		follow(json_string_value(json_object_get(row, "name")),
		       json_string_value(json_object_get(row, "sampler")));
	}
}

static struct request refined(const char *sampler)
{
	struct request r = request_of(NULL, sampler);
	r.steps *= 2;
	r.hires = r.hires_strength = 0;
	r.hires_steps = 0;
	r.refiner = "refiner-tiny";
	r.refiner_at = number("refiner_at");
	r.host_packs = "tests/vectors";
	r.host_state = "/tmp/sumi-no-such-folder";
	return r;
}

static void follow_refiner(const char *sampler)
{
	struct request r = refined(sampler);
	struct generation *g;
	struct error err = {0};
	char tensor[64];
	if (modality_image.resolve(pack_info_of(large), &r, &err) ||
	    modality_image.begin(large, &r, NULL, 0, &g, &err))
		fail_msg("refiner, %s: %s", sampler, err.text);
	int second = ((struct single_run *)g)->second_steps, first = g->steps - second;
	assert_true(second > 0 && first > 0);
	for (int i = 0; i < g->steps; i++) {
		g = interrupt(large, g, &r);
		if (modality_image.step(g, &err))
			fail_msg("refiner, %s, step %d: %s", sampler, i, err.text);
		snprintf(tensor, sizeof tensor, "refiner.%s.first", sampler);
		if (i == first - 1)
			compare(g, tensor);
		snprintf(tensor, sizeof tensor, "refiner.%s.latents.%d", sampler, i - first);
		if (i >= first)
			compare(g, tensor);
	}
	snprintf(tensor, sizeof tensor, "refiner.%s.latents.%d", sampler, second);
	assert_null(tensors_find(dump, tensor));
	const char *text = ((struct single_run *)g)->infotext;
	assert_non_null(strstr(text, "Refiner: refiner-tiny"));
	assert_non_null(strstr(text, "Refiner switch at: 0.6"));
	modality_image.free(g);
}

static void test_as_diffusers_hands_over(void **state)
{
	const json_t *sampler;
	size_t i;
	(void)state;
	json_array_foreach(json_object_get(facts, "refiners"), i, sampler)
	{
		follow_refiner(json_string_value(sampler));
	}
}

/* What SDXL is told of sizes. */
static void test_sizes(void **state)
{
	struct request r = request_of(NULL, "euler");
	struct generation *g;
	struct error err = {0};
	(void)state;
	r.hires = r.hires_strength = 0;
	r.hires_steps = 0;
	r.original_height = 50;
	r.original_width = 70;
	r.crop_top = 3;
	r.crop_left = 9;
	r.target_height = 40;
	r.target_width = 30;
	assert_int_equal(modality_image.resolve(pack_info_of(large), &r, &err), 0);
	assert_int_equal(modality_image.begin(large, &r, NULL, 0, &g, &err), 0);
	while (g->steps_done < g->steps)
		assert_int_equal(modality_image.step(g, &err), 0);
	compare(g, "sizes.latents");
	modality_image.free(g);
}

/* What A1111's text says of it. */
static void test_infotext(void **state)
{
	struct request r = request_of("latent_nearest_exact", "euler");
	struct generation *g;
	struct error err = {0};
	(void)state;
	assert_int_equal(modality_image.resolve(pack_info_of(pack), &r, &err), 0);
	assert_int_equal(modality_image.begin(pack, &r, NULL, 0, &g, &err), 0);
	const char *text = ((struct single_run *)g)->infotext;
	static const char *const words[] = {"Size: 64x64", "Hires upscale: 1.5", "Hires steps: 3",
					    "Hires upscaler: Latent (nearest-exact)",
					    "Denoising strength: 0.6"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (!strstr(text, words[i]))
			fail_msg("%s is not in: %s", words[i], text);
	modality_image.free(g);
}

static void test_refusals(void **state)
{
	struct request many = request_of("latent", "euler"), init = many, huge = many;
	struct error err = {0};
	(void)state;
	many.hires_strength = 0.002;
	assert_int_equal(modality_image.resolve(pack_info_of(pack), &many, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "hires_strength"));
	init.init = "x";
	assert_int_equal(modality_image.resolve(pack_info_of(pack), &init, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "hires"));
	struct request none = refined("euler"), other = none, all = none, both = none;
	struct generation *g;
	none.refiner = "nowhere";
	assert_int_equal(modality_image.resolve(pack_info_of(large), &none, &err), 0);
	assert_int_equal(modality_image.begin(large, &none, NULL, 0, &g, &err), SUMI_NOTFOUND);
	assert_non_null(strstr(err.text, "nowhere"));
	other.refiner = "levels-tiny"; /* another autoencoder's latents */
	assert_int_equal(modality_image.resolve(pack_info_of(large), &other, &err), 0);
	assert_int_equal(modality_image.begin(large, &other, NULL, 0, &g, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "levels-tiny"));
	all.refiner_at = 1;
	assert_int_equal(modality_image.resolve(pack_info_of(large), &all, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "refiner_at"));
	both.hires = 2;
	assert_int_equal(modality_image.resolve(pack_info_of(large), &both, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "hires"));
	huge.width = 8192;
	assert_int_equal(modality_image.resolve(pack_info_of(pack), &huge, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "8192"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_as_a1111_does),
	    cmocka_unit_test(test_as_diffusers_hands_over),
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_infotext),
	    cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

/* Networks that see a picture beside a UNet: whole runs against what diffusers paints with the same ones
 * (tools/reference/controls.py, looks.py), whatever their files are called, and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/files.h"
#include "diffusion/control.h"
#include "diffusion/controls.h"
#include "diffusion/run.h"
#include "media/picture_file.h"
#include "media/picture_fit.h"
#include "media/preprocess.h"
#include "request/param.h"
#include "tests/unit/vector_file.h"

#define VECTORS "tests/vectors/"
#define STEERING "steering/"
#define LOOKS "looks/"
#define T2I "t2i/" /* its pictures are those of steering */

enum { SIDE = 64, PIXELS = SIDE * SIDE, CONTROLS = 2, SEEN = 32 };

static struct device *device;
static struct error err;

static int setup(void **state)
{
	(void)state;
	return device_open(NULL, &device, &err);
}

static int teardown(void **state)
{
	(void)state;
	device_close(device);
	return 0;
}

/* 0…1, as it is shown to the networks; the caller frees it. */
static float *picture_of(const char *folder, const char *name)
{
	char path[128];
	float *rgb;
	int side = strcmp(folder, LOOKS) == 0 ? SEEN : SIDE;
	snprintf(path, sizeof path, VECTORS "%s%s.png", side == SEEN ? LOOKS : STEERING, name);
	if (picture_load(path, path, side, side, &rgb, &err))
		fail_msg("%s", err.text);
	for (int i = 0; i < side * side * 3; i++)
		rgb[i] = rgb[i] * 0.5f + 0.5f;
	return rgb;
}

static float *mask_of(const char *folder, const char *name)
{
	char path[128];
	uint8_t *light;
	float *mask = malloc(PIXELS * sizeof *mask);
	snprintf(path, sizeof path, VECTORS "%s%s.png", folder, name);
	if (!mask || picture_light(path, path, SIDE, SIDE, &light, &err))
		fail_msg("%s", err.text);
	for (size_t i = 0; i < PIXELS; i++)
		mask[i] = (float)light[i] / 255;
	free(light);
	return mask;
}

struct use {
	const char *net, *picture; /* net NULL: none */
	double strength, start, end;
	bool guess;
	const char *mask;
	int kind;
	bool joined;
};

struct row {
	const char *folder, *run, *pack, *negative;
	struct use uses[CONTROLS];
};

static const struct row rows[] = {
    {STEERING, "sd1-one", "sd1-tiny", NULL, {{"sd1-a", "first", 0.8, 0, 1, false, NULL, -1, false}}},
    {STEERING, "sd1-guess", "sd1-tiny", NULL, {{"sd1-a", "first", 0.9, 0, 1, true, NULL, -1, false}}},
    {STEERING, "sd1-part", "sd1-tiny", NULL, {{"sd1-a", "first", 1, 0.3, 0.7, false, NULL, -1, false}}},
    {STEERING, "sd1-two",
     "sd1-tiny",
     NULL,
     {{"sd1-a", "first", 0.7, 0, 0.5, false, NULL, -1, false}, {"sd1-b", "second", 0.5, 0.25, 1, false, NULL, -1, false}}},
    {STEERING, "sd1-two-guess",
     "sd1-tiny",
     NULL,
     {{"sd1-a", "first", 0.7, 0, 1, true, NULL, -1, false}, {"sd1-b", "second", 0.5, 0, 1, true, NULL, -1, false}}},
    {STEERING, "sd1-one", "sd1-tiny", NULL, {{"sd1-a-original.safetensors", "first", 0.8, 0, 1, false, NULL, -1, false}}},
    {STEERING, "sd1-one",
     "sd1-tiny",
     NULL,
     {{"sd1-a/diffusion_pytorch_model.safetensors", "first", 0.8, 0, 1, false, NULL, -1, false}}},
    {STEERING, "sdxl-one", "sdxl-tiny", "blurry", {{"sdxl-a", "first", 0.8, 0, 1, false, NULL, -1, false}}},
    {LOOKS, "base", "sd1-tiny", NULL, {{"base.safetensors", "first", 0.7, 0, 1, false, NULL, -1, false}}},
    {LOOKS, "base", "sd1-tiny", NULL, {{"base-archive.bin", "first", 0.7, 0, 1, false, NULL, -1, false}}},
    {LOOKS, "plus", "sd1-tiny", NULL, {{"plus.safetensors", "first", 0.8, 0, 1, false, NULL, -1, false}}},
    {LOOKS, "full-face", "sd1-tiny", NULL, {{"full-face.safetensors", "second", 0.6, 0, 1, false, NULL, -1, false}}},
    {LOOKS,
     "two",
     "sd1-tiny",
     NULL,
     {{"base.safetensors", "first", 0.6, 0, 1, false, NULL, -1, false}, {"plus.safetensors", "second", 0.5, 0, 1, false, NULL, -1, false}}},
    {LOOKS,
     "masks",
     "sd1-tiny",
     NULL,
     {{"plus.safetensors", "first", 0.9, 0, 1, false, "left", -1, false},
      {"plus.safetensors", "second", 0.6, 0, 1, false, "right", -1, false}}},
    {STEERING, "sdxl-union", "sdxl-tiny", "blurry", {{"sdxl-union", "first", 0.8, 0, 1, false, NULL, 3, false}}},
    {STEERING,
     "sdxl-union",
     "sdxl-tiny",
     "blurry",
     {{"sdxl-union/diffusion_pytorch_model.safetensors", "first", 0.8, 0, 1, false, NULL, 3, false}}},
    {STEERING,
     "sdxl-union-two",
     "sdxl-tiny",
     "blurry",
     {{"sdxl-union", "first", 0.7, 0, 1, false, NULL, 0, false}, {"sdxl-union", "second", 0.5, 0, 1, false, NULL, 6, false}}},
    {T2I, "full", "sd1-tiny", NULL, {{"full", "first", 0.4, 0, 1, false, NULL, -1, false}}},
    {T2I, "full", "sd1-tiny", NULL, {{"full-original.safetensors", "first", 0.4, 0, 1, false, NULL, -1, false}}},
    {T2I,
     "full",
     "sd1-tiny",
     NULL,
     {{"full/diffusion_pytorch_model.safetensors", "first", 0.4, 0, 1, false, NULL, -1, false}}},
    {T2I, "grey", "sd1-tiny", NULL, {{"grey", "first", 0.5, 0, 1, false, NULL, -1, false}}},
    {T2I, "light", "sd2-tiny", NULL, {{"light", "second", 0.6, 0, 1, false, NULL, -1, false}}},
    {T2I, "light", "sd2-tiny", NULL, {{"light-original.safetensors", "second", 0.6, 0, 1, false, NULL, -1, false}}},
    {T2I,
     "two",
     "sd1-tiny",
     NULL,
     {{"full", "first", 0.3, 0, 1, false, NULL, -1, false}, {"other", "second", 0.4, 0, 1, false, NULL, -1, false}}},
    {T2I, "xl", "sdxl-tiny", "blurry", {{"xl", "first", 0.5, 0, 1, false, NULL, -1, false}}},
    {T2I, "xl-half", "sdxl-tiny", "blurry", {{"xl", "first", 0.5, 0, 0.5, false, NULL, -1, false}}},
    {T2I,
     "xl",
     "sdxl-tiny",
     "blurry",
     {{"xl/diffusion_pytorch_model.safetensors", "first", 0.5, 0, 1, false, NULL, -1, false}}},
    {LOOKS,
     "joined",
     "sd1-tiny",
     NULL,
     {{"plus.safetensors", "first", 0.8, 0, 1, false, NULL, -1, false},
      {"plus.safetensors", "second", 1, 0, 1, false, NULL, -1, true}}},
    {LOOKS, "xl", "sdxl-tiny", "blurry", {{"xl.safetensors", "first", 0.7, 0, 1, false, NULL, -1, false}}},
    {LOOKS, "xl-plus", "sdxl-tiny", "blurry", {{"xl-plus.safetensors", "second", 0.7, 0, 1, false, NULL, -1, false}}},
};

enum { ROWS = sizeof rows / sizeof rows[0] };

static const struct row *row_of(const char *folder, const char *name)
{
	for (int i = 0; i < ROWS; i++)
		if (strcmp(rows[i].folder, folder) == 0 && strcmp(rows[i].run, name) == 0)
			return &rows[i];
	fail_msg("there is no run %s", name);
	return NULL;
}

/* What a row is made of, and its run. */
struct made {
	struct run_control controls[CONTROLS];
	char paths[CONTROLS][128];
	float *pictures[CONTROLS], *masks[CONTROLS];
	struct run_params params;
	struct pack *pack;
	struct run *run;
};

static void prepare(struct made *m, const struct row *row)
{
	char folder[128];
	memset(m, 0, sizeof *m);
	m->params = (struct run_params){.prompt = "a boat", .negative_prompt = row->negative, .seed = 7,
					.steps = 4, .cfg_scale = 7.5, .width = SIDE, .height = SIDE,
					.frames = 1, .rng = "torch", .controls = m->controls};
	for (int i = 0; i < CONTROLS && row->uses[i].net; i++) {
		const struct use *u = &row->uses[i];
		snprintf(m->paths[i], sizeof m->paths[i], VECTORS "%s%s", row->folder, u->net);
		m->pictures[i] = picture_of(row->folder, u->picture);
		m->masks[i] = u->mask ? mask_of(row->folder, u->mask) : NULL;
		m->controls[i] = (struct run_control){.path = m->paths[i], .picture = m->pictures[i],
						      .mask = m->masks[i], .kind = u->kind,
						      .joined = u->joined,
						      .height = SIDE, .width = SIDE,
						      .strength = u->strength, .start = u->start,
						      .end = u->end, .guess = u->guess};
		m->params.control_count++;
	}
	snprintf(folder, sizeof folder, "tests/vectors/%s", row->pack);
	if (pack_open(device, folder, &m->pack, &err))
		fail_msg("%s", err.text);
}

static void finish(struct made *m)
{
	run_free(m->run);
	pack_close(m->pack);
	for (int i = 0; i < CONTROLS; i++) {
		free(m->pictures[i]);
		free(m->masks[i]);
	}
}

static void run_all(struct made *m)
{
	if (run_begin(m->pack, &m->params, &m->run, &err))
		fail_msg("%s", err.text);
	while (run_steps_done(m->run) < run_steps(m->run))
		if (run_step(m->run, &err))
			fail_msg("%s", err.text);
}

/* diffusers' latents within 1e-4 of the largest, and its picture within 60 dB. */
static void compare(struct made *m, const char *folder, const char *name)
{
	char file[128];
	size_t count, have;
	double sum = 0;
	static float picture[PIXELS * 3];
	snprintf(file, sizeof file, "%s%s.run.safetensors", folder, name);
	struct tensor_file *dump = vector_file_open(file);
	const float *got = run_latents(m->run, false, &have);
	double distance = vector_latents_distance(dump, "latents", got, have);
	if (!(distance <= 1e-4))
		fail_msg("%s: latents are off by %.2e", name, distance);
	float *want = vector_copy(dump, "image", &count);
	assert_int_equal(count, PIXELS * 3);
	assert_int_equal(run_decode(m->run, 0, picture, &err), SUMI_OK);
	for (size_t c = 0; c < 3; c++)
		for (size_t i = 0; i < PIXELS; i++)
			sum += pow((double)want[c * PIXELS + i] - (double)picture[i * 3 + c], 2);
	if (!(sum <= 1e-6 * (double)(PIXELS * 3)))
		fail_msg("%s: the picture is %.1f dB off", name, -10 * log10(sum / (double)(PIXELS * 3)));
	free(want);
	tensors_close(dump);
}

static void test_runs_are_those_of_diffusers(void **state)
{
	(void)state;
	for (int i = 0; i < ROWS; i++) {
		struct made m;
		prepare(&m, &rows[i]);
		run_all(&m);
		compare(&m, rows[i].folder, rows[i].run);
		finish(&m);
	}
}

/* Of another family, of no kind that sees pictures, with numbers out of range: before anything is made. */
static void test_refusals(void **state)
{
	(void)state;
	static const struct {
		const char *folder;
		struct use use;
		const char *message;
	} wrong[] = {
	    {STEERING, {"sdxl-a", "first", 1, 0, 1, false, NULL, -1, false}, "sdxl-a: the ControlNet reads texts of 72 channels, this "
						  "model's have 32: it is for another family"},
	    {STEERING, {"../sd1-tiny/unet", "first", 1, 0, 1, false, NULL, -1, false},
	     "is a 'UNet2DConditionModel', not a network that sees a picture"},
	    {STEERING, {"../adapters/sd1-tiny.safetensors", "first", 1, 0, 1, false, NULL, -1, false}, "is a LoRA"},
	    {STEERING, {"absent", "first", 1, 0, 1, false, NULL, -1, false}, "absent"},
	    {STEERING, {"sd1-a", "first", NAN, 0, 1, false, NULL, -1, false}, "strength"},
	    {STEERING, {"sd1-a", "first", 1, 0.6, 0.5, false, NULL, -1, false}, "the start before the end"},
	    {STEERING, {"sd1-a", "first", 1, -0.1, 1, false, NULL, -1, false}, "0 to 1"},
	    {STEERING, {"sd1-a", "first", 1, 0, 1.5, false, NULL, -1, false}, "0 to 1"},
	    {LOOKS, {"xl.safetensors", "first", 1, 0, 1, false, NULL, -1, false}, "xl.safetensors: the IP-Adapter's tokens have 72 "
								   "channels, this model's texts 32: it is for "
								   "another family"},
	    {LOOKS, {"base.safetensors", "first", 1, 0, 1, false, NULL, -1, true}, "no picture of the same IP-Adapter"},
	    {LOOKS, {"base.safetensors", "first", 1, 0, 1, true, NULL, -1, false}, "of kind IP-Adapter takes no guess"},
	    {T2I, {"xl", "first", 1, 0, 1, false, NULL, -1, false}, "xl: the T2I-Adapter is not made for this model"},
	    {T2I, {"light", "first", 1, 0, 1, false, NULL, -1, false}, "light: the T2I-Adapter is not made for this model"},
	    {T2I, {"full", "first", 1, 0, 1, true, NULL, -1, false}, "of kind T2I-Adapter takes no guess"},
	    {LOOKS, {"image_encoder/model.safetensors", "first", 1, 0, 1, false, NULL, -1, false}, "is an image encoder of CLIP, not a"},
	};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct made m;
		const struct row row = {wrong[i].folder, "", "sd1-tiny", NULL, {wrong[i].use}};
		prepare(&m, &row);
		assert_int_not_equal(run_begin(m.pack, &m.params, &m.run, &err), SUMI_OK);
		if (!strstr(err.text, wrong[i].message))
			fail_msg("'%s' does not say '%s'", err.text, wrong[i].message);
		finish(&m);
	}
}

/* Saved after each step, freed and restored: the same latents; with another strength, another picture or
 * network it is another run. */
static void go_on(const char *folder, const char *name)
{
	struct made m;
	size_t count, size;
	void *data;
	prepare(&m, row_of(folder, name));
	run_all(&m);
	double strength = m.controls[0].strength;
	const float *latents = run_latents(m.run, false, &count);
	float *want = malloc(count * sizeof *want);
	assert_non_null(want);
	memcpy(want, latents, count * sizeof *want);
	run_free(m.run);
	assert_int_equal(run_begin(m.pack, &m.params, &m.run, &err), SUMI_OK);
	for (;;) {
		assert_int_equal(run_save(m.run, &data, &size, &err), SUMI_OK);
		run_free(m.run);
		m.run = NULL;
		m.controls[0].strength = strength + 0.01;
		assert_int_equal(run_restore(m.pack, &m.params, data, size, &m.run, &err), SUMI_INVALID);
		m.controls[0].strength = strength;
		m.controls[0].path = m.paths[1];
		assert_int_equal(run_restore(m.pack, &m.params, data, size, &m.run, &err), SUMI_INVALID);
		m.controls[0].path = m.paths[0];
		m.controls[0].picture = m.pictures[1];
		assert_int_equal(run_restore(m.pack, &m.params, data, size, &m.run, &err), SUMI_INVALID);
		m.controls[0].picture = m.pictures[0];
		if (run_restore(m.pack, &m.params, data, size, &m.run, &err))
			fail_msg("%s", err.text);
		free(data);
		if (run_steps_done(m.run) == run_steps(m.run))
			break;
		assert_int_equal(run_step(m.run, &err), SUMI_OK);
	}
	assert_memory_equal(run_latents(m.run, false, &count), want, count * sizeof *want);
	free(want);
	finish(&m);
}

static void test_saved_runs_go_on(void **state)
{
	(void)state;
	go_on(STEERING, "sd1-two");
	go_on(LOOKS, "two");
	go_on(T2I, "two");
}

/* Another mask, or none, is another run. */
static void test_saved_masks(void **state)
{
	(void)state;
	struct made m;
	size_t size;
	void *data;
	prepare(&m, row_of(LOOKS, "masks"));
	assert_int_equal(run_begin(m.pack, &m.params, &m.run, &err), SUMI_OK);
	assert_int_equal(run_save(m.run, &data, &size, &err), SUMI_OK);
	const float *const others[] = {m.masks[1], NULL, m.masks[0]};
	for (int i = 0; i < 3; i++) {
		run_free(m.run);
		m.run = NULL;
		m.controls[0].mask = others[i];
		assert_int_equal(run_restore(m.pack, &m.params, data, size, &m.run, &err),
				 i < 2 ? SUMI_INVALID : SUMI_OK);
	}
	free(data);
	finish(&m);
}

/* Pictures are the caller's again when a run has begun, also where its texts change on the way. */
static void test_pictures_may_go(void **state)
{
	(void)state;
	static const char *const names[][2] = {{STEERING, "sd1-one"}, {LOOKS, "masks"}, {T2I, "full"}};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct made m;
		size_t count, pixels = strcmp(names[i][0], LOOKS) == 0 ? SEEN * SEEN : PIXELS;
		float *want = NULL;
		prepare(&m, row_of(names[i][0], names[i][1]));
		m.params.prompt = "[a boat:a bird:0.5]";
		m.params.prompt_syntax = "a1111";
		for (int again = 0; again < 2; again++) {
			if (run_begin(m.pack, &m.params, &m.run, &err))
				fail_msg("%s", err.text);
			for (size_t k = 0; again && k < pixels * 3; k++)
				m.pictures[0][k] = NAN;
			for (size_t k = 0; again && m.masks[0] && k < PIXELS; k++)
				m.masks[0][k] = NAN;
			while (run_steps_done(m.run) < run_steps(m.run))
				if (run_step(m.run, &err))
					fail_msg("%s: %s", names[i][1], err.text);
			const float *latents = run_latents(m.run, false, &count);
			if (again)
				assert_memory_equal(latents, want, count * sizeof *want);
			else
				assert_non_null(want = malloc(count * sizeof *want));
			memcpy(want, latents, count * sizeof *want);
			run_free(m.run);
			m.run = NULL;
		}
		free(want);
		finish(&m);
	}
}

/* A picture of any size as the encoder sees it: CLIPImageProcessor's within a rounding. */
static void test_pictures_are_seen(void **state)
{
	(void)state;
	size_t count;
	uint8_t *rgb;
	struct tensor_file *dump = vector_file_open("looks/wide.seen.safetensors");
	float *want = vector_copy(dump, "seen", &count);
	assert_int_equal(count, SEEN * SEEN * 3);
	if (picture_seen(VECTORS LOOKS "wide.png", "picture", SEEN, &rgb, &err))
		fail_msg("%s", err.text);
	for (size_t i = 0; i < count; i++)
		assert_true(fabsf(want[i] - (float)rgb[i]) <= 1);
	free(rgb);
	free(want);
	tensors_close(dump);
}

/* A step with them takes more than one without. */
static void test_memory_is_planned(void **state)
{
	(void)state;
	static const char *const names[][2] = {
	    {STEERING, "sd1-two"}, {LOOKS, "plus"}, {LOOKS, "masks"}, {T2I, "two"}, {T2I, "xl"}};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct made m;
		prepare(&m, row_of(names[i][0], names[i][1]));
		const struct pack_info *info = pack_info_of(m.pack);
		uint64_t with = run_memory(info, &m.params);
		m.params.control_count = 0;
		assert_true(with > run_memory(info, &m.params));
		finish(&m);
	}
}

/* Every word of the table of parameters is a map, and who makes one is there. */
static void test_words_are_maps(void **state)
{
	(void)state;
	const struct param_word *word = param_find("controls")->members[0].words;
	for (; word->word; word++) {
		const struct control_map *map = control_map(word->word);
		assert_non_null(map);
		assert_true(!map->maker || preprocessor_find(map->maker));
	}
	for (const struct preprocessor *p = preprocessors; p->name; p++)
		assert_non_null(control_map(p->name));
	assert_null(control_map("nothing"));
}

/* The short form, as options and lists have it. */
static void test_short_form(void **state)
{
	(void)state;
	static const struct {
		const char *text, *json; /* NULL: refused */
	} rows[] = {
	    {"canny:photo.jpg",
	     "[{\"preprocess\":\"canny\",\"image\":\"photo.jpg\",\"strength\":1.0}]"},
	    {"canny:photo.jpg:0.8",
	     "[{\"preprocess\":\"canny\",\"image\":\"photo.jpg\",\"strength\":0.8}]"},
	    {"CANNY:photo.jpg:0.8:0.1:0.5",
	     "[{\"preprocess\":\"canny\",\"image\":\"photo.jpg\",\"strength\":0.8,\"start\":0.1,\"end\":0.5}]"},
	    {"depth:c:/a b.png:-1, guess=true, model=n; canny:x",
	     "[{\"preprocess\":\"depth\",\"image\":\"c:/a b.png\",\"strength\":-1.0,\"model\":\"n\",\"guess\":true},"
	     "{\"preprocess\":\"canny\",\"image\":\"x\",\"strength\":1.0}]"},
	    {"image=a:b.png,model=n",
	     "[{\"preprocess\":\"none\",\"image\":\"a:b.png\",\"strength\":1.0,\"model\":\"n\"}]"},
	    {"canny, image=x", "[{\"preprocess\":\"canny\",\"image\":\"x\",\"strength\":1.0}]"},
	    {"canny", NULL},
	    {"canny:", NULL},
	    {"canny:x,image=y", NULL},
	    {"cany:x", NULL},
	    {"canny:x:11", NULL},
	    {"canny:x:1:2", NULL},
	    {":x", NULL},
	};
	const struct param *p = param_find("controls");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		json_t *value = NULL;
		int status = param_from_text(p, 0, rows[i].text, strlen(rows[i].text), &value, &err);
		if ((status == SUMI_OK) != (rows[i].json != NULL))
			fail_msg("'%s': %s", rows[i].text, status ? err.text : "is taken");
		if (status)
			continue;
		char *text = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(6));
		assert_string_equal(text, rows[i].json);
		free(text);
		/* And as it is written, it is read again. */
		text = param_text(p, value);
		json_t *again = NULL;
		assert_int_equal(param_from_text(p, 0, text, strlen(text), &again, &err), SUMI_OK);
		assert_true(json_equal(value, again));
		json_decref(again);
		json_decref(value);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_runs_are_those_of_diffusers),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_saved_runs_go_on),
	    cmocka_unit_test(test_saved_masks),
	    cmocka_unit_test(test_pictures_may_go),
	    cmocka_unit_test(test_pictures_are_seen),
	    cmocka_unit_test(test_memory_is_planned),
	    cmocka_unit_test(test_words_are_maps),
	    cmocka_unit_test(test_short_form),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

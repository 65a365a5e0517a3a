/* Motion modules against diffusers' (tests/vectors/README.md), on every device here. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "diffusion/run_internal.h"
#include "media/picture.h"
#include "networks/unet.h"
#include "tests/unit/vector_file.h"

#define TOLERANCE 1e-4
#define VIDEO_PSNR 60.0 /* dB over all frames */

static const char *const packs[] = {"motion-tiny", "motion3-tiny"};
static struct device *devices[2];
static int device_count;

struct check {
	struct tensor_file *dump;
	struct device *device;
	int compared;
	double worst;
};

#define assert_ok(call, err)                                                                       \
	do {                                                                                       \
		if (call)                                                                          \
			fail_msg("%s", (err).text);                                                \
	} while (0)

/* torch's layouts of a video, [c, f, h, w], and of frames as a batch, [f, c, h, w], in ours:
 * [f, h, w, c]. */
static float *channels_last(const float *x, int frames, int c, int pixels, bool video)
{
	float *y = malloc((size_t)frames * (size_t)c * (size_t)pixels * sizeof *y);
	assert_non_null(y);
	for (int f = 0; f < frames; f++)
		for (int k = 0; k < c; k++)
			for (int i = 0; i < pixels; i++)
				y[(f * pixels + i) * c + k] =
				    x[((video ? k * frames + f : f * c + k)) * pixels + i];
	return y;
}

static void on_stage(void *user, const char *name, const struct map *x)
{
	struct check *check = user;
	char full[256];
	size_t count;
	snprintf(full, sizeof full, "motion.%s",
		 strcmp(name, "down_blocks.0.motion_modules.0") == 0 ? "first.out" : name);
	float *want = vector_copy_maybe(check->dump, full, &count);
	if (!want)
		return;
	float *got = malloc(count * sizeof *got);
	float *ours = channels_last(want, x->n, x->t.c, x->h * x->w, false);
	struct pass p = pass_begin(check->device, NULL, NULL);
	pass_download(&p, x, got);
	double distance = vector_distance(got, ours, count);
	if (!(distance <= check->worst))
		check->worst = distance;
	check->compared++;
	free(got);
	free(ours);
	free(want);
}

/* One call over the first frames of the input; its distance from the dump's name. */
static double compare(struct unet *u, struct check *check, const struct motion_context *motion,
		      const char *name, bool stages)
{
	enum { PIXELS = 24, C = 4, ALL = 16 };
	struct error err = {0};
	size_t count;
	int n = motion->frames;
	float *sample = vector_copy(check->dump, "motion.in.sample", &count);
	float *context = vector_copy(check->dump, "motion.in.context", &count);
	float *latents = channels_last(sample, ALL, C, PIXELS, true);
	float *raw = vector_copy(check->dump, name, &count);
	float *want = channels_last(raw, n, C, PIXELS, true);
	float *got = malloc(2 * count * sizeof *got), *both = malloc(2 * count * sizeof *both);
	float *texts = malloc((size_t)2 * 77 * 40 * sizeof *texts);
	float timesteps[2 * ALL];
	struct unet_text *text;
	/* Without taps, two sets at once, as under guidance. */
	int sets = stages ? 1 : 2;
	for (int i = 0; i < 2 * ALL; i++)
		timesteps[i] = 501;
	for (int i = 0; i < 2; i++) {
		memcpy(both + (size_t)i * count, latents, count * sizeof *both);
		memcpy(texts + (size_t)i * 77 * 40, context, (size_t)77 * 40 * sizeof *texts);
	}
	assert_ok(unet_text_new(u, texts, sets, 77, &text, &err), err);
	struct unet_input in = {.latents = both,
				.n = n * sets,
				.h = 6,
				.w = 4,
				.timesteps = timesteps,
				.text = text,
				.motion = *motion};
	if (stages)
		in.tap = (struct tap){.call = on_stage, .user = check};
	assert_ok(unet_forward(u, &in, got, &err), err);
	double distance = 0;
	for (int i = 0; i < sets; i++)
		distance = fmax(distance, vector_distance(got + (size_t)i * count, want, count));
	unet_text_free(text);
	free(sample);
	free(context);
	free(latents);
	free(raw);
	free(want);
	free(got);
	free(both);
	free(texts);
	return distance;
}

static void check_all(struct device *device, const char *pack, const char *adapter)
{
	struct error err = {0};
	char path[256], name[64];
	struct unet *u;
	snprintf(name, sizeof name, "%s.safetensors", pack);
	struct check check = {.dump = vector_file_open(name), .device = device};
	snprintf(path, sizeof path, "tests/vectors/%s/unet", pack);
	assert_ok(unet_open(device, path, &u, &err), err);
	assert_ok(unet_motion_open(u, adapter, NULL, &err), err);
	double eight =
	    compare(u, &check, &(struct motion_context){.frames = 8}, "motion.out.8", true);
	double all =
	    compare(u, &check, &(struct motion_context){.frames = 16}, "motion.out.16", false);
	double windows =
	    compare(u, &check, &(struct motion_context){.frames = 12, .length = 8, .stride = 3},
		    "motion.out.12.free", false);
	print_message("%s on %s: stages %.1e, 8 frames %.1e, 16 %.1e, windows %.1e\n", pack,
		      device->info.selector, check.worst, eight, all, windows);
	assert_int_equal(check.compared, 8);
	assert_true(check.worst < TOLERANCE);
	assert_true(eight < TOLERANCE);
	assert_true(all < TOLERANCE);
	assert_true(windows < TOLERANCE);
	unet_close(u);
	tensors_close(check.dump);
}

static void modules_equal_diffusers(void **state)
{
	(void)state;
	for (int d = 0; d < device_count; d++)
		for (int i = 0; i < 2; i++) {
			char adapter[128];
			snprintf(adapter, sizeof adapter, "tests/vectors/%s/motion_adapter",
				 packs[i]);
			check_all(devices[d], packs[i], adapter);
		}
}

static void link_to(const char *folder, const char *name, const char *target)
{
	char path[256], cwd[512], full[1024];
	assert_non_null(getcwd(cwd, sizeof cwd));
	snprintf(path, sizeof path, "%s/%s", folder, name);
	snprintf(full, sizeof full, "%s/tests/vectors/%s", cwd, target);
	assert_int_equal(symlink(full, path), 0);
}

static void original_names_are_read(void **state)
{
	(void)state;
	char folder[] = "/tmp/sumi-motion-XXXXXX", path[256];
	static const char *const names[] = {"config.json", "diffusion_pytorch_model.safetensors"};
	assert_non_null(mkdtemp(folder));
	link_to(folder, names[0], "motion3-tiny/motion_adapter/config.json");
	link_to(folder, names[1], "motion3-tiny.original.safetensors");
	check_all(devices[0], "motion3-tiny", folder);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		unlink(path);
	}
	rmdir(folder);
}

static void noise_is_shuffled_as_in_diffusers(void **state)
{
	(void)state;
	struct tensor_file *dump = vector_file_open("motion-tiny.safetensors");
	struct denoiser_frames motion = {.together = true, .window = 8, .stride = 3};
	size_t count;
	float *want = vector_copy(dump, "free.noise", &count);
	float *got = malloc(count * sizeof *got);
	struct rng rng;
	rng_init(&rng, RNG_TORCH, 5);
	rng_randn(&rng, got, count);
	run_shuffle_noise(&rng, got, 4, 12, 4, &motion);
	assert_true(vector_distance(got, want, count) < 1e-5);
	free(want);
	free(got);
	tensors_close(dump);
}

static void shares_of_a_frame_make_a_whole(void **state)
{
	(void)state;
	for (int frames = 9; frames < 40; frames++) {
		struct motion_context c = {
		    .frames = frames, .length = 8, .stride = 3, .circular = true};
		int starts[40], count = motion_windows(&c, starts);
		float sums[40] = {0};
		for (int i = 0; i < count; i++)
			for (int k = 0; k < 8; k++)
				sums[(starts[i] + k) % frames] +=
				    motion_share(&c, starts, count, i, k);
		for (int f = 0; f < frames; f++)
			assert_true(fabsf(sums[f] - 1) < 1e-5f);
	}
}

/* What tests/vectors/motion-tiny.json says about a video. */
static struct run_params video_params(const json_t *facts, const json_t *sizes)
{
	return (struct run_params){
	    .prompt = json_string_value(json_object_get(facts, "prompt")),
	    .negative_prompt = json_string_value(json_object_get(facts, "negative_prompt")),
	    .seed = (uint64_t)json_integer_value(json_object_get(sizes, "seed")),
	    .steps = (int)json_integer_value(json_object_get(facts, "steps")),
	    .cfg_scale = json_number_value(json_object_get(facts, "guidance_scale")),
	    .width = (int)json_integer_value(json_object_get(sizes, "width")),
	    .height = (int)json_integer_value(json_object_get(sizes, "height")),
	    .frames = (int)json_integer_value(json_object_get(sizes, "frames")),
	};
}

/* Frames of the run against a PPM that has them below each other. */
static double video_psnr(struct run *run, const struct run_params *p, const char *name)
{
	struct error err = {0};
	char path[128];
	int width, height;
	size_t one = (size_t)p->width * (size_t)p->height * 3;
	snprintf(path, sizeof path, "tests/vectors/%s", name);
	FILE *f = fopen(path, "rb");
	float *pixels = malloc(one * sizeof *pixels);
	uint8_t *got = malloc(one), *want = malloc(one);
	double sum = 0;
	assert_non_null(f);
	assert_int_equal(fscanf(f, "P6 %d %d 255", &width, &height), 2);
	assert_int_equal(fgetc(f), '\n');
	assert_int_equal(width, p->width);
	assert_int_equal(height, p->height * p->frames);
	for (int k = 0; k < p->frames; k++) {
		assert_ok(run_decode(run, k, pixels, &err), err);
		picture_to_bytes(pixels, got, one);
		assert_int_equal(fread(want, 1, one, f), one);
		for (size_t i = 0; i < one; i++)
			sum += (double)(want[i] - got[i]) * (want[i] - got[i]);
	}
	fclose(f);
	free(pixels);
	free(got);
	free(want);
	return sum > 0 ? 10 * log10(255.0 * 255 * (double)one * p->frames / sum) : INFINITY;
}

static void compare_latents(const struct run *run, const struct tensor_file *dump, int step)
{
	char name[64];
	size_t count, n;
	snprintf(name, sizeof name, "video.latents.%d", step);
	float *raw = vector_copy(dump, name, &count);
	float *want = channels_last(raw, 8, 4, 24, true);
	const float *got = run_latents(run, false, &n);
	assert_int_equal(n, count);
	double distance = vector_distance(got, want, count);
	print_message("%s: %.1e\n", name, distance);
	assert_true(distance < 1e-3);
	free(raw);
	free(want);
}

/* Every step goes on from what was saved after the one before. dump: of the latents, or NULL. */
static void check_video(struct device *device, const struct run_params *p,
			const struct tensor_file *dump, const char *frames)
{
	struct error err = {0};
	struct pack *pack;
	struct run *run;
	assert_ok(pack_open(device, "tests/vectors/motion-tiny", &pack, &err), err);
	assert_ok(run_begin(pack, p, &run, &err), err);
	for (int i = 0; i < p->steps; i++) {
		void *saved;
		size_t n;
		assert_ok(run_step(run, &err), err);
		if (dump)
			compare_latents(run, dump, i);
		assert_ok(run_save(run, &saved, &n, &err), err);
		run_free(run);
		assert_ok(run_restore(pack, p, saved, n, &run, &err), err);
		free(saved);
	}
	double psnr = video_psnr(run, p, frames);
	print_message("%s on %s: %.1f dB\n", frames, device->info.selector, psnr);
	assert_true(psnr >= VIDEO_PSNR);
	run_free(run);
	pack_close(pack);
}

static void whole_videos_equal_diffusers(void **state)
{
	(void)state;
	struct tensor_file *dump = vector_file_open("motion-tiny.safetensors");
	json_t *facts = vector_json_open("motion-tiny.json");
	struct run_params p = video_params(facts, facts);
	for (int d = 0; d < device_count; d++)
		check_video(devices[d], &p, dump, "motion-tiny.ppm");
	tensors_close(dump);
	json_decref(facts);
}

/* 21 frames: FreeNoise's shuffled noise, three windows, the last one moved back. */
static void long_videos_equal_diffusers(void **state)
{
	(void)state;
	json_t *facts = vector_json_open("motion-tiny.json");
	struct run_params p = video_params(facts, json_object_get(facts, "long"));
	for (int d = 0; d < device_count; d++)
		check_video(devices[d], &p, NULL, "motion-tiny.long.ppm");
	json_decref(facts);
}

/* ---- loops: diffusers has no circular windows to compare with ---- */

enum { LOOP_FRAMES = 24, LOOP_STRIDE = 4, LOOP_ONE = 24 * 4, LOOP_ALL = LOOP_FRAMES * LOOP_ONE };

/* A call of the tiny UNet over LOOP_FRAMES frames of noise. */
struct loop {
	struct unet *u;
	struct unet_text *text;
	float latents[LOOP_ALL], timesteps[LOOP_FRAMES];
};

static void loop_open(struct loop *l)
{
	struct error err = {0};
	struct tensor_file *dump = vector_file_open("motion-tiny.safetensors");
	struct rng rng;
	size_t count;
	float *context = vector_copy(dump, "motion.in.context", &count);
	assert_ok(unet_open(devices[0], "tests/vectors/motion-tiny/unet", &l->u, &err), err);
	assert_ok(unet_motion_open(l->u, "tests/vectors/motion-tiny/motion_adapter", NULL, &err), err);
	assert_ok(unet_text_new(l->u, context, 1, 77, &l->text, &err), err);
	rng_init(&rng, RNG_TORCH, 11);
	rng_randn(&rng, l->latents, LOOP_ALL);
	for (int f = 0; f < LOOP_FRAMES; f++)
		l->timesteps[f] = 501;
	free(context);
	tensors_close(dump);
}

static void loop_close(struct loop *l)
{
	unet_text_free(l->text);
	unet_close(l->u);
}

static void loop_call(const struct loop *l, bool circular, float out[LOOP_ALL])
{
	struct error err = {0};
	struct unet_input in = {
	    .latents = l->latents,
	    .n = LOOP_FRAMES,
	    .h = 6,
	    .w = 4,
	    .timesteps = l->timesteps,
	    .text = l->text,
	    .motion = {
		.frames = LOOP_FRAMES, .length = 8, .stride = LOOP_STRIDE, .circular = circular}};
	assert_ok(unet_forward(l->u, &in, out, &err), err);
}

/* Frames that begin `by` later, around the circle. */
static void turn(const float *in, int by, float *out)
{
	for (int f = 0; f < LOOP_FRAMES; f++)
		memcpy(out + f * LOOP_ONE, in + (f + by) % LOOP_FRAMES * LOOP_ONE,
		       LOOP_ONE * sizeof *out);
}

/* A circle has no beginning: frames that are turned by a window's distance come out turned,
 * and otherwise the same. */
static void a_circle_has_no_beginning(void **state)
{
	(void)state;
	struct loop l;
	float turned[LOOP_ALL], out[LOOP_ALL], want[LOOP_ALL];
	loop_open(&l);
	loop_call(&l, true, out);
	turn(out, LOOP_STRIDE, want);
	turn(l.latents, LOOP_STRIDE, turned);
	memcpy(l.latents, turned, sizeof turned);
	loop_call(&l, true, out);
	assert_true(vector_distance(out, want, LOOP_ALL) < TOLERANCE);
	/* Not so where the windows end with the last frame. */
	loop_call(&l, false, out);
	assert_true(vector_distance(out, want, LOOP_ALL) > 100 * TOLERANCE);
	loop_close(&l);
}

/* How much the frame before f changes when f does. */
static double influence(struct loop *l, bool circular, const float still[LOOP_ALL], int f)
{
	float out[LOOP_ALL];
	int before = (f + LOOP_FRAMES - 1) % LOOP_FRAMES;
	double sum = 0;
	for (int i = 0; i < LOOP_ONE; i++)
		l->latents[f * LOOP_ONE + i] += 0.5f;
	loop_call(l, circular, out);
	for (int i = 0; i < LOOP_ONE; i++)
		l->latents[f * LOOP_ONE + i] -= 0.5f;
	for (int i = before * LOOP_ONE; i < (before + 1) * LOOP_ONE; i++)
		sum += fabs(out[i] - still[i]);
	return sum / LOOP_ONE;
}

/* What makes a loop's seam as smooth as its other frames: the last one sees the first as any
 * frame sees the next, within the clip's own range; without `circular` it hardly does. */
static void the_last_frame_sees_the_first(void **state)
{
	(void)state;
	struct loop l;
	float still[LOOP_ALL];
	double least = INFINITY, most = 0;
	loop_open(&l);
	loop_call(&l, true, still);
	for (int f = 1; f < LOOP_FRAMES; f++) {
		double other = influence(&l, true, still, f);
		least = fmin(least, other);
		most = fmax(most, other);
	}
	double seam = influence(&l, true, still, 0);
	loop_call(&l, false, still);
	double open = influence(&l, false, still, 0);
	print_message("seam %.4f, others %.4f to %.4f; no loop %.4f\n", seam, least, most, open);
	assert_true(seam >= least && seam <= most);
	assert_true(open < least / 2);
	loop_close(&l);
}

/* The plan counts what steps and decoding then take, the modules' share included. */
static void planned_memory_is_what_is_taken(void **state)
{
	(void)state;
	static const struct {
		int frames;
		bool circular;
	} cases[] = {{1, false}, {16, false}, {24, false}, {24, true}, {40, false}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct error err = {0};
		struct device *own;
		struct pack *pack;
		struct run *run;
		float out[32 * 48 * 3];
		struct run_params p = {.prompt = "birds",
				       .steps = 1,
				       .cfg_scale = 7.5,
				       .width = 32,
				       .height = 48,
				       .frames = cases[i].frames,
				       .circular = cases[i].circular};
		assert_ok(device_open("reference", &own, &err), err);
		assert_ok(pack_open(own, "tests/vectors/motion-tiny", &pack, &err), err);
		size_t weights = own->bytes_in_use;
		assert_ok(run_begin(pack, &p, &run, &err), err);
		own->bytes_peak = own->bytes_in_use; /* without the text encoder */
		assert_ok(run_step(run, &err), err);
		assert_ok(run_decode(run, 0, out, &err), err);
		size_t taken = own->bytes_peak - weights;
		print_message("%d frames: %zu bytes\n", p.frames, taken);
		assert_int_equal(taken, run_memory(pack_info_of(pack), &p));
		struct pack_info without = *pack_info_of(pack);
		without.has_motion = false;
		if (p.frames >= 24)
			assert_true(run_memory(&without, &p) < taken);
		run_free(run);
		pack_close(pack);
		device_close(own);
	}
}

static void what_cannot_fit_is_refused_with_figures(void **state)
{
	(void)state;
	struct error err = {0};
	struct device *own;
	struct pack *pack;
	struct run *run;
	struct run_params p = {.prompt = "birds",
			       .steps = 1,
			       .cfg_scale = 7.5,
			       .width = 512,
			       .height = 512,
			       .frames = 64};
	assert_ok(device_open("reference", &own, &err), err);
	assert_ok(pack_open(own, "tests/vectors/motion-tiny", &pack, &err), err);
	own->info.memory = 64 << 20;
	assert_int_equal(run_begin(pack, &p, &run, &err), SUMI_TOOBIG);
	assert_non_null(strstr(err.text, "64 frames of 512x512 needs "));
	assert_non_null(strstr(err.text, "GiB, this device has 0.06 ("));
	/* One piece may be too large although all together is not. */
	own->info.memory = (uint64_t)1 << 40;
	own->info.max_alloc = 16 << 20;
	assert_int_equal(run_begin(pack, &p, &run, &err), SUMI_TOOBIG);
	assert_non_null(strstr(err.text, "GiB in one piece, this device has 0.02 ("));
	/* So may the pictures that it starts from: they are encoded together. */
	static float init[64 * 64 * 64 * 3];
	own->info.max_alloc = (uint64_t)1 << 40;
	p.width = p.height = 64;
	own->info.memory = (uint64_t)1 << 20;
	while (run_begin(pack, &p, &run, &err) == SUMI_TOOBIG)
		own->info.memory += (uint64_t)1 << 20;
	assert_non_null(run);
	run_free(run);
	p.init = init;
	p.strength = 0.5;
	p.steps = 2;
	assert_int_equal(run_begin(pack, &p, &run, &err), SUMI_TOOBIG);
	assert_non_null(strstr(err.text, "GiB, this device has "));
	pack_close(pack);
	device_close(own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(modules_equal_diffusers),
	    cmocka_unit_test(original_names_are_read),
	    cmocka_unit_test(noise_is_shuffled_as_in_diffusers),
	    cmocka_unit_test(shares_of_a_frame_make_a_whole),
	    cmocka_unit_test(whole_videos_equal_diffusers),
	    cmocka_unit_test(long_videos_equal_diffusers),
	    cmocka_unit_test(a_circle_has_no_beginning),
	    cmocka_unit_test(the_last_frame_sees_the_first),
	    cmocka_unit_test(planned_memory_is_what_is_taken),
	    cmocka_unit_test(what_cannot_fit_is_refused_with_figures),
	};
	static const char *const selectors[] = {"opencl:0", "reference"};
	struct error err = {0};
	for (int i = 0; i < 2; i++)
		if (device_open(selectors[i], &devices[device_count], &err) == 0)
			device_count++;
	if (device_count == 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	for (int i = 0; i < device_count; i++)
		device_close(devices[i]);
	return failed;
}

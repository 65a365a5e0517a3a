/* Pictures whose edges are one: what diffusers paints where all convolutions go around, seams, bands and tiles, other
 * uses of the same network before and after. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check.h"
#include "diffusion/codec.h"
#include "diffusion/run.h"
#include "diffusion/upscale.h"
#include "networks/pass.h"
#include "vector_file.h"

enum { WIDTH = 72, HEIGHT = 64, W = WIDTH / 8, H = HEIGHT / 8, PIXELS = WIDTH * HEIGHT * 3, LATENTS = W * H * 4 };

static struct device *device;
static struct tensor_file *vectors;

static int open_all(void **state)
{
	struct error err = {0};
	(void)state;
	vectors = vector_file_open("tiling.safetensors");
	return device_open(NULL, &device, &err);
}

static int close_all(void **state)
{
	(void)state;
	tensors_close(vectors);
	device_close(device);
	return 0;
}

#define assert_ok(call, err)                                                                       \
	do {                                                                                       \
		if (call)                                                                          \
			fail_msg("%s", (err).text);                                                \
	} while (0)

static double psnr(const float *got, const char *name)
{
	size_t count;
	float *want = vector_copy(vectors, name, &count);
	double sum = 0;
	assert_int_equal(count, PIXELS);
	for (size_t k = 0; k < 3; k++)
		for (size_t i = 0; i < PIXELS / 3; i++)
			sum += pow((double)want[k * PIXELS / 3 + i] - (double)got[i * 3 + k], 2);
	free(want);
	return -10 * log10(sum / PIXELS + 1e-30);
}

static struct run_params params_of(const char *tile)
{
	return (struct run_params){.prompt = "moss on a wall",
				   .negative_prompt = "",
				   .seed = 11,
				   .steps = 3,
				   .cfg_scale = 5,
				   .sampler = "ddim",
				   .schedule = "default",
				   .width = WIDTH,
				   .height = HEIGHT,
				   .frames = 1,
				   .tile = tile};
}

static struct run *begin(struct pack *pack, const char *tile)
{
	struct error err = {0};
	struct run *run;
	struct run_params params = params_of(tile);
	assert_ok(run_begin(pack, &params, &run, &err), err);
	return run;
}

static void as_diffusers_paints_them(void **state)
{
	static const char *const ways[] = {"both", "x", "y"};
	static float picture[PIXELS], flat[PIXELS];
	struct error err = {0};
	struct pack *pack;
	char name[32];
	(void)state;
	assert_ok(pack_open(device, "tests/vectors/sd1-tiny", &pack, &err), err);
	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		struct run *run = begin(pack, ways[i]), *plain = begin(pack, NULL);
		assert_false(run_joins(run, plain));
		for (int k = 0; k < 3; k++) {
			assert_ok(run_step(run, &err), err);
			assert_ok(run_step(plain, &err), err);
		}
		size_t count;
		const float *latents = run_latents(run, false, &count);
		snprintf(name, sizeof name, "%s.latents", ways[i]);
		double off = vector_latents_distance(vectors, name, latents, count);
		if (!(off < 1e-4))
			fail_msg("%s: latents are %g off", ways[i], off);
		assert_ok(run_decode(run, 0, picture, &err), err);
		assert_ok(run_decode(plain, 0, flat, &err), err);
		snprintf(name, sizeof name, "%s.image", ways[i]);
		if (!(psnr(picture, name) > 60))
			fail_msg("%s: %.1f dB", ways[i], psnr(picture, name));
		assert_true(psnr(flat, name) < 40);
		run_free(run);
		run_free(plain);
	}
	struct run_params wrong = params_of("z");
	assert_int_equal(run_check(pack, &wrong, &err), SUMI_INVALID);
	pack_close(pack);
}

/* Encoding is diffusers' too; in bands the seam is not felt. */
static void pictures_are_encoded(void **state)
{
	static const char *const ways[] = {"x", "y", "both"}; /* by WRAP_X and WRAP_Y */
	static float mean[LATENTS], deviation[LATENTS], banded[LATENTS], picture[PIXELS];
	struct error err = {0};
	struct codec *codec;
	char name[32];
	size_t count;
	(void)state;
	float *planes = vector_copy(vectors, "picture", &count);
	for (size_t i = 0; i < PIXELS; i++)
		picture[i] = planes[i % 3 * PIXELS / 3 + i / 3];
	free(planes);
	assert_ok(codec_open(&codec_vae, device, "tests/vectors/sd1-tiny/vae", NULL, &codec, &err), err);
	for (unsigned wrap = 1; wrap <= 3; wrap++) {
		struct codec_job job = {.frames = 1, .height = H, .width = W, .wrap = wrap};
		assert_ok(codec_encode(codec, &job, picture, mean, deviation, &err), err);
		for (size_t i = 0; i < LATENTS; i++)
			mean[i] = (float)(mean[i] / codec->scale[i % 4]);
		snprintf(name, sizeof name, "encode.%s", ways[wrap - 1]);
		double off = vector_latents_distance(vectors, name, mean, LATENTS);
		if (!(off < 1e-4))
			fail_msg("%s: latents are %g off", name, off);
		double most[2] = {0, 0};
		for (int k = 0; k < 2; k++, job.wrap = 0) {
			job.pieces.rows = 4;
			assert_ok(codec_encode(codec, &job, picture, banded, deviation, &err), err);
			for (size_t i = 0; i < LATENTS; i++)
				most[k] += pow((double)banded[i] / codec->scale[i % 4] - (double)mean[i], 2);
		}
		/* Norms see other pixels, but edges what lies beyond. */
		if (!(most[0] > 0 && most[0] < most[1]))
			fail_msg("%s: in bands %g off, with zeros beyond the edges %g", name, most[0], most[1]);
	}
	codec_close(codec);
}

/* A picture is turned by as many latents in both directions: with edges that are one it is the same picture, turned. */
static double turned_apart(struct codec *codec, struct codec_job job, const float *latents)
{
	enum { TURN_X = 5, TURN_Y = 3, SIDE = 8 };
	static float turned[LATENTS], one[PIXELS], other[PIXELS];
	struct error err = {0};
	double most = 0;
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++)
			memcpy(turned + (y * W + x) * 4, latents + ((y + TURN_Y) % H * W + (x + TURN_X) % W) * 4,
			       4 * sizeof *turned);
	assert_ok(codec_decode(codec, &job, latents, one, &err), err);
	assert_ok(codec_decode(codec, &job, turned, other, &err), err);
	for (int y = 0; y < HEIGHT; y++)
		for (int x = 0; x < WIDTH * 3; x++) {
			int from = (y + TURN_Y * SIDE) % HEIGHT * WIDTH * 3 + (x + TURN_X * SIDE * 3) % (WIDTH * 3);
			most = fmax(most, fabs((double)one[from] - (double)other[y * WIDTH * 3 + x]));
		}
	return most;
}

static void turned_pictures_have_no_seam(void **state)
{
	static float latents[LATENTS];
	struct error err = {0};
	struct codec *codec;
	(void)state;
	for (int i = 0; i < LATENTS; i++)
		latents[i] = 1.5f * sinf(0.7f * (float)i + 0.01f * (float)(i % 37));
	struct codec_job job = {.frames = 1, .height = H, .width = W, .wrap = WRAP_X | WRAP_Y}, flat = job;
	flat.wrap = 0;
	for (int i = 0; i < 2; i++) {
		const char *folder = i ? "tests/vectors/taesd-tiny/vae" : "tests/vectors/sd1-tiny/vae";
		assert_ok(codec_open(&codec_vae, device, folder, NULL, &codec, &err), err);
		double seam = turned_apart(codec, flat, latents), none = turned_apart(codec, job, latents);
		if (!(none < 1e-4 && seam > 100 * none))
			fail_msg("%s: %g off with edges that are one, %g without", folder, none, seam);
		if (i == 0) { /* in bands, with margins: what is not local differs with where it is cut */
			struct codec_job bands = job;
			bands.pieces.rows = 4;
			assert_true(turned_apart(codec, bands, latents) < seam / 3);
		}
		codec_close(codec);
	}
}

/* What is planned counts the borders. */
static void memory_counts_borders(void **state)
{
	struct error err = {0};
	struct codec *codec;
	(void)state;
	assert_ok(codec_open(&codec_vae, device, "tests/vectors/sd1-tiny/vae", NULL, &codec, &err), err);
	struct codec_job flat = {.frames = 1, .height = 32, .width = 32}, job = flat;
	job.wrap = WRAP_X | WRAP_Y;
	uint64_t bytes = codec_memory(codec, &flat, false, DTYPE_F32), more = codec_memory(codec, &job, false, DTYPE_F32);
	assert_true(more > bytes && more < 3 * bytes);
	struct codec_job planned = job;
	assert_true(codec_plan(codec, &planned, false, more, 0, DTYPE_F32) && !planned.pieces.rows);
	assert_true(codec_plan(codec, &planned, false, more - 1, 0, DTYPE_F32) && planned.pieces.rows);
	static float latents[32 * 32 * 4], picture[256 * 256 * 3];
	size_t before = device->bytes_in_use;
	device->bytes_peak = before;
	assert_ok(codec_decode(codec, &job, latents, picture, &err), err);
	assert_true(device->bytes_peak - before >= more);
	codec_close(codec);
}

static void they_are_enlarged_without_a_seam(void **state)
{
	enum { SIDE = 48, LARGE = 72, TURN = 16, BY_3_2 = TURN * 3 / 2 };
	static float one[SIDE * SIDE * 3], turned[SIDE * SIDE * 3], large[2][LARGE * LARGE * 3];
	struct error err = {0};
	struct upscaler *u;
	(void)state;
	assert_ok(upscaler_open(device, "tests/vectors/upscalers/compact.safetensors", &u, &err), err);
	for (int i = 0; i < SIDE * SIDE * 3; i++)
		one[i] = 0.5f + 0.5f * sinf(0.37f * (float)i);
	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++)
			memcpy(turned + (y * SIDE + x) * 3, one + ((y + TURN) % SIDE * SIDE + (x + TURN) % SIDE) * 3,
			       3 * sizeof *one);
	assert_ok(upscale_around(u, one, SIDE, SIDE, large[0], LARGE, LARGE, "both", NULL, &err), err);
	assert_ok(upscale_around(u, turned, SIDE, SIDE, large[1], LARGE, LARGE, "both", NULL, &err), err);
	double most = 0;
	for (int y = 0; y < LARGE; y++)
		for (int x = 0; x < LARGE * 3; x++) {
			int from = (y + BY_3_2) % LARGE * LARGE * 3 + (x + BY_3_2 * 3) % (LARGE * 3);
			most = fmax(most, fabs((double)large[0][from] - (double)large[1][y * LARGE * 3 + x]));
		}
	assert_true(most < 1e-4);
	upscaler_close(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(as_diffusers_paints_them),	    cmocka_unit_test(pictures_are_encoded),
	    cmocka_unit_test(turned_pictures_have_no_seam), cmocka_unit_test(memory_counts_borders),
	    cmocka_unit_test(they_are_enlarged_without_a_seam)};
	return cmocka_run_group_tests(tests, open_all, close_all);
}

/* Codecs: tiles, circles and windows are mixed as they say, numbers are brought to a pack's scale. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/backend.h"
#include "base/files.h"
#include "check.h"
#include "diffusion/codec.h"
#include "networks/vae.h"

#define assert_ok(call, err)                                                                       \
	do {                                                                                       \
		if (call)                                                                          \
			fail_msg("%s", (err).text);                                                \
	} while (0)

static struct device *device;

static int open_device(void **state)
{
	struct error err = {0};
	(void)state;
	assert_ok(device_open(NULL, &device, &err), err);
	return 0;
}

static int close_device(void **state)
{
	(void)state;
	assert_int_equal(device->bytes_in_use, 0);
	device_close(device);
	return 0;
}

static struct codec *codec_of(const char *folder)
{
	struct error err = {0};
	struct codec *codec = NULL;
	assert_ok(codec_open(&codec_vae, device, folder, NULL, &codec, &err), err);
	return codec;
}

static void wave(float *values, size_t n)
{
	for (size_t i = 0; i < n; i++)
		values[i] = sinf((float)i * 0.37f);
}

/* 8 × 28 latents in tiles of 16 are two tiles that overlap by four: the picture must be
 * theirs, mixed along a ramp. */
static void tiles_are_mixed(void **state)
{
	(void)state;
	enum { H = 8, W = 28, T = 16, S = 8, SECOND = W - T };
	struct error err = {0};
	static float latents[H * W * 4], part[2][H * T * 4];
	static float picture[H * S * W * S * 3], parts_out[2][H * S * T * S * 3];
	struct codec *codec = codec_of("tests/vectors/taesd-tiny/vae");
	wave(latents, H * W * 4);
	struct codec_job job = {.frames = 1, .height = H, .width = W, .tile = T};
	assert_ok(codec_decode(codec, &job, latents, picture, &err), err);
	for (int k = 0; k < 2; k++) {
		for (int y = 0; y < H; y++)
			memcpy(part[k] + y * T * 4, latents + (y * W + k * SECOND) * 4,
			       T * 4 * sizeof(float));
		struct codec_job one = {.frames = 1, .height = H, .width = T, .tile = T};
		assert_ok(codec_decode(codec, &one, part[k], parts_out[k], &err), err);
	}
	for (int y = 0; y < H * S; y++)
		for (int x = 0; x < W * S; x++) {
			float ramp = ((float)(x - SECOND * S) + 0.5f) / (float)((T - SECOND) * S);
			float w = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp; /* of the second tile */
			const float *a = parts_out[0] + (y * T * S + x) * 3;
			const float *b = parts_out[1] + (y * T * S + x - SECOND * S) * 3;
			float want = w == 0 ? a[1] : w == 1 ? b[1] : a[1] * (1 - w) + b[1] * w;
			if (!(fabsf(picture[(y * W * S + x) * 3 + 1] - want) < 1e-5f))
				fail_msg("pixel %d,%d is %g, want %g", x, y,
					 (double)picture[(y * W * S + x) * 3 + 1], (double)want);
		}
	job.tile = 8;
	assert_int_equal(codec_decode(codec, &job, latents, picture, &err), SUMI_INVALID);
	codec_close(codec);
}

/* What fits is made as one; else in bands, else in tiles, else not at all. */
static void what_memory_allows(void **state)
{
	(void)state;
	struct error err = {0};
	struct codec *c, *tiny;
	assert_ok(codec_open(&codec_vae, NULL, "tests/vectors/sd1-tiny/vae", NULL, &c, &err), err);
	assert_ok(codec_open(&codec_vae, NULL, "tests/vectors/taesd-tiny/vae", NULL, &tiny, &err), err);
	const struct codec_job asked = {.frames = 1, .height = 64, .width = 96};
	struct codec_job job = asked;
	uint64_t whole = codec_memory(c, &job, false, DTYPE_F32);
	assert_true(whole > 0);
	assert_true(codec_plan(c, &job, false, whole, 0, DTYPE_F32));
	assert_memory_equal(&job, &asked, sizeof job);
	assert_true(codec_plan(c, &job, false, 0, 0, DTYPE_F32));
	assert_memory_equal(&job, &asked, sizeof job);
	uint64_t bytes[] = {whole - 1, whole * 2 / 3};
	for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
		job = asked;
		assert_true(codec_plan(c, &job, false, bytes[i], 0, DTYPE_F32));
		assert_true(job.pieces.rows > 0 && job.tile == 0);
		assert_true(codec_memory(c, &job, false, DTYPE_F32) <= bytes[i]);
	}
	job = asked;
	assert_true(codec_plan(c, &job, false, whole / 8, 0, DTYPE_F32));
	assert_true(job.pieces.rows == 0);
	assert_within(job.tile, CODEC_TILE_MIN, 64);
	assert_true(codec_memory(c, &job, false, DTYPE_F32) <= whole / 8);
	job = asked;
	assert_false(codec_plan(c, &job, false, 1000, 0, DTYPE_F32));
	/* A device that gives small pieces only, whatever it has in all. */
	job = asked;
	assert_true(codec_plan(c, &job, false, 0, 2 << 20, DTYPE_F32));
	assert_true(job.tile > 0);
	/* One without norms needs no bands. */
	job = asked;
	assert_true(codec_plan(tiny, &job, false, codec_memory(tiny, &job, false, DTYPE_F32) / 2, 0,
			       DTYPE_F32));
	assert_true(job.tile > 0);
	codec_close(tiny);
	codec_close(c);
}

/* Bands give the whole picture, wherever they are cut and whatever stands in one of them alone. */
static void bands_have_no_seam(void **state)
{
	(void)state;
	static const struct {
		const char *folder;
		int scale, levels, h, w;
	} vaes[] = {{"tests/vectors/sd1-tiny/vae", 8, 4, 26, 12},
		    {"tests/vectors/levels-tiny/vae", 4, 3, 21, 9}};
	struct error err = {0};
	for (size_t v = 0; v < sizeof vaes / sizeof *vaes; v++) {
		int h = vaes[v].h, w = vaes[v].w, side = vaes[v].scale;
		size_t count = (size_t)(h * w * 4), pixels = (size_t)(h * w * side * side * 3);
		float *latents = malloc(count * sizeof *latents);
		float *whole = malloc(pixels * sizeof *whole), *got = malloc(pixels * sizeof *got);
		struct codec *codec = codec_of(vaes[v].folder);
		wave(latents, count);
		for (size_t i = 0; i < count / 3; i++) /* dark and flat above, bright below */
			latents[i] = latents[i] * 0.1f - 2;
		struct codec_job job = {.frames = 1, .height = h, .width = w};
		assert_ok(codec_decode(codec, &job, latents, whole, &err), err);
		for (int from = 0; from < vaes[v].levels; from++)
			for (int k = 4; k <= 2 * h; k += k < 12 ? 1 : 5) {
				int rows = k / 2;
				job.pieces = (struct codec_pieces){0, from, rows, k % 2};
				memset(got, 0, pixels * sizeof *got);
				assert_ok(codec_decode(codec, &job, latents, got, &err), err);
				float most = 0;
				for (size_t i = 0; i < pixels; i++)
					most = fmaxf(most, fabsf(got[i] - whole[i]));
				if (!(most < 5e-4f))
					fail_msg("%s, %d stages whole, bands of %d: %g off",
						 vaes[v].folder, from, rows, (double)most);
			}
		job.pieces = (struct codec_pieces){0, vaes[v].levels, 4, false};
		assert_int_equal(codec_decode(codec, &job, latents, got, &err), SUMI_INVALID);
		job.pieces = (struct codec_pieces){0, 0, 1, false};
		assert_int_equal(codec_decode(codec, &job, latents, got, &err), SUMI_INVALID);
		codec_close(codec);
		free(latents);
		free(whole);
		free(got);
	}
}

/* The same of encoding, of several pictures too. */
static void encoding_in_bands(void **state)
{
	(void)state;
	enum { N = 2, H = 21, W = 9, S = 4, COUNT = N * H * W * 4, PIXELS = N * H * W * S * S * 3 };
	struct error err = {0};
	static float picture[PIXELS], mean[2][COUNT], deviation[2][COUNT];
	struct codec *codec = codec_of("tests/vectors/levels-tiny/vae");
	wave(picture, PIXELS);
	for (int i = 0; i < PIXELS / 3; i++)
		picture[i] = picture[i] * 0.1f - 0.8f;
	struct codec_job job = {.frames = N, .height = H, .width = W};
	assert_ok(codec_encode(codec, &job, picture, mean[0], deviation[0], &err), err);
	for (int whole = 0; whole < 3; whole++)
		for (int rows = 2; rows <= H; rows += 4) {
			job.pieces = (struct codec_pieces){0, whole, rows, false};
			memset(mean[1], 0, sizeof mean[1]);
			assert_ok(codec_encode(codec, &job, picture, mean[1], deviation[1], &err),
				  err);
			for (int i = 0; i < COUNT; i++) {
				float off = fmaxf(fabsf(mean[0][i] - mean[1][i]),
						  fabsf(deviation[0][i] - deviation[1][i]));
				if (!(off < 5e-4f))
					fail_msg("%d stages whole, bands of %d: latent %d is %g off",
						 whole, rows, i, (double)off);
			}
		}
	job = (struct codec_job){.frames = 1, .height = 64, .width = 64};
	uint64_t bytes = codec_memory(codec, &job, true, DTYPE_F32) * 3 / 4;
	assert_true(codec_plan(codec, &job, true, bytes, 0, DTYPE_F32));
	assert_true(job.pieces.rows > 0 && codec_memory(codec, &job, true, DTYPE_F32) <= bytes);
	job.pieces = (struct codec_pieces){0};
	assert_false(codec_plan(codec, &job, true, 1000, 0, DTYPE_F32));
	codec_close(codec);
}

/* Tiles of a decoder without norms are the whole picture, but where they are mixed. */
static void tiles_without_norms(void **state)
{
	(void)state;
	enum { H = 8, W = 126, T = 72, S = 8, SECOND = W - T, ROW = W * S * 3 };
	struct error err = {0};
	static float latents[H * W * 4], whole[H * S * ROW], got[H * S * ROW];
	struct codec *codec = codec_of("tests/vectors/taesd-tiny/vae");
	wave(latents, H * W * 4);
	struct codec_job job = {.frames = 1, .height = H, .width = W};
	assert_ok(codec_decode(codec, &job, latents, whole, &err), err);
	job.tile = T;
	assert_ok(codec_decode(codec, &job, latents, got, &err), err);
	for (int y = 0; y < H * S; y++)
		for (int x = 0; x < ROW; x++) {
			bool mixed = x / 3 >= SECOND * S && x / 3 < T * S;
			float off = fabsf(whole[y * ROW + x] - got[y * ROW + x]);
			if (!mixed && !(off < 1e-4f))
				fail_msg("pixel %d,%d is %g off", x / 3, y, (double)off);
		}
	codec_close(codec);
}

/* A circle's picture is the same wherever the circle is cut open. */
static void circles_have_no_seam(void **state)
{
	(void)state;
	enum { H = 4, W = 24, S = 8, TURN = 9, ROW = W * S * 3 };
	struct error err = {0};
	static float latents[H * W * 4], turned[H * W * 4];
	static float picture[H * S * ROW], other[H * S * ROW], flat[H * S * ROW];
	struct codec *codec = codec_of("tests/vectors/taesd-tiny/vae");
	wave(latents, H * W * 4);
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++)
			memcpy(turned + (y * W + x) * 4, latents + (y * W + (x + TURN) % W) * 4,
			       4 * sizeof(float));
	struct codec_job job = {.frames = 1, .height = H, .width = W, .circular = true};
	assert_ok(codec_decode(codec, &job, latents, picture, &err), err);
	assert_ok(codec_decode(codec, &job, turned, other, &err), err);
	job.circular = false;
	assert_ok(codec_decode(codec, &job, latents, flat, &err), err);
	float most = 0, seam = 0;
	for (int y = 0; y < H * S; y++)
		for (int x = 0; x < W * S; x++)
			for (int k = 0; k < 3; k++) {
				float a = picture[y * ROW + (x + TURN * S) % (W * S) * 3 + k];
				most = fmaxf(most, fabsf(a - other[y * ROW + x * 3 + k]));
				seam = fmaxf(seam, fabsf(flat[y * ROW + x * 3 + k] -
							 picture[y * ROW + x * 3 + k]));
			}
	if (!(most < 1e-2f && seam > 10 * most))
		fail_msg("turned: %g off; cut open: %g", (double)most, (double)seam);
	codec_close(codec);
}

/* Encoded in windows, what is far from the picture's own edges is what it is in one piece. */
static void windows_of_columns(void **state)
{
	(void)state;
	enum { H = 4, W = 40, S = 8, COUNT = H * W * 4 };
	struct error err = {0};
	static float picture[H * S * W * S * 3], mean[2][COUNT], deviation[2][COUNT];
	struct codec *codec = codec_of("tests/vectors/taesd-tiny/vae");
	wave(picture, sizeof picture / sizeof *picture);
	struct codec_job job = {.frames = 1, .height = H, .width = W};
	assert_ok(codec_encode(codec, &job, picture, mean[0], deviation[0], &err), err);
	job.window = 16;
	assert_ok(codec_encode(codec, &job, picture, mean[1], deviation[1], &err), err);
	for (int i = 0; i < COUNT; i++) {
		int x = i / 4 % W;
		bool inside = x >= codec->reach && x < W - codec->reach;
		if (inside && !(fabsf(mean[0][i] - mean[1][i]) < 1e-3f))
			fail_msg("latent %d: %g in one piece, %g in windows", i, (double)mean[0][i],
				 (double)mean[1][i]);
		assert_true(deviation[1][i] == 0);
	}
	assert_false(codec->random);
	codec_close(codec);
}

/* A folder with another config beside the weights of sd1-tiny's VAE. */
static void make_vae(char folder[FILES_PATH_MAX], const char *more)
{
	static const char file[] = "diffusion_pytorch_model.safetensors";
	char path[FILES_PATH_MAX], source[FILES_PATH_MAX], cwd[FILES_PATH_MAX];
	char *text;
	size_t size;
	struct error err = {0};
	strcpy(folder, "/tmp/sumi-codec-XXXXXX");
	assert_non_null(mkdtemp(folder));
	assert_non_null(getcwd(cwd, sizeof cwd));
	assert_ok(files_path(source, &err, "%s/tests/vectors/sd1-tiny/vae/%s", cwd, file), err);
	assert_ok(files_path(path, &err, "%s/%s", folder, file), err);
	assert_int_equal(symlink(source, path), 0);
	assert_ok(files_read_regular("tests/vectors/sd1-tiny/vae/config.json", 1 << 16, &text, &size,
				     &err),
		  err);
	assert_ok(files_path(path, &err, "%s/config.json", folder), err);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	char *open = memchr(text, '{', size);
	fprintf(f, "{%s,%.*s", more, (int)(text + size - open - 1), open + 1);
	fclose(f);
	free(text);
}

static void remove_vae(const char *folder)
{
	char command[FILES_PATH_MAX + 16];
	snprintf(command, sizeof command, "rm -r '%s'", folder);
	assert_int_equal(system(command), 0);
}

/* diffusers' StableDiffusionXLPipeline: latents · latents_std / scaling_factor + latents_mean. */
static void packs_have_a_scale_of_their_own(void **state)
{
	(void)state;
	enum { H = 4, W = 4, COUNT = H * W * 4, PIXELS = 32 * 32 * 3 };
	static const double mean[4] = {-1.5, 0.25, 0.5, -0.75}, std[4] = {8.5, 2, 1.5, 0.5};
	struct error err = {0};
	char folder[FILES_PATH_MAX];
	static float latents[COUNT], own[COUNT], want[PIXELS], got[PIXELS];
	static float means[2][COUNT], deviations[2][COUNT];
	make_vae(folder, "\"latents_mean\": [-1.5, 0.25, 0.5, -0.75], "
			 "\"latents_std\": [8.5, 2, 1.5, 0.5]");
	struct codec *codec = codec_of(folder);
	struct vae *vae;
	assert_ok(vae_open(device, folder, &vae, &err), err);
	double scaling = vae_config(vae)->scaling;
	wave(latents, COUNT);
	for (int i = 0; i < COUNT; i++)
		own[i] = (float)(latents[i] * std[i % 4] / scaling + mean[i % 4]);
	struct codec_job job = {.frames = 1, .height = H, .width = W};
	struct vae_input in = {.values = own, .n = 1, .h = H, .w = W};
	assert_ok(vae_decode(vae, &in, want, &err), err);
	assert_ok(codec_decode(codec, &job, latents, got, &err), err);
	for (int i = 0; i < PIXELS; i++)
		if (!(fabsf(got[i] - want[i]) < 1e-4f))
			fail_msg("pixel %d is %g, want %g", i, (double)got[i], (double)want[i]);
	struct vae_input picture = {.values = want, .n = 1, .h = 32, .w = 32};
	assert_ok(vae_encode(vae, &picture, means[0], deviations[0], &err), err);
	assert_ok(codec_encode(codec, &job, want, means[1], deviations[1], &err), err);
	for (int i = 0; i < COUNT; i++) {
		double m = (means[0][i] - mean[i % 4]) * scaling / std[i % 4];
		double d = exp(0.5 * deviations[0][i]) * scaling / std[i % 4];
		assert_true(fabs(means[1][i] - m) < 1e-5 * fmax(1, fabs(m)));
		assert_true(fabs(deviations[1][i] - d) < 1e-5 * fmax(1, d));
	}
	assert_true(codec->random);
	vae_close(vae);
	codec_close(codec);
	remove_vae(folder);
}

/* One that overflows in float16 is computed in float32 on any device, and the device is left as it was. */
static void what_overflows_stays_exact(void **state)
{
	(void)state;
	enum { H = 4, W = 4, COUNT = H * W * 4, PIXELS = 32 * 32 * 3 };
	struct error err = {0};
	char folder[FILES_PATH_MAX];
	static float latents[COUNT], want[PIXELS], got[PIXELS], rounded[PIXELS];
	make_vae(folder, "\"force_upcast\": true");
	struct codec *exact = codec_of(folder), *any = codec_of("tests/vectors/sd1-tiny/vae");
	struct codec_job job = {.frames = 1, .height = H, .width = W};
	wave(latents, COUNT);
	assert_ok(codec_decode(any, &job, latents, want, &err), err);
	device->activation_dtype = DTYPE_F16;
	assert_ok(codec_decode(any, &job, latents, rounded, &err), err);
	assert_ok(codec_decode(exact, &job, latents, got, &err), err);
	assert_int_equal(device->activation_dtype, DTYPE_F16);
	assert_int_equal(codec_memory(exact, &job, false, DTYPE_F16),
			 codec_memory(any, &job, false, DTYPE_F32));
	device->activation_dtype = DTYPE_F32;
	assert_memory_equal(got, want, sizeof got);
	assert_memory_not_equal(rounded, want, sizeof rounded);
	codec_close(exact);
	codec_close(any);
	remove_vae(folder);
}

static void bad_numbers_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *more, *word;
	} bad[] = {
	    {"\"latents_mean\": [0, 0, 0, 0]", "come together"},
	    {"\"latents_std\": [1, 1, 1, 1]", "come together"},
	    {"\"latents_mean\": [0, 0, 0], \"latents_std\": [1, 1, 1, 1]", "latents_mean"},
	    {"\"latents_mean\": [0, 0, 0, 0], \"latents_std\": [1, 1, 0, 1]", "entry 2"},
	    {"\"latents_mean\": [0, 0, \"a\", 0], \"latents_std\": [1, 1, 1, 1]", "entry 2"},
	    {"\"latents_mean\": 0, \"latents_std\": [1, 1, 1, 1]", "latents_mean"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char folder[FILES_PATH_MAX];
		struct codec *codec = NULL;
		struct error err = {0};
		make_vae(folder, bad[i].more);
		assert_int_equal(codec_open(&codec_vae, NULL, folder, NULL, &codec, &err), SUMI_INVALID);
		assert_null(codec);
		if (!strstr(err.text, bad[i].word))
			fail_msg("%s: '%s'", bad[i].more, err.text);
		remove_vae(folder);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tiles_are_mixed),
	    cmocka_unit_test(what_memory_allows),
	    cmocka_unit_test(bands_have_no_seam),
	    cmocka_unit_test(encoding_in_bands),
	    cmocka_unit_test(tiles_without_norms),
	    cmocka_unit_test(circles_have_no_seam),
	    cmocka_unit_test(windows_of_columns),
	    cmocka_unit_test(packs_have_a_scale_of_their_own),
	    cmocka_unit_test(what_overflows_stays_exact),
	    cmocka_unit_test(bad_numbers_are_refused),
	};
	return cmocka_run_group_tests(tests, open_device, close_device);
}

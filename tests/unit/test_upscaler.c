/* Upscalers: what spandrel and ncnn make of the same pictures with the same weights, in all the ways
 * that people name them; files that are none, or damaged. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "check.h"
#include "diffusion/upscale.h"
#include "vector_file.h"

#define FOLDER "tests/vectors/upscalers/"
#define REAL "../shared/real/upscale/"

#define assert_ok(call, err)                                                                       \
	do {                                                                                       \
		if (call)                                                                          \
			fail_msg("%s", (err).text);                                                \
	} while (0)

enum { HEIGHT = 10, WIDTH = 14 };

static struct device *device;
static struct tensor_file *vectors;

static int open_all(void **state)
{
	(void)state;
	struct error err = {0};
	if (device_open(NULL, &device, &err)) {
		print_error("%s\n", err.text);
		return -1;
	}
	vectors = vector_file_open("upscalers.safetensors");
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	tensors_close(vectors);
	device_close(device);
	return 0;
}

/* [3, h, w] → [h, w, 3] */
static float *pixels(const float *planes, int h, int w)
{
	size_t area = (size_t)h * (size_t)w;
	float *out = malloc(area * 3 * sizeof *out);
	assert_non_null(out);
	for (size_t i = 0; i < area; i++)
		for (size_t c = 0; c < 3; c++)
			out[3 * i + c] = planes[c * area + i];
	return out;
}

static float *vector_pixels(const char *name, int h, int w)
{
	size_t count;
	float *planes = vector_copy(vectors, name, &count);
	assert_int_equal(count, h * w * 3);
	float *out = pixels(planes, h, w);
	free(planes);
	return out;
}

static struct upscaler *open_one(const char *path, const char *architecture, int scale)
{
	struct upscaler *u;
	struct error err = {0};
	assert_ok(upscaler_open(device, path, &u, &err), err);
	assert_string_equal(upscaler_info(u)->architecture, architecture);
	assert_int_equal(upscaler_info(u)->scale, scale);
	return u;
}

static float *enlarge(const struct upscaler *u)
{
	struct error err = {0};
	int scale = upscaler_info(u)->scale;
	float *picture = vector_pixels("picture", HEIGHT, WIDTH);
	float *got = calloc((size_t)(HEIGHT * WIDTH * 3 * scale * scale), sizeof *got);
	assert_non_null(got);
	assert_ok(upscaler_run(u, picture, HEIGHT, WIDTH, got, &err), err);
	free(picture);
	return got;
}

/* The largest difference of a file's result from a vector. */
static double distance(const char *path, const char *architecture, int scale, const char *want_name)
{
	struct upscaler *u = open_one(path, architecture, scale);
	int h = HEIGHT * scale, w = WIDTH * scale;
	float *want = vector_pixels(want_name, h, w), *got = enlarge(u);
	double most = 0;
	for (int i = 0; i < h * w * 3; i++)
		most = fmax(most, fabs((double)got[i] - (double)want[i]));
	free(got);
	free(want);
	upscaler_close(u);
	return most;
}

static void they_enlarge_as_their_authors_code_does(void **state)
{
	(void)state;
	assert_true(distance(FOLDER "compact.safetensors", "SRVGG", 2, "compact") < 1e-4);
	assert_true(distance(FOLDER "plain.safetensors", "RRDB", 4, "plain") < 1e-4);
	assert_true(distance(FOLDER "half.pth", "RRDB", 2, "half") < 1e-4);
	assert_true(distance(FOLDER "span.safetensors", "SPAN", 2, "span") < 1e-4);
	assert_true(distance(FOLDER "bare.safetensors", "SPAN", 1, "bare") < 1e-4);
}

static void copy_file(const char *from, const char *to)
{
	char *data;
	size_t size;
	struct error err = {0};
	assert_ok(files_read(from, 8 << 20, &data, &size, &err), err);
	FILE *f = fopen(to, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	fclose(f);
	free(data);
}

/* A picture that takes several tiles: slopes, an edge, a pattern. */
static float *large_picture(int h, int w)
{
	float *out = malloc((size_t)h * (size_t)w * 3 * sizeof *out);
	assert_non_null(out);
	for (int y = 0; y < h; y++)
		for (int x = 0; x < w; x++) {
			float *p = out + ((size_t)y * (size_t)w + (size_t)x) * 3;
			p[0] = (float)x / (float)w;
			p[1] = (x + y) % 97 < 50 ? 0.2f : 0.9f;
			p[2] = (float)((x * 7 + y * 13) % 31) / 31;
		}
	return out;
}

/* The largest difference of a picture in tiles from the same as a whole. */
static double seams(const char *path, const char *architecture, int scale, int h, int w)
{
	struct error err = {0};
	struct upscaler *u = open_one(path, architecture, scale);
	size_t values = (size_t)(h * scale) * (size_t)(w * scale) * 3;
	float *picture = large_picture(h, w), *whole = malloc(values * sizeof *whole);
	float *tiles = malloc(values * sizeof *tiles);
	double most = 0;
	assert_non_null(whole);
	assert_non_null(tiles);
	assert_ok(upscaler_run(u, picture, h, w, whole, &err), err);
	assert_ok(upscale_picture(u, picture, h, w, tiles, h * scale, w * scale, NULL, &err), err);
	for (size_t i = 0; i < values; i++) {
		double want = fmin(fmax((double)whole[i], 0), 1);
		most = fmax(most, fabs((double)tiles[i] - want));
	}
	free(tiles);
	free(whole);
	free(picture);
	upscaler_close(u);
	return most;
}

static void tiles_have_no_seams(void **state)
{
	(void)state;
	assert_true(seams(FOLDER "compact.safetensors", "SRVGG", 2, 270, 300) < 1e-5);
	assert_true(seams(FOLDER "span.safetensors", "SPAN", 2, 24, 290) < 1e-5);
	/* All pixels see each other: what is far away counts little. */
	assert_true(seams(FOLDER "half.pth", "RRDB", 2, 40, 290) < 0.1 / 255);
}

static int tiles_told;

static int count_tiles(void *context, int done, int count, struct error *err)
{
	const int *last = context;
	assert_int_equal(done, ++tiles_told);
	assert_int_equal(count, 2);
	return last && done == *last ? error_set(err, SUMI_CANCELLED, "that is enough") : SUMI_OK;
}

static void sizes_between_are_made_of_the_next_larger(void **state)
{
	(void)state;
	struct error err = {0};
	struct upscaler *u = open_one(FOLDER "compact.safetensors", "SRVGG", 2);
	const struct upscale_watch watch = {count_tiles, NULL};
	float *picture = vector_pixels("picture", HEIGHT, WIDTH);
	float *out = malloc((size_t)(9 * HEIGHT * WIDTH * 3) * sizeof *out);
	assert_non_null(out);
	/* Three times: twice by two, then smaller. */
	assert_ok(upscale_picture(u, picture, HEIGHT, WIDTH, out, 3 * HEIGHT, 3 * WIDTH, &watch, &err), err);
	assert_int_equal(tiles_told, 2);
	/* Who watches may end it. */
	int last = 1;
	const struct upscale_watch ends = {count_tiles, &last};
	tiles_told = 0;
	assert_int_equal(upscale_picture(u, picture, HEIGHT, WIDTH, out, 3 * HEIGHT, 3 * WIDTH, &ends, &err),
			 SUMI_CANCELLED);
	assert_int_equal(tiles_told, 1);
	for (int i = 0; i < 9 * HEIGHT * WIDTH * 3; i++)
		assert_true(out[i] >= 0 && out[i] <= 1);
	assert_int_equal(upscale_picture(u, picture, HEIGHT, WIDTH, out, HEIGHT - 1, WIDTH, NULL, &err),
			 SUMI_INVALID);
	free(out);
	free(picture);
	upscaler_close(u);
}

/* What upscale_picture() makes of the file's own size, and ncnn's with its last layer. */
static double own_size(const char *path)
{
	struct error err = {0};
	struct upscaler *u = open_one(path, "SRVGG", 4);
	float *picture = vector_pixels("picture", HEIGHT, WIDTH);
	float *want = vector_pixels("ncnn.x2", 2 * HEIGHT, 2 * WIDTH);
	float *out = malloc((size_t)(4 * HEIGHT * WIDTH * 3) * sizeof *out);
	double most = 0;
	assert_non_null(out);
	assert_ok(upscale_picture(u, picture, HEIGHT, WIDTH, out, 2 * HEIGHT, 2 * WIDTH, NULL, &err), err);
	for (int i = 0; i < 4 * HEIGHT * WIDTH * 3; i++)
		most = fmax(most, fabs((double)out[i] - fmin(fmax((double)want[i], 0), 1)));
	free(out);
	free(want);
	free(picture);
	upscaler_close(u);
	return most;
}

static void real_esrgans_own_weights_give_what_ncnn_gives(void **state)
{
	(void)state;
	static const struct {
		const char *param, *want;
		double resize;
	} cases[] = {{REAL "realesr-animevideov3-x4.param", "ncnn.x4", 1},
		     {REAL "realesr-animevideov3-x2.param", NULL, 0.5}};
	if (access(REAL, R_OK) != 0) {
		print_message("skip Real-ESRGAN's own weights: no ../shared/real\n");
		return;
	}
	char folder[] = "/tmp/sumi-upscaler-XXXXXX", param[64], bin[64];
	assert_non_null(mkdtemp(folder));
	snprintf(param, sizeof param, "%s/net.param", folder);
	snprintf(bin, sizeof bin, "%s/net.bin", folder);
	copy_file(REAL "realesr-animevideov3-x2.bin", bin);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		copy_file(cases[i].param, param);
		struct upscaler *u = open_one(param, "SRVGG", 4);
		assert_true(fabs(upscaler_info(u)->resize - cases[i].resize) < 1e-9);
		assert_int_equal(upscaler_info(u)->margin, 18);
		upscaler_close(u);
		if (cases[i].want)
			assert_true(distance(param, "SRVGG", 4, cases[i].want) < 0.5 / 255);
		else
			assert_true(own_size(param) < 0.5 / 255);
	}
	unlink(param);
	unlink(bin);
	rmdir(folder);
}

/* A part with as much around it as counts is the same as that part of the whole. */
static void beyond_the_margin_nothing_counts(void **state)
{
	(void)state;
	struct error err = {0};
	struct upscaler *u = open_one(FOLDER "compact.safetensors", "SRVGG", 2);
	int margin = upscaler_info(u)->margin, rows = HEIGHT - margin;
	float *picture = vector_pixels("picture", HEIGHT, WIDTH), *whole = enlarge(u);
	float *part = calloc((size_t)(HEIGHT * WIDTH * 12), sizeof *part);
	assert_non_null(part);
	assert_ok(upscaler_run(u, picture, HEIGHT - 1, WIDTH, part, &err), err);
	double most = 0, beyond = 0;
	for (int i = 0; i < 4 * HEIGHT * WIDTH * 3; i++) {
		int row = i / (2 * WIDTH * 3);
		double d = fabs((double)part[i] - (double)whole[i]);
		if (row < 2 * (rows - 1))
			most = fmax(most, d);
		else if (row < 2 * (HEIGHT - 1))
			beyond = fmax(beyond, d);
	}
	assert_true(most < 1e-5);
	assert_true(beyond > 1e-3);
	free(part);
	free(whole);
	free(picture);
	upscaler_close(u);
}

static void memory_is_known_before(void **state)
{
	(void)state;
	struct upscaler *u = open_one(FOLDER "plain.safetensors", "RRDB", 4);
	uint64_t small = upscaler_memory(u, 32, 32), large = upscaler_memory(u, 64, 64);
	assert_true(small > 32 * 32 * 8 * 4);
	assert_int_equal(large, 4 * small);
	upscaler_close(u);
}

static void expect(const char *path, int status, const char *words)
{
	struct upscaler *u;
	struct error err = {0};
	int got = upscaler_open(device, path, &u, &err);
	if (got != status || !strstr(err.text, words))
		fail_msg("%s: status %d, '%s', should hold '%s'", path, got, err.text, words);
	assert_null(u);
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void what_is_no_upscaler_is_named(void **state)
{
	(void)state;
	expect("tests/vectors/adapters/dora.safetensors", SUMI_UNSUPPORTED, "not an upscaler");
	expect("tests/vectors/files.gguf", SUMI_UNSUPPORTED, "not an upscaler");
	expect(FOLDER "none.safetensors", SUMI_NOTFOUND, "none.safetensors");
}

static void damaged_models_of_ncnn_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *bin, *words;
		int status;
	} cases[] = {
	    {"7767517\n1 1\nLSTM a 1 1 b c\n", "", "line 3 of its .param: a layer 'LSTM'", SUMI_CORRUPT},
	    {"7767517\n1 1\nConvolution a 1 1 b c 0=4 1=3 6=108\n", "", "ends before", SUMI_CORRUPT},
	    {"7767517\n1 1\nConvolution a 1 1 b c 0=4 1=3 6=107\n", "", "107 weights", SUMI_CORRUPT},
	    {"7767517\n1 1\nConvolution a 1 1 b c 0=4 1=x\n", "", "parameter 1", SUMI_CORRUPT},
	    {"7767517\n1 1\nConvolution a 1 1 b c 0=-4 1=3\n", "", "parameter 0", SUMI_CORRUPT},
	    {"7767517\n1 1\nConvolution a 1 1 b c 0=99999999999 1=3\n", "", "parameter 0", SUMI_CORRUPT},
	    {"7767517\n1 1\nConvolution a 1 1 b c 0=1 1=1 6=1\n", "AAAA", "0x41414141", SUMI_CORRUPT},
	    {"7767517\n1 1\nPReLU a 1 1 b c 0=1\n", "AAAAAAAA", "have 4 bytes, the file has 8",
	     SUMI_CORRUPT},
	    {"7767517\n1 1\nPReLU a 1 1 b c 0=2\n", "AAAA", "cut short", SUMI_CORRUPT},
	    {"7767517\n1 1\nInput a 0 1 b\n", "", "not an upscaler", SUMI_UNSUPPORTED},
	};
	char folder[] = "/tmp/sumi-upscaler-XXXXXX", param[64], bin[64];
	assert_non_null(mkdtemp(folder));
	snprintf(param, sizeof param, "%s/net.param", folder);
	snprintf(bin, sizeof bin, "%s/net.bin", folder);
	write_text(param, cases[0].text);
	expect(param, SUMI_NOTFOUND, "in a .bin of the same name");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		write_text(param, cases[i].text);
		write_text(bin, cases[i].bin);
		expect(param, cases[i].status, cases[i].words);
	}
	unlink(param);
	unlink(bin);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(they_enlarge_as_their_authors_code_does),
	    cmocka_unit_test(real_esrgans_own_weights_give_what_ncnn_gives),
	    cmocka_unit_test(tiles_have_no_seams),
	    cmocka_unit_test(sizes_between_are_made_of_the_next_larger),
	    cmocka_unit_test(beyond_the_margin_nothing_counts),
	    cmocka_unit_test(memory_is_known_before),
	    cmocka_unit_test(what_is_no_upscaler_is_named),
	    cmocka_unit_test(damaged_models_of_ncnn_are_refused),
	};
	return cmocka_run_group_tests(tests, open_all, close_all);
}

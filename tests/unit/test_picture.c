/* Pictures from strangers: every kind that is read, turned as it says, and refused in one line where
 * it claims more than it has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <jpeglib.h>
#include <webp/encode.h>
#include <webp/mux.h>
#include <zlib.h>

#include "media/jpeg.h"
#include "media/metadata.h"
#include "media/metadata_file.h"
#include "media/picture_file.h"
#include "media/png.h"
#include "media/transparency.h"
#include "media/webp.h"

enum { W = 48, H = 32 };

static char path[64];

/* Red grows to the right, green downwards. */
static void colour(int x, int y, uint8_t rgb[3])
{
	rgb[0] = (uint8_t)(x * 255 / (W - 1));
	rgb[1] = (uint8_t)(y * 255 / (H - 1));
	rgb[2] = 100;
}

static void write_file(const void *data, size_t size)
{
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	fclose(f);
}

/* EXIF of one entry, as cameras write it. */
static size_t make_exif(uint8_t *out, bool little, int orientation)
{
	static const uint8_t big[] = {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3,
				      0,   0,   0, 1,  0, 0, 0, 0, 0, 0, 0, 0};
	static const uint8_t small[] = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0,
					1,   0,   0,  0, 0, 0, 0, 0, 0, 0, 0,    0};
	memcpy(out, little ? small : big, sizeof big);
	out[little ? 18 : 19] = (uint8_t)orientation;
	return sizeof big;
}

struct jpeg_kind {
	J_COLOR_SPACE in, out;
	bool progressive, adobe;
	int orientation;
};

static uint8_t *make_jpeg(const struct jpeg_kind *k, size_t *size)
{
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	unsigned char *data = NULL;
	unsigned long length = 0;
	jpeg.err = jpeg_std_error(&errors);
	jpeg_create_compress(&jpeg);
	jpeg_mem_dest(&jpeg, &data, &length);
	jpeg.image_width = W;
	jpeg.image_height = H;
	jpeg.input_components = k->in == JCS_CMYK ? 4 : k->in == JCS_GRAYSCALE ? 1 : 3;
	jpeg.in_color_space = k->in;
	jpeg_set_defaults(&jpeg);
	jpeg_set_colorspace(&jpeg, k->out);
	jpeg_set_quality(&jpeg, 95, TRUE);
	for (int i = 0; i < jpeg.num_components; i++)
		jpeg.comp_info[i].h_samp_factor = jpeg.comp_info[i].v_samp_factor = 1;
	if (k->progressive)
		jpeg_simple_progression(&jpeg);
	jpeg.write_Adobe_marker = k->adobe;
	jpeg_start_compress(&jpeg, TRUE);
	if (k->orientation) {
		uint8_t exif[64] = "Exif\0";
		size_t n = 6 + make_exif(exif + 6, k->orientation & 1, k->orientation);
		jpeg_write_marker(&jpeg, JPEG_APP0 + 1, exif, (unsigned)n);
	}
	for (int y = 0; y < H; y++) {
		uint8_t line[W * 4], rgb[3];
		for (int x = 0; x < W; x++) {
			colour(x, y, rgb);
			for (int c = 0; c < 3 && k->in == JCS_RGB; c++)
				line[3 * x + c] = rgb[c];
			for (int c = 0; c < 3 && k->in == JCS_CMYK; c++)
				line[4 * x + c] = k->adobe ? rgb[c] : 255 - rgb[c];
			if (k->in == JCS_CMYK)
				line[4 * x + 3] = k->adobe ? 255 : 0;
			if (k->in == JCS_GRAYSCALE)
				line[x] = rgb[0];
		}
		JSAMPROW row = line;
		jpeg_write_scanlines(&jpeg, &row, 1);
	}
	jpeg_finish_compress(&jpeg);
	jpeg_destroy_compress(&jpeg);
	*size = length;
	return data;
}

static float *load(int width, int height)
{
	struct error err = {0};
	float *out = NULL;
	if (picture_load(path, path, width, height, &out, &err))
		fail_msg("%s", err.text);
	return out;
}

static void near(const float *picture, int width, int x, int y, int fx, int fy, double tolerance,
		 bool grey)
{
	uint8_t want[3];
	colour(fx, fy, want);
	for (int c = 0; c < 3; c++) {
		double got = (picture[3 * (y * width + x) + c] + 1) * 127.5;
		if (fabs(got - want[grey ? 0 : c]) > tolerance)
			fail_msg("pixel %d,%d channel %d: %.1f, wanted %d", x, y, c, got,
				 want[grey ? 0 : c]);
	}
}

static void jpegs_of_every_kind(void **state)
{
	static const struct jpeg_kind kinds[] = {
	    {JCS_RGB, JCS_YCbCr, false, false, 0},     {JCS_RGB, JCS_YCbCr, true, false, 0},
	    {JCS_RGB, JCS_RGB, false, true, 0},        {JCS_GRAYSCALE, JCS_GRAYSCALE, false, false, 0},
	    {JCS_CMYK, JCS_CMYK, false, false, 0},     {JCS_CMYK, JCS_CMYK, false, true, 0},
	    {JCS_CMYK, JCS_YCCK, true, true, 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		size_t size;
		uint8_t *data = make_jpeg(&kinds[i], &size);
		write_file(data, size);
		float *p = load(W, H);
		for (int y = 0; y < H; y += 5)
			for (int x = 0; x < W; x += 7)
				near(p, W, x, y, x, y, 12, kinds[i].in == JCS_GRAYSCALE);
		free(p);
		free(data);
	}
}

/* Where the picture's upper left corner and its right end come to lie. */
static void check_turned(int orientation)
{
	bool across = orientation >= 5;
	int w = across ? H : W, h = across ? W : H;
	float *p = load(w, h);
	for (int y = 0; y < h; y += 3)
		for (int x = 0; x < w; x += 3) {
			int r = w - 1 - x, d = h - 1 - y; /* from the right, from below */
			int from[9][2] = {{0, 0}, {x, y}, {r, y}, {r, d}, {x, d},
					  {y, x}, {y, r}, {d, r}, {d, x}};
			near(p, w, x, y, from[orientation][0], from[orientation][1], 12, false);
		}
	free(p);
}

static void pictures_are_turned_as_they_say(void **state)
{
	(void)state;
	uint8_t rgb[W * H * 3], exif[64], chunk[128];
	for (int i = 0; i < W * H; i++)
		colour(i % W, i / W, rgb + 3 * i);
	for (int o = 1; o <= 8; o++) {
		struct jpeg_kind k = {JCS_RGB, JCS_YCbCr, false, false, o};
		struct webp_options options = {.quality = 95};
		struct error err;
		size_t size, n = make_exif(exif, o & 1, o);
		uint8_t *data = make_jpeg(&k, &size);
		write_file(data, size);
		check_turned(o);
		free(data);
		assert_int_equal(webp_encode(rgb, W, H, &options, NULL, &data, &size, &err), 0);
		WebPData file = {data, size}, part = {exif, n}, whole;
		WebPMux *mux = WebPMuxCreate(&file, 1);
		assert_int_equal(WebPMuxSetChunk(mux, "EXIF", &part, 1), WEBP_MUX_OK);
		assert_int_equal(WebPMuxAssemble(mux, &whole), WEBP_MUX_OK);
		write_file(whole.bytes, whole.size);
		check_turned(o);
		WebPDataClear(&whole);
		WebPMuxDelete(mux);
		free(data);
		assert_int_equal(png_encode(rgb, W, H, NULL, &data, &size, &err), 0);
		uint32_t head[] = {0, 0}, sum;
		head[0] = __builtin_bswap32((uint32_t)n);
		memcpy(head + 1, "eXIf", 4);
		memcpy(chunk, head, 8);
		memcpy(chunk + 8, exif, n);
		sum = __builtin_bswap32((uint32_t)crc32(0, chunk + 4, (uInt)n + 4));
		memcpy(chunk + 8 + n, &sum, 4);
		uint8_t *with = malloc(size + n + 12);
		memcpy(with, data, 33);
		memcpy(with + 33, chunk, n + 12);
		memcpy(with + 45 + n, data + 33, size - 33);
		write_file(with, size + n + 12);
		check_turned(o);
		free(with);
		free(data);
	}
}

static int read_status(const void *data, size_t size, struct error *err)
{
	float *out = NULL;
	*err = (struct error){0};
	write_file(data, size);
	int status = picture_load(path, path, W, H, &out, err);
	free(out);
	if (status && (!strstr(err->text, path) || strchr(err->text, '\n')))
		fail_msg("not one line with the file's name: %s", err->text);
	return status;
}

static void cut_off_files_are_refused(void **state)
{
	(void)state;
	struct error err;
	for (int progressive = 0; progressive < 2; progressive++) {
		struct jpeg_kind k = {JCS_RGB, JCS_YCbCr, progressive, false, 6};
		size_t size;
		uint8_t *data = make_jpeg(&k, &size);
		for (size_t n = 3; n < size; n += n + 40 < size ? 23 : 1) {
			int status = read_status(data, n, &err);
			if (status != SUMI_CORRUPT)
				fail_msg("%zu of %zu bytes: status %d %s", n, size, status, err.text);
		}
		/* A size that no picture has, and more bits than are read. */
		for (size_t i = 2; i + 9 < size;) {
			size_t length = (size_t)data[i + 2] << 8 | data[i + 3];
			if (data[i + 1] == 0xC0 || data[i + 1] == 0xC2) {
				data[i + 4] = 12;
				assert_int_equal(read_status(data, size, &err), SUMI_UNSUPPORTED);
				data[i + 4] = 8;
				memset(data + i + 5, 0xF0, 4);
				assert_int_equal(read_status(data, size, &err), SUMI_TOOBIG);
				memset(data + i + 5, 0, 4);
				assert_int_equal(read_status(data, size, &err), SUMI_CORRUPT);
				memset(data + i + 5, 0x1E, 4); /* 7710 x 7710 in a few hundred bytes */
				assert_int_equal(picture_check(data, size, "x", &err), SUMI_CORRUPT);
				assert_non_null(strstr(err.text, "7710x7710"));
				break;
			}
			i += 2 + length;
		}
		free(data);
	}
}

/* Under a limit of memory that no claim of two gigabytes passes. */
static void limit_memory(rlim_t bytes)
{
#ifdef __SANITIZE_ADDRESS__
	(void)bytes; /* it has reserved terabytes */
#else
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
	limit.rlim_cur = bytes ? bytes : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
#endif
}

static void lengths_beyond_the_file_are_refused(void **state)
{
	(void)state;
	struct error err;
	uint8_t rgb[W * H * 3] = {0}, *png, *webp;
	struct metadata meta = {.infotext = "a\nSteps: 1", .json = "{}"};
	struct file_texts read = {0};
	struct webp_options options = {.quality = 80};
	size_t png_size, webp_size;
	assert_int_equal(png_encode(rgb, W, H, &meta, &png, &png_size, &err), 0);
	assert_int_equal(webp_encode(rgb, W, H, &options, &meta, &webp, &webp_size, &err), 0);
	uint8_t width[4], many[4] = {0, 0, 0x1F, 0xF8};
	memcpy(width, png + 16, 4);
	memcpy(png + 16, many, 4);
	memcpy(png + 20, many, 4);
	assert_int_equal(picture_check(png, png_size, "x", &err), SUMI_CORRUPT);
	assert_non_null(strstr(err.text, "8184x8184"));
	memcpy(png + 16, width, 4);
	png[22] = 0;
	png[23] = H;
	limit_memory((rlim_t)1 << 30);
	for (size_t at = 8; at + 12 < png_size;) {
		size_t length = (size_t)png[at] << 24 | (size_t)png[at + 1] << 16 |
				(size_t)png[at + 2] << 8 | png[at + 3];
		static const uint8_t claims[][4] = {
		    {0x7F, 0xFF, 0xFF, 0xFF}, {0xFF, 0xFF, 0xFF, 0xFF}, {0x70, 0, 0, 0}};
		uint8_t own[4];
		memcpy(own, png + at, 4);
		for (int i = 0; i < 3; i++) {
			memcpy(png + at, claims[i], 4);
			assert_int_equal(read_status(png, png_size, &err), SUMI_CORRUPT);
			assert_int_equal(picture_check(png, png_size, "x", &err), SUMI_CORRUPT);
			assert_int_equal(png_read_texts(png, png_size, "x", &read, &err),
					 SUMI_CORRUPT);
		}
		memcpy(png + at, own, 4);
		at += 12 + length;
	}
	for (size_t at = 12; at + 8 < webp_size;) {
		uint32_t length;
		memcpy(&length, webp + at + 4, 4);
		static const uint8_t most[4] = {0xF0, 0xFF, 0xFF, 0x7F};
		memcpy(webp + at + 4, most, 4);
		assert_int_equal(read_status(webp, webp_size, &err), SUMI_CORRUPT);
		assert_int_equal(picture_check(webp, webp_size, "x", &err), SUMI_CORRUPT);
		memcpy(webp + at + 4, &length, 4);
		at += 8 + length + (length & 1);
	}
	limit_memory(0);
	free(png);
	free(webp);
}

/* A text of 256 MiB in 260 KiB. */
static void a_text_that_expands_is_not_read(void **state)
{
	(void)state;
	enum { TEXT = 256 << 20 };
	struct error err;
	struct file_texts read = {0};
	uint8_t rgb[W * H * 3] = {0}, *png;
	size_t size;
	assert_int_equal(png_encode(rgb, W, H, NULL, &png, &size, &err), 0);
	uint8_t *text = calloc(1, TEXT);
	uLongf packed = compressBound(TEXT);
	uint8_t *out = malloc(size + packed + 64), *chunk = out + 33;
	memset(text, 'a', TEXT);
	memcpy(out, png, 33);
	memcpy(chunk + 4, "zTXtparameters\0", 16);
	assert_int_equal(compress2(chunk + 20, &packed, text, TEXT, 9), Z_OK);
	uint32_t length = __builtin_bswap32((uint32_t)packed + 12);
	memcpy(chunk, &length, 4);
	uint32_t sum = __builtin_bswap32((uint32_t)crc32(0, chunk + 4, (uInt)packed + 16));
	memcpy(chunk + 20 + packed, &sum, 4);
	memcpy(chunk + 24 + packed, png + 33, size - 33);
	size_t whole = (size_t)(chunk + 24 + packed - out) + size - 33;
	free(text);
	limit_memory((rlim_t)512 << 20);
	int status = png_read_texts(out, whole, "x", &read, &err);
	assert_true(status == SUMI_OK || status == SUMI_CORRUPT || status == SUMI_TOOBIG);
	assert_int_equal(read.count, 0);
	assert_int_equal(read_status(out, whole, &err), SUMI_OK);
	limit_memory(0);
	free(out);
	free(png);
}

/* What is written is read again, with what it says; the same bytes each time. */
static void jpegs_are_written(void **state)
{
	(void)state;
	static char infotext[] = "a cat, \"тихо\" & <b>\nSteps: 3, Sampler: Euler, Seed: 7", json[] = "{\"a\": \"<&>\"}";
	struct metadata meta = {.infotext = infotext, .json = json}, back = {0};
	uint8_t rgb[W * H * 3], *file, *twin, *got;
	struct error err = {0};
	size_t size, again, last = 0;
	for (int i = 0; i < W * H; i++)
		colour(i % W, i / W, rgb + 3 * i);
	for (int quality = 0; quality <= 100; quality += 50) {
		int w, h, off = 0;
		assert_int_equal(jpeg_encode(rgb, W, H, quality, &meta, &file, &size, &err), SUMI_OK);
		assert_int_equal(jpeg_encode(rgb, W, H, quality, &meta, &twin, &again, &err), SUMI_OK);
		assert_int_equal(size, again);
		assert_memory_equal(file, twin, size);
		assert_true(size > last);
		last = size;
		assert_int_equal(picture_decode(file, size, "x", &got, &w, &h, &err), SUMI_OK);
		assert_true(w == W && h == H);
		for (int i = 0; i < W * H * 3; i++)
			off = abs(got[i] - rgb[i]) > off ? abs(got[i] - rgb[i]) : off;
		assert_true(off < (quality == 100 ? 6 : quality ? 60 : 256));
		assert_int_equal(metadata_read(file, size, "x", &back, &err), SUMI_OK);
		assert_string_equal(back.infotext, infotext);
		assert_string_equal(back.json, json);
		metadata_free(&back);
		free(file);
		free(twin);
		free(got);
	}
}

/* Colours beneath what is not seen stay too: what reads them again takes nothing else for them. */
static void transparency_is_written(void **state)
{
	(void)state;
	struct webp_options lossless = {.lossless = true, .quality = 70};
	uint8_t rgba[W * H * 4], *file, *got;
	struct error err = {0};
	size_t size;
	for (int i = 0; i < W * H; i++) {
		colour(i % W, i / W, rgba + 4 * i);
		rgba[4 * i + 3] = (uint8_t)(i % W * 5);
	}
	for (int webp = 0; webp < 2; webp++) {
		int w, h;
		assert_int_equal(webp ? webp_encode_rgba(rgba, W, H, &lossless, NULL, &file, &size, &err)
				      : png_encode_rgba(rgba, W, H, NULL, &file, &size, &err), SUMI_OK);
		assert_int_equal(picture_decode_rgba(file, size, "x", &got, &w, &h, &err), SUMI_OK);
		assert_true(w == W && h == H);
		assert_memory_equal(got, rgba, sizeof rgba);
		free(file);
		free(got);
	}
}

static void deep_grey_is_written(void **state)
{
	(void)state;
	static const uint8_t not_deep[] = "\x89PNG\r\n\x1a\n";
	float grey[W * H], *got;
	uint8_t rgb[W * H * 3] = {0}, *file;
	struct picture_info info;
	struct error err = {0};
	size_t size;
	int w, h;
	for (int i = 0; i < W * H; i++)
		grey[i] = (float)i / (W * H - 1);
	assert_int_equal(png_encode_grey16(grey, W, H, NULL, &file, &size, &err), SUMI_OK);
	assert_int_equal(png_picture_info(file, size, "x", &info, &err), SUMI_OK);
	assert_true(info.grey && info.depth == 16);
	assert_int_equal(picture_decode_grey16(file, size, "x", &got, &w, &h, &err), SUMI_OK);
	assert_true(w == W && h == H);
	for (int i = 0; i < W * H; i++)
		assert_true(fabsf(got[i] - grey[i]) <= 0.51F / UINT16_MAX);
	free(got);
	free(file);
	assert_int_equal(png_encode(rgb, W, H, NULL, &file, &size, &err), SUMI_OK);
	assert_int_equal(picture_decode_grey16(file, size, "x", &got, &w, &h, &err), SUMI_UNSUPPORTED);
	assert_null(got);
	free(file);
	assert_int_equal(picture_decode_grey16(not_deep, 8, "x", &got, &w, &h, &err), SUMI_CORRUPT);
	assert_null(got);
}

static void colours_spread_beneath_transparency(void **state)
{
	(void)state;
	enum { SEEN = 4 };
	uint8_t rgba[W * H * 4] = {0}, rgb[W * H * 4 * 3], *joined;
	float *colours, *alpha;
	struct error err = {0};
	for (int i = 0; i < W * H; i++)
		rgba[4 * i + 3] = 254;
	assert_false(transparency_seen(rgba, W * H)); /* texts are hidden there */
	for (int i = 0; i < W * H; i++) {
		bool seen = i % W < SEEN;
		rgba[4 * i] = seen ? 200 : 0;
		rgba[4 * i + 3] = seen ? 255 : 0;
	}
	assert_true(transparency_seen(rgba, W * H));
	assert_int_equal(transparency_split(rgba, H, W, &colours, &alpha, &err), SUMI_OK);
	for (int i = 0; i < W * H; i++) {
		float want = i % W < SEEN + 16 ? 200.0F / 255 : 0;
		assert_true(fabsf(colours[3 * i] - want) < 1e-5F && fabsf(alpha[i] - (i % W < SEEN ? 1 : 0)) < 1e-6F);
	}
	memset(rgb, 7, sizeof rgb);
	assert_int_equal(transparency_join(rgb, alpha, H, W, 2 * H, 2 * W, &joined, &err), SUMI_OK);
	for (int i = 0; i < 4 * W * H; i++) {
		int x = i % (2 * W);
		assert_true(joined[4 * i] == 7 && joined[4 * i + 1] == 7 && joined[4 * i + 2] == 7);
		if (x < 2 * SEEN - 4)
			assert_int_equal(joined[4 * i + 3], 255);
		if (x >= 2 * SEEN + 4)
			assert_int_equal(joined[4 * i + 3], 0);
	}
	free(joined);
	free(colours);
	free(alpha);
}

/* A segment holds 64 KiB: of both texts sumi's own counts, and that it is too much is said. */
static void a_jpeg_says_what_it_can(void **state)
{
	(void)state;
	enum { LONG = 70000 };
	char *infotext = malloc(LONG), *json = malloc(LONG);
	uint8_t rgb[W * H * 3] = {0}, *file;
	struct metadata meta = {.infotext = infotext, .json = json}, back = {0};
	struct error err = {0};
	size_t size;
	assert_non_null(infotext);
	assert_non_null(json);
	memset(infotext, 'a', LONG - 1);
	memset(json, ' ', LONG - 1);
	infotext[LONG - 1] = json[LONG - 1] = '\0';
	memcpy(json, "{}", 3);
	assert_int_equal(jpeg_encode(rgb, W, H, 90, &meta, &file, &size, &err), SUMI_OK);
	assert_int_equal(metadata_read(file, size, "x", &back, &err), SUMI_OK);
	assert_string_equal(back.json, json);
	metadata_free(&back);
	free(file);
	memset(json, ' ', LONG - 1);
	assert_int_equal(jpeg_encode(rgb, W, H, 90, &meta, &file, &size, &err), SUMI_TOOBIG);
	assert_null(file);
	assert_non_null(strstr(err.text, "WebP or PNG"));
	free(infotext);
	free(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(jpegs_of_every_kind),
	    cmocka_unit_test(jpegs_are_written),
	    cmocka_unit_test(transparency_is_written),
	    cmocka_unit_test(deep_grey_is_written),
	    cmocka_unit_test(colours_spread_beneath_transparency),
	    cmocka_unit_test(a_jpeg_says_what_it_can),
	    cmocka_unit_test(pictures_are_turned_as_they_say),
	    cmocka_unit_test(cut_off_files_are_refused),
	    cmocka_unit_test(lengths_beyond_the_file_are_refused),
	    cmocka_unit_test(a_text_that_expands_is_not_read),
	};
	snprintf(path, sizeof path, "/tmp/sumi-picture-%d", (int)getpid());
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return failed;
}

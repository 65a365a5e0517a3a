/* WebP and PNG files: round trips, metadata, independent decoders, hostile bytes. */
#define _GNU_SOURCE /* memmem */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "media/exif.h"
#include "media/metadata_file.h"
#include "media/png.h"
#include "media/webp.h"
#include "media/xmp.h"

enum { W = 61, H = 43, PIXELS = W * H };

/* Smooth with some noise, other for every n. */
static void paint(uint8_t *rgb, int n)
{
	uint32_t r = 12345u + (uint32_t)n;
	for (int i = 0; i < PIXELS; i++) {
		r = r * 1664525u + 1013904223u;
		rgb[3 * i] = (uint8_t)(4 * (i % W) + 3 * n);
		rgb[3 * i + 1] = (uint8_t)(5 * (i / W) + 7 * n);
		rgb[3 * i + 2] = (uint8_t)(128 + (r >> 28));
	}
}

static struct metadata sample = {
    "горы в тумане, \"墨\" <&>\nNegative prompt: x\nSteps: 4, Seed: 1, Size: 61x43",
    "{\"prompt\":\"горы & <sea> 🎨\",\"seed\":18446744073709551615}",
};

static void write_file(const char *path, const void *data, size_t size)
{
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static void temp_path(char out[64])
{
	strcpy(out, "/tmp/sumi-test-webp-XXXXXX");
	int fd = mkstemp(out);
	assert_true(fd >= 0);
	close(fd);
}

static void still(bool lossless, const struct metadata *m, uint8_t **data, size_t *size)
{
	uint8_t rgb[3 * PIXELS];
	struct error err = {0};
	struct webp_options options = {lossless, 80};
	paint(rgb, 0);
	if (webp_encode(rgb, W, H, &options, m, data, size, &err))
		fail_msg("%s", err.text);
}

static void animation(int frames, bool lossless, const struct metadata *m, uint8_t **data,
		      size_t *size)
{
	uint8_t rgb[3 * PIXELS];
	struct error err = {0};
	struct webp_animation *a;
	struct webp_animation_options options = {
	    .picture = {lossless, 75}, .frame_ms = 125, .loop_count = 3};
	assert_int_equal(webp_animation_new(W, H, &options, &a, &err), 0);
	for (int i = 0; i < frames; i++) {
		paint(rgb, i);
		if (webp_animation_add(a, rgb, &err))
			fail_msg("%s", err.text);
	}
	if (webp_animation_finish(a, m, data, size, &err))
		fail_msg("%s", err.text);
	webp_animation_free(a);
}

static double difference(const uint8_t *a, const uint8_t *b)
{
	double sum = 0;
	for (int i = 0; i < 3 * PIXELS; i++)
		sum += abs(a[i] - b[i]);
	return sum / (3 * PIXELS);
}

static void check_still(void **state)
{
	(void)state;
	for (int lossless = 0; lossless < 2; lossless++) {
		uint8_t *data, *again, want[3 * PIXELS], got[3 * PIXELS];
		size_t size, again_size;
		still(lossless, &sample, &data, &size);
		still(lossless, &sample, &again, &again_size);
		assert_int_equal(size, again_size);
		assert_memory_equal(data, again, size);

		struct webp_reader *r;
		assert_int_equal(webp_reader_new(data, size, "t", &r, NULL), 0);
		const struct webp_info *info = webp_reader_info(r);
		assert_int_equal(info->width, W);
		assert_int_equal(info->height, H);
		assert_int_equal(info->frames, 1);
		assert_int_equal(info->duration_ms, 0);
		assert_int_equal(webp_reader_next(r, got, NULL, NULL), 0);
		assert_int_equal(webp_reader_next(r, got, NULL, NULL), SUMI_NOTFOUND);
		paint(want, 0);
		if (lossless)
			assert_memory_equal(want, got, sizeof want);
		else
			assert_true(difference(want, got) < 6);
		webp_reader_free(r);
		free(data);
		free(again);
	}
}

static void check_animation(void **state)
{
	(void)state;
	for (int lossless = 0; lossless < 2; lossless++) {
		uint8_t *data, *again, want[3 * PIXELS], got[3 * PIXELS];
		size_t size, again_size;
		animation(20, lossless, &sample, &data, &size);
		animation(20, lossless, &sample, &again, &again_size);
		assert_int_equal(size, again_size);
		assert_memory_equal(data, again, size);

		struct webp_reader *r;
		assert_int_equal(webp_reader_new(data, size, "t", &r, NULL), 0);
		const struct webp_info *info = webp_reader_info(r);
		assert_int_equal(info->frames, 20);
		assert_int_equal(info->loop_count, 3);
		assert_int_equal(info->duration_ms, 20 * 125);
		for (int i = 0; i < 20; i++) {
			int end;
			assert_int_equal(webp_reader_next(r, got, &end, NULL), 0);
			assert_int_equal(end, (i + 1) * 125);
			paint(want, i);
			if (lossless)
				assert_memory_equal(want, got, sizeof want);
			else
				assert_true(difference(want, got) < 8);
		}
		webp_reader_free(r);
		free(data);
		free(again);
	}
}

static void check_options(void **state)
{
	(void)state;
	uint8_t rgb[3 * PIXELS] = {0}, *data;
	size_t size;
	struct error err = {0};
	struct webp_options bad = {false, 101};
	assert_int_equal(webp_encode(rgb, W, H, &bad, NULL, &data, &size, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "101"));
	struct webp_options good = {false, 50};
	assert_int_equal(webp_encode(rgb, 0, H, &good, NULL, &data, &size, &err), SUMI_INVALID);
	assert_int_equal(webp_encode(rgb, W, 16384, &good, NULL, &data, &size, &err), SUMI_INVALID);
	struct webp_animation *a;
	struct webp_animation_options o = {.picture = good, .frame_ms = 0};
	assert_int_equal(webp_animation_new(W, H, &o, &a, &err), SUMI_INVALID);
	o.frame_ms = 40;
	o.loop_count = -1;
	assert_int_equal(webp_animation_new(W, H, &o, &a, &err), SUMI_INVALID);
	o.loop_count = 0;
	assert_int_equal(webp_animation_new(W, H, &o, &a, &err), 0);
	assert_int_equal(webp_animation_finish(a, NULL, &data, &size, &err), SUMI_INVALID);
	webp_animation_free(a);
	struct metadata latin = {"\xe9", NULL};
	assert_int_equal(webp_encode(rgb, W, H, &good, &latin, &data, &size, &err), SUMI_INVALID);
	assert_null(data);
	assert_int_equal(png_encode(rgb, W, H, &latin, &data, &size, &err), SUMI_INVALID);
}

static void assert_metadata(const void *data, size_t size, const struct metadata *want)
{
	struct metadata m;
	struct error err = {0};
	char path[64];
	if (metadata_read(data, size, "t", &m, &err))
		fail_msg("%s", err.text);
	assert_string_equal(m.infotext, want->infotext);
	assert_string_equal(m.json, want->json);
	metadata_free(&m);
	temp_path(path);
	write_file(path, data, size);
	assert_int_equal(metadata_read_file(path, &m, &err), 0);
	assert_string_equal(m.json, want->json);
	metadata_free(&m);
	unlink(path);
}

static void check_metadata_webp(void **state)
{
	(void)state;
	uint8_t *data;
	size_t size;
	still(true, &sample, &data, &size);
	assert_metadata(data, size, &sample);
	/* A1111's reader wants the UTF-16 big-endian behind "UNICODE". */
	const uint8_t unicode[] = {'U', 'N', 'I', 'C', 'O', 'D', 'E', 0, 0x04, 0x33};
	assert_non_null(memmem(data, size, unicode, sizeof unicode));
	free(data);
	animation(3, false, &sample, &data, &size);
	assert_metadata(data, size, &sample);
	free(data);

	struct metadata m;
	struct error err = {0};
	still(true, NULL, &data, &size);
	assert_int_equal(metadata_read(data, size, "bare.webp", &m, &err), SUMI_NOTFOUND);
	assert_non_null(strstr(err.text, "bare.webp"));
	free(data);
	assert_int_equal(metadata_read("GIF89a", 6, "x.gif", &m, &err), SUMI_UNSUPPORTED);
	assert_int_equal(metadata_read_file("/nonexistent/x.webp", &m, &err), SUMI_NOTFOUND);
}

/* What stands there; the texts are emptied. */
static void same_text(struct file_texts *texts, enum text_place place, const char *key,
		      const char *want)
{
	const char *got = texts_find(texts, place, key);
	assert_non_null(got);
	assert_string_equal(got, want);
	texts_free(texts);
}

/* The infotext comes back from EXIF alone, as other programs write it, in both byte orders. */
static void check_exif(void **state)
{
	(void)state;
	unsigned char *exif;
	size_t size;
	struct metadata in = {"a 𝄞 б", NULL};
	struct file_texts texts = {0};
	assert_int_equal(exif_write(&in, &exif, &size, NULL), 0);
	assert_int_equal(exif_read(exif, size, &texts, NULL), 0);
	same_text(&texts, TEXT_EXIF, "UserComment", "a 𝄞 б");
	for (size_t cut = 0; cut < size; cut++) {
		unsigned char *copy = malloc(cut + !cut);
		memcpy(copy, exif, cut);
		exif_read(copy, cut, &texts, NULL);
		assert_int_equal(texts.count, 0);
		free(copy);
	}
	free(exif);

	static const unsigned char little[] =
	    "Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x1a\0\0\0\0\0\0\0"
	    "\x01\0\x86\x92\x07\0\x0e\0\0\0\x2c\0\0\0\0\0\0\0UNICODE\0h\0i\0!\0";
	assert_int_equal(exif_read(little, sizeof little - 1, &texts, NULL), 0);
	same_text(&texts, TEXT_EXIF, "UserComment", "hi!");

	/* Sets of characters, in front of twelve bytes. */
	static const struct {
		char value[24];
		const char *text;
	} sets[] = {
	    {"Unicode\0a\0b\0c\0d\0e\0f", "abcdef"},	 {"ascii\0\0\0plain words!", "plain words!"},
	    {"JIS\0\0\0\0\0plain words!", "plain words!"}, {"JIS\0\0\0\0\0\x90\xe1, a fox, s", "雪, a fox, s"},
	    {"JIS\0\0\0\0\0\x1b$B@c\x1b(B, x.", "雪, x."}, {"JIS words, ascii ones", "JIS words, ascii one"},
	};
	for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
		unsigned char one[] = "Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x1a\0\0\0\0\0\0\0"
				      "\x01\0\x86\x92\x07\0\x14\0\0\0\x2c\0\0\0\0\0\0\0....................";
		memcpy(one + sizeof one - 21, sets[i].value, 20);
		assert_int_equal(exif_read(one, sizeof one - 1, &texts, NULL), 0);
		same_text(&texts, TEXT_EXIF, "UserComment", sets[i].text);
	}
}

static void check_xmp(void **state)
{
	(void)state;
	struct file_texts texts = {0};
	struct error err = {0};
	const char attribute[] = "<rdf:Description sumi:json='{&quot;a&quot;:1}' "
				 "sumi:parameters=\"x &#x434;&#10;y &bogus; &#0; &#\"/>";
	assert_int_equal(xmp_read(attribute, sizeof attribute - 1, &texts, NULL), 0);
	assert_string_equal(texts_find(&texts, TEXT_XMP, "sumi:json"), "{\"a\":1}");
	same_text(&texts, TEXT_XMP, "sumi:parameters", "x д\ny &bogus; &#0; &#");
	assert_int_equal(xmp_read("<sumi:json>{}", 13, &texts, &err), SUMI_CORRUPT);
	assert_int_equal(xmp_read("<sumi:json>\xff</sumi:json>", 24, &texts, &err),
			 SUMI_CORRUPT);
	assert_int_equal(xmp_read("sumi:json", 9, &texts, &err), 0);
	assert_int_equal(texts.count, 0);
	/* Names in others' text and values, where a prompt may have put them. */
	const char element[] = "<a b='1'>x sumi:json=\"no\"</a><sumi:json>{}</sumi:json>";
	assert_int_equal(xmp_read(element, sizeof element - 1, &texts, &err), 0);
	same_text(&texts, TEXT_XMP, "sumi:json", "{}");
	const char value[] = "<a sumi:parameters=\"x <sumi:json>no sumi:json='no' y\" sumi:json='{}'/>";
	assert_int_equal(xmp_read(value, sizeof value - 1, &texts, &err), 0);
	same_text(&texts, TEXT_XMP, "sumi:json", "{}");
	const char unended[] = "<a b='1 sumi:json=\"no\">";
	assert_int_equal(xmp_read(unended, sizeof unended - 1, &texts, &err), 0);
	assert_int_equal(texts.count, 0);
	/* Ways of other programs' libraries. */
	static const char *const ways[] = {
	    "<r:Description xmlns:ex=\"http://ns.adobe.com/exif/1.0/\"><ex:UserComment>a &amp; b</ex:UserComment>",
	    "<d xmlns:ex=\"http://ns.adobe.com/exif/1.0/\" ex:UserComment='a &amp; b'/>",
	    "<exif:UserComment xml:lang=\"x-default\">a &amp; b</exif:UserComment>",
	    "<exif:UserComment>\n <rdf:Alt><rdf:li a=\"b\"><![CDATA[a & b]]></rdf:li></rdf:Alt></exif:UserComment>",
	    "<exif:UserComment/><exif:UserComment x=\"y\" /><exif:UserComment>a &#38; b</exif:UserComment>",
	};
	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		assert_int_equal(xmp_read(ways[i], strlen(ways[i]), &texts, &err), 0);
		assert_int_equal(texts.count, 1);
		assert_string_equal(texts.at[0].text, "a & b");
		texts_free(&texts);
		texts = (struct file_texts){0};
	}
	const char endless[] = "<exif:UserComment><![CDATA[a & b</exif:UserComment>";
	assert_int_equal(xmp_read(endless, sizeof endless - 1, &texts, &err), SUMI_CORRUPT);
}

static void check_png(void **state)
{
	(void)state;
	uint8_t want[3 * PIXELS], *data, *again, *got;
	size_t size, again_size;
	int width, height;
	struct error err = {0};
	paint(want, 1);
	assert_int_equal(png_encode(want, W, H, &sample, &data, &size, &err), 0);
	assert_int_equal(png_encode(want, W, H, &sample, &again, &again_size, &err), 0);
	assert_int_equal(size, again_size);
	assert_memory_equal(data, again, size);
	free(again);
	assert_metadata(data, size, &sample);
	assert_non_null(memmem(data, size, "iTXtparameters", 14));
	assert_int_equal(png_decode(data, size, "t", &got, &width, &height, &err), 0);
	assert_int_equal(width, W);
	assert_int_equal(height, H);
	assert_memory_equal(want, got, sizeof want);
	free(got);
	free(data);

	/* Latin-1 stands in tEXt; bytes that would pass for UTF-8 do not. */
	struct metadata latin = {"café", "{\"a\":\"Ã©\"}"};
	assert_int_equal(png_encode(want, W, H, &latin, &data, &size, &err), 0);
	assert_non_null(memmem(data, size, "tEXtparameters\0caf\xe9", 19));
	assert_non_null(memmem(data, size, "iTXtsumi", 8));
	assert_metadata(data, size, &latin);
	free(data);
}

/* Every cut and thousands of flipped bits: an error or a picture, never a crash, and under the
 * sanitizers no stray access. */
static void abuse(const uint8_t *data, size_t size)
{
	uint8_t *rgb = malloc(3 * WEBP_MAX_SIDE * 4);
	uint32_t r = 99;
	for (int round = 0; round < 700; round++) {
		size_t n = round < 200 ? size * (size_t)round / 200 : size;
		uint8_t *copy = malloc(n + !n);
		memcpy(copy, data, n);
		for (int flip = 0; round >= 200 && flip <= round % 5; flip++) {
			r = r * 1664525u + 1013904223u;
			/* Most of them in the headers, where they hurt. */
			size_t at = round % 2 ? (r >> 8) % (n < 120 ? n : 120) : (r >> 8) % n;
			copy[at] ^= (uint8_t)(1u << (r >> 29));
		}
		struct metadata m;
		metadata_read(copy, n, "t", &m, NULL);
		metadata_free(&m);
		struct webp_reader *reader;
		if (webp_reader_new(copy, n, "t", &reader, NULL) == 0) {
			const struct webp_info *info = webp_reader_info(reader);
			if (info->width * info->height <= WEBP_MAX_SIDE * 4)
				for (int i = 0;
				     i < 40 && !webp_reader_next(reader, rgb, NULL, NULL); i++)
					;
			webp_reader_free(reader);
		}
		uint8_t *png;
		int w, h;
		if (png_decode(copy, n, "t", &png, &w, &h, NULL) == 0)
			free(png);
		free(copy);
	}
	free(rgb);
}

static void check_hostile(void **state)
{
	(void)state;
	uint8_t *data, rgb[3 * PIXELS];
	size_t size;
	struct error err = {0};
	struct webp_reader *r;
	still(false, &sample, &data, &size);
	assert_int_equal(webp_reader_new(data, size / 2, "cut.webp", &r, &err), SUMI_CORRUPT);
	assert_non_null(strstr(err.text, "cut.webp"));
	abuse(data, size);
	free(data);
	animation(4, true, &sample, &data, &size);
	abuse(data, size);
	free(data);
	paint(rgb, 0);
	assert_int_equal(png_encode(rgb, W, H, &sample, &data, &size, NULL), 0);
	uint8_t *out;
	int w, h;
	assert_int_equal(png_decode(data, size / 2, "cut.png", &out, &w, &h, &err), SUMI_CORRUPT);
	assert_non_null(strstr(err.text, "cut.png"));
	abuse(data, size);
	free(data);
}

/* A header that promises more pixels than anybody should believe. */
static void check_bombs(void **state)
{
	(void)state;
	static const uint8_t webp[] =
	    "RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\xff\xff\xff\xff\x3f\0";
	struct webp_reader *r;
	struct error err = {0};
	assert_true(webp_reader_new(webp, sizeof webp - 1, "bomb", &r, &err) < 0);

	uint8_t rgb[3] = {0}, *data, *out;
	size_t size;
	int w, h;
	assert_int_equal(png_encode(rgb, 1, 1, NULL, &data, &size, &err), 0);
	/* IHDR's width and height with the right checksum for 16384 x 16384. */
	memcpy(data + 16, "\0\0\x40\0\0\0\x40\0", 8);
	memcpy(data + 29, "\x26\xaa\x87\xd3", 4);
	int status = png_decode(data, size, "bomb", &out, &w, &h, &err);
	assert_int_equal(status, SUMI_TOOBIG);
	free(data);
}

static char *output_of(const char *command)
{
	FILE *p = popen(command, "r");
	assert_non_null(p);
	char *text = calloc(1, 65536);
	size_t n = fread(text, 1, 65535, p);
	text[n] = '\0';
	pclose(p);
	return text;
}

static void check_independent_decoder(void **state)
{
	(void)state;
	if (system("command -v webpmux >/dev/null && command -v dwebp >/dev/null") != 0) {
		print_message("skip an independent decoder: webpmux, dwebp not installed\n");
		skip();
	}
	uint8_t *data;
	size_t size;
	char path[64], command[256];
	temp_path(path);
	animation(20, true, &sample, &data, &size);
	write_file(path, data, size);
	free(data);
	snprintf(command, sizeof command, "webpmux -info %s 2>&1", path);
	char *text = output_of(command);
	assert_non_null(strstr(text, "Canvas size: 61 x 43"));
	assert_non_null(strstr(text, "Number of frames: 20"));
	assert_non_null(strstr(text, "Loop Count : 3"));
	assert_non_null(strstr(text, "Size of the XMP metadata"));
	assert_non_null(strstr(text, "Size of the EXIF metadata"));
	free(text);

	still(true, &sample, &data, &size);
	write_file(path, data, size);
	free(data);
	snprintf(command, sizeof command, "dwebp -quiet -ppm %s -o %s.ppm", path, path);
	assert_int_equal(system(command), 0);
	char ppm[80], *pixels;
	snprintf(ppm, sizeof ppm, "%s.ppm", path);
	assert_int_equal(files_read(ppm, 1 << 20, &pixels, &size, NULL), 0);
	uint8_t want[3 * PIXELS];
	paint(want, 0);
	assert_true(size > sizeof want);
	assert_memory_equal(pixels + size - sizeof want, want, sizeof want);
	free(pixels);
	unlink(ppm);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(check_still),   cmocka_unit_test(check_animation),
	    cmocka_unit_test(check_options), cmocka_unit_test(check_metadata_webp),
	    cmocka_unit_test(check_exif),    cmocka_unit_test(check_xmp),
	    cmocka_unit_test(check_png),     cmocka_unit_test(check_hostile),
	    cmocka_unit_test(check_bombs),   cmocka_unit_test(check_independent_decoder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Masks: what they are read from, blurred, grown, filled and cut out as others do it. Numbers come from
 * PIL 13 (its Gaussian blur, alpha_composite) and from A1111's formulas in numpy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <webp/encode.h>

#include "media/mask.h"
#include "media/png.h"

enum { W = 48, H = 40 };

static void make(uint8_t mask[H * W])
{
	memset(mask, 0, H * W);
	for (int y = 10; y < 25; y++)
		memset(mask + y * W + 15, 255, 20);
	mask[12 * W + 40] = 90;
}

static long sum(const uint8_t *mask)
{
	long all = 0;
	for (int i = 0; i < H * W; i++)
		all += mask[i];
	return all;
}

static void test_blur(void **state)
{
	static const struct {
		int y, x, value;
	} points[] = {{17, 25, 241}, {10, 15, 77}, {9, 15, 63}, {5, 12, 8}, {39, 47, 0}, {12, 42, 6}},
	  far[] = {{17, 25, 45}, {0, 0, 42}, {39, 47, 37}};
	uint8_t mask[H * W];
	struct error err = {0};
	(void)state;
	make(mask);
	assert_int_equal(mask_blur(mask, W, H, 4, &err), 0);
	assert_int_equal(sum(mask), 76593);
	for (size_t i = 0; i < sizeof points / sizeof *points; i++)
		assert_int_equal(mask[points[i].y * W + points[i].x], points[i].value);
	make(mask); /* further than the mask is wide */
	assert_int_equal(mask_blur(mask, W, H, 20, &err), 0);
	assert_int_equal(sum(mask), 80113);
	for (size_t i = 0; i < sizeof far / sizeof *far; i++)
		assert_int_equal(mask[far[i].y * W + far[i].x], far[i].value);
	uint8_t one = 200;
	assert_int_equal(mask_blur(&one, 1, 1, 64, &err), 0);
	assert_int_equal(one, 200);
	make(mask);
	assert_int_equal(mask_blur(mask, W, H, 0.1, &err), 0); /* less than a pixel */
	assert_int_equal(mask[10 * W + 15], 255);
	assert_int_equal(mask[9 * W + 15], 0);
}

/* Each pixel is the brightest, or darkest, of those around it. */
static void check_growth(int pixels)
{
	uint8_t mask[H * W], before[H * W];
	struct error err = {0};
	int reach = abs(pixels);
	make(mask);
	make(before);
	assert_int_equal(mask_grow(mask, W, H, pixels, &err), 0);
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++) {
			int best = before[y * W + x];
			for (int v = y - reach; v <= y + reach; v++)
				for (int u = x - reach; u <= x + reach; u++) {
					if (v < 0 || v >= H || u < 0 || u >= W)
						continue;
					int other = before[v * W + u];
					best = pixels > 0 ? (other > best ? other : best)
							  : (other < best ? other : best);
				}
			assert_int_equal(mask[y * W + x], best);
		}
}

static void test_growth(void **state)
{
	static const int pixels[] = {0, 1, 5, 60, -1, -3, -7, -60};
	(void)state;
	for (size_t i = 0; i < sizeof pixels / sizeof *pixels; i++)
		check_growth(pixels[i]);
}

static void test_fill(void **state)
{
	static const struct {
		int y, x, rgb[3];
	} points[] = {{10, 15, {71, 69, 127}},
		      {17, 25, {124, 113, 104}},
		      {24, 34, {173, 182, 105}},
		      {12, 40, {199, 111, 192}}};
	uint8_t mask[H * W], rgb[H * W * 3], before[H * W * 3];
	struct error err = {0};
	(void)state;
	make(mask);
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++) {
			uint8_t *p = rgb + (y * W + x) * 3;
			p[0] = (uint8_t)(x * 5);
			p[1] = (uint8_t)(y * 6 + x);
			p[2] = (uint8_t)(x * y);
		}
	memcpy(before, rgb, sizeof rgb);
	assert_int_equal(mask_fill(rgb, mask, W, H, &err), 0);
	for (size_t i = 0; i < sizeof points / sizeof *points; i++)
		for (int c = 0; c < 3; c++) {
			int got = rgb[(points[i].y * W + points[i].x) * 3 + c];
			if (abs(got - points[i].rgb[c]) > 4) /* PIL rounds each layer to bytes */
				fail_msg("%d %d: %d, PIL has %d", points[i].y, points[i].x, got,
					 points[i].rgb[c]);
		}
	for (int i = 0; i < H * W; i++)
		if (!mask[i])
			assert_memory_equal(rgb + 3 * i, before + 3 * i, 3);
	memset(mask, 255, sizeof mask); /* nothing is around it */
	assert_int_equal(mask_fill(rgb, mask, W, H, &err), 0);
}

static void test_box(void **state)
{
	static const struct {
		int padding, width, height;
		struct mask_box box;
	} rows[] = {
	    {0, 64, 64, {15, 5, 26, 26}}, {4, 64, 64, {11, 1, 34, 34}},
	    {4, 128, 64, {2, 6, 46, 23}}, {2, 64, 128, {13, 0, 30, 40}},
	    {30, 64, 64, {0, 0, 48, 40}},
	};
	uint8_t mask[H * W];
	(void)state;
	make(mask);
	assert_true(mask_any(mask, W, H));
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct mask_box b =
		    mask_box(mask, W, H, rows[i].padding, rows[i].width, rows[i].height);
		assert_memory_equal(&b, &rows[i].box, sizeof b);
	}
	memset(mask, 0, sizeof mask);
	assert_false(mask_any(mask, W, H));
}

/* Two pixels: a half transparent red one, an opaque white one. */
static void test_files(void **state)
{
	static const uint8_t rgba[8] = {255, 0, 0, 64, 255, 255, 255, 255};
	static const struct {
		enum mask_from from;
		uint8_t mask[2];
	} rows[] = {{MASK_LIGHT, {76, 255}}, {MASK_ALPHA, {191, 0}}, {MASK_DRAWN, {0, 255}}};
	uint8_t *data = NULL, *mask;
	int width, height;
	struct error err = {0};
	(void)state;
	size_t size = WebPEncodeLosslessRGBA(rgba, 2, 1, 8, &data);
	assert_true(size > 0);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(
		    mask_decode(data, size, "m", rows[i].from, &mask, &width, &height, &err), 0);
		assert_int_equal(width, 2);
		assert_int_equal(height, 1);
		assert_memory_equal(mask, rows[i].mask, 2);
		free(mask);
	}
	assert_int_equal(
	    mask_decode(data, size / 2, "m", MASK_ALPHA, &mask, &width, &height, &err),
	    SUMI_CORRUPT);
	WebPFree(data);
	/* Of what is never transparent nothing is, and what is drawn is what is light. */
	static const uint8_t rgb[6] = {10, 10, 10, 200, 200, 200};
	assert_int_equal(png_encode(rgb, 2, 1, NULL, &data, &size, &err), 0);
	for (int from = MASK_LIGHT; from <= MASK_DRAWN; from++) {
		assert_int_equal(mask_decode(data, size, "m", (enum mask_from)from, &mask, &width,
					     &height, &err),
				 0);
		assert_int_equal(mask[0], from == MASK_ALPHA ? 0 : 10);
		assert_int_equal(mask[1], from == MASK_ALPHA ? 0 : 200);
		free(mask);
	}
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_blur), cmocka_unit_test(test_growth), cmocka_unit_test(test_fill),
	    cmocka_unit_test(test_box),	 cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

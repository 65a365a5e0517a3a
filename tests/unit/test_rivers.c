/* Rivers: a bed that falls all the way, banks that stay where they were, and landscapes that have none. */
#include <math.h>
#include <string.h>

#include "media/rivers.h"
#include "tests/unit/check.h"

enum { N = 96, FLOOR = 3 };

static float before[N * N], heights[N * N], other[N * N];

/* Where the river's middle lies in a row; it goes on from the last row to the first. */
static double middle(int y)
{
	return N / 2 + 12 * sin(2 * M_PI * y / N);
}

/* A gorge whose floor has bumps and pits and rises nowhere in the mean. */
static void gorge(float *h, double floor, double bump)
{
	for (int y = 0; y < N; y++)
		for (int x = 0; x < N; x++) {
			double d = fabs(x - middle(y));
			double wall = fmin(fmax((d - FLOOR) / 10, 0), 1) * 0.45;
			h[y * N + x] = (float)(floor + wall + bump * sin(y * 0.4) * (1 - wall) + 0.002 * cos(x * 0.7));
		}
}

static struct relief_field field(float *h)
{
	return (struct relief_field){.width = N, .height = N, .heights = h, .metres = 40, .sea_level = 0.25};
}

static int settled(struct relief_field *f)
{
	struct error err;
	int found = -1;
	assert_int_equal(rivers_settle(f, &found, &err), 0);
	return found;
}

/* The bed's heights by rows, the lowest near the middle. */
static void bed(const float *h, double out[N])
{
	for (int y = 0; y < N; y++) {
		out[y] = INFINITY;
		for (int x = (int)middle(y) - FLOOR; x <= (int)middle(y) + FLOOR; x++)
			out[y] = fmin(out[y], (double)h[y * N + x]);
	}
}

/* In how many of its rows the bed lies lower than STEP rows before, in the direction in which it falls. */
static int downhill(const float *h)
{
	enum { STEP = 8 };
	double b[N];
	int falls = 0;
	bed(h, b);
	for (int y = STEP; y < N; y++)
		falls += b[y] < b[y - STEP];
	return falls > (N - STEP) / 2 ? falls : N - STEP - falls;
}

static void test_a_bed_falls_from_border_to_border(void **state)
{
	(void)state;
	double b[N];
	gorge(before, 0.4, 0.05);
	memcpy(heights, before, sizeof heights);
	assert_within(downhill(before), 40, 60); /* of 88 */
	struct relief_field f = field(heights);
	assert_int_equal(settled(&f), 1);
	assert_int_equal(downhill(heights), N - 8);
	bed(heights, b);
	assert_true(fabs(b[0] - b[N - 1]) > 0.03);
	/* What is cut is cut from the floor and its banks: the plateau beside stays to the bit. */
	for (int y = 0; y < N; y++)
		for (int x = 0; x < N; x++)
			if (fabs(x - middle(y)) > FLOOR + 16)
				assert_memory_equal(heights + y * N + x, before + y * N + x, sizeof *heights);
	/* Again: the same bytes; and one that has settled stays as it is but for its least fall. */
	memcpy(other, before, sizeof other);
	f = field(other);
	settled(&f);
	assert_memory_equal(other, heights, sizeof other);
}

static void test_across_as_along(void **state)
{
	(void)state;
	gorge(heights, 0.4, 0.05);
	for (int y = 0; y < N; y++)
		for (int x = 0; x < N; x++)
			other[x * N + y] = heights[y * N + x];
	struct relief_field f = field(heights), g = field(other);
	assert_int_equal(settled(&f), 1);
	assert_int_equal(settled(&g), 1);
	for (int y = 0; y < N; y++)
		for (int x = 0; x < N; x++)
			assert_memory_equal(other + x * N + y, heights + y * N + x, sizeof *heights);
}

static void test_a_bed_stays_above_the_sea(void **state)
{
	(void)state;
	double b[N];
	gorge(heights, 0.28, 0.032);
	heights[0] = 0; /* a pond somewhere else */
	struct relief_field f = field(heights);
	assert_int_equal(settled(&f), 1);
	bed(heights, b);
	for (int y = 0; y < N; y++)
		assert_true(b[y] > f.sea_level);
	assert_int_equal(downhill(heights), N - 8);
	/* Where there is no sea, pits deepen the bed. */
	gorge(heights, 0.28, 0.032);
	f = field(heights);
	f.sea_level = -1;
	assert_int_equal(settled(&f), 1);
	bed(heights, b);
	assert_true(fmin(b[0], b[N - 1]) < 0.24);
}

/* Two gorges beside each other, along or across; every eleventh cell far above them is as high as `peaks`. */
static void two_gorges(float *h, bool across, float peaks)
{
	for (int y = 0; y < N; y++)
		for (int x = 0; x < N; x++) {
			double d = fmin(fabs(x - N / 4 - 3 * sin(0.2 * y)), fabs(x - 3 * N / 4 + 3 * sin(0.1 * y)));
			double wall = fmin(fmax((d - FLOOR) / 8, 0), 1) * 0.45;
			float tall = (float)(0.4 + wall + 0.04 * sin(y * 0.4) * (1 - wall) + 0.002 * cos(x * 0.7));
			h[across ? x * N + y : y * N + x] = wall < 0.44 ? tall : (x + 5 * y) % 11 ? 0.85f : peaks;
		}
}

static void test_two_beside_each_other(void **state)
{
	(void)state;
	for (int across = 0; across < 2; across++)
		for (int joined = 0; joined < 2; joined++) {
			two_gorges(heights, across, 0.85f);
			struct relief_field f = field(heights);
			f.joined_x = f.joined_y = joined;
			assert_int_equal(settled(&f), 2);
			/* Ground that is much higher than 1 is as much in the way as what is a little higher than the floor. */
			two_gorges(other, across, 70);
			f = field(other);
			f.joined_x = f.joined_y = joined;
			assert_int_equal(settled(&f), 2);
			two_gorges(before, across, 0.85f);
			int changed = 0;
			for (int k = 0; k < N * N; k++)
				if (before[k] < 0.5f) {
					changed += heights[k] != before[k];
					assert_true(fabs((double)(heights[k] - other[k])) < 1e-6);
				}
			assert_true(changed > N);
		}
}

/* Edges that were one stay one: nowhere is it steeper across the border than elsewhere. */
static void test_a_landscape_that_goes_on(void **state)
{
	(void)state;
	gorge(heights, 0.4, 0.05);
	struct relief_field f = field(heights);
	f.joined_x = f.joined_y = true;
	assert_int_equal(settled(&f), 1);
	double inside = 0, seam = 0;
	for (int y = 0; y < N; y++)
		for (int x = 0; x < N; x++) {
			double d = fabs((double)(heights[y * N + x] - heights[(y + 1) % N * N + x]));
			if (y + 1 < N)
				inside = fmax(inside, d);
			else
				seam = fmax(seam, d);
		}
	assert_true(seam <= inside);
	assert_true(downhill(heights) > 88 * 9 / 10);
}

static double cone(double y, double x)
{
	return 1 - 1.4 * hypot(y, x);
}
static double dunes(double y, double x)
{
	return 0.4 + 0.1 * sin(40 * x + 3 * y);
}
static double plain(double y, double x)
{
	return 0.3 + 0.01 * x * y;
}
static double coast(double y, double x)
{
	return 0.25 + 0.4 * x + 0.02 * sin(9 * y);
}
static double bowls(double y, double x)
{
	return 0.5 + 0.2 * sin(20 * y) * sin(20 * x);
}
static double level(double y, double x)
{
	return 0.5 + 0 * (y + x);
}
static double strait(double y, double x)
{
	return 0.05 + 2 * fabs(x) + 0.01 * y;
}

static void test_where_there_is_none(void **state)
{
	(void)state;
	double (*const forms[])(double, double) = {cone, dunes, plain, coast, bowls, level, strait};
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
		for (int joined = 0; joined < 2; joined++) {
			for (int k = 0; k < N * N; k++)
				before[k] = (float)forms[i]((double)(k / N) / N - 0.5, (double)(k % N) / N - 0.5);
			memcpy(heights, before, sizeof heights);
			struct relief_field f = field(heights);
			f.joined_x = f.joined_y = joined;
			assert_int_equal(settled(&f), 0);
			assert_memory_equal(heights, before, sizeof heights);
		}
}

/* The least landscapes, and ones that are all river. */
static void test_small(void **state)
{
	(void)state;
	for (int w = 2; w < 7; w++)
		for (int h = 2; h < 7; h++)
			for (int joined = 0; joined < 4; joined++) {
				for (int k = 0; k < w * h; k++)
					heights[k] = k % w == 1 ? 0.3f + 0.01f * (float)(k * 7 % 5) : 0.9f;
				struct relief_field f = field(heights);
				f.width = w;
				f.height = h;
				f.joined_x = joined & 1;
				f.joined_y = joined & 2;
				assert_within(settled(&f), 0, 1);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_bed_falls_from_border_to_border),
	    cmocka_unit_test(test_across_as_along),
	    cmocka_unit_test(test_a_bed_stays_above_the_sea),
	    cmocka_unit_test(test_two_beside_each_other),
	    cmocka_unit_test(test_a_landscape_that_goes_on),
	    cmocka_unit_test(test_where_there_is_none),
	    cmocka_unit_test(test_small),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

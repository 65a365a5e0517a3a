/* Thumbnails: what they show, and that they come, are told, made anew and go with their results. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "media/picture_file.h"
#include "media/thumbnail.h"
#include "media/wav.h"
#include "media/webp.h"
#include "storage/backup.h"
#include "storage/keep.h"
#include "tests/unit/store_helper.h"

static uint8_t *data;
static size_t size;

/* Red on the left, blue on the right; number makes another file of it. */
static void draw(int width, int height, int number)
{
	struct error err = {0};
	struct webp_options options = {.lossless = true};
	uint8_t *rgb = calloc((size_t)width * (size_t)height, 3);
	for (int i = 0; i < width * height; i++)
		rgb[3 * i + (i % width < width / 2 ? 0 : 2)] = 255;
	rgb[1] = (uint8_t)number;
	store_test_ok(webp_encode(rgb, width, height, &options, NULL, &data, &size, &err), &err);
	free(rgb);
}

static void look(const uint8_t *webp, size_t webp_size, uint8_t **rgb, int *width, int *height)
{
	struct error err = {0};
	store_test_ok(picture_decode(webp, webp_size, "thumb", rgb, width, height, &err), &err);
}

static void check_picture(void **state)
{
	static const int sizes[][4] = {{512, 384, 256, 192}, {1000, 10, 256, 2}, {40, 900, 11, 256},
				       {64, 64, 64, 64},     {1, 1, 1, 1},	 {257, 3000, 21, 256}};
	struct error err = {0};
	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		uint8_t *webp, *rgb;
		size_t n;
		int w, h;
		draw(sizes[i][0], sizes[i][1], 0);
		store_test_ok(thumbnail_make(data, size, "x", &webp, &n, &err), &err);
		look(webp, n, &rgb, &w, &h);
		assert_int_equal(w, sizes[i][2]);
		assert_int_equal(h, sizes[i][3]);
		const uint8_t *middle = rgb + (size_t)(h / 2) * (size_t)w * 3, *right = middle + (w - 1) * 3;
		if (w > 10) {
			assert_true(middle[0] > 200 && middle[2] < 60);
			assert_true(right[0] < 60 && right[2] > 200);
		}
		free(rgb);
		free(webp);
		free(data);
	}
}

/* Of an animation the first frame. */
static void check_animation(void **state)
{
	struct error err = {0};
	struct webp_animation_options options = {.picture = {.lossless = true}, .frame_ms = 100};
	struct webp_animation *a;
	static uint8_t frame[32 * 32 * 3];
	uint8_t *webp, *rgb;
	size_t n;
	int w, h;
	(void)state;
	store_test_ok(webp_animation_new(32, 32, &options, &a, &err), &err);
	for (int i = 0; i < 3; i++) {
		memset(frame, i * 100, sizeof frame);
		store_test_ok(webp_animation_add(a, frame, &err), &err);
	}
	store_test_ok(webp_animation_finish(a, NULL, &data, &size, &err), &err);
	webp_animation_free(a);
	store_test_ok(thumbnail_make(data, size, "x", &webp, &n, &err), &err);
	look(webp, n, &rgb, &w, &h);
	assert_true(w == 32 && h == 32 && rgb[0] < 20);
	free(rgb);
	free(webp);
	free(data);
}

/* Silence in the first half of a clip, and then full scale. */
static void check_sound(void **state)
{
	struct error err = {0};
	struct sound s;
	uint8_t *webp, *rgb;
	size_t n;
	int w, h;
	(void)state;
	store_test_ok(sound_new(&s, 8000, 2, 16000, &err), &err);
	for (size_t i = 8000; i < 16000; i++)
		s.samples[16000 + i] = i % 2 ? 1 : -1; /* the second channel alone */
	store_test_ok(wav_encode(&s, NULL, &data, &size, &err), &err);
	store_test_ok(thumbnail_make(data, size, "x", &webp, &n, &err), &err);
	look(webp, n, &rgb, &w, &h);
	assert_true(w == 256 && h == 256);
	assert_true(rgb[(10 * 256 + 64) * 3] < 80);   /* above the silence: paper */
	assert_true(rgb[(10 * 256 + 192) * 3] > 120); /* as high as it gets: ink */
	free(rgb);
	free(webp);
	free(data);
	sound_free(&s);
	assert_int_equal(thumbnail_make("no picture", 10, "x", &webp, &n, &err), SUMI_UNSUPPORTED);
	assert_int_equal(thumbnail_make("RIFF....WEBPVP8 ", 16, "x", &webp, &n, &err), SUMI_CORRUPT);
}

/* ---- in the store --------------------------------------------------------------------------- */

static void enter(struct store *s, const char *id, const char *role)
{
	struct error err = {0};
	struct store_job job = {.id = (char *)id, .prompt = "fog", .created = STORE_TEST_TIME};
	struct store_artifact a = {.job = (char *)id, .role = (char *)role, .format = "webp"};
	enum store_put outcome;
	store_test_ok(store_job_put(s, &job, &err), &err);
	store_test_ok(store_artifact_put(s, &a, data, size, &outcome, &err), &err);
	store_test_ok(store_job_stored(s, id, "t", NULL, STORE_TEST_TIME + 5000, &err), &err);
	store_test_ok(store_job_visible(s, id, &err), &err);
}

static bool find(struct store *s, const char *id, char path[FILES_PATH_MAX])
{
	struct error err = {0};
	struct store_artifact *list;
	size_t count;
	store_test_ok(store_artifacts(s, id, false, &list, &count, &err), &err);
	assert_int_equal(count, 1);
	bool found = store_thumb_find(s, &list[0], path);
	store_artifacts_free(list, count);
	return found;
}

static int problems(struct store *s)
{
	struct error err = {0};
	struct store_report report = {0};
	store_check(s, true, &report, &err);
	return report.problems;
}

static void check_life(void **state)
{
	struct error err = {0};
	char path[FILES_PATH_MAX], twin[FILES_PATH_MAX];
	struct store_removed removed = {0};
	struct store *s = store_test_begin();
	int64_t bytes = 0;
	(void)state;
	draw(64, 64, 1);
	enter(s, "a", "main");
	enter(s, "b", "main"); /* the same bytes */
	free(data);
	draw(64, 64, 2);
	enter(s, "part", "frame");
	assert_true(find(s, "a", path) && find(s, "b", twin));
	assert_string_equal(path, twin);
	assert_false(find(s, "part", twin));
	assert_int_equal(problems(s), 0);
	store_test_ok(store_result_bytes(s, &bytes, &err), &err);
	assert_true(bytes > (int64_t)size);
	/* One that is cut off, or gone, is told. */
	assert_int_equal(truncate(path, 3), 0);
	assert_false(find(s, "a", twin));
	assert_int_equal(problems(s), 2);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(problems(s), 2);
	int64_t after = 0;
	store_test_ok(store_thumbs_fill(s, false, &after, 100, &err), &err);
	assert_true(after == INT64_MAX && !find(s, "a", twin));
	after = 0;
	store_test_ok(store_thumbs_fill(s, true, &after, 1, &err), &err);
	assert_true(after < INT64_MAX && find(s, "a", twin) && find(s, "b", twin));
	assert_int_equal(problems(s), 0);
	/* It goes with the last result of its bytes. */
	store_test_ok(store_remove(s, "a", &removed, &err), &err);
	assert_int_equal(access(path, F_OK), 0);
	store_test_ok(store_remove(s, "b", &removed, &err), &err);
	assert_int_equal(access(path, F_OK), -1);
	store_close(s);
	free(data);
}

/* A store from before there were any; a database that is lost; files that nobody names; a copy. */
static void check_filled(void **state)
{
	struct error err = {0};
	char path[FILES_PATH_MAX], other[64], there[FILES_PATH_MAX];
	struct store_options options = {.dir = store_test_dir, .reserve = -1, .ballast = -1};
	struct store_report report = {0};
	struct store_collected collected;
	int64_t after = 0;
	(void)state;
	struct store *s = store_test_begin();
	draw(64, 64, 3);
	enter(s, "old", "main");
	free(data);
	assert_true(find(s, "old", path));
	store_test_sql("UPDATE artifacts SET thumb = 0");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(problems(s), 0);
	store_test_ok(store_thumbs_fill(s, false, &after, 100, &err), &err);
	assert_true(find(s, "old", path));
	store_close(s);

	assert_int_equal(unlink(path), 0);
	store_test_ok(store_rebuild(&options, NULL, &report, &err), &err);
	s = store_test_begin();
	assert_true(find(s, "old", path));

	store_test_folder(other);
	store_test_ok(store_copy(s, other, &report, &err), &err);
	struct store *copy = store_test_open(other, STORE_READ);
	assert_true(find(copy, "old", there) && strcmp(there, path) != 0);
	store_close(copy);
	store_test_remove(other);

	/* Of nobody, as a crash leaves them: what the history names would stay. */
	snprintf(path, sizeof path, "rm %s/history/*", store_test_dir);
	assert_int_equal(system(path), 0);
	assert_true(find(s, "old", path));
	store_test_sql("DELETE FROM artifacts");
	store_test_ok(store_collect(s, 0, NULL, &collected, &err), &err);
	assert_int_equal(collected.orphans, 1);
	assert_int_equal(collected.thumbs, 1);
	assert_int_equal(access(path, F_OK), -1);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(check_picture),
	    cmocka_unit_test(check_animation),
	    cmocka_unit_test(check_sound),
	    cmocka_unit_test_setup_teardown(check_life, store_test_setup, store_test_teardown),
	    cmocka_unit_test_setup_teardown(check_filled, store_test_setup, store_test_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

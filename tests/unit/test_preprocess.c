/* Maps of pictures, against those that OpenCV makes (tools/reference/maps.py): edges to the pixel, grey too,
 * what is blurred within one of 255. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "media/preprocess.h"
#include "tests/unit/vector_file.h"

static struct tensor_file *maps;
static struct error err;

static int setup(void **state)
{
	(void)state;
	maps = vector_file_open("maps.safetensors");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tensors_close(maps);
	return 0;
}

/* The bytes of a tensor, and its first axes; the caller frees them. */
static uint8_t *bytes_of(const char *name, int *width, int *height)
{
	const struct tensor_entry *e = tensors_find(maps, name);
	if (!e)
		fail_msg("there is no '%s'", name);
	uint8_t *out = malloc(e->bytes);
	assert_non_null(out);
	assert_int_equal(tensors_read(maps, e, out, &err), SUMI_OK);
	*height = (int)e->shape[0];
	*width = (int)e->shape[1];
	return out;
}

/* Calls one for each picture of the file: those whose names have no dot. */
static void each_picture(void (*one)(const char *name, const uint8_t *rgb, int width, int height))
{
	int pictures = 0;
	for (size_t i = 0; i < tensors_count(maps); i++) {
		const char *name = tensors_at(maps, i)->name;
		int w, h;
		if (strchr(name, '.'))
			continue;
		uint8_t *rgb = bytes_of(name, &w, &h);
		one(name, rgb, w, h);
		free(rgb);
		pictures++;
	}
	assert_true(pictures > 5);
}

static void check_edges(const char *name, const uint8_t *rgb, int width, int height)
{
	char key[64];
	int w, h;
	size_t count = (size_t)width * (size_t)height;
	uint8_t *got = malloc(count);
	assert_non_null(got);
	snprintf(key, sizeof key, "%s.canny.30.70", name);
	uint8_t *want = bytes_of(key, &w, &h);
	for (int turned = 0; turned < 2; turned++) { /* the order of thresholds is no matter */
		assert_int_equal(
		    canny(rgb, width, height, turned ? 70 : 30, turned ? 30 : 70, got, &err), SUMI_OK);
		assert_memory_equal(got, want, count);
	}
	free(want);
	free(got);
}

static void test_edges(void **state)
{
	(void)state;
	each_picture(check_edges);
}

/* How far a map may be from OpenCV's: bytes, and of a hard threshold pixels of a thousand. */
static const struct {
	const char *map;
	int off, of_thousand;
} tolerances[] = {{"canny", 0, 0}, {"luminance", 0, 0}, {"lineart", 1, 0}, {"blur", 1, 0}, {"scribble", 0, 2}};

static void check_maps(const char *name, const uint8_t *rgb, int width, int height)
{
	size_t count = (size_t)width * (size_t)height;
	uint8_t *got = malloc(count * 3);
	assert_non_null(got);
	for (size_t k = 0; k < sizeof tolerances / sizeof tolerances[0]; k++) {
		const struct preprocessor *p = preprocessor_find(tolerances[k].map);
		char key[64];
		int w, h;
		size_t wrong = 0;
		assert_non_null(p);
		snprintf(key, sizeof key, "%s.%s", name, p->name);
		uint8_t *want = bytes_of(key, &w, &h);
		bool colours = strcmp(p->name, "blur") == 0;
		assert_int_equal(preprocess(p, rgb, width, height, NULL, got, &err), SUMI_OK);
		for (size_t i = 0; i < count * 3; i++)
			wrong += abs(got[i] - want[colours ? i : i / 3]) > tolerances[k].off;
		if (wrong * 1000 > count * 3 * (size_t)tolerances[k].of_thousand)
			fail_msg("%s of '%s': %zu of %zu values are off", p->name, name, wrong, count * 3);
		free(want);
	}
	free(got);
}

/* What can be set, is; what is outside its limits is as usual. */
static void check_settings(const char *name, const uint8_t *rgb, int width, int height)
{
	static const struct {
		const char *key;
		double set[PREPROCESS_SETTINGS];
	} cases[] = {{"canny.30.70", {30, 70}}, {"canny", {-1, 256}}};
	size_t count = (size_t)width * (size_t)height;
	uint8_t *got = malloc(count * 3);
	assert_non_null(got);
	for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
		char key[64];
		int w, h;
		snprintf(key, sizeof key, "%s.%s", name, cases[k].key);
		uint8_t *want = bytes_of(key, &w, &h);
		assert_int_equal(preprocess(preprocessor_find("canny"), rgb, width, height, cases[k].set, got, &err),
				 SUMI_OK);
		for (size_t i = 0; i < count * 3; i++)
			assert_int_equal(got[i], want[i / 3]);
		free(want);
	}
	free(got);
}

static void test_settings(void **state)
{
	(void)state;
	each_picture(check_settings);
}

static void test_maps(void **state)
{
	(void)state;
	each_picture(check_maps);
	size_t count = 0;
	while (preprocessors[count].name)
		count++;
	assert_int_equal(count, sizeof tolerances / sizeof tolerances[0]);
	assert_null(preprocessor_find("nothing"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_edges), cmocka_unit_test(test_maps),
					   cmocka_unit_test(test_settings)};
	return cmocka_run_group_tests(tests, setup, teardown);
}

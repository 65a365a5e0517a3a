/* Colours of latents: the map in sumi.json, hostile ones, and what previews show of it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "check.h"
#include "diffusion/pack.h"
#include "diffusion/preview.h"

static int read_map(const char *text, int channels, struct preview_map *map, struct error *err)
{
	json_t *manifest;
	assert_int_equal(json_read_text(text, strlen(text), "test", &manifest, err), 0);
	int status = preview_map_read(manifest, "sumi.json", channels, &preview_stable_diffusion,
				      map, err);
	json_decref(manifest);
	return status;
}

static void a_pack_has_its_own_colours(void **state)
{
	(void)state;
	struct preview_map map;
	struct error err = {0};
	uint8_t rgb[6];
	const float z[4] = {1, 0, 0, 2};
	assert_int_equal(read_map("{\"preview\": {\"matrix\": [[1, 0, -1], [0, 0.5, 0]], "
				  "\"bias\": [0, -1, 0]}}",
				  2, &map, &err),
			 0);
	assert_int_equal(map.channels, 2);
	preview_map_apply(&map, z, 2, rgb);
	/* 1, −1, −1 and 0, 0, 0 of −1 … 1 */
	static const uint8_t want[6] = {255, 0, 0, 127, 127, 127};
	assert_memory_equal(rgb, want, 6);
	/* bias may be left out */
	assert_int_equal(read_map("{\"preview\": {\"matrix\": [[0, 0, 0]]}}", 1, &map, &err), 0);
	preview_map_apply(&map, z, 1, rgb);
	assert_int_equal(rgb[0], 127);
}

static void families_have_colours(void **state)
{
	(void)state;
	static const uint8_t grey[3] = {150, 140, 130};
	const float nothing[4] = {0}, light[4] = {1, 0, 0, 0};
	uint8_t rgb[3];
	struct pack_info info;
	assert_int_equal(pack_info_read_plain("tests/vectors/sdxl-tiny", &info, NULL), 0);
	assert_memory_equal(&info.preview, &preview_stable_diffusion_xl, sizeof info.preview);
	preview_map_apply(&info.preview, nothing, 1, rgb);
	for (int k = 0; k < 3; k++)
		assert_true(abs(rgb[k] - grey[k]) <= 1);
	preview_map_apply(&info.preview, light, 1, rgb);
	for (int k = 0; k < 3; k++)
		assert_true(abs(rgb[k] - grey[k] - 60) <= 1);
	pack_info_free(&info);
	assert_int_equal(pack_info_read_plain("tests/vectors/sd1-tiny", &info, NULL), 0);
	assert_memory_equal(&info.preview, &preview_stable_diffusion, sizeof info.preview);
	pack_info_free(&info);
}

static void without_one_four_channels_are_stable_diffusions(void **state)
{
	(void)state;
	struct preview_map map;
	struct error err;
	assert_int_equal(read_map("{}", 4, &map, &err), 0);
	assert_int_equal(map.channels, 4);
	assert_true(fabsf(map.matrix[3][2] + 0.473f) < 1e-6f);
	assert_int_equal(read_map("{}", 16, &map, &err), 0);
	assert_int_equal(map.channels, 0);
}

/* Latents of any number of channels are seen: a disc stands out, and what is all the same is grey. */
static void without_any_shapes_are_seen(void **state)
{
	(void)state;
	enum { SIDE = 16, PIXELS = SIDE * SIDE };
	static float z[PIXELS * PREVIEW_CHANNELS_MAX];
	static uint8_t rgb[PIXELS * 3];
	for (int channels = 1; channels <= PREVIEW_CHANNELS_MAX; channels++) {
		for (int i = 0; i < PIXELS; i++) {
			int x = i % SIDE - SIDE / 2, y = i / SIDE - SIDE / 2;
			for (int j = 0; j < channels; j++)
				z[i * channels + j] = x * x + y * y < 16 ? 1.0f / (float)(j + 1) : 0;
		}
		preview_plain(z, channels, PIXELS, rgb);
		const uint8_t *middle = rgb + (SIDE / 2 * SIDE + SIDE / 2) * 3;
		for (int k = 0; k < 3; k++)
			if (abs(middle[k] - rgb[k]) < 60)
				fail_msg("%d channels, colour %d: %d and %d", channels, k, middle[k],
					 rgb[k]);
		for (int i = 0; i < PIXELS * channels; i++)
			z[i] = 3;
		preview_plain(z, channels, PIXELS, rgb);
		for (int i = 0; i < PIXELS * 3; i++)
			assert_within(rgb[i], 120, 135);
	}
}

static void hostile_maps_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *preview, *says;
	} cases[] = {
	    {"1", "matrix"},
	    {"[]", "matrix"},
	    {"null", "matrix"},
	    {"{}", "matrix"},
	    {"{\"matrix\": 3}", "4 rows"},
	    {"{\"matrix\": []}", "4 rows"},
	    {"{\"matrix\": [[1,2,3],[1,2,3],[1,2,3]]}", "4 rows"},
	    {"{\"matrix\": [[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3]]}", "4 rows"},
	    {"{\"matrix\": [[1,2,3],[1,2,3],[1,2,3],[1,2]]}", "three numbers"},
	    {"{\"matrix\": [[1,2,3],[1,2,3],[1,2,3],[1,2,3,4]]}", "three numbers"},
	    {"{\"matrix\": [[1,2,3],[1,2,3],[1,2,3],{\"a\":1}]}", "three numbers"},
	    {"{\"matrix\": [[1,2,3],[1,2,3],[1,2,3],[1,2,\"3\"]]}", "numbers from -100"},
	    {"{\"matrix\": [[1,2,3],[1,2,3],[1,2,3],[1,2,1e30]]}", "numbers from -100"},
	    {"{\"matrix\": [[1,2,3],[1,2,3],[1,2,3],[1,2,true]]}", "numbers from -100"},
	    {"{\"matrix\": [[1,2,3],[1,2,3],[1,2,3],[1,2,3]], \"bias\": 0}", "'bias'"},
	    {"{\"matrix\": [[1,2,3],[1,2,3],[1,2,3],[1,2,3]], \"bias\": [1]}", "'bias'"},
	    {"{\"matrix\": [[1,2,3],[1,2,3],[1,2,3],[1,2,3]], \"scale\": 1}", "'scale'"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[256];
		struct preview_map map;
		struct error err = {0};
		snprintf(text, sizeof text, "{\"preview\": %s}", cases[i].preview);
		int status = read_map(text, 4, &map, &err);
		if (status != SUMI_INVALID || !strstr(err.text, cases[i].says) ||
		    !strstr(err.text, "sumi.json") || map.channels != 0)
			fail_msg("%s: status %d, '%s'", text, status, err.text);
	}
	struct preview_map map;
	struct error err;
	assert_int_equal(read_map("{\"preview\": {\"matrix\": []}}", PREVIEW_CHANNELS_MAX + 1, &map, &err), SUMI_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_pack_has_its_own_colours),
	    cmocka_unit_test(families_have_colours),
	    cmocka_unit_test(without_one_four_channels_are_stable_diffusions),
	    cmocka_unit_test(without_any_shapes_are_seen),
	    cmocka_unit_test(hostile_maps_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

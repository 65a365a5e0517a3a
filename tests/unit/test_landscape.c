/* Landscapes: what stands in a glTF binary, heights as PNG, and what is seen of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "media/landscape.h"
#include "media/picture_file.h"
#include "media/png.h"
#include "media/thumbnail.h"
#include "tests/unit/check.h"

enum { W = 9, H = 6 };

static float heights[H * W];
static uint8_t rgb[H * W * 3];

/* A ramp that rises towards the east, black in the west and white in the east. */
static struct landscape ramp(void)
{
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++) {
			heights[y * W + x] = (float)x / (W - 1);
			memset(rgb + (y * W + x) * 3, 255 * x / (W - 1), 3);
		}
	return (struct landscape){.width = W, .height = H, .heights = heights, .rgb = rgb, .relief = 0.5, .sea_level = 0.25};
}

static uint32_t u32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static float f32(const uint8_t *p)
{
	float v;
	memcpy(&v, p, sizeof v);
	return v;
}

struct file {
	uint8_t *data;
	size_t size;
	json_t *root;
	const uint8_t *bin;
};

static struct file made(const struct landscape *l, const struct metadata *meta)
{
	struct file f = {0};
	struct error err;
	assert_int_equal(gltf_encode(l, meta, &f.data, &f.size, &err), 0);
	assert_memory_equal(f.data, "glTF\2\0\0\0", 8);
	assert_int_equal(u32(f.data + 8), f.size);
	uint32_t length = u32(f.data + 12);
	assert_int_equal(length % 4, 0);
	assert_memory_equal(f.data + 16, "JSON", 4);
	f.root = json_loadb((const char *)f.data + 20, length, 0, NULL);
	assert_non_null(f.root);
	assert_memory_equal(f.data + 24 + length, "BIN\0", 4);
	assert_int_equal(u32(f.data + 20 + length), f.size - 28 - length);
	f.bin = f.data + 28 + length;
	return f;
}

static void drop(struct file *f)
{
	json_decref(f->root);
	free(f->data);
}

static const json_t *at(const json_t *root, const char *list, size_t i)
{
	const json_t *o = json_array_get(json_object_get(root, list), i);
	assert_non_null(o);
	return o;
}

static json_int_t whole(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

/* Bytes of an accessor, and how many elements it has. */
static const uint8_t *elements(const struct file *f, json_int_t accessor, json_int_t *count)
{
	const json_t *a = at(f->root, "accessors", (size_t)accessor);
	const json_t *view = at(f->root, "bufferViews", (size_t)whole(a, "bufferView"));
	*count = whole(a, "count");
	assert_int_equal(whole(view, "byteOffset") % 4, 0);
	return f->bin + whole(view, "byteOffset");
}

static const json_t *primitive(const struct file *f, size_t mesh)
{
	return json_array_get(json_object_get(at(f->root, "meshes", mesh), "primitives"), 0);
}

static void test_vertices(void **state)
{
	(void)state;
	struct landscape l = ramp();
	struct file f = made(&l, NULL);
	const json_t *attributes = json_object_get(primitive(&f, 0), "attributes");
	json_int_t count;
	const uint8_t *p = elements(&f, whole(attributes, "POSITION"), &count);
	assert_int_equal(count, W * H);
	/* The last vertex: south-east, half the width high. */
	assert_float_equal(f32(p + 12 * (W * H - 1)), (W - 1) / 2.0f, 1e-6f);
	assert_float_equal(f32(p + 12 * (W * H - 1) + 4), 0.5f * W, 1e-6f);
	assert_float_equal(f32(p + 12 * (W * H - 1) + 8), (H - 1) / 2.0f, 1e-6f);
	/* The ramp rises by half the width over W - 1 cells. */
	const double slope = 0.5 * W / (W - 1), length = sqrt(slope * slope + 1);
	p = elements(&f, whole(attributes, "NORMAL"), &count);
	for (int i = 0; i < W * H; i++) {
		assert_float_equal(f32(p + 12 * i), (float)(-slope / length), 1e-6f);
		assert_float_equal(f32(p + 12 * i + 4), (float)(1 / length), 1e-6f);
		assert_float_equal(f32(p + 12 * i + 8), 0, 1e-6f);
	}
	const json_t *max = json_object_get(at(f.root, "accessors", (size_t)whole(attributes, "POSITION")), "max");
	assert_float_equal(json_number_value(json_array_get(max, 1)), 0.5 * W, 1e-6);
	drop(&f);
}

/* Triangles of each mesh cover the ground once, seen from above: their areas have one sign and sum up. */
static void test_levels_of_detail(void **state)
{
	(void)state;
	struct landscape l = ramp();
	struct file f = made(&l, NULL);
	json_int_t last = 0;
	for (size_t mesh = 0; mesh < 3; mesh++) {
		json_int_t count, vertices;
		const uint8_t *index = elements(&f, whole(primitive(&f, mesh), "indices"), &count);
		const uint8_t *p =
		    elements(&f, whole(json_object_get(primitive(&f, mesh), "attributes"), "POSITION"), &vertices);
		double area = 0;
		for (json_int_t i = 0; i < count; i += 3) {
			float x[3], z[3];
			for (int k = 0; k < 3; k++) {
				unsigned v = index[2 * (i + k)] | (unsigned)index[2 * (i + k) + 1] << 8;
				assert_true(v < vertices);
				x[k] = f32(p + 12 * v);
				z[k] = f32(p + 12 * v + 8);
			}
			double twice = (z[1] - z[0]) * (x[2] - x[0]) - (x[1] - x[0]) * (z[2] - z[0]);
			assert_true(twice > 0);
			area += twice / 2;
		}
		assert_float_equal(area, (W - 1) * (H - 1), 1e-6);
		assert_true(mesh == 0 || count < last);
		last = count;
	}
	const json_t *ids = json_object_get(
	    json_object_get(json_object_get(at(f.root, "nodes", 0), "extensions"), "MSFT_lod"), "ids");
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(whole(at(f.root, "nodes", (size_t)json_integer_value(json_array_get(ids, i))), "mesh"),
				 i + 1);
	drop(&f);
}

static void test_water_is_there_where_something_lies_under_it(void **state)
{
	(void)state;
	struct landscape l = ramp();
	struct file f = made(&l, NULL);
	assert_string_equal(json_string_value(json_object_get(at(f.root, "materials", 1), "alphaMode")), "BLEND");
	json_int_t count;
	const uint8_t *p = elements(&f, whole(json_object_get(primitive(&f, 3), "attributes"), "POSITION"), &count);
	assert_float_equal(f32(p + 4), 0.25f * 0.5f * W, 1e-6f);
	drop(&f);
	l.sea_level = -1;
	f = made(&l, NULL);
	assert_int_equal(json_array_size(json_object_get(f.root, "materials")), 1);
	assert_int_equal(json_array_size(json_object_get(f.root, "meshes")), 3);
	drop(&f);
}

static void test_metadata(void **state)
{
	(void)state;
	struct landscape l = ramp();
	const struct metadata meta = {.json = "{\"seed\":18446744073709551615}", .infotext = "a lake\nSteps: 3"};
	struct file f = made(&l, &meta);
	struct file_texts texts = {0};
	struct metadata got;
	struct error err;
	assert_int_equal(gltf_read_texts(f.data, f.size, "x.glb", &texts, &err), 0);
	assert_int_equal(metadata_pick(&texts, &got, &err), 0);
	assert_string_equal(got.json, meta.json);
	assert_string_equal(got.infotext, meta.infotext);
	metadata_free(&got);
	texts_free(&texts);
	for (size_t cut = 0; cut < 400; cut++) {
		assert_int_equal(gltf_read_texts(f.data, cut, "x.glb", &texts, &err), SUMI_CORRUPT);
		assert_non_null(strstr(err.text, "x.glb"));
	}
	texts_free(&texts);
	drop(&f);
}

static void test_heights_as_png(void **state)
{
	(void)state;
	const float grey[4] = {0, 1, 0.5f, 7};
	uint8_t *data, *back;
	size_t size;
	int w, h;
	struct error err;
	assert_int_equal(png_encode_grey16(grey, 2, 2, NULL, &data, &size, &err), 0);
	assert_int_equal(data[24], 16); /* bits a channel, of one channel */
	assert_int_equal(data[25], 0);
	assert_int_equal(png_decode(data, size, "x", &back, &w, &h, &err), 0);
	assert_int_equal(back[0], 0);
	assert_int_equal(back[3], 255);
	assert_int_equal(back[6], 128);
	assert_int_equal(back[9], 255);
	free(back);
	free(data);
}

static double mean(const uint8_t *picture, int width, int from, int to, int height)
{
	double sum = 0;
	for (int y = 0; y < height; y++)
		for (int x = from; x < to; x++)
			sum += picture[(y * width + x) * 3];
	return sum / (height * (to - from));
}

/* Copies of one that goes on beside itself, set down side by side, meet: same heights, same normals, no gap, and colours go on. */
static void test_copies_meet(void **state)
{
	(void)state;
	static const char *const tiles[] = {NULL, "x", "y", "both"};
	for (int joined = 1; joined < 4; joined++) {
		struct landscape l = ramp();
		struct landscape_read r;
		struct error err;
		for (int k = 0; k < W * H; k++)
			heights[k] = (float)(k * 7 % 11) / 11;
		l.joined_x = joined & 1;
		l.joined_y = joined & 2;
		int wide = W + l.joined_x, deep = H + l.joined_y;
		struct file f = made(&l, NULL);
		const json_t *attributes = json_object_get(primitive(&f, 0), "attributes");
		json_int_t count, indices;
		const uint8_t *p = elements(&f, whole(attributes, "POSITION"), &count);
		const uint8_t *n = elements(&f, whole(attributes, "NORMAL"), &count);
		const uint8_t *t = elements(&f, whole(attributes, "TEXCOORD_0"), &count);
		assert_int_equal(count, wide * deep);
		for (int i = 0; i < count; i++) {
			int first = l.joined_x && i % wide == W ? i - W : l.joined_y && i / wide == H ? i - H * wide : -1;
			if (first < 0)
				continue;
			bool east = first == i - W;
			assert_float_equal(f32(p + 12 * i) - f32(p + 12 * first), east ? W : 0, 1e-5);
			assert_memory_equal(p + 12 * i + 4, p + 12 * first + 4, 4);
			assert_float_equal(f32(p + 12 * i + 8) - f32(p + 12 * first + 8), east ? 0 : H, 1e-5);
			assert_memory_equal(n + 12 * i, n + 12 * first, 12);
			assert_float_equal(f32(t + 8 * i) - f32(t + 8 * first), east, 1e-6);
			assert_float_equal(f32(t + 8 * i + 4) - f32(t + 8 * first + 4), !east, 1e-6);
		}
		for (size_t mesh = 0; mesh < 3; mesh++) {
			const uint8_t *index = elements(&f, whole(primitive(&f, mesh), "indices"), &indices);
			int most = 0;
			for (int k = 0; k < indices; k++)
				most = index[2 * k] > most ? index[2 * k] : most;
			assert_int_equal(most, count - 1);
		}
		const json_t *sampler = at(f.root, "samplers", 0);
		assert_int_equal(whole(sampler, "wrapS"), l.joined_x ? 10497 : 33071);
		assert_int_equal(whole(sampler, "wrapT"), l.joined_y ? 10497 : 33071);
		const json_t *extras = json_object_get(json_object_get(f.root, "asset"), "extras");
		assert_string_equal(json_string_value(json_object_get(extras, "tile")), tiles[joined]);
		assert_int_equal(gltf_read_landscape(f.data, f.size, "x", &r, &err), 0);
		assert_int_equal(r.land.width, W);
		for (int k = 0; k < W * H; k++)
			assert_float_equal(r.heights[k], heights[k], 1e-6);
		landscape_read_free(&r);
		drop(&f);
	}
}

/* From the south the east is on the right, from the north on the left; a full turn is the same picture. */
static void test_seen_from_all_sides(void **state)
{
	(void)state;
	enum { PW = 64, PH = 48 };
	static uint8_t south[PW * PH * 3], north[PW * PH * 3], again[PW * PH * 3];
	struct landscape l = ramp();
	struct error err;
	assert_int_equal(relief_draw(&l, 0, PW, PH, south, &err), 0);
	assert_int_equal(relief_draw(&l, M_PI, PW, PH, north, &err), 0);
	assert_int_equal(relief_draw(&l, 0, PW, PH, again, &err), 0);
	assert_memory_equal(south, again, sizeof south);
	assert_true(mean(south, PW, PW / 2, PW, PH) > mean(south, PW, 0, PW / 2, PH) + 20);
	assert_true(mean(north, PW, PW / 2, PW, PH) < mean(north, PW, 0, PW / 2, PH) - 20);
}

/* What was written comes back, and a thumbnail shows it; what is cut off or has another grid is refused in one line. */
static void test_read_back(void **state)
{
	struct landscape l = ramp();
	struct landscape_read r;
	struct file f = made(&l, NULL);
	struct error err = {0};
	uint8_t *webp, *seen;
	size_t size;
	int width, height;
	(void)state;
	assert_int_equal(gltf_read_landscape(f.data, f.size, "x", &r, &err), 0);
	assert_int_equal(r.land.width, W);
	assert_int_equal(r.land.height, H);
	assert_memory_equal(r.rgb, rgb, sizeof rgb);
	for (int i = 0; i < H * W; i++)
		assert_float_equal(r.heights[i], heights[i], 1e-6);
	assert_float_equal(r.land.relief, l.relief, 1e-6);
	assert_float_equal(r.land.sea_level, l.sea_level, 1e-6);
	landscape_read_free(&r);
	assert_int_equal(thumbnail_make(f.data, f.size, "x", &webp, &size, &err), 0);
	assert_int_equal(picture_decode(webp, size, "x", &seen, &width, &height, &err), 0);
	assert_int_equal(width, THUMBNAIL_SIDE);
	assert_int_equal(height, THUMBNAIL_SIDE * 3 / 4);
	free(seen);
	free(webp);
	for (size_t n = 0; n < f.size; n += n < 64 ? 1 : 37) {
		assert_int_equal(gltf_read_landscape(f.data, n, "x", &r, &err), SUMI_CORRUPT);
		assert_null(strchr(err.text, '\n'));
	}
	/* As a picture it is refused, and told what to do. */
	assert_int_equal(picture_decode(f.data, f.size, "x.glb", &seen, &width, &height, &err), SUMI_UNSUPPORTED);
	assert_non_null(strstr(err.text, "x.glb: is a landscape"));
	/* A view that is one vertex short, and a level that no landscape has. */
	for (int i = 0; i < 2; i++) {
		char *at = strstr((char *)f.data + 20, i ? "\"sea_level\":0" : "\"byteLength\":648");
		assert_non_null(at);
		at[i ? 12 : 15] = i ? '7' : '0';
		assert_int_equal(gltf_read_landscape(f.data, f.size, "x", &r, &err), SUMI_CORRUPT);
		at[i ? 12 : 15] = i ? '0' : '8';
	}
	drop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_vertices),
	    cmocka_unit_test(test_levels_of_detail),
	    cmocka_unit_test(test_water_is_there_where_something_lies_under_it),
	    cmocka_unit_test(test_metadata),
	    cmocka_unit_test(test_heights_as_png),
	    cmocka_unit_test(test_copies_meet),
	    cmocka_unit_test(test_seen_from_all_sides),
	    cmocka_unit_test(test_read_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

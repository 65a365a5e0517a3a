/* Landscapes as glTF 2.0 binaries (Khronos, ISO/IEC 12113): a JSON chunk that describes the bytes
 * of the chunk behind it. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "media/gltf.h"
#include "media/landscape.h"
#include "media/png.h"

enum {
	LODS = 3, /* meshes with every, every second, every fourth cell */
	FLOAT = 5126,
	U16 = 5123,
	U32 = 5125,
	REPEAT = 10497,
	CLAMP = 33071,
	ARRAY_BUFFER = 34962,
	ELEMENT_ARRAY_BUFFER = 34963,
	HEADER = 12,
	CHUNK_HEADER = 8,
};

struct glb {
	const struct landscape *l;
	struct bytes_writer bin;
	json_t *views, *accessors;
	struct error *err;
};

/* ---- vertices ---- */

/* Of vertices: where the ground goes on beside itself, one more than cells. */
static int columns_of(const struct landscape *l)
{
	return l->width + l->joined_x;
}

static int rows_of(const struct landscape *l)
{
	return l->height + l->joined_y;
}

static size_t vertices_of(const struct landscape *l)
{
	return (size_t)columns_of(l) * (size_t)rows_of(l);
}

/* A cell's number for one that may lie beyond a border. */
static size_t cell_at(int i, int size, bool joined)
{
	return (size_t)(joined ? (i + size) % size : i < 0 ? 0 : i >= size ? size - 1 : i);
}

static double height_at(const struct landscape *l, int y, int x)
{
	size_t row = cell_at(y, l->height, l->joined_y), column = cell_at(x, l->width, l->joined_x);
	return (double)l->heights[row * (size_t)l->width + column] * l->relief * l->width;
}

static void position_of(const struct landscape *l, int y, int x, float out[3])
{
	out[0] = (float)(x - 0.5 * (columns_of(l) - 1));
	out[1] = (float)height_at(l, y, x);
	out[2] = (float)(y - 0.5 * (rows_of(l) - 1));
}

/* Across the differences to both sides; at a border, to the one that there is. */
static void normal_of(const struct landscape *l, int y, int x, float out[3])
{
	double wide = l->joined_x ? 2 : (x > 0) + (x < l->width - 1);
	double deep = l->joined_y ? 2 : (y > 0) + (y < l->height - 1);
	double dx = (height_at(l, y, x + 1) - height_at(l, y, x - 1)) / wide;
	double dy = (height_at(l, y + 1, x) - height_at(l, y - 1, x)) / deep;
	double length = sqrt(dx * dx + dy * dy + 1);
	out[0] = (float)(-dx / length);
	out[1] = (float)(1 / length);
	out[2] = (float)(-dy / length);
}

static void texture_of(const struct landscape *l, int y, int x, float out[2])
{
	out[0] = (float)((x + 0.5) / l->width);
	out[1] = (float)((y + 0.5) / l->height);
}

/* ---- the bytes and what describes them ---- */

static void pad(struct bytes_writer *w)
{
	while (w->size % 4 && !w->failed)
		bytes_put(w, "", 1);
}

/* From byte `begin` to the end; target 0: no vertices. The view's number. */
static int add_view(struct glb *g, size_t begin, int target)
{
	json_t *view = json_pack("{s:i, s:I, s:I}", "buffer", 0, "byteOffset", (json_int_t)begin,
				 "byteLength", (json_int_t)(g->bin.size - begin));
	if (target)
		json_object_set_new(view, "target", json_integer(target));
	json_array_append_new(g->views, view);
	pad(&g->bin);
	return (int)json_array_size(g->views) - 1;
}

static int add_accessor(struct glb *g, int view, int type, size_t count, const char *shape)
{
	json_array_append_new(g->accessors,
			      json_pack("{s:i, s:i, s:I, s:s}", "bufferView", view, "componentType",
					type, "count", (json_int_t)count, "type", shape));
	return (int)json_array_size(g->accessors) - 1;
}

/* Positions must have their bounds told. */
static void add_bounds(struct glb *g, int accessor, const float lo[3], const float hi[3])
{
	json_t *a = json_array_get(g->accessors, (size_t)accessor);
	json_object_set_new(a, "min",
			    json_pack("[f, f, f]", (double)lo[0], (double)lo[1], (double)lo[2]));
	json_object_set_new(a, "max",
			    json_pack("[f, f, f]", (double)hi[0], (double)hi[1], (double)hi[2]));
}

static void put_floats(struct glb *g, const float *values, size_t n)
{
	bytes_put_f32s(&g->bin, values, n);
}

/* Positions, normals and texture coordinates of the ground: {POSITION, NORMAL, TEXCOORD_0}. */
static json_t *add_ground(struct glb *g)
{
	const struct landscape *l = g->l;
	size_t count = vertices_of(l), wide = (size_t)columns_of(l), begin = g->bin.size;
	float lo[3] = {INFINITY, INFINITY, INFINITY}, hi[3] = {-INFINITY, -INFINITY, -INFINITY},
	      v[3];
	int positions, normals, textures;
	for (size_t i = 0; i < count; i++) {
		position_of(l, (int)(i / wide), (int)(i % wide), v);
		for (int k = 0; k < 3; k++) {
			lo[k] = fminf(lo[k], v[k]);
			hi[k] = fmaxf(hi[k], v[k]);
		}
		put_floats(g, v, 3);
	}
	positions = add_accessor(g, add_view(g, begin, ARRAY_BUFFER), FLOAT, count, "VEC3");
	add_bounds(g, positions, lo, hi);
	begin = g->bin.size;
	for (size_t i = 0; i < count; i++) {
		normal_of(l, (int)(i / wide), (int)(i % wide), v);
		put_floats(g, v, 3);
	}
	normals = add_accessor(g, add_view(g, begin, ARRAY_BUFFER), FLOAT, count, "VEC3");
	begin = g->bin.size;
	for (size_t i = 0; i < count; i++) {
		texture_of(l, (int)(i / wide), (int)(i % wide), v);
		put_floats(g, v, 2);
	}
	textures = add_accessor(g, add_view(g, begin, ARRAY_BUFFER), FLOAT, count, "VEC2");
	return json_pack("{s:i, s:i, s:i}", "POSITION", positions, "NORMAL", normals, "TEXCOORD_0",
			 textures);
}

static void put_index(struct glb *g, bool wide, size_t i)
{
	uint8_t b[4] = {(uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16), (uint8_t)(i >> 24)};
	bytes_put(&g->bin, b, wide ? 4 : 2);
}

/* The k-th of the rows that a mesh of every `step`-th has; the last is always one of them. */
static int nth(int k, int step, int size)
{
	return k * step < size ? k * step : size - 1;
}

static int lines_of(int step, int size)
{
	return (size - 1 + step - 1) / step + 1;
}

/* Two triangles for each square of the coarser grid, counter-clockwise seen from above. */
static int add_triangles(struct glb *g, int step)
{
	const struct landscape *l = g->l;
	int width = columns_of(l), height = rows_of(l), rows = lines_of(step, height), columns = lines_of(step, width);
	bool wide = vertices_of(l) > UINT16_MAX;
	size_t begin = g->bin.size, count = (size_t)(rows - 1) * (size_t)(columns - 1) * 6;
	for (int r = 0; r + 1 < rows; r++)
		for (int c = 0; c + 1 < columns; c++) {
			size_t top = (size_t)nth(r, step, height) * (size_t)width,
			       low = (size_t)nth(r + 1, step, height) * (size_t)width;
			size_t left = (size_t)nth(c, step, width), right = (size_t)nth(c + 1, step, width);
			const size_t corners[6] = {top + left, low + left,  low + right,
						   top + left, low + right, top + right};
			for (int i = 0; i < 6; i++)
				put_index(g, wide, corners[i]);
		}
	return add_accessor(g, add_view(g, begin, ELEMENT_ARRAY_BUFFER), wide ? U32 : U16, count,
			    "SCALAR");
}

/* A plane as wide as the ground, at the height of the sea. */
static json_t *add_water(struct glb *g)
{
	const struct landscape *l = g->l;
	float x = (float)(0.5 * (columns_of(l) - 1)), z = (float)(0.5 * (rows_of(l) - 1));
	float y = (float)(l->sea_level * l->relief * l->width);
	const float corners[4][3] = {{-x, y, -z}, {-x, y, z}, {x, y, z}, {x, y, -z}};
	static const float up[3] = {0, 1, 0};
	static const size_t order[6] = {0, 1, 2, 0, 2, 3};
	size_t begin = g->bin.size;
	put_floats(g, corners[0], 12);
	int positions = add_accessor(g, add_view(g, begin, ARRAY_BUFFER), FLOAT, 4, "VEC3");
	add_bounds(g, positions, corners[0], corners[2]);
	begin = g->bin.size;
	for (int i = 0; i < 4; i++)
		put_floats(g, up, 3);
	int normals = add_accessor(g, add_view(g, begin, ARRAY_BUFFER), FLOAT, 4, "VEC3");
	begin = g->bin.size;
	for (int i = 0; i < 6; i++)
		put_index(g, false, order[i]);
	int indices = add_accessor(g, add_view(g, begin, ELEMENT_ARRAY_BUFFER), U16, 6, "SCALAR");
	return json_pack("{s:s, s:[{s:{s:i, s:i}, s:i, s:i}]}", "name", "water", "primitives",
			 "attributes", "POSITION", positions, "NORMAL", normals, "indices", indices,
			 "material", 1);
}

static bool has_water(const struct landscape *l)
{
	size_t count = (size_t)l->width * (size_t)l->height, i = 0;
	while (i < count && !((double)l->heights[i] <= l->sea_level))
		i++;
	return i < count;
}

/* ---- the description ---- */

static json_t *materials(bool water)
{
	json_t *all = json_pack("[{s:s, s:{s:{s:i}, s:f, s:f}}]", "name", "ground",
				"pbrMetallicRoughness", "baseColorTexture", "index", 0,
				"metallicFactor", 0.0, "roughnessFactor", 0.95);
	if (water)
		json_array_append_new(
		    all, json_pack("{s:s, s:s, s:b, s:{s:[f, f, f, f], s:f, s:f}}", "name", "water",
				   "alphaMode", "BLEND", "doubleSided", 1, "pbrMetallicRoughness",
				   "baseColorFactor", 0.06, 0.24, 0.38, 0.55, "metallicFactor", 0.0,
				   "roughnessFactor", 0.08));
	return all;
}

/* Meshes and nodes: the ground first, its coarser forms last, outside the scene as MSFT_lod has it.
 */
static int describe_meshes(struct glb *g, json_t *root)
{
	bool water = has_water(g->l);
	json_t *ground = add_ground(g), *meshes = json_array(), *nodes = json_array(),
	       *coarser = json_array();
	json_t *scene = json_array();
	for (int i = 0, step = 1; i < LODS; i++, step *= 2)
		json_array_append_new(meshes,
				      json_pack("{s:s, s:[{s:O, s:i, s:i}]}", "name", "ground",
						"primitives", "attributes", ground, "indices",
						add_triangles(g, step), "material", 0));
	for (int i = 1; i < LODS; i++)
		json_array_append_new(coarser, json_integer(water + i));
	json_array_append_new(nodes,
			      json_pack("{s:s, s:i, s:{s:{s:o}}, s:{s:[f, f, f]}}", "name",
					"ground", "mesh", 0, "extensions", "MSFT_lod", "ids",
					coarser, "extras", "MSFT_screencoverage", 0.5, 0.2, 0.0));
	json_array_append_new(scene, json_integer(0));
	if (water) {
		json_array_append_new(meshes, add_water(g));
		json_array_append_new(nodes,
				      json_pack("{s:s, s:i}", "name", "water", "mesh", LODS));
		json_array_append_new(scene, json_integer(1));
	}
	for (int i = 1; i < LODS; i++)
		json_array_append_new(
		    nodes, json_pack("{s:s, s:i}", "name", "ground, coarser", "mesh", i));
	json_decref(ground);
	json_object_set_new(root, "scenes", json_pack("[{s:o}]", "nodes", scene));
	json_object_set_new(root, "nodes", nodes);
	json_object_set_new(root, "meshes", meshes);
	return json_object_set_new(root, "materials", materials(water));
}

static int add_texture(struct glb *g, json_t *root)
{
	uint8_t *png;
	size_t size, begin = g->bin.size;
	int status = png_encode(g->l->rgb, g->l->width, g->l->height, NULL, &png, &size, g->err);
	if (status)
		return status;
	bytes_put(&g->bin, png, size);
	free(png);
	json_object_set_new(root, "textures", json_pack("[{s:i, s:i}]", "sampler", 0, "source", 0));
	/* Linear with mipmaps, and nothing beyond a border unless it goes on there. */
	json_object_set_new(root, "samplers",
			    json_pack("[{s:i, s:i, s:i, s:i}]", "magFilter", 9729, "minFilter",
				      9987, "wrapS", g->l->joined_x ? REPEAT : CLAMP, "wrapT",
				      g->l->joined_y ? REPEAT : CLAMP));
	json_object_set_new(root, "images",
			    json_pack("[{s:i, s:s}]", "bufferView", add_view(g, begin, 0),
				      "mimeType", "image/png"));
	return SUMI_OK;
}

static json_t *asset_of(const struct landscape *l, const struct metadata *meta)
{
	json_t *asset = json_pack("{s:s, s:s}", "version", "2.0", "generator", "sumi");
	json_t *extras = json_pack("{s:f, s:f}", "relief", l->relief, "sea_level", l->sea_level);
	if (l->joined_x || l->joined_y)
		json_object_set_new(extras, "tile", json_string(!l->joined_y ? "x" : !l->joined_x ? "y" : "both"));
	if (meta && meta->json)
		json_object_set_new(extras, "sumi", json_string(meta->json));
	if (meta && meta->infotext)
		json_object_set_new(extras, "parameters", json_string(meta->infotext));
	json_object_set_new(asset, "extras", extras);
	return asset;
}

static int describe(struct glb *g, const struct metadata *meta, char **text)
{
	json_t *root = json_pack("{s:o, s:[s], s:i}", "asset", asset_of(g->l, meta),
				 "extensionsUsed", "MSFT_lod", "scene", 0);
	int status = root ? SUMI_OK : error_set(g->err, SUMI_NOMEM, "glTF: out of memory");
	if (!status && describe_meshes(g, root))
		status = error_set(g->err, SUMI_NOMEM, "glTF: out of memory");
	if (!status)
		status = add_texture(g, root);
	if (!status) {
		json_object_set(root, "accessors", g->accessors);
		json_object_set(root, "bufferViews", g->views);
		json_object_set_new(root, "buffers",
				    json_pack("[{s:I}]", "byteLength", (json_int_t)g->bin.size));
		*text = json_dumps(root, JSON_COMPACT);
		if (!*text)
			status = error_set(g->err, SUMI_NOMEM, "glTF: out of memory");
	}
	json_decref(root);
	return status;
}

/* ---- the container ---- */

static int join(struct glb *g, const char *text, uint8_t **data, size_t *size)
{
	struct bytes_writer w = {0};
	size_t length = strlen(text), padded = (length + 3) / 4 * 4;
	uint64_t whole = HEADER + CHUNK_HEADER + (uint64_t)padded + CHUNK_HEADER + g->bin.size;
	if (whole > UINT32_MAX)
		return error_set(g->err, SUMI_TOOBIG,
				 "glTF: %dx%d cells make a file of more than 4 GiB", g->l->width,
				 g->l->height);
	bytes_put_u32(&w, GLTF_MAGIC);
	bytes_put_u32(&w, GLTF_VERSION);
	bytes_put_u32(&w, (uint32_t)whole);
	bytes_put_u32(&w, (uint32_t)padded);
	bytes_put_u32(&w, GLTF_JSON_CHUNK);
	bytes_put(&w, text, length);
	bytes_put(&w, "   ", padded - length);
	bytes_put_u32(&w, (uint32_t)g->bin.size);
	bytes_put_u32(&w, GLTF_BIN_CHUNK);
	bytes_put(&w, g->bin.data, g->bin.size);
	if (w.failed || g->bin.failed) {
		free(w.data);
		return error_set(g->err, SUMI_NOMEM, "glTF: out of memory");
	}
	*data = w.data;
	*size = w.size;
	return SUMI_OK;
}

int gltf_encode(const struct landscape *l, const struct metadata *meta, uint8_t **data,
		size_t *size, struct error *err)
{
	struct glb g = {.l = l, .views = json_array(), .accessors = json_array(), .err = err};
	char *text = NULL;
	int status = describe(&g, meta, &text);
	if (!status)
		status = join(&g, text, data, size);
	free(text);
	free(g.bin.data);
	json_decref(g.views);
	json_decref(g.accessors);
	return status;
}

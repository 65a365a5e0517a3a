/* glTF binaries of sumi's own, read: how they were made, and what they show. Other programs' may hold anything; of
 * those no landscape is made. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "media/gltf.h"
#include "media/landscape.h"
#include "media/picture_file.h"

struct glb {
	json_t *root;
	const json_t *extras; /* how it was made; NULL: nothing says so */
	const uint8_t *bin; /* borrowed */
	size_t bin_size;
	const char *where;
};

/* The JSON is read, and where there are any, the bytes behind it are found. */
static int open_glb(const void *data, size_t size, const char *where, struct glb *out, struct error *err)
{
	struct bytes_reader r = {.data = data, .size = size};
	uint32_t magic = bytes_get_u32(&r), version = bytes_get_u32(&r), whole = bytes_get_u32(&r);
	uint32_t length = bytes_get_u32(&r), kind = bytes_get_u32(&r);
	*out = (struct glb){.where = where};
	if (r.failed || magic != GLTF_MAGIC || version != GLTF_VERSION || whole > size || kind != GLTF_JSON_CHUNK)
		return error_set(err, SUMI_CORRUPT, "%s: damaged or cut-off glTF 2.0 binary", where);
	if (length > size - r.at || length > METADATA_TEXT_MAX)
		return error_set(err, SUMI_CORRUPT, "%s: glTF: its JSON of %u bytes is too long or cut off", where,
				 length);
	int status = json_read_foreign((const char *)data + r.at, length, (size_t)JSON_EXPANSION * METADATA_TEXT_MAX,
				       where, &out->root, err);
	out->extras = json_object_get(json_object_get(out->root, "asset"), "extras");
	r.at += length;
	uint32_t bytes = status ? 0 : bytes_get_u32(&r);
	if (!status && bytes_get_u32(&r) == GLTF_BIN_CHUNK && !r.failed && bytes <= size - r.at) {
		out->bin = r.data + r.at;
		out->bin_size = bytes;
	}
	return status;
}

int gltf_read_texts(const void *data, size_t size, const char *where, struct file_texts *texts,
		    struct error *err)
{
	struct glb g;
	int status = open_glb(data, size, where, &g, err);
	if (status)
		return status;
	const char *json = json_string_value(json_object_get(g.extras, "sumi"));
	const char *infotext = json_string_value(json_object_get(g.extras, "parameters"));
	if (json)
		status = texts_add(texts, TEXT_TAG, METADATA_WEBM_JSON, json, strlen(json), err);
	if (!status && infotext)
		status = texts_add(texts, TEXT_TAG, METADATA_WEBM_INFOTEXT, infotext, strlen(infotext), err);
	json_decref(g.root);
	return status;
}

/* ---- what it shows ---- */

static const json_t *member(const json_t *of, const char *list, const json_t *index)
{
	json_int_t at = json_integer_value(index);
	return at < 0 ? NULL : json_array_get(json_object_get(of, list), (size_t)at);
}

/* The bytes of a view; NULL: there are none, or not all of them. */
static const uint8_t *view_of(const struct glb *g, const json_t *index, size_t *size)
{
	const json_t *view = member(g->root, "bufferViews", index);
	json_int_t begin = json_integer_value(json_object_get(view, "byteOffset"));
	json_int_t length = json_integer_value(json_object_get(view, "byteLength"));
	if (!json_is_object(view) || begin < 0 || length <= 0 || (size_t)begin > g->bin_size ||
	    (size_t)length > g->bin_size - (size_t)begin)
		return NULL;
	*size = (size_t)length;
	return g->bin + begin;
}

static int read_scale(const struct glb *g, struct landscape *l, struct error *err)
{
	int status = json_want_number(g->extras, g->where, "relief", 1e-6, 1e4, &l->relief, err);
	if (!status)
		status = json_want_number(g->extras, g->where, "sea_level", -10, 1, &l->sea_level, err);
	if (status || isnan(l->relief) || isnan(l->sea_level))
		return error_set(err, SUMI_CORRUPT, "%s: glTF: it was not written by sumi", g->where);
	const char *tile = json_string_value(json_object_get(g->extras, "tile"));
	l->joined_x = tile && strcmp(tile, "y") != 0;
	l->joined_y = tile && strcmp(tile, "x") != 0;
	return SUMI_OK;
}

static int read_texture(const struct glb *g, struct landscape_read *l, struct error *err)
{
	const json_t *image = json_array_get(json_object_get(g->root, "images"), 0);
	size_t size;
	const uint8_t *png = view_of(g, json_object_get(image, "bufferView"), &size);
	if (!png)
		return error_set(err, SUMI_CORRUPT, "%s: glTF: no texture lies in it", g->where);
	int status = picture_decode(png, size, g->where, &l->rgb, &l->land.width, &l->land.height, err);
	l->land.rgb = l->rgb;
	return status;
}

/* The second of each three numbers, in shares of the relief. */
static int read_heights(const struct glb *g, struct landscape_read *out, struct error *err)
{
	struct landscape *l = &out->land;
	const json_t *mesh = json_array_get(json_object_get(g->root, "meshes"), 0);
	const json_t *part = json_array_get(json_object_get(mesh, "primitives"), 0);
	const json_t *positions = json_object_get(json_object_get(part, "attributes"), "POSITION");
	const json_t *accessor = member(g->root, "accessors", positions);
	size_t size, wide = (size_t)l->width + l->joined_x, vertices = wide * ((size_t)l->height + l->joined_y);
	size_t count = (size_t)l->width * (size_t)l->height;
	const uint8_t *bytes = view_of(g, json_object_get(accessor, "bufferView"), &size);
	double scale = l->relief * l->width;
	if (!bytes || size != vertices * GLTF_VERTEX_BYTES)
		return error_set(err, SUMI_CORRUPT, "%s: glTF: its first mesh is no grid of %dx%d vertices", g->where,
				 l->width + l->joined_x, l->height + l->joined_y);
	out->heights = malloc(count * sizeof *out->heights);
	if (!out->heights)
		return error_set(err, SUMI_NOMEM, "no memory for %zu heights", count);
	l->heights = out->heights;
	struct bytes_reader r = {.data = bytes, .size = size};
	for (size_t i = 0; i < vertices; i++) {
		float v[3];
		size_t x = i % wide, y = i / wide;
		bytes_get_f32s(&r, v, 3);
		if (x < (size_t)l->width && y < (size_t)l->height) /* the others stand there once more */
			out->heights[y * (size_t)l->width + x] = isfinite(v[1]) ? fminf(fmaxf((float)((double)v[1] / scale), 0), 1) : 0;
	}
	return SUMI_OK;
}

int gltf_read_landscape(const void *data, size_t size, const char *where, struct landscape_read *out,
			struct error *err)
{
	struct glb g;
	*out = (struct landscape_read){.land = {.relief = NAN, .sea_level = NAN}};
	int status = open_glb(data, size, where, &g, err);
	if (status)
		return status;
	status = read_scale(&g, &out->land, err);
	if (!status)
		status = read_texture(&g, out, err);
	if (!status)
		status = read_heights(&g, out, err);
	json_decref(g.root);
	if (status)
		landscape_read_free(out);
	return status;
}

void landscape_read_free(struct landscape_read *l)
{
	free(l->rgb);
	free(l->heights);
	*l = (struct landscape_read){0};
}

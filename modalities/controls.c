#include "modalities/controls.h"

#include <stdlib.h>
#include <string.h>

#include "diffusion/control.h"
#include "diffusion/controls.h"
#include "media/picture_fit.h"
#include "media/preprocess.h"
#include "request/files.h"
#include "request/param.h"

static int kind_of(const json_t *control)
{
	const struct control_map *map = control_map(json_string_value(json_object_get(control, "preprocess")));
	return map ? map->kind : CONTROL_KIND_ANY;
}

void request_controls_list(const struct request *r, struct request_controls *out)
{
	*out = (struct request_controls){.count = 0};
	for (int i = 0; r->networks && i < r->networks->count; i++) {
		const json_t *o = json_array_get(r->controls, (size_t)i);
		out->all[out->count++] = (struct run_control){
		    .path = r->networks->rows[i].path,
		    .encoder = r->networks->rows[i].encoder,
		    .kind = kind_of(o),
		    .strength = json_number_value(json_object_get(o, "strength")),
		    .start = json_number_value(json_object_get(o, "start")),
		    .end = json_number_value(json_object_get(o, "end")),
		    .joined = json_is_true(json_object_get(o, "joined")),
		    .guess = json_is_true(json_object_get(o, "guess")),
		};
	}
}

/* Through a preprocessor where the job names one. */
static int make_map(const json_t *control, uint8_t **rgb, int width, int height, struct error *err)
{
	const struct control_map *map =
	    control_map(json_string_value(json_object_get(control, "preprocess")));
	const struct preprocessor *p = map && map->maker ? preprocessor_find(map->maker) : NULL;
	if (!p)
		return SUMI_OK;
	uint8_t *made = malloc((size_t)width * (size_t)height * 3);
	int status = made ? preprocess(p, *rgb, width, height, NULL, made, err)
			  : error_set(err, SUMI_NOMEM, "no memory for a map of %dx%d", width, height);
	if (status) {
		free(made);
		return status;
	}
	free(*rgb);
	*rgb = made;
	return SUMI_OK;
}

/* Bytes as numbers of 0…1. */
static int to_floats(const uint8_t *bytes, size_t count, const char *where, float **out, struct error *err)
{
	*out = malloc(count * sizeof **out);
	if (!*out)
		return error_set(err, SUMI_NOMEM, "%s: no memory for its pixels", where);
	for (size_t k = 0; k < count; k++)
		(*out)[k] = (float)bytes[k] / 255;
	return SUMI_OK;
}

/* Where the file of an entry's member lies; *path NULL: it has none. where names it. */
static int file_of(const struct request *r, size_t i, const char *member, char where[48], const char **path,
		   struct error *err)
{
	const char *file = json_string_value(json_object_get(json_array_get(r->controls, i), member));
	snprintf(where, 48, "controls, entry %zu, %s", i + 1, member);
	*path = file ? request_file_path(r, file) : NULL;
	return !file || *path ? SUMI_OK
			      : error_set(err, SUMI_INTERNAL, "%s: nobody has looked for its file", where);
}

/* side: of the square that is seen of it; 0: it is fitted to the result. */
static int read_picture(const struct request *r, size_t i, int side, int width, int height, float **out,
			struct error *err)
{
	char where[48];
	uint8_t *rgb = NULL;
	const char *path;
	int status = file_of(r, i, "image", where, &path, err);
	if (status || !path)
		return status ? status : error_set(err, SUMI_INTERNAL, "%s is missing", where);
	if (side)
		width = height = side;
	status = side ? picture_seen(path, where, side, &rgb, err)
		      : picture_fit(path, where, width, height, &rgb, err);
	if (!status)
		status = make_map(json_array_get(r->controls, i), &rgb, width, height, err);
	if (!status)
		status = to_floats(rgb, (size_t)width * (size_t)height * 3, where, out, err);
	free(rgb);
	return status;
}

static int read_mask(const struct request *r, size_t i, int width, int height, float **out, struct error *err)
{
	char where[48];
	uint8_t *light = NULL;
	const char *path;
	int status = file_of(r, i, "mask", where, &path, err);
	if (status || !path)
		return status;
	status = picture_light(path, where, width, height, &light, err);
	if (!status)
		status = to_floats(light, (size_t)width * (size_t)height, where, out, err);
	free(light);
	return status;
}

int request_controls_read(const struct request *r, int width, int height, struct request_controls *out,
			  struct error *err)
{
	request_controls_list(r, out);
	if (json_array_size(r->controls) != (size_t)out->count)
		return error_set(err, SUMI_INTERNAL, "controls: nobody has looked for their networks");
	for (int i = 0; i < out->count; i++) {
		int side = r->networks->rows[i].side;
		int status = read_picture(r, (size_t)i, side, width, height, &out->pictures[i], err);
		if (!status)
			status = read_mask(r, (size_t)i, width, height, &out->masks[i], err);
		if (status)
			return status;
		out->all[i].picture = out->pictures[i];
		out->all[i].mask = out->masks[i];
		out->all[i].height = height;
		out->all[i].width = width;
	}
	return SUMI_OK;
}

void request_controls_clear(struct request_controls *controls)
{
	for (int i = 0; i < controls->count; i++) {
		free(controls->pictures[i]);
		free(controls->masks[i]);
	}
	controls->count = 0;
}

/* One with its network's name, its members in the table's order: files say the same of it when they are made
 * again. */
static json_t *name_one(const json_t *control, const char *name)
{
	json_t *out = json_object();
	for (const struct param *m = param_find("controls")->members; out && m->name; m++) {
		bool is_name = strcmp(m->name, "model") == 0;
		json_t *value = json_object_get(control, m->name);
		if (value || is_name)
			json_object_set_new(out, m->name, is_name ? json_string(name) : json_incref(value));
	}
	return out;
}

const json_t *request_controls_named(const struct request *r)
{
	struct control_list *list = r->networks;
	if (list->named)
		return list->named;
	json_t *named = json_array();
	for (int i = 0; named && i < list->count; i++)
		if (json_array_append_new(named, name_one(json_array_get(r->controls, (size_t)i),
							  list->rows[i].name))) {
			json_decref(named);
			return NULL;
		}
	list->named = named;
	return named;
}

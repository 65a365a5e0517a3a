#include "modalities/controls.h"

#include <stdlib.h>
#include <string.h>

#include "diffusion/controls.h"
#include "media/picture_fit.h"
#include "media/preprocess.h"
#include "request/files.h"
#include "request/param.h"

void request_controls_list(const struct request *r, struct request_controls *out)
{
	*out = (struct request_controls){.count = 0};
	for (int i = 0; r->networks && i < r->networks->count; i++) {
		const json_t *o = json_array_get(r->controls, (size_t)i);
		out->all[out->count++] = (struct run_control){
		    .path = r->networks->rows[i].path,
		    .strength = json_number_value(json_object_get(o, "strength")),
		    .start = json_number_value(json_object_get(o, "start")),
		    .end = json_number_value(json_object_get(o, "end")),
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

static int read_one(const struct request *r, size_t i, int width, int height, float **out,
		    struct error *err)
{
	char where[48];
	uint8_t *rgb = NULL;
	size_t count = (size_t)width * (size_t)height * 3;
	const json_t *control = json_array_get(r->controls, i);
	const char *image = json_string_value(json_object_get(control, "image"));
	const char *path = image ? request_file_path(r, image) : NULL;
	snprintf(where, sizeof where, "controls, entry %zu, image", i + 1);
	if (!path)
		return error_set(err, SUMI_INTERNAL, "%s: nobody has looked for its file", where);
	int status = picture_fit(path, where, width, height, &rgb, err);
	if (!status)
		status = make_map(control, &rgb, width, height, err);
	if (!status && !(*out = malloc(count * sizeof **out)))
		status = error_set(err, SUMI_NOMEM, "%s: no memory for its pixels", where);
	for (size_t k = 0; k < count && !status; k++)
		(*out)[k] = (float)rgb[k] / 255;
	free(rgb);
	return status;
}

int request_controls_read(const struct request *r, int width, int height, struct request_controls *out,
			  struct error *err)
{
	request_controls_list(r, out);
	if (json_array_size(r->controls) != (size_t)out->count)
		return error_set(err, SUMI_INTERNAL, "controls: nobody has looked for their networks");
	for (int i = 0; i < out->count; i++) {
		int status = read_one(r, (size_t)i, width, height, &out->pictures[i], err);
		if (status)
			return status;
		out->all[i].picture = out->pictures[i];
		out->all[i].height = height;
		out->all[i].width = width;
	}
	return SUMI_OK;
}

void request_controls_clear(struct request_controls *controls)
{
	for (int i = 0; i < controls->count; i++)
		free(controls->pictures[i]);
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

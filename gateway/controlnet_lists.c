/* The ControlNet extension of AUTOMATIC1111's API: what there is, and maps to look at. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "gateway/controlnet.h"
#include "gateway/handlers.h"
#include "gateway/shelves.h"
#include "media/picture_file.h"
#include "request/param.h"

enum { DETECT_MAX = 8, SIDE_MIN = 64, SIDE_MAX = 2048, SIDE_USUAL = 512 };

/* "None" and the networks that there are. */
static json_t *networks(struct call *call, struct worker *w, bool none)
{
	size_t i;
	json_t *one, *list = shelves_list(call, w, SHELF_CONTROLS);
	if (!list)
		return NULL;
	json_t *names = none ? json_pack("[s]", "None") : json_array();
	json_array_foreach(list, i, one) json_array_append(names, json_object_get(one, "name"));
	json_decref(list);
	return names;
}

static json_t *module_names(void)
{
	json_t *names = json_array();
	for (const struct control_module *m = control_modules; m->name; m++)
		json_array_append_new(names, json_string(m->name));
	return names;
}

static json_t *slider(const char *name, double least, double most, double usual)
{
	return json_pack("{s:s, s:f, s:f, s:f}", "name", name, "min", least, "max", most, "value", usual);
}

static json_t *module_details(void)
{
	json_t *all = json_object();
	for (const struct control_module *m = control_modules; m->name; m++) {
		const struct preprocessor *p = control_maker(m);
		json_t *sliders = json_array();
		if (p)
			json_array_append_new(sliders, slider("Resolution", SIDE_MIN, SIDE_MAX, SIDE_USUAL));
		for (int i = 0; p && i < PREPROCESS_SETTINGS && p->settings[i].name; i++)
			json_array_append_new(sliders, slider(p->settings[i].name, p->settings[i].min, p->settings[i].max,
							      p->settings[i].usual));
		json_object_set_new(all, m->name, json_pack("{s:b, s:o}", "model_free", 0, "sliders", sliders));
	}
	return all;
}

void controlnet_models(struct call *call, struct worker *w)
{
	json_t *names = networks(call, w, false);
	if (names)
		call_json(call, 200, json_pack("{s:o}", "model_list", names));
}

void controlnet_module_list(struct call *call, struct worker *w)
{
	(void)w;
	call_json(call, 200,
		  json_pack("{s:o, s:o}", "module_list", module_names(), "module_detail", module_details()));
}

void controlnet_types(struct call *call, struct worker *w)
{
	json_t *names = networks(call, w, true);
	if (names)
		call_json(call, 200, json_pack("{s:{s:{s:o, s:o, s:s, s:s}}}", "control_types", "All", "module_list",
					       module_names(), "model_list", names, "default_option", "none",
					       "default_model", "None"));
}

void controlnet_version(struct call *call, struct worker *w)
{
	(void)w;
	call_json(call, 200, json_pack("{s:i}", "version", 3));
}

void controlnet_settings(struct call *call, struct worker *w)
{
	(void)w;
	call_json(call, 200, json_pack("{s:i}", "control_net_unit_count", (int)param_find("controls")->max));
}

/* So that the shorter side has that many pixels. SUMI_TOOBIG where the other would have far more. */
static int size_for(const void *data, size_t size, int side, int *width, int *height, struct error *err)
{
	int w, h, status = picture_size(data, size, "controlnet_input_images", &w, &h, err);
	if (status)
		return status;
	double k = (double)side / (w < h ? w : h);
	if ((w > h ? w : h) * k > 4 * SIDE_MAX)
		return error_set(err, SUMI_TOOBIG, "controlnet_input_images: a picture of %dx%d is too long", w, h);
	*width = (int)lrint(w * k);
	*height = (int)lrint(h * k);
	return SUMI_OK;
}

/* *out: the map in base64. */
static int detect(const json_t *text, const struct preprocessor *p, int side, const double *settings, json_t **out,
		  struct error *err)
{
	static const char name[] = "controlnet_input_images";
	void *data;
	uint8_t *png;
	size_t size, png_size;
	int width = 0, height = 0;
	int status = json_is_string(text) ? base64_decode(json_string_value(text), json_string_length(text), &data,
							  &size, err)
					  : error_set(err, SUMI_INVALID, "they must be texts in base64");
	if (status)
		return error_prefix(err, "%s", name);
	status = size_for(data, size, side, &width, &height, err);
	if (!status)
		status = controlnet_map(data, size, name, p, settings, CONTROLNET_STRETCH, width, height, &png,
					&png_size, err);
	free(data);
	if (status)
		return status;
	*out = base64_json(png, png_size);
	free(png);
	return *out ? SUMI_OK : error_set(err, SUMI_NOMEM, "out of memory");
}

static double number_of(const json_t *body, const char *name)
{
	const json_t *value = json_object_get(body, name);
	return json_is_number(value) ? json_number_value(value) : -1;
}

static int detect_all(const json_t *body, json_t *maps, struct error *err)
{
	const char *name = json_string_value(json_object_get(body, "controlnet_module"));
	const struct control_module *m = control_module(name ? name : "none");
	const json_t *pictures = json_object_get(body, "controlnet_input_images");
	double side = number_of(body, "controlnet_processor_res");
	double settings[PREPROCESS_SETTINGS] = {number_of(body, "controlnet_threshold_a"),
						number_of(body, "controlnet_threshold_b")};
	int status = SUMI_OK;
	if (!pictures)
		pictures = json_object_get(body, "controlnet_images"); /* as webuiapi calls them */
	if (!m)
		return error_set(err, SUMI_INVALID, "controlnet_module: '%.60s' cannot be had here", name);
	if (!json_array_size(pictures) || json_array_size(pictures) > DETECT_MAX)
		return error_set(err, SUMI_INVALID, "controlnet_input_images must be a list of 1 to %d pictures in base64",
				 DETECT_MAX);
	bool usual = !(side >= SIDE_MIN && side <= SIDE_MAX);
	for (size_t i = 0; i < json_array_size(pictures) && !status; i++) {
		json_t *map;
		status = detect(json_array_get(pictures, i), control_maker(m), usual ? SIDE_USUAL : (int)side, settings,
				&map, err);
		if (!status)
			json_array_append_new(maps, map);
	}
	return status;
}

void controlnet_detect(struct call *call, struct worker *w)
{
	struct error err;
	json_t *body, *maps = json_array();
	(void)w;
	if (call_body(call, false, &body)) {
		int status = detect_all(body, maps, &err);
		if (status == SUMI_NOMEM)
			call_fail(call, &err);
		else if (status)
			call_refuse(call, 422, NULL, "%s", err.text);
		else
			call_json(call, 200, json_pack("{s:O, s:s}", "images", maps, "info", "Success"));
		json_decref(body);
	}
	json_decref(maps);
}

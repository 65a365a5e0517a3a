/* ControlNet through AUTOMATIC1111's API: units of a request become controls of a job. */
#include "gateway/controlnet.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "media/picture_file.h"

#define SCRIPTS "alwayson_scripts"

/* What a unit may say beside what is read of it, and what says nothing: the usual word, or NULL where any value is
 * no matter here (memory, the page that it comes from). All else is refused where it says something. */
static const struct {
	const char *name, *usual;
} idle[] = {{"low_vram", NULL},	  {"lowvram", NULL},	{"is_ui", NULL},
	    {"input_mode", NULL}, {"output_dir", NULL}, {"save_detected_map", NULL},
	    {"inpaint_crop_input_image", NULL}, {"pulid_mode", NULL}, {"use_preview_as_input", NULL},
	    {"processor_res", NULL}, {"pixel_perfect", NULL}, /* maps have the result's size */
	    {"union_control_type", "Unknown"}, {"hr_option", "Both"}};

/* What is read of it. */
static const char *const known[] = {"enabled", "module", "model", "weight", "image", "input_image",
				    "mask", "mask_image", "resize_mode", "threshold_a", "threshold_b",
				    "guidance_start", "guidance_end", "guidance", "control_mode", "guessmode"};

/* A unit on its way. */
struct unit {
	struct call *call;
	struct worker *worker;
	const json_t *json, *init;
	size_t number; /* from 1 */
	int width, height; /* of the result; 0: the model's own */
};

__attribute__((format(printf, 3, 4))) static bool refuse(const struct unit *u, const char *field,
							  const char *format, ...)
{
	char text[240];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	call_refuse(u->call, 422, SCRIPTS, SCRIPTS ": ControlNet unit %zu: %s: %s", u->number, field, text);
	return false;
}

/* Whether a value asks for something. */
static bool says_something(const json_t *value)
{
	size_t i;
	json_t *one;
	const char *key, *text = json_string_value(value);
	if (json_is_number(value))
		return json_number_value(value) != 0;
	if (text)
		return *text && strcasecmp(text, "none") != 0;
	json_array_foreach((json_t *)value, i, one)
	{
		if (says_something(one))
			return true;
	}
	json_object_foreach((json_t *)value, key, one)
	{
		if (says_something(one))
			return true;
	}
	return json_is_true(value);
}

static bool is_idle(const char *name, const json_t *value)
{
	for (size_t i = 0; i < sizeof idle / sizeof idle[0]; i++)
		if (strcmp(idle[i].name, name) == 0) {
			const char *text = json_string_value(value);
			return !idle[i].usual || (text && strcasecmp(text, idle[i].usual) == 0);
		}
	return false;
}

#define REGION "effective_region_mask"

static bool refuse_strangers(const struct unit *u, const struct control_module *m)
{
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)u->json, name, value)
	{
		bool is_known = false;
		for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
			is_known = is_known || strcmp(known[i], name) == 0;
		is_known = is_known || (m && m->whole && strcmp(name, REGION) == 0);
		if (!is_known && says_something(value) && !is_idle(name, value))
			return refuse(u, name, "it cannot be had here");
	}
	if (says_something(json_object_get(u->json, "mask")) ||
	    says_something(json_object_get(u->json, "mask_image")))
		return refuse(u, "mask", "a network follows the whole picture here");
	return true;
}

/* A number of the unit, by the first of its two names that is there. */
static bool read_number(const struct unit *u, const char *name, const char *other, double usual, double *out)
{
	const json_t *value = json_object_get(u->json, name);
	if (!value && other)
		value = json_object_get(u->json, other);
	*out = usual;
	if (!value || json_is_null(value))
		return true;
	if (!json_is_number(value))
		return refuse(u, name, "it must be a number");
	*out = json_number_value(value);
	return true;
}

/* One of three words, or its number. */
static bool read_choice(const struct unit *u, const char *name, const char *const words[3], int usual, int *out)
{
	const json_t *value = json_object_get(u->json, name);
	*out = usual;
	if (!value || json_is_null(value))
		return true;
	for (int i = 0; i < 3; i++) {
		const char *text = json_string_value(value);
		if (text ? strcasecmp(text, words[i]) == 0 : json_is_integer(value) && json_integer_value(value) == i) {
			*out = i;
			return true;
		}
	}
	return refuse(u, name, "it must be '%s', '%s' or '%s'", words[0], words[1], words[2]);
}

static bool read_modes(const struct unit *u, enum controlnet_fit *fit, json_t *control)
{
	static const char *const fits[] = {"Just Resize", "Crop and Resize", "Resize and Fill"};
	static const char *const modes[] = {"Balanced", "My prompt is more important",
					    "ControlNet is more important"};
	int way, mode;
	if (!read_choice(u, "resize_mode", fits, CONTROLNET_CROP, &way) ||
	    !read_choice(u, "control_mode", modes, 0, &mode))
		return false;
	*fit = (enum controlnet_fit)way;
	if (mode == 1)
		return refuse(u, "control_mode", "'%s' cannot be had here", modes[1]);
	if (mode == 2 || says_something(json_object_get(u->json, "guessmode")))
		json_object_set_new(control, "guess", json_true());
	return true;
}

/* "name [hash]". */
static void read_model(const struct unit *u, json_t *control)
{
	const char *name = json_string_value(json_object_get(u->json, "model"));
	const char *bracket = name ? strstr(name, " [") : NULL;
	if (name && *name && strcasecmp(name, "none") != 0)
		json_object_set_new(control, "model",
				    json_stringn(name, bracket ? (size_t)(bracket - name) : strlen(name)));
}

static bool read_reach(const struct unit *u, json_t *control)
{
	double weight, start, end;
	if (!read_number(u, "weight", NULL, 1, &weight) || !read_number(u, "guidance_start", NULL, 0, &start) ||
	    !read_number(u, "guidance_end", "guidance", 1, &end))
		return false;
	if (!(start >= 0 && start < end && end <= 1))
		return refuse(u, "guidance_end", "guidance_start and guidance_end must be of 0 to 1, one before the other");
	json_object_set_new(control, "strength", json_real(weight));
	if (start > 0)
		json_object_set_new(control, "start", json_real(start));
	if (end < 1)
		json_object_set_new(control, "end", json_real(end));
	return true;
}

/* Of a picture in base64; an object or list has its mask beside it. NULL: there is none. */
static const json_t *picture_of(const struct unit *u, bool *masked)
{
	const json_t *value = json_object_get(u->json, "image"), *mask = NULL;
	if (!says_something(value))
		value = json_object_get(u->json, "input_image");
	if (json_is_array(value) && json_is_object(json_array_get(value, 0)))
		value = json_array_size(value) == 1 ? json_array_get(value, 0) : value;
	if (json_is_object(value)) {
		mask = json_object_get(value, "mask");
		value = json_object_get(value, "image");
	} else if (json_is_array(value) && json_is_string(json_array_get(value, 0))) {
		mask = json_array_get(value, 1);
		value = json_array_get(value, 0);
	}
	*masked = says_something(mask);
	return says_something(value) ? value : u->init;
}

/* What the unit wants and a job's own way of making the map does not give. */
static bool is_special(const struct unit *u, const struct preprocessor *p, const double *settings,
		       enum controlnet_fit fit, const void *data, size_t size)
{
	int w, h;
	for (int i = 0; p && i < PREPROCESS_SETTINGS; i++) {
		const struct preprocess_setting *s = &p->settings[i];
		if (s->name && settings[i] >= s->min && settings[i] <= s->max && settings[i] != s->usual)
			return true;
	}
	if (fit == CONTROLNET_CROP || !u->width || picture_size(data, size, "image", &w, &h, NULL))
		return fit != CONTROLNET_CROP;
	/* One of the result's shape, to half a pixel, comes to its size in one way. */
	double across = (double)u->width / w, down = (double)u->height / h;
	return fabs(across - down) * (w > h ? w : h) > 0.5;
}

static bool send_picture(const struct unit *u, const struct control_module *m, enum controlnet_fit fit,
			 const double *settings, const void *data, size_t size, json_t *control)
{
	struct error err;
	uint8_t *png = NULL;
	const struct preprocessor *p = control_maker(m);
	int status = picture_check(data, size, "image", &err);
	bool special = !status && !m->whole && is_special(u, p, settings, fit, data, size);
	if (special && !u->width)
		return refuse(u, "resize_mode", "it takes width and height of the result, which the request does not say");
	if (special)
		status = controlnet_map(data, size, "image", p, settings, fit, u->width, u->height, &png, &size, &err);
	if (!status)
		status = work_input(u->worker, "image", png ? png : data, size, control, &err);
	free(png);
	json_object_set_new(control, "preprocess", json_string(special ? "none" : m->map));
	if (status == SUMI_CONNECT || status == SUMI_FULL) {
		call_fail(u->call, &err);
		return false;
	}
	return status ? refuse(u, "image", "%s", err.text) : true;
}

static bool read_picture(const struct unit *u, const struct control_module *m, enum controlnet_fit fit,
			 json_t *control)
{
	bool masked;
	void *data;
	size_t size;
	struct error err;
	double settings[PREPROCESS_SETTINGS];
	const json_t *text = picture_of(u, &masked);
	if (masked)
		return refuse(u, "mask", "a network follows the whole picture here");
	if (!json_is_string(text))
		return refuse(u, "image", "it must be a picture in base64");
	if (!read_number(u, "threshold_a", NULL, -1, &settings[0]) ||
	    !read_number(u, "threshold_b", NULL, -1, &settings[1]))
		return false;
	if (base64_decode(json_string_value(text), json_string_length(text), &data, &size, &err))
		return refuse(u, "image", "%s", err.text);
	bool fine = send_picture(u, m, fit, settings, data, size, control);
	free(data);
	/* Of what is a map already nothing tells the network. */
	if (fine && !json_object_get(control, "model") &&
	    strcmp(json_string_value(json_object_get(control, "preprocess")), "none") == 0)
		return refuse(u, "model", "say which network the picture is for (/controlnet/model_list)");
	return fine;
}

/* Where a picture that is seen as a whole counts. */
static bool read_region(const struct unit *u, const struct control_module *m, json_t *control)
{
	void *data;
	size_t size;
	struct error err;
	const json_t *text = json_object_get(u->json, REGION);
	if (!m->whole || !says_something(text))
		return true;
	if (!json_is_string(text))
		return refuse(u, REGION, "it must be a picture in base64");
	int status = base64_decode(json_string_value(text), json_string_length(text), &data, &size, &err);
	if (status)
		return refuse(u, REGION, "%s", err.text);
	if (!(status = picture_check(data, size, "mask", &err)))
		status = work_input(u->worker, "mask", data, size, control, &err);
	free(data);
	if (status == SUMI_CONNECT || status == SUMI_FULL) {
		call_fail(u->call, &err);
		return false;
	}
	return status ? refuse(u, REGION, "%s", err.text) : true;
}

static bool read_unit(const struct unit *u, json_t *control)
{
	enum controlnet_fit fit;
	const char *name = json_string_value(json_object_get(u->json, "module"));
	const struct control_module *m = control_module(name && *name ? name : "none");
	if (!refuse_strangers(u, m))
		return false;
	if (!m)
		return refuse(u, "module", "'%.60s' cannot be had here (/controlnet/module_list): send the map itself, "
					   "with module none",
			      name);
	double rate;
	if (!read_number(u, "threshold_a", NULL, -1, &rate))
		return false;
	if (strcmp(m->map, "tile") == 0 && rate > 1 && rate <= 8)
		return refuse(u, "threshold_a", "a tile network is shown the picture in its own size here");
	read_model(u, control);
	return read_modes(u, &fit, control) && read_reach(u, control) && read_picture(u, m, fit, control) &&
	       read_region(u, m, control);
}

static bool read_units(struct call *call, struct worker *w, const json_t *args, const json_t *init,
		       json_t *fields)
{
	size_t i;
	json_t *unit, *controls = json_array();
	bool fine = true;
	const json_t *width = json_object_get(fields, "width"), *height = json_object_get(fields, "height");
	bool sized = json_is_integer(width) && json_is_integer(height) && json_integer_value(width) > 0 &&
		     json_integer_value(width) <= PICTURE_SIDE_MAX && json_integer_value(height) > 0 &&
		     json_integer_value(height) <= PICTURE_SIDE_MAX;
	json_array_foreach((json_t *)args, i, unit)
	{
		struct unit u = {.call = call, .worker = w, .json = unit, .init = init, .number = i + 1};
		u.width = sized ? (int)json_integer_value(width) : 0;
		u.height = sized ? (int)json_integer_value(height) : 0;
		if (!json_is_object(unit)) {
			fine = !says_something(unit) || refuse(&u, "it", "it must be an object");
		} else if (!json_is_false(json_object_get(unit, "enabled"))) {
			json_t *control = json_object();
			fine = read_unit(&u, control);
			json_array_append_new(controls, control);
		}
		if (!fine)
			break;
	}
	if (fine && json_array_size(controls) && json_is_true(json_object_get(fields, "only_masked"))) {
		call_refuse(call, 422, "inpaint_full_res", "inpaint_full_res: with ControlNet the whole picture is "
							   "made: send inpaint_full_res false");
		fine = false;
	}
	if (fine && json_array_size(controls))
		json_object_set(fields, "controls", controls);
	json_decref(controls);
	return fine;
}

bool controlnet_read(struct call *call, struct worker *w, const json_t *body, const json_t *init,
		     json_t *fields)
{
	const char *name;
	json_t *script, *scripts = json_object_get(body, SCRIPTS);
	json_object_foreach(scripts, name, script)
	{
		const json_t *args = json_is_object(script) ? json_object_get(script, "args") : script;
		if (strcasecmp(name, "controlnet") != 0) {
			if (!says_something(args))
				continue;
			call_refuse(call, 422, SCRIPTS, SCRIPTS ": '%.60s' cannot be had here", name);
			return false;
		}
		if (!json_is_array(args) && says_something(args)) {
			call_refuse(call, 422, SCRIPTS, SCRIPTS ": ControlNet's args must be a list of units");
			return false;
		}
		if (!read_units(call, w, args, init, fields))
			return false;
	}
	return true;
}

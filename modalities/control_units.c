#include "modalities/control_units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const struct control_module control_modules[] = {{"none", "none", false},
						 {"canny", "canny", false},
						 {"lineart_standard", "lineart", false},
						 {"scribble_xdog", "scribble", false},
						 {"blur_gaussian", "blur", false},
						 {"tile_resample", "tile", false},
						 {"luminance", "luminance", false},
						 {"ip-adapter-auto", "like", true},
						 {"ip-adapter_clip_h", "like", true},
						 {"ip-adapter_clip_g", "like", true},
						 {"ip-adapter_clip_sd15", "like", true},
						 {"ip-adapter_clip_sdxl", "like", true},
						 {"ip-adapter_clip_sdxl_plus_vith", "like", true},
						 {NULL, NULL, false}};

static const struct control_module *named(const char *name, size_t n)
{
	for (const struct control_module *m = control_modules; m->name; m++)
		if (strlen(m->name) == n && strncasecmp(m->name, name, n) == 0)
			return m;
	return NULL;
}

const struct control_module *control_module(const char *name)
{
	const char *bracket = strstr(name, " (");
	return named(name, bracket ? (size_t)(bracket - name) : strlen(name));
}

const struct preprocessor *control_maker(const struct control_module *m)
{
	return preprocessor_find(m->map);
}

/* ---- writing ---- */

/* Of what is a map already the extension says "none". */
static const struct control_module *module_of(const char *map)
{
	for (const struct control_module *m = control_modules; m->name; m++)
		if (strcmp(m->map, map) == 0)
			return m;
	return &control_modules[0];
}

/* As Python writes a float. */
static void put_float(FILE *out, const char *name, double value)
{
	char text[32];
	snprintf(text, sizeof text, "%.12g", value);
	fprintf(out, ", %s: %s%s", name, text, strpbrk(text, ".e") ? "" : ".0");
}

static double number_of(const json_t *control, const char *name, double usual)
{
	const json_t *value = json_object_get(control, name);
	return json_is_number(value) ? json_number_value(value) : usual;
}

bool control_unit_write(const json_t *control, const char *sha256, int width, int height, char *out, size_t size)
{
	const char *map = json_string_value(json_object_get(control, "preprocess"));
	const char *model = json_string_value(json_object_get(control, "model"));
	if (!model || strpbrk(model, ",:\n"))
		return false;
	const struct control_module *m = module_of(map ? map : "none");
	const struct preprocessor *p = control_maker(m);
	double end = number_of(control, "end", 1);
	char *text;
	size_t length;
	FILE *f = open_memstream(&text, &length);
	if (!f)
		return false;
	fprintf(f, "Module: %s, Model: %s", m->name, model);
	if (sha256 && *sha256)
		fprintf(f, " [%.8s]", sha256);
	put_float(f, "Weight", number_of(control, "strength", 1));
	fputs(", Resize Mode: Crop and Resize", f);
	if (p)
		fprintf(f, ", Processor Res: %d", width < height ? width : height);
	if (p && p->settings[0].name)
		put_float(f, "Threshold A", p->settings[0].usual);
	if (p && p->settings[1].name)
		put_float(f, "Threshold B", p->settings[1].usual);
	put_float(f, "Guidance Start", number_of(control, "start", 0));
	put_float(f, "Guidance End", end == 0 ? 1 : end);
	bool guess = json_is_true(json_object_get(control, "guess"));
	fprintf(f, ", Pixel Perfect: True, Control Mode: %s", guess ? "ControlNet is more important" : "Balanced");
	bool fine = fclose(f) == 0 && length < size;
	if (fine)
		memcpy(out, text, length + 1);
	free(text);
	return fine;
}

/* ---- reading ---- */

struct pair {
	const char *key, *value;
	size_t key_size, value_size;
};

/* "Key: value, …"; commas in round brackets are the value's. */
static bool next_pair(const char **text, struct pair *out)
{
	const char *p = *text + strspn(*text, ", ");
	const char *colon = strstr(p, ": ");
	int depth = 0;
	if (!*p || !colon)
		return false;
	*out = (struct pair){.key = p, .key_size = (size_t)(colon - p), .value = colon + 2};
	const char *end = out->value;
	for (; *end && (depth > 0 || *end != ','); end++)
		depth += *end == '(' ? 1 : *end == ')' ? -1 : 0;
	out->value_size = (size_t)(end - out->value);
	*text = end;
	return true;
}

static void set_text(json_t *o, const char *name, const struct pair *p)
{
	json_t *text = json_stringn(p->value, p->value_size);
	if (text)
		json_object_set_new(o, name, text);
}

static void set_number(json_t *o, const char *name, const struct pair *p)
{
	char text[32] = "", *end;
	snprintf(text, sizeof text, "%.*s", (int)(p->value_size < 31 ? p->value_size : 31), p->value);
	double value = strtod(text, &end);
	if (end != text && !*end && value >= -1e6 && value <= 1e6)
		json_object_set_new(o, name, json_real(value));
}

static void set_module(json_t *o, const char *name, const struct pair *p)
{
	char text[80];
	(void)name;
	snprintf(text, sizeof text, "%.*s", (int)(p->value_size < 79 ? p->value_size : 79), p->value);
	const struct control_module *m = control_module(text);
	if (m)
		json_object_set_new(o, "preprocess", json_string(m->map));
	else
		set_text(o, "module", p);
}

/* "name [hash]" */
static void set_model(json_t *o, const char *name, const struct pair *p)
{
	struct pair bare = *p;
	for (size_t i = 0; i + 1 < p->value_size && bare.value_size == p->value_size; i++)
		if (p->value[i] == ' ' && p->value[i + 1] == '[')
			bare.value_size = i;
	set_text(o, name, &bare);
}

/* "(0, 1)" */
static void set_both(json_t *o, const char *name, const struct pair *p)
{
	double start, end;
	(void)name;
	if (sscanf(p->value, "(%lf, %lf)", &start, &end) != 2 || !(start >= 0 && start <= end && end <= 1))
		return;
	json_object_set_new(o, "start", json_real(start));
	json_object_set_new(o, "end", json_real(end));
}

/* It stands as a word, or as Python's name of it. */
static void set_mode(json_t *o, const char *name, const struct pair *p)
{
	static const char *const words[] = {"ControlNet is more important", "ControlMode.CONTROL"};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strlen(words[i]) == p->value_size && strncasecmp(words[i], p->value, p->value_size) == 0)
			json_object_set_new(o, name, json_true());
}

json_t *control_unit_read(const char *text)
{
	static const struct {
		const char *key, *name;
		void (*set)(json_t *o, const char *name, const struct pair *p);
	} keys[] = {{"module", "preprocess", set_module}, {"preprocessor", "preprocess", set_module},
		    {"model", "model", set_model},	  {"weight", "strength", set_number},
		    {"guidance start", "start", set_number}, {"guidance end", "end", set_number},
		    {"starting/ending", NULL, set_both},  {"control mode", "guess", set_mode}};
	struct pair p;
	json_t *o = json_object();
	while (o && next_pair(&text, &p))
		for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
			if (strlen(keys[i].key) == p.key_size && strncasecmp(keys[i].key, p.key, p.key_size) == 0)
				keys[i].set(o, keys[i].name, &p);
	if (json_object_get(o, "model"))
		return o;
	json_decref(o);
	return NULL;
}

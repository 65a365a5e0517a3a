/* Tags of LoRAs in prompts. */
#include "request/lora_tags.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/model_file.h"

enum { TAG_MAX = 256 };

/* "<lyco:" is an older word for the same. */
static const char *const fronts[] = {"<lora:", "<lyco:"};

/* The first tag in text: its start, and *end behind it; NULL: there is none. */
static const char *find_tag(const char *text, const char **end)
{
	for (; (text = strchr(text, '<')); text++)
		for (size_t i = 0; i < sizeof fronts / sizeof fronts[0]; i++) {
			size_t n = strlen(fronts[i]);
			const char *close = strncmp(text, fronts[i], n) == 0 ? strchr(text + n, '>') : NULL;
			if (!close || close == text + n)
				continue;
			*end = close + 1;
			return text;
		}
	return NULL;
}

static int wrong(const char *tag, size_t size, const char *why, struct error *err)
{
	return error_set(err, SUMI_INVALID, "job: field 'prompt': '%.*s' %s",
			 (int)(size < 120 ? size : 120), tag, why);
}

static bool read_number(const char *text, double *out)
{
	char *end;
	*out = strtod(text, &end);
	return end != text && !*end && isfinite(*out);
}

/* The parts behind the name, by their place or by name. */
static bool read_part(char *part, int place, json_t *object, bool *denoiser)
{
	static const struct {
		const char *name, *member;
	} named[] = {{"te", "te_weight"}, {"unet", "weight"}, {"dyn", "dyn"}};
	char *equals = strchr(part, '=');
	const char *member = place < 3 ? named[place].member : NULL;
	double value;
	if (equals) {
		member = NULL;
		*equals = '\0';
		for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
			if (strcmp(part, named[i].name) == 0)
				member = named[i].member;
		part = equals + 1;
	}
	if (!member || !read_number(part, &value))
		return false;
	*denoiser |= strcmp(member, "weight") == 0;
	json_object_set_new(object, member, json_real(value));
	return true;
}

static int read_tag(const char *tag, size_t size, json_t *list, struct error *err)
{
	char text[TAG_MAX];
	const size_t front = strlen(fronts[0]);
	if (size - front - 1 >= sizeof text)
		return wrong(tag, size, "is too long", err);
	snprintf(text, sizeof text, "%.*s", (int)(size - front - 1), tag + front);
	json_t *object = json_object();
	bool denoiser = false, fine = object != NULL;
	char *rest = text, *part = strsep(&rest, ":");
	json_object_set_new(object, "name", json_string(part));
	fine = fine && *part;
	for (int place = 0; fine && (part = strsep(&rest, ":"));) {
		bool named = strchr(part, '=');
		fine = read_part(part, place, object, &denoiser);
		place += !named;
	}
	/* The weight of the text encoder is that of both, unless the other is given. */
	const json_t *te = json_object_get(object, "te_weight");
	if (te && !denoiser) {
		json_object_set_new(object, "weight", json_real(json_real_value(te)));
		json_object_del(object, "te_weight");
	} else if (denoiser && !te) {
		json_object_set_new(object, "te_weight", json_real(1));
	}
	if (!fine || json_array_append(list, object)) {
		json_decref(object);
		return wrong(tag, size, "is no <lora:NAME:WEIGHT>", err);
	}
	json_decref(object);
	return SUMI_OK;
}

/* Those of the job's own list come first. */
static json_t *given_list(const json_t *fields)
{
	const json_t *given = json_object_get(fields, "loras");
	if (!given || json_is_null(given))
		return json_array();
	return json_is_array(given) ? json_copy((json_t *)given) : NULL;
}

int lora_tags_take(const json_t *fields, json_t **out, struct error *err)
{
	const char *prompt = json_string_value(json_object_get(fields, "prompt")), *end, *tag;
	*out = NULL;
	if (!prompt || !find_tag(prompt, &end))
		return SUMI_OK;
	json_t *list = given_list(fields);
	if (!list) /* what is wrong with it is said where it is read */
		return SUMI_OK;
	char *left = malloc(strlen(prompt) + 2), *to = left;
	int status = left ? SUMI_OK : error_set(err, SUMI_NOMEM, "job: no memory");
	for (; !status && (tag = find_tag(prompt, &end)); prompt = end) {
		memcpy(to, prompt, (size_t)(tag - prompt));
		to += tag - prompt;
		status = read_tag(tag, (size_t)(end - tag), list, err);
	}
	if (!status) {
		strcpy(to, prompt);
		if (!*left) /* a prompt of tags alone is an empty text, not none */
			strcpy(left, " ");
		*out = json_copy((json_t *)fields);
		if (!*out || json_object_set_new(*out, "prompt", json_string(left)) ||
		    json_object_set(*out, "loras", list)) {
			json_decref(*out);
			*out = NULL;
			status = error_set(err, SUMI_NOMEM, "job: no memory");
		}
	}
	free(left);
	json_decref(list);
	return status;
}

/* As other programs find it: without folders and the file's ending. */
static const char *plain_name(const char *name, int *length)
{
	for (const char *p; (p = strpbrk(name, "/\\")) && p[1];)
		name = p + 1;
	const char *ending = model_file_ending(name);
	*length = ending && ending != name ? (int)(ending - name) : (int)strlen(name);
	return name;
}

void lora_tags_text(const json_t *loras, char *out, size_t size)
{
	size_t used = 0;
	*out = '\0';
	for (size_t i = 0; i < json_array_size(loras); i++) {
		const json_t *o = json_array_get(loras, i), *te = json_object_get(o, "te_weight");
		const json_t *dyn = json_object_get(o, "dyn");
		double weight = json_number_value(json_object_get(o, "weight"));
		char tag[TAG_MAX + 96];
		int length;
		const char *name = plain_name(json_string_value(json_object_get(o, "name")), &length);
		int n = snprintf(tag, sizeof tag, " <lora:%.*s:%.9g", length, name, te ? json_number_value(te) : weight);
		if (te)
			n += snprintf(tag + n, sizeof tag - (size_t)n, ":%.9g", weight);
		if (dyn)
			n += snprintf(tag + n, sizeof tag - (size_t)n, ":dyn=%d", (int)json_integer_value(dyn));
		n += snprintf(tag + n, sizeof tag - (size_t)n, ">");
		if (used + (size_t)n >= size)
			return;
		memcpy(out + used, tag, (size_t)n + 1);
		used += (size_t)n;
	}
}

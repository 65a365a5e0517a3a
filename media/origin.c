/* Which program made a file, and with what. */
#include "media/origin.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "media/comfy.h"
#include "media/metadata.h"
#include "media/origin_json.h"

void origin_clear(struct origin *o)
{
	infotext_free(&o->text);
	json_decref(o->json);
	json_decref(o->graph);
	json_decref(o->loras);
	free(o->infotext);
	*o = (struct origin){0};
}

static json_t *parse_object(const char *text)
{
	json_t *value = NULL;
	if (json_read_foreign(text, strlen(text), COMFY_MEMORY, "metadata", &value, NULL) ||
	    !json_is_object(value)) {
		json_decref(value);
		value = NULL;
	}
	return value;
}

/* The object that a text is, or is behind a name: some write "Prompt: {…}" into EXIF. key: the text's,
 * or that name in small letters. NULL: it is none. */
static json_t *object_of(const struct file_text *t, char key[64])
{
	const char *text = t->text;
	size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-");
	snprintf(key, 64, "%s", *t->key ? t->key : text_place_name(t->place));
	if (n > 0 && n < 64 && text[n] == ':') {
		for (size_t i = 0; i <= n; i++)
			key[i] = i < n ? (char)tolower((unsigned char)text[i]) : '\0';
		text += n + 1;
	}
	while (isspace((unsigned char)*text))
		text++;
	return *text == '{' ? parse_object(text) : NULL;
}

/* What *o->json shall be, and in *chunks the texts of PNG by their keys: some programs write each field
 * into a chunk of its own. */
static int collect(const struct file_texts *texts, struct origin *o, json_t **chunks,
		   struct error *err)
{
	json_t *all = json_object();
	*chunks = json_object();
	for (size_t i = 0; i < texts->count; i++) {
		char key[64];
		const struct file_text *t = &texts->at[i];
		json_t *object = object_of(t, key);
		if (object && !json_object_get(all, key))
			json_object_set(all, key, object);
		if (t->place == TEXT_PNG && !json_object_get(*chunks, t->key))
			json_object_set_new(*chunks, t->key,
					    object ? json_incref(object) : json_string(t->text));
		json_decref(object);
	}
	o->json = all;
	return all && *chunks ? SUMI_OK : error_set(err, SUMI_NOMEM, "no memory for metadata");
}

/* Members that are texts of JSON themselves become what they say. */
static json_t *unfold(const json_t *object)
{
	json_t *out = json_copy((json_t *)object), *value;
	const char *key;
	json_object_foreach((json_t *)object, key, value)
	{
		const char *text = json_string_value(value);
		json_t *inside = text && *text == '{' ? parse_object(text) : NULL;
		if (inside)
			json_object_set_new(out, key, inside);
	}
	return out;
}

/* The fields of programs that write JSON. */
static int read_json(struct origin *o, const json_t *chunks, struct error *err)
{
	json_t *all = json_object(), *object;
	const char *key;
	json_object_foreach(o->json, key, object)
	{
		json_object_set_new(all, key, unfold(object));
	}
	json_object_set_new(all, "PNG", unfold(chunks));
	int status = origin_json_fields(all, &o->text, o->loras, &o->program, err);
	json_decref(all);
	return status;
}

/* InvokeAI's first form, a line of its prompt: "a cat" -s50 -S42 -W512 -H768 -C7.5 -Ak_euler_a */
static int read_dream(const char *text, struct origin *o, struct error *err)
{
	static const struct {
		char letter;
		const char *key;
	} options[] = {{'s', "Steps"}, {'S', "Seed"}, {'C', "CFG scale"}, {'A', "Sampler"},
		       {'f', "Denoising strength"}};
	const char *end = *text == '"' ? strrchr(text, '"') : NULL;
	if (!end || end == text)
		return SUMI_OK;
	char *prompt = strndup(text + 1, (size_t)(end - text - 1)), value[64];
	int side[2] = {0, 0};
	int status = prompt ? infotext_set_prompt(&o->text, false, prompt, err)
			    : error_set(err, SUMI_NOMEM, "no memory for metadata");
	free(prompt);
	for (const char *p = end + 1; !status && (p = strstr(p, " -"));) {
		char letter = p[2];
		p += letter ? 3 : 2;
		if (sscanf(p, " %63[^ ]", value) != 1)
			continue;
		if (letter == 'W' || letter == 'H')
			side[letter == 'H'] = atoi(value);
		for (size_t i = 0; i < sizeof options / sizeof options[0] && !status; i++)
			if (options[i].letter == letter)
				status = infotext_set(&o->text, options[i].key, value, err);
	}
	if (!status && side[0] > 0 && side[1] > 0) {
		snprintf(value, sizeof value, "%dx%d", side[0], side[1]);
		status = infotext_set(&o->text, "Size", value, err);
	}
	o->program = "InvokeAI";
	return status;
}

static json_t *find_graph(const json_t *json)
{
	const char *key;
	json_t *object, *graph = comfy_graph(json_object_get(json, "prompt"));
	json_object_foreach((json_t *)json, key, object)
	{
		if (!graph)
			graph = comfy_graph(object);
	}
	return graph;
}

/* Who writes infotexts, told by a field and how its value begins. */
static const struct {
	const char *key, *begins, *program;
} writers[] = {
    {"Version", "sumi", "sumi"},
    {"App", "SD.Next", "SD.Next"},
    {"Version", "stable-diffusion.cpp", "stable-diffusion.cpp"},
    {"Version", "Fooocus", "Fooocus"},
    {"Version", "ComfyUI", "ComfyUI"},
    {"Version", "classic", "Forge Classic"},
    {"Version", "neo", "Forge Neo"},
    {"Version", "f", "Forge"},
    {"Civitai resources", "", "Civitai"},
    {"Civitai metadata", "", "Civitai"},
};

static const char *writer_of(const struct infotext *text)
{
	for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++) {
		const char *value = infotext_get(text, writers[i].key);
		if (value && strncmp(value, writers[i].begins, strlen(writers[i].begins)) == 0)
			return writers[i].program;
	}
	return "A1111";
}

/* Some nodes of ComfyUI write an infotext of which they know nothing, beside the graph that does. */
static bool knows_nothing(const struct infotext *text)
{
	static const char *const keys[] = {"Model", "Sampler"};
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		const char *value = infotext_get(text, keys[i]);
		if (value && strcasecmp(value, "unknown") == 0)
			return true;
	}
	return false;
}

/* Fields of *more that *text has not go into it; with all, those that it has too. */
static int merge(struct infotext *text, const struct infotext *more, bool all, struct error *err)
{
	int status = SUMI_OK;
	const char *prompts[2] = {more->prompt, more->negative_prompt};
	for (int i = 0; i < 2 && !status; i++) {
		char **old = i ? &text->negative_prompt : &text->prompt;
		if (all && prompts[i] && *prompts[i] && *old)
			**old = '\0';
		if (prompts[i])
			status = infotext_set_prompt(text, i, prompts[i], err);
	}
	for (size_t i = 0; i < more->count && !status; i++)
		if (all || !infotext_get(text, more->fields[i].key))
			status = infotext_set(text, more->fields[i].key, more->fields[i].value, err);
	return status;
}

static int read_graph(struct origin *o, json_t *graph, struct error *err)
{
	struct infotext fields = {0};
	bool lies = o->infotext && knows_nothing(&o->text), counts = !o->program || lies;
	json_t *loras = json_array();
	int status = comfy_fields(graph, &fields, loras, err);
	/* What a program says in its own words counts before the graph that it drives. */
	if (!status && counts)
		status = merge(&o->text, &fields, lies, err);
	infotext_free(&fields);
	if (counts) {
		o->program = "ComfyUI";
		json_array_extend(o->loras, loras);
	}
	json_decref(loras);
	o->graph = comfy_summary(graph);
	if (!status && !o->graph)
		status = error_set(err, SUMI_NOMEM, "no memory for metadata");
	return status;
}

int origin_read(const struct file_texts *texts, struct origin *o, struct error *err)
{
	struct metadata m;
	json_t *chunks = NULL, *graph = NULL;
	*o = (struct origin){0};
	int status = metadata_pick(texts, &m, err);
	if (!status && !(o->loras = json_array()))
		status = error_set(err, SUMI_NOMEM, "no memory for metadata");
	if (!status)
		status = collect(texts, o, &chunks, err);
	if (!status && m.infotext) {
		o->infotext = m.infotext;
		m.infotext = NULL;
		status = infotext_parse(o->infotext, strlen(o->infotext), &o->text, err);
		o->program = writer_of(&o->text);
	}
	if (!status)
		status = read_json(o, chunks, err);
	const char *dream = texts_find(texts, TEXT_PNG, "Dream");
	if (!status && !o->program && dream)
		status = read_dream(dream, o, err);
	if (!status && (graph = find_graph(o->json)))
		status = read_graph(o, graph, err);
	if (!status && json_object_size(o->json) == 0) {
		json_decref(o->json);
		o->json = NULL;
	}
	json_decref(graph);
	json_decref(chunks);
	metadata_free(&m);
	if (status)
		origin_clear(o);
	return status;
}

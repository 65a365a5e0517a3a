/* What a graph of ComfyUI says of the pictures that it made. */
#include "media/comfy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { LINKS_MAX = 64 }; /* that are followed from a sampler to a text: graphs may have circles */

static const char *class_of(const json_t *node)
{
	return json_string_value(json_object_get(node, "class_type"));
}

static json_t *input_of(const json_t *node, const char *name)
{
	return json_object_get(json_object_get(node, "inputs"), name);
}

/* What a node passes on under whatever name it has for it; NULL: it does more than that. */
static const json_t *passed(const json_t *node)
{
	const char *key;
	json_t *value;
	if (!strstr(class_of(node), "Reroute"))
		return NULL;
	json_object_foreach(json_object_get(node, "inputs"), key, value)
	{
		if (json_is_array(value))
			return value;
	}
	return NULL;
}

static json_t *node_of_link(const json_t *graph, const json_t *link)
{
	json_t *node = NULL;
	for (int links = 0; link && links < LINKS_MAX; links++) {
		const json_t *id = json_array_get(link, 0);
		char number[32];
		if (json_array_size(link) != 2)
			return NULL;
		snprintf(number, sizeof number, "%lld", (long long)json_integer_value(id));
		node = json_object_get(graph, json_is_integer(id) ? number : json_string_value(id));
		link = class_of(node) ? passed(node) : NULL;
	}
	return class_of(node) ? node : NULL;
}

static bool is_graph(const json_t *value)
{
	const char *key;
	json_t *node;
	json_object_foreach((json_t *)value, key, node)
	{
		if (class_of(node))
			return true;
	}
	return false;
}

json_t *comfy_graph(const json_t *value)
{
	json_t *inside = json_object_get(value, "prompt");
	if (is_graph(value))
		return json_incref((json_t *)value);
	if (is_graph(inside))
		return json_incref(inside);
	if (!json_is_string(inside))
		return NULL;
	json_t *parsed = NULL;
	const char *text = json_string_value(inside);
	if (*text != '{' || json_read_foreign(text, strlen(text), COMFY_MEMORY, "graph", &parsed, NULL))
		return NULL;
	if (is_graph(parsed))
		return parsed;
	json_decref(parsed);
	return NULL;
}

/* ---- texts ---- */

/* Nodes that make another text of theirs, by a part of their classes' names. */
static bool computes(const json_t *node)
{
	static const char *const words[] = {"Random",  "Wildcard", "Replace", "Concat", "Join",	   "Combine",  "Regex",
					    "Generat", "Translat", "LLM",     "Tagger", "Caption", "Interrogat"};
	const char *class = node ? class_of(node) : "";
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strstr(class, words[i]))
			return true;
	return false;
}

/* A node that holds one text, whatever it calls it; NULL where it is computed. */
static const char *text_of_node(const json_t *graph, const json_t *node, int links)
{
	static const char *const names[] = {"text",   "prompt", "string", "value",
					    "text_g", "t5xxl",	"clip_l"};
	const json_t *populated = input_of(node, "populated_text"); /* what was drawn of a template beside it */
	if (json_is_string(populated))
		return json_string_value(populated);
	if (computes(node))
		return NULL;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const json_t *value = input_of(node, names[i]);
		if (json_is_string(value))
			return json_string_value(value);
		if (json_is_array(value))
			return links > 0 ? text_of_node(graph, node_of_link(graph, value), links - 1)
					 : NULL;
	}
	return NULL;
}

static bool encodes(const json_t *node)
{
	const char *class = class_of(node);
	return strstr(class, "TextEncode") || strstr(class, "Prompt") || strstr(class, "prompt");
}

/* From an input of conditioning to its text. What combines two has none of its own, nor what takes it away. */
static const char *text_of_input(const json_t *graph, const json_t *node, const char *name)
{
	for (int links = 0; links < LINKS_MAX; links++) {
		const json_t *link = input_of(node, name);
		json_int_t slot = json_integer_value(json_array_get(link, 1));
		node = node_of_link(graph, link);
		if (!node || strstr(class_of(node), "ZeroOut"))
			return NULL;
		/* Loaders that hold both. */
		if (json_is_string(input_of(node, name)) && strcmp(name, "conditioning") != 0)
			return json_string_value(input_of(node, name));
		if (encodes(node))
			return text_of_node(graph, node, LINKS_MAX);
		/* ControlNets take both and give both. */
		if (input_of(node, "positive"))
			name = slot == 1 ? "negative" : "positive";
		else
			name = "conditioning";
	}
	return NULL;
}

/* ---- summary ---- */

static const struct {
	const char *input, *key; /* of an infotext */
} of_sampler[] = {{"seed", "Seed"},	    {"noise_seed", "Seed"},
		  {"steps", "Steps"},	    {"cfg", "CFG scale"},
		  {"sampler_name", "Sampler"}, {"scheduler", "Schedule type"},
		  {"denoise", "Denoising strength"}};
enum { OF_SAMPLER = sizeof of_sampler / sizeof of_sampler[0] };

static bool is_sampler(const json_t *node)
{
	return strncmp(class_of(node), "KSampler", 8) == 0;
}

static json_t *text_json(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *sampler_json(const json_t *graph, const char *id, const json_t *node)
{
	json_t *out = json_pack("{s:s, s:s}", "node", id, "class", class_of(node));
	for (int i = 0; i < OF_SAMPLER; i++) {
		json_t *value = input_of(node, of_sampler[i].input);
		if (value && !json_is_array(value) && !json_is_object(value))
			json_object_set(out, of_sampler[i].input, value);
	}
	json_object_set_new(out, "positive", text_json(text_of_input(graph, node, "positive")));
	json_object_set_new(out, "negative", text_json(text_of_input(graph, node, "negative")));
	return out;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Each once, in the order of their letters. */
static json_t *classes_of(const json_t *graph)
{
	size_t n = 0;
	const char *key, **names = calloc(json_object_size(graph) + 1, sizeof *names);
	json_t *node, *out = json_array();
	if (!names)
		return out;
	json_object_foreach((json_t *)graph, key, node)
	{
		if (class_of(node))
			names[n++] = class_of(node);
	}
	qsort(names, n, sizeof *names, by_text);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
			json_array_append_new(out, json_string(names[i]));
	free(names);
	return out;
}

static void add_node(const json_t *node, json_t *checkpoints, json_t *loras, json_t *sizes)
{
	json_t *checkpoint = input_of(node, "ckpt_name"), *lora = input_of(node, "lora_name");
	json_t *width = input_of(node, "width"), *height = input_of(node, "height");
	json_t *strength = input_of(node, "strength_model");
	if (json_is_string(checkpoint))
		json_array_append(checkpoints, checkpoint);
	if (json_is_string(lora))
		json_array_append_new(loras,
				      json_pack("[O, O]", lora, strength ? strength : json_null()));
	if (strncmp(class_of(node), "Empty", 5) == 0 && json_is_number(width) &&
	    json_is_number(height))
		json_array_append_new(sizes, json_pack("[O, O]", width, height));
}

json_t *comfy_summary(const json_t *graph)
{
	json_t *samplers = json_array(), *checkpoints = json_array(), *loras = json_array();
	json_t *sizes = json_array(), *node;
	const char *id;
	json_object_foreach((json_t *)graph, id, node)
	{
		if (!class_of(node))
			continue;
		if (is_sampler(node))
			json_array_append_new(samplers, sampler_json(graph, id, node));
		add_node(node, checkpoints, loras, sizes);
	}
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "class_types", classes_of(graph), "samplers",
			 samplers, "checkpoints", checkpoints, "loras", loras, "size", sizes);
}

/* ---- fields ---- */

enum { THROUGH_MAX = 12 }; /* links from a sampler to a value */

/* What a node that a value is linked to calls it: as it is asked for, or as nodes that hold one value do. */
static const json_t *held(const json_t *graph, const json_t *node, const char *name, int links)
{
	static const char *const names[] = {"value", "seed", "noise_seed", "int", "float", "number", "Number", "Value"};
	const json_t *value = input_of(node, name);
	for (size_t i = 0; !value && i < sizeof names / sizeof names[0]; i++)
		value = input_of(node, names[i]);
	if (json_is_array(value))
		return links > 0 ? held(graph, node_of_link(graph, value), name, links - 1) : NULL;
	return json_is_object(value) ? NULL : value;
}

/* The value of an input, or of what it is linked to: custom samplers take theirs from other nodes. */
static const json_t *value_of(const json_t *graph, const json_t *node, const char *name, int links)
{
	static const char *const through[] = {"sampler", "sigmas", "guider", "noise"};
	const json_t *value = input_of(node, name);
	if (json_is_array(value))
		return links > 0 ? held(graph, node_of_link(graph, value), name, links - 1) : NULL;
	if (value)
		return value;
	for (size_t i = 0; i < sizeof through / sizeof through[0] && links > 0; i++) {
		const json_t *other = node_of_link(graph, input_of(node, through[i]));
		const json_t *found = other ? value_of(graph, other, name, links - 1) : NULL;
		if (found)
			return found;
	}
	return NULL;
}

/* The text of a side of a sampler; one with a guider has it there. */
static const char *text_of_side(const json_t *graph, const json_t *sampler, bool negative)
{
	static const char *const sides[2][3] = {{"positive", "conditioning", "cond1"}, {"negative", NULL, NULL}};
	const json_t *guider = node_of_link(graph, input_of(sampler, "guider"));
	const json_t *node = guider ? guider : sampler;
	for (int i = 0; i < 3 && sides[negative][i]; i++)
		if (input_of(node, sides[negative][i]))
			return text_of_input(graph, node, sides[negative][i]);
	return NULL;
}

/* The node that a sampler's input comes to, through those that pass it on, at which `is` is true. */
static const json_t *origin_of(const json_t *graph, const json_t *sampler, const char *const *inputs,
			       bool (*is)(const json_t *graph, const json_t *node, void *out), void *out)
{
	const json_t *node = sampler;
	for (int links = 0; node && links < LINKS_MAX; links++) {
		const json_t *next = NULL;
		if (node != sampler && is(graph, node, out))
			return node;
		for (int i = 0; inputs[i] && !next; i++)
			next = node_of_link(graph, input_of(node, inputs[i]));
		node = next;
	}
	return NULL;
}

static bool has_size(const json_t *graph, const json_t *node, void *out)
{
	static const char *const names[][2] = {{"width", "height"}, {"empty_latent_width", "empty_latent_height"}};
	int *size = out;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		for (int k = 0; k < 2; k++) {
			const json_t *side = value_of(graph, node, names[i][k], THROUGH_MAX);
			size[k] = json_is_number(side) ? (int)json_number_value(side) : 0;
			if (size[k] <= 0)
				break;
			if (k)
				return true;
		}
	return false;
}

static const char *const model_names[] = {"ckpt_name", "unet_name", "base_ckpt_name", "model_path", NULL};

/* Of what stands between a sampler and its model the LoRAs, the last one first. */
static void add_lora(const json_t *node, json_t *loras)
{
	const json_t *name = input_of(node, "lora_name"), *model = input_of(node, "strength_model");
	const json_t *text = input_of(node, "strength_clip");
	if (!json_is_string(name) || strcmp(json_string_value(name), "None") == 0)
		return;
	json_t *lora = json_pack("{s:O, s:f}", "name", name, "weight", json_is_number(model) ? json_number_value(model) : 1);
	if (json_is_number(text) && json_number_value(text) != json_number_value(json_object_get(lora, "weight")))
		json_object_set_new(lora, "te_weight", json_real(json_number_value(text)));
	json_array_insert_new(loras, 0, lora);
}

struct model {
	const char *name;
	json_t *loras;
};

static bool has_model(const json_t *graph, const json_t *node, void *out)
{
	struct model *m = out;
	(void)graph;
	add_lora(node, m->loras);
	for (int i = 0; model_names[i] && !m->name; i++)
		m->name = json_string_value(input_of(node, model_names[i]));
	return m->name != NULL;
}

/* The sampler that begins from noise: others go on with what it made. */
static const json_t *first_sampler(const json_t *graph)
{
	const char *id;
	json_t *node, *any = NULL;
	json_object_foreach((json_t *)graph, id, node)
	{
		const char *class = class_of(node);
		if (!class || strstr(class, "Select") || !strstr(class, "Sampler") ||
		    !input_of(node, "latent_image"))
			continue;
		const json_t *denoise = input_of(node, "denoise");
		const char *noise = json_string_value(input_of(node, "add_noise"));
		bool begins = !(json_is_number(denoise) && json_number_value(denoise) < 1) &&
			      !(noise && strcmp(noise, "disable") == 0);
		if (begins)
			return node;
		any = any ? any : node;
	}
	return any;
}

static int set_value(struct infotext *text, const char *key, const json_t *value, struct error *err)
{
	char *dumped = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	const char *as = json_is_string(value) ? json_string_value(value) : dumped;
	int status = as ? infotext_set(text, key, as, err) : SUMI_OK;
	free(dumped);
	return status;
}

int comfy_fields(const json_t *graph, struct infotext *text, json_t *loras, struct error *err)
{
	static const char *const latents[] = {"latent_image", "samples", "latent", "latents", NULL};
	static const char *const models[] = {"model", "guider", "basic_pipe", NULL};
	json_t *summary = comfy_summary(graph);
	const json_t *sampler = first_sampler(graph);
	const json_t *first = json_array_get(json_object_get(summary, "size"), 0);
	struct model model = {.loras = loras};
	int status = SUMI_OK, size[2] = {(int)json_number_value(json_array_get(first, 0)),
					 (int)json_number_value(json_array_get(first, 1))};
	for (int i = 0; sampler && i < 2 && !status; i++) {
		const char *prompt = text_of_side(graph, sampler, i);
		if (prompt)
			status = infotext_set_prompt(text, i, prompt, err);
	}
	for (int i = 0; sampler && i < OF_SAMPLER && !status; i++) {
		const json_t *value = value_of(graph, sampler, of_sampler[i].input, THROUGH_MAX);
		bool whole = strcmp(of_sampler[i].input, "denoise") == 0 &&
			     json_number_value(value) >= 1;
		if (value && !whole)
			status = set_value(text, of_sampler[i].key, value, err);
	}
	int own[2];
	if (sampler && origin_of(graph, sampler, latents, has_size, own))
		memcpy(size, own, sizeof size);
	if (!status && size[0] > 0 && size[1] > 0) {
		char both[64];
		snprintf(both, sizeof both, "%dx%d", size[0], size[1]);
		status = infotext_set(text, "Size", both, err);
	}
	if (sampler)
		origin_of(graph, sampler, models, has_model, &model);
	if (!model.name)
		model.name = json_string_value(json_array_get(json_object_get(summary, "checkpoints"), 0));
	if (!status && model.name)
		status = infotext_set(text, "Model", model.name, err);
	json_decref(summary);
	return status;
}

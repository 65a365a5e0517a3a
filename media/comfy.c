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

static json_t *node_of_link(const json_t *graph, const json_t *link)
{
	const json_t *id = json_array_get(link, 0);
	char number[32];
	if (json_array_size(link) != 2)
		return NULL;
	snprintf(number, sizeof number, "%lld", (long long)json_integer_value(id));
	json_t *node = json_object_get(graph, json_is_integer(id) ? number : json_string_value(id));
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

/* A node that holds one text, whatever it calls it; NULL where it is computed. */
static const char *text_of_node(const json_t *graph, const json_t *node, int links)
{
	static const char *const names[] = {"text",   "prompt", "string", "value",
					    "text_g", "t5xxl",	"clip_l", "populated_text"};
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

/* From an input of conditioning to its text. What combines two has none of its own. */
static const char *text_of_input(const json_t *graph, const json_t *node, const char *name)
{
	for (int links = 0; links < LINKS_MAX; links++) {
		const json_t *link = input_of(node, name);
		json_int_t slot = json_integer_value(json_array_get(link, 1));
		node = node_of_link(graph, link);
		if (!node)
			return NULL;
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

/* The value of an input, or of what it is linked to: custom samplers take theirs from other nodes. */
static const json_t *value_of(const json_t *graph, const json_t *node, const char *name, int links)
{
	static const char *const through[] = {"sampler", "sigmas", "guider", "noise"};
	const json_t *value = input_of(node, name);
	if (value && !json_is_array(value))
		return value;
	if (value && links > 0) {
		const json_t *other = node_of_link(graph, value);
		const json_t *constant = input_of(other, name);
		return constant ? constant : input_of(other, "value");
	}
	for (size_t i = 0; i < sizeof through / sizeof through[0] && links > 0; i++) {
		const json_t *other = node_of_link(graph, input_of(node, through[i]));
		const json_t *found = other ? value_of(graph, other, name, links - 1) : NULL;
		if (found)
			return found;
	}
	return NULL;
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

int comfy_fields(const json_t *graph, struct infotext *text, struct error *err)
{
	json_t *summary = comfy_summary(graph);
	const json_t *sampler = first_sampler(graph);
	const json_t *size = json_array_get(json_object_get(summary, "size"), 0);
	const json_t *model = json_array_get(json_object_get(summary, "checkpoints"), 0);
	int status = SUMI_OK;
	static const char *const sides[] = {"positive", "negative"};
	for (int i = 0; sampler && i < 2 && !status; i++) {
		const char *prompt = text_of_input(graph, sampler, sides[i]);
		if (prompt)
			status = infotext_set_prompt(text, i, prompt, err);
	}
	for (int i = 0; sampler && i < OF_SAMPLER && !status; i++) {
		const json_t *value = value_of(graph, sampler, of_sampler[i].input, 2);
		bool whole = strcmp(of_sampler[i].input, "denoise") == 0 &&
			     json_number_value(value) >= 1;
		if (value && !whole)
			status = set_value(text, of_sampler[i].key, value, err);
	}
	if (!status && size) {
		char both[64];
		snprintf(both, sizeof both, "%.0fx%.0f", json_number_value(json_array_get(size, 0)),
			 json_number_value(json_array_get(size, 1)));
		status = infotext_set(text, "Size", both, err);
	}
	if (!status && model)
		status = infotext_set(text, "Model", json_string_value(model), err);
	json_decref(summary);
	return status;
}

/* Programs that write JSON into their pictures. */
#include "media/origin_json.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PATHS = 24 };

/* Paths go through objects and lists: "image.prompt.0.prompt". Of two for one key the first that is
 * there counts. */
struct program {
	const char *name;
	const char *key;     /* of the text; NULL: any */
	const char *mark[2]; /* one of them is in no other program's */
	struct {
		const char *path, *key; /* of an infotext, or one of the four below */
	} fields[PATHS];
};

#define PROMPT "prompt"
#define NEGATIVE "negative"
#define WIDTH "width"
#define HEIGHT "height"

static const struct program programs[] = {
    {"SwarmUI", NULL, {"sui_image_params"},
     {{"sui_image_params.prompt", PROMPT},
      {"sui_image_params.negativeprompt", NEGATIVE},
      {"sui_image_params.steps", "Steps"},
      {"sui_image_params.sampler", "Sampler"},
      {"sui_image_params.scheduler", "Schedule type"},
      {"sui_image_params.cfgscale", "CFG scale"},
      {"sui_image_params.seed", "Seed"},
      {"sui_image_params.width", WIDTH},
      {"sui_image_params.height", HEIGHT},
      {"sui_image_params.model", "Model"},
      {"sui_image_params.vae", "VAE"},
      {"sui_image_params.initimagecreativity", "Denoising strength"},
      {"sui_image_params.refinerupscale", "Hires upscale"},
      {"sui_image_params.refinerupscalemethod", "Hires upscaler"}}},
    {"InvokeAI", "invokeai_metadata", {"positive_prompt", "app_version"},
     {{"positive_prompt", PROMPT},
      {"negative_prompt", NEGATIVE},
      {"steps", "Steps"},
      {"scheduler", "Sampler"},
      {"cfg_scale", "CFG scale"},
      {"seed", "Seed"},
      {"width", WIDTH},
      {"height", HEIGHT},
      {"model.name", "Model"},
      {"model.model_name", "Model"},
      {"model.hash", "Model hash"},
      {"vae.name", "VAE"},
      {"strength", "Denoising strength"},
      {"cfg_rescale_multiplier", "CFG rescale"},
      {"clip_skip", "Skipped layers"},
      {"rand_device", "Noise device"}}},
    {"InvokeAI", "sd-metadata", {"image", "model"},
     {{"image.prompt.0.prompt", PROMPT},
      {"image.prompt", PROMPT},
      {"image.steps", "Steps"},
      {"image.sampler", "Sampler"},
      {"image.cfg_scale", "CFG scale"},
      {"image.seed", "Seed"},
      {"image.width", WIDTH},
      {"image.height", HEIGHT},
      {"model_weights", "Model"},
      {"model_hash", "Model hash"}}},
    {"Fooocus", NULL, {"metadata_scheme", "adm_guidance"},
     {{"prompt", PROMPT},
      {"negative_prompt", NEGATIVE},
      {"steps", "Steps"},
      {"sampler", "Sampler"},
      {"scheduler", "Schedule type"},
      {"guidance_scale", "CFG scale"},
      {"seed", "Seed"},
      {"resolution", "Size"},
      {"base_model", "Model"},
      {"base_model_hash", "Model hash"},
      {"vae", "VAE"},
      {"clip_skip", "Clip skip"},
      {"styles", "Styles"},
      {"performance", "Performance"},
      {"sharpness", "Sharpness"},
      {"refiner_model", "Refiner"},
      {"refiner_switch", "Refiner switch at"},
      {"version", "Version"}}},
    {"Fooocus", NULL, {"ADM Guidance", "Fooocus V2 Expansion"},
     {{"Prompt", PROMPT},
      {"Negative Prompt", NEGATIVE},
      {"Steps", "Steps"},
      {"Sampler", "Sampler"},
      {"Scheduler", "Schedule type"},
      {"Guidance Scale", "CFG scale"},
      {"Seed", "Seed"},
      {"Resolution", "Size"},
      {"Base Model", "Model"},
      {"VAE", "VAE"},
      {"Styles", "Styles"},
      {"Performance", "Performance"},
      {"Sharpness", "Sharpness"},
      {"Version", "Version"}}},
    {"RuinedFooocus", NULL, {"base_model_name"},
     {{"Prompt", PROMPT},
      {"prompt", PROMPT},
      {"Negative", NEGATIVE},
      {"negative_prompt", NEGATIVE},
      {"steps", "Steps"},
      {"sampler_name", "Sampler"},
      {"scheduler", "Schedule type"},
      {"cfg", "CFG scale"},
      {"seed", "Seed"},
      {"width", WIDTH},
      {"height", HEIGHT},
      {"base_model_name", "Model"},
      {"base_model_hash", "Model hash"},
      {"clip_skip", "Clip skip"},
      {"software", "Version"}}},
    {"NovelAI", NULL, {"Comment.uc", "Comment.noise_schedule"},
     {{"Comment.prompt", PROMPT},
      {"Comment.v4_prompt.caption.base_caption", PROMPT},
      {"Description", PROMPT},
      {"Comment.uc", NEGATIVE},
      {"Comment.v4_negative_prompt.caption.base_caption", NEGATIVE},
      {"Comment.v4_prompt.caption.char_captions", "Characters"},
      {"Comment.v4_negative_prompt.caption.char_captions", "Characters of the negative prompt"},
      {"Comment.steps", "Steps"},
      {"Comment.sampler", "Sampler"},
      {"Comment.noise_schedule", "Schedule type"},
      {"Comment.scale", "CFG scale"},
      {"Comment.cfg_rescale", "CFG rescale"},
      {"Comment.seed", "Seed"},
      {"Comment.width", WIDTH},
      {"Comment.height", HEIGHT},
      {"Comment.strength", "Denoising strength"},
      {"Source", "Model"}}},
    {"Draw Things", NULL, {"v2.seed", "uc"},
     {{"c", PROMPT},
      {"uc", NEGATIVE},
      {"steps", "Steps"},
      {"sampler", "Sampler"},
      {"scale", "CFG scale"},
      {"seed", "Seed"},
      {"seed_mode", "Seed mode"},
      {"size", "Size"},
      {"model", "Model"},
      {"strength", "Denoising strength"},
      {"v2.clipSkip", "Clip skip"},
      {"shift", "Shift"}}},
    {"Easy Diffusion", NULL, {"use_stable_diffusion_model"},
     {{"prompt", PROMPT},
      {"negative_prompt", NEGATIVE},
      {"num_inference_steps", "Steps"},
      {"sampler_name", "Sampler"},
      {"guidance_scale", "CFG scale"},
      {"seed", "Seed"},
      {"width", WIDTH},
      {"height", HEIGHT},
      {"use_stable_diffusion_model", "Model"},
      {"use_vae_model", "VAE"},
      {"clip_skip", "Last layer skipped"},
      {"prompt_strength", "Denoising strength"}}},
    {"Easy Diffusion", NULL, {"Stable Diffusion model"},
     {{"Prompt", PROMPT},
      {"Negative Prompt", NEGATIVE},
      {"Steps", "Steps"},
      {"Sampler", "Sampler"},
      {"Guidance Scale", "CFG scale"},
      {"Seed", "Seed"},
      {"Width", WIDTH},
      {"Height", HEIGHT},
      {"Stable Diffusion model", "Model"},
      {"VAE model", "VAE"},
      {"Clip Skip", "Last layer skipped"},
      {"Prompt Strength", "Denoising strength"}}},
    {"Hugging Face space", NULL, {"num_inference_steps"},
     {{"prompt", PROMPT},
      {"negative_prompt", NEGATIVE},
      {"num_inference_steps", "Steps"},
      {"sampler", "Sampler"},
      {"guidance_scale", "CFG scale"},
      {"seed", "Seed"},
      {"resolution", "Size"},
      {"width", WIDTH},
      {"height", HEIGHT},
      {"Model.Model", "Model"},
      {"Model.Model hash", "Model hash"},
      {"model", "Model"}}},
    {"Stability Matrix", "parameters-json", {"PositivePrompt"},
     {{"PositivePrompt", PROMPT},
      {"NegativePrompt", NEGATIVE},
      {"Steps", "Steps"},
      {"Sampler", "Sampler"},
      {"CfgScale", "CFG scale"},
      {"Seed", "Seed"},
      {"Width", WIDTH},
      {"Height", HEIGHT},
      {"ModelName", "Model"},
      {"ModelHash", "Model hash"}}},
};

static const json_t *find(const json_t *at, const char *path)
{
	while (at && *path) {
		char step[64];
		size_t n = strcspn(path, ".");
		if (n >= sizeof step)
			return NULL;
		snprintf(step, sizeof step, "%.*s", (int)n, path);
		at = json_is_array(at) && isdigit((unsigned char)*step)
			 ? json_array_get(at, (size_t)atoi(step))
			 : json_object_get(at, step);
		path += path[n] ? n + 1 : n;
	}
	return at;
}

/* "(1152, 896)", "832 x 1216", "1152×896" */
static bool read_size(const char *text, int size[2])
{
	for (int i = 0; i < 2; i++) {
		text += strcspn(text, "0123456789");
		char *end;
		long value = strtol(text, &end, 10);
		if (end == text || value < 1 || value > 1 << 20)
			return false;
		size[i] = (int)value;
		text = end;
	}
	return true;
}

static int set_text(struct infotext *text, const char *key, const char *value, struct error *err)
{
	if (strcmp(key, PROMPT) == 0 || strcmp(key, NEGATIVE) == 0)
		return infotext_set_prompt(text, *key == *NEGATIVE, value, err);
	return infotext_get(text, key) ? SUMI_OK : infotext_set(text, key, value, err);
}

/* Numbers as they would stand in an infotext; what is no value of one is left to the JSON. */
static int set_field(struct infotext *text, const char *key, const json_t *value, int size[2],
		     struct error *err)
{
	if (strcmp(key, WIDTH) == 0 || strcmp(key, HEIGHT) == 0) {
		const char *digits = json_string_value(value);
		size[*key == *HEIGHT] = digits ? atoi(digits) : (int)json_number_value(value);
		return SUMI_OK;
	}
	if (strcmp(key, "Size") == 0 && json_is_string(value)) {
		read_size(json_string_value(value), size);
		return SUMI_OK;
	}
	if (json_is_string(value))
		return set_text(text, key, json_string_value(value), err);
	bool empty = (json_is_array(value) && !json_array_size(value)) || (json_is_object(value) && !json_object_size(value));
	if (json_is_null(value) || empty)
		return SUMI_OK;
	char *dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	int status = dumped ? set_text(text, key, dumped, err)
			    : error_set(err, SUMI_NOMEM, "no memory for the infotext");
	free(dumped);
	return status;
}

static int read_program(const struct program *p, const json_t *object, struct infotext *text,
			struct error *err)
{
	int status = SUMI_OK, size[2] = {0, 0};
	for (int i = 0; i < PATHS && p->fields[i].path && !status; i++) {
		const json_t *value = find(object, p->fields[i].path);
		if (value)
			status = set_field(text, p->fields[i].key, value, size, err);
	}
	if (!status && size[0] > 0 && size[1] > 0 && !infotext_get(text, "Size")) {
		char both[32];
		snprintf(both, sizeof both, "%dx%d", size[0], size[1]);
		status = infotext_set(text, "Size", both, err);
	}
	return status;
}

/* ---- LoRAs ---- */

static double number_of(const json_t *value, double usual)
{
	const char *text = json_string_value(value);
	char *end = NULL;
	double n = text ? strtod(text, &end) : json_number_value(value);
	return json_is_number(value) || (text && end != text) ? n : usual;
}

static void add_lora(json_t *loras, const char *name, double weight)
{
	if (name && *name && strcasecmp(name, "None") != 0)
		json_array_append_new(loras, json_pack("{s:s, s:f}", "name", name, "weight", weight));
}

/* "name : 0.5", "name - 0.5" */
static void add_combined(json_t *loras, const char *text)
{
	char name[256], *end;
	const char *mark = NULL;
	for (const char *p = text; (p = strpbrk(p, ":-")); p++)
		if (p > text && p[-1] == ' ' && p[1] == ' ')
			mark = p;
	double weight = mark ? strtod(mark + 1, &end) : 1;
	if (mark && end == mark + 1)
		mark = NULL;
	snprintf(name, sizeof name, "%.*s", (int)(mark ? (size_t)(mark - 1 - text) : strlen(text)), text);
	add_lora(loras, name, mark ? weight : 1);
}

/* One of a list: a name, [name, weight], or an object with both. */
static void add_listed(json_t *loras, const json_t *one, const json_t *weight)
{
	static const char *const names[] = {"model.name", "model.model_name", "lora.model_name", "lora.name", "model_name",
					    "name",	  "model",	      "file"};
	const char *name = NULL;
	if (json_is_string(one) && weight)
		add_lora(loras, json_string_value(one), number_of(weight, 1));
	else if (json_is_string(one))
		add_combined(loras, json_string_value(one));
	else if (json_is_array(one) && json_is_number(json_array_get(one, 1)))
		add_lora(loras, json_string_value(json_array_get(one, 0)), number_of(json_array_get(one, 1), 1));
	else if (json_is_array(one) && json_is_string(json_array_get(one, 1))) /* behind its hash */
		add_combined(loras, json_string_value(json_array_get(one, 1)));
	for (size_t i = 0; json_is_object(one) && !name && i < sizeof names / sizeof names[0]; i++)
		name = json_string_value(find(one, names[i]));
	if (name) {
		const json_t *w = json_object_get(one, "weight");
		add_lora(loras, name, number_of(w ? w : json_object_get(one, "strength"), 1));
	}
}

static bool has_kind(const json_t *object, const char *at, const char *front)
{
	size_t n = strlen(front);
	return strncmp(at, front, n) == 0 && isdigit((unsigned char)at[n]) && json_is_string(json_object_get(object, at));
}

/* Lists of them, whose strengths may stand in another, or a field each with a number behind its name. */
static void read_list(const json_t *object, json_t *loras)
{
	static const char *const lists[][2] = {{"loras", "loraweights"}, {"lora", NULL}, {"use_lora_model", "lora_alpha"},
						 {"LoRA model", "LoRA alpha"}};
	const char *key;
	json_t *value;
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		const json_t *list = json_object_get(object, lists[i][0]), *one;
		const json_t *weights = lists[i][1] ? json_object_get(object, lists[i][1]) : NULL;
		size_t k;
		if (json_is_string(list) && weights)
			add_listed(loras, list, weights);
		json_array_foreach(list, k, one)
		{
			add_listed(loras, one, json_is_array(weights) ? json_array_get(weights, k) : weights);
		}
	}
	json_object_foreach((json_t *)object, key, value)
	{
		if (has_kind(object, key, "lora_combined_") || has_kind(object, key, "LoRA "))
			add_combined(loras, json_string_value(value));
	}
}

/* Of what a program wrote, itself or one object within. */
static void read_loras(const json_t *object, json_t *loras)
{
	const char *key;
	json_t *value;
	read_list(object, loras);
	json_object_foreach((json_t *)object, key, value)
	{
		if (json_is_object(value) && json_array_size(loras) == 0)
			read_list(value, loras);
	}
}

static bool is_of(const struct program *p, const char *key, const json_t *object)
{
	if (p->key && strcmp(p->key, key) != 0)
		return false;
	for (int i = 0; i < 2 && p->mark[i]; i++)
		if (find(object, p->mark[i]))
			return true;
	return false;
}

int origin_json_fields(const json_t *all, struct infotext *text, json_t *loras, const char **program,
		       struct error *err)
{
	for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
		const char *key;
		json_t *object;
		json_object_foreach((json_t *)all, key, object)
		{
			if (!is_of(&programs[i], key, object))
				continue;
			*program = programs[i].name;
			read_loras(object, loras);
			return read_program(&programs[i], object, text, err);
		}
	}
	return SUMI_OK;
}

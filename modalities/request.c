/* What all modalities share about a request. */
#include "modalities/request.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/adapters.h"
#include "diffusion/controls.h"
#include "diffusion/embeddings.h"
#include "diffusion/family.h"
#include "diffusion/sampler.h"
#include "media/infotext.h"
#include "modalities/control_units.h"
#include "modalities/controls.h"
#include "modalities/enlarge.h"
#include "modalities/labels.h"
#include "modalities/repaint.h"
#include "modalities/stages.h"
#include "request/lora_tags.h"
#include "request/param.h"
#include "request/upscaler_names.h"

#define STRENGTH_DEFAULT 0.75

static int resolve_size(const struct pack_info *info, const char *field, int *pixels, int fallback,
			struct error *err)
{
	if (*pixels == 0)
		*pixels = fallback;
	int step = latent_step(&info->latents);
	if (*pixels < step || *pixels > 8192 || *pixels % step != 0)
		return error_set(err, SUMI_INVALID,
				 "%s is %d: it must be a multiple of %d, at most 8192", field,
				 *pixels, step);
	return SUMI_OK;
}

/* "DPM++ 2M Karras" names a sampler and a schedule; an explicit schedule wins. */
static int resolve_sampler(const struct pack_defaults *d, struct request *r, struct error *err)
{
	enum schedule_sigmas sigmas = SIGMAS_DEFAULT;
	const char *schedule = r->scheduler;
	int status = SUMI_OK;
	if (!r->sampler && !schedule)
		schedule = d->schedule;
	status =
	    sampler_parse_name(r->sampler ? r->sampler : d->sampler, &r->sampler, &sigmas, err);
	if (!status && schedule)
		status = sampler_parse_sigmas(schedule, &sigmas, err);
	r->scheduler = sampler_sigmas_name(sigmas);
	return status;
}

static bool is_open(const char *precision)
{
	return !precision || !*precision || strcmp(precision, "auto") == 0;
}

bool request_leaves_precision(const struct request *r)
{
	return is_open(r->precision);
}

/* The job's word, the host's, the pack's, the device's. */
static const char *resolve_precision(const struct pack_info *info, const struct request *r)
{
	if (!is_open(r->precision))
		return r->precision;
	if (!is_open(r->host_precision))
		return r->host_precision;
	if (!is_open(info->precision))
		return info->precision;
	return r->usual_precision ? r->usual_precision : precision_names[PRECISION_EXACT];
}

/* The job's word, the pack's, or what most prompts are written in. */
static const char *resolve_syntax(const struct pack_info *info, const char *asked)
{
	if (asked)
		return asked;
	if (info->prompt_syntax[0])
		return info->prompt_syntax;
	bool knows = info->family->conditioner->encoders > 0;
	return prompt_syntax_names[knows ? PROMPT_A1111 : PROMPT_DIFFUSERS];
}

int request_resolve(const struct pack_info *info, struct request *r, struct error *err)
{
	if (r->fast && !info->has_fast)
		return error_set(
		    err, SUMI_INVALID,
		    "model %s has no fast variant: leave out 'fast' and give more steps",
		    info->name);
	const char *lora;
	double eta = 0;
	struct pack_defaults defaults = r->fast ? info->fast : info->defaults;
	const struct pack_defaults *d = &defaults;
	/* A pack's own model of few steps needs no LoRA for that. */
	if (!r->fast && adapters_propose(r->loras, &defaults, &eta, &lora) && !r->sampler && r->eta == 0)
		r->eta = eta;
	if (!r->prompt)
		return error_set(err, SUMI_INVALID, "there is no prompt");
	if (r->negative_prompt && !*r->negative_prompt &&
	    !conditioner_tells_absent(info->family->conditioner, info))
		r->negative_prompt = NULL;
	int status;
	int beside = r->outpaint_left + r->outpaint_right, above = r->outpaint_top + r->outpaint_bottom;
	if ((status = resolve_size(info, "width", &r->width, d->width + beside, err)) ||
	    (status = resolve_size(info, "height", &r->height, d->height + above, err)) ||
	    (status = resolve_sampler(d, r, err)) || (status = repaint_resolve(info, r, err)))
		return status;
	if (r->steps == 0)
		r->steps = d->steps;
	if (isnan(r->cfg_scale))
		r->cfg_scale = d->cfg_scale;
	if (r->guidance_end == 0)
		r->guidance_end = 1;
	if (r->deep_cache > 1 && r->deep_cache_level == 0)
		r->deep_cache_level = 1;
	if (!r->rng)
		r->rng = "torch";
	r->precision = resolve_precision(info, r);
	r->prompt_syntax = resolve_syntax(info, r->prompt_syntax);
	if (r->init && isnan(r->strength))
		r->strength = STRENGTH_DEFAULT;
	if (r->networks && !(r->controls = request_controls_named(r)))
		return error_set(err, SUMI_NOMEM, "out of memory");
	status = stages_resolve(info, r, err);
	return status ? status : enlargers_resolve(r, err);
}

int request_embeddings(const struct pack_info *info, const struct request *r,
		       struct embeddings **out, struct error *err)
{
	enum prompt_syntax syntax;
	*out = NULL;
	int status = prompt_syntax_of(r->prompt_syntax, &syntax, err);
	return status ? status
		      : embeddings_find(r->host_packs, r->host_state, syntax, r->prompt,
					r->negative_prompt, info, out, err);
}

/* The networks of controls, by name and what their files hold. */
static json_t *networks_json(const struct run *run, const struct request *r)
{
	json_t *list = run_controls_json(run);
	for (size_t i = 0; r->networks && i < json_array_size(list); i++)
		json_object_set_new(json_array_get(list, i), "name",
				    json_string(r->networks->rows[i].name));
	return list;
}

int request_metadata(const struct run *run, const struct request *r,
		     const struct embeddings *embeddings, char **text, struct error *err)
{
	const struct pack *pack = run_pack(run);
	const struct pack_info *info = pack_info_of(pack);
	const struct device_info *device = &pack_device(pack)->info;
	json_t *o = request_json(r);
	json_object_set_new(o, "model", json_string(info->name));
	json_object_set_new(o, "made_by",
			    json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "software", "sumi",
				      "version", SUMI_VERSION, "model_digest", info->digest,
				      "device", device->name, "platform", device->platform,
				      "driver", device->driver));
	json_t *adapters = adapters_json(info->adapters);
	if (adapters)
		json_object_set_new(json_object_get(o, "made_by"), "loras", adapters);
	json_t *words = embeddings_json(embeddings);
	if (words)
		json_object_set_new(json_object_get(o, "made_by"), "embeddings", words);
	json_t *networks = networks_json(run, r);
	if (networks)
		json_object_set_new(json_object_get(o, "made_by"), "controls", networks);
	json_t *enlargers = enlargers_json(r->enlargers);
	if (enlargers)
		json_object_set_new(json_object_get(o, "made_by"), "upscalers", enlargers);
	if (r->refiner_digest)
		json_object_set_new(json_object_get(o, "made_by"), "refiner_digest",
				    json_string(r->refiner_digest));
	/* It is about the pack's own sampler. */
	if (info->note[0] && strcmp(r->sampler, info->defaults.sampler) == 0)
		json_object_set_new(json_object_get(o, "made_by"), "note",
				    json_string(info->note));
	*text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9));
	json_decref(o);
	return *text ? SUMI_OK : error_set(err, SUMI_NOMEM, "out of memory");
}

static void fill_travel(const struct request *r, struct run_params *p)
{
	size_t i;
	json_t *o;
	json_array_foreach((json_t *)r->travel, i, o)
	{
		struct run_travel *t = &p->travel[p->travel_count++];
		t->frame = (int)json_integer_value(json_object_get(o, "frame"));
		t->prompt = json_string_value(json_object_get(o, "prompt"));
		t->seeded = param_seed(json_object_get(o, "seed"), &t->seed);
	}
}

struct run_params request_run_params(const struct request *r)
{
	struct run_params p = {
	    .prompt = r->prompt,
	    .negative_prompt = r->negative_prompt,
	    .prompt_syntax = r->prompt_syntax,
	    .seed = r->seed,
	    .steps = r->steps,
	    .cfg_scale = r->cfg_scale,
	    .guidance_rescale = r->guidance_rescale,
	    .guidance_start = r->guidance_start,
	    .guidance_end = r->guidance_end,
	    .deep_cache = r->deep_cache,
	    .deep_cache_level = r->deep_cache_level,
	    .sampler = r->sampler,
	    .schedule = r->scheduler,
	    .rng = r->rng,
	    .width = r->width,
	    .height = r->height,
	    .frames = r->frames > 1 ? r->frames : 1,
	    .circular = r->loop,
	    .tile = r->tile,
	    .sizes = {r->original_width, r->original_height, r->crop_left, r->crop_top,
		      r->target_width, r->target_height},
	    .clip_skip = r->clip_skip,
	    .eta = r->eta,
	    .fast = r->fast,
	    .strength = r->strength,
	    .mask_blend = r->mask_blend,
	    .mask_fill = r->mask_fill,
	    .image_cfg_scale = r->image_cfg_scale,
	    .precision = r->precision,
	};
	fill_travel(r, &p);
	return p;
}

/* Lossy where a quality or nothing is given; PNG and WAV have no quality. */
static const struct {
	const char *format;
	double quality;
} format_defaults[] = {{"webp", 90}, {"png", NAN}, {"ogg", 60}, {"wav", NAN}, {"mp3", 60}, {"webm", 80}, {"jpeg", 90}, {"glb", NAN}, {"height.png", NAN}};

int request_resolve_end(struct request *r, unsigned modality, struct error *err)
{
	if (!r->format)
		r->format = param_first_word(param_find("format"), modality);
	if (!r->format)
		return error_set(err, SUMI_INTERNAL, "no format is known for modality %u", modality);
	int status = request_check(r, modality, err);
	if (status)
		return status;
	for (size_t i = 0; i < sizeof format_defaults / sizeof format_defaults[0]; i++)
		if (strcmp(format_defaults[i].format, r->format) == 0 &&
		    (isnan(r->quality) || isnan(format_defaults[i].quality)))
			r->quality = format_defaults[i].quality;
	return SUMI_OK;
}

int request_preview(const struct run *run, uint8_t *rgb, size_t max_pixels, int *width, int *height,
		    struct error *err)
{
	struct latent_spec spec = run_latent_spec(run);
	*width = spec.width;
	*height = spec.height;
	if ((size_t)*width * (size_t)*height > max_pixels)
		return error_set(err, SUMI_TOOBIG, "a preview of %dx%d does not fit", *width,
				 *height);
	run_preview(run, rgb);
	return SUMI_OK;
}

struct label {
	const char *name, *label;
};

static const char *label(const struct label *table, const char *name)
{
	for (; table->name; table++)
		if (strcmp(table->name, name) == 0)
			return table->label;
	return name;
}

enum { INFOTEXT_VALUE = 512 };

/* Values that stand in the infotext otherwise than in JSON; an empty one is left out. Each gets
 * the request and room for INFOTEXT_VALUE bytes. */

static void write_sampler(const struct request *r, char *out)
{
	snprintf(out, INFOTEXT_VALUE, "%s", label_of_sampler(r->sampler));
}

static void write_schedule(const struct request *r, char *out)
{
	if (strcmp(r->scheduler, "default") != 0)
		snprintf(out, INFOTEXT_VALUE, "%s", label_of_schedule(r->scheduler));
}

static void write_interval(const struct request *r, char *out)
{
	if (r->guidance_start != 0 || r->guidance_end != 1)
		snprintf(out, INFOTEXT_VALUE, "%g-%g", r->guidance_start, r->guidance_end);
}

static void write_deep_cache(const struct request *r, char *out)
{
	if (r->deep_cache > 1)
		snprintf(out, INFOTEXT_VALUE, "%d, level %d", r->deep_cache, r->deep_cache_level);
}

static void write_size(const struct request *r, char *out)
{
	snprintf(out, INFOTEXT_VALUE, "%dx%d", r->width, r->height);
}

static void write_strength(const struct request *r, char *out)
{
	double strength = r->init ? r->strength : r->hires > 1 ? r->hires_strength : NAN;
	if (!isnan(strength))
		snprintf(out, INFOTEXT_VALUE, "%g", strength);
}

static void write_hires_upscaler(const struct request *r, char *out)
{
	const char *kernel = r->hires > 1 ? param_hires_label(r->hires_upscaler) : NULL;
	if (r->hires > 1)
		snprintf(out, INFOTEXT_VALUE, "%s", kernel ? kernel : upscaler_label(r->hires_upscaler));
}

/* A1111 knows both directions alone. */
static void write_tile(const struct request *r, char *out)
{
	if (r->tile)
		snprintf(out, INFOTEXT_VALUE, "%s", strcmp(r->tile, "both") == 0 ? "True" : r->tile);
}

static void write_upscaler(const struct request *r, char *out)
{
	if (r->upscale > 0 && r->upscaler)
		snprintf(out, INFOTEXT_VALUE, "%s", upscaler_label(r->upscaler));
}

/* "name [0123456789]", as A1111 names it. */
static void write_refiner(const struct request *r, char *out)
{
	bool known = r->refiner_digest && *r->refiner_digest;
	if (r->refiner)
		snprintf(out, INFOTEXT_VALUE, known ? "%s [%.10s]" : "%s", r->refiner,
			 known ? r->refiner_digest : "");
}

static void write_refiner_at(const struct request *r, char *out)
{
	if (r->refiner)
		snprintf(out, INFOTEXT_VALUE, "%g", r->refiner_at);
}

static void write_hires(const struct request *r, char *out)
{
	if (r->hires > 1)
		snprintf(out, INFOTEXT_VALUE, "%g", r->hires);
}

/* A1111 does not say what is as usual. */
static void write_hires_steps(const struct request *r, char *out)
{
	if (r->hires > 1 && r->hires_steps != r->steps)
		snprintf(out, INFOTEXT_VALUE, "%d", r->hires_steps);
}

static void write_mask_blur(const struct request *r, char *out)
{
	if (request_masked(r) && r->mask_blur > 0)
		snprintf(out, INFOTEXT_VALUE, "%g", r->mask_blur);
}

static void write_mask_mode(const struct request *r, char *out)
{
	if (r->mask_invert)
		snprintf(out, INFOTEXT_VALUE, "Inpaint not masked");
}

static void write_mask_area(const struct request *r, char *out)
{
	if (r->only_masked)
		snprintf(out, INFOTEXT_VALUE, "Only masked");
}

/* A1111's own way is taken for granted. */
static void write_mask_blend(const struct request *r, char *out)
{
	if (request_masked(r) && strcmp(r->mask_blend, "a1111") != 0)
		snprintf(out, INFOTEXT_VALUE, "%s", r->mask_blend);
}

static void write_mask_fill(const struct request *r, char *out)
{
	static const struct label labels[] = {
	    {"noise", "latent noise"}, {"nothing", "latent nothing"}, {NULL, NULL}};
	if (request_masked(r) && strcmp(r->mask_fill, "original") != 0)
		snprintf(out, INFOTEXT_VALUE, "%s", label(labels, r->mask_fill));
}

/* A1111 counts from 1. */
static void write_clip_skip(const struct request *r, char *out)
{
	if (r->clip_skip > 0)
		snprintf(out, INFOTEXT_VALUE, "%d", r->clip_skip + 1);
}

static void write_precision(const struct request *r, char *out)
{
	if (strcmp(r->precision, precision_names[PRECISION_EXACT]) != 0)
		snprintf(out, INFOTEXT_VALUE, "%s", r->precision);
}

/* Of the CPU is what A1111 does not take for granted. */
static void write_rng(const struct request *r, char *out)
{
	if (strcmp(r->rng, "torch") == 0)
		snprintf(out, INFOTEXT_VALUE, "CPU");
}

static const struct {
	const char *param;
	void (*write)(const struct request *r, char *out);
} infotext_writers[] = {
    {"sampler", write_sampler},        {"scheduler", write_schedule},
    {"guidance_start", write_interval}, {"deep_cache", write_deep_cache},
    {"width", write_size},             {"strength", write_strength},
    {"clip_skip", write_clip_skip},    {"rng", write_rng},
    {"precision", write_precision},    {"mask_blur", write_mask_blur},
    {"mask_invert", write_mask_mode},  {"only_masked", write_mask_area},
    {"refiner", write_refiner},        {"refiner_at", write_refiner_at},
    {"hires", write_hires},            {"hires_steps", write_hires_steps},
    {"hires_upscaler", write_hires_upscaler}, {"upscaler", write_upscaler},
    {"tile", write_tile},
    {"mask_blend", write_mask_blend},  {"mask_fill", write_mask_fill},
};

static void write_value(const struct request *r, const struct param *p, char *out)
{
	for (size_t i = 0; i < sizeof infotext_writers / sizeof infotext_writers[0]; i++)
		if (strcmp(infotext_writers[i].param, p->name) == 0) {
			infotext_writers[i].write(r, out);
			return;
		}
	json_t *value = request_value(r, p);
	char *text = NULL;
	if (p->type == PARAM_SEED)
		snprintf(out, INFOTEXT_VALUE, "%" PRIu64, r->seed);
	else if (json_is_number(value))
		snprintf(out, INFOTEXT_VALUE, "%.6g", json_number_value(value));
	else if (value && (text = param_text(p, value)) && strlen(text) < INFOTEXT_VALUE)
		strcpy(out, text); /* what is too long stands in sumi's own JSON alone */
	free(text);
	json_decref(value);
}

/* The prompt as A1111 has it, with the tags of its LoRAs. The caller frees it. */
static char *tagged_prompt(const struct request *r)
{
	char tags[4096];
	lora_tags_text(r->loras, tags, sizeof tags);
	size_t n = strlen(r->prompt), more = strlen(tags);
	char *text = malloc(n + more + 1);
	if (text) {
		memcpy(text, r->prompt, n);
		memcpy(text + n, tags, more + 1);
	}
	return text;
}

/* "name: 0123456789ab, …", as A1111 has it; what does not fit stands in sumi's own JSON alone. */
static void write_hashes(const struct embeddings *embeddings, char out[INFOTEXT_VALUE])
{
	json_t *list = embeddings_json(embeddings), *o;
	size_t i, used = 0;
	out[0] = '\0';
	json_array_foreach(list, i, o)
	{
		char one[200];
		int n = snprintf(one, sizeof one, "%s%.120s: %.12s", used ? ", " : "",
				 json_string_value(json_object_get(o, "name")),
				 json_string_value(json_object_get(o, "sha256")));
		if (used + (size_t)n >= INFOTEXT_VALUE)
			break;
		memcpy(out + used, one, (size_t)n + 1);
		used += (size_t)n;
	}
	json_decref(list);
}

/* A line of every row that has a name there, of each control, and of what the pack and this program are. */
enum { INFOTEXT_OWN = 4, INFOTEXT_LINES = PARAM_COUNT + RUN_CONTROLS_MAX + INFOTEXT_OWN };

/* "ControlNet 0: …" for each; how many. One that cannot be said so stands in sumi's own JSON alone. */
static size_t add_controls(const struct run *run, const struct request *r, struct infotext_field *fields,
			   char (*values)[INFOTEXT_VALUE])
{
	static char *const keys[RUN_CONTROLS_MAX] = {"ControlNet 0", "ControlNet 1", "ControlNet 2", "ControlNet 3",
						     "ControlNet 4", "ControlNet 5", "ControlNet 6", "ControlNet 7"};
	json_t *networks = networks_json(run, r);
	size_t count = 0;
	for (size_t i = 0; i < json_array_size(networks) && i < RUN_CONTROLS_MAX; i++) {
		const char *sha256 = json_string_value(json_object_get(json_array_get(networks, i), "sha256"));
		if (control_unit_write(json_array_get(r->controls, i), sha256, r->width, r->height, values[count],
				       INFOTEXT_VALUE)) {
			fields[count] = (struct infotext_field){keys[i], values[count]};
			count++;
		}
	}
	json_decref(networks);
	return count;
}

int request_infotext(const struct run *run, const struct request *r,
		     const struct embeddings *embeddings, char **text, struct error *err)
{
	const struct pack_info *info = pack_info_of(run_pack(run));
	char hashes[INFOTEXT_VALUE];
	struct infotext_field fields[INFOTEXT_LINES];
	char values[INFOTEXT_LINES][INFOTEXT_VALUE];
	const struct {
		char *key;
		const char *before, *value;
		int most; /* bytes of the value */
	} own[INFOTEXT_OWN] = {{"TI hashes", "", hashes, INFOTEXT_VALUE},
			       {"Model hash", "", info->digest, 10},
			       {"Model", "", info->name, INFOTEXT_VALUE},
			       {"Version", "sumi ", SUMI_VERSION, INFOTEXT_VALUE}};
	size_t count = 0;
	for (const struct param *p = param_table; p->name; p++) {
		values[count][0] = '\0';
		if (p->infotext)
			write_value(r, p, values[count]);
		if (!values[count][0])
			continue;
		fields[count] = (struct infotext_field){(char *)p->infotext, values[count]};
		count++;
	}
	count += add_controls(run, r, fields + count, values + count);
	write_hashes(embeddings, hashes);
	for (int i = 0; i < INFOTEXT_OWN; i++) {
		if (!own[i].value[0])
			continue;
		snprintf(values[count], INFOTEXT_VALUE, "%s%.*s", own[i].before, own[i].most,
			 own[i].value);
		fields[count] = (struct infotext_field){own[i].key, values[count]};
		count++;
	}
	struct infotext whole = {
	    .prompt = tagged_prompt(r),
	    .negative_prompt = (char *)r->negative_prompt,
	    .fields = fields,
	    .count = count,
	};
	int status = whole.prompt ? infotext_write(&whole, text, err)
				  : error_set(err, SUMI_NOMEM, "out of memory");
	free(whole.prompt);
	return status;
}

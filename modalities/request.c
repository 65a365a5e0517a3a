/* What all modalities share about a request. */
#include "modalities/request.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "diffusion/sampler.h"
#include "media/infotext.h"

#define STRENGTH_DEFAULT 0.75

static int resolve_size(const struct pack_info *info, const char *field, int *pixels, int fallback,
			struct error *err)
{
	if (*pixels == 0)
		*pixels = fallback;
	if (*pixels < info->scale || *pixels > 8192 || *pixels % info->scale != 0)
		return error_set(err, SUMI_INVALID,
				 "%s is %d: it must be a multiple of %d, at most 8192", field,
				 *pixels, info->scale);
	return SUMI_OK;
}

/* "DPM++ 2M Karras" names a sampler and a schedule; an explicit schedule wins. */
static int resolve_sampler(const struct pack_defaults *d, struct request *r, struct error *err)
{
	enum schedule_sigmas sigmas = SIGMAS_DEFAULT;
	const char *schedule = r->schedule;
	int status = SUMI_OK;
	if (!r->sampler && !schedule)
		schedule = d->schedule;
	status =
	    sampler_parse_name(r->sampler ? r->sampler : d->sampler, &r->sampler, &sigmas, err);
	if (!status && schedule)
		status = sampler_parse_sigmas(schedule, &sigmas, err);
	r->schedule = sampler_sigmas_name(sigmas);
	return status;
}

/* Which part of the run is guided. */
static int resolve_guidance(struct request *r, struct error *err)
{
	if (r->guidance_end == 0)
		r->guidance_end = 1;
	if (!(r->guidance_start >= 0 && r->guidance_start < r->guidance_end &&
	      r->guidance_end <= 1))
		return error_set(err, SUMI_INVALID,
				 "guidance_start is %g and guidance_end %g: both are parts of the "
				 "run, 0 to 1, the start before the end",
				 r->guidance_start, r->guidance_end);
	return SUMI_OK;
}

int request_resolve(const struct pack_info *info, struct request *r, struct error *err)
{
	if (r->fast && !info->has_fast)
		return error_set(
		    err, SUMI_INVALID,
		    "model %s has no fast variant: leave out 'fast' and give more steps",
		    info->name);
	const struct pack_defaults *d = r->fast ? &info->fast : &info->defaults;
	if (!r->prompt)
		return error_set(err, SUMI_INVALID, "there is no prompt");
	if (!r->negative_prompt)
		r->negative_prompt = "";
	int status;
	if ((status = resolve_size(info, "width", &r->width, d->width, err)) ||
	    (status = resolve_size(info, "height", &r->height, d->height, err)) ||
	    (status = resolve_sampler(d, r, err)))
		return status;
	if (r->steps == 0)
		r->steps = d->steps;
	if (r->steps < 1 || r->steps > 1000)
		return error_set(err, SUMI_INVALID, "steps is %d, allowed are 1 to 1000", r->steps);
	if (isnan(r->cfg_scale))
		r->cfg_scale = d->cfg_scale;
	if (!isfinite(r->cfg_scale) || r->cfg_scale < 0 || r->cfg_scale > 100)
		return error_set(err, SUMI_INVALID, "cfg_scale is %g, allowed are 0 to 100",
				 r->cfg_scale);
	if ((status = resolve_guidance(r, err)))
		return status;
	if (r->deep_cache > 1 && r->deep_cache_level == 0)
		r->deep_cache_level = 1;
	if (!r->rng)
		r->rng = "torch";
	if (strcmp(r->rng, "torch") != 0 && strcmp(r->rng, "philox") != 0)
		return error_set(err, SUMI_INVALID, "rng is '%.40s', allowed are torch and philox",
				 r->rng);
	if (r->clip_skip < 0 || r->clip_skip > 11)
		return error_set(err, SUMI_INVALID, "clip_skip is %d, allowed are 0 to 11",
				 r->clip_skip);
	if (r->init && isnan(r->strength))
		r->strength = STRENGTH_DEFAULT;
	if (r->init && (!isfinite(r->strength) || r->strength <= 0 || r->strength > 1))
		return error_set(err, SUMI_INVALID,
				 "strength is %g, allowed are 0 (exclusive) to 1", r->strength);
	return SUMI_OK;
}

/* Puts a field in unless it has the value that leaving it out means. */
static void put(json_t *o, const char *key, bool present, json_t *value)
{
	if (present)
		json_object_set_new(o, key, value);
	else
		json_decref(value);
}

static void put_request(json_t *o, const struct request *r)
{
	json_object_set_new(o, "modality", json_string(r->modality));
	json_object_set_new(o, "prompt", json_string(r->prompt));
	put(o, "negative_prompt", *r->negative_prompt, json_string(r->negative_prompt));
	json_object_set_new(o, "seed", json_integer((json_int_t)r->seed));
	json_object_set_new(o, "steps", json_integer(r->steps));
	json_object_set_new(o, "cfg_scale", json_real(r->cfg_scale));
	put(o, "guidance_rescale", r->guidance_rescale != 0, json_real(r->guidance_rescale));
	put(o, "guidance_start", r->guidance_start != 0, json_real(r->guidance_start));
	put(o, "guidance_end", r->guidance_end != 1, json_real(r->guidance_end));
	put(o, "deep_cache", r->deep_cache > 1, json_integer(r->deep_cache));
	put(o, "deep_cache_level", r->deep_cache > 1, json_integer(r->deep_cache_level));
	json_object_set_new(o, "sampler", json_string(r->sampler));
	json_object_set_new(o, "scheduler", json_string(r->schedule));
	json_object_set_new(o, "rng", json_string(r->rng));
	json_object_set_new(o, "width", json_integer(r->width));
	json_object_set_new(o, "height", json_integer(r->height));
	put(o, "clip_skip", r->clip_skip != 0, json_integer(r->clip_skip));
	put(o, "eta", r->eta != 0, json_real(r->eta));
	put(o, "fast", r->fast, json_true());
	json_object_set_new(o, "format", json_string(r->format));
	put(o, "quality", !isnan(r->quality) && !r->lossless, json_real(r->quality));
	put(o, "lossless", r->lossless, json_true());
	put(o, "init", r->init != NULL, json_string(r->init ? r->init : ""));
	put(o, "strength", r->init != NULL, json_real(r->strength));
	put(o, "duration", r->duration != 0, json_real(r->duration));
	put(o, "mood", r->mood != NULL, json_string(r->mood ? r->mood : ""));
	put(o, "frames", r->frames != 0, json_integer(r->frames));
	put(o, "fps", r->fps != 0, json_integer(r->fps));
	put(o, "loop", r->loop, json_true());
	put(o, "reverse", r->reverse, json_true());
	put(o, "boomerang", r->boomerang, json_true());
	put(o, "loop_count", r->loop_count != 0, json_integer(r->loop_count));
}

json_t *request_json(const struct request *r)
{
	json_t *o = json_object();
	if (o)
		put_request(o, r);
	return o;
}

int request_metadata(const struct pack *pack, const struct request *r, char **text,
		     struct error *err)
{
	const struct pack_info *info = pack_info_of(pack);
	const struct device_info *device = &pack_device(pack)->info;
	json_t *o = request_json(r);
	json_object_set_new(o, "model", json_string(info->name));
	json_object_set_new(o, "made_by",
			    json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "software", "sumi",
				      "version", SUMI_VERSION, "model_digest", info->digest,
				      "device", device->name, "platform", device->platform,
				      "driver", device->driver));
	*text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9));
	json_decref(o);
	return *text ? SUMI_OK : error_set(err, SUMI_NOMEM, "out of memory");
}

struct run_params request_run_params(const struct request *r)
{
	return (struct run_params){
	    .prompt = r->prompt,
	    .negative_prompt = r->negative_prompt,
	    .seed = r->seed,
	    .steps = r->steps,
	    .cfg_scale = r->cfg_scale,
	    .guidance_rescale = r->guidance_rescale,
	    .guidance_start = r->guidance_start,
	    .guidance_end = r->guidance_end,
	    .deep_cache = r->deep_cache,
	    .deep_cache_level = r->deep_cache_level,
	    .sampler = r->sampler,
	    .schedule = r->schedule,
	    .rng = r->rng,
	    .width = r->width,
	    .height = r->height,
	    .frames = r->frames > 1 ? r->frames : 1,
	    .circular = r->loop,
	    .clip_skip = r->clip_skip,
	    .eta = r->eta,
	    .fast = r->fast,
	    .strength = r->strength,
	};
}

/* Lossy where a quality or nothing is given; PNG and WAV have no quality. */
static const struct {
	const char *format;
	double quality;
} format_defaults[] = {{"webp", 90}, {"png", NAN}, {"ogg", 60}, {"wav", NAN}};

int request_resolve_format(struct request *r, const char *const *formats, struct error *err)
{
	char names[128] = "";
	const char *const *f = formats;
	if (!r->format)
		r->format = *formats;
	for (; *f && strcmp(*f, r->format) != 0; f++) {
		size_t n = strlen(names);
		snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", *f);
	}
	if (!*f)
		return error_set(err, SUMI_INVALID, "format is '%.40s', allowed for %s are: %s",
				 r->format, r->modality, names);
	if (!isnan(r->quality) && (r->quality < 0 || r->quality > 100))
		return error_set(err, SUMI_INVALID, "quality is %g, allowed are 0 to 100",
				 r->quality);
	for (size_t i = 0; i < sizeof format_defaults / sizeof format_defaults[0]; i++)
		if (strcmp(format_defaults[i].format, r->format) == 0 &&
		    (isnan(r->quality) || isnan(format_defaults[i].quality)))
			r->quality = format_defaults[i].quality;
	return SUMI_OK;
}

int request_preview(const struct run *run, const struct request *r, int scale, uint8_t *rgb,
		    size_t max_pixels, int *width, int *height, struct error *err)
{
	*width = r->width / scale;
	*height = r->height / scale;
	if ((size_t)*width * (size_t)*height > max_pixels)
		return error_set(err, SUMI_TOOBIG, "a preview of %dx%d does not fit", *width,
				 *height);
	return run_preview(run, rgb, err);
}

/* What stable-diffusion-webui calls our names; names that it does not have stay as they are. */
static const struct label {
	const char *name, *label;
} sampler_labels[] = {{"ddpm", "DDPM"},         {"ddim", "DDIM"},
		      {"pndm", "PLMS"},         {"euler", "Euler"},
		      {"euler_a", "Euler a"},   {"heun", "Heun"},
		      {"dpmpp_2m", "DPM++ 2M"}, {"dpmpp_2m_sde", "DPM++ 2M SDE"},
		      {"unipc", "UniPC"},       {"lcm", "LCM"},
		      {"tcd", "TCD"},           {NULL, NULL}},
  schedule_labels[] = {
      {"normal", "Normal"}, {"karras", "Karras"},           {"exponential", "Exponential"},
      {"beta", "Beta"},     {"sgm_uniform", "SGM Uniform"}, {"simple", "Simple"},
      {NULL, NULL}};

static const char *label(const struct label *table, const char *name)
{
	for (; table->name; table++)
		if (strcmp(table->name, name) == 0)
			return table->label;
	return name;
}

enum { INFOTEXT_VALUE = 96 };

struct infotext_lines {
	struct infotext_field fields[16];
	char values[16][INFOTEXT_VALUE];
	size_t count;
};

__attribute__((format(printf, 3, 4))) static void put_line(struct infotext_lines *l, char *key,
							   const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	vsnprintf(l->values[l->count], INFOTEXT_VALUE, format, ap);
	va_end(ap);
	l->fields[l->count].key = key;
	l->fields[l->count].value = l->values[l->count];
	l->count++;
}

int request_infotext(const struct pack_info *info, const struct request *r, char **text,
		     struct error *err)
{
	struct infotext_lines l = {.count = 0};
	put_line(&l, "Steps", "%d", r->steps);
	put_line(&l, "Sampler", "%s", label(sampler_labels, r->sampler));
	if (strcmp(r->schedule, "default") != 0)
		put_line(&l, "Schedule type", "%s", label(schedule_labels, r->schedule));
	put_line(&l, "CFG scale", "%g", r->cfg_scale);
	if (r->guidance_start != 0 || r->guidance_end != 1)
		put_line(&l, "Guidance interval", "%g-%g", r->guidance_start, r->guidance_end);
	if (r->deep_cache > 1)
		put_line(&l, "DeepCache", "%d, level %d", r->deep_cache, r->deep_cache_level);
	put_line(&l, "Seed", "%llu", (unsigned long long)r->seed);
	put_line(&l, "Size", "%dx%d", r->width, r->height);
	put_line(&l, "Model hash", "%.10s", info->digest);
	put_line(&l, "Model", "%s", info->name);
	if (r->init)
		put_line(&l, "Denoising strength", "%g", r->strength);
	if (r->clip_skip > 0)
		put_line(&l, "Clip skip", "%d", r->clip_skip + 1);
	if (strcmp(r->rng, "torch") == 0)
		put_line(&l, "RNG", "CPU");
	put_line(&l, "Version", "sumi %s", SUMI_VERSION);
	struct infotext whole = {
	    .prompt = (char *)r->prompt,
	    .negative_prompt = (char *)r->negative_prompt,
	    .fields = l.fields,
	    .count = l.count,
	};
	return infotext_write(&whole, text, err);
}

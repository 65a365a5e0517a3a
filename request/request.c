/* A request as JSON, and what of it is a picture's shape. */
#include "request/request.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "request/param.h"

/* An empty text where one may be empty is none, but for those that say something by it. */
static json_t *text_json(const struct param *p, const char *text)
{
	return text && (*text || p->min > 0 || p->flags & PARAM_EMPTY) ? json_string(text) : NULL;
}

static json_t *number_json(const struct param *p, double value)
{
	bool open = p->type == PARAM_AMOUNT ? value == 0 : isnan(value);
	if (open || (p->fallback && value == strtod(p->fallback, NULL)))
		return NULL;
	return json_real(isfinite(value) ? value : copysign(DBL_MAX, value));
}

json_t *request_value(const struct request *r, const struct param *p)
{
	const void *at = (const char *)r + (p->offset - offsetof(struct job, request));
	json_t *list;
	int whole;
	switch (p->type) {
	case PARAM_SEED:
		return param_seed_json(*(const uint64_t *)at);
	case PARAM_INT:
		whole = *(const int *)at;
		return whole ? json_integer(whole) : NULL;
	case PARAM_NUMBER:
	case PARAM_AMOUNT:
		return number_json(p, *(const double *)at);
	case PARAM_BOOL:
		return *(const bool *)at ? json_true() : NULL;
	case PARAM_OBJECT_LIST:
		list = *(json_t *const *)at;
		return json_array_size(list) ? json_incref(list) : NULL;
	default:
		return text_json(p, *(const char *const *)at);
	}
}

static bool outpaints(const struct request *r)
{
	return r->outpaint_left || r->outpaint_right || r->outpaint_top || r->outpaint_bottom;
}

bool request_masked(const struct request *r)
{
	bool own = r->mask_from && strcmp(r->mask_from, "light") != 0;
	return r->mask || outpaints(r) || (r->init && own);
}

/* What has no say: strength without a picture to start from, quality of what loses nothing, and the
 * exact way, which was the only one for long. */
static struct request with_a_say(struct request r)
{
	r.strength = r.init ? r.strength : NAN;
	r.quality = r.lossless ? NAN : r.quality;
	if (r.precision && strcmp(r.precision, "exact") == 0)
		r.precision = NULL;
	r.refiner_at = r.refiner ? r.refiner_at : 0;
	if (r.hires <= 1) {
		r.hires = r.hires_strength = 0;
		r.hires_steps = 0;
		r.hires_upscaler = NULL;
	}
	r.upscaler = r.upscale > 0 ? r.upscaler : NULL;
	r.mask_padding = r.only_masked ? r.mask_padding : NAN;
	if (!request_masked(&r)) {
		r.mask_from = r.mask_blend = r.mask_fill = NULL;
		r.mask_invert = r.only_masked = false;
		r.mask_grow = 0;
		r.mask_blur = r.mask_padding = NAN;
	}
	r.deep_cache = r.deep_cache > 1 ? r.deep_cache : 0;
	r.deep_cache_level = r.deep_cache ? r.deep_cache_level : 0;
	return r;
}

const char *request_idle(const struct request *r, const char **why)
{
	static const char no_mask[] = "there is no mask", no_hires[] = "there is no hires above 1";
	bool masked = request_masked(r);
	const struct {
		bool idle;
		const char *name, *why;
	} rows[] = {
	    {r->refiner_at > 0 && !r->refiner, "refiner_at", "there is no refiner"},
	    {r->hires_steps && r->hires <= 1, "hires_steps", no_hires},
	    {r->hires_strength > 0 && r->hires <= 1, "hires_strength", no_hires},
	    {r->hires_upscaler && r->hires <= 1, "hires_upscaler", no_hires},
	    {r->upscaler && r->upscale == 0, "upscaler", "there is no upscale"},
	    {r->mask_from && !masked, "mask_from", no_mask},
	    {r->mask_invert && !masked, "mask_invert", no_mask},
	    {r->mask_grow && !masked, "mask_grow", no_mask},
	    {!isnan(r->mask_blur) && !masked, "mask_blur", no_mask},
	    {r->mask_blend && !masked, "mask_blend", no_mask},
	    {r->mask_fill && !masked, "mask_fill", no_mask},
	    {r->only_masked && !masked, "only_masked", no_mask},
	    {!isnan(r->mask_padding) && !r->only_masked, "mask_padding",
	     "it is for only_masked"},
	    {!isnan(r->strength) && !r->init, "strength", "there is no init"},
	    {!isnan(r->quality) && r->lossless, "quality", "lossless keeps all of it"},
	    {!isnan(r->quality) && r->format &&
		 (strcmp(r->format, "png") == 0 || strcmp(r->format, "wav") == 0),
	     "quality", "PNG and WAV lose nothing"},
	    {r->loop_count && r->format && strcmp(r->format, "webm") == 0, "loop_count",
	     "a WebM file does not say how often it is played"},
	    {json_array_size(r->music) && r->format && strcmp(r->format, "webp") == 0, "music", "an animated WebP has no sound"},
	    {r->deep_cache_level > 0 && r->deep_cache < 2, "deep_cache_level",
	     "there is no deep_cache above 1"},
	    /* Of what a style has made it is a record. */
	    {r->style && r->literal && !r->prompt_template && !json_array_size(r->loras), "style",
	     "literal takes prompts as they are"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].idle) {
			*why = rows[i].why;
			return rows[i].name;
		}
	return NULL;
}

json_t *request_json(const struct request *r)
{
	struct request said = with_a_say(*r);
	json_t *o = json_object();
	for (const struct param *p = param_table; o && p->name; p++) {
		bool written = p->concern == PARAM_PICTURE && !(p->flags & PARAM_UNWRITTEN);
		json_t *value = written ? request_value(&said, p) : NULL;
		if (value && json_object_set_new(o, p->name, value)) {
			json_decref(o);
			o = NULL;
		}
	}
	return o;
}

/* What to give instead of what a modality does not have. */
static const char *instead_of(const struct param *p, unsigned modality)
{
	static const struct {
		const char *name;
		unsigned modality;
		const char *text;
	} hints[] = {
	    {"duration", PARAM_VIDEO, ": its length is given by frames and fps"},
	    {"frames", PARAM_AUDIO, ": its length is given by duration"},
	    {"mood", PARAM_VIDEO | PARAM_IMAGE, ": it has a prompt"},
	};
	for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
		if (hints[i].modality & modality && strcmp(hints[i].name, p->name) == 0)
			return hints[i].text;
	return "";
}

static int not_for(const struct param *p, unsigned modality, struct error *err)
{
	char theirs[64], ours[64];
	return error_set(err, SUMI_INVALID, "field '%s' is for %s, not for %s%s", p->name,
			 param_modality_names(p->modalities, theirs, sizeof theirs),
			 param_modality_names(modality, ours, sizeof ours),
			 instead_of(p, modality));
}

static int check_limits(const struct param *p, const json_t *value, unsigned modality,
			struct error *err)
{
	char words[256];
	double v = json_number_value(value);
	if (json_is_number(value) && p->type != PARAM_SEED && !(v >= p->min && v <= p->max))
		return error_set(err, SUMI_INVALID, "%s is %.9g, allowed are %.9g to %.9g", p->name,
				 v, p->min, p->max);
	if (p->words && !(p->flags & PARAM_OTHERS) && !param_has_word(p, modality, json_string_value(value)))
		return error_set(err, SUMI_INVALID, "%s is '%.40s', allowed are: %s", p->name,
				 json_string_value(value),
				 param_words(p, modality, words, sizeof words));
	return SUMI_OK;
}

/* Of what a file is made of is said in a segment of 64 KiB, with marks around it. */
enum { JPEG_TEXTS_MAX = 11 * PARAM_KIB };

static size_t texts_size(const struct request *r)
{
	const char *const texts[] = {r->prompt, r->negative_prompt, r->prompt_template, r->negative_template};
	size_t size = 0;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		size += texts[i] ? strlen(texts[i]) : 0;
	return size;
}

/* What concerns more than one. */
static int check_together(const struct request *r, struct error *err)
{
	double end = r->guidance_end == 0 ? 1 : r->guidance_end;
	if (r->guidance_start >= end)
		return error_set(err, SUMI_INVALID,
				 "guidance_start is %g and guidance_end %g: both are parts of the "
				 "run, 0 to 1, the start before the end",
				 r->guidance_start, end);
	if (r->refiner && (r->init || r->hires > 1))
		return error_set(err, SUMI_INVALID,
				 "refiner goes on with a picture that begins with noise: it goes together "
				 "with neither init nor hires");
	if (r->init && r->hires > 1)
		return error_set(err, SUMI_INVALID,
				 "hires is for pictures that begin with noise: with init say the width and "
				 "height that are wanted");
	if (!r->init && (r->mask || outpaints(r)))
		return error_set(err, SUMI_INVALID,
				 "%s is given, but no init: the picture of which a part is made anew",
				 r->mask ? "mask" : "outpaint");
	if (r->only_masked && outpaints(r))
		return error_set(err, SUMI_INVALID,
				 "only_masked and outpaint do not go together: one makes a part of "
				 "init larger, the other adds to it");
	if (r->format && strcmp(r->format, "jpeg") == 0 && r->lossless)
		return error_set(err, SUMI_INVALID, "lossless: a JPEG loses something: format webp or png does not");
	if (r->format && strcmp(r->format, "jpeg") == 0 && texts_size(r) > JPEG_TEXTS_MAX)
		return error_set(err, SUMI_INVALID,
				 "format: the prompts have %zu bytes, and a JPEG has room to say %d of them: take webp or "
				 "png",
				 texts_size(r), JPEG_TEXTS_MAX);
	if (r->init && r->strength == 0)
		return error_set(err, SUMI_INVALID,
				 "strength is 0, allowed are 0 (exclusive) to 1");
	return SUMI_OK;
}

int request_check(const struct request *r, unsigned modality, struct error *err)
{
	int status = SUMI_OK;
	for (const struct param *p = param_table; p->name && !status; p++) {
		json_t *value = p->concern == PARAM_PICTURE ? request_value(r, p) : NULL;
		if (value && p->modalities & modality)
			status = check_limits(p, value, modality, err);
		else if (value && !(p->flags & PARAM_ECHOED))
			status = not_for(p, modality, err);
		json_decref(value);
	}
	return status ? status : check_together(r, err);
}

/* Of a list its hash: a text that was cut would be like others. */
static char *shape_text(const struct param *p, const json_t *value)
{
	char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	char *hash = text && p->type == PARAM_OBJECT_LIST ? malloc(SHA256_HEX_SIZE) : NULL;
	if (!hash)
		return text;
	sha256_hex(text, strlen(text), hash);
	free(text);
	return hash;
}

void request_shape(const struct request *r, char *out, size_t size)
{
	size_t used = 0;
	*out = '\0';
	for (const struct param *p = param_table; p->name; p++) {
		json_t *value = p->flags & PARAM_SHAPE ? request_value(r, p) : NULL;
		char *text = shape_text(p, value);
		json_decref(value);
		if (text)
			used += (size_t)snprintf(out + used, size - used, "%s%s=%s",
						 used ? " " : "", p->name, text);
		free(text);
		if (used >= size)
			return;
	}
}

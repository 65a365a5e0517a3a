/* What a file says of how it was made: sumi's own JSON, or another program's fields. */
#include "cli/recipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/files.h"
#include "base/json.h"
#include "base/model_file.h"
#include "diffusion/sampler.h"
#include "media/format.h"
#include "media/infotext.h"
#include "media/metadata_file.h"
#include "media/origin.h"
#include "modalities/control_units.h"
#include "request/param.h"
#include "request/request.h"

/* ---- one value of an infotext each: false where it cannot be read ---- */

/* As the table of a job's fields reads it. */
static bool take_field(json_t *job, const char *name, const char *text)
{
	json_t *value;
	return param_from_text(param_find(name), 0, text, strlen(text), &value, NULL) == SUMI_OK &&
	       json_object_set_new(job, name, value) == 0;
}

static bool take_text(json_t *job, const char *name, const char *text)
{
	return json_object_set_new(job, name, json_string(text)) == 0;
}

/* "Euler a", "DPM++ 2M Karras": the label of another program, which may name a schedule too. */
static bool take_sampler(json_t *job, const char *name, const char *text)
{
	const char *canonical = NULL;
	enum schedule_sigmas sigmas = SIGMAS_DEFAULT;
	if (sampler_parse_name(text, &canonical, &sigmas, NULL))
		return false;
	if (sigmas != SIGMAS_DEFAULT && !json_object_get(job, "scheduler"))
		take_text(job, "scheduler", sampler_sigmas_name(sigmas));
	return take_text(job, name, canonical);
}

static bool take_schedule(json_t *job, const char *name, const char *text)
{
	enum schedule_sigmas sigmas;
	return sampler_parse_sigmas(text, &sigmas, NULL) == SUMI_OK &&
	       take_text(job, name, sampler_sigmas_name(sigmas));
}

static bool take_size(json_t *job, const char *name, const char *text)
{
	int width, height, end = 0;
	(void)name;
	if (sscanf(text, "%dx%d%n", &width, &height, &end) != 2 || text[end])
		return false;
	json_object_set_new(job, "width", json_integer(width));
	return json_object_set_new(job, "height", json_integer(height)) == 0;
}

/* A1111 counts the layer that is used from the end, sumi those that are left out. */
static bool take_clip_skip(json_t *job, const char *name, const char *text)
{
	int layer, end = 0;
	return sscanf(text, "%d%n", &layer, &end) == 1 && !text[end] && layer > 0 &&
	       json_object_set_new(job, name, json_integer(layer - 1)) == 0;
}

static bool take_rng(json_t *job, const char *name, const char *text)
{
	static const char *const names[][2] = {
	    {"CPU", "torch"}, {"GPU", "philox"}, {"NV", "philox"}, {"CUDA", "philox"}};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcasecmp(text, names[i][0]) == 0)
			return take_text(job, name, names[i][1]);
	return false;
}

/* Some write -1 for a seed that they drew and do not tell. */
static bool take_seed(json_t *job, const char *name, const char *text)
{
	size_t digits = strspn(text, "0123456789"), zeros = text[digits] == '.' ? strspn(text + digits + 1, "0") : 0;
	char whole[24];
	if (zeros && !text[digits + 1 + zeros] && digits < sizeof whole) { /* "5.0" */
		snprintf(whole, sizeof whole, "%.*s", (int)digits, text);
		text = whole;
	}
	return strcmp(text, "-1") != 0 && take_field(job, name, text);
}

/* As a file: sumi calls a model by its name alone. */
static bool take_model(json_t *job, const char *name, const char *text)
{
	const char *slash = strrchr(text, '/'), *back = strrchr(text, '\\');
	text = back && (!slash || back > slash) ? back + 1 : slash ? slash + 1 : text;
	size_t n = model_name_length(text);
	return n > 0 && json_object_set_new(job, name, json_stringn(text, n)) == 0;
}

static bool take_interval(json_t *job, const char *name, const char *text)
{
	double start, end;
	int length = 0;
	(void)name;
	if (sscanf(text, "%lf-%lf%n", &start, &end, &length) != 2 || text[length])
		return false;
	json_object_set_new(job, "guidance_start", json_real(start));
	return json_object_set_new(job, "guidance_end", json_real(end)) == 0;
}

static bool take_deep_cache(json_t *job, const char *name, const char *text)
{
	int every, level, end = 0;
	if (sscanf(text, "%d, level %d%n", &every, &level, &end) != 2 || text[end])
		return false;
	json_object_set_new(job, "deep_cache_level", json_integer(level));
	return json_object_set_new(job, name, json_integer(every)) == 0;
}

/* With the first digits of its hash behind it. */
static bool take_refiner(json_t *job, const char *name, const char *text)
{
	const char *hash = strstr(text, " [");
	char own[128];
	if (strcasecmp(text, "None") == 0)
		return true;
	size_t n = hash ? (size_t)(hash - text) : strlen(text);
	if (n >= sizeof own)
		return false;
	memcpy(own, text, n);
	own[n] = '\0';
	return take_model(job, name, own);
}

static bool take_upscaler(json_t *job, const char *name, const char *text)
{
	const char *word = param_hires_word(text);
	return take_text(job, name, word ? word : text);
}

/* A1111's is both directions or none. */
static bool take_tile(json_t *job, const char *name, const char *text)
{
	static const char *const words[][2] = {{"True", "both"}, {"x", "x"}, {"y", "y"}};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcasecmp(words[i][0], text) == 0)
			return take_text(job, name, words[i][1]);
	return strcasecmp(text, "False") == 0;
}

static bool take_mask_mode(json_t *job, const char *name, const char *text)
{
	return strcasecmp(text, "Inpaint masked") == 0 ||
	       (strcasecmp(text, "Inpaint not masked") == 0 && json_object_set_new(job, name, json_true()) == 0);
}

static bool take_mask_area(json_t *job, const char *name, const char *text)
{
	return strcasecmp(text, "Whole picture") == 0 ||
	       (strcasecmp(text, "Only masked") == 0 && json_object_set_new(job, name, json_true()) == 0);
}

static bool take_mask_fill(json_t *job, const char *name, const char *text)
{
	return take_field(job, name, strncasecmp(text, "latent ", 7) == 0 ? text + 7 : text);
}

static bool take_nothing(json_t *job, const char *name, const char *text)
{
	(void)job, (void)name, (void)text;
	return true;
}

/* What stands there in another form than in a job, or in none; the rest as the table of parameters
 * says. */
static const struct {
	const char *key, *field;
	bool (*take)(json_t *job, const char *field, const char *text);
} keys[] = {
    {"Sampler", "sampler", take_sampler},
    {"Schedule type", "scheduler", take_schedule},
    {"Guidance interval", NULL, take_interval},
    {"DeepCache", "deep_cache", take_deep_cache},
    {"Size", NULL, take_size},
    {"Sampler sigma", "scheduler", take_schedule}, /* SD.Next's word */
    {"Model", "model", take_model},
    {"Noise device", "rng", take_rng}, /* InvokeAI's */
    {"Seed", "seed", take_seed},
    {"Skipped layers", "clip_skip", take_field},
    {"CFG rescale", "guidance_rescale", take_field},
    {"Clip skip", "clip_skip", take_clip_skip},
    {"RNG", "rng", take_rng},
    {"Precision", "precision", take_text},
    {"Hires upscaler", "hires_upscaler", take_upscaler},
    {"Refiner", "refiner", take_refiner},
    {"Tiling", "tile", take_tile},
    {"Model hash", NULL, take_nothing},	    /* told as a part of the infotext */
    {"TI hashes", NULL, take_nothing}, /* of words that stand in the prompt */
    {"Version", NULL, take_nothing},
};

/* What goes with a picture that is not in the file. */
static const struct {
	const char *key, *field;
	bool (*take)(json_t *job, const char *field, const char *text);
} of_picture[] = {
    {"Denoising strength", "strength", take_field},
    {"Mask blur", "mask_blur", take_field},
    {"Mask mode", "mask_invert", take_mask_mode},
    {"Mask blend", "mask_blend", take_field},
    {"Masked content", "mask_fill", take_mask_fill},
    {"Inpaint area", "only_masked", take_mask_area},
    {"Masked area padding", "mask_padding", take_field},
};

/* Whether a key is one of those; what it says waits until somebody brings the picture. */
static bool waits(struct recipe *r, const struct infotext_field *f)
{
	for (size_t i = 0; i < sizeof of_picture / sizeof of_picture[0]; i++) {
		if (strcmp(of_picture[i].key, f->key) != 0)
			continue;
		json_t *fields = json_object();
		if (!r->waiting)
			r->waiting = json_object();
		if (of_picture[i].take(fields, of_picture[i].field, f->value))
			json_object_set(r->waiting, f->key, fields);
		json_decref(fields);
		return true;
	}
	return false;
}

static bool take_key(json_t *job, const struct infotext_field *f)
{
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (strcmp(keys[i].key, f->key) == 0)
			return keys[i].take(job, keys[i].field, f->value);
	for (const struct param *p = param_table; p->name; p++)
		if (p->infotext && strcmp(p->infotext, f->key) == 0)
			return take_field(job, p->name, f->value);
	return false;
}

/* Where a program draws its noise when it says nothing of that; of the others it is not known. */
static const char *usual_rng(const char *program)
{
	static const struct {
		const char *program, *rng;
	} usual[] = {{"A1111", "philox"},	 {"Forge", "philox"},	  {"SD.Next", "philox"},
		     {"stable-diffusion.cpp", "philox"}, {"ComfyUI", "torch"}, {"SwarmUI", "torch"},
		     {"Stability Matrix", "torch"}, {"Fooocus", "torch"}, {"InvokeAI", "torch"},
		     {"Forge Classic", "philox"}, {"Forge Neo", "philox"}};
	for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
		if (strcmp(usual[i].program, program) == 0)
			return usual[i].rng;
	return NULL;
}

/* "ControlNet 0": what it was is told; the picture that it follows somebody has to bring. */
static bool take_control(struct recipe *r, const struct infotext_field *f)
{
	json_t *control = strncmp(f->key, "ControlNet ", 11) == 0 ? control_unit_read(f->value) : NULL;
	if (!control)
		return false;
	if (!r->followed)
		r->followed = json_array();
	return json_array_append_new(r->followed, control) == 0;
}

static void take_all(struct recipe *r, const struct infotext *text)
{
	if (text->prompt && *text->prompt)
		take_text(r->job, "prompt", text->prompt);
	if (text->negative_prompt && *text->negative_prompt)
		take_text(r->job, "negative_prompt", text->negative_prompt);
	for (size_t i = 0; i < text->count; i++)
		if (text->fields[i].value && *text->fields[i].value && !take_control(r, &text->fields[i]) &&
		    (waits(r, &text->fields[i]) || !take_key(r->job, &text->fields[i])))
			json_object_set_new(r->unknown, text->fields[i].key,
					    json_string(text->fields[i].value));
	/* Without a picture to start from, it is the second pass's. */
	const char *strength = infotext_get(text, "Denoising strength");
	if (strength && json_object_get(r->job, "hires") &&
	    take_field(r->job, "hires_strength", strength)) {
		json_object_del(r->unknown, "Denoising strength");
		json_object_del(r->waiting, "Denoising strength");
	}
	const char *rng = usual_rng(r->program);
	if (text->count && rng && !json_object_get(r->job, "rng"))
		take_text(r->job, "rng", rng);
}

/* What other programs than sumi say; where none does, SUMI_NOTFOUND. */
static int read_others(struct recipe *r, const struct file_texts *texts, const char *path,
		       struct error *err)
{
	struct origin origin;
	int status = origin_read(texts, &origin, err);
	if (status)
		return status;
	r->program = origin.program;
	r->infotext = origin.infotext;
	r->graph = json_incref(origin.graph);
	r->json = json_incref(origin.json);
	r->loras = json_incref(origin.loras);
	origin.infotext = NULL;
	if (r->program)
		take_all(r, &origin.text);
	else
		status = error_set(err, SUMI_NOTFOUND,
				   "%s: holds no parameters of sumi or of another program that "
				   "sumi knows",
				   path);
	origin_clear(&origin);
	return status;
}

/* ---- the file ---- */

/* What kind of file it is says what it holds: an infotext has no word for that. */
static void read_kind(const char *head, size_t n, json_t *job)
{
	enum { ANIMATED = 0x02 }; /* in the flags of a WebP's VP8X */
	enum format f = format_of(head, n);
	const struct param *format = param_find("format");
	if (f == FORMATS)
		return;
	bool moves = n > 20 && memcmp(head + 8, "WEBPVP8X", 8) == 0 && head[20] & ANIMATED;
	bool sounds = strncmp(format_table[f].mime, "audio/", 6) == 0;
	bool stands = strncmp(format_table[f].mime, "model/", 6) == 0;
	moves |= strncmp(format_table[f].mime, "video/", 6) == 0;
	take_text(job, "modality",
		  modality_names[moves    ? MODALITY_VIDEO
				 : sounds ? MODALITY_AUDIO
				 : stands ? MODALITY_WORLD
					  : MODALITY_IMAGE]);
	/* Not all that is read can be made; and a JPEG is mostly what somebody has made of a PNG since. */
	if (f != FORMAT_JPEG && param_has_word(format, PARAM_ALL, format_table[f].name))
		take_text(job, "format", format_table[f].name);
}

/* Files of before have seeds from 2^63 on as negative numbers. */
static void mend_seed(json_t *job)
{
	json_int_t seed = json_integer_value(json_object_get(job, "seed"));
	if (seed < -1)
		json_object_set_new(job, "seed", param_seed_json((uint64_t)seed));
}

/* Sumi's own JSON. */
static int read_ours(struct recipe *r, const char *json, const char *path, struct error *err)
{
	int status = json_read_text(json, strlen(json), path, &r->job, err);
	r->ours = true;
	r->program = "sumi";
	if (!status && !json_is_object(r->job))
		status = error_set(err, SUMI_CORRUPT, "%s: what sumi wrote into it is no JSON object",
				   path);
	if (status)
		return status;
	mend_seed(r->job);
	r->made_by = json_incref(json_object_get(r->job, "made_by"));
	json_object_del(r->job, "made_by");
	return SUMI_OK;
}

/* Of a file whose JSON of sumi's cannot be read, the infotext that is still there; err, which says why, becomes its
 * damage. */
static int read_instead(struct recipe *r, const char *data, size_t size, const struct file_texts *texts, const char *path,
			struct error *err)
{
	struct error other;
	snprintf(r->damage, sizeof r->damage, "%s", err->text);
	free(r->infotext);
	json_decref(r->job);
	r->infotext = NULL;
	r->ours = false;
	r->job = json_object();
	read_kind(data, size, r->job);
	return read_others(r, texts, path, &other) ? err->status : SUMI_OK;
}

int recipe_read(const char *path, struct recipe *r, struct error *err)
{
	struct metadata meta = {0};
	struct file_texts texts = {0};
	char *data; /* once: what comes through a pipe is not there again */
	size_t size;
	*r = (struct recipe){0};
	if (strcmp(path, "-") == 0)
		path = "/dev/stdin";
	int status = files_read(path, METADATA_FILE_MAX, &data, &size, err);
	if (status)
		return status;
	r->unknown = json_object();
	if ((status = texts_read(data, size, path, &texts, err)) ||
	    (status = metadata_pick(&texts, &meta, err)))
		goto done;
	if (meta.json) {
		r->infotext = meta.infotext;
		meta.infotext = NULL;
		status = read_ours(r, meta.json, path, err);
		if (status && r->infotext)
			status = read_instead(r, data, size, &texts, path, err);
	} else {
		r->job = json_object();
		read_kind(data, size, r->job);
		status = read_others(r, &texts, path, err);
	}
done:
	free(data);
	texts_free(&texts);
	metadata_free(&meta);
	if (status)
		recipe_clear(r);
	return status;
}

void recipe_clear(struct recipe *r)
{
	json_decref(r->job);
	json_decref(r->made_by);
	json_decref(r->unknown);
	json_decref(r->followed);
	json_decref(r->waiting);
	json_decref(r->graph);
	json_decref(r->json);
	json_decref(r->loras);
	free(r->infotext);
	*r = (struct recipe){0};
}

void recipe_drop_derived(json_t *job)
{
	static const char *const derived[] = {"steps",		"cfg_scale",	  "guidance_rescale",
					      "guidance_start", "guidance_end",   "sampler",
					      "scheduler",	"eta"};
	for (size_t i = 0; i < sizeof derived / sizeof derived[0]; i++)
		json_object_del(job, derived[i]);
}

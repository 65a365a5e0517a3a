/* AUTOMATIC1111's API: txt2img and img2img. */
#include "gateway/a1111.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/json.h"
#include "gateway/controlnet.h"
#include "gateway/handlers.h"
#include "media/infotext.h"
#include "gateway/shelves.h"
#include "queue/offers.h"
#include "request/upscaler_names.h"

enum { PICTURES_MAX = 64 };

/* What a request may say and a job knows by the same kind of value. */
static const struct {
	const char *name, *field;
} same[] = {
    {"prompt", "prompt"}, {"negative_prompt", "negative_prompt"},
    {"seed", "seed"},	  {"steps", "steps"},
    {"width", "width"},	  {"height", "height"},
    {"eta", "eta"},	  {"cfg_scale", "cfg_scale"},
};

/* What would change the picture and is not there: it is refused where it is asked for, and taken where
 * clients send it as "no". */
static const struct {
	const char *name, *words;
} missing[] = {
    {"hr_resize_x", "a second pass of another shape (hr_scale can be had)"},
    {"hr_resize_y", "a second pass of another shape (hr_scale can be had)"},
    {"hr_checkpoint_name", "another model in the second pass"},
    {"hr_prompt", "another prompt in the second pass"},
    {"hr_negative_prompt", "another prompt in the second pass"},
    {"restore_faces", "face restoration"},
    {"script_name", "scripts"},
    {"subseed_strength", "variation seeds"},
};

static bool says_something(const json_t *value)
{
	return json_is_true(value) || json_string_length(value) || json_array_size(value) ||
	       (json_is_number(value) && json_number_value(value) != 0);
}

static const char *text_of(const json_t *body, const char *name)
{
	const char *text = json_string_value(json_object_get(body, name));
	return text ? text : "";
}

static bool refuse_missing(struct call *call, const json_t *body)
{
	for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++)
		if (says_something(json_object_get(body, missing[i].name))) {
			call_refuse(call, 422, missing[i].name, "%s: %s cannot be had here",
				    missing[i].name, missing[i].words);
			return false;
		}
	return true;
}

static bool read_count(struct call *call, const json_t *body, json_t *fields)
{
	int a = call_count(json_object_get(body, "batch_size"), PICTURES_MAX);
	int b = call_count(json_object_get(body, "n_iter"), PICTURES_MAX);
	if (!a || !b || a * b > PICTURES_MAX) {
		call_refuse(call, 422, "batch_size", "batch_size times n_iter must be 1 to %d", PICTURES_MAX);
		return false;
	}
	json_object_set_new(fields, "n", json_integer(a * b));
	return true;
}

/* Names of styles.csv: ours is a text of them, with commas between. */
static bool read_styles(struct call *call, const json_t *body, json_t *fields)
{
	char text[512] = "";
	size_t used = 0, i;
	json_t *style;
	json_array_foreach(json_object_get(body, "styles"), i, style)
	{
		const char *name = json_string_value(style);
		size_t n = name ? strlen(name) : 0;
		if (!n || strchr(name, ',') || used + n + 3 > sizeof text) {
			call_refuse(call, 422, "styles", "styles must be a list of names without commas, "
							 "together at most 500 bytes");
			return false;
		}
		used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used ? ", " : "", name);
	}
	if (used)
		json_object_set_new(fields, "style", json_string(text));
	return true;
}

static void read_names(const json_t *body, json_t *fields)
{
	const char *sampler = text_of(body, "sampler_name"), *schedule = text_of(body, "scheduler");
	if (!*sampler)
		sampler = text_of(body, "sampler_index");
	if (*sampler && strcasecmp(sampler, "automatic") != 0)
		json_object_set_new(fields, "sampler", json_string(sampler));
	if (*schedule && strcasecmp(schedule, "automatic") != 0)
		json_object_set_new(fields, "scheduler", json_string(schedule));
	const json_t *overrides = json_object_get(body, "override_settings");
	const json_t *layers = json_object_get(overrides, "CLIP_stop_at_last_layers");
	if (json_is_integer(layers) && json_integer_value(layers) > 1)
		json_object_set_new(fields, "clip_skip", json_integer(json_integer_value(layers) - 1));
}

static int read_model(struct call *call, struct worker *w, const json_t *body, json_t *fields,
		      struct error *err)
{
	const char *title =
	    text_of(json_object_get(body, "override_settings"), "sd_model_checkpoint");
	char name[A1111_MODEL_SIZE];
	bool known = true;
	int status = *title ? a1111_known_model(w, title, name, &known, err)
			    : a1111_model(call, w, name, err);
	if (!status && *name && known)
		json_object_set_new(fields, "model", json_string(name));
	return status;
}

/* "title [hash]" of a model, and where it takes over. */
static bool read_refiner(struct call *call, struct worker *w, const json_t *body, json_t *fields)
{
	const char *title = text_of(body, "refiner_checkpoint");
	const json_t *at = json_object_get(body, "refiner_switch_at");
	char name[A1111_MODEL_SIZE];
	bool known = false;
	struct error err;
	if (!*title || strcasecmp(title, "none") == 0)
		return true;
	if (a1111_known_model(w, title, name, &known, &err)) {
		call_fail(call, &err);
		return false;
	}
	if (!known) {
		call_refuse(call, 422, "refiner_checkpoint", "refiner_checkpoint: there is no '%.60s' here",
			    title);
		return false;
	}
	json_object_set_new(fields, "refiner", json_string(name));
	if (json_is_number(at))
		json_object_set(fields, "refiner_at", (json_t *)at);
	return true;
}

static bool read_request(struct call *call, struct worker *w, const json_t *body, json_t *fields)
{
	static const char *const texts[] = {"sampler_name", "sampler_index", "scheduler", "refiner_checkpoint", "hr_upscaler", NULL};
	struct error err;
	if (!call_texts(call, body, texts) || !refuse_missing(call, body) || !read_count(call, body, fields) ||
	    !read_refiner(call, w, body, fields) || !read_styles(call, body, fields))
		return false;
	for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
		json_t *value = json_object_get(body, same[i].name);
		if (value && !json_is_null(value))
			json_object_set(fields, same[i].field, value);
	}
	if (!json_object_get(body, "width") && !json_object_get(body, "height")) {
		json_object_del(fields, "width");
		json_object_del(fields, "height");
	}
	if (json_is_true(json_object_get(body, "tiling")))
		json_object_set_new(fields, "tile", json_string("both"));
	read_names(body, fields);
	json_object_set_new(fields, "modality", json_string("image"));
	json_object_set_new(fields, "format", json_string("png"));
	if (read_model(call, w, body, fields, &err)) {
		call_fail(call, &err);
		return false;
	}
	return true;
}

/* A number of the request, or the usual one. */
static void number_or(const json_t *body, const char *name, json_t *usual, json_t *fields,
			       const char *field)
{
	json_t *value = json_object_get(body, name);
	json_object_set(fields, field, json_is_number(value) ? value : usual);
	json_decref(usual);
}

/* The name of the network of this host that is called so; NULL: none is. */
static const char *known_upscaler(const json_t *list, const char *called)
{
	size_t i;
	json_t *one;
	json_array_foreach(list, i, one)
	{
		const char *name = json_string_value(json_object_get(one, "name"));
		if (upscaler_is_called(name, called))
			return name;
	}
	return NULL;
}

/* A second pass at a higher resolution. */
static bool read_second(struct call *call, struct worker *w, const json_t *body, json_t *fields)
{
	const char *name = text_of(body, "hr_upscaler");
	const json_t *steps = json_object_get(body, "hr_second_pass_steps");
	/* The first of them is A1111's own. */
	const char *word = *name ? param_hires_word(name) : param_first_word(param_find("hires_upscaler"), PARAM_IMAGE);
	if (!json_is_true(json_object_get(body, "enable_hr")))
		return true;
	json_t *networks = word ? NULL : shelves_list(call, w, SHELF_UPSCALERS);
	if (!word && !networks)
		return false;
	word = word ? word : known_upscaler(networks, name);
	if (word)
		json_object_set_new(fields, "hires_upscaler", json_string(word));
	json_decref(networks);
	if (!word) {
		call_refuse(call, 422, "hr_upscaler", "hr_upscaler: '%.60s' cannot be had here", name);
		return false;
	}
	number_or(body, "hr_scale", json_integer(2), fields, "hires");
	number_or(body, "denoising_strength", json_real(0.75), fields, "hires_strength");
	if (says_something(steps))
		json_object_set(fields, "hires_steps", (json_t *)steps);
	return true;
}

/* A mask, and what of it that API takes for granted. */
static bool read_mask(struct call *call, struct worker *w, const json_t *body, json_t *fields)
{
	static const char *const fills[] = {"fill", "original", "noise", "nothing"};
	const json_t *mask = json_object_get(body, "mask");
	if (!says_something(mask))
		return true;
	if (!json_is_string(mask)) {
		call_refuse(call, 422, "mask", "mask must be a picture in base64");
		return false;
	}
	const json_t *fill = json_object_get(body, "inpainting_fill");
	json_int_t number = json_is_integer(fill) ? json_integer_value(fill) : 0;
	if (number < 0 || number >= (json_int_t)(sizeof fills / sizeof *fills)) {
		call_refuse(call, 422, "inpainting_fill", "inpainting_fill must be 0 to 3");
		return false;
	}
	json_object_set_new(fields, "mask_fill", json_string(fills[number]));
	json_object_set_new(fields, "mask_from", json_string("drawn"));
	number_or(body, "mask_blur", json_integer(4), fields, "mask_blur");
	if (says_something(json_object_get(body, "inpainting_mask_invert")))
		json_object_set_new(fields, "mask_invert", json_true());
	const json_t *whole = json_object_get(body, "inpaint_full_res");
	if (!whole || json_is_null(whole) || says_something(whole)) {
		json_object_set_new(fields, "only_masked", json_true());
		number_or(body, "inpaint_full_res_padding", json_integer(0), fields, "mask_padding");
	}
	return work_picture_text(call, w, "mask", "mask", json_string_value(mask), fields, 422);
}

/* Whether the chosen model changes a picture that it is shown. Clients send image_cfg_scale always, and for others it
 * says nothing. */
static bool edits(struct call *call, struct worker *w)
{
	char model[A1111_MODEL_SIZE];
	struct queue *queue;
	struct error ignored;
	json_t *offers = NULL;
	if (a1111_model(call, w, model, &ignored) || worker_queue(w, &queue, &ignored) ||
	    queue_offers(queue, &offers, &ignored))
		return false;
	bool shown = json_is_true(json_object_get(json_object_get(offers, model), "edits"));
	json_decref(offers);
	return shown;
}

/* The picture to start from. */
static bool read_init(struct call *call, struct worker *w, const json_t *body, json_t *fields)
{
	const json_t *list = json_object_get(body, "init_images");
	const json_t *first = json_array_get(list, 0);
	if (json_array_size(list) != 1 || !json_is_string(first)) {
		call_refuse(call, 422, "init_images", "init_images must be a list of one picture in base64");
		return false;
	}
	number_or(body, "denoising_strength", json_real(0.75), fields, "strength");
	json_t *scale = json_object_get(body, "image_cfg_scale");
	if (json_is_number(scale) && edits(call, w))
		json_object_set(fields, "image_cfg_scale", scale);
	return work_picture_text(call, w, "init_images", "init", json_string_value(first), fields, 422) &&
	       read_mask(call, w, body, fields) && controlnet_read(call, w, body, first, fields);
}

/* ---- the answer ----------------------------------------------------------------------------- */

struct collected {
	json_t *images, *infotexts, *seeds, *prompts, *negatives, *subseeds;
	json_t *metadata; /* sumi's own, of the first picture */
	int width, height;
	uint64_t seed;
};

static int collect(const struct call *call, const struct found *f, int n, struct collected *c, struct error *err)
{
	for (int i = 0; i < n; i++) {
		const struct store_artifact *file;
		char *data;
		size_t size;
		int status = work_result(call, f, i, &data, &size, &file, err);
		if (status)
			return status;
		json_array_append_new(c->images, base64_json(data, size));
		free(data);
		json_array_append_new(c->infotexts, json_string(file->infotext ? file->infotext : ""));
		json_array_append_new(c->seeds, param_seed_json(file->seed));
		json_array_append_new(c->subseeds, json_integer(-1));
		if (i == 0) {
			c->metadata =
			    file->metadata ? json_loads(file->metadata, 0, NULL) : NULL;
			c->width = file->width;
			c->height = file->height;
			c->seed = file->seed;
		}
	}
	return SUMI_OK;
}

static json_t *own(const struct collected *c, const char *name, json_t *otherwise)
{
	json_t *value = json_object_get(c->metadata, name);
	if (!value)
		return otherwise;
	json_decref(otherwise);
	return json_incref(value);
}

/* What the first infotext says beside what has members of its own, as A1111 has it there. */
static json_t *extras_json(const struct collected *c)
{
	static const char *const begins[] = {"ControlNet ", "Hires ", "Refiner", "Schedule type", "TI hashes", "Mask"};
	const char *text = json_string_value(json_array_get(c->infotexts, 0));
	struct infotext parsed;
	json_t *o = json_object();
	if (!text || infotext_parse(text, strlen(text), &parsed, NULL))
		return o;
	for (size_t i = 0; i < parsed.count; i++)
		for (size_t k = 0; k < sizeof begins / sizeof begins[0]; k++)
			if (strncmp(parsed.fields[i].key, begins[k], strlen(begins[k])) == 0)
				json_object_set_new(o, parsed.fields[i].key, json_string(parsed.fields[i].value));
	infotext_free(&parsed);
	return o;
}

/* What clients read out of `info`, which is JSON in a text. */
static char *info_text(struct collected *c, int n)
{
	char time[CLOCK_TEXT_SIZE], stamp[32];
	clock_text(clock_wall_ms(), time);
	snprintf(stamp, sizeof stamp, "%.4s%.2s%.2s%.2s%.2s%.2s", time, time + 5, time + 8, time + 11,
		 time + 14, time + 17);
	json_t *prompt = own(c, "prompt", json_string("")), *negative = own(c, "negative_prompt", json_string(""));
	for (int i = 0; i < n; i++) {
		json_array_append(c->prompts, prompt);
		json_array_append(c->negatives, negative);
	}
	json_t *o = json_pack(
	    "{s:o, s:O, s:o, s:O, s:o, s:O, s:i, s:O, s:i, s:i, s:i, s:o, s:o, s:o, s:i, s:b, s:o, s:n, s:n, s:o, "
	    "s:o, s:i, s:O, s:[], s:s, s:i, s:b, s:s}",
	    "prompt", prompt, "all_prompts", c->prompts, "negative_prompt", negative,
	    "all_negative_prompts", c->negatives, "seed", param_seed_json(c->seed), "all_seeds", c->seeds,
	    "subseed", -1, "all_subseeds", c->subseeds, "subseed_strength", 0, "width", c->width, "height",
	    c->height, "sampler_name", own(c, "sampler", json_string("")), "cfg_scale",
	    own(c, "cfg_scale", json_null()), "steps", own(c, "steps", json_null()), "batch_size", n,
	    "restore_faces", 0, "sd_model_name", own(c, "model", json_string("")), "sd_model_hash",
	    "face_restoration_model", "denoising_strength", own(c, "strength", json_null()),
	    "extra_generation_params", extras_json(c), "index_of_first_image", 0, "infotexts", c->infotexts, "styles",
	    "job_timestamp", stamp, "clip_skip", 1, "is_using_inpainting_conditioning", 0, "version",
	    "sumi " SUMI_VERSION);
	char *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
	json_decref(o);
	return text;
}

/* What was asked for, as far as a job has it: what else the body held may be a password. */
static json_t *parameters_json(const struct found *f)
{
	json_t *o = json_object();
	for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
		json_t *value = json_object_get(f->queued ? f->entry.job.fields : NULL, same[i].field);
		if (value)
			json_object_set(o, same[i].name, value);
	}
	return o;
}

static void finish(struct call *call, struct worker *w)
{
	struct found f;
	struct error err;
	if (!work_done(call, w, &f))
		return;
	int n = f.queued ? f.entry.job.n : f.row.variants;
	struct collected c = {.images = json_array(),  .infotexts = json_array(), .seeds = json_array(),
			      .prompts = json_array(), .negatives = json_array(), .subseeds = json_array()};
	if (collect(call, &f, n, &c, &err)) {
		call_fail(call, &err);
	} else {
		char *info = info_text(&c, n);
		call_json(call, 200,
			  json_pack("{s:O, s:o, s:s}", "images", c.images, "parameters", parameters_json(&f),
				    "info", info ? info : "{}"));
		free(info);
	}
	json_t *all[] = {c.images, c.infotexts, c.seeds, c.prompts, c.negatives, c.subseeds, c.metadata};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		json_decref(all[i]);
	jobs_clear(&f);
}

static void generate(struct call *call, struct worker *w, bool from_picture)
{
	json_t *body, *fields;
	struct job job;
	struct error err;
	struct queue *queue;
	char sender[WORK_SENDER_SIZE];
	if (!call_body(call, false, &body))
		return;
	fields = json_object();
	bool fine = read_request(call, w, body, fields);
	if (fine && !from_picture && says_something(json_object_get(body, "mask"))) {
		call_refuse(call, 422, "mask", "mask: it is for img2img, which has a picture");
		fine = false;
	}
	fine = fine && (from_picture ? read_init(call, w, body, fields)
				     : read_second(call, w, body, fields) && controlnet_read(call, w, body, NULL, fields));
	json_decref(body);
	if (!fine) {
		json_decref(fields);
		return;
	}
	/* What is no text is refused with the job. */
	json_t *prompt = json_object_get(fields, "prompt");
	if (!prompt || json_is_null(prompt) || (json_is_string(prompt) && !json_string_length(prompt)))
		json_object_set_new(fields, "prompt", json_string(" "));
	if (jobs_prepare(call, w, fields, &job, &err)) {
		call_fail(call, &err);
		if (call->answer.status == 400)
			call->answer.status = 422;
		return;
	}
	work_start(call, w, &job, finish);
	work_sender(call, A1111_API, sender);
	if (call->waits && worker_queue(w, &queue, &err) == SUMI_OK)
		queue_sent_note(queue, sender, (const char *const[]){call->jobs[0]}, 1, &err);
}

void a1111_text(struct call *call, struct worker *w)
{
	generate(call, w, false);
}

void a1111_image(struct call *call, struct worker *w)
{
	generate(call, w, true);
}

/* OpenAI's pictures: /v1/images/generations, /v1/models. What its clients require is written in docs/gateway.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "base/clock.h"
#include "gateway/form.h"
#include "gateway/handlers.h"
#include "gateway/work.h"
#include "queue/watch.h"
#include "request/param.h"

enum { PICTURES_MAX = 10, PARTIALS_MAX = 3 };

/* What finish needs of the request. */
struct wanted {
	bool url, stream, edit;
	int partials, sent; /* pictures of what forms: wanted, told */
	char format[8], size[16], quality[16];
};

/* Steps for a quality; 0: the model's own. */
static const struct {
	const char *word;
	int steps;
} qualities[] = {{"auto", 0}, {"standard", 0}, {"medium", 0}, {"low", 12},
		 {"high", 50}, {"hd", 50},	{"xhigh", 50},	{"max", 80}};

static const char *text_of(const json_t *body, const char *name)
{
	const char *text = json_string_value(json_object_get(body, name));
	return text ? text : "";
}

static bool read_quality(struct call *call, const char *word, json_t *fields)
{
	for (size_t i = 0; i < sizeof qualities / sizeof qualities[0]; i++)
		if (strcmp(qualities[i].word, word) == 0) {
			if (qualities[i].steps)
				json_object_set_new(fields, "steps", json_integer(qualities[i].steps));
			return true;
		}
	call_refuse(call, 400, "quality", "quality '%.40s' is not auto, low, medium or high", word);
	return false;
}

static bool read_size(struct call *call, const char *size, json_t *fields)
{
	int width, height;
	char rest;
	if (!*size || strcmp(size, "auto") == 0)
		return true;
	if (sscanf(size, "%5dx%5d%c", &width, &height, &rest) != 2 || width < 1 || height < 1) {
		call_refuse(call, 400, "size", "size '%.40s' is not WIDTHxHEIGHT or auto", size);
		return false;
	}
	json_object_set_new(fields, "width", json_integer(width));
	json_object_set_new(fields, "height", json_integer(height));
	return true;
}

static bool read_format(struct call *call, const json_t *body, struct wanted *wanted)
{
	const char *format = text_of(body, "output_format"), *as = text_of(body, "response_format");
	const char *model = text_of(body, "model");
	if (!*format)
		format = "png";
	if (strcasecmp(format, "jpg") == 0)
		format = "jpeg";
	if (!param_has_word(param_find("format"), PARAM_IMAGE, format)) {
		call_refuse(call, 400, "output_format", "output_format '%.40s' is not png, jpeg or webp", format);
		return false;
	}
	snprintf(wanted->format, sizeof wanted->format, "%s", format);
	if (*as && strcmp(as, "url") != 0 && strcmp(as, "b64_json") != 0) {
		call_refuse(call, 400, "response_format", "response_format '%.40s' is not url or b64_json",
			    as);
		return false;
	}
	/* Those two gave addresses where nothing was said, and so their users expect. */
	bool old = strcmp(model, "dall-e-2") == 0 || strcmp(model, "dall-e-3") == 0;
	wanted->url = strcmp(as, "url") == 0 || (!*as && old);
	return true;
}

/* 0 to 100; as clients send it with PNG too, it says nothing there. */
static bool read_compression(struct call *call, const json_t *body, const struct wanted *wanted, json_t *fields)
{
	const json_t *value = json_object_get(body, "output_compression");
	const char *text = json_string_value(value); /* of a form */
	char *end = NULL;
	if (!value || json_is_null(value))
		return true;
	long percent = text ? strtol(text, &end, 10) : json_is_integer(value) ? (long)json_integer_value(value) : -1;
	if (percent < 0 || percent > 100 || (text && (end == text || *end))) {
		call_refuse(call, 400, "output_compression", "output_compression must be a whole number from 0 to 100");
		return false;
	}
	if (strcmp(wanted->format, "png") != 0)
		json_object_set_new(fields, "quality", json_integer(percent));
	return true;
}

static bool read_count(struct call *call, const json_t *body, json_t *fields)
{
	int count = call_count(json_object_get(body, "n"), PICTURES_MAX);
	if (!count) {
		call_refuse(call, 400, "n", "n must be a whole number from 1 to %d", PICTURES_MAX);
		return false;
	}
	json_object_set_new(fields, "n", json_integer(count));
	return true;
}

/* What a job knows and OpenAI does not, by the names that people use: seed, negative_prompt, guidance_scale, … */
static void add_extras(const json_t *body, json_t *fields)
{
	static const char *const taken[] = {"prompt", "model", "modality", "format", "quality"};
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)body, name, value)
	{
		const struct param *p = param_named(name);
		/* dall-e-3's "vivid" and "natural" are no styles of ours. */
		const char *word = json_string_value(value);
		if (word && strcmp(name, "style") == 0 && (strcmp(word, "vivid") == 0 || strcmp(word, "natural") == 0))
			continue;
		bool fits = p && p->concern == PARAM_PICTURE && p->modalities & PARAM_IMAGE &&
			    p->type != PARAM_FILE && !json_is_null(value);
		for (size_t i = 0; fits && i < sizeof taken / sizeof taken[0]; i++)
			fits = strcmp(p->name, taken[i]) != 0;
		if (fits)
			json_object_set(fields, p->name, value);
	}
}

static bool read_stream(struct call *call, const json_t *body, struct wanted *wanted)
{
	const json_t *partials = json_object_get(body, "partial_images");
	json_int_t n = json_is_integer(partials) ? json_integer_value(partials) : 0;
	wanted->stream = json_is_true(json_object_get(body, "stream"));
	if (n < 0 || n > PARTIALS_MAX || (partials && !json_is_null(partials) && !json_is_integer(partials))) {
		call_refuse(call, 400, "partial_images", "partial_images must be 0 to %d", PARTIALS_MAX);
		return false;
	}
	wanted->partials = (int)n;
	return true;
}

static bool read_request(struct call *call, struct worker *w, const json_t *body, json_t *fields,
			 struct wanted *wanted)
{
	static const char *const texts[] = {"model", "quality", "size", "output_format", "response_format", NULL};
	const json_t *prompt = json_object_get(body, "prompt");
	const char *quality = text_of(body, "quality"), *size = text_of(body, "size");
	if (!json_is_string(prompt) || !*json_string_value(prompt)) {
		call_refuse(call, 400, "prompt", "prompt must be a text that says what to paint");
		return false;
	}
	if (!call_texts(call, body, texts) || !read_stream(call, body, wanted))
		return false;
	json_object_set(fields, "prompt", (json_t *)prompt);
	json_object_set_new(fields, "modality", json_string("image"));
	work_model(w, text_of(body, "model"), "image", fields);
	if (!read_quality(call, *quality ? quality : "auto", fields) || !read_size(call, size, fields) ||
	    !read_count(call, body, fields) || !read_format(call, body, wanted) ||
	    !read_compression(call, body, wanted, fields))
		return false;
	json_object_set_new(fields, "format", json_string(wanted->format));
	add_extras(body, fields);
	snprintf(wanted->size, sizeof wanted->size, "%.15s", *size ? size : "auto");
	snprintf(wanted->quality, sizeof wanted->quality, "%.15s", *quality ? quality : "auto");
	return true;
}

/* ---- the answer ----------------------------------------------------------------------------- */

static int add_picture(const struct call *call, const struct found *f, int variant,
		       const struct wanted *wanted, json_t *data, struct error *err)
{
	const struct store_artifact *file;
	char *bytes;
	size_t size;
	int status = work_result(call, f, variant, &bytes, &size, &file, err);
	if (status)
		return status;
	char *url = wanted->url ? work_url(call, file) : NULL;
	json_t *o = json_object();
	if (wanted->url)
		json_object_set_new(o, "url", json_string(url ? url : ""));
	else
		json_object_set_new(o, "b64_json", base64_json(bytes, size));
	json_object_set_new(o, "seed", param_seed_json(file->seed));
	json_array_append_new(data, o);
	free(url);
	free(bytes);
	return SUMI_OK;
}

/* One event behind those in *text; takes over the picture. */
static void add_event(const struct wanted *wanted, const char *what, json_t *picture, const char *format, int index,
		      char **text, size_t *size)
{
	char type[64];
	snprintf(type, sizeof type, "%s.%s", wanted->edit ? "image_edit" : "image_generation", what);
	json_t *o = json_pack("{s:s, s:o, s:I, s:s, s:s, s:s, s:s}", "type", type, "b64_json", picture, "created_at",
			      (json_int_t)(clock_wall_ms() / 1000), "size", wanted->size, "quality", wanted->quality,
			      "background", "opaque", "output_format", format);
	if (index >= 0)
		json_object_set_new(o, "partial_image_index", json_integer(index));
	char *data = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	size_t room = data ? *size + strlen(data) + sizeof type + 32 : 0;
	char *grown = data ? realloc(*text, room) : NULL;
	if (grown) {
		*text = grown;
		*size += (size_t)snprintf(grown + *size, room - *size, "event: %s\ndata: %s\n\n", type, data);
	}
	free(data);
}

/* The picture as it forms, when its share of the steps is made. */
static void add_partial(struct call *call, struct worker *w)
{
	struct wanted *wanted = call->state;
	struct queue *queue;
	struct queue_entry e;
	struct error ignored;
	char *data;
	size_t size;
	if (wanted->sent >= wanted->partials || worker_queue(w, &queue, &ignored) ||
	    queue_get(queue, call->jobs[0], &e, &ignored))
		return;
	bool due = e.state == JOB_RUNNING && e.steps > 0 &&
		   e.step * (wanted->partials + 1) >= e.steps * (wanted->sent + 1);
	queue_entry_clear(&e);
	if (!due || queue_last_preview(queue, call->jobs[0], &data, &size, &ignored))
		return;
	add_event(wanted, "partial_image", base64_json(data, size), "webp", wanted->sent++, &call->piece,
		  &call->piece_size);
	free(data);
}

static void finish_stream(struct call *call, const json_t *data)
{
	const struct wanted *wanted = call->state;
	char *text = NULL;
	size_t i, size = 0;
	json_t *one;
	json_array_foreach(data, i, one)
		add_event(wanted, "completed", json_incref(json_object_get(one, "b64_json")), wanted->format, -1, &text,
			  &size);
	call_text(call, 200, "text/event-stream", text, size);
}

static void finish(struct call *call, struct worker *w)
{
	struct wanted *wanted = call->state;
	struct found f;
	struct error err;
	call->events = wanted->stream;
	if (wanted->stream)
		wanted->url = false;
	if (!work_done(call, w, &f)) {
		if (call->waits && wanted->stream)
			add_partial(call, w);
		return;
	}
	int n = f.queued ? f.entry.job.n : f.row.variants, status = SUMI_OK;
	json_t *data = json_array();
	for (int i = 0; i < n && !status; i++)
		status = add_picture(call, &f, i, wanted, data, &err);
	if (status)
		call_fail(call, &err);
	else if (wanted->stream)
		finish_stream(call, data);
	else
		call_json(call, 200,
			  json_pack("{s:I, s:O, s:s, s:s, s:s, s:s, s:s}", "created",
				    (json_int_t)(clock_wall_ms() / 1000), "data", data, "output_format",
				    wanted->format, "size", wanted->size, "quality", wanted->quality,
				    "background", "opaque", "job", call->jobs[0]));
	json_decref(data);
	jobs_clear(&f);
}

static void start(struct call *call, struct worker *w, struct job *job)
{
	work_start(call, w, job, finish);
	call->events = call->waits && ((struct wanted *)call->state)->stream;
}

/* ---- forms ---------------------------------------------------------------------------------- */

/* What is transparent in the mask is made anew, all of it where nobody says how much. */
static bool read_mask(struct call *call, struct worker *w, const struct multipart *form,
		      const json_t *body, json_t *fields)
{
	size_t masks;
	const struct multipart_part *mask = multipart_find(form, "mask", &masks);
	if (!masks)
		return true;
	if (masks > 1 || !mask->file) {
		call_refuse(call, 400, "mask", "mask must be one picture, as a file");
		return false;
	}
	json_object_set_new(fields, "mask_from", json_string("alpha"));
	if (!json_object_get(body, "strength"))
		json_object_set_new(fields, "strength", json_real(1));
	return work_picture(call, w, "mask", "mask", mask->data, mask->size, fields, 400);
}

static bool read_picture(struct call *call, struct worker *w, const struct multipart *form,
			 const json_t *body, json_t *fields)
{
	size_t one, several;
	const struct multipart_part *image = multipart_find(form, "image", &one);
	const struct multipart_part *listed = multipart_find(form, "image[]", &several);
	image = image ? image : listed;
	if (!image || one + several != 1) {
		call_refuse(call, 400, "image", "image must be one picture, as a file");
		return false;
	}
	return work_picture(call, w, "image", "init", image->data, image->size, fields, 400) &&
	       read_mask(call, w, form, body, fields);
}

static void from_picture(struct call *call, struct worker *w, const char *prompt, double strength)
{
	struct multipart *form = NULL;
	struct wanted *wanted = calloc(1, sizeof *wanted);
	json_t *body = NULL, *fields = json_object();
	struct job job;
	struct error err;
	call->state = wanted;
	if (!wanted || !form_read(call, &form, &body)) {
		json_decref(fields);
		return;
	}
	wanted->edit = true;
	if (prompt)
		json_object_set_new(body, "prompt", json_string(prompt));
	json_object_set_new(fields, "strength", json_real(strength));
	if (!read_request(call, w, body, fields, wanted) || !read_picture(call, w, form, body, fields))
		json_decref(fields);
	else if (jobs_prepare(call, w, fields, &job, &err))
		call_fail(call, &err);
	else
		start(call, w, &job);
	json_decref(body);
	free(form);
}

void openai_edit(struct call *call, struct worker *w)
{
	from_picture(call, w, NULL, 0.75);
}

/* Like it, and not it. */
void openai_vary(struct call *call, struct worker *w)
{
	from_picture(call, w, " ", 0.6);
}

void openai_generate(struct call *call, struct worker *w)
{
	json_t *body, *fields = json_object();
	struct wanted *wanted = calloc(1, sizeof *wanted);
	struct job job;
	struct error err;
	call->state = wanted;
	if (!wanted || !call_body(call, false, &body)) {
		json_decref(fields);
		return;
	}
	if (!read_request(call, w, body, fields, wanted))
		json_decref(fields);
	else if (jobs_prepare(call, w, fields, &job, &err))
		call_fail(call, &err);
	else
		start(call, w, &job);
	json_decref(body);
}

/* ---- models --------------------------------------------------------------------------------- */

static json_t *model_json(const char *name)
{
	return json_pack("{s:s, s:s, s:i, s:s}", "id", name, "object", "model", "created", 0, "owned_by",
			 "sumi");
}

/* {"image/ink": true, …} of living workers; NULL: it has been refused. */
static json_t *living_models(struct call *call, struct worker *w)
{
	struct queue *queue;
	struct error err;
	char *classes = NULL, *rest = NULL;
	if (!call_queue(call, w, &queue))
		return NULL;
	if (queue_classes(queue, &classes, &err)) {
		call_fail(call, &err);
		return NULL;
	}
	json_t *models = json_object();
	for (char *c = strtok_r(classes ? classes : (char[]){""}, " ", &rest); c;
	     c = strtok_r(NULL, " ", &rest)) {
		const char *slash = strchr(c, '/');
		if (slash && slash[1])
			json_object_set_new(models, slash + 1, json_true());
	}
	free(classes);
	return models;
}

void openai_models(struct call *call, struct worker *w)
{
	json_t *models = living_models(call, w), *value, *rows = json_array();
	const char *name;
	if (models) {
		json_object_foreach(models, name, value)
			json_array_append_new(rows, model_json(name));
		call_json(call, 200, json_pack("{s:s, s:O}", "object", "list", "data", rows));
	}
	json_decref(models);
	json_decref(rows);
}

void openai_model(struct call *call, struct worker *w)
{
	json_t *models = living_models(call, w);
	if (models && json_object_get(models, call->args[0]))
		call_json(call, 200, model_json(call->args[0]));
	else if (models)
		call_refuse(call, 404, "model", "no living worker has the model '%.100s'", call->args[0]);
	json_decref(models);
}

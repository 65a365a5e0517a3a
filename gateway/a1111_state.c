/* AUTOMATIC1111's API: options, models, samplers, progress, and what else clients ask before they begin. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "gateway/a1111.h"
#include "gateway/handlers.h"
#include "media/infotext.h"
#include "media/metadata_file.h"
#include "modalities/labels.h"
#include "queue/watch.h"

enum { CHOICE_S = 365 * 86400, OWN_MAX = 64 };

/* ---- models --------------------------------------------------------------------------------- */

static int image_models(struct worker *w, json_t **models, struct error *err)
{
	struct queue *queue;
	char *classes = NULL, *rest = NULL;
	*models = json_array();
	int status = worker_queue(w, &queue, err);
	if (!status)
		status = queue_classes(queue, &classes, err);
	for (char *c = classes ? strtok_r(classes, " ", &rest) : NULL; c; c = strtok_r(NULL, " ", &rest)) {
		size_t i;
		json_t *other;
		bool seen = strncmp(c, "image/", 6) != 0 || !c[6] || strlen(c + 6) >= A1111_MODEL_SIZE;
		json_array_foreach(*models, i, other)
			seen = seen || strcmp(json_string_value(other), c + 6) == 0;
		if (!seen)
			json_array_append_new(*models, json_string(c + 6));
	}
	free(classes);
	return status;
}

int a1111_known_model(struct worker *w, const char *title, char name[A1111_MODEL_SIZE], bool *known,
		      struct error *err)
{
	json_t *models, *model;
	size_t i, n = strlen(title);
	const char *bracket = strstr(title, " [");
	if (bracket && title[n - 1] == ']')
		n = (size_t)(bracket - title);
	snprintf(name, A1111_MODEL_SIZE, "%.*s", (int)(n < A1111_MODEL_SIZE ? n : 0), title);
	*known = false;
	int status = image_models(w, &models, err);
	json_array_foreach(models, i, model)
		*known = *known || strcmp(json_string_value(model), name) == 0;
	json_decref(models);
	return status;
}

static void choice_name(const struct call *call, char out[WORK_SENDER_SIZE])
{
	snprintf(out, WORK_SENDER_SIZE, "model/%s", call->caller.name);
}

int a1111_model(struct call *call, struct worker *w, char out[A1111_MODEL_SIZE], struct error *err)
{
	char name[WORK_SENDER_SIZE], chosen[A1111_MODEL_SIZE] = "";
	bool known = false, said;
	struct queue *queue;
	json_t *models = NULL;
	choice_name(call, name);
	int status = worker_queue(w, &queue, err);
	if (!status)
		status = queue_recall(queue, name, chosen, sizeof chosen, err);
	if (!status && *chosen)
		status = a1111_known_model(w, chosen, out, &known, err);
	if (status || known)
		return status;
	snprintf(chosen, sizeof chosen, "%s", config_model(worker_config(w), "image", &said));
	status = a1111_known_model(w, chosen, out, &known, err);
	if (!status && !known)
		status = image_models(w, &models, err);
	if (!status && !known) {
		const char *first = json_string_value(json_array_get(models, 0));
		snprintf(out, A1111_MODEL_SIZE, "%s", first ? first : "");
	}
	json_decref(models);
	return status;
}

void a1111_models(struct call *call, struct worker *w)
{
	json_t *models, *model, *rows = json_array();
	size_t i;
	struct error err;
	if (image_models(w, &models, &err)) {
		call_fail(call, &err);
	} else {
		json_array_foreach(models, i, model)
			json_array_append_new(rows, json_pack("{s:O, s:O, s:n, s:n, s:O, s:n}", "title", model,
							      "model_name", model, "hash", "sha256",
							      "filename", model, "config"));
		call_json(call, 200, json_incref(rows));
	}
	json_decref(rows);
	json_decref(models);
}

/* ---- options -------------------------------------------------------------------------------- */

void a1111_options(struct call *call, struct worker *w)
{
	char model[A1111_MODEL_SIZE];
	struct error err;
	if (a1111_model(call, w, model, &err))
		call_fail(call, &err);
	else
		call_json(call, 200,
			  json_pack("{s:s, s:s, s:s, s:s, s:i, s:b, s:i, s:s}", "samples_format", "png",
				    "sd_model_checkpoint", model, "sd_checkpoint_hash", "", "sd_vae",
				    "Automatic", "CLIP_stop_at_last_layers", 1, "samples_save", 1,
				    "eta_noise_seed_delta", 0, "randn_source", "CPU"));
}

/* Some clients send back the whole document with one value changed; the model is what can be chosen. */
void a1111_set_options(struct call *call, struct worker *w)
{
	json_t *body;
	char name[WORK_SENDER_SIZE], model[A1111_MODEL_SIZE];
	bool known = true;
	struct queue *queue;
	struct error err;
	if (!call_body(call, false, &body))
		return;
	const char *title = json_string_value(json_object_get(body, "sd_model_checkpoint"));
	int status = title && *title ? a1111_known_model(w, title, model, &known, &err) : SUMI_OK;
	if (!status && !known) {
		call_refuse(call, 422, "sd_model_checkpoint", "no living worker has the model '%.100s'", title);
		json_decref(body);
		return;
	}
	choice_name(call, name);
	if (!status && title && *title && !(status = worker_queue(w, &queue, &err)))
		status = queue_remember_now(queue, name, model, CHOICE_S, &err);
	if (status)
		call_fail(call, &err);
	else
		call_text(call, 200, "application/json", strdup("null"), 4);
	json_decref(body);
}

/* ---- lists ---------------------------------------------------------------------------------- */

static const char *const schedules[][2] = {
    {"automatic", "Automatic"}, {"uniform", "Uniform"}, {"karras", "Karras"},
    {"exponential", "Exponential"}, {"sgm_uniform", "SGM Uniform"}, {"simple", "Simple"},
    {"normal", "Normal"}, {"beta", "Beta"}, {"align_your_steps", "Align Your Steps"}};

void a1111_samplers(struct call *call, struct worker *w)
{
	json_t *rows = json_array();
	(void)w;
	for (int i = 0; label_sampler_at(i); i++)
		json_array_append_new(rows,
				      json_pack("{s:s, s:[], s:{}}", "name", label_sampler_at(i), "aliases", "options"));
	call_json(call, 200, rows);
}

void a1111_schedulers(struct call *call, struct worker *w)
{
	json_t *rows = json_array();
	(void)w;
	for (size_t i = 0; i < sizeof schedules / sizeof schedules[0]; i++)
		json_array_append_new(rows, json_pack("{s:s, s:s, s:n, s:f, s:b}", "name", schedules[i][0],
						      "label", schedules[i][1], "aliases", "default_rho", -1.0,
						      "need_inner_model", 0));
	call_json(call, 200, rows);
}

void a1111_vaes(struct call *call, struct worker *w)
{
	(void)w;
	call_json(call, 200, json_array());
}

void a1111_nothing(struct call *call, struct worker *w)
{
	(void)w;
	call_json(call, 200, json_array());
}

void a1111_flags(struct call *call, struct worker *w)
{
	(void)w;
	call_json(call, 200, json_pack("{s:b}", "api", 1));
}

void a1111_done(struct call *call, struct worker *w)
{
	(void)w;
	call_text(call, 200, "application/json", strdup("null"), 4);
}

/* /proc/meminfo: "MemTotal:  16333764 kB" */
static json_int_t memory_of(const char *text, const char *name)
{
	const char *at = strstr(text, name);
	return at ? (json_int_t)strtoll(at + strlen(name), NULL, 10) * 1024 : 0;
}

void a1111_memory(struct call *call, struct worker *w)
{
	char *text = NULL;
	(void)w;
	if (files_read("/proc/meminfo", 65536, &text, NULL, NULL))
		text = NULL;
	json_int_t total = text ? memory_of(text, "MemTotal:") : 0;
	json_int_t free_bytes = text ? memory_of(text, "MemAvailable:") : 0;
	free(text);
	call_json(call, 200,
		  json_pack("{s:{s:I, s:I, s:I}, s:{s:s}}", "ram", "free", free_bytes, "used",
			    total - free_bytes, "total", total, "cuda", "error", "unavailable"));
}

/* ---- progress ------------------------------------------------------------------------------- */

/* Jobs of the caller's that this API has sent, and of them the one that runs. */
static int own_jobs(struct call *call, struct worker *w, char (*ids)[JOB_ID_SIZE], size_t *count,
		    struct queue_entry *running, bool *runs, struct error *err)
{
	char sender[WORK_SENDER_SIZE];
	struct queue *queue;
	*runs = false;
	work_sender(call, A1111_API, sender);
	int status = worker_queue(w, &queue, err);
	if (!status)
		status = queue_sent_list(queue, sender, ids, OWN_MAX, count, err);
	/* The first that was sent is the first that runs, mostly. */
	for (size_t i = *count; !status && !*runs && i-- > 0;) {
		struct error ignored;
		if (queue_get(queue, ids[i], running, &ignored))
			continue;
		*runs = running->state == JOB_RUNNING;
		if (!*runs)
			queue_entry_clear(running);
	}
	return status;
}

static json_t *preview_of(struct worker *w, const char *id)
{
	struct queue *queue;
	struct error ignored;
	char *data;
	size_t size;
	if (worker_queue(w, &queue, &ignored) || queue_last_preview(queue, id, &data, &size, &ignored))
		return json_null();
	json_t *picture = base64_json(data, size);
	free(data);
	return picture;
}

void a1111_progress(struct call *call, struct worker *w)
{
	char ids[OWN_MAX][JOB_ID_SIZE];
	size_t count = 0;
	struct queue_entry e;
	struct error err;
	bool runs, ok = true;
	char *skip = call_query(call, "skip_current_image", &ok);
	bool bare = skip && strcmp(skip, "true") == 0;
	free(skip);
	if (!ok)
		return;
	if (own_jobs(call, w, ids, &count, &e, &runs, &err)) {
		call_fail(call, &err);
		return;
	}
	double part = runs && e.steps > 0 ? (double)e.step / (double)e.steps : 0;
	double whole = runs ? ((double)e.variants + part) / (e.job.n > 0 ? e.job.n : 1) : 0;
	bool timed = runs && e.eta_s == e.eta_s;
	call_json(call, 200,
		  json_pack("{s:f, s:f, s:{s:b, s:b, s:b, s:s, s:I, s:s, s:I, s:I, s:I}, s:o, s:n}", "progress",
			    whole < 1 ? whole : 0.999, "eta_relative", timed ? e.eta_s : 0.0, "state", "skipped",
			    0, "interrupted", 0, "stopping_generation", 0, "job", runs ? e.id : "", "job_count",
			    (json_int_t)count, "job_timestamp", "0", "job_no",
			    (json_int_t)(runs ? e.variants : 0), "sampling_step",
			    (json_int_t)(runs ? e.step : 0), "sampling_steps",
			    (json_int_t)(runs ? e.steps : 0), "current_image",
			    runs && !bare ? preview_of(w, e.id) : json_null(), "textinfo"));
	if (runs)
		queue_entry_clear(&e);
}

/* all: those that wait as well. */
static bool stop(struct call *call, struct worker *w, bool all)
{
	char ids[OWN_MAX][JOB_ID_SIZE];
	size_t count = 0;
	struct queue_entry e;
	struct queue *queue;
	struct error err;
	enum queue_cancel_result result;
	bool runs;
	int status = own_jobs(call, w, ids, &count, &e, &runs, &err);
	if (!status)
		status = worker_queue(w, &queue, &err);
	for (size_t i = 0; i < count && !status; i++)
		/* One that is not there any more keeps none of the others. */
		if ((all || (runs && strcmp(ids[i], e.id) == 0)) &&
		    (status = queue_cancel(queue, ids[i], &result, &err)) == SUMI_NOTFOUND)
			status = SUMI_OK;
	if (runs)
		queue_entry_clear(&e);
	if (status) {
		call_fail(call, &err);
		return false;
	}
	return true;
}

void a1111_interrupt(struct call *call, struct worker *w)
{
	if (stop(call, w, true))
		call_json(call, 200, json_object());
}

void a1111_skip(struct call *call, struct worker *w)
{
	if (stop(call, w, false))
		a1111_done(call, w);
}

/* ---- reading pictures ------------------------------------------------------------------------ */

static json_t *fields_json(const char *text)
{
	struct infotext parsed;
	json_t *o = json_object();
	if (infotext_parse(text, strlen(text), &parsed, NULL))
		return o;
	json_object_set_new(o, "Prompt", json_string(parsed.prompt ? parsed.prompt : ""));
	json_object_set_new(o, "Negative prompt",
			    json_string(parsed.negative_prompt ? parsed.negative_prompt : ""));
	for (size_t i = 0; i < parsed.count; i++)
		if (parsed.fields[i].value)
			json_object_set_new(o, parsed.fields[i].key, json_string(parsed.fields[i].value));
	infotext_free(&parsed);
	return o;
}

void a1111_read(struct call *call, struct worker *w)
{
	json_t *body;
	void *data;
	size_t size;
	struct metadata m = {0};
	struct error err;
	(void)w;
	if (!call_body(call, false, &body))
		return;
	const json_t *image = json_object_get(body, "image");
	int status = json_is_string(image)
			 ? base64_decode(json_string_value(image), json_string_length(image), &data, &size, &err)
			 : error_set(&err, SUMI_INVALID, "image must be a picture in base64");
	json_decref(body);
	if (!status) {
		status = metadata_read(data, size, "image", &m, &err);
		free(data);
	}
	if (status && status != SUMI_NOTFOUND) {
		call_refuse(call, 422, "image", "%s", err.text);
		return;
	}
	const char *text = m.infotext ? m.infotext : "";
	json_t *items = json_object();
	if (m.infotext)
		json_object_set_new(items, "parameters", json_string(text));
	call_json(call, 200,
		  json_pack("{s:s, s:o, s:o}", "info", text, "items", items, "parameters", fields_json(text)));
	metadata_free(&m);
}

/* OpenAI's videos: sent, looked at until they are done, fetched. An answer never waits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/handlers.h"
#include "gateway/multipart.h"
#include "gateway/once.h"
#include "gateway/work.h"
#include "media/picture_file.h"

enum { FPS = 8, SECONDS_MAX = REQUEST_FRAMES_MAX / FPS };

/* The state of a job in the API's words. */
static const struct {
	enum job_state state;
	const char *word;
} words[] = {{JOB_DONE, "completed"}, {JOB_FAILED, "failed"}, {JOB_CANCELLED, "failed"}, {JOB_RUNNING, "in_progress"}};

static json_t *video_json(const char *id, const struct found *f)
{
	enum job_state state = f->sent ? JOB_READY : jobs_state(f);
	const char *word = "queued", *error = f->queued ? f->entry.error : f->stored ? f->row.error : NULL;
	int64_t created = f->queued ? f->entry.created_ms : f->stored ? f->row.created : 0;
	int64_t finished = f->queued ? f->entry.finished_ms : f->stored ? f->row.finished : 0;
	int progress = state == JOB_DONE ? 100 : 0;
	char size[32] = "", seconds[16] = "";
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (words[i].state == state)
			word = words[i].word;
	if (f->queued && state == JOB_RUNNING && f->entry.steps > 0)
		progress = (int)(f->entry.step * 99 / f->entry.steps);
	const struct job *job = f->queued ? &f->entry.job : NULL;
	if (job && job->width && job->height)
		snprintf(size, sizeof size, "%dx%d", job->width, job->height);
	if (job && job->frames)
		snprintf(seconds, sizeof seconds, "%d", (job->frames + FPS - 1) / FPS);
	json_t *o = json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:s*, s:s*, s:s*, s:n, s:n}", "id", id, "object", "video",
			      "status", word, "progress", progress, "created_at", (json_int_t)(created / 1000),
			      "completed_at", (json_int_t)(finished / 1000), "size", *size ? size : NULL, "seconds",
			      *seconds ? seconds : NULL, "model", job && job->model ? job->model : "default", "expires_at",
			      "remixed_from_video_id");
	if (!finished)
		json_object_set_new(o, "completed_at", json_null());
	if (state == JOB_FAILED || state == JOB_CANCELLED)
		json_object_set_new(o, "error", json_pack("{s:s, s:s}", "code",
							  state == JOB_FAILED ? "failed" : "cancelled", "message",
							  error ? error : "it was cancelled"));
	else
		json_object_set_new(o, "error", json_null());
	return o;
}

/* A value of the form, or of the JSON, as text; "" where it is not there. */
static void value_of(const struct multipart *form, const json_t *body, const char *name, char *out, size_t size)
{
	size_t count;
	const struct multipart_part *p = form ? multipart_find(form, name, &count) : NULL;
	const json_t *value = json_object_get(body, name);
	*out = '\0';
	if (p && !p->file)
		snprintf(out, size, "%.*s", (int)p->size, p->data);
	else if (json_is_string(value))
		snprintf(out, size, "%s", json_string_value(value));
	else if (json_is_integer(value))
		snprintf(out, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
}

static bool read_form(struct call *call, const struct multipart *form, const json_t *body, json_t *fields)
{
	char prompt[8200], seconds[16], size[32], rest;
	int length = 0, width, height;
	value_of(form, body, "prompt", prompt, sizeof prompt);
	value_of(form, body, "seconds", seconds, sizeof seconds);
	value_of(form, body, "size", size, sizeof size);
	if (!*prompt) {
		call_refuse(call, 400, "prompt", "prompt must be a text that says what to show");
		return false;
	}
	if (*seconds && (sscanf(seconds, "%5d%c", &length, &rest) != 1 || length < 1 || length > SECONDS_MAX)) {
		call_refuse(call, 400, "seconds", "seconds must be 1 to %d", SECONDS_MAX);
		return false;
	}
	if (*size && (sscanf(size, "%5dx%5d%c", &width, &height, &rest) != 2)) {
		call_refuse(call, 400, "size", "size must be WIDTHxHEIGHT");
		return false;
	}
	json_object_set_new(fields, "modality", json_string("video"));
	json_object_set_new(fields, "prompt", json_string(prompt));
	if (length) {
		json_object_set_new(fields, "frames", json_integer(length * FPS));
		json_object_set_new(fields, "fps", json_integer(FPS));
	}
	if (*size) {
		json_object_set_new(fields, "width", json_integer(width));
		json_object_set_new(fields, "height", json_integer(height));
	}
	return true;
}

static bool read_extras(struct call *call, struct worker *w, const struct multipart *form, const json_t *body,
			json_t *fields)
{
	static const char *const names[] = {"seed", "steps", "negative_prompt", "cfg_scale", "sampler"};
	char text[1024];
	struct error err;
	json_t *value;
	size_t count = 0;
	value_of(form, body, "model", text, sizeof text);
	work_model(w, text, "video", fields);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		value_of(form, body, names[i], text, sizeof text);
		if (*text && param_from_text(param_find(names[i]), PARAM_VIDEO, text, strlen(text), &value, &err)) {
			call_fail(call, &err);
			return false;
		}
		if (*text)
			json_object_set_new(fields, names[i], value);
	}
	const struct multipart_part *start = form ? multipart_find(form, "input_reference", &count) : NULL;
	if (!start)
		return true;
	int status = picture_check(start->data, start->size, "input_reference", &err);
	if (!status)
		status = work_input(w, "init", start->data, start->size, fields, &err);
	if (status)
		call_refuse(call, 400, "input_reference", "input_reference: %s", err.text);
	return !status;
}

static void submit(struct call *call, struct worker *w, json_t *fields)
{
	struct job job;
	struct error err;
	struct found f;
	bool known;
	if (jobs_prepare(call, w, fields, &job, &err)) {
		call_fail(call, &err);
		return;
	}
	/* A library that gets no answer sends it again. */
	if (once_name(call, w, &job, true, &known) && (known || jobs_submit(call, w, &job, 1))) {
		once_answered(call, w);
		if (jobs_find(call, w, job.id, &f, &err))
			f = (struct found){.sent = true};
		call_json(call, 200, video_json(job.id, &f));
		jobs_clear(&f);
	}
	job_clear(&job);
}

void videos_create(struct call *call, struct worker *w)
{
	const char *type = head_value(&call->http->head, "content-type");
	struct multipart *form = NULL;
	json_t *body = NULL, *fields = json_object();
	struct error err;
	bool fine = true;
	if (!multipart_is(type)) {
		fine = call_body(call, false, &body);
	} else if (!(form = malloc(sizeof *form)) ||
		   multipart_parse(type, call->http->body ? call->http->body : "", call->http->size, form, &err)) {
		if (!form)
			error_set(&err, SUMI_NOMEM, "out of memory");
		call_fail(call, &err);
		fine = false;
	}
	if (fine && read_form(call, form, body, fields) && read_extras(call, w, form, body, fields))
		submit(call, w, fields);
	else
		json_decref(fields);
	json_decref(body);
	free(form);
}

static bool find(struct call *call, struct worker *w, struct found *f)
{
	struct error err;
	if (jobs_find(call, w, call->args[0], f, &err) == SUMI_OK)
		return true;
	call_fail(call, &err);
	return false;
}

void videos_show(struct call *call, struct worker *w)
{
	struct found f;
	if (!find(call, w, &f))
		return;
	call_json(call, 200, video_json(call->args[0], &f));
	jobs_clear(&f);
}

void videos_content(struct call *call, struct worker *w)
{
	struct found f;
	if (!find(call, w, &f))
		return;
	const struct store_artifact *main = jobs_main_file(&f);
	if (main)
		files_answer(call, main);
	else
		call_refuse(call, 404, NULL, "%.64s has no video yet", call->args[0]);
	jobs_clear(&f);
}

/* The gateway cannot delete what has been made; what has not ended is cancelled. */
void videos_delete(struct call *call, struct worker *w)
{
	jobs_cancel(call, w);
	if (call->answer.status != 200)
		return;
	free(call->answer.body);
	call->answer = (struct http_answer){.fd = -1};
	call_json(call, 200, json_pack("{s:s, s:s, s:b}", "id", call->args[0], "object", "video.deleted", "deleted", 1));
}

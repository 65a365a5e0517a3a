/* OpenAI's videos: sent, looked at until they are done, fetched. An answer never waits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/form.h"
#include "gateway/handlers.h"
#include "gateway/once.h"
#include "gateway/work.h"

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

static const char *text_of(const json_t *body, const char *name)
{
	const char *text = json_string_value(json_object_get(body, name));
	return text ? text : "";
}

/* "8", which is what clients send, or 8; 0: nothing was said, -1: it is none. */
static int seconds_of(const json_t *value)
{
	const char *text = json_string_value(value);
	int seconds = 0;
	char rest;
	if (!value || json_is_null(value) || (text && !*text))
		return 0;
	if (text ? sscanf(text, "%5d%c", &seconds, &rest) != 1 : !(seconds = json_is_integer(value) ? call_count(value, SECONDS_MAX) : 0))
		return -1;
	return seconds < 1 || seconds > SECONDS_MAX ? -1 : seconds;
}

static bool read_shape(struct call *call, const json_t *body, json_t *fields)
{
	static const char *const texts[] = {"prompt", "size", "model", NULL};
	int length = seconds_of(json_object_get(body, "seconds")), width, height;
	const char *size = text_of(body, "size");
	char rest;
	if (!call_texts(call, body, texts))
		return false;
	if (!*text_of(body, "prompt")) {
		call_refuse(call, 400, "prompt", "prompt must be a text that says what to show");
		return false;
	}
	if (length < 0) {
		call_refuse(call, 400, "seconds", "seconds must be 1 to %d", SECONDS_MAX);
		return false;
	}
	if (*size && (sscanf(size, "%5dx%5d%c", &width, &height, &rest) != 2)) {
		call_refuse(call, 400, "size", "size must be WIDTHxHEIGHT");
		return false;
	}
	json_object_set_new(fields, "modality", json_string("video"));
	json_object_set(fields, "prompt", json_object_get(body, "prompt"));
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

/* The picture to begin with: a file of the form, or in JSON a data: address. */
static bool read_start(struct call *call, struct worker *w, const struct multipart *form, const json_t *body, json_t *fields)
{
	static const char name[] = "input_reference";
	size_t count = 0;
	const struct multipart_part *part = form ? multipart_find(form, name, &count) : NULL;
	const json_t *given = json_object_get(body, name), *url = json_object_get(given, "image_url");
	const json_t *flat = json_object_get(body, "input_reference[image_url]"), *id = json_object_get(body, "input_reference[file_id]");
	const char *text = json_string_value(url ? url : flat ? flat : given);
	if (count == 1 && part->file)
		return work_picture(call, w, name, "init", part->data, part->size, fields, 400);
	if (text && strncmp(text, "data:", 5) == 0)
		return work_picture_text(call, w, name, "init", text, fields, 400);
	if (!count && !flat && !id && (!given || json_is_null(given)))
		return true;
	call_refuse(call, 400, name, "%s must be one picture, as a file of the form or a data: address: nothing is fetched from elsewhere",
		    name);
	return false;
}

static bool read_extras(struct call *call, struct worker *w, const json_t *body, json_t *fields)
{
	static const char *const names[] = {"seed", "steps", "negative_prompt", "cfg_scale", "sampler"};
	work_model(w, text_of(body, "model"), "video", fields);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		json_t *value = json_object_get(body, names[i]), *read;
		const char *text = json_string_value(value);
		struct error err;
		if (!value || json_is_null(value) || (text && !*text))
			continue;
		/* What a field must be is told with the job; a number may stand there as a text. */
		if (text && param_from_text(param_find(names[i]), PARAM_VIDEO, text, strlen(text), &read, &err)) {
			call_fail(call, &err);
			return false;
		}
		json_object_set_new(fields, names[i], text ? read : json_incref(value));
	}
	return true;
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
	struct multipart *form = NULL;
	json_t *body = NULL, *fields = json_object();
	bool fine = multipart_is(head_value(&call->http->head, "content-type")) ? form_read(call, &form, &body)
										: call_body(call, false, &body);
	if (fine && read_shape(call, body, fields) && read_extras(call, w, body, fields) &&
	    read_start(call, w, form, body, fields))
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
	bool ok = true;
	char *variant = call_query(call, "variant", &ok);
	bool thumb = variant && strcmp(variant, "thumbnail") == 0;
	if (ok && variant && !thumb && strcmp(variant, "video") != 0) {
		call_refuse(call, 400, "variant", "variant '%.40s' cannot be had: video and thumbnail can", variant);
		ok = false;
	}
	free(variant);
	if (!ok || !find(call, w, &f))
		return;
	const struct store_artifact *main = jobs_main_file(&f);
	struct error err;
	if (!main && jobs_no_file(call, &f, call->args[0], &err))
		call_fail(call, &err);
	else if (thumb)
		files_answer_thumb(call, w, main);
	else
		files_answer(call, main);
	jobs_clear(&f);
}

/* What has ended is deleted with its files, what has not is cancelled. */
void videos_delete(struct call *call, struct worker *w)
{
	struct found f;
	if (!find(call, w, &f))
		return;
	bool ended = !f.sent && job_state_is_final(jobs_state(&f));
	jobs_clear(&f);
	(ended ? jobs_delete : jobs_cancel)(call, w);
	if (call->answer.status >= 300)
		return;
	free(call->answer.body);
	call->answer = (struct http_answer){.fd = -1};
	call_json(call, 200, json_pack("{s:s, s:s, s:b}", "id", call->args[0], "object", "video.deleted", "deleted", 1));
}

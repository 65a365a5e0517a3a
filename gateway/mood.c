/* GET /v1/mood/calm.ogg?duration=10: music for a mood in one address, for <audio src> in any page.
 *
 * A browser asks for the same address again and again, for parts of the clip and when it has been away: the
 * address decides the job, and the same address is the same clip. seed=2 is another one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "gateway/handlers.h"
#include "gateway/work.h"

enum { TRIES = 8 };

/* "calm.ogg" → calm, ogg */
static bool read_name(struct call *call, json_t *fields)
{
	const char *name = call->args[0], *dot = strrchr(name, '.');
	if (!dot || dot == name || (strcmp(dot, ".ogg") != 0 && strcmp(dot, ".wav") != 0)) {
		call_refuse(call, 404, NULL, "'%.64s' is not MOOD.ogg or MOOD.wav", name);
		return false;
	}
	json_object_set_new(fields, "modality", json_string("audio"));
	json_object_set_new(fields, "mood", json_stringn(name, (size_t)(dot - name)));
	json_object_set_new(fields, "format", json_string(dot + 1));
	return true;
}

static bool read_options(struct call *call, json_t *fields)
{
	static const char *const names[] = {"duration", "seed", "loop", "model", "prompt"};
	bool ok = true;
	for (size_t i = 0; i < sizeof names / sizeof names[0] && ok; i++) {
		char *text = call_query(call, names[i], &ok);
		json_t *value;
		struct error err;
		if (ok && text && *text) {
			if (param_from_text(param_find(names[i]), PARAM_AUDIO, text, strlen(text), &value, &err)) {
				call_fail(call, &err);
				ok = false;
			} else {
				json_object_set_new(fields, names[i], value);
			}
		}
		free(text);
	}
	return ok;
}

static void finish(struct call *call, struct worker *w)
{
	struct found f;
	if (!work_done(call, w, &f))
		return;
	const struct store_artifact *main = jobs_main_file(&f);
	struct error err;
	if (main)
		files_answer(call, main);
	else if (jobs_no_file(call, &f, call->jobs[0], &err))
		call_fail(call, &err);
	jobs_clear(&f);
}

/* What is there under this id: a job to wait for, one to be tried again, or the id of a clip that was deleted. */
static int look(struct call *call, struct worker *w, const char *id, bool *there, bool *taken,
		struct error *err)
{
	struct found f;
	struct queue *queue;
	*taken = false;
	int status = jobs_find(call, w, id, &f, err);
	*there = !status;
	if (*there) {
		bool again = f.queued && (jobs_state(&f) == JOB_FAILED || jobs_state(&f) == JOB_CANCELLED) &&
			     strcmp(f.entry.error_code, "rejected") != 0;
		jobs_clear(&f);
		status = again ? worker_queue(w, &queue, err) : SUMI_OK;
		return again && !status ? queue_retry(queue, id, err) : status;
	}
	if (status != SUMI_NOTFOUND)
		return status;
	status = worker_queue(w, &queue, err);
	return status ? status : queue_knows(queue, id, taken, err);
}

static void start(struct call *call, struct worker *w, struct job *job, const char *base)
{
	char id[JOB_ID_SIZE];
	bool there = false, taken = true;
	struct error err = {0};
	int status = SUMI_OK;
	for (int i = 0; i < TRIES && taken && !status; i++) {
		snprintf(id, sizeof id, i ? "mood-%.40s-%d" : "mood-%.40s", base, i + 1);
		status = look(call, w, id, &there, &taken, &err);
	}
	if (!status && !there)
		status = job_set(job, "id", json_string(id), &err);
	if (status) {
		call_fail(call, &err);
		return;
	}
	snprintf(call->jobs[0], JOB_ID_SIZE, "%s", id);
	call->job_count = 1;
	if (there || jobs_submit(call, w, job, 1))
		call_wait(call, finish);
}

void mood_play(struct call *call, struct worker *w)
{
	json_t *fields = json_object();
	struct job job;
	struct error err;
	char sha256[SHA256_HEX_SIZE];
	if (!read_name(call, fields) || !read_options(call, fields)) {
		json_decref(fields);
		return;
	}
	if (jobs_prepare(call, w, fields, &job, &err)) {
		call_fail(call, &err);
		return;
	}
	/* The submitter is among the fields: nobody's clip is another's. */
	char *text = json_dumps(job.fields, JSON_COMPACT | JSON_SORT_KEYS);
	sha256_hex(text ? text : "", text ? strlen(text) : 0, sha256);
	free(text);
	start(call, w, &job, sha256);
	job_clear(&job);
}

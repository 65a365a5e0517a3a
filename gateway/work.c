/* Waiting for jobs, and reading what they have made. */
#include "gateway/work.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/hash.h"
#include "gateway/access.h"
#include "gateway/once.h"
#include "media/picture_file.h"
#include "queue/inputs.h"

enum { RESULT_MAX = 256 << 20, URL_MS = 86400 * 1000 };

void work_sender(const struct call *call, const char *api, char out[WORK_SENDER_SIZE])
{
	/* No name of a key has a slash. */
	snprintf(out, WORK_SENDER_SIZE, "%.8s/%s", api, call->caller.name);
}

void work_start(struct call *call, struct worker *w, struct job *job, call_handler *finish)
{
	bool known;
	if (once_name(call, w, job, true, &known)) {
		struct found f;
		struct error err;
		bool there = known && jobs_find(call, w, job->id, &f, &err) == SUMI_OK;
		if (there)
			jobs_clear(&f);
		snprintf(call->jobs[0], JOB_ID_SIZE, "%s", job->id);
		call->job_count = 1;
		if (there || jobs_submit(call, w, job, 1))
			call_wait(call, finish);
	}
	job_clear(job);
}

/* What has been decided shall not be tried again by the client's library. */
static void tell_failure(struct call *call, const struct found *f)
{
	bool cancelled = jobs_state(f) == JOB_CANCELLED;
	const char *why = f->queued ? f->entry.error : f->row.error;
	bool rejected = f->queued && strcmp(f->entry.error_code, "rejected") == 0;
	if (cancelled)
		call_refuse(call, 409, NULL, "the job %s was cancelled", call->jobs[0]);
	else
		call_refuse(call, rejected ? 400 : 500, NULL, "the job %s failed: %s", call->jobs[0],
			    why ? why : "no reason was given");
	if (!strstr(call->answer.headers, "x-should-retry"))
		http_header(&call->answer, "x-should-retry: false");
}

bool work_done(struct call *call, struct worker *w, struct found *f)
{
	struct error err;
	int status = jobs_find(call, w, call->jobs[0], f, &err);
	if (status == SUMI_CONNECT) { /* it may come back, and nothing is lost */
		call_wait(call, call->resume);
		return false;
	}
	if (status) {
		call_fail(call, &err);
		return false;
	}
	if (!job_state_is_final(jobs_state(f))) {
		jobs_clear(f);
		once_hold(call, w);
		call_wait(call, call->resume);
		return false;
	}
	call->decided = true;
	if (jobs_state(f) == JOB_DONE)
		return true;
	tell_failure(call, f);
	jobs_clear(f);
	return false;
}

int work_result(const struct call *call, const struct found *f, int variant, char **data, size_t *size,
		const struct store_artifact **file, struct error *err)
{
	for (size_t i = 0; i < f->file_count; i++) {
		const struct store_artifact *a = &f->files[i];
		char sha256[SHA256_HEX_SIZE];
		if (a->variant != variant || strcmp(a->role, "main") != 0)
			continue;
		*file = a;
		if (files_read_regular(a->path, RESULT_MAX, data, size, err))
			return error_set(err, SUMI_CORRUPT, "the file of this result is not there");
		sha256_hex(*data, *size, sha256);
		if (strcmp(sha256, a->sha256) == 0)
			return SUMI_OK;
		free(*data);
		return error_set(err, SUMI_CORRUPT, "the file of this result is damaged");
	}
	return jobs_no_file(call, f, call->jobs[0], err);
}

char *work_url(const struct call *call, const struct store_artifact *file)
{
	char name[JOBS_FILE_NAME_SIZE], path[512], signature[ACCESS_SIGNATURE_SIZE];
	int64_t until = (clock_wall_ms() + URL_MS) / 1000;
	jobs_file_name(file, name);
	snprintf(path, sizeof path, "/jobs/%s/files/%s", file->job, name);
	if (access_sign(call->shared->secret, file->job, name, until, signature)) {
		size_t used = strlen(path);
		snprintf(path + used, sizeof path - used, "?until=%lld&signature=%s", (long long)until,
			 signature);
	}
	return call_url(call, path);
}

int work_input(struct worker *w, const char *name, const void *data, size_t size, json_t *fields,
	       struct error *err)
{
	char sha256[SHA256_HEX_SIZE];
	struct queue *queue;
	int status = worker_queue(w, &queue, err);
	if (status)
		return status;
	sha256_hex(data, size, sha256);
	status = queue_input_send(queue, sha256, data, size, err);
	if (!status)
		json_object_set_new(fields, name, json_string(sha256));
	return status;
}

bool work_picture(struct call *call, struct worker *w, const char *name, const char *field, const void *data, size_t size,
		  json_t *fields, int refusal)
{
	struct error err;
	int status = picture_check(data, size, name, &err);
	if (status) { /* it says which picture */
		call_refuse(call, refusal, name, "%s", err.text);
		return false;
	}
	status = work_input(w, field, data, size, fields, &err);
	if (status == SUMI_CONNECT || status == SUMI_FULL)
		call_fail(call, &err);
	else if (status)
		call_refuse(call, refusal, name, "%s: %s", name, err.text);
	return !status;
}

bool work_picture_text(struct call *call, struct worker *w, const char *name, const char *field, const char *text,
		       json_t *fields, int refusal)
{
	void *data;
	size_t size;
	struct error err;
	if (base64_decode(text, strlen(text), &data, &size, &err)) {
		call_refuse(call, refusal, name, "%s: %s", name, err.text);
		return false;
	}
	bool fine = work_picture(call, w, name, field, data, size, fields, refusal);
	free(data);
	return fine;
}

void work_model(struct worker *w, const char *wanted, const char *modality, json_t *fields)
{
	struct queue *queue;
	struct error ignored;
	char *classes = NULL, class[QUEUE_CLASS_SIZE + 2];
	if (!wanted || !*wanted || worker_queue(w, &queue, &ignored) ||
	    queue_classes(queue, &classes, &ignored))
		return;
	snprintf(class, sizeof class, " %s/%.128s ", modality, wanted);
	if (classes && strstr(classes, class))
		json_object_set_new(fields, "model", json_string(wanted));
	free(classes);
}

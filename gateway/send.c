/* Sending jobs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "gateway/handlers.h"
#include "gateway/jobs.h"
#include "gateway/once.h"
#include "queue/inputs.h"
#include "request/files.h"
#include "storage/blobs.h"

enum { LIST_MAX = 1000 };

/* "512x768" is what people write; width and height are what a job has. */
static int split_size(json_t *fields, struct error *err)
{
	const char *text = json_string_value(json_object_get(fields, "size"));
	int width, height;
	char rest;
	if (!json_object_get(fields, "size"))
		return SUMI_OK;
	if (!text || sscanf(text, "%5dx%5d%c", &width, &height, &rest) != 2)
		return error_set(err, SUMI_INVALID, "job: field 'size' must be WIDTHxHEIGHT: 512x768");
	json_object_set_new(fields, "width", json_integer(width));
	json_object_set_new(fields, "height", json_integer(height));
	json_object_del(fields, "size");
	return SUMI_OK;
}

/* Whose the result is that a name means: "ID", "ID-2", "ID-2-frame-3". */
static int owns_result(struct call *call, struct worker *w, const char *name, const char *field,
		       struct error *err)
{
	struct result_name r;
	struct error ignored;
	struct found f;
	for (int way = 0; way < RESULT_NAME_WAYS; way++)
		if (result_name_read(name, way, &r) &&
		    jobs_find(call, w, r.job, &f, &ignored) == SUMI_OK) {
			jobs_clear(&f);
			return SUMI_OK;
		}
	return error_set(err, SUMI_INVALID,
			 "job: field '%s': there is no job or result '%.64s' of yours", field, name);
}

/* What one key's owner names must be his own: another's picture to start from is another's picture. */
static int check_own(struct call *call, struct worker *w, const struct job *job, struct error *err)
{
	char sha256[SHA256_HEX_SIZE];
	struct request_file f;
	int status = SUMI_OK;
	if (call->caller.all)
		return SUMI_OK;
	if (job->notify)
		return error_set(err, SUMI_PERM,
				 "job: field 'notify': the daemon calls addresses for admin keys only");
	for (size_t i = 0; !status && request_file(&job->request, i, &f); i++) {
		if (strchr(f.value, '/'))
			return error_set(err, SUMI_PERM,
					 "job: field '%s': files of the host can be named with admin "
					 "keys only",
					 f.name);
		if (!sha256_is_name(f.value, sha256))
			status = owns_result(call, w, f.value, f.name, err);
	}
	for (size_t i = 0; i < job->after.count && !status; i++)
		status = owns_result(call, w, job->after.at[i], "after", err);
	return status;
}

static int set_submitter(struct call *call, json_t *fields, struct error *err)
{
	const char *given = json_string_value(json_object_get(fields, "submitter"));
	if (given && !call->caller.all && strcmp(given, call->caller.name) != 0)
		return error_set(err, SUMI_PERM,
				 "job: field 'submitter' is that of the key: leave it out");
	if (!json_object_get(fields, "submitter"))
		json_object_set_new(fields, "submitter", json_string(call->caller.name));
	return SUMI_OK;
}

int jobs_prepare(struct call *call, struct worker *w, json_t *fields, struct job *job,
		 struct error *err)
{
	int status = json_is_object(fields) ? split_size(fields, err)
					    : error_set(err, SUMI_INVALID, "job: it must be an object");
	if (!status)
		status = set_submitter(call, fields, err);
	if (!status && !json_object_get(fields, "modality")) {
		const char *modality = job_implied_modality(fields);
		json_object_set_new(fields, "modality", json_string(modality ? modality : "image"));
	}
	if (!status)
		status = job_parse_object(fields, job, err);
	json_decref(fields);
	if (status)
		return status;
	status = job_check(job, err);
	if (!status)
		status = check_own(call, w, job, err);
	if (!status && worker_admit(w, job, err))
		status = error_prefix(err, "job");
	if (status)
		job_clear(job);
	return status;
}

static bool has_room(struct call *call, struct queue *queue, size_t count)
{
	struct error err;
	size_t alive = 0;
	if (!call->caller.jobs)
		return true;
	if (queue_sent_alive(queue, call->caller.name, &alive, &err)) {
		call_fail(call, &err);
		return false;
	}
	if ((int64_t)(alive + count) <= call->caller.jobs)
		return true;
	call_refuse(call, 429, NULL, "this key may have %lld jobs under way, and has %zu",
		    (long long)call->caller.jobs, alive);
	http_header(&call->answer, "Retry-After: 30");
	return false;
}

/* Jobs that are sent together may start from each other's results. */
struct together {
	const struct job *jobs;
	size_t count;
};

static bool is_together(void *context, const char *id)
{
	const struct together *t = context;
	for (size_t i = 0; i < t->count; i++)
		if (t->jobs[i].id && strcmp(t->jobs[i].id, id) == 0)
			return true;
	return false;
}

static bool check_links(struct call *call, struct worker *w, struct job *jobs, size_t count)
{
	struct together together = {jobs, count};
	struct error err;
	int status = SUMI_OK;
	for (size_t i = 0; i < count && !status; i++)
		if ((status = worker_links(w, &jobs[i], is_together, &together, &err))) {
			error_prefix(&err, "job");
			call_fail(call, &err);
		}
	return !status;
}

bool jobs_submit(struct call *call, struct worker *w, struct job *jobs, size_t count)
{
	struct queue *queue;
	struct error err;
	size_t sent = 0;
	if (!call_queue(call, w, &queue) || !has_room(call, queue, count) || !check_links(call, w, jobs, count))
		return false;
	const char **ids = malloc(count * sizeof *ids);
	for (size_t i = 0; ids && i < count; i++)
		ids[i] = jobs[i].id;
	int status = ids ? queue_sent_note(queue, call->caller.name, ids, count, &err)
			 : error_set(&err, SUMI_NOMEM, "no memory for the jobs");
	free(ids);
	if (!status)
		status = queue_submit_many(queue, jobs, count, &sent, &err);
	if (!status)
		return true;
	if (sent)
		error_prefix(&err, "%zu of the jobs are in the queue, then", sent);
	call_fail(call, &err);
	return false;
}

/* An id that the sender chose may be there: his own job, or somebody else's. *there: answer with it. */
static int check_id(struct call *call, struct worker *w, const struct job *job, bool *there,
		    struct error *err)
{
	struct found f;
	struct queue *queue;
	bool known = false;
	*there = jobs_find(call, w, job->id, &f, err) == SUMI_OK;
	/* What could not be read may be sent again under its id, mended. */
	bool rejected = *there && f.queued && strcmp(f.entry.error_code, "rejected") == 0;
	if (*there)
		jobs_clear(&f);
	*there = *there && !rejected;
	if (*there || rejected)
		return SUMI_OK;
	if (err->status != SUMI_NOTFOUND)
		return err->status;
	int status = worker_queue(w, &queue, err);
	if (!status)
		status = queue_knows(queue, job->id, &known, err);
	if (!status && known)
		status = error_set(err, SUMI_EXISTS, "job: field 'id': '%.64s' is taken", job->id);
	return status;
}

static json_t *receipt(const struct call *call, const struct job *job)
{
	char path[JOB_ID_SIZE + 16];
	snprintf(path, sizeof path, "/jobs/%s", job->id);
	char *url = call_url(call, path);
	json_t *o =
	    json_pack("{s:s, s:s, s:s*}", "id", job->id, "state", "queued", "url", url);
	free(url);
	return o;
}

static void send_one(struct call *call, struct worker *w, json_t *fields)
{
	struct job job;
	struct error err = {0};
	bool known = false, there = false;
	int status = jobs_prepare(call, w, fields, &job, &err);
	if (status) {
		call_fail(call, &err);
		return;
	}
	if (!once_name(call, w, &job, false, &known)) {
		job_clear(&job);
		return;
	}
	if (known && (status = check_id(call, w, &job, &there, &err))) {
		call_fail(call, &err);
	} else if (there) {
		call->args[0] = job.id;
		jobs_show(call, w);
	} else if (jobs_submit(call, w, &job, 1)) {
		call_json(call, 201, receipt(call, &job));
		http_header(&call->answer, "Location: /jobs/%s", job.id);
	}
	call->args[0] = NULL;
	job_clear(&job);
}

/* All of a list are checked before the first is sent. */
static void send_list(struct call *call, struct worker *w, json_t *list)
{
	size_t count = json_array_size(list), ready = 0;
	struct error err = {0};
	bool known;
	struct job *jobs = calloc(count + 1, sizeof *jobs);
	int status = jobs ? SUMI_OK : error_set(&err, SUMI_NOMEM, "out of memory");
	if (!status && (!count || count > LIST_MAX))
		status = error_set(&err, SUMI_INVALID, "a list must have 1 to %d jobs", LIST_MAX);
	for (; ready < count && !status; ready++) {
		json_t *fields = json_incref(json_array_get(list, ready));
		bool chosen = json_object_get(fields, "id") != NULL, there;
		status = jobs_prepare(call, w, fields, &jobs[ready], &err);
		if (!status && chosen && (status = check_id(call, w, &jobs[ready], &there, &err)))
			job_clear(&jobs[ready]);
		if (status)
			error_prefix(&err, "entry %zu of the list", ready + 1);
		if (status)
			break;
	}
	if (status)
		call_fail(call, &err);
	else if (once_name_list(call, w, jobs, count, &known) && jobs_submit(call, w, jobs, count)) {
		json_t *receipts = json_array();
		for (size_t i = 0; i < count; i++)
			json_array_append_new(receipts, receipt(call, &jobs[i]));
		call_json(call, 201, json_pack("{s:o}", "jobs", receipts));
	}
	for (size_t i = 0; i < ready; i++)
		job_clear(&jobs[i]);
	free(jobs);
}

void jobs_send(struct call *call, struct worker *w)
{
	json_t *body;
	if (!call_body(call, true, &body))
		return;
	if (json_is_array(body)) {
		send_list(call, w, body);
		json_decref(body);
	} else {
		send_one(call, w, body);
	}
}

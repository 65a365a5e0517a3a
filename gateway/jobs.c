/* Finding and describing jobs, and the routes of one job. */
#include "gateway/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/handlers.h"
#include "queue/describe.h"

void jobs_file_name(const struct store_artifact *a, char out[JOBS_FILE_NAME_SIZE])
{
	char role[48] = "", number[16] = "";
	if (strcmp(a->role, "main") != 0)
		snprintf(role, sizeof role, "-%.40s", a->role);
	if (a->number)
		snprintf(number, sizeof number, "-%d", a->number);
	snprintf(out, JOBS_FILE_NAME_SIZE, "%d%s%s.%.12s", a->variant + 1, role, number, a->format);
}

/* ---- finding -------------------------------------------------------------------------------- */

void jobs_clear(struct found *f)
{
	if (f->queued)
		queue_entry_clear(&f->entry);
	if (f->stored)
		store_job_free(&f->row);
	store_artifacts_free(f->files, f->file_count);
	*f = (struct found){0};
}

static int no_job(const char *id, struct error *err)
{
	return error_set(err, SUMI_NOTFOUND, "there is no job %.64s", id);
}

/* What the queue says of a job that its sender has sent and that is none: it lies in the intake, has just been
 * taken in, or was purged or deleted. */
static int find_sent(struct queue *queue, const char *id, struct found *f, struct error *err)
{
	bool known = false;
	int status = queue_knows(queue, id, &known, err);
	f->sent = !known;
	if (status || !known)
		return status;
	status = queue_get(queue, id, &f->entry, err);
	f->queued = !status;
	return status == SUMI_NOTFOUND ? SUMI_OK : status;
}

/* Of what was no job the queue does not know the sender. */
static int find_queued(struct call *call, struct worker *w, const char *id, struct found *f,
		       struct error *err)
{
	struct queue *queue;
	bool sent = false;
	int status = worker_queue(w, &queue, err);
	if (!status)
		status = queue_get(queue, id, &f->entry, err);
	f->queued = !status;
	if (status && status != SUMI_NOTFOUND)
		return status;
	bool unknown = status || !*f->entry.job.submitter;
	if (unknown && queue_sent_by(queue, call->caller.name, id, &sent, err))
		return err->status;
	if (!status && !call_owns(call, f->entry.job.submitter) && !sent)
		return no_job(id, err);
	return status && sent ? find_sent(queue, id, f, err) : SUMI_OK;
}

static bool has_result(const struct queue_entry *e, const char *sha256)
{
	size_t i, k;
	json_t *files, *file;
	json_array_foreach(e->variant_results, i, files)
	{
		json_array_foreach(files, k, file)
		{
			const char *name = json_string_value(json_object_get(file, "sha256"));
			if (name && strcmp(name, sha256) == 0)
				return true;
		}
	}
	return false;
}

/* The database shows results a moment after the queue has them: what the queue names counts as well. */
static void keep_counting(struct found *f)
{
	size_t kept = 0;
	for (size_t i = 0; i < f->file_count; i++) {
		struct store_artifact *a = &f->files[i];
		if (strcmp(a->state, "visible") == 0 ||
		    (f->queued && has_result(&f->entry, a->sha256))) {
			struct store_artifact one = f->files[kept];
			f->files[kept++] = *a;
			*a = one;
		}
	}
	for (size_t i = kept; i < f->file_count; i++)
		store_artifact_free(&f->files[i]);
	f->file_count = kept;
}

static int find_stored(struct call *call, struct worker *w, const char *id, struct found *f,
		       struct error *err)
{
	struct store *store;
	int status = worker_store(w, &store, err);
	if (!status)
		status = store_job_get(store, id, &f->row, err);
	if (status)
		return status == SUMI_NOTFOUND ? SUMI_OK : status;
	f->stored = true;
	if (!call_owns(call, f->row.submitter))
		return no_job(id, err);
	status = store_artifacts(store, id, true, &f->files, &f->file_count, err);
	if (!status)
		keep_counting(f);
	return status;
}

int jobs_find(struct call *call, struct worker *w, const char *id, struct found *f,
	      struct error *err)
{
	*f = (struct found){0};
	if (!job_id_valid(id))
		return no_job(id, err);
	int status = find_queued(call, w, id, f, err);
	/* What has been made can be looked at while the queue is away. */
	bool away = status == SUMI_CONNECT;
	if (!status || away) {
		int stored = find_stored(call, w, id, f, err);
		status = stored ? stored : away && !f->stored ? SUMI_CONNECT : SUMI_OK;
	}
	if (!status && !f->queued && !f->stored && !f->sent)
		status = no_job(id, err);
	if (status)
		jobs_clear(f);
	return status;
}

enum job_state jobs_state(const struct found *f)
{
	int state = f->queued ? (int)f->entry.state : JOB_READY;
	if (!f->queued && f->stored)
		state = job_state_from_word(f->row.state);
	return state < 0 ? JOB_READY : (enum job_state)state;
}

const struct store_artifact *jobs_main_file(const struct found *f)
{
	for (size_t i = 0; i < f->file_count; i++)
		if (strcmp(f->files[i].role, "main") == 0)
			return &f->files[i];
	return NULL;
}

static bool is_here(const struct found *f, const char *sha256)
{
	for (size_t i = 0; i < f->file_count; i++)
		if (strcmp(f->files[i].sha256, sha256) == 0)
			return true;
	return false;
}

/* A result that the queue tells of and that is not here; NULL: there is none. Borrowed. */
static const json_t *elsewhere(const struct found *f)
{
	size_t i, k;
	json_t *list, *file;
	json_array_foreach(f->queued ? f->entry.variant_results : NULL, i, list)
	{
		json_array_foreach(list, k, file)
		{
			const char *sha256 = json_string_value(json_object_get(file, "sha256"));
			if (sha256 && !is_here(f, sha256))
				return file;
		}
	}
	return NULL;
}

int jobs_no_file(const struct call *call, const struct found *f, const char *id, struct error *err)
{
	enum job_state state = f->sent ? JOB_READY : jobs_state(f);
	const char *why = f->queued ? f->entry.error : f->row.error;
	const json_t *other = elsewhere(f);
	const char *host = call->caller.all ? json_string_value(json_object_get(other, "host")) : NULL;
	if (!job_state_is_final(state))
		return error_set(err, SUMI_NOTFOUND, "%.64s is not made yet: it is %s", id, job_state_word(state));
	if (other)
		return error_set(err, SUMI_NOTFOUND, "%.64s was made on another host%s%.64s, and its files are there: ask the gateway of that host",
				 id, host ? ": " : "", host ? host : "");
	if (state == JOB_DONE)
		return error_set(err, SUMI_NOTFOUND, "what %.64s has made is not here any more", id);
	return error_set(err, SUMI_NOTFOUND, "%.64s has made nothing: it %s%s%.200s", id,
			 state == JOB_FAILED ? "failed" : "was cancelled", why ? ": " : "", why ? why : "");
}

/* ---- describing ----------------------------------------------------------------------------- */

static json_t *file_json(const struct call *call, const struct store_artifact *a)
{
	char name[JOBS_FILE_NAME_SIZE], path[JOBS_FILE_NAME_SIZE + STORE_ID_MAX + 32];
	jobs_file_name(a, name);
	snprintf(path, sizeof path, "/jobs/%s/files/%s", a->job, name);
	char *url = call_url(call, path);
	json_t *o = json_pack("{s:s, s:s*, s:i, s:s, s:s, s:s, s:s, s:I}", "name", name, "url", url,
			      "variant", a->variant, "role", a->role, "format", a->format, "mime",
			      a->mime, "sha256", a->sha256, "bytes", (json_int_t)a->bytes);
	free(url);
	if (a->number)
		json_object_set_new(o, "number", json_integer(a->number));
	if (a->width) {
		json_object_set_new(o, "width", json_integer(a->width));
		json_object_set_new(o, "height", json_integer(a->height));
	}
	if (a->duration > 0)
		json_object_set_new(o, "duration", json_real(a->duration));
	json_object_set_new(o, "seed", param_seed_json(a->seed));
	if (a->thumb > 0) {
		snprintf(path, sizeof path, "/jobs/%s/thumbs/%s", a->job, name);
		url = call_url(call, path);
		json_object_set_new(o, "thumb", json_string(url));
		free(url);
	}
	return o;
}

/* Files that another host has made: what they are, without an address here. */
static void add_others(const struct call *call, json_t *files, const struct found *f)
{
	size_t i, k, n;
	json_t *list, *file, *own;
	json_array_foreach(f->entry.variant_results, i, list)
	{
		json_array_foreach(list, k, file)
		{
			const char *sha = json_string_value(json_object_get(file, "sha256"));
			bool here = !sha;
			json_array_foreach(files, n, own)
			{
				const char *other =
				    json_string_value(json_object_get(own, "sha256"));
				here = here || (other && strcmp(sha, other) == 0);
			}
			if (!here) {
				json_t *copy = json_copy(file);
				json_object_del(copy, "lease");
				if (!call->caller.all)
					json_object_del(copy, "host");
				json_array_append_new(files, copy);
			}
		}
	}
}

/* A row of the store in the queue's names, without what only the store needs. */
static json_t *row_json(const struct store_job *row)
{
	static const char *const own[] = {"params",   "digest",    "token",   "variants",
					  "priority", "artifacts", "attempts"};
	json_t *o = store_job_json(row), *params = json_incref(json_object_get(o, "params"));
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
		json_object_del(o, own[i]);
	json_object_update_missing(o, params);
	json_object_set_new(o, "attempts_made", json_integer(row->attempts));
	json_decref(params);
	return o;
}

json_t *jobs_document(const struct call *call, const char *id, const struct found *f)
{
	json_t *o = f->queued   ? queue_entry_json(&f->entry)
		    : f->stored ? row_json(&f->row)
				: json_pack("{s:s, s:s}", "id", id, "state", "queued");
	json_t *files = json_array();
	/* Marks are the store's. */
	if (f->queued && f->stored) {
		if (f->row.starred)
			json_object_set_new(o, "starred", json_true());
		json_t *tags = json_array();
		for (size_t i = 0; i < f->row.tag_count; i++)
			json_array_append_new(tags, json_string(f->row.tags[i]));
		json_object_set_new(o, "tags", tags);
	}
	for (size_t i = 0; i < f->file_count; i++)
		json_array_append_new(files, file_json(call, &f->files[i]));
	if (f->queued)
		add_others(call, files, f);
	if (f->queued && *f->entry.error_code)
		json_object_set_new(o, "error_code", json_string(f->entry.error_code));
	json_object_set_new(o, "files", files);
	return o;
}

/* ---- routes --------------------------------------------------------------------------------- */

void jobs_show(struct call *call, struct worker *w)
{
	struct found f;
	struct error err;
	if (jobs_find(call, w, call->args[0], &f, &err)) {
		call_fail(call, &err);
		return;
	}
	call_json(call, 200, jobs_document(call, call->args[0], &f));
	jobs_clear(&f);
}

/* The queue, where it has the job of the caller's; one that lies in the intake still is taken in by whoever steers it. */
static int find_steered(struct call *call, struct worker *w, struct queue **queue, struct error *err)
{
	struct found f;
	int status = jobs_find(call, w, call->args[0], &f, err);
	if (status)
		return status;
	bool gone = !f.sent && !f.queued;
	jobs_clear(&f);
	if (gone)
		return error_set(err, SUMI_BUSY, "%.64s has left the queue: only its results are there", call->args[0]);
	return worker_queue(w, queue, err);
}

void jobs_cancel(struct call *call, struct worker *w)
{
	struct queue *queue;
	struct error err;
	enum queue_cancel_result result = QUEUE_CANCELLED;
	char last[JOB_ID_SIZE] = "";
	int status = find_steered(call, w, &queue, &err);
	if (!status)
		status = queue_cancel_series(queue, call->args[0], &result, last, &err);
	if (!status && result == QUEUE_CANCEL_TOO_LATE)
		status = error_set(&err, SUMI_BUSY, "%.64s has ended already", call->args[0]);
	if (status) {
		call_fail(call, &err);
		return;
	}
	call_json(call, 200,
		  json_pack("{s:s, s:s, s:s*}", "id", call->args[0], "state",
			    result == QUEUE_CANCELLED ? "cancelled" : "cancelling",
			    "series_ends_with", *last ? last : NULL));
}

void jobs_retry(struct call *call, struct worker *w)
{
	struct queue *queue;
	struct error err;
	int status = find_steered(call, w, &queue, &err);
	if (!status && (status = queue_retry(queue, call->args[0], &err)) == SUMI_INVALID)
		err.status = SUMI_BUSY; /* nothing is wrong with the request: the job is in no such state */
	if (status)
		call_fail(call, &err);
	else
		jobs_show(call, w);
}

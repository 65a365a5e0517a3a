/* Jobs and attempts: entering them, and the steps at the end of a job. */
#include "storage/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crashpoint.h"
#include "base/json.h"

#define LAST_CREATED ((int64_t)1 << 42) /* year 2109: keys stay within 63 bits */

int store_check_id(const char *id, struct error *err)
{
	static const char allowed[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-";
	size_t n = id ? strlen(id) : 0;
	if (n == 0 || n > STORE_ID_MAX || id[0] == '.' || strspn(id, allowed) != n)
		return error_set(
		    err, SUMI_INVALID,
		    "job id '%.40s': 1 to %d letters, digits and ._:- are allowed, no dot first",
		    id ? id : "", STORE_ID_MAX);
	return SUMI_OK;
}

int store_job_key(struct store *s, const char *id, int64_t *key, struct error *err)
{
	*key = -1;
	int status = db_int(s, key, err, "SELECT key FROM jobs WHERE id = ?", T(id));
	if (!status && *key < 0)
		status =
		    error_set(err, SUMI_NOTFOUND, "job %.*s is not in the store", STORE_ID_MAX, id);
	return status;
}

int store_job_begin(struct store *s, const char *id, int64_t *key, struct error *err)
{
	int status = db_begin(s, err);
	if (status)
		return status;
	status = store_job_key(s, id, key, err);
	return status ? db_end(s, status, err) : SUMI_OK;
}

/* ---- entering ---- */

/* The JSON with sorted keys and without spaces, a new string; NULL stays NULL. */
static int canonical_json(const char *text, const char *where, char **out, struct error *err)
{
	json_t *root;
	*out = NULL;
	if (!text)
		return SUMI_OK;
	int status = json_read_text(text, strlen(text), where, &root, err);
	if (status)
		return status;
	*out = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	json_decref(root);
	return *out ? SUMI_OK : error_set(err, SUMI_NOMEM, "no memory for %s", where);
}

int store_put_tags(struct store *s, int64_t key, char *const *tags, size_t count, struct error *err)
{
	int status = db_run(s, err, "DELETE FROM job_tags WHERE job = ?", I(key));
	for (size_t i = 0; i < count && !status; i++) {
		status = db_run(s, err, "INSERT INTO tags (name) VALUES (?) ON CONFLICT DO NOTHING",
				T(tags[i]));
		if (!status)
			status = db_run(s, err,
					"INSERT INTO job_tags (tag, job) SELECT id, ?2 FROM tags "
					"WHERE name = ?1 ON CONFLICT DO NOTHING",
					T(tags[i]), I(key));
	}
	return status;
}

/* A job without tags keeps those that its row has. */
static int put_tags(struct store *s, int64_t key, const struct store_job *job, struct error *err)
{
	return job->tag_count ? store_put_tags(s, key, job->tags, job->tag_count, err) : SUMI_OK;
}

/* The search index holds no text of its own: what is taken out must be what was put in. */
static int index_prompt(struct store *s, int64_t key, struct error *err)
{
	return db_run(
	    s, err,
	    "INSERT INTO prompts (rowid, prompt) SELECT key, prompt FROM jobs WHERE key = ?",
	    I(key));
}

static int unindex_prompt(struct store *s, int64_t key, struct error *err)
{
	return db_run(s, err,
		      "INSERT INTO prompts (prompts, rowid, prompt) "
		      "SELECT 'delete', key, prompt FROM jobs WHERE key = ?",
		      I(key));
}

int store_job_delete(struct store *s, const char *id, struct error *err)
{
	int64_t key = -1;
	int status = db_int(s, &key, err, "SELECT key FROM jobs WHERE id = ?", T(id));
	if (status || key < 0)
		return status;
	status = unindex_prompt(s, key, err);
	return status ? status : db_run(s, err, "DELETE FROM jobs WHERE key = ?", I(key));
}

int store_job_insert(struct store *s, const struct store_job *job, const char *publish,
		     int64_t *key, struct error *err)
{
	if (job->created <= 0 || job->created >= LAST_CREATED)
		return error_set(err, SUMI_INVALID, "job %s: created at %lld ms is no time",
				 job->id, (long long)job->created);
	int64_t first = job->created << STORE_KEY_SHIFT;
	int64_t end = (job->created + 1) << STORE_KEY_SHIFT;
	*key = first;
	int status = db_int(s, key, err,
			    "SELECT key + 1 FROM jobs WHERE key >= ? AND key < ? "
			    "ORDER BY key DESC LIMIT 1",
			    I(first), I(end));
	if (!status && *key == end)
		status = error_set(err, SUMI_TOOBIG, "job %s: too many jobs of one millisecond",
				   job->id);
	if (!status)
		status = store_insert(s, "jobs", store_job_columns, job, "key, publish",
				      DB_VALUES(I(*key), T(publish)), err);
	if (!status)
		status = index_prompt(s, *key, err);
	return status ? status : put_tags(s, *key, job, err);
}

/* Fills what the caller left open. Strings stay borrowed except params. */
static int complete_job(const struct store_job *in, struct store_job *job, struct error *err)
{
	*job = *in;
	job->state = "running";
	job->error = NULL;
	job->finished = 0;
	job->variants = in->variants > 0 ? in->variants : 1;
	job->created = in->created ? in->created : clock_wall_ms();
	int status = store_check_id(in->id, err);
	return status ? status : canonical_json(in->params, "params", &job->params, err);
}

static int update_job(struct store *s, int64_t key, const struct store_job *job, struct error *err)
{
	int status = unindex_prompt(s, key, err);
	if (!status)
		status = db_run(
		    s, err,
		    "UPDATE jobs SET state = 'running', publish = 'none', error = NULL, "
		    "finished = 0, modality = coalesce(?2, modality), "
		    "model = coalesce(?3, model), prompt = coalesce(?4, prompt), "
		    "negative_prompt = coalesce(?5, negative_prompt), "
		    "submitter = coalesce(?6, submitter), params = coalesce(?7, params), "
		    "digest = coalesce(?8, digest), token = coalesce(?9, token), "
		    "priority = ?10, variants = ?11, started = ?12 WHERE key = ?1",
		    I(key), T(job->modality), T(job->model), T(job->prompt),
		    T(job->negative_prompt), T(job->submitter), T(job->params), T(job->digest),
		    T(job->token), I(job->priority), I(job->variants), I(job->started));
	if (!status)
		status = index_prompt(s, key, err);
	return status ? status : put_tags(s, key, job, err);
}

int store_job_put(struct store *s, const struct store_job *in, struct error *err)
{
	struct store_job job;
	int64_t key = -1, settled = 0;
	int status = complete_job(in, &job, err);
	if (!status)
		status = db_begin(s, err);
	if (status)
		goto done;
	status = db_int(s, &key, err, "SELECT key FROM jobs WHERE id = ?", T(job.id));
	if (!status && key >= 0)
		status =
		    db_int(s, &settled, err,
			   "SELECT publish = 'stored' OR (publish = 'visible' AND state = 'done') "
			   "FROM jobs WHERE key = ?",
			   I(key));
	if (!status && key < 0)
		status = store_job_insert(s, &job, "none", &key, err);
	else if (!status && !settled)
		status = update_job(s, key, &job, err);
	status = db_end(s, status, err);
done:
	free(job.params != in->params ? job.params : NULL);
	return status;
}

/* ---- attempts ---- */

int store_attempt_begin(struct store *s, struct store_attempt *a, struct error *err)
{
	int64_t key, n = 0;
	if (!a->token)
		return error_set(err, SUMI_INVALID, "job %s: an attempt needs the lease's token",
				 a->job);
	int64_t started = a->started ? a->started : clock_wall_ms();
	int status = store_job_begin(s, a->job, &key, err);
	if (status)
		return status;
	status = db_int(s, &n, err, "SELECT n FROM attempts WHERE job = ? AND token = ?",
			I(key), T(a->token));
	if (!status && n == 0) {
		status = db_run(s, err,
				"UPDATE attempts SET outcome = 'crashed', ended = ?2 "
				"WHERE job = ?1 AND outcome = 'running'",
				I(key), I(started));
		if (!status)
			status = db_int(
			    s, &n, err,
			    "SELECT coalesce(max(n), 0) + 1 FROM attempts WHERE job = ?", I(key));
		struct store_attempt row = *a;
		row.n = (int)n;
		row.outcome = "running";
		row.error = row.timings = NULL;
		row.started = started;
		row.ended = 0;
		if (!status)
			status = store_insert(s, "attempts", store_attempt_columns, &row, "job",
					      DB_VALUES(I(key)), err);
	}
	status = db_end(s, status, err);
	if (!status)
		a->n = (int)n;
	return status;
}

static int end_attempt(struct store *s, int64_t key, const char *token, const char *outcome,
		       const char *error, const char *timings, int64_t ended, struct error *err)
{
	char *json;
	int status = canonical_json(timings, "timings", &json, err);
	if (!status)
		status = db_run(s, err,
				"UPDATE attempts SET outcome = ?3, error = coalesce(?4, error), "
				"timings = coalesce(?5, timings), ended = ?6 "
				"WHERE job = ?1 AND token = ?2",
				I(key), T(token), T(outcome), T(error), T(json),
				I(ended ? ended : clock_wall_ms()));
	free(json);
	return status;
}

int store_attempt_end(struct store *s, const char *job, const char *token, const char *outcome,
		      const char *error, const char *timings, int64_t ended, struct error *err)
{
	int64_t key;
	int status = store_job_begin(s, job, &key, err);
	if (status)
		return status;
	status = end_attempt(s, key, token, outcome, error, timings, ended, err);
	return db_end(s, status, err);
}

/* ---- the end of a job ---- */

int store_job_stored(struct store *s, const char *id, const char *token, const char *timings,
		     int64_t finished, struct error *err)
{
	int64_t key;
	finished = finished ? finished : clock_wall_ms();
	int status = store_job_begin(s, id, &key, err);
	if (status)
		return status;
	status = db_run(s, err,
			"UPDATE jobs SET state = 'done', publish = 'stored', error = NULL, "
			"token = ?2, finished = ?3 "
			"WHERE key = ?1 AND NOT (publish = 'visible' AND state = 'done')",
			I(key), T(token), I(finished));
	if (!status)
		status = end_attempt(s, key, token, "done", NULL, timings, finished, err);
	status = db_end(s, status, err);
	crash_point("job_stored");
	return status;
}

/* Inside a transaction. The history line comes before the commit: a crash between the two
 * repeats it, never loses it. */
static int show_job(struct store *s, int64_t key, const char *id, struct error *err)
{
	int status = db_run(s, err, "UPDATE jobs SET publish = 'visible' WHERE key = ?", I(key));
	if (!status)
		status =
		    db_run(s, err, "UPDATE artifacts SET state = 'visible' WHERE job = ?", I(key));
	if (!status)
		status = store_history_add(s, id, err);
	crash_point("history_written");
	return status;
}

int store_job_visible(struct store *s, const char *id, struct error *err)
{
	int64_t key, stored = 0, visible = 0;
	int status = store_job_begin(s, id, &key, err);
	if (status)
		return status;
	status = db_int(s, &visible, err,
			"SELECT publish = 'visible' FROM jobs WHERE key = ?", I(key));
	if (!status)
		status = db_int(s, &stored, err,
				"SELECT publish = 'stored' FROM jobs WHERE key = ?", I(key));
	if (!status && !stored && !visible)
		status =
		    error_set(err, SUMI_INVALID, "job %s is not stored, it cannot be shown", id);
	if (!status && stored)
		status = show_job(s, key, id, err);
	status = db_end(s, status, err);
	crash_point("job_visible");
	return status;
}

int store_variant_visible(struct store *s, const char *job, int variant, struct error *err)
{
	int64_t key;
	int status = store_job_key(s, job, &key, err);
	if (!status)
		status = db_begin(s, err);
	if (status)
		return status;
	status =
	    db_run(s, err, "UPDATE artifacts SET state = 'visible' WHERE job = ? AND variant = ?",
		   I(key), I(variant));
	return db_end(s, status, err);
}

int store_job_ended(struct store *s, const char *id, const char *state, const char *error,
		    int64_t finished, struct error *err)
{
	int64_t key;
	finished = finished ? finished : clock_wall_ms();
	int status = store_job_begin(s, id, &key, err);
	if (status)
		return status;
	status = db_run(
	    s, err,
	    "UPDATE jobs SET state = ?2, error = ?3, finished = ?4, publish = 'none' "
	    "WHERE key = ?1 AND NOT (publish IN ('stored', 'visible') AND "
	    "(state = 'done' OR state = ?2))",
	    I(key), T(state), T(error), I(finished));
	bool changed = !status && sqlite3_changes(s->db) > 0;
	if (changed)
		status = db_run(s, err,
				"UPDATE attempts SET outcome = ?2, error = ?3, ended = ?4 "
				"WHERE job = ?1 AND outcome = 'running'",
				I(key), T(state), T(error), I(finished));
	if (!status && changed)
		status = show_job(s, key, id, err);
	return db_end(s, status, err);
}

/* ---- what waits for the queue ---- */

int store_read_pending(struct store *s, sqlite3_stmt *statement, struct store_pending **list,
		       size_t *count, struct error *err)
{
	bool row;
	int status;
	*list = NULL;
	*count = 0;
	while (!(status = db_step(s, statement, &row, err)) && row) {
		struct store_pending *grown = store_grow(*list, *count, sizeof **list);
		if (!grown) {
			status = error_set(err, SUMI_NOMEM, "no memory for %zu jobs", *count);
			break;
		}
		*list = grown;
		struct store_pending *p = &grown[(*count)++];
		p->finished = sqlite3_column_int64(statement, 2);
		status =
		    store_set_text(&p->id, (const char *)sqlite3_column_text(statement, 0), err);
		if (!status)
			status = store_set_text(
			    &p->token, (const char *)sqlite3_column_text(statement, 1), err);
		if (status)
			break;
	}
	sqlite3_finalize(statement);
	if (status) {
		store_pending_free(*list, *count);
		*list = NULL;
		*count = 0;
	}
	return status;
}

int store_pending(struct store *s, struct store_pending **list, size_t *count, struct error *err)
{
	sqlite3_stmt *statement;
	*list = NULL;
	*count = 0;
	int status =
	    db_query_values(s, &statement, err,
			    "SELECT id, token, finished FROM jobs WHERE publish = 'stored' "
			    "ORDER BY finished",
			    NULL, 0);
	return status ? status : store_read_pending(s, statement, list, count, err);
}

void store_pending_free(struct store_pending *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(list[i].id);
		free(list[i].token);
	}
	free(list);
}

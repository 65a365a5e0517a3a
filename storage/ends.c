/* Attempts, and the steps at the end of a job. */
#include "storage/internal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/crashpoint.h"

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
	int status = store_canonical_json(timings, "timings", &json, err);
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

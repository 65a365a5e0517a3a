/* Stars, deleting, what is oldest. */
#include "storage/keep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crashpoint.h"
#include "storage/internal.h"

/* A job that is not visible yet is written down when it becomes so. */
static int write_down(struct store *s, const char *id, int64_t key, struct error *err)
{
	int64_t visible = 0;
	int status =
	    db_int(s, &visible, err, "SELECT publish = 'visible' FROM jobs WHERE key = ?", I(key));
	return status || !visible ? status : store_history_add(s, id, err);
}

int store_star(struct store *s, const char *id, bool starred, bool *changed, struct error *err)
{
	int64_t key;
	*changed = false;
	int status = store_job_begin(s, id, &key, err);
	if (status)
		return status;
	status = db_run(s, err,
			"UPDATE jobs SET starred = ?2 WHERE key = ?1 AND starred <> ?2",
			I(key), I(starred));
	*changed = !status && sqlite3_changes(s->db) > 0;
	if (*changed)
		status = write_down(s, id, key, err);
	return db_end(s, status, err);
}

/* Tags that only this job had. Its rows of job_tags are gone already. */
static int drop_tags(struct store *s, const char *tags, struct error *err)
{
	return db_run(s, err,
		      "DELETE FROM tags WHERE id IN (SELECT value FROM json_each(?)) AND "
		      "NOT EXISTS (SELECT 1 FROM job_tags WHERE tag = tags.id)",
		      T(tags));
}

static int list_tags(struct store *s, int64_t key, char **tags, struct error *err)
{
	sqlite3_stmt *statement;
	bool row;
	int status =
	    db_query(s, &statement, err,
		     "SELECT json_group_array(tag) FROM job_tags WHERE job = ?", I(key));
	if (status)
		return status;
	status = db_step(s, statement, &row, err);
	if (!status)
		status = store_set_text(tags, (const char *)sqlite3_column_text(statement, 0), err);
	sqlite3_finalize(statement);
	return status;
}

int store_tags_set(struct store *s, const char *id, char *const *tags, size_t count, struct error *err)
{
	int64_t key;
	char *before = NULL;
	int status = store_job_begin(s, id, &key, err);
	if (status)
		return status;
	status = list_tags(s, key, &before, err);
	if (!status)
		status = store_put_tags(s, key, tags, count, err);
	if (!status)
		status = drop_tags(s, before, err);
	if (!status)
		status = write_down(s, id, key, err);
	free(before);
	return db_end(s, status, err);
}

/* ---- places --------------------------------------------------------------------------------- */

int store_place(struct store *s, const char *name, char *at, size_t size, struct error *err)
{
	sqlite3_stmt *statement;
	bool row;
	*at = '\0';
	int status = db_query(s, &statement, err, "SELECT at FROM places WHERE name = ?", T(name));
	if (status)
		return status;
	status = db_step(s, statement, &row, err);
	if (!status && row)
		snprintf(at, size, "%s", (const char *)sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	return status;
}

int store_place_set(struct store *s, const char *name, const char *at, struct error *err)
{
	int status = db_begin(s, err);
	if (status)
		return status;
	status = db_run(s, err,
			"INSERT INTO places (name, at) VALUES (?1, ?2) "
			"ON CONFLICT (name) DO UPDATE SET at = ?2",
			T(name), T(at));
	return db_end(s, status, err);
}

/* ---- deleting ------------------------------------------------------------------------------- */

/* All rows of the job, in one transaction. */
static int remove_rows(struct store *s, const char *id, struct error *err)
{
	struct store_job job = {0};
	char *tags = NULL;
	int status = db_begin(s, err);
	if (status)
		return status;
	status = store_job_get(s, id, &job, err);
	if (!status)
		status = list_tags(s, job.key, &tags, err);
	if (!status)
		status = store_history_forget(s, id, job.finished, err);
	crash_point("history_forgotten");
	if (!status)
		status = store_job_delete(s, id, err);
	if (!status)
		status = drop_tags(s, tags, err);
	status = db_end(s, status, err);
	crash_point("rows_removed");
	free(tags);
	store_job_free(&job);
	return status;
}

/* Under the lock, so that nobody gives the file a row meanwhile. */
static int remove_file(struct store *s, const struct store_artifact *a, struct store_removed *out,
		       struct error *err)
{
	bool gone = false;
	int status = db_begin(s, err);
	if (status)
		return status;
	status = db_end(s, store_drop_unnamed(s, a->sha256, a->path, &gone, err), err);
	if (!status && gone) {
		out->files++;
		out->bytes += a->bytes + a->thumb;
	}
	return status;
}

/* The files that this job alone has, before its rows: what gives a full disk the room to delete those. Rows of others are
 * looked for under the lock, under which store_artifact_put() looks for the file. */
static int remove_own_files(struct store *s, const struct store_artifact *list, size_t count, struct store_removed *out,
			    struct error *err)
{
	int status = SUMI_OK;
	for (size_t i = 0; i < count && !status; i++) {
		int64_t others = 0;
		if ((status = db_begin(s, err)))
			return status;
		status = db_int(s, &others, err,
				"SELECT count(*) FROM artifacts WHERE sha256 = ?1 AND job <> "
				"(SELECT key FROM jobs WHERE id = ?2)",
				T(list[i].sha256), T(list[i].job));
		if (!status && !others && unlink(list[i].path) == 0) {
			out->files++;
			out->bytes += list[i].bytes;
		} else if (!status && !others && errno != ENOENT) {
			status = error_errno(err, "%s", list[i].path);
		}
		status = db_end(s, status, err);
	}
	return status;
}

/* On a disk that is full to the last byte, with the ballast gone too. */
static int remove_without_room(struct store *s, const char *id, const struct store_artifact *list, size_t count,
			       struct store_removed *out, struct error *err)
{
	int files = out->files, status = remove_own_files(s, list, count, out, err);
	if (!status && (status = remove_rows(s, id, err)) && out->files > files)
		error_prefix(err, "%s: its files are deleted, but not its rows: delete it once more", id);
	return status;
}

int store_remove(struct store *s, const char *id, struct store_removed *out, struct error *err)
{
	struct store_artifact *list;
	size_t count;
	int status = store_artifacts(s, id, true, &list, &count, err);
	if (status)
		return status;
	status = remove_rows(s, id, err);
	if (status == SUMI_FULL) /* which has let go of the ballast */
		status = remove_rows(s, id, err);
	if (status == SUMI_FULL) /* somebody else has eaten that */
		status = remove_without_room(s, id, list, count, out, err);
	if (!status)
		out->jobs++;
	for (size_t i = 0; i < count && !status; i++)
		status = remove_file(s, &list[i], out, err);
	crash_point("files_removed");
	store_artifacts_free(list, count);
	return status;
}

int store_oldest(struct store *s, int64_t ended_before, bool with_files, int skip, int limit,
		 struct store_pending **list, size_t *count, struct error *err)
{
	sqlite3_stmt *statement;
	int status = db_query(s, &statement, err,
			      "SELECT id, token, finished FROM jobs j WHERE publish = 'visible' "
			      "AND starred = 0 AND finished < ?1 AND (?2 = 0 OR "
			      "EXISTS (SELECT 1 FROM artifacts WHERE job = j.key)) "
			      "ORDER BY finished LIMIT ?3 OFFSET ?4",
			      I(ended_before), I(with_files), I(limit), I(skip));
	*list = NULL;
	*count = 0;
	return status ? status : store_read_pending(s, statement, list, count, err);
}

void store_names_free(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

/* Of one file: its hash, and what it is called. */
static int name_file(const struct store_artifact *a, char *names[2], struct error *err)
{
	char name[STORE_ID_MAX + 64];
	int n = snprintf(name, sizeof name, "%s-%d", a->job, a->variant + 1);
	if (strcmp(a->role, "main") != 0)
		n += snprintf(name + n, sizeof name - (size_t)n, "-%.24s", a->role);
	if (a->number > 0)
		snprintf(name + n, sizeof name - (size_t)n, "-%d", a->number);
	int status = store_set_text(&names[0], a->sha256, err);
	return status ? status : store_set_text(&names[1], name, err);
}

int store_result_names(struct store *s, const char *id, char ***names, size_t *count,
		       struct error *err)
{
	struct store_artifact *list;
	size_t files;
	*names = NULL;
	*count = 0;
	int status = store_artifacts(s, id, true, &list, &files, err);
	if (status)
		return status;
	char **all = calloc(1 + 2 * files, sizeof *all);
	if (!all)
		status = error_set(err, SUMI_NOMEM, "no memory for the names of %zu files", files);
	if (!status)
		status = store_set_text(&all[0], id, err);
	for (size_t i = 0; i < files && !status; i++)
		status = name_file(&list[i], all + 1 + 2 * i, err);
	store_artifacts_free(list, files);
	if (status && all)
		store_names_free(all, 1 + 2 * files);
	if (status)
		return status;
	*names = all;
	*count = 1 + 2 * files;
	return SUMI_OK;
}

int store_result_bytes(struct store *s, int64_t *bytes, struct error *err)
{
	return db_int_values(s, bytes, err,
			     "SELECT coalesce(sum(one), 0) FROM "
			     "(SELECT max(bytes) + max(thumb) AS one FROM artifacts GROUP BY sha256)",
			     NULL, 0);
}

/* Artifacts: their rows, each with a file. */
#include "storage/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crashpoint.h"

static bool file_stands(const char *path, int64_t bytes)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == bytes;
}

/* A file that lay there for years may have its size and other bytes. */
static bool file_holds(const char *path, const struct store_artifact *a)
{
	struct error ignored;
	char sha256[SHA256_HEX_SIZE];
	return file_stands(path, a->bytes) && sha256_file(path, sha256, &ignored) == 0 &&
	       strcmp(sha256, a->sha256) == 0;
}

/* ---- rows ---- */

/* "webp"; of two words, "height.png". */
static bool is_extension(const char *format)
{
	static const char lower[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	size_t n = format ? strlen(format) : 0, first = n ? strspn(format, lower) : 0;
	if (n > 16 || first < 1 || first > 8)
		return false;
	size_t second = format[first] == '.' ? strspn(format + first + 1, lower) : 0;
	return first == n || (second > 0 && first + 1 + second == n);
}

static int check_artifact(const struct store_artifact *a, struct error *err)
{
	if (!is_extension(a->format))
		return error_set(err, SUMI_INVALID, "artifact: format '%.20s' is no file extension",
				 a->format ? a->format : "");
	if (!a->role || !*a->role || a->variant < 0 || a->number < 0)
		return error_set(err, SUMI_INVALID,
				 "artifact of job %.40s: role or number is missing",
				 a->job ? a->job : "");
	return store_check_id(a->job, err);
}

/* What stands in the place of a: *id of its row (0: none), whether it is the same, whether
 * people have seen it. */
static int look_up(struct store *s, const struct store_artifact *a, int64_t key, int64_t *id,
		   bool *same, bool *visible, struct error *err)
{
	sqlite3_stmt *statement;
	bool row;
	*id = 0;
	int status = db_query(s, &statement, err,
			      "SELECT id, sha256 = ?5, state = 'visible' FROM artifacts "
			      "WHERE job = ?1 AND variant = ?2 AND role = ?3 AND number = ?4",
			      I(key), I(a->variant), T(a->role), I(a->number), T(a->sha256));
	if (status)
		return status;
	status = db_step(s, statement, &row, err);
	if (!status && row) {
		*id = sqlite3_column_int64(statement, 0);
		*same = sqlite3_column_int(statement, 1);
		*visible = sqlite3_column_int(statement, 2);
	}
	sqlite3_finalize(statement);
	return status;
}

int store_rows_of(struct store *s, const char *sha256, int64_t *rows, struct error *err)
{
	return db_int(s, rows, err, "SELECT count(*) FROM artifacts WHERE sha256 = ?", T(sha256));
}

int store_drop_unnamed(struct store *s, const char *sha256, const char *path, bool *gone,
		       struct error *err)
{
	int64_t named = 0;
	*gone = false;
	int status = store_rows_of(s, sha256, &named, err);
	if (status || named)
		return status;
	char thumb[FILES_PATH_MAX];
	if ((status = store_thumb_path(s, sha256, thumb, err)))
		return status;
	*gone = unlink(path) == 0;
	if (!*gone && errno != ENOENT)
		return error_errno(err, "%s", path);
	return unlink(thumb) == 0 || errno == ENOENT ? SUMI_OK : error_errno(err, "%s", thumb);
}

/* Inside a transaction, which keeps store_collect() away. *missing: the file is gone. */
static int put_row(struct store *s, const struct store_artifact *a, const char *path,
		   enum store_put *outcome, bool *missing, struct error *err)
{
	int64_t key, id, settled = 0;
	bool same = false, visible = false, gone;
	*missing = false;
	int status = store_job_key(s, a->job, &key, err);
	if (!status)
		status =
		    db_int(s, &settled, err,
			   "SELECT publish = 'visible' AND state = 'done' FROM jobs WHERE key = ?",
			   I(key));
	if (!status)
		status = look_up(s, a, key, &id, &same, &visible, err);
	if (status)
		return status;
	*outcome = id == 0 ? STORE_PUT_NEW : same ? STORE_PUT_SAME : STORE_PUT_REPLACED;
	if (*outcome != STORE_PUT_SAME && (visible || settled)) {
		*outcome = STORE_PUT_SUPERSEDED;
		return store_drop_unnamed(s, a->sha256, path, &gone, err);
	}
	if (!file_stands(path, a->bytes)) {
		*missing = true;
		return SUMI_OK;
	}
	if (*outcome == STORE_PUT_SAME)
		return SUMI_OK;
	struct store_artifact row = *a;
	row.state = "stored";
	if (id != 0)
		status = db_run(s, err, "DELETE FROM artifacts WHERE id = ?", I(id));
	if (!status)
		status = store_insert(s, "artifacts", store_artifact_columns, &row, "job",
				      DB_VALUES(I(key)), err);
	return status;
}

int store_artifact_put(struct store *s, struct store_artifact *a, const void *data, size_t size,
		       enum store_put *outcome, struct error *err)
{
	char path[FILES_PATH_MAX];
	int64_t key;
	bool missing = true;
	int status = check_artifact(a, err);
	if (!status)
		status = store_job_key(s, a->job, &key, err);
	if (status)
		return status;
	sha256_hex(data, size, a->sha256);
	a->bytes = (int64_t)size;
	a->created = a->created ? a->created : clock_wall_ms();
	status = store_artifact_path(s, a->sha256, a->format, path, err);
	/* The file may be there from an earlier attempt, and may then be collected as an orphan
	 * until the row stands: look again under the lock. */
	for (int round = 0; !status && missing && round < 3; round++) {
		if (file_holds(path, a)) {
			status = store_sync_names(path, err);
		} else {
			status = store_space(s, "artifacts", a->bytes, err);
			if (!status)
				status = store_write_file(s, "artifacts", a->sha256, path, data,
							  size, err);
		}
		if (!status)
			status = store_thumb_put(s, a, data, size, err);
		if (!status)
			status = db_begin(s, err);
		if (!status)
			status = db_end(s, put_row(s, a, path, outcome, &missing, err), err);
	}
	if (!status && missing)
		status = error_set(err, SUMI_IO, "%s: was written and is gone again", path);
	crash_point("artifact_row");
	return status;
}

/* ---- reading ---- */

static int read_artifact(struct store *s, sqlite3_stmt *statement, struct store_artifact *a,
			 struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = store_set_text(&a->job, (const char *)sqlite3_column_text(statement, 0), err);
	if (!status)
		status = store_read_columns(statement, 1, store_artifact_columns, a, err);
	if (!status)
		status = store_artifact_path(s, a->sha256, a->format, path, err);
	if (!status)
		status = store_set_text(&a->path, path, err);
	a->present = !status && file_stands(path, a->bytes);
	return status;
}

static int read_artifacts(struct store *s, sqlite3_stmt *statement, struct store_artifact **list,
			  size_t *count, struct error *err)
{
	bool row;
	int status;
	while (!(status = db_step(s, statement, &row, err)) && row) {
		struct store_artifact *grown = store_grow(*list, *count, sizeof **list);
		if (!grown) {
			status = error_set(err, SUMI_NOMEM, "no memory for %zu artifacts", *count);
			break;
		}
		*list = grown;
		if ((status = read_artifact(s, statement, &grown[(*count)++], err)))
			break;
	}
	sqlite3_finalize(statement);
	if (status) {
		store_artifacts_free(*list, *count);
		*list = NULL;
		*count = 0;
	}
	return status;
}

int store_artifacts(struct store *s, const char *job, bool all, struct store_artifact **list,
		    size_t *count, struct error *err)
{
	char columns[512], sql[1024];
	int64_t key;
	sqlite3_stmt *statement;
	*list = NULL;
	*count = 0;
	int status = store_job_key(s, job, &key, err);
	if (status)
		return status;
	store_column_list(store_artifact_columns, "a", columns);
	snprintf(sql, sizeof sql,
		 "SELECT ?2, %s FROM artifacts a WHERE a.job = ?1%s "
		 "ORDER BY a.variant, a.role, a.number",
		 columns, all ? "" : " AND a.state = 'visible'");
	status = db_query(s, &statement, err, sql, I(key), T(job));
	return status ? status : read_artifacts(s, statement, list, count, err);
}

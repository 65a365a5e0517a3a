/* `sumi db check`, `backup` and `vacuum`. */
#include "storage/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define BACKUP_PAGES 512  /* copied under one lock */

/* ---- check ---- */

/* Runs a pragma that answers with a line for every fault. */
static int check_pragma(struct store *s, const char *sql, const char *good,
			struct store_report *report, struct error *err)
{
	sqlite3_stmt *statement;
	bool row;
	int status = db_query_values(s, &statement, err, sql, NULL, 0);
	if (status)
		return status;
	while (!(status = db_step(s, statement, &row, err)) && row) {
		const char *text = (const char *)sqlite3_column_text(statement, 0);
		if (!text || strcmp(text, good) != 0)
			store_say(report, true, "%s: %s: %s", STORE_DB_NAME, sql,
				  text ? text : "?");
	}
	sqlite3_finalize(statement);
	return status;
}

/* FTS5's own check is an INSERT, though it changes nothing. */
static int check_search(struct store *s, struct store_report *report, struct error *err)
{
	if (sqlite3_db_readonly(s->db, "main") == 1) {
		store_say(report, false, "%s: search index not checked: the file is read-only",
			  STORE_DB_NAME);
		return SUMI_OK;
	}
	int status = SUMI_OK;
	if (s->mode == STORE_READ)
		status = db_exec(s, "PRAGMA query_only=OFF", err);
	if (!status)
		status = db_exec(
		    s, "INSERT INTO prompts (prompts, rank) VALUES ('integrity-check', 1)", err);
	if (s->mode == STORE_READ)
		sqlite3_exec(s->db, "PRAGMA query_only=ON", NULL, NULL, NULL);
	return status;
}

static void check_thumb(const struct store *s, const struct store_artifact *a, struct store_report *report)
{
	char path[FILES_PATH_MAX];
	if (a->thumb > 0 && !store_thumb_find(s, a, path))
		store_say(report, true, "%s/thumbs: job %s variant %d: the thumbnail is missing or cut off",
			  s->dir, a->job, a->variant);
}

static void check_file(const struct store_artifact *a, bool hashes, struct store_report *report)
{
	char hash[SHA256_HEX_SIZE];
	struct stat st;
	struct error bad;
	if (stat(a->path, &st) != 0)
		store_say(report, true, "%s: job %s variant %d: the file is missing", a->path,
			  a->job, a->variant);
	else if (st.st_size != a->bytes)
		store_say(report, true, "%s: job %s variant %d: %lld bytes, %lld were stored",
			  a->path, a->job, a->variant, (long long)st.st_size, (long long)a->bytes);
	else if (hashes && sha256_file(a->path, hash, &bad) != 0)
		store_say(report, true, "%s", bad.text);
	else if (hashes && strcmp(hash, a->sha256) != 0)
		store_say(report, true, "%s: job %s variant %d: the bytes are not what was stored",
			  a->path, a->job, a->variant);
}

int store_next_files(struct store *s, int64_t *id, struct store_artifact *list, size_t *count,
		     struct error *err)
{
	sqlite3_stmt *statement;
	bool row;
	char path[FILES_PATH_MAX];
	*count = 0;
	int status = db_query(s, &statement, err,
			      "SELECT a.id, j.id, a.variant, a.sha256, a.format, a.bytes, a.thumb "
			      "FROM artifacts a JOIN jobs j ON j.key = a.job WHERE a.id > ? "
			      "ORDER BY a.id LIMIT ?",
			      I(*id), I(STORE_FILES_AT_ONCE));
	while (!status && !(status = db_step(s, statement, &row, err)) && row) {
		struct store_artifact *a = &list[(*count)++];
		*a = (struct store_artifact){.variant = sqlite3_column_int(statement, 2),
					     .bytes = sqlite3_column_int64(statement, 5),
					     .thumb = sqlite3_column_int64(statement, 6)};
		*id = sqlite3_column_int64(statement, 0);
		const char *sha256 = (const char *)sqlite3_column_text(statement, 3);
		const char *format = (const char *)sqlite3_column_text(statement, 4);
		snprintf(a->sha256, sizeof a->sha256, "%s", sha256 ? sha256 : "");
		status = store_artifact_path(s, a->sha256, format ? format : "", path, err);
		if (!status)
			status = store_set_text(&a->path, path, err);
		if (!status)
			status = store_set_text(
			    &a->job, (const char *)sqlite3_column_text(statement, 1), err);
	}
	sqlite3_finalize(statement);
	return status;
}

int store_check_files(struct store *s, bool hashes, struct store_report *report, struct error *err)
{
	struct store_artifact list[STORE_FILES_AT_ONCE];
	size_t count;
	int64_t id = 0;
	int status;
	do {
		status = store_next_files(s, &id, list, &count, err);
		for (size_t i = 0; i < count; i++) {
			if (!status) {
				check_file(&list[i], hashes, report);
				check_thumb(s, &list[i], report);
			}
			if (report)
				report->artifacts++;
			store_artifact_free(&list[i]);
		}
	} while (!status && count == STORE_FILES_AT_ONCE);
	return status;
}

/* A damaged page stops a check with an error of its own: that is a finding, and the next
 * check may still tell more. */
static int as_finding(int status, const struct error *bad, struct store_report *report,
		      struct error *err)
{
	if (status != SUMI_CORRUPT && status != SUMI_OK)
		return error_set(err, status, "%s", bad->text);
	if (status == SUMI_CORRUPT)
		store_say(report, true, "%s", bad->text);
	return SUMI_OK;
}

int store_check_tables(struct store *s, struct store_report *report, struct error *err)
{
	struct error bad;
	int status = check_pragma(s, "PRAGMA quick_check(10)", "ok", report, &bad);
	if (!(status = as_finding(status, &bad, report, err)))
		status = check_pragma(s, "PRAGMA foreign_key_check", "", report, &bad);
	return as_finding(status, &bad, report, err);
}

int store_check_present(struct store *s, struct store_report *report, struct error *err)
{
	struct error bad;
	return as_finding(store_check_files(s, false, report, &bad), &bad, report, err);
}

int store_check(struct store *s, bool hashes, struct store_report *report, struct error *err)
{
	struct store_report silent = {0};
	struct error bad;
	int64_t jobs = 0;
	report = report ? report : &silent;
	report->problems = report->jobs = report->artifacts = report->blobs = 0;
	int status = check_pragma(s, "PRAGMA integrity_check", "ok", report, &bad);
	if (!(status = as_finding(status, &bad, report, err)))
		status = check_pragma(s, "PRAGMA foreign_key_check", "", report, &bad);
	if (!(status = as_finding(status, &bad, report, err)))
		status = check_search(s, report, &bad);
	if (!(status = as_finding(status, &bad, report, err)))
		status = db_int_values(s, &jobs, &bad, "SELECT count(*) FROM jobs", NULL, 0);
	report->jobs = (int)jobs;
	if (!(status = as_finding(status, &bad, report, err)))
		status = store_check_files(s, hashes, report, &bad);
	if (!(status = as_finding(status, &bad, report, err)))
		status = store_check_blobs(s, hashes, report, &bad);
	if (!(status = as_finding(status, &bad, report, err)))
		status = store_check_strays(s, report, &bad);
	status = as_finding(status, &bad, report, err);
	if (!status && report->problems > 0)
		status =
		    error_set(err, SUMI_CORRUPT,
			      "%s: %d problem%s found: 'sumi db rebuild' makes the database anew",
			      s->dir, report->problems, report->problems == 1 ? "" : "s");
	return status;
}

/* ---- backup, vacuum ---- */

int store_backup(struct store *s, const char *path, struct error *err)
{
	sqlite3 *copy = NULL;
	/* Made here, so that nothing that exists is overwritten. */
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd < 0)
		return error_errno(err, "%s", path);
	close(fd);
	int status = SUMI_OK, rc = SQLITE_OK;
	if (sqlite3_open_v2(path, &copy, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
		status = error_set(err, SUMI_IO, "%s: cannot be opened", path);
		goto done;
	}
	sqlite3_backup *backup = sqlite3_backup_init(copy, "main", s->db, "main");
	if (!backup) {
		status = error_set(err, SUMI_IO, "%s: %s", path, sqlite3_errmsg(copy));
		goto done;
	}
	while ((rc = sqlite3_backup_step(backup, BACKUP_PAGES)) == SQLITE_OK || rc == SQLITE_BUSY ||
	       rc == SQLITE_LOCKED)
		if (rc != SQLITE_OK)
			clock_sleep_ms(20);
	sqlite3_backup_finish(backup);
	if (rc != SQLITE_DONE)
		status = error_set(err,
				   rc == SQLITE_FULL      ? SUMI_FULL
				   : rc == SQLITE_CORRUPT ? SUMI_CORRUPT
							  : SUMI_IO,
				   "backup to %s: %s", path, sqlite3_errstr(rc));
done:
	sqlite3_close(copy);
	if (!status)
		status = files_sync_parent(path, err);
	if (status)
		unlink(path);
	return status;
}

int store_vacuum(struct store *s, struct error *err)
{
	if (s->mode != STORE_WRITE)
		return error_set(err, SUMI_PERM, "%s: the store was opened for reading", s->dir);
	int64_t pages = 0, page_size = 0;
	int status = db_int_values(s, &pages, err, "PRAGMA page_count", NULL, 0);
	if (!status)
		status = db_int_values(s, &page_size, err, "PRAGMA page_size", NULL, 0);
	if (!status) /* the copy, and the journal of writing it back */
		status = store_space(s, NULL, 2 * pages * page_size, err);
	if (!status)
		status = db_exec(s, "INSERT INTO prompts (prompts) VALUES ('optimize')", err);
	if (!status)
		status = db_exec(s, "VACUUM", err);
	return status ? status : store_history_shorten(s, err);
}

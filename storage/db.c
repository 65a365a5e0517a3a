/* The connection: errors in sumi's words, statements, transactions, room on the disk. */
#include "storage/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- errors ---- */

static int status_of_sqlite(sqlite3 *db)
{
	switch (sqlite3_errcode(db)) {
	case SQLITE_FULL:
		return SUMI_FULL;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return SUMI_CORRUPT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return SUMI_BUSY;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return SUMI_PERM;
	case SQLITE_NOMEM:
		return SUMI_NOMEM;
	case SQLITE_TOOBIG:
		return SUMI_TOOBIG;
	case SQLITE_CANTOPEN:
		switch (sqlite3_system_errno(db)) {
		case ENOENT:
			return SUMI_NOTFOUND;
		case EACCES:
		case EROFS:
			return SUMI_PERM;
		default:
			return SUMI_IO;
		}
	case SQLITE_IOERR:
		switch (sqlite3_system_errno(db)) {
		case ENOSPC:
		case EDQUOT:
		case EFBIG:
			return SUMI_FULL;
		default:
			return SUMI_IO;
		}
	case SQLITE_CONSTRAINT:
		return SUMI_INVALID;
	default:
		return SUMI_INTERNAL;
	}
}

int db_error(struct store *s, struct error *err)
{
	int status = status_of_sqlite(s->db);
	const char *hint = "";
	switch (status) {
	case SUMI_CORRUPT:
		hint = ": run 'sumi db check', then 'sumi db rebuild'";
		break;
	case SUMI_FULL:
		hint = ": free some space on its disk, nothing was changed";
		break;
	case SUMI_PERM:
		hint = ": the folder and its files must be writable for this user";
		break;
	case SUMI_BUSY:
		hint = ": another process writes for too long, try again";
		break;
	default:
		break;
	}
	const char *path = sqlite3_db_filename(s->db, "main");
	return error_set(err, status, "%s: %s%s", path && *path ? path : s->dir,
			 sqlite3_errmsg(s->db), hint);
}

/* ---- statements ---- */

int db_exec(struct store *s, const char *sql, struct error *err)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? SUMI_OK : db_error(s, err);
}

int db_query_values(struct store *s, sqlite3_stmt **out, struct error *err, const char *sql,
		    const struct db_value *values, size_t count)
{
	if (sqlite3_prepare_v2(s->db, sql, -1, out, NULL) != SQLITE_OK)
		return db_error(s, err);
	for (size_t i = 0; i < count; i++) {
		const struct db_value *v = &values[i];
		int at = (int)i + 1, rc;
		switch (v->kind) {
		case DB_TEXT:
			rc = sqlite3_bind_text(*out, at, v->text, -1, SQLITE_STATIC);
			break;
		case DB_INT:
			rc = sqlite3_bind_int64(*out, at, v->integer);
			break;
		default:
			rc = sqlite3_bind_double(*out, at, v->real);
			break;
		}
		if (rc != SQLITE_OK) {
			int status = db_error(s, err);
			sqlite3_finalize(*out);
			*out = NULL;
			return status;
		}
	}
	return SUMI_OK;
}

int db_step(struct store *s, sqlite3_stmt *statement, bool *row, struct error *err)
{
	int rc = sqlite3_step(statement);
	*row = rc == SQLITE_ROW;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SUMI_OK : db_error(s, err);
}

int db_run_values(struct store *s, struct error *err, const char *sql,
		  const struct db_value *values, size_t count)
{
	int64_t none;
	return db_int_values(s, &none, err, sql, values, count);
}

int db_int_values(struct store *s, int64_t *value, struct error *err, const char *sql,
		  const struct db_value *values, size_t count)
{
	sqlite3_stmt *statement;
	bool row;
	int status = db_query_values(s, &statement, err, sql, values, count);
	if (status)
		return status;
	status = db_step(s, statement, &row, err);
	if (!status && row)
		*value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return status;
}

int db_begin(struct store *s, struct error *err)
{
	if (s->mode != STORE_WRITE)
		return error_set(err, SUMI_PERM, "%s: the store was opened for reading", s->dir);
	return db_exec(s, "BEGIN IMMEDIATE", err);
}

int db_end(struct store *s, int status, struct error *err)
{
	if (!status)
		status = db_exec(s, "COMMIT", err);
	/* The next try, of this or of something smaller, finds the ballast's room. */
	if (status == SUMI_FULL)
		store_ballast_drop(s, NULL);
	/* Some errors have rolled back already; err keeps the first message. */
	if (status && !sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return status;
}

/* ---- room on the disk ---- */

static int space_at(const struct store *s, const char *path, int64_t need, struct error *err)
{
	int64_t available = files_free_space(path);
	if (available < 0 || s->reserve == 0 || available - need >= s->reserve)
		return SUMI_OK;
	return error_set(
	    err, SUMI_FULL,
	    "%s: %.1f MiB free, %.1f MiB wanted and %.1f MiB are kept in reserve: free some "
	    "space; work goes on by itself then",
	    path, (double)available / (1 << 20), (double)need / (1 << 20),
	    (double)s->reserve / (1 << 20));
}

int store_space(struct store *s, const char *folder, int64_t need, struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = space_at(s, s->dir, folder ? 0 : need, err);
	for (size_t i = 0; store_file_folders[i] && !status; i++) {
		if (folder && strcmp(folder, store_file_folders[i]) != 0)
			continue;
		status = files_path(path, err, "%s/%s", s->dir, store_file_folders[i]);
		if (!status)
			status = space_at(s, path, folder ? need : 0, err);
	}
	return status;
}

int store_probe(struct store *s, struct error *err)
{
	enum { BYTES = 4096 }; /* limits on files are told by what is written, not by what is opened */
	static const char zeros[BYTES];
	char path[FILES_PATH_MAX];
	int status = files_path(path, err, "%s/artifacts/tmp/probe.%ld", s->dir, (long)getpid());
	if (!status)
		status = files_write_durable(path, zeros, sizeof zeros, err);
	if (!status) {
		unlink(path);
		status = db_begin(s, err);
	}
	return status ? status : db_end(s, SUMI_OK, err);
}

int store_ballast_fill(struct store *s, struct error *err)
{
	char path[FILES_PATH_MAX];
	if (s->ballast == 0)
		return SUMI_OK;
	int status = files_path(path, err, "%s/ballast", s->dir);
	if (!status)
		status = store_space(s, NULL, s->ballast, err);
	if (status)
		return status;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	if (fd < 0)
		return error_errno(err, "%s", path);
	/* fallocate: blocks that are really taken, also on file systems that compress. */
	int code = posix_fallocate(fd, 0, (off_t)s->ballast);
	if (code == 0 && fsync(fd) != 0)
		code = errno;
	close(fd);
	if (code == 0)
		return SUMI_OK;
	unlink(path);
	errno = code;
	return error_errno(err, "%s", path);
}

int store_ballast_drop(struct store *s, struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = files_path(path, err, "%s/ballast", s->dir);
	if (!status && unlink(path) != 0 && errno != ENOENT)
		status = error_errno(err, "%s", path);
	return status;
}

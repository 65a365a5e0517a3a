/* The connection: opening, errors in sumi's words, statements, transactions, room on the disk.
 *
 * The journal is a rollback journal with full syncs. SQLite before 3.51.3 (Debian 12 has 3.40.1)
 * can corrupt a WAL database that several connections write and checkpoint, and sumi writes a
 * few rows a job: WAL would gain nothing here. TRUNCATE rather than DELETE, because with
 * synchronous=FULL only the former syncs the end of the journal. */
#include "storage/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_MS 60000 /* a check of a large database may hold its lock for that long */

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

/* ---- opening ---- */

static int make_folders(const struct store *s, struct error *err)
{
	static const char *const names[] = {"artifacts/tmp", "history"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char path[FILES_PATH_MAX];
		int status = files_path(path, err, "%s/%s", s->dir, names[i]);
		if (!status)
			status = files_make_dirs(path, 0750, err);
		if (status)
			return status;
	}
	return SUMI_OK;
}

static int configure(struct store *s, int busy_ms, struct error *err)
{
	/* First of all: the statements below may meet another process's lock already. */
	sqlite3_busy_timeout(s->db, busy_ms ? busy_ms : BUSY_MS);
	sqlite3_extended_result_codes(s->db, 0);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_limit(s->db, SQLITE_LIMIT_LENGTH, 64 << 20);
	int status = db_exec(s,
			     "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;"
			     "PRAGMA cell_size_check=ON; PRAGMA synchronous=FULL;",
			     err);
	if (!status && s->mode == STORE_WRITE)
		status = db_exec(s, "PRAGMA journal_mode=TRUNCATE", err);
	/* A reader keeps the right to write to the file, if it has it: only so can it roll back
	 * what a killed writer left half done. */
	if (!status && s->mode == STORE_READ)
		status = db_exec(s, "PRAGMA query_only=ON", err);
	return status;
}

/* Prompts are nobody else's business, and SQLite gives its other files the mode of the database. The
 * file is not opened where it is there: closing it would drop the locks of other connections. What
 * cannot be changed is told when the database is opened. */
static void make_private(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd >= 0)
		close(fd);
	else if (stat(path, &st) == 0 && (st.st_mode & 0027))
		chmod(path, st.st_mode & 0750);
}

int store_open_named(const struct store_options *options, const char *name, struct store **out,
		     struct error *err)
{
	char path[FILES_PATH_MAX];
	*out = NULL;
	struct store *s = calloc(1, sizeof *s);
	if (!s)
		return error_set(err, SUMI_NOMEM, "no memory for the store");
	s->lock = -1;
	s->mode = options->mode;
	s->reserve = options->reserve < 0 ? 0 : options->reserve ? options->reserve : STORE_RESERVE;
	s->ballast = options->ballast < 0 ? 0 : options->ballast ? options->ballast : STORE_BALLAST;
	/* Absolute, so that paths given out stay true wherever the process goes. */
	char here[PATH_MAX] = "";
	int status = SUMI_OK;
	if (options->dir[0] != '/' && !getcwd(here, sizeof here))
		status = error_errno(err, "current folder");
	if (!status)
		status = files_path(s->dir, err, "%s%s%s", here, *here ? "/" : "", options->dir);
	if (!status)
		status = files_path(path, err, "%s/%s", s->dir, name);
	if (!status && s->mode == STORE_WRITE)
		status = make_folders(s, err);
	if (!status && s->mode == STORE_READ && access(path, F_OK) != 0)
		status = errno == ENOENT
			     ? error_set(err, SUMI_NOTFOUND,
					 "%s: there is no database yet: start sumid", path)
			     : error_errno(err, "%s", path);
	if (status)
		goto fail;
	if (s->mode == STORE_WRITE)
		make_private(path);
	int flags = SQLITE_OPEN_READWRITE | (s->mode == STORE_WRITE ? SQLITE_OPEN_CREATE : 0);
	if (sqlite3_open_v2(path, &s->db, flags, NULL) != SQLITE_OK) {
		status = s->db ? db_error(s, err)
			       : error_set(err, SUMI_NOMEM, "no memory for the store");
		goto fail;
	}
	/* SQLite opens what it may not write for reading, without a word. */
	if (s->mode == STORE_WRITE &&
	    (sqlite3_db_readonly(s->db, "main") == 1 || access(s->dir, W_OK) != 0)) {
		status =
		    error_set(err, SUMI_PERM,
			      "%s: the folder and %s must be writable for this user", s->dir, name);
		goto fail;
	}
	status = configure(s, options->busy_ms, err);
	if (!status)
		status = store_migrate(s, name, err);
	if (status)
		goto fail;
	*out = s;
	return SUMI_OK;
fail:
	store_close(s);
	return status;
}

int store_lock(const char *dir, bool alone, int *fd, struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = files_path(path, err, "%s/store.lock", dir);
	if (status)
		return status;
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (*fd < 0)
		return error_errno(err, "%s", path);
	if (flock(*fd, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0)
		return SUMI_OK;
	if (errno == EWOULDBLOCK)
		status = error_set(err, SUMI_BUSY,
				   alone ? "%s: the store is in use: stop sumid first"
					 : "%s: the database is being rebuilt: wait for that",
				   dir);
	else
		status = error_errno(err, "%s", path);
	close(*fd);
	*fd = -1;
	return status;
}

int store_open(const struct store_options *options, struct store **out, struct error *err)
{
	int lock = -1;
	*out = NULL;
	int status = SUMI_OK;
	if (options->mode == STORE_WRITE) {
		status = files_make_dirs(options->dir, 0750, err);
		if (!status)
			status = store_lock(options->dir, false, &lock, err);
		if (!status)
			status = store_note_lost(options->dir, err);
	}
	if (!status)
		status = store_open_named(options, STORE_DB_NAME, out, err);
	if (*out)
		(*out)->lock = lock;
	else if (lock >= 0)
		close(lock);
	return status;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	sqlite3_close(s->db);
	if (s->lock >= 0)
		close(s->lock);
	free(s);
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

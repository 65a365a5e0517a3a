/* Opening and closing.
 *
 * The journal is a rollback journal with full syncs. SQLite before 3.51.3 (Debian 12 has 3.40.1)
 * can corrupt a WAL database that several connections write and checkpoint, and sumi writes a
 * few rows a job: WAL would gain nothing here. TRUNCATE rather than DELETE, because with
 * synchronous=FULL only the former syncs the end of the journal. */
#include "storage/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_MS 60000 /* a check of a large database may hold its lock for that long */

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

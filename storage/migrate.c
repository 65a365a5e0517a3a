/* Numbered migrations under user_version, in one transaction. */
#include "storage/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/embed.h"

static int latest_version(void)
{
	int latest = 0;
	for (const struct embedded_file *f = embedded_sql; f->name; f++)
		if (atoi(f->name) > latest)
			latest = atoi(f->name);
	return latest;
}

static const char *migration(int version)
{
	for (const struct embedded_file *f = embedded_sql; f->name; f++)
		if (atoi(f->name) == version)
			return f->text;
	return NULL;
}

static int read_version(struct store *s, int64_t *version, struct error *err)
{
	int64_t application = 0, tables = 0;
	int status = db_int_values(s, version, err, "PRAGMA user_version", NULL, 0);
	if (!status)
		status = db_int_values(s, &application, err, "PRAGMA application_id", NULL, 0);
	if (!status)
		status =
		    db_int_values(s, &tables, err, "SELECT count(*) FROM sqlite_schema", NULL, 0);
	if (status)
		return status;
	if (application != STORE_APPLICATION_ID &&
	    (application != 0 || *version != 0 || tables != 0))
		return error_set(err, SUMI_INVALID, "%s: is a database, but not sumi's",
				 sqlite3_db_filename(s->db, "main"));
	if (*version > latest_version())
		return error_set(
		    err, SUMI_UNSUPPORTED,
		    "%s: was written by a newer sumi (version %lld, this one knows %d): "
		    "install that one again",
		    sqlite3_db_filename(s->db, "main"), (long long)*version, latest_version());
	return SUMI_OK;
}

/* The same, of one moment: read one by one, the three numbers would belong to different moments
 * of a database that another process is just making. */
static int read_version_alone(struct store *s, int64_t *version, struct error *err)
{
	int status = db_exec(s, "BEGIN", err);
	if (status)
		return status;
	return db_end(s, read_version(s, version, err), err);
}

/* A copy of the database as it was, beside it. The caller holds the lock for writing and has not
 * written yet, so that the copy is of the version that it is named after. */
static int keep_old(struct store *s, const char *name, int64_t version, struct error *err)
{
	char path[FILES_PATH_MAX], part[FILES_PATH_MAX];
	struct store old = {.lock = -1};
	int status = files_path(path, err, "%s/%s.version%d", s->dir, name, (int)version);
	if (!status)
		status = files_path(part, err, "%s.part", path);
	if (!status)
		status = files_path(old.dir, err, "%s", s->dir);
	if (status)
		return status;
	unlink(part); /* of a try that was cut off */
	/* Through a connection of its own: SQLite copies nothing from within a transaction. */
	if (sqlite3_open_v2(sqlite3_db_filename(s->db, "main"), &old.db, SQLITE_OPEN_READWRITE,
			    NULL) != SQLITE_OK)
		status =
		    old.db ? db_error(&old, err) : error_set(err, SUMI_NOMEM, "no memory to copy");
	if (!status)
		status = store_backup(&old, part, err);
	if (!status && rename(part, path) != 0)
		status = error_errno(err, "%s", path);
	if (!status)
		status = files_sync_parent(path, err);
	sqlite3_close(old.db);
	return status;
}

/* All steps in one transaction: nobody ever sees a database between two versions. */
static int migrate(struct store *s, const char *name, struct error *err)
{
	int64_t version = 0;
	int status = read_version(s, &version, err);
	if (!status && version > 0 && version < latest_version())
		status = keep_old(s, name, version, err);
	while (!status && version < latest_version()) {
		char pragmas[96];
		const char *sql = migration((int)++version);
		if (!sql)
			return error_set(err, SUMI_INTERNAL, "migration %d is missing",
					 (int)version);
		status = db_exec(s, sql, err);
		snprintf(pragmas, sizeof pragmas,
			 "PRAGMA application_id=%d; PRAGMA user_version=%d", STORE_APPLICATION_ID,
			 (int)version);
		if (!status)
			status = db_exec(s, pragmas, err);
	}
	return status;
}

int store_migrate(struct store *s, const char *name, struct error *err)
{
	int64_t version = 0;
	int status = read_version_alone(s, &version, err);
	if (status || version == latest_version())
		return status;
	if (s->mode == STORE_READ)
		return version == 0
			   ? error_set(err, SUMI_NOTFOUND,
				       "%s/%s: there is no database yet: start sumid", s->dir, name)
			   : error_set(err, SUMI_UNSUPPORTED,
				       "%s/%s: is of an older sumi: start sumid, which brings it "
				       "up to date",
				       s->dir, name);
	status = db_begin(s, err);
	/* Another process may have done it meanwhile: the version counts that is read under the
	 * lock. */
	return status ? status : db_end(s, migrate(s, name, err), err);
}

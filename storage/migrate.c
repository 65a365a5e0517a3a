/* Numbered migrations under user_version, each in one transaction. */
#include "storage/internal.h"

#include <stdio.h>
#include <stdlib.h>

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

/* One step. Another process may have taken it meanwhile: the version counts that is read under
 * the lock. */
static int migrate_step(struct store *s, struct error *err)
{
	int64_t version = 0;
	char pragmas[96];
	int status = db_begin(s, err);
	if (status)
		return status;
	status = read_version(s, &version, err);
	if (!status && version < latest_version()) {
		const char *sql = migration((int)version + 1);
		if (!sql)
			status = error_set(err, SUMI_INTERNAL, "migration %d is missing",
					   (int)version + 1);
		else
			status = db_exec(s, sql, err);
		snprintf(pragmas, sizeof pragmas,
			 "PRAGMA application_id=%d; PRAGMA user_version=%d", STORE_APPLICATION_ID,
			 (int)version + 1);
		if (!status)
			status = db_exec(s, pragmas, err);
	}
	return db_end(s, status, err);
}

int store_migrate(struct store *s, const char *name, struct error *err)
{
	int64_t version = 0;
	int status = read_version(s, &version, err);
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
	if (version > 0) {
		char path[FILES_PATH_MAX];
		status = files_path(path, err, "%s/%s.version%d", s->dir, name, (int)version);
		if (!status)
			status = store_backup(s, path, err);
		if (status == SUMI_EXISTS) /* made when the last try was cut off */
			status = SUMI_OK;
	}
	while (!status && version < latest_version()) {
		status = migrate_step(s, err);
		if (!status)
			status = read_version(s, &version, err);
	}
	return status;
}

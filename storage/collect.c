/* Collecting what crashes left behind: temp files and artifacts without rows. */
#include "storage/internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

/* Runs of jobs that are not known to have ended: another host may have finished them. */

/* ---- walking ---- */

/* Calls back for the regular files of one folder, dot files left out; a folder that is not there
 * is empty. */
typedef int entry_function(void *context, const char *path, const char *name, const struct stat *st,
			   struct error *err);

static int walk(const char *folder, bool folders, entry_function *each, void *context,
		struct error *err)
{
	char path[FILES_PATH_MAX];
	struct stat st;
	int status = SUMI_OK;
	DIR *d = opendir(folder);
	if (!d)
		return errno == ENOENT ? SUMI_OK : error_errno(err, "%s", folder);
	for (struct dirent *e; !status && (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		status = files_path(path, err, "%s/%s", folder, e->d_name);
		if (status || lstat(path, &st) != 0)
			continue; /* gone meanwhile */
		if (folders ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode))
			status = each(context, path, e->d_name, &st, err);
	}
	closedir(d);
	return status;
}

static int64_t changed_ms(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
}

struct walker {
	store_file_function *each;
	void *context;
};

static int on_artifact(void *context, const char *path, const char *name, const struct stat *st,
		       struct error *err)
{
	struct walker *w = context;
	char sha256[SHA256_HEX_SIZE];
	if (strspn(name, "0123456789abcdef") != 64 || name[64] != '.' || !name[65])
		return SUMI_OK;
	snprintf(sha256, sizeof sha256, "%.64s", name);
	struct store_file file = {path, sha256, name + 65, (int64_t)st->st_size, changed_ms(st)};
	return w->each(w->context, &file, err);
}

static int on_inner(void *context, const char *path, const char *name, const struct stat *st,
		    struct error *err)
{
	(void)st;
	return strlen(name) == 2 ? walk(path, false, on_artifact, context, err) : SUMI_OK;
}

static int on_outer(void *context, const char *path, const char *name, const struct stat *st,
		    struct error *err)
{
	(void)st;
	return strlen(name) == 2 ? walk(path, true, on_inner, context, err) : SUMI_OK;
}

int store_walk_files(struct store *s, const char *folder, store_file_function *each, void *context,
		     struct error *err)
{
	char path[FILES_PATH_MAX];
	struct walker w = {each, context};
	int status = files_path(path, err, "%s/%s", s->dir, folder);
	return status ? status : walk(path, true, on_outer, &w, err);
}

int store_walk_artifacts(struct store *s, store_file_function *each, void *context,
			 struct error *err)
{
	return store_walk_files(s, "artifacts", each, context, err);
}

/* ---- collecting ---- */

struct collection {
	struct store *s;
	struct store_keeping keeping;
	int64_t now, older_than_ms;
	struct store_collected *out;
};

static int collect_file(struct collection *c, const char *path, int64_t bytes, int *counter,
			struct error *err)
{
	if (unlink(path) != 0)
		return errno == ENOENT ? SUMI_OK : error_errno(err, "%s", path);
	(*counter)++;
	c->out->bytes += bytes;
	return SUMI_OK;
}

static int collect_temp(void *context, const char *path, const char *name, const struct stat *st,
			struct error *err)
{
	struct collection *c = context;
	(void)name;
	if (c->now - changed_ms(st) < c->older_than_ms)
		return SUMI_OK;
	return collect_file(c, path, (int64_t)st->st_size, &c->out->temps, err);
}

int store_rows_of(struct store *s, const char *sha256, int64_t *rows, struct error *err)
{
	return db_int(s, rows, err, "SELECT count(*) FROM artifacts WHERE sha256 = ?", T(sha256));
}

/* Looks a second time under the lock: store_artifact_put() may just now give the file a row. */
static int collect_orphan(void *context, const struct store_file *file, struct error *err)
{
	struct collection *c = context;
	struct stat st;
	int64_t rows = 0;
	bool keeps;
	if (c->now - file->changed < c->older_than_ms)
		return SUMI_OK;
	int status = store_rows_of(c->s, file->sha256, &rows, err);
	if (status || rows > 0)
		return status;
	if ((status = store_keeps(&c->keeping, file->sha256, false, &keeps, err)) || keeps) {
		c->out->kept += !status;
		return status;
	}
	if ((status = db_begin(c->s, err)))
		return status;
	status = store_rows_of(c->s, file->sha256, &rows, err);
	if (!status && rows == 0 && stat(file->path, &st) == 0 &&
	    c->now - changed_ms(&st) >= c->older_than_ms)
		status = collect_file(c, file->path, file->bytes, &c->out->orphans, err);
	return db_end(c->s, status, err);
}

int store_collect(struct store *s, int64_t older_than_ms, const struct store_needs *needs,
		  struct store_collected *out, struct error *err)
{
	struct collection c = {s, store_keeping(s), clock_wall_ms(), older_than_ms, out};
	char path[FILES_PATH_MAX];
	*out = (struct store_collected){0};
	if (s->mode != STORE_WRITE)
		return error_set(err, SUMI_PERM, "%s: the store was opened for reading", s->dir);
	int status = SUMI_OK;
	for (const char *const *folder = store_file_folders; *folder && !status; folder++) {
		status = files_path(path, err, "%s/%s/tmp", s->dir, *folder);
		if (!status)
			status = walk(path, false, collect_temp, &c, err);
	}
	if (!status)
		status = store_walk_artifacts(s, collect_orphan, &c, err);
	if (!status)
		status = store_walk_files(s, "thumbs", collect_orphan, &c, err);
	if (!status)
		status = store_collect_blobs(s, &c.keeping, older_than_ms, needs, out, err);
	store_keeping_clear(&c.keeping);
	return status;
}

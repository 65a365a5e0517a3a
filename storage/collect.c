/* Collecting what crashes left behind: temp files and artifacts without rows. */
#include "storage/internal.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

struct collection {
	struct store *s;
	struct store_keeping keeping;
	int64_t now, older_than_ms;
	struct store_collected *out;
	bool thumbs; /* are walked, not results */
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

static int collect_temp(void *context, const struct store_file *file, struct error *err)
{
	struct collection *c = context;
	if (c->now - file->changed < c->older_than_ms)
		return SUMI_OK;
	return collect_file(c, file->path, file->bytes, &c->out->temps, err);
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
		c->out->kept += !status && !c->thumbs; /* a rebuild makes thumbnails anew: no loss */
		return status;
	}
	if ((status = db_begin(c->s, err)))
		return status;
	status = store_rows_of(c->s, file->sha256, &rows, err);
	if (!status && rows == 0 && stat(file->path, &st) == 0 &&
	    c->now - store_changed_ms(&st) >= c->older_than_ms)
		status = collect_file(c, file->path, file->bytes, c->thumbs ? &c->out->thumbs : &c->out->orphans, err);
	return db_end(c->s, status, err);
}

int store_collect(struct store *s, int64_t older_than_ms, const struct store_needs *needs,
		  struct store_collected *out, struct error *err)
{
	struct collection c = {s, store_keeping(s), clock_wall_ms(), older_than_ms, out, false};
	*out = (struct store_collected){0};
	if (s->mode != STORE_WRITE)
		return error_set(err, SUMI_PERM, "%s: the store was opened for reading", s->dir);
	int status = SUMI_OK;
	for (const char *const *folder = store_file_folders; *folder && !status; folder++)
		status = store_walk_temps(s, *folder, collect_temp, &c, err);
	if (!status)
		status = store_walk_artifacts(s, collect_orphan, &c, err);
	c.thumbs = true;
	if (!status)
		status = store_walk_files(s, "thumbs", collect_orphan, &c, err);
	if (!status)
		status = store_collect_blobs(s, &c.keeping, older_than_ms, needs, out, err);
	store_keeping_clear(&c.keeping);
	return status;
}

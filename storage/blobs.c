/* Blobs: the files that artifacts were made from. */
#include "storage/blobs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "storage/internal.h"

#define FORMAT "input" /* the ending of all blobs: their bytes say what they are */

static int blob_path(const struct store *s, const char *sha256, char out[FILES_PATH_MAX],
		     struct error *err)
{
	return files_path(out, err, "%s/blobs/%.2s/%.2s/%s." FORMAT, s->dir, sha256, sha256 + 2,
			  sha256);
}

static bool holds(const char *path, const char *sha256)
{
	struct error ignored;
	struct stat st;
	char found[SHA256_HEX_SIZE];
	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       sha256_file(path, found, &ignored) == 0 && strcmp(found, sha256) == 0;
}

/* ---- finding and keeping --------------------------------------------------------------- */

static int find_artifact(struct store *s, const char *sha256, char path[FILES_PATH_MAX],
			 struct error *err)
{
	sqlite3_stmt *statement;
	bool row;
	int status = db_query(s, &statement, err,
			      "SELECT DISTINCT format FROM artifacts WHERE sha256 = ?", T(sha256));
	if (status)
		return status;
	while (!(status = db_step(s, statement, &row, err)) && row) {
		const char *format = (const char *)sqlite3_column_text(statement, 0);
		status = store_artifact_path(s, sha256, format ? format : "", path, err);
		if (status || holds(path, sha256))
			break;
	}
	sqlite3_finalize(statement);
	if (!status && !row)
		status = error_set(err, SUMI_NOTFOUND, "the store has no file %s", sha256);
	return status;
}

int store_blob_find(struct store *s, const char *sha256, char path[FILES_PATH_MAX],
		    struct error *err)
{
	int status = blob_path(s, sha256, path, err);
	if (status || holds(path, sha256))
		return status;
	return find_artifact(s, sha256, path, err);
}

int store_blob_put(struct store *s, const char *sha256, const void *data, size_t size,
		   char path[FILES_PATH_MAX], struct error *err)
{
	int status = blob_path(s, sha256, path, err);
	if (!status && holds(path, sha256)) {
		utimensat(AT_FDCWD, path, NULL, 0);
		return store_sync_names(path, err);
	}
	if (!status)
		status = store_space(s, (int64_t)size, err);
	return status ? status : store_write_file(s, "blobs", sha256, path, data, size, err);
}

/* ---- results --------------------------------------------------------------------------- */

/* "ID-2" → "ID" and 2. */
static bool cut_number(char *text, long *number)
{
	char *dash = strrchr(text, '-');
	size_t digits = dash ? strspn(dash + 1, "0123456789") : 0;
	if (!digits || digits > 6 || dash[1 + digits] || dash == text)
		return false;
	*number = strtol(dash + 1, NULL, 10);
	*dash = '\0';
	return true;
}

bool store_result_read(const char *name, int way, struct store_result_name *r)
{
	*r = (struct store_result_name){.role = "main"};
	if (strlen(name) > STORE_ID_MAX)
		return false;
	strcpy(r->job, name);
	if (way == 0)
		return true;
	if (way == 2) {
		if (!cut_number(r->job, &r->number))
			return false;
		char *dash = strrchr(r->job, '-');
		if (!dash || strlen(dash + 1) >= sizeof r->role)
			return false;
		strcpy(r->role, dash + 1);
		*dash = '\0';
	}
	return cut_number(r->job, &r->variant) && r->variant > 0;
}

/* variant 0: the first result. */
static int pick(struct store *s, const struct store_result_name *r, struct store_artifact *a,
		struct error *err)
{
	struct store_artifact *list;
	size_t count;
	int status = store_artifacts(s, r->job, false, &list, &count, err);
	if (status)
		return status;
	status = SUMI_NOTFOUND;
	for (size_t i = 0; i < count && status; i++) {
		bool wanted = r->variant ? list[i].variant == r->variant - 1 &&
						   list[i].number == r->number &&
						   strcmp(list[i].role, r->role) == 0
					 : true;
		if (!wanted)
			continue;
		*a = list[i];
		list[i] = (struct store_artifact){0};
		status = SUMI_OK;
	}
	store_artifacts_free(list, count);
	return status;
}

int store_result_find(struct store *s, const char *name, struct store_artifact *a,
		      struct error *err)
{
	struct store_result_name r;
	int status = SUMI_NOTFOUND;
	for (int way = 0; way < STORE_RESULT_WAYS && status == SUMI_NOTFOUND; way++)
		if (store_result_read(name, way, &r))
			status = pick(s, &r, a, err);
	return status == SUMI_NOTFOUND
		   ? error_set(err, status, "%.140s has no results here", name)
		   : status;
}

/* ---- collecting ------------------------------------------------------------------------ */

struct blob_collection {
	char (*named)[SHA256_HEX_SIZE]; /* sorted */
	size_t count;
	int64_t now, older_than_ms;
	struct store_collected *out;
};

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The init of every artifact. */
static int read_named(struct store *s, struct blob_collection *c, struct error *err)
{
	sqlite3_stmt *statement;
	bool row;
	int status = db_query_values(
	    s, &statement, err,
	    "SELECT DISTINCT CASE WHEN json_valid(metadata) THEN json_extract(metadata, '$.init') "
	    "END FROM artifacts WHERE instr(metadata, '\"init\"')",
	    NULL, 0);
	while (!status && !(status = db_step(s, statement, &row, err)) && row) {
		const char *init = (const char *)sqlite3_column_text(statement, 0);
		char name[SHA256_HEX_SIZE];
		if (!init || !sha256_is_name(init, name))
			continue;
		void *grown = store_grow(c->named, c->count, sizeof *c->named);
		if (!grown) {
			status = error_set(err, SUMI_NOMEM, "no memory for %zu blobs", c->count);
			break;
		}
		c->named = grown;
		memcpy(c->named[c->count++], name, sizeof name);
	}
	sqlite3_finalize(statement);
	if (c->count)
		qsort(c->named, c->count, sizeof *c->named, compare);
	return status;
}

static int collect_one(void *context, const struct store_file *file, struct error *err)
{
	struct blob_collection *c = context;
	if (c->now - file->changed < c->older_than_ms ||
	    (c->count && bsearch(file->sha256, c->named, c->count, sizeof *c->named, compare)))
		return SUMI_OK;
	if (unlink(file->path) != 0)
		return errno == ENOENT ? SUMI_OK : error_errno(err, "%s", file->path);
	c->out->blobs++;
	c->out->bytes += file->bytes;
	return SUMI_OK;
}

int store_collect_blobs(struct store *s, int64_t older_than_ms, struct store_collected *out,
			struct error *err)
{
	struct blob_collection c = {
	    .now = clock_wall_ms(), .older_than_ms = older_than_ms, .out = out};
	int status = read_named(s, &c, err);
	if (!status)
		status = store_walk_files(s, "blobs", collect_one, &c, err);
	free(c.named);
	return status;
}

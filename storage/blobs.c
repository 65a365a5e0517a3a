/* Blobs: the files that artifacts were made from. */
#include "storage/blobs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "request/files.h"
#include "storage/internal.h"

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
	int status = store_blob_path(s, sha256, path, err);
	if (status || holds(path, sha256))
		return status;
	return find_artifact(s, sha256, path, err);
}

int store_blob_put(struct store *s, const char *sha256, const void *data, size_t size,
		   char path[FILES_PATH_MAX], struct error *err)
{
	int status = store_blob_path(s, sha256, path, err);
	if (!status && holds(path, sha256)) {
		utimensat(AT_FDCWD, path, NULL, 0);
		return store_sync_names(path, err);
	}
	if (!status)
		status = store_space(s, "blobs", (int64_t)size, err);
	return status ? status : store_write_file(s, "blobs", sha256, path, data, size, err);
}

/* ---- results --------------------------------------------------------------------------- */

/* variant 0: the first result. */
static int pick(struct store *s, const struct result_name *r, struct store_artifact *a,
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
	struct result_name r;
	int status = SUMI_NOTFOUND;
	for (int way = 0; way < RESULT_NAME_WAYS && status == SUMI_NOTFOUND; way++)
		if (result_name_read(name, way, &r))
			status = pick(s, &r, a, err);
	return status == SUMI_NOTFOUND
		   ? error_set(err, status, "%.140s has no results here", name)
		   : status;
}

int store_has(struct store *s, const char *name, bool *there, struct error *err)
{
	char sha256[SHA256_HEX_SIZE], path[FILES_PATH_MAX];
	struct store_artifact a = {0};
	int status = sha256_is_name(name, sha256) ? store_blob_find(s, sha256, path, err)
						  : store_result_find(s, name, &a, err);
	store_artifact_free(&a);
	*there = status == SUMI_OK;
	return status == SUMI_NOTFOUND ? SUMI_OK : status;
}

/* ---- what artifacts were made from ------------------------------------------------------ */

struct names {
	char (*at)[SHA256_HEX_SIZE]; /* sorted */
	size_t count;
};

static void put_text(struct bytes_writer *w, const char *text)
{
	bytes_put(w, text, strlen(text));
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool has_name(const struct names *n, const char *sha256)
{
	return n->count && bsearch(sha256, n->at, n->count, sizeof *n->at, compare);
}

/* Everything that stands in metadata under a name of a parameter for files. */
static char *named_query(void)
{
	struct bytes_writer w = {0};
	const char *key;
	put_text(&w, "SELECT DISTINCT j.value FROM artifacts a, json_tree(CASE WHEN "
		     "json_valid(a.metadata) THEN a.metadata ELSE '{}' END) j WHERE j.type = 'text' "
		     "AND j.key IN (''");
	for (size_t i = 0; (key = request_file_key(i)); i++) {
		put_text(&w, ", '");
		put_text(&w, key);
		put_text(&w, "'");
	}
	put_text(&w, ") AND (0");
	for (size_t i = 0; (key = request_file_key(i)); i++) {
		put_text(&w, " OR instr(a.metadata, '\"");
		put_text(&w, key);
		put_text(&w, "\"')");
	}
	bytes_put(&w, ")", 2);
	if (w.failed)
		free(w.data);
	return w.failed ? NULL : (char *)w.data;
}

/* The files that artifacts were made from; the caller frees n->at. */
static int read_named(struct store *s, struct names *n, struct error *err)
{
	sqlite3_stmt *statement;
	bool row;
	*n = (struct names){0};
	char *query = named_query();
	if (!query)
		return error_set(err, SUMI_NOMEM, "out of memory");
	int status = db_query_values(s, &statement, err, query, NULL, 0);
	free(query);
	while (!status && !(status = db_step(s, statement, &row, err)) && row) {
		const char *value = (const char *)sqlite3_column_text(statement, 0);
		char name[SHA256_HEX_SIZE];
		if (!value || !sha256_is_name(value, name))
			continue;
		void *grown = store_grow(n->at, n->count, sizeof *n->at);
		if (!grown) {
			status = error_set(err, SUMI_NOMEM, "no memory for %zu blobs", n->count);
			break;
		}
		n->at = grown;
		memcpy(n->at[n->count++], name, sizeof name);
	}
	sqlite3_finalize(statement);
	if (n->count)
		qsort(n->at, n->count, sizeof *n->at, compare);
	return status;
}

/* ---- checking -------------------------------------------------------------------------- */

struct blob_check {
	bool hashes;
	struct store_report *report;
};

static int check_one(void *context, const struct store_file *file, struct error *err)
{
	struct blob_check *c = context;
	struct error bad;
	char hash[SHA256_HEX_SIZE];
	(void)err;
	c->report->blobs++;
	if (!c->hashes)
		return SUMI_OK;
	if (sha256_file(file->path, hash, &bad))
		store_say(c->report, true, "%s", bad.text);
	else if (strcmp(hash, file->sha256) != 0)
		store_say(c->report, true,
			  "%s: the bytes are not what was stored: results that were made from it "
			  "cannot be made again",
			  file->path);
	return SUMI_OK;
}

/* A file that an artifact was made from, and that is neither a blob nor a result any more. */
static int say_missing(struct store *s, const char *sha256, struct store_report *report,
		       struct error *err)
{
	sqlite3_stmt *statement;
	bool row;
	char path[FILES_PATH_MAX];
	int status = store_blob_path(s, sha256, path, err);
	if (!status)
		status = db_query(s, &statement, err,
				  "SELECT j.id FROM artifacts a JOIN jobs j ON j.key = a.job WHERE "
				  "instr(a.metadata, '\"' || ?1 || '\"') LIMIT 1",
				  T(sha256));
	if (status)
		return status;
	status = db_step(s, statement, &row, err);
	if (!status && row)
		store_say(report, true, "%s: job %s: the file that it was made from is missing", path,
			  (const char *)sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	return status;
}

int store_check_blobs(struct store *s, bool hashes, struct store_report *report, struct error *err)
{
	struct blob_check c = {hashes, report};
	char path[FILES_PATH_MAX];
	struct names named;
	struct stat st;
	struct error none;
	int status = read_named(s, &named, err);
	for (size_t i = 0; i < named.count && !status; i++) {
		status = store_blob_path(s, named.at[i], path, err);
		if (!status && lstat(path, &st) != 0 &&
		    find_artifact(s, named.at[i], path, &none) == SUMI_NOTFOUND)
			status = say_missing(s, named.at[i], report, err);
	}
	free(named.at);
	return status ? status : store_walk_files(s, "blobs", check_one, &c, err);
}

/* ---- collecting ------------------------------------------------------------------------ */

struct blob_collection {
	struct names named;
	struct store_keeping *keeping;
	const struct store_needs *needs;
	int64_t now, older_than_ms;
	struct store_collected *out;
};

static int collect_one(void *context, const struct store_file *file, struct error *err)
{
	struct blob_collection *c = context;
	bool keeps;
	if (c->now - file->changed < c->older_than_ms || has_name(&c->named, file->sha256) ||
	    (c->needs && c->needs->is_needed(c->needs->context, file->sha256)))
		return SUMI_OK;
	int status = store_keeps(c->keeping, file->sha256, true, &keeps, err);
	if (keeps)
		return status;
	if (unlink(file->path) != 0)
		return errno == ENOENT ? SUMI_OK : error_errno(err, "%s", file->path);
	c->out->blobs++;
	c->out->bytes += file->bytes;
	return SUMI_OK;
}

int store_collect_blobs(struct store *s, struct store_keeping *keeping, int64_t older_than_ms, const struct store_needs *needs,
			struct store_collected *out, struct error *err)
{
	struct blob_collection c = {
	    .keeping = keeping, .needs = needs, .now = clock_wall_ms(), .older_than_ms = older_than_ms, .out = out};
	int status = read_named(s, &c.named, err);
	if (!status)
		status = store_walk_files(s, "blobs", collect_one, &c, err);
	free(c.named.at);
	return status;
}

/* `sumi db rebuild`: the database made anew from the history and from the artifact files. */
#include "storage/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "media/format.h"
#include "media/metadata_file.h"

#define REBUILD_NAME "sumi.db.new"

/* What the metadata inside a file says; strings borrowed from root. */
static int job_of_metadata(const json_t *root, const struct store_file *file, struct store_job *job,
			   struct store_artifact *a, struct error *err)
{
	const char *text[4] = {NULL, NULL, NULL, NULL};
	static const char *const names[4] = {"modality", "model", "prompt", "negative_prompt"};
	int64_t width = 0, height = 0;
	double duration = 0;
	int status = SUMI_OK;
	for (int i = 0; i < 4 && !status; i++)
		status = json_want_string(root, file->path, names[i], &text[i], err);
	if (!status)
		status = json_want_int(root, file->path, "width", 0, INT32_MAX, &width, err);
	if (!status)
		status = json_want_int(root, file->path, "height", 0, INT32_MAX, &height, err);
	if (!status)
		status = json_want_number(root, file->path, "duration", 0, 1e9, &duration, err);
	if (status)
		return status;
	job->modality = (char *)text[0];
	job->model = (char *)text[1];
	job->prompt = (char *)text[2];
	job->negative_prompt = (char *)text[3];
	a->width = (int)width;
	a->height = (int)height;
	a->duration = duration;
	const json_t *seed = json_object_get(root, "seed");
	a->seed = json_is_string(seed) ? strtoull(json_string_value(seed), NULL, 10)
				       : (uint64_t)json_integer_value(seed);
	return SUMI_OK;
}

/* A job for a file that the history does not know, named after its hash. */
static int adopt_file(struct store *s, const struct store_file *file, struct error *err)
{
	struct metadata m;
	json_t *root = NULL;
	char hash[SHA256_HEX_SIZE], id[32];
	int64_t key;
	int status = sha256_file(file->path, hash, err);
	if (!status && strcmp(hash, file->sha256) != 0)
		status = error_set(err, SUMI_CORRUPT, "%s: the bytes are not what was stored",
				   file->path);
	if (status)
		return status;
	if ((status = metadata_read_file(file->path, &m, err)))
		return status;
	if (m.json)
		status = json_read_text(m.json, strlen(m.json), file->path, &root, err);
	else
		root = json_object();
	snprintf(id, sizeof id, "file-%.16s", file->sha256);
	struct store_job job = {.id = id,
				.state = "done",
				.params = m.json,
				.variants = 1,
				.created = file->changed,
				.started = file->changed,
				.finished = file->changed};
	struct store_artifact a = {.role = "main",
				   .format = (char *)file->format,
				   .mime = (char *)format_named(file->format)->mime,
				   .bytes = file->bytes,
				   .infotext = m.infotext,
				   .metadata = m.json,
				   .state = "visible",
				   .created = file->changed};
	memcpy(a.sha256, file->sha256, sizeof a.sha256);
	if (!status)
		status = job_of_metadata(root, file, &job, &a, err);
	if (!status)
		status = store_job_insert(s, &job, "visible", &key, err);
	if (!status)
		status = store_insert(s, "artifacts", store_artifact_columns, &a, "job",
				      DB_VALUES(I(key)), err);
	json_decref(root);
	metadata_free(&m);
	return status;
}

struct rebuilding {
	struct store *s;
	struct store_report *report;
};

static int on_file(void *context, const struct store_file *file, struct error *err)
{
	struct rebuilding *r = context;
	struct error bad;
	int64_t rows = 0;
	int status = db_int(r->s, &rows, err, "SELECT count(*) FROM artifacts WHERE sha256 = ?",
			    T(file->sha256));
	if (status || rows > 0)
		return status;
	status = db_begin(r->s, err);
	if (status)
		return status;
	status = db_end(r->s, adopt_file(r->s, file, &bad), &bad);
	if (status == SUMI_FULL || status == SUMI_NOMEM || status == SUMI_IO)
		return error_set(err, status, "%s", bad.text);
	if (status)
		store_say(r->report, true, "%s", bad.text);
	else
		store_say(r->report, false,
			  "%s: not in the history, brought back from its metadata", file->path);
	return SUMI_OK;
}

/* The new database into DIR/sumi.db.new. */
static int fill(const struct store_options *options, struct store_report *report, struct error *err)
{
	struct store *s;
	int64_t jobs = 0, thumbs = 0;
	int status = store_open_named(options, REBUILD_NAME, &s, err);
	if (status)
		return status;
	struct rebuilding r = {s, report};
	status = store_history_replay(s, report, err);
	if (!status)
		status = store_walk_artifacts(s, on_file, &r, err);
	if (!status)
		status = store_thumbs_fill(s, true, &thumbs, INT32_MAX, err);
	if (!status)
		status = store_check_files(s, false, report, err);
	if (!status)
		status = db_int_values(s, &jobs, err, "SELECT count(*) FROM jobs", NULL, 0);
	report->jobs = (int)jobs;
	store_close(s);
	return status;
}

static int remove_file(const char *dir, const char *name, struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = files_path(path, err, "%s/%s", dir, name);
	if (!status && unlink(path) != 0 && errno != ENOENT)
		status = error_errno(err, "%s", path);
	return status;
}

/* The old file gets a second name, which keeps its journal: SQLite finds that under the new name
 * too. Where there are no second names, it is moved. */
static int move_aside(const char *dir, char moved[FILES_PATH_MAX], struct error *err)
{
	static const char *const suffixes[] = {"", "-journal", "-wal"};
	char from[FILES_PATH_MAX], to[FILES_PATH_MAX], when[CLOCK_TEXT_SIZE], stamp[16];
	clock_text(clock_wall_ms(), when);
	snprintf(stamp, sizeof stamp, "%.4s%.2s%.2sT%.2s%.2s%.2s", when, when + 5, when + 8,
		 when + 11, when + 14, when + 17);
	for (int i = 0; i < 3; i++) {
		int status = files_path(from, err, "%s/%s%s", dir, STORE_DB_NAME, suffixes[i]);
		if (!status)
			status = files_path(to, err, "%s/%s.broken-%s%s", dir, STORE_DB_NAME, stamp,
					    suffixes[i]);
		if (status)
			return status;
		if (i == 0)
			memcpy(moved, to, FILES_PATH_MAX);
		if (i == 0 && link(from, to) == 0)
			continue;
		if (rename(from, to) == 0)
			continue;
		if (errno != ENOENT)
			return error_errno(err, "moving %s aside", from);
		if (i == 0)
			moved[0] = '\0';
	}
	return SUMI_OK;
}

/* At every moment the old database or the new one is there. */
static int replace(const char *dir, char moved[FILES_PATH_MAX], struct error *err)
{
	char from[FILES_PATH_MAX], to[FILES_PATH_MAX];
	int status = files_path(from, err, "%s/%s", dir, REBUILD_NAME);
	if (!status)
		status = files_path(to, err, "%s/%s", dir, STORE_DB_NAME);
	if (!status)
		status = move_aside(dir, moved, err);
	if (!status && rename(from, to) != 0)
		status = error_errno(err, "%s", to);
	return status ? status : files_sync_parent(to, err);
}

int store_rebuild(const struct store_options *options, char moved[FILES_PATH_MAX],
		  struct store_report *report, struct error *err)
{
	struct store_options writing = *options;
	struct store_report silent = {0};
	char aside[FILES_PATH_MAX];
	int lock = -1;
	report = report ? report : &silent;
	report->problems = report->jobs = report->artifacts = 0;
	writing.mode = STORE_WRITE;
	int status = store_lock(options->dir, true, &lock, err);
	if (status)
		return status;
	/* A rebuild that was cut off left one. */
	status = remove_file(options->dir, REBUILD_NAME, err);
	if (!status)
		status = remove_file(options->dir, REBUILD_NAME "-journal", err);
	if (!status)
		status = fill(&writing, report, err);
	if (!status)
		status = remove_file(options->dir, REBUILD_NAME "-journal", err);
	if (!status)
		status = replace(options->dir, aside, err);
	if (!status)
		status = store_found_again(options->dir, err);
	if (!status && moved)
		memcpy(moved, aside, sizeof aside);
	close(lock);
	return status;
}

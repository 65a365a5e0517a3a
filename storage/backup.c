/* The store as a whole, copied to another folder and back. */
#define _GNU_SOURCE /* syncfs */
#include "storage/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/internal.h"
#include "storage/keep.h"

/* What belongs to the store, in the order in which it comes into its place: where the database is,
 * all is there. */
static const char *const parts[] = {STORE_LOST_NAME, "blobs", "artifacts", "thumbs", "history",
				    "redis",		     STORE_DB_NAME "-journal", STORE_DB_NAME};
enum { PARTS = sizeof parts / sizeof parts[0] };

/* ---- copying ---- */

static int copy_folder(const struct store *s, const char *dir, const char *name, struct error *err)
{
	char from[FILES_PATH_MAX], to[FILES_PATH_MAX];
	int status = files_path(from, err, "%s/%s", s->dir, name);
	if (!status)
		status = files_path(to, err, "%s/%s", dir, name);
	if (status || access(from, F_OK) != 0)
		return status;
	return files_copy_tree(from, to, err);
}

/* Whether the store has the job of that file no more. */
static bool was_deleted(struct store *s, const char *job)
{
	int64_t key;
	struct error ignored;
	return store_job_key(s, job, &key, &ignored) == SUMI_NOTFOUND;
}

static int check_copy(const struct store_artifact *a, struct store_report *report)
{
	char hash[SHA256_HEX_SIZE];
	struct error bad;
	if (sha256_file(a->path, hash, &bad))
		store_say(report, true, "%s", bad.text);
	else if (strcmp(hash, a->sha256) != 0)
		store_say(report, true, "%s: job %s variant %d: the bytes are not what was stored",
			  a->path, a->job, a->variant);
	return SUMI_OK;
}

/* a is a row of the copy: its path is where the file shall lie. */
static int copy_file(struct store *s, struct store *copy, const struct store_artifact *a,
		     struct store_report *report, struct error *err)
{
	char from[FILES_PATH_MAX], folder[FILES_PATH_MAX];
	struct store_removed removed = {0};
	const char *name = strrchr(a->path, '/'), *dot = strchr(name, '.');
	if (access(a->path, F_OK) == 0) /* of another row with the same bytes */
		return SUMI_OK;
	int status = store_artifact_path(s, a->sha256, dot ? dot + 1 : "", from, err);
	if (!status)
		status = files_path(folder, err, "%.*s", (int)(name - a->path), a->path);
	if (!status)
		status = files_make_dirs(folder, 0750, err);
	if (!status)
		status = files_copy(from, a->path, err);
	if (status == SUMI_NOTFOUND && was_deleted(s, a->job)) {
		status = store_remove(copy, a->job, &removed, err);
		return status == SUMI_NOTFOUND ? SUMI_OK : status;
	}
	if (status == SUMI_NOTFOUND) {
		store_say(report, true, "%s: job %s variant %d: the file is missing", from, a->job,
			  a->variant);
		return SUMI_OK;
	}
	return status ? status : check_copy(a, report);
}

static int copy_files(struct store *s, struct store *copy, struct store_report *report,
		      struct error *err)
{
	struct store_artifact list[STORE_FILES_AT_ONCE];
	size_t count;
	int64_t id = 0;
	int status;
	do {
		status = store_next_files(copy, &id, list, &count, err);
		for (size_t i = 0; i < count; i++) {
			if (!status)
				status = copy_file(s, copy, &list[i], report, err);
			store_artifact_free(&list[i]);
		}
	} while (!status && count == STORE_FILES_AT_ONCE);
	return status;
}

static int sync_all(const char *dir, struct error *err)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int failed = fd < 0 || syncfs(fd) != 0;
	int status = failed ? error_errno(err, "%s", dir) : SUMI_OK;
	if (fd >= 0)
		close(fd);
	return status;
}

/* The history first: what is added to it later is of no job that the copy has. */
int store_copy(struct store *s, const char *dir, struct store_report *report, struct error *err)
{
	char path[FILES_PATH_MAX];
	struct store_options options = {
	    .dir = dir, .mode = STORE_WRITE, .reserve = -1, .ballast = -1};
	struct store *copy = NULL;
	int64_t jobs = 0, files = 0;
	int status = copy_folder(s, dir, "history", err);
	if (!status)
		status = files_path(path, err, "%s/%s", dir, STORE_DB_NAME);
	if (!status)
		status = store_backup(s, path, err);
	if (!status)
		status = store_open(&options, &copy, err);
	if (!status)
		status = copy_files(s, copy, report, err);
	if (!status)
		status = copy_folder(s, dir, "blobs", err);
	if (!status)
		status = copy_folder(s, dir, "thumbs", err);
	if (!status)
		status = db_int_values(copy, &jobs, err, "SELECT count(*) FROM jobs", NULL, 0);
	/* Without those of jobs that were deleted meanwhile. */
	if (!status)
		status = db_int_values(copy, &files, err, "SELECT count(*) FROM artifacts", NULL, 0);
	report->jobs = (int)jobs;
	report->artifacts = (int)files;
	store_close(copy);
	if (!status && (status = files_path(path, err, "%s/store.lock", dir)) == SUMI_OK)
		unlink(path);
	if (!status)
		status = sync_all(dir, err);
	if (!status && report->problems)
		status = error_set(err, SUMI_CORRUPT, "%s: %d file%s missing or damaged", s->dir,
				   report->problems, report->problems == 1 ? " is" : "s are");
	return status;
}

/* ---- moving ---- */

static int move(const char *from, const char *to, const char *name, struct error *err)
{
	char source[FILES_PATH_MAX], target[FILES_PATH_MAX];
	int status = files_path(source, err, "%s/%s", from, name);
	if (!status)
		status = files_path(target, err, "%s/%s", to, name);
	if (!status && rename(source, target) != 0 && errno != ENOENT)
		status = error_errno(err, "moving %s to %s", source, target);
	return status;
}

int store_move_aside(const char *dir, const char *name, struct error *err)
{
	char aside[FILES_PATH_MAX];
	int lock = -1, status = store_lock(dir, true, &lock, err);
	if (!status)
		status = files_path(aside, err, "%s/%s", dir, name);
	if (!status && mkdir(aside, 0750) != 0)
		status = error_errno(err, "%s", aside);
	for (int i = PARTS; i-- > 0 && !status;)
		status = move(dir, aside, parts[i], err);
	if (!status)
		status = sync_all(dir, err);
	if (lock >= 0)
		close(lock);
	return status;
}

int store_move_in(const char *dir, const char *name, struct error *err)
{
	char from[FILES_PATH_MAX];
	int lock = -1, status = store_lock(dir, true, &lock, err);
	if (!status)
		status = files_path(from, err, "%s/%s", dir, name);
	for (int i = 0; i < PARTS && !status; i++)
		status = move(from, dir, parts[i], err);
	if (!status)
		status = sync_all(dir, err);
	if (lock >= 0)
		close(lock);
	return status;
}

bool store_exists(const char *dir)
{
	char path[FILES_PATH_MAX];
	return (files_path(path, NULL, "%s/%s", dir, STORE_DB_NAME) == SUMI_OK &&
		access(path, F_OK) == 0) ||
	       (files_path(path, NULL, "%s/redis/appendonlydir", dir) == SUMI_OK &&
		access(path, F_OK) == 0) ||
	       (files_path(path, NULL, "%s/artifacts", dir) == SUMI_OK && access(path, F_OK) == 0);
}

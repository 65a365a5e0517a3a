/* Files that are named by their SHA-256: where they lie, how they are written, a walk over them. */
#define _GNU_SOURCE /* mkostemp */
#include "storage/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crashpoint.h"

/* A mount of its own may lie at each of them, so each has its temporary files within. */
const char *const store_file_folders[] = {"artifacts", "thumbs", "blobs", NULL};

int store_artifact_path(const struct store *s, const char *sha256, const char *format,
			char out[FILES_PATH_MAX], struct error *err)
{
	return files_path(out, err, "%s/artifacts/%.2s/%.2s/%s.%s", s->dir, sha256, sha256 + 2,
			  sha256, format);
}

int store_thumb_path(const struct store *s, const char *sha256, char out[FILES_PATH_MAX],
		     struct error *err)
{
	return files_path(out, err, "%s/thumbs/%.2s/%.2s/%s.webp", s->dir, sha256, sha256 + 2, sha256);
}

/* The ending of all blobs: their bytes say what they are. */
int store_blob_path(const struct store *s, const char *sha256, char out[FILES_PATH_MAX],
		     struct error *err)
{
	return files_path(out, err, "%s/blobs/%.2s/%.2s/%s.input", s->dir, sha256, sha256 + 2,
			  sha256);
}

/* ---- writing ---- */

/* Makes the two folders over such a path, whose names are durable when it returns, and the one for what
 * is being written. */
static int make_parents(const struct store *s, const char *folder, const char *sha256,
			struct error *err)
{
	char path[FILES_PATH_MAX];
	for (int depth = 0; depth <= 2; depth++) {
		int status = files_path(path, err, "%s/%s", s->dir, folder);
		if (!status && depth > 0)
			status = files_path(path, err, "%s/%s/%.2s%s%.*s", s->dir, folder, sha256,
					    depth == 2 ? "/" : "", depth == 2 ? 2 : 0, sha256 + 2);
		if (status)
			return status;
		if (mkdir(path, 0750) != 0) {
			if (errno == EEXIST)
				continue;
			return error_errno(err, "making folder %s", path);
		}
		if ((status = files_sync_parent(path, err)))
			return status;
	}
	int status = files_path(path, err, "%s/%s/tmp", s->dir, folder);
	return status ? status : files_make_dirs(path, 0750, err);
}

int store_sync_names(const char *file, struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = files_path(path, err, "%s", file);
	for (int depth = 0; depth < 3 && !status; depth++) {
		status = files_sync_parent(path, err);
		*strrchr(path, '/') = '\0';
	}
	return status;
}

/* files_write_durable() with the temp file in a folder beside it, where store_collect() finds
 * it, and with crash points. */
int store_write_file(const struct store *s, const char *folder, const char *sha256,
		     const char *path, const void *data, size_t size, struct error *err)
{
	char temp[FILES_PATH_MAX];
	int status = make_parents(s, folder, sha256, err);
	if (!status)
		status = files_path(temp, err, "%s/%s/tmp/%.16s.XXXXXX", s->dir, folder, sha256);
	if (status)
		return status;
	int fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "%s", temp);
	fchmod(fd, 0640);
	if (files_write_all(fd, data, size) != 0) {
		status = error_errno(err, "writing %s", path);
		goto drop;
	}
	crash_point("temp_written");
	if (fsync(fd) != 0) {
		status = error_errno(err, "writing %s", path);
		goto drop;
	}
	crash_point("temp_synced");
	if (rename(temp, path) != 0) {
		status = error_errno(err, "writing %s", path);
		goto drop;
	}
	close(fd);
	crash_point("renamed");
	status = files_sync_parent(path, err);
	crash_point("folder_synced");
	return status;
drop:
	close(fd);
	unlink(temp);
	return status;
}

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

int64_t store_changed_ms(const struct stat *st)
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
	struct store_file file = {path, sha256, name + 65, (int64_t)st->st_size, store_changed_ms(st)};
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

static int on_temp(void *context, const char *path, const char *name, const struct stat *st,
		   struct error *err)
{
	struct walker *w = context;
	struct store_file file = {path, "", "", (int64_t)st->st_size, store_changed_ms(st)};
	(void)name;
	return w->each(w->context, &file, err);
}

int store_walk_temps(struct store *s, const char *folder, store_file_function *each, void *context,
		     struct error *err)
{
	char path[FILES_PATH_MAX];
	struct walker w = {each, context};
	int status = files_path(path, err, "%s/%s/tmp", s->dir, folder);
	return status ? status : walk(path, false, on_temp, &w, err);
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

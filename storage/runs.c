/* Saved runs: the steps of a half-done render, one file a variant. */
#include "storage/internal.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crashpoint.h"

static int run_path(const struct store *s, const char *job, int variant, char out[FILES_PATH_MAX],
		    struct error *err)
{
	int status = store_check_id(job, err);
	return status ? status : files_path(out, err, "%s/runs/%s.%d", s->dir, job, variant);
}

int store_run_save(struct store *s, const char *job, int variant, const void *data, size_t size,
		   struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = run_path(s, job, variant, path, err);
	if (status)
		return status;
	if (size > STORE_RUN_MAX)
		return error_set(err, SUMI_TOOBIG, "%s: %zu bytes, at most %u are allowed", path,
				 size, STORE_RUN_MAX);
	status = store_space(s, (int64_t)size, err);
	if (!status)
		status = files_write_durable(path, data, size, err);
	crash_point("run_saved");
	return status;
}

int store_run_load(struct store *s, const char *job, int variant, void **data, size_t *size,
		   struct error *err)
{
	char path[FILES_PATH_MAX], *bytes;
	*data = NULL;
	int status = run_path(s, job, variant, path, err);
	if (!status)
		status = files_read(path, STORE_RUN_MAX, &bytes, size, err);
	if (!status)
		*data = bytes;
	return status;
}

static int drop_file(const char *path, struct error *err)
{
	return unlink(path) == 0 || errno == ENOENT ? SUMI_OK : error_errno(err, "%s", path);
}

/* "JOB.12" belongs to JOB; "JOB.1.2" to JOB.1. */
static bool is_run_of(const char *name, const char *job)
{
	size_t n = strlen(job);
	return strncmp(name, job, n) == 0 && name[n] == '.' && name[n + 1] &&
	       strspn(name + n + 1, "0123456789") == strlen(name + n + 1);
}

int store_run_drop(struct store *s, const char *job, int variant, struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = run_path(s, job, variant, path, err);
	if (status)
		return status;
	if (variant >= 0)
		return drop_file(path, err);
	status = files_path(path, err, "%s/runs", s->dir);
	DIR *folder = status ? NULL : opendir(path);
	if (!folder)
		return status ? status : error_errno(err, "%s", path);
	for (struct dirent *e; !status && (e = readdir(folder));) {
		if (!is_run_of(e->d_name, job))
			continue;
		status = files_path(path, err, "%s/runs/%s", s->dir, e->d_name);
		if (!status)
			status = drop_file(path, err);
	}
	closedir(folder);
	return status;
}

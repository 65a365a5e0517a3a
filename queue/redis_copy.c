/* The private Redis' data, copied while the server runs.
 *
 * The server only appends, and what it has written is there to be read at once. When it rewrites its
 * file, it makes new ones, changes the manifest and removes the old ones last: a manifest that is the
 * same before and after has named all that was copied. */
#include "queue/redis_copy.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/files.h"
#include "queue/aof.h"

enum { MANIFEST_MAX = 64 * 1024, TRIES = 20, PAUSE_MS = 250 };

#define FOLDER "appendonlydir"
#define MANIFEST FOLDER "/appendonly.aof.manifest"

static int read_manifest(const char *dir, char **text, struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = files_path(path, err, "%s/" MANIFEST, dir);
	return status ? status : files_read(path, MANIFEST_MAX, text, NULL, err);
}

static void empty(const char *folder)
{
	char path[FILES_PATH_MAX];
	DIR *d = opendir(folder);
	for (struct dirent *e; d && (e = readdir(d));)
		if (e->d_name[0] != '.' && !files_path(path, NULL, "%s/%s", folder, e->d_name))
			unlink(path);
	if (d)
		closedir(d);
}

/* The files that a manifest names, in its order: the last one is the one that grows. */
static int copy_named(const char *dir, const char *to, const char *manifest, struct error *err)
{
	char from[FILES_PATH_MAX], target[FILES_PATH_MAX];
	int status = SUMI_OK;
	for (const char *line = manifest; line && *line && !status;) {
		char name[256], type;
		if (sscanf(line, "file %255s seq %*s type %c", name, &type) == 2 && type != 'h' &&
		    !strchr(name, '/')) {
			status = files_path(from, err, "%s/" FOLDER "/%s", dir, name);
			if (!status)
				status = files_path(target, err, "%s/" FOLDER "/%s", to, name);
			if (!status)
				status = files_copy(from, target, err);
		}
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	if (!status)
		status = files_path(target, err, "%s/" MANIFEST, to);
	return status ? status
		      : files_write_durable(target, manifest, strlen(manifest), err);
}

/* *same: the manifest has not changed meanwhile. */
static int copy_once(const char *dir, const char *to, bool *same, struct error *err)
{
	char folder[FILES_PATH_MAX], *before = NULL, *after = NULL;
	int64_t cut;
	int status = files_path(folder, err, "%s/" FOLDER, to);
	if (!status)
		status = files_make_dirs(folder, 0700, err);
	if (status)
		return status;
	empty(folder);
	status = read_manifest(dir, &before, err);
	if (!status)
		status = copy_named(dir, to, before, err);
	bool vanished = status == SUMI_NOTFOUND && before; /* with an old manifest */
	if (!status)
		status = read_manifest(dir, &after, err);
	*same = !status && strcmp(before, after) == 0;
	free(before);
	free(after);
	if (*same)
		status = aof_mend(to, &cut, err);
	return vanished ? SUMI_OK : status;
}

int redis_copy(const char *state_dir, const char *to, struct error *err)
{
	char dir[FILES_PATH_MAX], path[FILES_PATH_MAX];
	bool same = false;
	int status = files_path(dir, err, "%s/redis", state_dir);
	if (!status)
		status = files_path(path, err, "%s/" MANIFEST, dir);
	if (!status && access(path, F_OK) != 0)
		return error_set(err, SUMI_NOTFOUND, "%s: no Redis server has run here yet", dir);
	for (int i = 0; i < TRIES && !status && !same; i++) {
		if (i)
			clock_sleep_ms(PAUSE_MS);
		status = copy_once(dir, to, &same, err);
	}
	if (!status && !same)
		status = error_set(err, SUMI_BUSY,
				   "%s: the server rewrites its file without an end: try again",
				   dir);
	return status;
}

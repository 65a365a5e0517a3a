/* Whether a pack's files are still those of before, told without reading them. */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "diffusion/pack_internal.h"
#include "weights/checkpoint.h"

enum { DEPTH = 2 }; /* folders of parts, and one below them */

static uint64_t stamp_file(const struct stat *st)
{
	return ((uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec) *
		   (2 * (uint64_t)st->st_ino + 1) +
	       (uint64_t)st->st_size;
}

uint64_t pack_stamp_add(uint64_t stamp, const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 ? stamp * 31 + stamp_file(&st) : stamp;
}

static uint64_t stamp_folder(const char *folder, int depth)
{
	uint64_t stamp = 0;
	struct dirent *entry;
	DIR *dir = opendir(folder);
	while (dir && (entry = readdir(dir))) {
		char path[FILES_PATH_MAX];
		struct stat st;
		if (entry->d_name[0] == '.' ||
		    files_path(path, NULL, "%s/%s", folder, entry->d_name) || stat(path, &st))
			continue;
		/* A sum: folders are read in no certain order. */
		if (S_ISDIR(st.st_mode) && depth > 0)
			stamp += stamp_folder(path, depth - 1) * 31;
		else if (S_ISREG(st.st_mode))
			stamp += stamp_file(&st);
	}
	if (dir)
		closedir(dir);
	return stamp;
}

/* A pack's folder; or its file, and the one beside it. */
static uint64_t stamp_at(const char *path)
{
	char side[FILES_PATH_MAX];
	struct stat st;
	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return stamp_folder(path, DEPTH);
	uint64_t stamp = stamp_file(&st);
	checkpoint_side_file(path, side);
	return *side && stat(side, &st) == 0 ? stamp * 31 + stamp_file(&st) : stamp;
}

uint64_t pack_stamp(const struct pack_info *info)
{
	uint64_t stamp = stamp_at(info->path);
	const struct part *const *at = info->family ? info->family->parts : NULL;
	for (; at && *at; at++) {
		char path[FILES_PATH_MAX];
		const char *other =
		    json_string_value(json_object_get(info->manifest, (*at)->folder));
		if (other && !pack_beside(info, (*at)->folder, other, path, NULL))
			stamp = stamp * 31 + stamp_at(path);
	}
	return *info->base ? stamp * 31 + stamp_at(info->base) : stamp;
}

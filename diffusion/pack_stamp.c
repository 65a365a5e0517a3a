/* Whether a pack's files are still those of before, told without reading them. */
#include <dirent.h>
#include <sys/stat.h>

#include "diffusion/pack.h"

enum { DEPTH = 2 }; /* folders of parts, and one below them */

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
			stamp += ((uint64_t)st.st_mtim.tv_sec * 1000000000u +
				  (uint64_t)st.st_mtim.tv_nsec) *
				     (2 * (uint64_t)st.st_ino + 1) +
				 (uint64_t)st.st_size;
	}
	if (dir)
		closedir(dir);
	return stamp;
}

uint64_t pack_stamp(const struct pack_info *info)
{
	uint64_t stamp = stamp_folder(info->path, DEPTH);
	return *info->base ? stamp * 31 + stamp_folder(info->base, DEPTH) : stamp;
}

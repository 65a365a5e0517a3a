/* The machine's memory, control groups of both versions, resource limits. */
#include "base/memory.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/files.h"

enum { TEXT_LIMIT = 64 * 1024 };

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* A file of one number; UINT64_MAX for "max", and where there is none. */
static uint64_t read_limit(const char *root, const char *folder, const char *group,
			   const char *file)
{
	char path[FILES_PATH_MAX], *text, *end;
	if (files_path(path, NULL, "%s%s%s/%s", root, folder, group, file) ||
	    files_read(path, TEXT_LIMIT, &text, NULL, NULL))
		return UINT64_MAX;
	unsigned long long value = strtoull(text, &end, 10);
	bool number = end != text;
	free(text);
	return number ? value : UINT64_MAX;
}

/* Of the group and all that it lies in. */
static uint64_t walk_up(const char *root, const char *folder, char *group, const char *file)
{
	uint64_t limit = UINT64_MAX;
	for (;;) {
		limit = least(limit, read_limit(root, folder, group, file));
		char *slash = strrchr(group, '/');
		if (!slash)
			return limit;
		*slash = '\0';
	}
}

static bool names_memory(const char *controllers)
{
	for (const char *p = controllers; *p; p += *p == ',') {
		size_t n = strcspn(p, ",");
		if (n == 6 && memcmp(p, "memory", n) == 0)
			return true;
		p += n;
	}
	return false;
}

/* "0::/group" of version 2, or "7:cpu,memory:/group" of version 1. */
static uint64_t line_limit(const char *root, char *line)
{
	char *controllers = strchr(line, ':');
	char *group = controllers ? strchr(controllers + 1, ':') : NULL;
	if (!group)
		return UINT64_MAX;
	*group++ = '\0';
	controllers++;
	if (strstr(group, "/..")) /* outside of what a container sees */
		*group = '\0';
	if (!*controllers)
		return walk_up(root, "/sys/fs/cgroup", group, "memory.max");
	return names_memory(controllers)
		   ? walk_up(root, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes")
		   : UINT64_MAX;
}

uint64_t memory_group_limit(const char *root)
{
	char path[FILES_PATH_MAX], *text, *rest;
	uint64_t limit = UINT64_MAX;
	if (files_path(path, NULL, "%s/proc/self/cgroup", root) ||
	    files_read(path, TEXT_LIMIT, &text, NULL, NULL))
		return limit;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		limit = least(limit, line_limit(root, line));
	free(text);
	return limit;
}

/* A line "Name:   123 kB"; 0 where there is none. */
static uint64_t line_bytes(const char *text, const char *name)
{
	const char *at = strstr(text, name);
	if (!at || (at > text && at[-1] != '\n'))
		return 0;
	return strtoull(at + strlen(name), NULL, 10) << 10;
}

uint64_t memory_free(const char *root)
{
	char path[FILES_PATH_MAX], *text;
	if (files_path(path, NULL, "%s/proc/meminfo", root) ||
	    files_read(path, TEXT_LIMIT, &text, NULL, NULL))
		return UINT64_MAX;
	uint64_t available = line_bytes(text, "MemAvailable:");
	uint64_t all = available + line_bytes(text, "SwapFree:");
	free(text);
	return available ? all : UINT64_MAX;
}

/* Every job asks several times, and the answer lies in ten files: it holds for a second. */
static uint64_t group_limit_lately(void)
{
	static _Atomic int64_t until; /* 0: never read */
	static _Atomic uint64_t limit;
	int64_t now = clock_mono_us();
	if (now >= until) {
		limit = memory_group_limit("");
		until = now + 1000000;
	}
	return limit;
}

uint64_t memory_limit(void)
{
	uint64_t limit = least((uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE),
			       group_limit_lately());
	struct rlimit r;
	if (getrlimit(RLIMIT_AS, &r) == 0 && r.rlim_cur != RLIM_INFINITY)
		limit = least(limit, r.rlim_cur);
	if (getrlimit(RLIMIT_DATA, &r) == 0 && r.rlim_cur != RLIM_INFINITY)
		limit = least(limit, r.rlim_cur);
	return limit;
}

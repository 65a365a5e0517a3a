/* The folder of packed weights: where it is, what lies in it, who makes room. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "weights/guard.h"
#include "weights/packed_internal.h"

#define FILE_ENDING ".packed"
#define TEMP_ENDING ".part"

/* A temporary file that nobody has touched for so long is the rest of a crash. */
enum { STALE_S = 24 * 3600 };

struct packed_store {
	char dir[FILES_PATH_MAX];
	uint64_t limit, lean;
};

#define LEAN (UINT64_C(1) << 30)

int packed_store_open(const char *dir, uint64_t limit, struct packed_store **out, struct error *err)
{
	*out = NULL;
	guard_install(); /* files of weights are mapped in any case */
	if (!dir || !*dir || !limit)
		return SUMI_OK;
	struct packed_store *s = calloc(1, sizeof *s);
	if (!s)
		return error_set(err, SUMI_NOMEM, "out of memory");
	s->limit = limit;
	s->lean = LEAN;
	int status = files_path(s->dir, err, "%s", dir);
	if (status) {
		free(s);
		return status;
	}
	*out = s;
	return SUMI_OK;
}

void packed_store_close(struct packed_store *store)
{
	free(store);
}

void packed_store_lean(struct packed_store *store, uint64_t bytes)
{
	store->lean = bytes;
}

uint64_t packed_lean_from(const struct packed_store *store)
{
	return store->lean;
}

bool packed_place(const struct packed_store *s, const char *key, char path[FILES_PATH_MAX], char temp[FILES_PATH_MAX])
{
	return files_path(path, NULL, "%s/%s" FILE_ENDING, s->dir, key) == SUMI_OK &&
	       files_path(temp, NULL, "%s/%s" TEMP_ENDING, s->dir, key) == SUMI_OK &&
	       files_make_dirs(s->dir, 0700, NULL) == SUMI_OK;
}

/* --- what lies there --- */

struct kept {
	char path[FILES_PATH_MAX];
	uint64_t bytes; /* on the disk: temporary files have holes */
	struct timespec used;
	bool temp;
};

static bool has_ending(const char *name, const char *ending)
{
	size_t n = strlen(name), m = strlen(ending);
	return n == SHA256_HEX_SIZE - 1 + m && strcmp(name + n - m, ending) == 0;
}

/* The next file of ours in the folder; false at the end. */
static bool next_file(const struct packed_store *s, DIR *dir, struct kept *out)
{
	const struct dirent *e;
	while ((e = readdir(dir))) {
		struct stat st;
		out->temp = has_ending(e->d_name, TEMP_ENDING);
		if ((!out->temp && !has_ending(e->d_name, FILE_ENDING)) ||
		    files_path(out->path, NULL, "%s/%s", s->dir, e->d_name) ||
		    lstat(out->path, &st) != 0 || !S_ISREG(st.st_mode))
			continue;
		out->bytes = (uint64_t)st.st_blocks * 512;
		out->used = st.st_mtim;
		return true;
	}
	return false;
}

static bool earlier(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/* Counts what lies there, and finds the file that was used longest ago. */
static int survey(const struct packed_store *s, struct packed_usage *usage, struct kept *oldest)
{
	struct kept k;
	DIR *dir = opendir(s->dir);
	usage->bytes = 0;
	usage->files = 0;
	if (!dir)
		return SUMI_NOTFOUND;
	while (next_file(s, dir, &k)) {
		usage->bytes += k.bytes;
		usage->files += !k.temp;
		if (k.temp && k.used.tv_sec > time(NULL) - STALE_S)
			continue;
		if (oldest && (!*oldest->path || earlier(&k.used, &oldest->used)))
			*oldest = k;
	}
	closedir(dir);
	return SUMI_OK;
}

bool packed_make_room(const struct packed_store *s, uint64_t bytes)
{
	if (bytes > s->limit)
		return false;
	for (;;) {
		struct packed_usage usage;
		struct kept oldest = {.path = ""};
		if (survey(s, &usage, &oldest))
			return false;
		if (usage.bytes <= s->limit - bytes)
			return true;
		/* Whoever has it mapped keeps it: only the name goes. Another process may have been
		 * quicker. */
		if (!*oldest.path || (unlink(oldest.path) != 0 && errno != ENOENT))
			return false;
	}
}

bool packed_has_space(const struct packed_store *s, uint64_t bytes)
{
	int64_t space = files_free_space(s->dir);
	return space < 0 || (uint64_t)space >= bytes;
}

int packed_usage(const struct packed_store *s, struct packed_usage *out, struct error *err)
{
	*out = (struct packed_usage){0};
	if (!s)
		return error_set(err, SUMI_NOTFOUND, "packed weights are not kept");
	out->limit = s->limit;
	files_path(out->dir, NULL, "%s", s->dir);
	survey(s, out, NULL);
	return SUMI_OK;
}

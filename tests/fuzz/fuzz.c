/* What the fuzz targets share. */
#define _XOPEN_SOURCE 700 /* nftw() */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st, (void)kind, (void)at;
	return remove(path);
}

static void remove_folder(void)
{
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *fuzz_folder(void)
{
	if (*folder)
		return folder;
	snprintf(folder, sizeof folder, "%s/sumi-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	fuzz_require(mkdtemp(folder) != NULL, "no temporary folder");
	atexit(remove_folder);
	return folder;
}

static const char *place(const char *name)
{
	static char path[FILES_PATH_MAX];
	const char *slash = strrchr(name, '/');
	if (slash) {
		snprintf(path, sizeof path, "%s/%.*s", fuzz_folder(), (int)(slash - name), name);
		fuzz_require(files_make_dirs(path, 0700, NULL) == SUMI_OK, "no folder");
	}
	snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
	return path;
}

/* Files stay, and are written anew: making one takes longer than most parsers. */
static struct {
	char name[64], path[FILES_PATH_MAX];
	int fd;
} made[16];

const char *fuzz_file(const char *name, const void *data, size_t size)
{
	size_t i = 0;
	while (made[i].name[0] && strcmp(made[i].name, name) != 0)
		fuzz_require(++i < sizeof made / sizeof made[0], "no more files");
	if (!made[i].name[0]) {
		snprintf(made[i].name, sizeof made[i].name, "%s", name);
		snprintf(made[i].path, sizeof made[i].path, "%s", place(name));
		made[i].fd = open(made[i].path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	}
	fuzz_require(made[i].fd >= 0 && pwrite(made[i].fd, data, size, 0) == (ssize_t)size &&
			 ftruncate(made[i].fd, (off_t)size) == 0,
		     "no room for a file");
	return made[i].path;
}

void fuzz_link(const char *target, const char *name)
{
	char *whole = realpath(target, NULL);
	fuzz_require(whole && symlink(whole, place(name)) == 0, "no link");
	free(whole);
}

void fuzz_require(bool condition, const char *words)
{
	if (condition)
		return;
	fprintf(stderr, "broken promise: %s\n", words);
	abort();
}

void fuzz_outcome(int status, const struct error *err)
{
	fuzz_require(status <= 0, "a status is zero or negative");
	if (status == SUMI_OK)
		return;
	fuzz_require(err->status == status, "the error has the status of the call");
	fuzz_require(err->text[0] != '\0', "a failure has a message");
	for (const char *p = err->text; *p; p++)
		fuzz_require((unsigned char)*p >= 0x20 && *p != 0x7F,
			     "a message holds no control characters");
}

struct fuzz_part fuzz_next(struct fuzz_part *rest)
{
	const uint8_t *cut = rest->size ? memchr(rest->data, FUZZ_CUT, rest->size) : NULL;
	struct fuzz_part part = {rest->data, cut ? (size_t)(cut - rest->data) : rest->size};
	size_t taken = part.size + (cut != NULL);
	rest->data += taken;
	rest->size -= taken;
	return part;
}

char *fuzz_text(struct fuzz_part part)
{
	char *text = malloc(part.size + 1);
	fuzz_require(text != NULL, "no memory");
	if (part.size)
		memcpy(text, part.data, part.size);
	text[part.size] = '\0';
	return text;
}

/* Cuts an unfinished transaction off the end of Redis' append-only file. */
#include "queue/aof.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"

#define MANIFEST_MAX (64 * 1024)
#define NUMBER_MAX (1 << 30) /* Redis allows no longer argument by default */

enum scan { SCAN_WHOLE, SCAN_SHORT, SCAN_BAD };

struct cursor {
	const char *data;
	size_t size, at;
};

/* "*12\r\n" */
static enum scan read_head(struct cursor *c, char kind, size_t *number)
{
	*number = 0;
	if (c->at >= c->size)
		return SCAN_SHORT;
	if (c->data[c->at++] != kind)
		return SCAN_BAD;
	for (size_t digits = 0;; digits++) {
		if (c->at >= c->size)
			return SCAN_SHORT;
		char d = c->data[c->at++];
		if (d == '\r')
			break;
		if (d < '0' || d > '9' || digits > 9)
			return SCAN_BAD;
		*number = *number * 10 + (size_t)(d - '0');
	}
	if (c->at >= c->size)
		return SCAN_SHORT;
	return c->data[c->at++] == '\n' && *number <= NUMBER_MAX ? SCAN_WHOLE : SCAN_BAD;
}

/* One command; name gets its first word, cut to fit. */
static enum scan read_command(struct cursor *c, char name[8])
{
	size_t count, size;
	enum scan scan = read_head(c, '*', &count);
	name[0] = '\0';
	for (size_t i = 0; i < count && scan == SCAN_WHOLE; i++) {
		scan = read_head(c, '$', &size);
		if (scan != SCAN_WHOLE)
			return scan;
		if (c->size - c->at < size + 2)
			return SCAN_SHORT;
		if (i == 0)
			snprintf(name, 8, "%.*s", (int)(size < 7 ? size : 7), c->data + c->at);
		c->at += size + 2;
	}
	return scan;
}

static bool only_zeros(const char *data, size_t size)
{
	return size == 0 || (data[0] == '\0' && memcmp(data, data + 1, size - 1) == 0);
}

/* How much of the file is to stay. */
static size_t sound_size(const char *data, size_t size)
{
	struct cursor c = {.data = data, .size = size};
	size_t sound = 0;
	bool in_transaction = false;
	char name[8];
	while (c.at < size) {
		size_t start = c.at;
		const char *line_end =
		    data[start] == '#' ? memchr(data + start, '\n', size - start) : NULL;
		enum scan scan = SCAN_WHOLE;
		if (line_end) /* an annotation, such as a time */
			c.at = (size_t)(line_end - data) + 1;
		else
			scan = read_command(&c, name);
		if (scan == SCAN_BAD)
			return only_zeros(data + start, size - start) ? sound : size;
		if (scan == SCAN_SHORT)
			return sound;
		if (!line_end && strcasecmp(name, "MULTI") == 0)
			in_transaction = true;
		else if (!line_end && strcasecmp(name, "EXEC") == 0)
			in_transaction = false;
		if (!in_transaction)
			sound = c.at;
	}
	return sound;
}

static int mend_file(const char *path, int64_t *cut, struct error *err)
{
	struct stat st;
	int status = SUMI_OK, fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "%s", path);
	if (fstat(fd, &st) != 0) {
		status = error_errno(err, "%s", path);
		goto done;
	}
	if (st.st_size == 0)
		goto done;
	void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED) {
		status = error_errno(err, "%s", path);
		goto done;
	}
	size_t sound = sound_size(data, (size_t)st.st_size);
	munmap(data, (size_t)st.st_size);
	*cut = (int64_t)st.st_size - (int64_t)sound;
	if (*cut > 0 && (ftruncate(fd, (off_t)sound) != 0 || fsync(fd) != 0))
		status = error_errno(err, "mending %s", path);
done:
	close(fd);
	return status;
}

int aof_mend(const char *dir, int64_t *cut, struct error *err)
{
	char path[FILES_PATH_MAX], name[256] = "", *manifest;
	*cut = 0;
	int status = files_path(path, err, "%s/appendonlydir/appendonly.aof.manifest", dir);
	if (status)
		return status;
	if (files_read(path, MANIFEST_MAX, &manifest, NULL, NULL))
		return SUMI_OK; /* a server that has not run yet */
	/* "file appendonly.aof.1.incr.aof seq 1 type i"; only the last one is being written. */
	for (char *line = strtok(manifest, "\n"); line; line = strtok(NULL, "\n")) {
		char file[256], type;
		if (sscanf(line, "file %255s seq %*s type %c", file, &type) == 2 && type == 'i')
			strcpy(name, file);
	}
	free(manifest);
	if (!*name || strchr(name, '/'))
		return SUMI_OK;
	status = files_path(path, err, "%s/appendonlydir/%s", dir, name);
	return status ? status : mend_file(path, cut, err);
}

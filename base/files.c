/* Files and folders. */
#define _GNU_SOURCE /* mkostemp */
#include "base/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { READ_HINT = 4096 }; /* bytes to begin with where the file's size says less */

int files_path(char out[FILES_PATH_MAX], struct error *err, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	int n = vsnprintf(out, FILES_PATH_MAX, format, ap);
	va_end(ap);
	if (n < 0 || n >= FILES_PATH_MAX)
		return error_set(err, SUMI_TOOBIG, "path is longer than %d bytes: %.100s…",
				 FILES_PATH_MAX - 1, out);
	return SUMI_OK;
}

int files_make_absolute(char path[FILES_PATH_MAX], struct error *err)
{
	char folder[FILES_PATH_MAX], whole[FILES_PATH_MAX];
	if (path[0] == '/')
		return SUMI_OK;
	if (!getcwd(folder, sizeof folder))
		return error_errno(err, "the working folder");
	int status = files_path(whole, err, "%s/%s", folder, path);
	if (status == SUMI_OK)
		strcpy(path, whole);
	return status;
}

/* To the end of the file, or one byte past the limit. Sizes are only a hint: files of /proc say
 * 0, pipes nothing, and others grow meanwhile. The caller frees *data, also after a failure. */
static int read_to_end(int fd, size_t hint, size_t limit, char **data, size_t *got)
{
	size_t room = hint + 1;
	*got = 0;
	*data = malloc(room + 1);
	while (*data) {
		ssize_t n = read(fd, *data + *got, room - *got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		*got += (size_t)n;
		if (*got > limit)
			return 0;
		if (*got < room)
			continue;
		room = room < limit / 2 ? 2 * room : limit + 1;
		char *grown = realloc(*data, room + 1);
		if (!grown)
			free(*data);
		*data = grown;
	}
	errno = ENOMEM;
	return -1;
}

/* The whole of an open file; fd stays open. */
static int read_open(int fd, const char *path, size_t limit, char **data, size_t *size,
		     struct error *err)
{
	int status = SUMI_OK;
	char *buffer = NULL;
	struct stat st;
	if (fstat(fd, &st) != 0)
		return error_errno(err, "%s", path);
	if (S_ISDIR(st.st_mode))
		return error_set(err, SUMI_INVALID, "%s: is a folder, not a file", path);
	size_t hint = S_ISREG(st.st_mode) ? (size_t)st.st_size : 0, got = 0;
	if (hint > limit) {
		status = error_set(err, SUMI_TOOBIG, "%s: %zu bytes, at most %zu are allowed", path,
				   hint, limit);
		goto done;
	}
	if (hint < READ_HINT)
		hint = READ_HINT;
	if (read_to_end(fd, hint < limit ? hint : limit, limit, &buffer, &got) != 0) {
		status = error_errno(err, "%s", path);
		goto done;
	}
	if (got > limit) {
		status =
		    error_set(err, SUMI_TOOBIG, "%s: at most %zu bytes are allowed", path, limit);
		goto done;
	}
	buffer[got] = '\0';
	*data = buffer;
	buffer = NULL;
	if (size)
		*size = got;
done:
	free(buffer);
	return status;
}

int files_read(const char *path, size_t limit, char **data, size_t *size, struct error *err)
{
	*data = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "%s", path);
	int status = read_open(fd, path, limit, data, size, err);
	close(fd);
	return status;
}

int files_open_regular(const char *path, int *fd, struct error *err)
{
	struct stat st;
	int status = SUMI_OK;
	/* O_NONBLOCK: a pipe must be refused, not waited for. */
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	bool odd = *fd < 0 && errno == ENXIO; /* a socket */
	if (!odd && (*fd < 0 || fstat(*fd, &st) != 0))
		status = error_errno(err, "%s", path);
	else if (odd || !S_ISREG(st.st_mode))
		status = error_set(err, SUMI_INVALID, "%s: is not a regular file", path);
	if (status && *fd >= 0) {
		close(*fd);
		*fd = -1;
	}
	return status;
}

int files_read_regular(const char *path, size_t limit, char **data, size_t *size, struct error *err)
{
	int fd;
	*data = NULL;
	int status = files_open_regular(path, &fd, err);
	if (status)
		return status;
	status = read_open(fd, path, limit, data, size, err);
	close(fd);
	return status;
}

int files_read_own(const char *path, size_t limit, char **data, size_t *size, struct error *err)
{
	struct stat st;
	const char *wrong = NULL;
	*data = NULL;
	/* O_NONBLOCK: opening a pipe would wait for somebody who writes into it. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) != 0) {
		int status = error_errno(err, "%s", path);
		if (fd >= 0)
			close(fd);
		return status;
	}
	if (!S_ISREG(st.st_mode))
		wrong = "is no plain file";
	else if (st.st_uid != geteuid() && st.st_uid != 0)
		wrong = "belongs to another user";
	else if (st.st_mode & (S_IWGRP | S_IWOTH))
		wrong = "can be written by others";
	int status = wrong ? error_set(err, SUMI_PERM, "%s: %s", path, wrong)
			   : read_open(fd, path, limit, data, size, err);
	close(fd);
	return status;
}

int files_write_all(int fd, const void *data, size_t size)
{
	for (const char *at = data; size > 0;) {
		ssize_t n = write(fd, at, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

int files_sync_parent(const char *path, struct error *err)
{
	char parent[FILES_PATH_MAX];
	int status = files_path(parent, err, "%s", path);
	if (status)
		return status;
	char *slash = strrchr(parent, '/');
	if (!slash)
		strcpy(parent, ".");
	else if (slash == parent)
		parent[1] = '\0';
	else
		*slash = '\0';
	int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "%s", parent);
	if (fsync(fd) != 0)
		status = error_errno(err, "fsync %s", parent);
	close(fd);
	return status;
}

/* A device or a pipe cannot be written to a temp file and must not be replaced by one. */
static int write_through(const char *path, const void *data, size_t size, struct error *err)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "%s", path);
	int status = files_write_all(fd, data, size) ? error_errno(err, "writing %s", path) : SUMI_OK;
	close(fd);
	return status;
}

/* With the mode of the file, 0: as new files have it. */
static int write_file(const char *path, const void *data, size_t size, mode_t mode,
		      struct error *err)
{
	char temp[FILES_PATH_MAX], target[PATH_MAX];
	struct stat st;
	bool there = stat(path, &st) == 0;
	if (there && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return write_through(path, data, size, err);
	/* A symbolic link stays one: its target is replaced. */
	if (there && realpath(path, target))
		path = target;
	int status = files_path(temp, err, "%s.tmp.XXXXXX", path);
	if (status)
		return status;
	int fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "%s", path);
	mode_t mask = umask(0);
	umask(mask);
	fchmod(fd, mode ? mode : 0666 & ~mask);
	if (files_write_all(fd, data, size) != 0 || fsync(fd) != 0) {
		status = error_errno(err, "writing %s", path);
		close(fd);
		goto drop;
	}
	if (close(fd) != 0 || rename(temp, path) != 0) {
		status = error_errno(err, "writing %s", path);
		goto drop;
	}
	return files_sync_parent(path, err);
drop:
	unlink(temp);
	return status;
}

int files_write_durable(const char *path, const void *data, size_t size, struct error *err)
{
	return write_file(path, data, size, 0, err);
}

int files_write_own(const char *path, const void *data, size_t size, struct error *err)
{
	struct stat st;
	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
		files_remove_tree(path);
	else if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		remove(path); /* else it would be written through */
	return write_file(path, data, size, 0600, err);
}

int files_copy(const char *from, const char *to, struct error *err)
{
	enum { PIECE = 1 << 18 };
	int status = SUMI_OK, in = -1, out = -1;
	struct stat st;
	ssize_t n = 0;
	char *piece = malloc(PIECE);
	if (!piece)
		return error_set(err, SUMI_NOMEM, "no memory to copy %s", from);
	if ((status = files_open_regular(from, &in, err)))
		goto done;
	if (fstat(in, &st) != 0 ||
	    (out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st.st_mode & 0777)) < 0) {
		status = error_errno(err, "%s", to);
		goto done;
	}
	while (!status && (n = read(in, piece, PIECE)) > 0)
		if (files_write_all(out, piece, (size_t)n) != 0)
			status = error_errno(err, "writing %s", to);
	if (!status && n < 0)
		status = error_errno(err, "reading %s", from);
done:
	free(piece);
	if (in >= 0)
		close(in);
	if (out >= 0 && close(out) != 0 && !status)
		status = error_errno(err, "writing %s", to);
	return status;
}

int files_copy_tree(const char *from, const char *to, struct error *err)
{
	char source[FILES_PATH_MAX], target[FILES_PATH_MAX];
	struct stat st;
	if (stat(from, &st) != 0)
		return error_errno(err, "%s", from);
	if (mkdir(to, (st.st_mode & 0777) | 0700) != 0)
		return error_errno(err, "%s", to);
	DIR *d = opendir(from);
	if (!d)
		return error_errno(err, "%s", from);
	int status = SUMI_OK;
	for (struct dirent *e; !status && (e = readdir(d));) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if ((status = files_path(source, err, "%s/%s", from, e->d_name)) ||
		    (status = files_path(target, err, "%s/%s", to, e->d_name)) ||
		    lstat(source, &st) != 0) /* gone meanwhile */
			continue;
		if (S_ISDIR(st.st_mode))
			status = files_copy_tree(source, target, err);
		else if (S_ISREG(st.st_mode))
			status = files_copy(source, target, err);
		if (status == SUMI_NOTFOUND)
			status = SUMI_OK;
	}
	closedir(d);
	return status;
}

void files_remove_tree(const char *path)
{
	char inner[FILES_PATH_MAX];
	struct stat st;
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    files_path(inner, NULL, "%s/%s", path, e->d_name) || lstat(inner, &st) != 0)
			continue;
		if (S_ISDIR(st.st_mode))
			files_remove_tree(inner);
		else
			unlink(inner);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

int files_make_dirs(const char *path, unsigned mode, struct error *err)
{
	char partial[FILES_PATH_MAX];
	int status = files_path(partial, err, "%s", path);
	if (status)
		return status;
	for (char *p = partial + 1;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char saved = *p;
		*p = '\0';
		if (mkdir(partial, mode) != 0 && errno != EEXIST)
			return error_errno(err, "making folder %s", partial);
		*p = saved;
		if (saved == '\0')
			break;
	}
	struct stat st;
	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
		return error_set(err, SUMI_INVALID, "%s: is not a folder", path);
	return SUMI_OK;
}

int64_t files_free_space(const char *path)
{
	struct statvfs v;
	if (statvfs(path, &v) != 0)
		return -1;
	return (int64_t)v.f_bavail * (int64_t)v.f_frsize;
}

static int known_dir(char out[FILES_PATH_MAX], const char *own, const char *systemd,
		     const char *xdg, const char *under_home, struct error *err)
{
	const char *value;
	if ((value = getenv(own)) && *value)
		return files_path(out, err, "%s", value);
	if ((value = getenv(systemd)) && *value)
		return files_path(out, err, "%s", value);
	if ((value = getenv(xdg)) && *value == '/')
		return files_path(out, err, "%s/sumi", value);
	if ((value = getenv("HOME")) && *value)
		return files_path(out, err, "%s/%s/sumi", value, under_home);
	return error_set(err, SUMI_NOTFOUND, "neither HOME nor %s is set: set %s to a folder", xdg,
			 own);
}

int files_state_dir(char out[FILES_PATH_MAX], struct error *err)
{
	return known_dir(out, "SUMI_STATE_DIR", "STATE_DIRECTORY", "XDG_STATE_HOME", ".local/state",
			 err);
}

/* What stands in for a cache folder that cannot be written. */
static struct {
	char from[FILES_PATH_MAX], to[FILES_PATH_MAX];
} redirected;

int files_cache_redirect(const char *from, const char *to, struct error *err)
{
	int status = files_path(redirected.from, err, "%s", from);
	return status ? status : files_path(redirected.to, err, "%s", to);
}

int files_cache_dir(char out[FILES_PATH_MAX], struct error *err)
{
	int status =
	    known_dir(out, "SUMI_CACHE_DIR", "CACHE_DIRECTORY", "XDG_CACHE_HOME", ".cache", err);
	const char *found = status ? "" : out;
	if (!redirected.to[0] || strcmp(redirected.from, found) != 0)
		return status;
	return files_path(out, err, "%s", redirected.to);
}

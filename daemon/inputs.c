/* The files that a job names: what it starts from. Each comes by its SHA-256, out of this host's store or the queue; as the
 * result of another job; or, where input_dirs allow it, from a path. Whichever it was: its bytes are
 * kept as a blob under their SHA-256, which is what the metadata say, so that the same can be made
 * again wherever the blob is. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/work.h"
#include "modalities/admission.h"
#include "queue/inputs.h"
#include "queue/sources.h"
#include "storage/blobs.h"

enum { AWAITED_MS = 3000 }; /* for another host to send a file: its daemon looks every second */

#define FILE_MAX ((size_t)256 << 20) /* of a path or a result: the modality sets its own limit */

struct input {
	char *data;
	size_t size;
};

/* ---- paths ----------------------------------------------------------------------------- */

/* Whether an absolute path without links lies below a folder of the list. */
static bool is_allowed(const char *list, const char *path)
{
	for (const char *at = list; *at;) {
		char folder[PATH_MAX], real[PATH_MAX];
		size_t n = strcspn(at, ":");
		if (n < sizeof folder) {
			snprintf(folder, sizeof folder, "%.*s", (int)n, at);
			size_t length = realpath(folder, real) && folder[0] == '/' ? strlen(real) : 0;
			/* "/" ends in a slash itself. */
			size_t stem = length > 1 ? length : 0;
			if (length && strncmp(path, real, stem) == 0 && path[stem] == '/')
				return true;
		}
		at += n + (at[n] == ':');
	}
	return false;
}

/* Opens what may be read. The path is looked at twice: before the file is opened, so that nothing
 * beyond the folders is touched, and as the kernel knows the open file, so that nobody can change a
 * folder into a link in between. */
static int open_allowed(const char *list, const char *path)
{
	char real[PATH_MAX], proc[64], opened[PATH_MAX];
	struct stat st;
	if (path[0] != '/' || !realpath(path, real) || !is_allowed(list, real))
		return -1;
	/* A pipe would hold the worker until somebody writes into it. */
	int fd = open(real, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -1;
	snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(proc, opened, sizeof opened - 1);
	if (n > 0)
		opened[n] = '\0';
	if (n > 0 && is_allowed(list, opened) && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (uint64_t)st.st_size <= FILE_MAX)
		return fd;
	close(fd);
	return -1;
}

static int read_path(const struct work *w, const char *name, const char *path, struct input *in,
		     struct error *err)
{
	int fd = open_allowed(w->x->config->input_dirs, path);
	if (fd < 0) /* one answer for all: it tells nobody which paths there are */
		return admission_refuse_path(name, path, err);
	char proc[64];
	snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
	int status = files_read(proc, FILE_MAX, &in->data, &in->size, err);
	close(fd);
	if (status)
		error_set(err, status, "%s: '%.200s' cannot be read", name, path);
	return status;
}

/* ---- results and hashes ---------------------------------------------------------------- */

static int read_named(struct work *w, const char *sha256, struct input *in, struct error *err);

/* A result that another host made: the queue knows its SHA-256. */
static int read_elsewhere(struct work *w, const char *name, struct input *in, struct error *err)
{
	struct result_name r;
	char sha256[SHA256_HEX_SIZE] = "";
	for (int way = 0; way < RESULT_NAME_WAYS && !sha256[0]; way++)
		if (result_name_read(name, way, &r))
			queue_result_told(w->x->queue, &r, sha256);
	if (!sha256[0])
		return error_set(err, SUMI_NOTFOUND, "%.140s has no results", name);
	return read_named(w, sha256, in, err);
}

static int read_result(struct work *w, const char *name, struct input *in, struct error *err)
{
	struct store_artifact a = {0};
	char sha256[SHA256_HEX_SIZE];
	int status = store_result_find(w->x->store, name, &a, err);
	if (status == SUMI_NOTFOUND)
		return read_elsewhere(w, name, in, err);
	if (status)
		return status;
	status = files_read(a.path, FILE_MAX, &in->data, &in->size, err);
	if (!status) {
		sha256_hex(in->data, in->size, sha256);
		if (strcmp(sha256, a.sha256) != 0)
			status = error_set(err, SUMI_CORRUPT,
					   "the file of %s is damaged (sumi db check)", name);
	}
	store_artifact_free(&a);
	return status;
}

/* A worker that is not this host's or not this daemon's. */
static bool has_others(struct work *w)
{
	struct queue_worker_info *workers;
	struct error ignored;
	size_t count;
	bool found = false;
	if (queue_workers(w->x->queue, &workers, &count, &ignored))
		return false;
	for (size_t i = 0; i < count; i++)
		found |= strcmp(workers[i].name, w->x->worker->name) != 0;
	free(workers);
	return found;
}

/* Asks the other hosts, once a job, and waits a little. */
static bool comes_from_another(struct work *w, const char *sha256)
{
	struct error ignored;
	bool there = false;
	if (!w->x->config->redis[0] || w->files.awaited || !has_others(w) ||
	    queue_input_want(w->x->queue, sha256, &ignored))
		return false;
	for (int64_t end = clock_boot_ms() + AWAITED_MS; !there && clock_boot_ms() < end;) {
		nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
		if (queue_input_there(w->x->queue, sha256, &there, &ignored))
			break;
	}
	w->files.awaited = !there;
	return there;
}

static int read_sent(struct work *w, const char *sha256, struct input *in, struct error *err)
{
	char found[SHA256_HEX_SIZE];
	void *data;
	int status = queue_input_get(w->x->queue, sha256, &data, &in->size, err);
	if (status == SUMI_NOTFOUND && comes_from_another(w, sha256))
		status = queue_input_get(w->x->queue, sha256, &data, &in->size, err);
	if (status == SUMI_NOTFOUND)
		return error_set(err, status,
				 "%s is neither in the queue nor on this host: send the file "
				 "again, and then the job (sumi retry)",
				 sha256);
	if (status)
		return status;
	in->data = data;
	sha256_hex(in->data, in->size, found);
	if (strcmp(found, sha256) != 0)
		return error_set(err, SUMI_CORRUPT,
				 "what lies in the queue as %s is something else (its SHA-256 "
				 "is %s): send the file again, and then the job",
				 sha256, found);
	return SUMI_OK;
}

static int read_named(struct work *w, const char *sha256, struct input *in, struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = store_blob_find(w->x->store, sha256, path, err);
	if (status == SUMI_NOTFOUND)
		return read_sent(w, sha256, in, err);
	return status ? status : files_read(path, FILE_MAX, &in->data, &in->size, err);
}

static int read_input(struct work *w, const char *name, const char *value, struct input *in,
		      struct error *err)
{
	char sha256[SHA256_HEX_SIZE];
	if (strchr(value, '/'))
		return read_path(w, name, value, in, err);
	int status = sha256_is_name(value, sha256) ? read_named(w, sha256, in, err)
						   : read_result(w, value, in, err);
	return status ? error_prefix(err, "%s", name) : SUMI_OK;
}

/* Later variants start from the same bytes, whatever has become of a path or a result. */
static int find(struct work *w, const struct request_file *f, struct request_place *place,
		struct error *err)
{
	struct input in = {0};
	char sha256[SHA256_HEX_SIZE], where[400];
	bool known = place->sha256[0] != '\0';
	int status = read_input(w, f->name, known ? place->sha256 : f->value, &in, err);
	snprintf(where, sizeof where, "%s %.200s", f->name, f->value);
	if (!status && !known)
		status = w->modality->check_file(in.data, in.size, where, err);
	if (!status) {
		sha256_hex(in.data, in.size, sha256);
		status = work_of_store(w, store_blob_put(w->x->store, sha256, in.data, in.size,
							 place->path, err));
	}
	if (!status)
		memcpy(place->sha256, sha256, sizeof sha256);
	free(in.data);
	return status;
}

int work_find_files(struct work *w, struct request *r, struct error *err)
{
	struct request_places *places = &w->files.places;
	struct request_file f;
	int status = request_places_prepare(places, r, err);
	for (size_t i = 0; !status && request_file(r, i, &f); i++)
		status = find(w, &f, &places->at[i], err);
	return status ? status : request_places_put(places, r, err);
}

/* What jobs start from: files of this host, sent to whoever makes the job. */
#include "cli/inputs.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "modalities/modality.h"
#include "queue/inputs.h"
#include "storage/blobs.h"

enum what { A_HASH, A_FILE, A_RESULT };

/* Ids may end so, too; but who writes one means the file. */
static bool has_ending(const char *init)
{
	static const char *const endings[] = {".webp", ".png", ".jpg", ".jpeg", ".ogg", ".wav"};
	const char *dot = strrchr(init, '.');
	for (size_t i = 0; dot && i < sizeof endings / sizeof endings[0]; i++)
		if (strcasecmp(dot, endings[i]) == 0)
			return true;
	return false;
}

/* *path: of a file, as it is to be opened. A file that is there comes before the id of a job. */
static int what_is(const char *init, const char *folder, enum what *what,
		   char path[FILES_PATH_MAX], struct error *err)
{
	struct stat st;
	char name[SHA256_HEX_SIZE];
	bool below = folder && init[0] != '/';
	int status = files_path(path, err, "%s%s%s", below ? folder : "", below ? "/" : "", init);
	if (status)
		return status;
	bool there = stat(path, &st) == 0;
	*what = there || strchr(init, '/') || has_ending(init) ? A_FILE
		: sha256_is_name(init, name)                  ? A_HASH
							      : A_RESULT;
	if (there && !S_ISREG(st.st_mode))
		return error_set(err, SUMI_INVALID, "init: %s is a folder or no plain file", path);
	if (*what == A_FILE && !there)
		return error_set(err, SUMI_NOTFOUND, "init: there is no file %s", path);
	if (*what == A_RESULT && !job_id_valid(init))
		return error_set(err, SUMI_NOTFOUND,
				 "init: '%.100s' is neither a file here nor the id of a job", init);
	return SUMI_OK;
}

static int check_bytes(const char *modality, const char *where, const void *data, size_t size,
		       struct error *err)
{
	const struct modality *m = modality_find(modality);
	int status = m ? m->check_init(data, size, where, err) : SUMI_OK;
	return status ? error_prefix(err, "init") : SUMI_OK;
}

static int read_file(const char *path, const char *modality, char **data, size_t *size,
		     struct error *err)
{
	int status = files_read(path, QUEUE_INPUT_MAX, data, size, err);
	if (status == SUMI_TOOBIG)
		return error_set(err, status,
				 "init: %s has more than %zu MiB: make it smaller, or name its folder "
				 "in input_dirs of the daemon's sumi.conf and send the job with "
				 "its path (queue/PROTOCOL.md)",
				 path, QUEUE_INPUT_MAX >> 20);
	if (status)
		return error_prefix(err, "init");
	status = check_bytes(modality, path, *data, *size, err);
	if (status)
		free(*data);
	return status;
}

/* seen: "image /a/b.png" → true, or the SHA-256 once it is sent. */
static const json_t *find_seen(const json_t *seen, const struct job *job, const char *path)
{
	char key[FILES_PATH_MAX + 32];
	snprintf(key, sizeof key, "%s %s", job->modality, path);
	return json_object_get(seen, key);
}

static void see(json_t *seen, const struct job *job, const char *path, json_t *value)
{
	char key[FILES_PATH_MAX + 32];
	snprintf(key, sizeof key, "%s %s", job->modality, path);
	if (seen)
		json_object_set_new_nocheck(seen, key, value);
	else
		json_decref(value);
}

int inputs_check(const struct job *job, const char *folder, json_t *seen, struct error *err)
{
	char path[FILES_PATH_MAX], *data;
	enum what what;
	size_t size;
	if (!job->init)
		return SUMI_OK;
	int status = what_is(job->init, folder, &what, path, err);
	if (status || what != A_FILE || find_seen(seen, job, path))
		return status;
	status = read_file(path, job->modality, &data, &size, err);
	if (status)
		return status;
	free(data);
	see(seen, job, path, json_true());
	return SUMI_OK;
}

static int send_file(struct queue *queue, const char *path, const char *modality,
		     char sha256[SHA256_HEX_SIZE], struct error *err)
{
	char *data;
	size_t size;
	int status = read_file(path, modality, &data, &size, err);
	if (status)
		return status;
	sha256_hex(data, size, sha256);
	status = queue_input_send(queue, sha256, data, size, err);
	free(data);
	return status;
}

/* What this host's store has of a hash or a result; SUMI_NOTFOUND also where there is no store. */
static int in_store(const struct cli *cli, const char *init, char path[FILES_PATH_MAX],
		    char sha256[SHA256_HEX_SIZE], struct error *err)
{
	struct store_options options = {.dir = cli->config.state_dir, .mode = STORE_READ};
	struct store_artifact a = {0};
	struct store *store;
	int status = store_open(&options, &store, err);
	if (status)
		return status;
	if (sha256_is_name(init, sha256)) {
		status = store_blob_find(store, sha256, path, err);
	} else if (!(status = store_result_find(store, init, &a, err))) {
		memcpy(sha256, a.sha256, sizeof a.sha256);
		status = files_path(path, err, "%s", a.path);
		store_artifact_free(&a);
	}
	store_close(store);
	return status;
}

/* A hash must lie in the queue, or where the worker finds it. */
static int send_hash(const struct cli *cli, struct queue *queue, const struct job *job,
		     char sha256[SHA256_HEX_SIZE], struct error *err)
{
	char path[FILES_PATH_MAX];
	struct error why;
	bool there;
	sha256_is_name(job->init, sha256);
	int status = queue_input_there(queue, sha256, &there, err);
	if (status || there)
		return status;
	if (in_store(cli, job->init, path, sha256, &why) == SUMI_OK)
		return send_file(queue, path, job->modality, sha256, err);
	/* Another host's store may have it; where there is only this one, it has not. */
	if (cli->config.redis[0])
		return SUMI_OK;
	return error_set(err, SUMI_NOTFOUND,
			 "init: the file with the SHA-256 %s is not here any more: name it with "
			 "--init FILE",
			 sha256);
}

int inputs_send(const struct cli *cli, struct queue *queue, struct job *job, const char *folder,
		json_t *seen, struct error *err)
{
	char path[FILES_PATH_MAX], sha256[SHA256_HEX_SIZE] = "";
	struct error ignored;
	enum what what;
	if (!job->init)
		return SUMI_OK;
	int status = what_is(job->init, folder, &what, path, err);
	if (status)
		return status;
	const char *known = json_string_value(find_seen(seen, job, path));
	if (what == A_HASH) {
		status = send_hash(cli, queue, job, sha256, err);
	} else if (what == A_FILE && known) {
		memcpy(sha256, known, sizeof sha256);
	} else if (what == A_FILE) {
		status = send_file(queue, path, job->modality, sha256, err);
		if (!status)
			see(seen, job, path, json_string(sha256));
	} else if (cli->config.redis[0] &&
		   in_store(cli, job->init, path, sha256, &ignored) == SUMI_OK) {
		status = send_file(queue, path, job->modality, sha256, err);
	} else {
		return SUMI_OK; /* where a worker looks for it */
	}
	return status ? status : job_set(job, "init", json_string(sha256), err);
}

int inputs_locate(const struct cli *cli, const char *init, char path[FILES_PATH_MAX],
		  char sha256[SHA256_HEX_SIZE], struct error *err)
{
	enum what what;
	int status = what_is(init, NULL, &what, path, err);
	if (status)
		return status;
	if (what == A_FILE)
		return sha256_file(path, sha256, err);
	status = in_store(cli, init, path, sha256, err);
	return status ? error_prefix(err, "init") : SUMI_OK;
}

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
static bool has_ending(const char *value)
{
	static const char *const endings[] = {".webp", ".png", ".jpg", ".jpeg", ".ogg", ".wav", ".webm"};
	const char *dot = strrchr(value, '.');
	for (size_t i = 0; dot && i < sizeof endings / sizeof endings[0]; i++)
		if (strcasecmp(dot, endings[i]) == 0)
			return true;
	return false;
}

/* Which file of which job, and from where its path counts. */
struct named {
	const struct request_file *file;
	const char *modality, *folder;
};

/* *path: of a file, as it is to be opened. A file that is there comes before the id of a job. */
static int what_is(const struct named *n, enum what *what, char path[FILES_PATH_MAX],
		   struct error *err)
{
	struct stat st;
	char sha256[SHA256_HEX_SIZE];
	const char *name = n->file->name, *value = n->file->value;
	bool below = n->folder && value[0] != '/';
	if (strcmp(value, "-") == 0) /* an id to the queue, standard input to people */
		return error_set(err, SUMI_INVALID, "%s: standard input is not read here: name a file", name);
	int status = files_path(path, err, "%s%s%s", below ? n->folder : "", below ? "/" : "", value);
	if (status)
		return status;
	bool there = stat(path, &st) == 0;
	*what = there || strchr(value, '/') || has_ending(value) ? A_FILE
		: sha256_is_name(value, sha256)                  ? A_HASH
								 : A_RESULT;
	if (there && !S_ISREG(st.st_mode))
		return error_set(err, SUMI_INVALID, "%s: %s is a folder or no plain file", name, path);
	if (*what == A_FILE && !there)
		return error_set(err, SUMI_NOTFOUND, "%s: there is no file %s", name, path);
	if (*what == A_RESULT && !job_id_valid(value))
		return error_set(err, SUMI_NOTFOUND,
				 "%s: '%.100s' is neither a file here nor the id of a job", name, value);
	return SUMI_OK;
}

static int read_file(const char *path, const struct named *n, char **data, size_t *size,
		     struct error *err)
{
	const struct modality *m = modality_find(n->modality);
	int status = files_read(path, QUEUE_INPUT_MAX, data, size, err);
	if (status == SUMI_TOOBIG)
		return error_set(err, status,
				 "%s: %s has more than %zu MiB: make it smaller, or name its folder "
				 "in input_dirs of the daemon's sumi.conf and send the job with "
				 "its path (queue/PROTOCOL.md)",
				 n->file->name, path, QUEUE_INPUT_MAX >> 20);
	if (!status && m && (status = m->check_file(*data, *size, path, err)))
		free(*data);
	return status ? error_prefix(err, "%s", n->file->name) : SUMI_OK;
}

/* seen: "image /a/b.png" → true, or the SHA-256 once it is sent. */
static const json_t *find_seen(const json_t *seen, const struct named *n, const char *path)
{
	char key[FILES_PATH_MAX + 32];
	snprintf(key, sizeof key, "%s %s", n->modality, path);
	return json_object_get(seen, key);
}

static void see(json_t *seen, const struct named *n, const char *path, json_t *value)
{
	char key[FILES_PATH_MAX + 32];
	snprintf(key, sizeof key, "%s %s", n->modality, path);
	if (seen)
		json_object_set_new_nocheck(seen, key, value);
	else
		json_decref(value);
}

/* The folder from which a file's relative path counts. */
static const char *folder_of(const struct inputs_from *from, const struct request_file *f)
{
	return from && (!from->own || json_object_get(from->own, f->param->name)) ? from->folder : NULL;
}

static int check_one(const struct named *n, json_t *seen, struct error *err)
{
	char path[FILES_PATH_MAX], *data;
	enum what what;
	size_t size;
	int status = what_is(n, &what, path, err);
	if (status || what != A_FILE || find_seen(seen, n, path))
		return status;
	status = read_file(path, n, &data, &size, err);
	if (status)
		return status;
	free(data);
	see(seen, n, path, json_true());
	return SUMI_OK;
}

int inputs_check(const struct job *job, const struct inputs_from *from, json_t *seen,
		 struct error *err)
{
	struct request_file f;
	int status = SUMI_OK;
	for (size_t i = 0; !status && request_file(&job->request, i, &f); i++) {
		struct named n = {&f, job->modality, folder_of(from, &f)};
		status = check_one(&n, seen, err);
	}
	return status;
}

int inputs_link(struct queue *queue, struct job *job, const struct inputs_from *from, queue_coming *coming,
		void *context, struct error *err)
{
	struct request_file f;
	int status = SUMI_OK;
	for (size_t i = 0; !status && request_file(&job->request, i, &f); i++) {
		struct named n = {&f, job->modality, folder_of(from, &f)};
		char path[FILES_PATH_MAX];
		enum what what;
		status = what_is(&n, &what, path, err);
		if (!status && what == A_RESULT)
			status = queue_source_check(queue, job, &f, coming, context, err);
	}
	return status;
}

static int send_file(struct queue *queue, const char *path, const struct named *n,
		     char sha256[SHA256_HEX_SIZE], struct error *err)
{
	char *data;
	size_t size;
	int status = read_file(path, n, &data, &size, err);
	if (status)
		return status;
	sha256_hex(data, size, sha256);
	status = queue_input_send(queue, sha256, data, size, err);
	free(data);
	return status == SUMI_TOOBIG ? error_prefix(err, "%s", n->file->name) : status;
}

/* What this host's store has of a hash or a result; SUMI_NOTFOUND also where there is no store. */
static int in_store(const struct cli *cli, const char *value, char path[FILES_PATH_MAX],
		    char sha256[SHA256_HEX_SIZE], struct error *err)
{
	struct store_options options = {.dir = cli->config.state_dir, .mode = STORE_READ};
	struct store_artifact a = {0};
	struct store *store;
	int status = store_open(&options, &store, err);
	if (status)
		return status;
	if (sha256_is_name(value, sha256)) {
		status = store_blob_find(store, sha256, path, err);
	} else if (!(status = store_result_find(store, value, &a, err))) {
		memcpy(sha256, a.sha256, sizeof a.sha256);
		status = files_path(path, err, "%s", a.path);
		store_artifact_free(&a);
	}
	store_close(store);
	return status;
}

enum queue_stored inputs_stored(void *context, const char *name)
{
	const struct cli *cli = context;
	char path[FILES_PATH_MAX], sha256[SHA256_HEX_SIZE];
	struct error ignored;
	int status = in_store(cli, name, path, sha256, &ignored);
	bool nowhere = status == SUMI_NOTFOUND && !cli->config.redis[0];
	return !status ? QUEUE_STORED : nowhere ? QUEUE_NOT_STORED : QUEUE_MAY_BE_STORED;
}

/* A hash must lie in the queue, or where the worker finds it. */
static int send_hash(const struct cli *cli, struct queue *queue, const struct named *n,
		     char sha256[SHA256_HEX_SIZE], struct error *err)
{
	char path[FILES_PATH_MAX], option[64];
	struct error why;
	bool there;
	sha256_is_name(n->file->value, sha256);
	int status = queue_input_there(queue, sha256, &there, err);
	if (status || there)
		return status;
	if (in_store(cli, n->file->value, path, sha256, &why) == SUMI_OK)
		return send_file(queue, path, n, sha256, err);
	/* Another host's store may have it; where there is only this one, it has not. */
	if (cli->config.redis[0])
		return SUMI_OK;
	cli_option_name(n->file->param->name, option, sizeof option);
	return error_set(err, SUMI_NOTFOUND,
			 "%s: the file with the SHA-256 %s is not here any more: name it with "
			 "--%s FILE",
			 n->file->name, sha256, option);
}

/* sha256: "" for a result, which is left where a worker looks for it. */
static int send_one(const struct cli *cli, struct queue *queue, const struct named *n, json_t *seen,
		    char sha256[SHA256_HEX_SIZE], struct error *err)
{
	char path[FILES_PATH_MAX];
	struct error ignored;
	enum what what;
	*sha256 = '\0';
	int status = what_is(n, &what, path, err);
	if (status)
		return status;
	if (what == A_HASH)
		return send_hash(cli, queue, n, sha256, err);
	if (what == A_RESULT) {
		bool far = cli->config.redis[0] &&
			   in_store(cli, n->file->value, path, sha256, &ignored) == SUMI_OK;
		*sha256 = far ? *sha256 : '\0';
		return far ? send_file(queue, path, n, sha256, err) : SUMI_OK;
	}
	const char *known = json_string_value(find_seen(seen, n, path));
	if (known) {
		memcpy(sha256, known, SHA256_HEX_SIZE);
		return SUMI_OK;
	}
	status = send_file(queue, path, n, sha256, err);
	if (!status)
		see(seen, n, path, json_string(sha256));
	return status;
}

int inputs_send(const struct cli *cli, struct queue *queue, struct job *job,
		const struct inputs_from *from, json_t *seen, struct error *err)
{
	char sha256[SHA256_HEX_SIZE];
	struct request_file f;
	int status = SUMI_OK;
	for (size_t i = 0; !status && request_file(&job->request, i, &f); i++) {
		struct named n = {&f, job->modality, folder_of(from, &f)};
		status = send_one(cli, queue, &n, seen, sha256, err);
		if (!status && *sha256)
			status = job_set(job, f.param->name,
					 request_file_changed(&job->request, &f, sha256), err);
	}
	return status;
}

int inputs_locate(const struct cli *cli, const struct job *job, struct request_places *places,
		  struct error *err)
{
	struct request_file f;
	enum what what;
	int status = request_places_prepare(places, &job->request, err);
	for (size_t i = 0; !status && request_file(&job->request, i, &f); i++) {
		struct request_place *place = &places->at[i];
		struct named n = {&f, job->modality, NULL};
		status = what_is(&n, &what, place->path, err);
		if (!status && what == A_FILE)
			status = sha256_file(place->path, place->sha256, err);
		else if (!status && (status = in_store(cli, f.value, place->path, place->sha256, err)))
			error_prefix(err, "%s", f.name);
	}
	return status;
}

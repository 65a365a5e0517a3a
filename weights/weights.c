/* Finding a component's weight files and looking tensors up in them. */
#include "weights/weights.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/json.h"

enum { INDEX_LIMIT = 1 << 20, SHARDS_MAX = 256 };

struct shard {
	const char *name; /* as the index says; NULL for a single file */
	struct safetensors *file;
	bool *used; /* by entry */
};

struct weights {
	char folder[FILES_PATH_MAX];
	json_t *index;     /* the whole index file, or NULL */
	const json_t *map; /* its weight_map: tensor → file */
	struct shard *shards;
	size_t count;
};

static const char *const single_files[] = {
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.fp16.safetensors",
    "model.fp16.safetensors",
};

/* diffusers has written the variant at both places. */
static const char *const index_files[] = {
    "diffusion_pytorch_model.safetensors.index.json",      "model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors.index.fp16.json", "model.safetensors.index.fp16.json",
    "diffusion_pytorch_model.fp16.safetensors.index.json", "model.fp16.safetensors.index.json",
};

/* --- opening --- */

static int add_shard(struct weights *w, const char *file, const char *name, struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = files_path(path, err, "%s/%s", w->folder, file);
	if (status)
		return status;
	struct shard *shard = &w->shards[w->count];
	status = safetensors_open(path, &shard->file, err);
	if (status)
		return status;
	w->count++;
	shard->name = name;
	shard->used = calloc(safetensors_count(shard->file) + 1, sizeof *shard->used);
	if (!shard->used)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	return SUMI_OK;
}

static struct shard *shard_by_name(const struct weights *w, const char *name)
{
	for (size_t i = 0; i < w->count; i++)
		if (strcmp(w->shards[i].name, name) == 0)
			return &w->shards[i];
	return NULL;
}

/* One line of the index: the file must be a plain name in this folder, and hold the tensor. */
static int read_index_line(struct weights *w, const char *path, const char *tensor,
			   const char *file, struct error *err)
{
	if (!file || !*file || file[0] == '.' || strchr(file, '/'))
		return error_set(
		    err, SUMI_CORRUPT,
		    "%s: tensor '%.100s': '%.60s' is not the name of a file in this folder", path,
		    tensor, file ? file : "");
	if (safetensors_is_pickle_name(file))
		return safetensors_refuse_pickle(file, err);
	struct shard *shard = shard_by_name(w, file);
	if (!shard) {
		if (w->count == SHARDS_MAX)
			return error_set(err, SUMI_CORRUPT, "%s: names more than %d files", path,
					 SHARDS_MAX);
		int status = add_shard(w, file, file, err);
		if (status)
			return status;
		shard = &w->shards[w->count - 1];
	}
	if (!safetensors_find(shard->file, tensor))
		return error_set(err, SUMI_CORRUPT, "%s: tensor '%.100s' is not in %.100s", path,
				 tensor, file);
	return SUMI_OK;
}

static int read_index(struct weights *w, const char *name, struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = files_path(path, err, "%s/%s", w->folder, name);
	if (!status)
		status = json_read_file(path, INDEX_LIMIT, &w->index, err);
	if (status)
		return status;
	w->map = json_object_get(w->index, "weight_map");
	if (!json_is_object(w->map) || json_object_size(w->map) == 0)
		return error_set(err, SUMI_CORRUPT,
				 "%s: 'weight_map' must name at least one tensor", path);
	const char *tensor;
	json_t *file;
	json_object_foreach((json_t *)w->map, tensor, file)
	{
		status = read_index_line(w, path, tensor, json_string_value(file), err);
		if (status)
			return status;
	}
	return SUMI_OK;
}

static bool is_there(const struct weights *w, const char *name)
{
	char path[FILES_PATH_MAX];
	return !files_path(path, NULL, "%s/%s", w->folder, name) && access(path, F_OK) == 0;
}

/* Nothing that can be read: say what was looked for, or how to convert what lies there. */
static int refuse_folder(const struct weights *w, struct error *err)
{
	char path[FILES_PATH_MAX];
	DIR *dir = opendir(w->folder);
	if (!dir)
		return error_errno(err, "%s", w->folder);
	const struct dirent *entry;
	int status = SUMI_OK;
	while (!status && (entry = readdir(dir)))
		if (safetensors_is_pickle_name(entry->d_name) &&
		    !files_path(path, NULL, "%s/%s", w->folder, entry->d_name))
			status = safetensors_refuse_pickle(path, err);
	closedir(dir);
	if (status)
		return status;
	return error_set(err, SUMI_NOTFOUND,
			 "%s: no weights: looked for %s, %s, their .fp16 variants and their "
			 ".index.json",
			 w->folder, single_files[0], single_files[1]);
}

static int open_files(struct weights *w, struct error *err)
{
	for (size_t i = 0; i < sizeof single_files / sizeof single_files[0]; i++)
		if (is_there(w, single_files[i]))
			return add_shard(w, single_files[i], NULL, err);
	for (size_t i = 0; i < sizeof index_files / sizeof index_files[0]; i++)
		if (is_there(w, index_files[i]))
			return read_index(w, index_files[i], err);
	return refuse_folder(w, err);
}

/* Of the shards that an index names; one that cannot be read is no business of this. */
static bool shard_missing(const struct weights *w, const char *index, char file[WEIGHTS_FILE_MAX])
{
	char path[FILES_PATH_MAX];
	const char *tensor;
	json_t *root, *name;
	bool missing = false;
	if (files_path(path, NULL, "%s/%s", w->folder, index) ||
	    json_read_file(path, INDEX_LIMIT, &root, NULL))
		return false;
	json_object_foreach(json_object_get(root, "weight_map"), tensor, name)
	{
		const char *shard = json_string_value(name);
		if (!shard || !*shard || strchr(shard, '/') || strlen(shard) >= WEIGHTS_FILE_MAX ||
		    is_there(w, shard))
			continue;
		strcpy(file, shard);
		missing = true;
		break;
	}
	json_decref(root);
	return missing;
}

bool weights_missing(const char *folder, const char *usual, char file[WEIGHTS_FILE_MAX])
{
	struct weights w = {0};
	struct error err = {0};
	if (files_path(w.folder, NULL, "%s", folder))
		return false;
	for (size_t i = 0; i < sizeof single_files / sizeof single_files[0]; i++)
		if (is_there(&w, single_files[i]))
			return false;
	for (size_t i = 0; i < sizeof index_files / sizeof index_files[0]; i++)
		if (is_there(&w, index_files[i]))
			return shard_missing(&w, index_files[i], file);
	snprintf(file, WEIGHTS_FILE_MAX, "%s", usual);
	return refuse_folder(&w, &err) == SUMI_NOTFOUND;
}

int weights_open(const char *folder, struct weights **out, struct error *err)
{
	*out = NULL;
	struct weights *w = calloc(1, sizeof *w);
	if (w)
		w->shards = calloc(SHARDS_MAX, sizeof *w->shards);
	if (!w || !w->shards) {
		free(w);
		return error_set(err, SUMI_NOMEM, "%s: out of memory", folder);
	}
	int status = files_path(w->folder, err, "%s", folder);
	if (!status)
		status = open_files(w, err);
	if (status) {
		weights_close(w);
		return status;
	}
	*out = w;
	return SUMI_OK;
}

void weights_close(struct weights *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->count; i++) {
		safetensors_close(w->shards[i].file);
		free(w->shards[i].used);
	}
	free(w->shards);
	json_decref(w->index);
	free(w);
}

/* --- looking up --- */

static const struct safetensors_entry *find_exact(struct weights *w, const char *name,
						  struct shard **where)
{
	struct shard *shard = w->shards;
	if (w->map) {
		const char *file = json_string_value(json_object_get(w->map, name));
		shard = file ? shard_by_name(w, file) : NULL;
	}
	*where = shard;
	return shard ? safetensors_find(shard->file, name) : NULL;
}

/* What this code calls a tensor, and what else a file may call it. */
static const struct {
	const char *ours, *theirs;
} aliases[] = {
    {"text_model.", ""},   {".to_q.", ".query."},         {".to_k.", ".key."},
    {".to_v.", ".value."}, {".to_out.0.", ".proj_attn."},
};

static const struct safetensors_entry *find_any(struct weights *w, const char *name,
						struct shard **where)
{
	const struct safetensors_entry *e = find_exact(w, name, where);
	for (size_t i = 0; !e && i < sizeof aliases / sizeof aliases[0]; i++) {
		const char *at = strstr(name, aliases[i].ours);
		if (!at)
			continue;
		char other[WEIGHT_NAME_MAX];
		snprintf(other, sizeof other, "%.*s%s%s", (int)(at - name), name, aliases[i].theirs,
			 at + strlen(aliases[i].ours));
		e = find_exact(w, other, where);
	}
	return e;
}

const struct safetensors_entry *weights_find(struct weights *w, const char *name)
{
	struct shard *shard;
	const struct safetensors_entry *e = find_any(w, name, &shard);
	if (e)
		shard->used[e - safetensors_at(shard->file, 0)] = true;
	return e;
}

const struct safetensors *weights_file_of(const struct weights *w,
					  const struct safetensors_entry *entry)
{
	for (size_t i = 0; i < w->count; i++) {
		const struct safetensors_entry *first = safetensors_at(w->shards[i].file, 0);
		if (first && entry >= first && entry < first + safetensors_count(w->shards[i].file))
			return w->shards[i].file;
	}
	return NULL;
}

int weights_read(const struct weights *w, const struct safetensors_entry *entry, void *out,
		 struct error *err)
{
	return safetensors_read(weights_file_of(w, entry), entry, out, err);
}

int weights_check(const struct weights *w, struct error *err)
{
	int status = SUMI_OK;
	for (size_t i = 0; i < w->count && !status; i++)
		status = safetensors_check(w->shards[i].file, err);
	return status;
}

const char *weights_folder(const struct weights *w)
{
	return w->folder;
}

size_t weights_tensors(const struct weights *w)
{
	size_t tensors = 0;
	for (size_t i = 0; i < w->count; i++)
		tensors += safetensors_count(w->shards[i].file);
	return tensors;
}

uint64_t weights_bytes(const struct weights *w)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < w->count; i++)
		for (size_t k = 0; k < safetensors_count(w->shards[i].file); k++)
			bytes += safetensors_at(w->shards[i].file, k)->bytes;
	return bytes;
}

void weights_identity(const struct weights *w, struct bytes_writer *out, int64_t *changed_ms)
{
	*changed_ms = 0;
	for (size_t i = 0; i < w->count; i++) {
		int64_t ms = safetensors_identity(w->shards[i].file, out);
		if (ms > *changed_ms)
			*changed_ms = ms;
	}
}

bool weights_unchanged(const struct weights *w)
{
	for (size_t i = 0; i < w->count; i++)
		if (!safetensors_unchanged(w->shards[i].file))
			return false;
	return true;
}

/* Constants that old files carry; nothing is computed with them. */
static bool is_constant(const char *name)
{
	const char *dot = strrchr(name, '.');
	return strcmp(dot ? dot + 1 : name, "position_ids") == 0;
}

int weights_check_unused(const struct weights *w, const char *prefix, struct error *err)
{
	const struct safetensors *file = NULL;
	const char *first = NULL;
	size_t unused = 0;
	for (size_t i = 0; i < w->count; i++) {
		const struct shard *s = &w->shards[i];
		for (size_t k = 0; k < safetensors_count(s->file); k++) {
			const char *name = safetensors_at(s->file, k)->name;
			if (s->used[k] || strncmp(name, prefix, strlen(prefix)) != 0 ||
			    is_constant(name))
				continue;
			if (unused++ == 0) {
				file = s->file;
				first = name;
			}
		}
	}
	if (unused == 0)
		return SUMI_OK;
	return error_set(
	    err, SUMI_INVALID,
	    "%s: tensor '%.100s' (one of %zu) has no place in the model that config.json "
	    "describes: the config belongs to other weights",
	    safetensors_path(file), first, unused);
}

/* Finding a part's weight files. */
#include "weights/source.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"

enum { INDEX_LIMIT = 1 << 20, SHARDS_MAX = 256 };

/* In this order. */
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

/* Where nothing else is there. */
static const char *const archive_files[] = {
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
    "diffusion_pytorch_model.fp16.bin",
    "pytorch_model.fp16.bin",
};

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static bool is_there(const char *folder, const char *name)
{
	char path[FILES_PATH_MAX];
	return !files_path(path, NULL, "%s/%s", folder, name) && access(path, F_OK) == 0;
}

/* The first of the names that the folder has, or NULL. */
static const char *first_of(const char *folder, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is_there(folder, names[i]))
			return names[i];
	return NULL;
}

/* --- opening --- */

static int add_file(struct source *s, const char *path, struct error *err)
{
	if (s->file_count == SHARDS_MAX)
		return error_set(err, SUMI_CORRUPT, "%s: one of more than %d files", path,
				 SHARDS_MAX);
	int status = tensors_open(path, &s->files[s->file_count], err);
	s->file_count += !status;
	return status;
}

static int add_named(struct source *s, const char *folder, const char *name, struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = files_path(path, err, "%s/%s", folder, name);
	return status ? status : add_file(s, path, err);
}

static struct tensor_file *file_named(const struct source *s, const char *name)
{
	for (size_t i = 0; i < s->file_count; i++) {
		const char *slash = strrchr(tensors_path(s->files[i]), '/');
		if (slash && strcmp(slash + 1, name) == 0)
			return s->files[i];
	}
	return NULL;
}

/* One line of the index: the file must be a plain name in this folder, and hold the tensor. */
static int read_index_line(struct source *s, const char *folder, const char *path,
			   const char *tensor, const char *file, struct error *err)
{
	if (!file || !*file || file[0] == '.' || strchr(file, '/'))
		return error_set(
		    err, SUMI_CORRUPT,
		    "%s: tensor '%.100s': '%.60s' is not the name of a file in this folder", path,
		    tensor, file ? file : "");
	struct tensor_file *shard = file_named(s, file);
	if (!shard) {
		int status = add_named(s, folder, file, err);
		if (status)
			return status;
		shard = s->files[s->file_count - 1];
	}
	if (!tensors_find(shard, tensor))
		return error_set(err, SUMI_CORRUPT, "%s: tensor '%.100s' is not in %.100s", path,
				 tensor, file);
	return SUMI_OK;
}

static int read_index(struct source *s, const char *folder, const char *name, struct error *err)
{
	char path[FILES_PATH_MAX];
	json_t *index = NULL;
	int status = files_path(path, err, "%s/%s", folder, name);
	if (!status)
		status = json_read_file(path, INDEX_LIMIT, &index, err);
	if (status)
		return status;
	json_t *map = json_object_get(index, "weight_map"), *file;
	if (!json_is_object(map) || json_object_size(map) == 0)
		status = error_set(err, SUMI_CORRUPT,
				   "%s: 'weight_map' must name at least one tensor", path);
	const char *tensor;
	json_object_foreach(map, tensor, file)
	{
		if (!status)
			status =
			    read_index_line(s, folder, path, tensor, json_string_value(file), err);
	}
	json_decref(index);
	return status;
}

/* Nothing that can be read: say what was looked for. */
static int refuse_folder(const char *folder, struct error *err)
{
	DIR *dir = opendir(folder);
	if (!dir)
		return error_errno(err, "%s", folder);
	closedir(dir);
	return error_set(err, SUMI_NOTFOUND,
			 "%s: no weights: looked for %s, %s, their .fp16 variants, their "
			 ".index.json, and %s",
			 folder, single_files[0], single_files[1], archive_files[0]);
}

static int open_folder(struct source *s, const char *folder, struct error *err)
{
	const char *name = first_of(folder, single_files, COUNT(single_files));
	if (name)
		return add_named(s, folder, name, err);
	if ((name = first_of(folder, index_files, COUNT(index_files))))
		return read_index(s, folder, name, err);
	if ((name = first_of(folder, archive_files, COUNT(archive_files))))
		return add_named(s, folder, name, err);
	return refuse_folder(folder, err);
}

static int by_name(const void *a, const void *b)
{
	const struct tensor_entry *const *x = a, *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

static int list_entries(struct source *s, const char *path, struct error *err)
{
	size_t count = 0, at = 0;
	for (size_t i = 0; i < s->file_count; i++)
		count += tensors_count(s->files[i]);
	s->entries = calloc(count + 1, sizeof *s->entries);
	if (!s->entries)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	for (size_t i = 0; i < s->file_count; i++)
		for (size_t k = 0; k < tensors_count(s->files[i]); k++)
			s->entries[at++] = tensors_at(s->files[i], k);
	if (count)
		qsort(s->entries, count, sizeof *s->entries, by_name);
	s->list = (struct tensor_list){.entries = s->entries, .count = count};
	for (size_t i = 1; i < count; i++)
		if (strcmp(s->entries[i - 1]->name, s->entries[i]->name) == 0)
			return error_set(err, SUMI_CORRUPT,
					 "%s: tensor '%.100s' stands in two of its files", path,
					 s->entries[i]->name);
	return SUMI_OK;
}

bool source_split(const char *path, char file[FILES_PATH_MAX], const char **rest)
{
	struct stat st;
	size_t n = strlen(path);
	if (n >= FILES_PATH_MAX)
		return false;
	for (size_t end = n; end > 0; end--) {
		if (end < n && path[end] != '/')
			continue;
		memcpy(file, path, end);
		file[end] = '\0';
		if (stat(file, &st) != 0)
			continue;
		*rest = path + end + (path[end] == '/');
		while (strncmp(*rest, "./", 2) == 0)
			*rest += 2;
		return S_ISREG(st.st_mode);
	}
	return false;
}

int source_open(const char *path, struct source *out, struct error *err)
{
	char file[FILES_PATH_MAX];
	const char *part;
	*out = (struct source){.file_count = 0};
	out->files = calloc(SHARDS_MAX, sizeof *out->files);
	if (!out->files)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	int status;
	if (source_split(path, file, &part)) {
		snprintf(out->part, sizeof out->part, "%s", part);
		status = add_file(out, file, err);
	} else {
		status = open_folder(out, path, err);
	}
	return status ? status : list_entries(out, path, err);
}

void source_close(struct source *s)
{
	for (size_t i = 0; i < s->file_count; i++)
		tensors_close(s->files[i]);
	free(s->files);
	free(s->entries);
	*s = (struct source){.file_count = 0};
}

const struct tensor_file *source_file(const struct source *s, const struct tensor_entry *entry)
{
	for (size_t i = 0; i < s->file_count; i++) {
		const struct tensor_entry *first = tensors_at(s->files[i], 0);
		if (first && entry >= first && entry < first + tensors_count(s->files[i]))
			return s->files[i];
	}
	return NULL;
}

/* --- what is missing --- */

/* Of the shards that an index names; one that cannot be read is no business of this. */
static bool shard_missing(const char *folder, const char *index, char file[WEIGHTS_FILE_MAX])
{
	char path[FILES_PATH_MAX];
	const char *tensor;
	json_t *root, *name;
	bool missing = false;
	if (files_path(path, NULL, "%s/%s", folder, index) ||
	    json_read_file(path, INDEX_LIMIT, &root, NULL))
		return false;
	json_object_foreach(json_object_get(root, "weight_map"), tensor, name)
	{
		const char *shard = json_string_value(name);
		if (!shard || !*shard || strchr(shard, '/') || strlen(shard) >= WEIGHTS_FILE_MAX ||
		    is_there(folder, shard))
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
	char path[FILES_PATH_MAX];
	const char *index, *part;
	if (source_split(folder, path, &part)) /* a part of a file is there or not */
		return false;
	if (first_of(folder, single_files, COUNT(single_files)))
		return false;
	if ((index = first_of(folder, index_files, COUNT(index_files))))
		return shard_missing(folder, index, file);
	if (first_of(folder, archive_files, COUNT(archive_files)))
		return false;
	snprintf(file, WEIGHTS_FILE_MAX, "%s", usual);
	return refuse_folder(folder, NULL) == SUMI_NOTFOUND;
}

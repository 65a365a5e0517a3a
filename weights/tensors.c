/* A file of tensors: which reader it belongs to, and what all formats share. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/hash.h"
#include "weights/tensors_internal.h"

/* Each is asked in turn; what nobody knows is taken for safetensors, which has no mark. */
static const struct tensor_reader *const readers[] = {&gguf_reader, &torch_reader, &ncnn_reader};

/* --- what is no file of tensors --- */

/* What lies in models' folders without being a model. Letters count in any case. */
static const struct stranger {
	const char *start;
	const char *words;
} strangers[] = {
    {"version https://git-lfs",
     "is a Git LFS pointer of some 130 bytes, not the file itself: fetch "
     "it with 'git lfs pull', or download it anew"},
    {"<!doctype", "is a page of HTML, not a model: the download was answered with an error or a "
		  "login page"},
    {"<html", "is a page of HTML, not a model: the download was answered with an error or a login "
	      "page"},
    {"<?xml", "is an XML text, not a model: the download was answered with an error"},
    {"{\"error", "is an error message as JSON, not a model: the download was refused"},
    {"ggjt", "is a GGML file of before GGUF: convert it with a current stable-diffusion.cpp"},
    {"lmgg", "is a GGML file of before GGUF: convert it with a current stable-diffusion.cpp"},
    {"fmgg", "is a GGML file of before GGUF: convert it with a current stable-diffusion.cpp"},
    {"7z\xbc\xaf\x27\x1c", "is a 7-Zip archive: unpack it"},
    {"rar!", "is a RAR archive: unpack it"},
    {"\x1f\x8b", "is compressed by gzip: unpack it"},
    {"\xfd"
     "7zXZ",
     "is compressed by xz: unpack it"},
    {"\x28\xb5\x2f\xfd", "is compressed by zstd: unpack it"},
    {"\x89PNG", "is a PNG picture, not a model"},
    {"\x89HDF", "is an HDF5 file (Keras), which is not supported"},
    {"\xff\xd8\xff", "is a JPEG picture, not a model"},
    {"riff", "is a picture or a sound (RIFF), not a model"},
};

static bool begins_with(const unsigned char *p, size_t size, const char *text)
{
	for (; *text; text++, p++, size--)
		if (size == 0 || tolower(*p) != tolower((unsigned char)*text))
			return false;
	return true;
}

/* A message of ONNX begins with its version, a small number, and the name of who wrote it. */
static bool is_onnx(const unsigned char *start, size_t size)
{
	return size > 4 && start[0] == 0x08 && start[1] < 0x20 && start[2] == 0x12 && isalpha(start[4]);
}

/* The name of a tar archive's kind stands behind that of its first file. */
static bool is_tar(const unsigned char *start, size_t size)
{
	enum { AT = 257 };
	return size > AT + 5 && memcmp(start + AT, "ustar", 5) == 0;
}

static bool is_zeros(const unsigned char *start, size_t size)
{
	size_t n = 0;
	while (n < size && start[n] == 0)
		n++;
	return size > 63 && n == size;
}

static bool is_text(const unsigned char *start, size_t size)
{
	size_t n = 0;
	while (n < size && (isprint(start[n]) || isspace(start[n])))
		n++;
	return size > 0 && n == size;
}

/* What has no mark at its beginning, asked last. */
static int refuse_shapeless(const char *path, const unsigned char *start, size_t size, struct error *err)
{
	static const struct {
		bool (*is)(const unsigned char *start, size_t size);
		const char *words;
	} kinds[] = {
	    {is_onnx, "is an ONNX graph, which is not supported"},
	    {is_tar, "is a tar archive: unpack it"},
	    {is_zeros, "begins with nothing but zeros: a download that did not come, download it anew"},
	    {is_text, "is a text, not a model"},
	};
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (kinds[i].is(start, size))
			return error_set(err, SUMI_UNSUPPORTED, "%s: %s", path, kinds[i].words);
	return SUMI_OK;
}

static int refuse_stranger(const char *path, const unsigned char *start, size_t size,
			   struct error *err)
{
	/* A header's length may begin as anything does, hence the look at its brace. */
	if (size > 8 && start[8] == '{' && !memcmp(start + 4, "\0\0\0", 4))
		return SUMI_OK;
	/* Pages may begin with empty lines. */
	while (size > 0 && isspace(*start)) {
		start++;
		size--;
	}
	for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++)
		if (begins_with(start, size, strangers[i].start))
			return error_set(err, SUMI_UNSUPPORTED, "%s: %s", path, strangers[i].words);
	return SUMI_OK;
}

/* --- for readers --- */

int tensors_bad(const struct tensor_file *file, const char *name, struct error *err,
		const char *reason)
{
	return error_set(err, SUMI_CORRUPT, "%s: tensor '%.100s': %s", file->path, name, reason);
}

static int changed(const struct tensor_file *file, struct error *err)
{
	/* Not corrupt: whoever writes to it will be done some time. */
	return error_set(err, SUMI_IO, "weights file %s was changed while it was read", file->path);
}

int tensors_read_at(const struct tensor_file *file, uint64_t at, void *out, size_t size,
		    struct error *err)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = pread(file->fd, (char *)out + done, size - done, (off_t)(at + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, "%s", file->path);
		if (n == 0)
			return changed(file, err);
		done += (size_t)n;
	}
	return SUMI_OK;
}

uint64_t tensor_elements(const struct tensor_entry *entry)
{
	uint64_t elements = 1;
	for (int i = 0; i < entry->rank; i++)
		elements *= (uint64_t)entry->shape[i];
	return elements;
}

int tensors_measure(const struct tensor_file *file, struct tensor_entry *entry, struct error *err)
{
	uint64_t elements = 1;
	char shape[80];
	int64_t bytes = 0;
	for (int i = 0; i < entry->rank && bytes >= 0; i++)
		if (__builtin_mul_overflow(elements, (uint64_t)entry->shape[i], &elements))
			bytes = -1;
	if (!bytes)
		bytes = tensor_format_bytes(entry->format, elements);
	if (bytes < 0)
		return error_set(err, SUMI_CORRUPT,
				 "%s: tensor '%.100s': %s cannot have the shape %s", file->path,
				 entry->name, entry->format->name,
				 tensor_shape_text(entry->shape, entry->rank, shape, sizeof shape));
	entry->bytes = (size_t)bytes;
	return SUMI_OK;
}

int tensors_place(const struct tensor_file *file, struct tensor_entry *entry, struct error *err)
{
	uint64_t size = (uint64_t)file->stat.st_size;
	int status = tensors_measure(file, entry, err);
	if (!status && (entry->offset > size || entry->bytes > size - entry->offset))
		status = error_set(err, SUMI_CORRUPT,
				   "%s: tensor '%.100s': %zu bytes from byte %" PRIu64
				   " on, the file has %" PRIu64 ": it is cut short or damaged",
				   file->path, entry->name, entry->bytes, entry->offset, size);
	return status;
}

/* --- the handle --- */

static int by_name(const void *a, const void *b)
{
	const struct tensor_entry *x = a, *y = b;
	return strcmp(x->name, y->name);
}

int tensors_sort(struct tensor_file *file, struct error *err)
{
	if (file->count)
		qsort(file->entries, file->count, sizeof *file->entries, by_name);
	for (size_t i = 1; i < file->count; i++)
		if (strcmp(file->entries[i - 1].name, file->entries[i].name) == 0)
			return tensors_bad(file, file->entries[i].name, err, "is there twice");
	return SUMI_OK;
}

static int choose_reader(struct tensor_file *file, struct error *err)
{
	unsigned char start[TENSORS_START] = {0};
	size_t size = (size_t)file->stat.st_size,
	       sample = size < sizeof start ? size : sizeof start;
	int status = tensors_read_at(file, 0, start, sample, err);
	if (status || (status = refuse_stranger(file->path, start, sample, err)))
		return status;
	for (size_t i = 0; i < sizeof readers / sizeof readers[0] && !file->reader; i++)
		if (readers[i]->is(start, sample))
			file->reader = readers[i];
	if (file->reader)
		return SUMI_OK;
	file->reader = &safetensors_reader;
	return refuse_shapeless(file->path, start, sample, err);
}

int tensors_open(const char *path, struct tensor_file **out, struct error *err)
{
	*out = NULL;
	struct tensor_file *file = calloc(1, sizeof *file);
	if (!file || !(file->path = strdup(path))) {
		free(file);
		return error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	}
	int status = files_open_regular(path, &file->fd, err);
	if (!status && fstat(file->fd, &file->stat) != 0)
		status = error_errno(err, "%s", path);
	if (!status)
		status = choose_reader(file, err);
	if (!status)
		status = file->reader->read(file, err);
	if (!status)
		status = tensors_sort(file, err);
	if (status) {
		tensors_close(file);
		return status;
	}
	*out = file;
	return SUMI_OK;
}

void tensors_close(struct tensor_file *file)
{
	if (!file)
		return;
	free(file->entries);
	free(file->names);
	json_decref(file->header);
	if (file->fd >= 0)
		close(file->fd);
	free(file->head);
	free(file->path);
	free(file);
}

const char *tensors_path(const struct tensor_file *file)
{
	return file->path;
}

const char *tensors_kind(const struct tensor_file *file)
{
	return file->reader->kind;
}

size_t tensors_count(const struct tensor_file *file)
{
	return file->count;
}

const json_t *tensors_metadata(const struct tensor_file *file)
{
	return file->metadata;
}

const struct tensor_entry *tensors_at(const struct tensor_file *file, size_t index)
{
	return index < file->count ? &file->entries[index] : NULL;
}

const struct tensor_entry *tensors_find(const struct tensor_file *file, const char *name)
{
	struct tensor_entry key = {.name = name};
	return file->count ? bsearch(&key, file->entries, file->count, sizeof key, by_name) : NULL;
}

/* --- reading --- */

int tensors_read_part(const struct tensor_file *file, const struct tensor_entry *entry, size_t at,
		      void *out, size_t size, struct error *err)
{
	return tensors_read_at(file, entry->offset + at, out, size, err);
}

/* One number after the other: a view is small, or rare. */
static int read_strided(const struct tensor_file *file, const struct tensor_entry *e,
			unsigned char *out, struct error *err)
{
	size_t width = (size_t)e->format->bytes;
	uint64_t span = 1, count = tensor_elements(e);
	int64_t index[TENSOR_RANK_MAX] = {0};
	for (int i = 0; i < e->rank; i++)
		span += (uint64_t)(e->shape[i] - 1) * (uint64_t)e->stride[i];
	unsigned char *whole = count ? malloc((size_t)span * width) : NULL;
	if (count && !whole)
		return error_set(err, SUMI_NOMEM, "out of memory while loading '%s'", e->name);
	int status = count ? tensors_read_at(file, e->offset, whole, (size_t)span * width, err) : 0;
	for (uint64_t n = 0; n < count && !status; n++) {
		uint64_t at = 0;
		for (int i = 0; i < e->rank; i++)
			at += (uint64_t)index[i] * (uint64_t)e->stride[i];
		memcpy(out + n * width, whole + at * width, width);
		for (int i = e->rank - 1; i >= 0 && ++index[i] == e->shape[i]; i--)
			index[i] = 0;
	}
	free(whole);
	return status;
}

int tensors_read(const struct tensor_file *file, const struct tensor_entry *entry, void *out,
		 struct error *err)
{
	if (entry->strided)
		return read_strided(file, entry, out, err);
	return tensors_read_at(file, entry->offset, out, entry->bytes, err);
}

/* --- whether it is still the same --- */

/* A file that was renamed or unlinked meanwhile is still the one that was opened. */
int tensors_check(const struct tensor_file *file, struct error *err)
{
	struct stat now;
	const struct stat *then = &file->stat;
	if (fstat(file->fd, &now) != 0)
		return error_errno(err, "%s", file->path);
	bool same = now.st_size == then->st_size && now.st_mtim.tv_sec == then->st_mtim.tv_sec &&
		    now.st_mtim.tv_nsec == then->st_mtim.tv_nsec;
	return same ? SUMI_OK : changed(file, err);
}

int64_t tensors_identity(const struct tensor_file *file, struct bytes_writer *out)
{
	enum { BLOCKS = 32, BLOCK = 4096 };
	char hex[SHA256_HEX_SIZE];
	const struct stat *s = &file->stat;
	unsigned char block[BLOCK];
	uint64_t sum = BYTES_HASH_START, size = (uint64_t)s->st_size - file->data;
	for (size_t i = 0; i < BLOCKS && size >= BLOCK; i++) {
		uint64_t at = (size - BLOCK) / (BLOCKS - 1) * i;
		/* What cannot be read differs from all that can. */
		if (tensors_read_at(file, file->data + at, block, BLOCK, NULL))
			memset(block, (int)i + 1, BLOCK);
		sum = bytes_hash(sum, block, BLOCK);
	}
	sha256_hex(file->head, file->head_size, hex);
	bytes_put(out, hex, sizeof hex);
	bytes_put_u64(out, sum);
	bytes_put_u64(out, (uint64_t)s->st_size);
	bytes_put_u64(out, (uint64_t)s->st_ino);
	bytes_put_u64(out, (uint64_t)s->st_mtim.tv_sec);
	bytes_put_u64(out, (uint64_t)s->st_mtim.tv_nsec);
	bytes_put_u64(out, (uint64_t)s->st_ctim.tv_sec);
	bytes_put_u64(out, (uint64_t)s->st_ctim.tv_nsec);
	return (int64_t)s->st_ctim.tv_sec * 1000 + s->st_ctim.tv_nsec / 1000000;
}

bool tensors_unchanged(const struct tensor_file *file)
{
	struct stat now;
	const struct stat *then = &file->stat;
	return stat(file->path, &now) == 0 && now.st_ino == then->st_ino &&
	       now.st_dev == then->st_dev && now.st_size == then->st_size &&
	       now.st_ctim.tv_sec == then->st_ctim.tv_sec &&
	       now.st_ctim.tv_nsec == then->st_ctim.tv_nsec;
}

const char *tensor_shape_text(const int64_t *shape, int rank, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, "[");
	for (int i = 0; i < rank && n < size; i++)
		n += (size_t)snprintf(out + n, size - n, "%s%" PRId64, i ? ", " : "", shape[i]);
	if (n < size)
		snprintf(out + n, size - n, "]");
	return out;
}

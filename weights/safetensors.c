/* The safetensors reader: nothing is used before it is checked. */
#include "weights/safetensors.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/hash.h"
#include "base/json.h"

/* The largest published checkpoints have some thousand tensors in headers below 1 MiB; but LoRAs
 * carry texts of any length. What parsing takes goes by the tensors. */
#define HEADER_LIMIT (16u << 20)
#define TENSORS_MAX 65536u
#define TENSOR_MEMORY 2048u
#define PREFIX_SIZE 8

struct safetensors {
	char *path;
	int fd;
	struct stat stat; /* of the file when it was opened */
	char *head;       /* length and header, as they stand in the file */
	size_t head_size, data_size;
	json_t *header; /* owns the names */
	struct safetensors_entry *entries;
	size_t count;
};

static const struct format {
	const char *name;
	int bits;
	bool usable;
	enum dtype dtype;
} formats[] = {
    {"F32", 32, true, DTYPE_F32},     {"F16", 16, true, DTYPE_F16},
    {"BF16", 16, true, DTYPE_BF16},   {"F64", 64, false, DTYPE_F32},
    {"I64", 64, false, DTYPE_F32},    {"U64", 64, false, DTYPE_F32},
    {"I32", 32, false, DTYPE_F32},    {"U32", 32, false, DTYPE_F32},
    {"I16", 16, false, DTYPE_F32},    {"U16", 16, false, DTYPE_F32},
    {"I8", 8, false, DTYPE_F32},      {"U8", 8, false, DTYPE_F32},
    {"BOOL", 8, false, DTYPE_F32},    {"F8_E4M3", 8, false, DTYPE_F32},
    {"F8_E5M2", 8, false, DTYPE_F32}, {"C64", 64, false, DTYPE_F32},
};

static const struct format *find_format(const char *name)
{
	for (size_t i = 0; name && i < sizeof formats / sizeof formats[0]; i++)
		if (strcmp(formats[i].name, name) == 0)
			return &formats[i];
	return NULL;
}

/* --- pickles --- */

bool safetensors_is_pickle_name(const char *path)
{
	static const char *const endings[] = {".bin", ".ckpt", ".pth", ".pt", ".pkl"};
	const char *dot = strrchr(path, '.');
	for (size_t i = 0; dot && i < sizeof endings / sizeof endings[0]; i++)
		if (strcasecmp(dot, endings[i]) == 0)
			return true;
	return false;
}

int safetensors_refuse_pickle(const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	const char *dot = strrchr(base, '.');
	int stem = dot ? (int)(dot - base) : (int)strlen(base);
	return error_set(err, SUMI_UNSUPPORTED,
			 "%.120s: is a pickle, which may run code when it is read; convert it: "
			 "python3 -c \"import torch,safetensors.torch as s;"
			 "s.save_file(torch.load('%.60s',weights_only=True),"
			 "'%.*s.safetensors')\"",
			 path, base, stem > 60 ? 60 : stem, base);
}

/* Zip archives (torch.save today) and bare pickle streams (protocol 2 and above). A header
 * of 640 bytes begins as a pickle does, hence the look at its brace. */
static bool looks_like_pickle(const unsigned char *p, size_t size)
{
	if (size > PREFIX_SIZE && p[PREFIX_SIZE] == '{')
		return false;
	return size >= 4 &&
	       (memcmp(p, "PK\3\4", 4) == 0 || (p[0] == 0x80 && p[1] >= 2 && p[1] <= 5));
}

/* --- checking the header --- */

static int bad(const struct safetensors *st, const char *name, struct error *err,
	       const char *reason)
{
	return error_set(err, SUMI_CORRUPT, "%s: tensor '%.100s': %s", st->path, name, reason);
}

/* Elements times bits must fit; returns the bytes, or -1. */
static int64_t byte_count(const struct safetensors_entry *e, int bits)
{
	uint64_t elements = 1;
	for (int i = 0; i < e->rank; i++)
		if (__builtin_mul_overflow(elements, (uint64_t)e->shape[i], &elements))
			return -1;
	uint64_t bytes;
	if (__builtin_mul_overflow(elements, (uint64_t)(bits / 8), &bytes) || bytes > INT64_MAX)
		return -1;
	return (int64_t)bytes;
}

static int read_shape(const struct safetensors *st, struct safetensors_entry *e,
		      const json_t *shape, struct error *err)
{
	if (!json_is_array(shape))
		return bad(st, e->name, err, "'shape' must be a list");
	if (json_array_size(shape) > SAFETENSORS_RANK_MAX)
		return bad(st, e->name, err, "has more than 8 dimensions");
	e->rank = (int)json_array_size(shape);
	for (int i = 0; i < e->rank; i++) {
		const json_t *n = json_array_get(shape, (size_t)i);
		if (!json_is_integer(n) || json_integer_value(n) < 0)
			return bad(st, e->name, err, "'shape' must hold whole numbers from 0");
		e->shape[i] = json_integer_value(n);
	}
	return SUMI_OK;
}

static int read_entry(struct safetensors *st, const char *name, const json_t *value,
		      struct error *err)
{
	struct safetensors_entry *e = &st->entries[st->count];
	e->name = name;
	if (!json_is_object(value))
		return bad(st, name, err, "must be described by a JSON object");
	const json_t *word = json_object_get(value, "dtype");
	const struct format *format = find_format(json_string_value(word));
	if (!format)
		return error_set(err, SUMI_CORRUPT, "%s: tensor '%.100s': unknown dtype '%.20s'",
				 st->path, name,
				 json_is_string(word) ? json_string_value(word) : "(no text)");
	e->format = format->name;
	e->usable = format->usable;
	e->dtype = format->dtype;
	int status = read_shape(st, e, json_object_get(value, "shape"), err);
	if (status)
		return status;
	const json_t *offsets = json_object_get(value, "data_offsets");
	const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
	if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last))
		return bad(st, name, err, "'data_offsets' must be two whole numbers");
	json_int_t begin = json_integer_value(first), end = json_integer_value(last);
	if (begin < 0 || end < begin)
		return bad(st, name, err, "'data_offsets' run backwards");
	if ((uint64_t)end > st->data_size)
		return error_set(err, SUMI_CORRUPT,
				 "%s: tensor '%.100s': ends at byte %" PRId64
				 " of the data, the file "
				 "holds %zu: it is cut short or damaged",
				 st->path, name, (int64_t)end, st->data_size);
	int64_t bytes = byte_count(e, format->bits);
	if (bytes != end - begin) {
		char shape[80];
		return error_set(
		    err, SUMI_CORRUPT,
		    "%s: tensor '%.100s': %s of shape %s does not fill its %" PRId64 " bytes",
		    st->path, name, e->format, safetensors_shape_text(e, shape, sizeof shape),
		    (int64_t)(end - begin));
	}
	e->bytes = (size_t)bytes;
	e->offset = (size_t)begin;
	st->count++;
	return SUMI_OK;
}

static int by_place(const void *a, const void *b)
{
	const struct safetensors_entry *x = a, *y = b;
	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int by_name(const void *a, const void *b)
{
	const struct safetensors_entry *x = a, *y = b;
	return strcmp(x->name, y->name);
}

/* The format allows neither overlaps nor holes: bytes that belong to no tensor could hide
 * anything, or be the rest of an interrupted copy. */
static int check_places(struct safetensors *st, struct error *err)
{
	qsort(st->entries, st->count, sizeof *st->entries, by_place);
	size_t end = 0;
	for (size_t i = 0; i < st->count; i++) {
		const struct safetensors_entry *e = &st->entries[i];
		if (e->offset < end)
			return error_set(err, SUMI_CORRUPT,
					 "%s: tensor '%.100s': overlaps tensor '%.100s'", st->path,
					 e->name, st->entries[i - 1].name);
		if (e->offset > end)
			return error_set(
			    err, SUMI_CORRUPT,
			    "%s: tensor '%.100s': %zu bytes before it belong to no tensor",
			    st->path, e->name, e->offset - end);
		end = e->offset + e->bytes;
	}
	if (end != st->data_size)
		return error_set(err, SUMI_CORRUPT,
				 "%s: %zu bytes at the end of the file belong to no tensor",
				 st->path, st->data_size - end);
	qsort(st->entries, st->count, sizeof *st->entries, by_name);
	return SUMI_OK;
}

/* --- reading --- */

static int changed(const struct safetensors *st, struct error *err)
{
	/* Not corrupt: whoever writes to it will be done some time. */
	return error_set(err, SUMI_IO, "weights file %s was changed while it was read", st->path);
}

/* Not by way of a mapping: where a file becomes shorter under one, the process ends. */
static int read_at(const struct safetensors *st, size_t at, void *out, size_t size,
		   struct error *err)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = pread(st->fd, (char *)out + done, size - done, (off_t)(at + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, "%s", st->path);
		if (n == 0)
			return changed(st, err);
		done += (size_t)n;
	}
	return SUMI_OK;
}

/* Length and header into st->head. */
static int read_head(struct safetensors *st, struct error *err)
{
	unsigned char start[PREFIX_SIZE + 1] = {0};
	size_t size = (size_t)st->stat.st_size, sample = size < sizeof start ? size : sizeof start;
	if (size < PREFIX_SIZE)
		return error_set(err, SUMI_CORRUPT,
				 "%s: %zu bytes are too few for a safetensors file", st->path,
				 size);
	int status = read_at(st, 0, start, sample, err);
	if (status)
		return status;
	if (looks_like_pickle(start, sample))
		return safetensors_refuse_pickle(st->path, err);
	uint64_t length = 0;
	for (int i = PREFIX_SIZE - 1; i >= 0; i--)
		length = length << 8 | start[i];
	if (length > size - PREFIX_SIZE || length > HEADER_LIMIT)
		return error_set(err, SUMI_CORRUPT,
				 "%s: the header claims %" PRIu64
				 " bytes, the file has %zu and %u are "
				 "allowed: not a safetensors file, or cut short",
				 st->path, length, size - PREFIX_SIZE, HEADER_LIMIT);
	st->head_size = PREFIX_SIZE + (size_t)length;
	st->data_size = size - st->head_size;
	st->head = malloc(st->head_size);
	if (!st->head)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", st->path);
	return read_at(st, 0, st->head, st->head_size, err);
}

static int parse_header(struct safetensors *st, struct error *err)
{
	const char *header = st->head + PREFIX_SIZE;
	size_t length = st->head_size - PREFIX_SIZE;
	size_t objects = json_weigh(header, length).objects;
	size_t tensors = objects > 2 ? objects - 2 : 0; /* without the whole and __metadata__ */
	if (tensors > TENSORS_MAX)
		return error_set(err, SUMI_CORRUPT,
				 "%s: the header describes %zu tensors, at most %u are allowed",
				 st->path, tensors, TENSORS_MAX);
	size_t memory = HEADER_LIMIT + objects * TENSOR_MEMORY;
	if (json_read_bounded(header, length, memory, st->path, &st->header, err)) {
		if (err)
			err->status = SUMI_CORRUPT;
		return SUMI_CORRUPT;
	}
	if (!json_is_object(st->header))
		return error_set(err, SUMI_CORRUPT, "%s: the header must be a JSON object",
				 st->path);
	return SUMI_OK;
}

static int read_entries(struct safetensors *st, struct error *err)
{
	st->entries = calloc(json_object_size(st->header) + 1, sizeof *st->entries);
	if (!st->entries)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", st->path);
	const char *name;
	json_t *value;
	json_object_foreach(st->header, name, value)
	{
		if (strcmp(name, "__metadata__") == 0)
			continue;
		int status = read_entry(st, name, value, err);
		if (status)
			return status;
	}
	return check_places(st, err);
}

/* --- the handle --- */

int safetensors_open(const char *path, struct safetensors **out, struct error *err)
{
	*out = NULL;
	struct safetensors *st = calloc(1, sizeof *st);
	if (!st || !(st->path = strdup(path))) {
		free(st);
		return error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	}
	int status = files_open_regular(path, &st->fd, err);
	if (!status && fstat(st->fd, &st->stat) != 0)
		status = error_errno(err, "%s", path);
	if (!status)
		status = read_head(st, err);
	if (!status)
		status = parse_header(st, err);
	if (!status)
		status = read_entries(st, err);
	if (status) {
		safetensors_close(st);
		return status;
	}
	*out = st;
	return SUMI_OK;
}

void safetensors_close(struct safetensors *st)
{
	if (!st)
		return;
	free(st->entries);
	json_decref(st->header);
	if (st->fd >= 0)
		close(st->fd);
	free(st->head);
	free(st->path);
	free(st);
}

int safetensors_read(const struct safetensors *st, const struct safetensors_entry *entry, void *out,
		     struct error *err)
{
	return read_at(st, st->head_size + entry->offset, out, entry->bytes, err);
}

/* A file that was renamed or unlinked meanwhile is still the one that was opened. */
int safetensors_check(const struct safetensors *st, struct error *err)
{
	struct stat now;
	const struct stat *then = &st->stat;
	if (fstat(st->fd, &now) != 0)
		return error_errno(err, "%s", st->path);
	bool same = now.st_size == then->st_size && now.st_mtim.tv_sec == then->st_mtim.tv_sec &&
		    now.st_mtim.tv_nsec == then->st_mtim.tv_nsec;
	return same ? SUMI_OK : changed(st, err);
}

const char *safetensors_path(const struct safetensors *st)
{
	return st->path;
}

size_t safetensors_count(const struct safetensors *st)
{
	return st->count;
}

const struct safetensors_entry *safetensors_at(const struct safetensors *st, size_t index)
{
	return index < st->count ? &st->entries[index] : NULL;
}

const struct safetensors_entry *safetensors_find(const struct safetensors *st, const char *name)
{
	struct safetensors_entry key = {.name = name};
	return st->count ? bsearch(&key, st->entries, st->count, sizeof key, by_name) : NULL;
}

int64_t safetensors_identity(const struct safetensors *st, struct bytes_writer *out)
{
	enum { BLOCKS = 32, BLOCK = 4096 };
	char hex[SHA256_HEX_SIZE];
	const struct stat *s = &st->stat;
	unsigned char block[BLOCK];
	uint64_t sum = BYTES_HASH_START;
	for (size_t i = 0; i < BLOCKS && st->data_size >= BLOCK; i++) {
		size_t at = (st->data_size - BLOCK) / (BLOCKS - 1) * i;
		/* What cannot be read differs from all that can. */
		if (read_at(st, st->head_size + at, block, BLOCK, NULL))
			memset(block, (int)i + 1, BLOCK);
		sum = bytes_hash(sum, block, BLOCK);
	}
	sha256_hex(st->head, st->head_size, hex);
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

bool safetensors_unchanged(const struct safetensors *st)
{
	struct stat now;
	const struct stat *then = &st->stat;
	return stat(st->path, &now) == 0 && now.st_ino == then->st_ino &&
	       now.st_dev == then->st_dev && now.st_size == then->st_size &&
	       now.st_ctim.tv_sec == then->st_ctim.tv_sec &&
	       now.st_ctim.tv_nsec == then->st_ctim.tv_nsec;
}

const char *safetensors_shape_text(const struct safetensors_entry *entry, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, "[");
	for (int i = 0; i < entry->rank && n < size; i++)
		n += (size_t)snprintf(out + n, size - n, "%s%" PRId64, i ? ", " : "",
				      entry->shape[i]);
	if (n < size)
		snprintf(out + n, size - n, "]");
	return out;
}

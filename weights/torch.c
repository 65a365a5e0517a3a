/* Reading what torch.save() writes: a zip archive with a pickle and one entry a storage, or, of
 * before 2020, several pickles one behind the other and then the storages. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "weights/pickle.h"
#include "weights/tensors_internal.h"

enum {
	TAIL = 65536 + 22,        /* the end of a zip's directory lies within */
	DIRECTORY_MAX = 32 << 20, /* bytes */
	ENTRIES_MAX = 2 * 65536,
	LEGACY_PICKLES = 5,
};

/* A storage of the file, or another entry of its archive. */
struct storage {
	const char *name; /* not terminated */
	size_t name_size;
	uint64_t offset, size; /* of an archive: that of a local header until it is located */
	bool stored;           /* not compressed */
	bool located;
};

struct archive {
	struct tensor_file *file;
	struct error *err;
	unsigned char *directory; /* owned: the names of the storages */
	struct storage *storages; /* by name */
	size_t count;
	const char *prefix; /* of the entries: "archive/" */
	size_t prefix_size;
	bool is_zip;
	/* entries and names as they are found */
	size_t entry_capacity, names_size, names_capacity;
	size_t *name_at;
};

static int corrupt(const struct archive *a, const char *reason)
{
	return error_set(a->err, SUMI_CORRUPT, "%s: %s", a->file->path, reason);
}

static int no_memory(const struct archive *a)
{
	return error_set(a->err, SUMI_NOMEM, "%s: out of memory", a->file->path);
}

static uint64_t little(const unsigned char *p, int bytes)
{
	uint64_t value = 0;
	for (int i = bytes - 1; i >= 0; i--)
		value = value << 8 | p[i];
	return value;
}

static int compare_names(const char *a, size_t a_size, const char *b, size_t b_size)
{
	size_t n = a_size < b_size ? a_size : b_size;
	int order = n ? memcmp(a, b, n) : 0;
	return order ? order : (a_size > b_size) - (a_size < b_size);
}

static int by_name(const void *a, const void *b)
{
	const struct storage *x = a, *y = b;
	return compare_names(x->name, x->name_size, y->name, y->name_size);
}

static struct storage *find_storage(const struct archive *a, const char *name, size_t size)
{
	struct storage key = {.name = name, .name_size = size};
	return a->count ? bsearch(&key, a->storages, a->count, sizeof key, by_name) : NULL;
}

static int sort_storages(struct archive *a)
{
	if (a->count)
		qsort(a->storages, a->count, sizeof *a->storages, by_name);
	for (size_t i = 1; i < a->count; i++)
		if (by_name(&a->storages[i - 1], &a->storages[i]) == 0)
			return corrupt(a, "two entries of its archive have one name");
	return SUMI_OK;
}

/* --- the zip's directory --- */

struct directory {
	uint64_t offset, size, count;
};

/* The end of the directory, and the larger one of archives beyond 4 GiB. */
static int find_directory(struct archive *a, struct directory *out)
{
	uint64_t size = (uint64_t)a->file->stat.st_size, tail = size < TAIL ? size : TAIL;
	unsigned char *bytes = malloc((size_t)tail + 1), big[56];
	if (!bytes)
		return no_memory(a);
	int status = tensors_read_at(a->file, size - tail, bytes, (size_t)tail, a->err);
	int64_t at = (int64_t)tail - 22;
	while (at >= 0 && memcmp(bytes + at, "PK\5\6", 4) != 0)
		at--;
	if (!status && at < 0)
		status = corrupt(a, "a zip archive without its end: it is cut short");
	if (status)
		goto done;
	*out = (struct directory){.count = little(bytes + at + 10, 2),
				  .size = little(bytes + at + 12, 4),
				  .offset = little(bytes + at + 16, 4)};
	if (at >= 20 && memcmp(bytes + at - 20, "PK\6\7", 4) == 0) {
		uint64_t where = little(bytes + at - 12, 8);
		if (where > size || size - where < sizeof big)
			status = corrupt(a, "its zip64 directory lies beyond its end");
		else
			status = tensors_read_at(a->file, where, big, sizeof big, a->err);
		if (!status && memcmp(big, "PK\6\6", 4) != 0)
			status = corrupt(a, "its zip64 directory is not where it is said to be");
		if (!status)
			*out = (struct directory){.count = little(big + 32, 8),
						  .size = little(big + 40, 8),
						  .offset = little(big + 48, 8)};
	}
	if (!status && (out->size > DIRECTORY_MAX || out->count > ENTRIES_MAX ||
			out->offset > size || out->size > size - out->offset))
		status = corrupt(a, "its zip directory is larger than the file or than 32 MiB");
done:
	free(bytes);
	return status;
}

/* Sizes of four bytes that are full stand in the extra field, in this order. */
static bool read_extra(const unsigned char *extra, size_t size, uint64_t *whole, uint64_t *packed,
		       uint64_t *offset)
{
	uint64_t *const wanted[] = {whole, packed, offset};
	for (size_t at = 0; at + 4 <= size;) {
		size_t kind = (size_t)little(extra + at, 2), n = (size_t)little(extra + at + 2, 2);
		at += 4;
		if (n > size - at)
			return false;
		if (kind == 1)
			for (size_t i = 0, from = 0; i < 3; i++) {
				if (*wanted[i] != UINT32_MAX)
					continue;
				if (from + 8 > n)
					return false;
				*wanted[i] = little(extra + at + from, 8);
				from += 8;
			}
		at += n;
	}
	return true;
}

/* One entry of the directory at `at`; returns its length, 0 where it is damaged. */
static size_t read_entry(struct archive *a, const unsigned char *d, size_t size, size_t at)
{
	if (size - at < 46 || memcmp(d + at, "PK\1\2", 4) != 0)
		return 0;
	const unsigned char *e = d + at;
	size_t name = (size_t)little(e + 28, 2), extra = (size_t)little(e + 30, 2),
	       comment = (size_t)little(e + 32, 2), all = 46 + name + extra + comment;
	uint64_t whole = little(e + 24, 4), packed = little(e + 20, 4), offset = little(e + 42, 4);
	if (size - at < all || !read_extra(e + 46 + name, extra, &whole, &packed, &offset))
		return 0;
	a->storages[a->count++] =
	    (struct storage){.name = (const char *)e + 46,
			     .name_size = name,
			     .offset = offset,
			     .size = whole,
			     .stored = little(e + 10, 2) == 0 && whole == packed};
	return all;
}

static int read_directory(struct archive *a)
{
	struct directory d = {.offset = 0};
	int status = find_directory(a, &d);
	if (status)
		return status;
	a->is_zip = true;
	a->directory = malloc((size_t)d.size + 1);
	a->storages = calloc((size_t)d.count + 1, sizeof *a->storages);
	if (!a->directory || !a->storages)
		return no_memory(a);
	status = tensors_read_at(a->file, d.offset, a->directory, (size_t)d.size, a->err);
	for (size_t at = 0, n; a->count < d.count && !status; at += n)
		if (!(n = read_entry(a, a->directory, (size_t)d.size, at)))
			return corrupt(a, "its zip directory is damaged");
	return status ? status : sort_storages(a);
}

/* Where an entry's bytes are: behind its local header. */
static int locate(struct archive *a, struct storage *s)
{
	unsigned char head[30];
	uint64_t size = (uint64_t)a->file->stat.st_size;
	if (s->located)
		return SUMI_OK;
	if (!s->stored)
		return error_set(a->err, SUMI_UNSUPPORTED,
				 "%s: entry '%.*s' is compressed, which torch never does: unpack "
				 "the archive and look at what is in it",
				 a->file->path, (int)(s->name_size > 100 ? 100 : s->name_size),
				 s->name);
	if (s->offset > size || size - s->offset < sizeof head)
		return corrupt(a, "an entry of its archive lies beyond its end: it is cut short");
	int status = tensors_read_at(a->file, s->offset, head, sizeof head, a->err);
	if (status)
		return status;
	uint64_t begin = s->offset + sizeof head + little(head + 26, 2) + little(head + 28, 2);
	if (memcmp(head, "PK\3\4", 4) != 0 || begin > size || s->size > size - begin)
		return corrupt(a, "an entry of its archive lies beyond its end: it is cut short");
	s->offset = begin;
	s->located = true;
	return SUMI_OK;
}

/* An entry below the prefix, or NULL. */
static struct storage *find_below(const struct archive *a, const char *folder, const char *name,
				  size_t name_size)
{
	char path[512];
	size_t n = a->prefix_size, f = strlen(folder);
	if (n + f + name_size > sizeof path)
		return NULL;
	memcpy(path, a->prefix, n);
	memcpy(path + n, folder, f);
	memcpy(path + n + f, name, name_size);
	return find_storage(a, path, n + f + name_size);
}

/* --- tensors --- */

static int add_name(struct archive *a, const char *name)
{
	struct tensor_file *f = a->file;
	size_t size = strlen(name) + 1;
	if (a->names_size + size > a->names_capacity) {
		size_t room = 2 * (a->names_size + size) + 65536;
		char *larger = realloc(f->names, room);
		if (!larger)
			return no_memory(a);
		f->names = larger;
		a->names_capacity = room;
	}
	a->name_at[f->count] = a->names_size;
	memcpy(f->names + a->names_size, name, size);
	a->names_size += size;
	return SUMI_OK;
}

static int grow_entries(struct archive *a)
{
	struct tensor_file *f = a->file;
	if (f->count < a->entry_capacity)
		return SUMI_OK;
	size_t room = a->entry_capacity ? 2 * a->entry_capacity : 256;
	void *entries = realloc(f->entries, room * sizeof *f->entries);
	if (entries)
		f->entries = entries;
	void *names = realloc(a->name_at, room * sizeof *a->name_at);
	if (names)
		a->name_at = names;
	if (!entries || !names)
		return no_memory(a);
	a->entry_capacity = room;
	return SUMI_OK;
}

/* The numbers that a tensor reaches over in its storage, 0 for none, UINT64_MAX beyond counting;
 * *dense: they follow each other. */
static uint64_t span_of(const struct pickle_tensor *t, bool *dense)
{
	uint64_t span = 1, expected = 1;
	*dense = true;
	for (int i = t->rank - 1; i >= 0; i--) {
		uint64_t steps, n = (uint64_t)t->shape[i], stride = (uint64_t)t->stride[i];
		if (n == 0)
			return 0;
		if (n > 1 && stride != expected)
			*dense = false;
		if (__builtin_mul_overflow(n - 1, stride, &steps) ||
		    __builtin_add_overflow(span, steps, &span) ||
		    __builtin_mul_overflow(expected, n, &expected))
			return UINT64_MAX;
	}
	return span;
}

static int add_tensor(void *context, const char *name, const struct pickle_tensor *t,
		      struct error *err)
{
	struct archive *a = context;
	struct tensor_file *f = a->file;
	bool dense;
	uint64_t span = span_of(t, &dense), width = (uint64_t)t->format->bytes;
	struct storage *s = a->is_zip ? find_below(a, "data/", t->storage, t->storage_size)
				      : find_storage(a, t->storage, t->storage_size);
	if (!s)
		return tensors_bad(f, name, err, "its storage is not in the archive");
	int status = locate(a, s);
	if (status || (status = grow_entries(a)))
		return status;
	if (t->storage_elements > s->size / width || t->first > t->storage_elements ||
	    span > t->storage_elements - t->first)
		return tensors_bad(f, name, err,
				   "reaches beyond its storage: it is cut short or damaged");
	if (f->count == TENSORS_MAX)
		return error_set(err, SUMI_CORRUPT, "%s: more than %u tensors", f->path,
				 TENSORS_MAX);
	struct tensor_entry *e = &f->entries[f->count];
	*e = (struct tensor_entry){.name = name, /* until all are known */
				   .format = t->format,
				   .rank = t->rank,
				   .offset = s->offset + t->first * width,
				   .strided = !dense};
	memcpy(e->shape, t->shape, sizeof e->shape);
	memcpy(e->stride, t->stride, sizeof e->stride);
	if ((status = tensors_place(f, e, err)) || (status = add_name(a, name)))
		return status;
	f->count++;
	return SUMI_OK;
}

static int take_tensors(struct archive *a, const struct pickle *p)
{
	struct tensor_file *f = a->file;
	int status = pickle_visit(p, f->path, add_tensor, a, a->err);
	for (size_t i = 0; i < f->count; i++)
		f->entries[i].name = f->names + a->name_at[i];
	if (!status && f->count == 0)
		status = error_set(a->err, SUMI_UNSUPPORTED, "%s: a torch archive without tensors",
				   f->path);
	return status;
}

/* --- zip archives --- */

/* "archive/data.pkl": the folder's name is that which the file had when it was written. */
static struct storage *find_pickle(struct archive *a)
{
	static const char end[] = "/data.pkl";
	size_t n = strlen(end);
	for (size_t i = 0; i < a->count; i++) {
		struct storage *s = &a->storages[i];
		if (s->name_size <= n || memcmp(s->name + s->name_size - n, end, n) != 0)
			continue;
		a->prefix = s->name;
		a->prefix_size = s->name_size - n + 1;
		return s;
	}
	return NULL;
}

static int check_archive(struct archive *a)
{
	char order[3] = "";
	struct storage *s = find_below(a, "", "byteorder", 9);
	if (find_below(a, "", "constants.pkl", 13))
		return error_set(a->err, SUMI_UNSUPPORTED,
				 "%s: is a TorchScript program, which would have to be executed",
				 a->file->path);
	int status = s ? locate(a, s) : SUMI_OK;
	if (!status && s && s->size >= sizeof order)
		status = tensors_read_at(a->file, s->offset, order, sizeof order, a->err);
	if (!status && memcmp(order, "big", sizeof order) == 0)
		return error_set(a->err, SUMI_UNSUPPORTED,
				 "%s: was written by a big-endian machine, which is not supported",
				 a->file->path);
	return status;
}

/* The part of the file that describes the tensors, in file->head. */
static int read_head(struct archive *a, uint64_t at, uint64_t size)
{
	struct tensor_file *f = a->file;
	f->head = malloc((size_t)size + 1);
	if (!f->head)
		return no_memory(a);
	f->head_size = (size_t)size;
	return tensors_read_at(f, at, f->head, (size_t)size, a->err);
}

static int read_zip(struct archive *a)
{
	struct pickle *p = NULL;
	int status = read_directory(a);
	struct storage *s = status ? NULL : find_pickle(a);
	if (!status && !s)
		status = error_set(a->err, SUMI_UNSUPPORTED,
				   "%s: is a zip archive, but not one of torch: unpack it",
				   a->file->path);
	if (!status && !(status = check_archive(a)))
		status = locate(a, s);
	if (!status && s->size > PICKLE_BYTES_MAX)
		status = corrupt(a, "its pickle is larger than 8 MiB");
	if (!status)
		status = read_head(a, s->offset, s->size);
	if (!status)
		status = pickle_read((unsigned char *)a->file->head, a->file->head_size,
				     a->file->path, &p, NULL, a->err);
	if (!status)
		status = take_tensors(a, p);
	pickle_free(p);
	return status;
}

/* --- of before 2020 --- */

/* The number 0x1950a86a20f9469cfc6c as a pickle. */
static const unsigned char legacy_magic[] = {0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9,
					     0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

static int add_storage(void *context, const char *key, size_t key_size, uint64_t width,
		       struct error *err)
{
	struct archive *a = context;
	(void)err;
	a->storages[a->count++] =
	    (struct storage){.name = key, .name_size = key_size, .size = width, .stored = true};
	return SUMI_OK;
}

/* Storages follow each other, each behind its number of elements. */
static int place_storage(void *context, const char *key, size_t key_size, struct error *err)
{
	struct archive *a = context;
	struct tensor_file *f = a->file;
	unsigned char count[8];
	uint64_t size = (uint64_t)f->stat.st_size, bytes;
	struct storage *s = find_storage(a, key, key_size);
	if (!s || s->located)
		return corrupt(a, "its list names a storage that no tensor has, or one twice");
	if (size - f->data < sizeof count)
		return corrupt(a, "a storage lies beyond its end: it is cut short");
	int status = tensors_read_at(f, f->data, count, sizeof count, err);
	if (status)
		return status;
	s->offset = f->data + sizeof count;
	if (__builtin_mul_overflow(little(count, 8), s->size, &bytes) || bytes > size - s->offset)
		return corrupt(a, "a storage lies beyond its end: it is cut short");
	s->size = bytes;
	s->located = true;
	f->data = s->offset + bytes;
	return SUMI_OK;
}

/* Several tensors share a storage. */
static void drop_doubles(struct archive *a)
{
	size_t kept = 0;
	qsort(a->storages, a->count, sizeof *a->storages, by_name);
	for (size_t i = 0; i < a->count; i++)
		if (!kept || by_name(&a->storages[kept - 1], &a->storages[i]) != 0)
			a->storages[kept++] = a->storages[i];
	a->count = kept;
}

static int place_storages(struct archive *a, const struct pickle *tensors,
			  const struct pickle *keys)
{
	a->storages = calloc(pickle_storages(tensors, NULL, NULL, NULL) + 1, sizeof *a->storages);
	if (!a->storages)
		return no_memory(a);
	pickle_storages(tensors, add_storage, a, a->err);
	if (a->count)
		drop_doubles(a);
	return pickle_visit_texts(keys, a->file->path, place_storage, a, a->err);
}

static int read_legacy(struct archive *a)
{
	struct tensor_file *f = a->file;
	struct pickle *p[LEGACY_PICKLES] = {NULL};
	uint64_t size = (uint64_t)f->stat.st_size;
	size_t at = 0, used = 0;
	int status = read_head(a, 0, size < PICKLE_BYTES_MAX ? size : PICKLE_BYTES_MAX);
	for (int i = 0; i < LEGACY_PICKLES && !status; i++, at += used)
		status = pickle_read((unsigned char *)f->head + at, f->head_size - at, f->path,
				     &p[i], &used, a->err);
	f->data = at;
	if (!status)
		status = place_storages(a, p[3], p[4]);
	if (!status)
		status = take_tensors(a, p[3]);
	f->head_size = status ? 0 : at;
	f->data = at;
	for (int i = 0; i < LEGACY_PICKLES; i++)
		pickle_free(p[i]);
	return status;
}

/* --- the reader --- */

static bool is_zip(const unsigned char *start, size_t size)
{
	return size >= 4 && memcmp(start, "PK\3\4", 4) == 0;
}

/* A header's length may begin in the same way, hence the look at its brace. */
static bool is_pickle(const unsigned char *start, size_t size)
{
	return size > 1 && start[0] == 0x80 && start[1] >= 2 && start[1] <= 5 &&
	       (size <= 8 || start[8] != '{');
}

static bool is_torch(const unsigned char *start, size_t size)
{
	return is_zip(start, size) || is_pickle(start, size);
}

static bool is_legacy(struct archive *a, int *status)
{
	unsigned char start[2 + sizeof legacy_magic];
	if ((uint64_t)a->file->stat.st_size < sizeof start)
		return false;
	*status = tensors_read_at(a->file, 0, start, sizeof start, a->err);
	return !*status && memcmp(start + 2, legacy_magic, sizeof legacy_magic) == 0;
}

static int read_file(struct tensor_file *file, struct error *err)
{
	struct archive a = {.file = file, .err = err};
	unsigned char start[4] = {0};
	int status = tensors_read_at(file, 0, start, sizeof start, err);
	if (!status && is_zip(start, sizeof start))
		status = read_zip(&a);
	else if (!status && is_legacy(&a, &status))
		status = read_legacy(&a);
	else if (!status)
		status =
		    error_set(err, SUMI_UNSUPPORTED,
			      "%s: is a pickle, but not one that torch.save() writes", file->path);
	free(a.name_at);
	free(a.storages);
	free(a.directory);
	if (status)
		file->count = 0;
	return status;
}

const struct tensor_reader torch_reader = {"torch archive", is_torch, read_file};

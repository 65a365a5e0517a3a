/* Reading GGUF files (github.com/ggml-org/ggml, docs/gguf.md), versions 2 and 3: keys with values,
 * tensors' names, dimensions (innermost first), formats and places, then their bytes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/utf8.h"
#include "weights/tensors_internal.h"

enum {
	STEP = 256 << 10,       /* bytes that are read at a time */
	HEAD_LIMIT = 128 << 20, /* language models carry vocabularies of some MiB */
	KEYS_MAX = 65536,
	NAME_MAX_BYTES = 255,
	ALIGNMENT_USUAL = 32,
	ALIGNMENT_MAX = 1 << 20,
	DEPTH_MAX = 4,                /* arrays in arrays */
	TENSOR_LEAST = 8 + 4 + 4 + 8, /* bytes that describe a tensor */
	ORIGINALS_MAX = TENSORS_MAX,
};

enum value_type {
	TYPE_U32 = 4,
	TYPE_STRING = 8,
	TYPE_ARRAY = 9,
	TYPES = 13,
};

/* By type; 0: of its own length. */
static const unsigned char value_bytes[TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

/* A shape from before a tensor was flattened into whole blocks (ComfyUI-GGUF). */
#define ORIGINAL "comfy.gguf.orig_shape."
struct original {
	size_t name, size; /* in the head */
	int rank;
	int64_t shape[TENSOR_RANK_MAX];
};

struct gguf {
	struct tensor_file *file;
	size_t have, at; /* bytes of the head that were read; where we are */
	uint64_t alignment;
	struct original *originals;
	size_t original_count;
	size_t *name_at; /* by entry: where its name stands in file->names */
	size_t names_size, names_capacity;
	struct error *err;
	int status;
};

/* --- the head, read as far as it is needed --- */

static void fail(struct gguf *g, const char *reason)
{
	if (!g->status)
		g->status = error_set(g->err, SUMI_CORRUPT, "%s: byte %zu of the GGUF header: %s",
				      g->file->path, g->at, reason);
}

/* The next size bytes, or NULL with g->status set. Valid until the next call. */
static const unsigned char *take(struct gguf *g, uint64_t size)
{
	struct tensor_file *f = g->file;
	uint64_t rest = (uint64_t)f->stat.st_size - g->at;
	if (g->status)
		return NULL;
	if (size > rest) {
		fail(g, "the file ends there: it is cut short or damaged");
		return NULL;
	}
	if (size > HEAD_LIMIT || g->at + size > HEAD_LIMIT) {
		fail(g, "the header is larger than 128 MiB");
		return NULL;
	}
	if (g->at + size > g->have) {
		size_t want = g->at + (size_t)size + STEP, all = (size_t)f->stat.st_size;
		want = want > all ? all : want;
		char *larger = realloc(f->head, want);
		if (!larger) {
			g->status = error_set(g->err, SUMI_NOMEM, "%s: out of memory", f->path);
			return NULL;
		}
		f->head = larger;
		g->status = tensors_read_at(f, g->have, f->head + g->have, want - g->have, g->err);
		if (g->status)
			return NULL;
		g->have = want;
	}
	g->at += (size_t)size;
	return (unsigned char *)f->head + g->at - size;
}

static uint64_t number(struct gguf *g, int bytes)
{
	const unsigned char *p = take(g, (uint64_t)bytes);
	uint64_t value = 0;
	for (int i = bytes - 1; p && i >= 0; i--)
		value = value << 8 | p[i];
	return value;
}

/* A text's length; its bytes are next. */
static uint64_t text_size(struct gguf *g, uint64_t most)
{
	uint64_t size = number(g, 8);
	if (!g->status && size > most)
		fail(g, "a text is too long");
	return g->status ? 0 : size;
}

/* --- keys and values --- */

static void skip_value(struct gguf *g, uint32_t type, int depth)
{
	if (type >= TYPES || depth > DEPTH_MAX) {
		fail(g, "a value of an unknown type");
	} else if (type == TYPE_STRING) {
		take(g, text_size(g, HEAD_LIMIT));
	} else if (type == TYPE_ARRAY) {
		uint32_t of = (uint32_t)number(g, 4);
		uint64_t count = number(g, 8);
		if (!g->status && count > HEAD_LIMIT)
			fail(g, "a list is too long");
		if (of < TYPES && value_bytes[of])
			take(g, count * value_bytes[of]);
		else
			for (uint64_t i = 0; i < count && !g->status; i++)
				skip_value(g, of, depth + 1);
	} else {
		take(g, value_bytes[type]);
	}
}

/* A list of whole numbers of four or eight bytes; the key's name stands at `key`. */
static void read_original(struct gguf *g, size_t key, size_t key_size)
{
	size_t prefix = strlen(ORIGINAL);
	uint32_t of = (uint32_t)number(g, 4);
	uint64_t count = number(g, 8);
	bool whole = of < TYPES && (of == 4 || of == 5 || of == 10 || of == 11);
	if (!g->status &&
	    (!whole || count < 1 || count > TENSOR_RANK_MAX || g->original_count == ORIGINALS_MAX))
		fail(g, "'" ORIGINAL "…' must list 1 to 8 whole numbers");
	if (g->status)
		return;
	struct original *all = grow_by_count(g->originals, g->original_count, sizeof *all);
	if (!all) {
		g->status = error_set(g->err, SUMI_NOMEM, "%s: out of memory", g->file->path);
		return;
	}
	g->originals = all;
	struct original *o = &g->originals[g->original_count++];
	*o = (struct original){.name = key + prefix, .size = key_size - prefix, .rank = (int)count};
	for (int i = 0; i < o->rank; i++) {
		uint64_t n = number(g, value_bytes[of]);
		if (n > INT32_MAX)
			fail(g, "an original shape has a dimension beyond 2^31");
		o->shape[i] = (int64_t)n;
	}
}

static bool key_is(const struct gguf *g, size_t at, size_t size, const char *name, bool prefix)
{
	size_t n = strlen(name);
	return (prefix ? size > n : size == n) && memcmp(g->file->head + at, name, n) == 0;
}

static void read_key(struct gguf *g)
{
	size_t size = (size_t)text_size(g, 65535), at = g->at;
	take(g, size);
	uint32_t type = (uint32_t)number(g, 4);
	if (g->status)
		return;
	if (key_is(g, at, size, "general.alignment", false) && type == TYPE_U32) {
		g->alignment = number(g, 4);
		if (!g->status && (g->alignment < 1 || g->alignment > ALIGNMENT_MAX ||
				   (g->alignment & (g->alignment - 1)) != 0))
			fail(g, "'general.alignment' must be a power of two up to 2^20");
	} else if (key_is(g, at, size, ORIGINAL, true) && type == TYPE_ARRAY) {
		read_original(g, at, size);
	} else {
		skip_value(g, type, 0);
	}
}

/* --- tensors --- */

static void keep_name(struct gguf *g, size_t index, size_t size)
{
	struct tensor_file *f = g->file;
	const unsigned char *text = take(g, size);
	if (!text)
		return;
	if (!utf8_valid((const char *)text, size) || memchr(text, 0, size) || !size) {
		fail(g, "a tensor's name is not UTF-8");
		return;
	}
	if (g->names_size + size + 1 > g->names_capacity) {
		size_t room = 2 * (g->names_size + size + 1) + STEP;
		char *larger = realloc(f->names, room);
		if (!larger) {
			g->status = error_set(g->err, SUMI_NOMEM, "%s: out of memory", f->path);
			return;
		}
		f->names = larger;
		g->names_capacity = room;
	}
	g->name_at[index] = g->names_size;
	memcpy(f->names + g->names_size, text, size);
	f->names[g->names_size + size] = '\0';
	g->names_size += size + 1;
}

static void read_tensor(struct gguf *g, size_t index)
{
	struct tensor_entry *e = &g->file->entries[index];
	keep_name(g, index, (size_t)text_size(g, NAME_MAX_BYTES));
	uint32_t rank = (uint32_t)number(g, 4);
	if (!g->status && rank > TENSOR_RANK_MAX)
		fail(g, "a tensor has more than 8 dimensions");
	if (g->status)
		return;
	e->rank = (int)rank;
	for (int i = e->rank - 1; i >= 0; i--) {
		uint64_t n = number(g, 8);
		if (n > INT64_MAX)
			fail(g, "a tensor's dimension is beyond 2^63");
		e->shape[i] = (int64_t)n;
	}
	uint32_t format = (uint32_t)number(g, 4);
	e->offset = number(g, 8);
	e->format = tensor_format_of_gguf(format);
	if (!g->status && !e->format)
		g->status = error_set(g->err, SUMI_UNSUPPORTED,
				      "%s: tensor '%.100s': GGML type %" PRIu32 " is not known",
				      g->file->path, g->file->names + g->name_at[index], format);
	if (!g->status && e->rank && e->shape[e->rank - 1] % e->format->elements != 0)
		g->status = error_set(g->err, SUMI_CORRUPT,
				      "%s: tensor '%.100s': rows of %" PRId64
				      " do not hold blocks of %d numbers (%s)",
				      g->file->path, g->file->names + g->name_at[index],
				      e->shape[e->rank - 1], e->format->elements, e->format->name);
}

/* The data begins at the next multiple of the alignment; offsets count from there. */
static void place_tensors(struct gguf *g)
{
	struct tensor_file *f = g->file;
	uint64_t rest = g->at % g->alignment;
	f->data = g->at + (rest ? g->alignment - rest : 0);
	/* A file without tensors need not reach there. */
	if (f->data > (uint64_t)f->stat.st_size)
		f->data = (uint64_t)f->stat.st_size;
	for (size_t i = 0; i < f->count && !g->status; i++) {
		struct tensor_entry *e = &f->entries[i];
		e->name = f->names + g->name_at[i];
		if (e->offset % g->alignment != 0 ||
		    __builtin_add_overflow(e->offset, f->data, &e->offset))
			g->status = tensors_bad(f, e->name, g->err,
						"its place is no multiple of the alignment");
		else
			g->status = tensors_place(f, e, g->err);
	}
}

static int by_place(const void *a, const void *b)
{
	const struct tensor_entry *x = a, *y = b;
	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static void check_overlaps(struct gguf *g)
{
	struct tensor_file *f = g->file;
	if (f->count && !g->status)
		qsort(f->entries, f->count, sizeof *f->entries, by_place);
	for (size_t i = 1; i < f->count && !g->status; i++) {
		const struct tensor_entry *a = &f->entries[i - 1], *b = &f->entries[i];
		if (a->offset + a->bytes > b->offset)
			g->status = error_set(g->err, SUMI_CORRUPT,
					      "%s: tensor '%.100s': overlaps tensor '%.100s'",
					      f->path, b->name, a->name);
	}
}

/* Flattened weights get their shape back; blocks run over all of it. */
static void restore_shapes(struct gguf *g)
{
	struct tensor_file *f = g->file;
	if (!g->status)
		g->status = tensors_sort(f, g->err);
	for (size_t i = 0; i < g->original_count && !g->status; i++) {
		const struct original *o = &g->originals[i];
		char name[NAME_MAX_BYTES + 1];
		uint64_t elements = 1;
		snprintf(name, sizeof name, "%.*s", (int)o->size, f->head + o->name);
		struct tensor_entry *e = (struct tensor_entry *)tensors_find(f, name);
		if (!e)
			continue;
		for (int d = 0; d < o->rank; d++)
			if (__builtin_mul_overflow(elements, (uint64_t)o->shape[d], &elements))
				elements = UINT64_MAX;
		if (elements != tensor_elements(e)) {
			g->status = tensors_bad(f, e->name, g->err,
						"'" ORIGINAL "' has another number of elements");
			break;
		}
		e->rank = o->rank;
		memcpy(e->shape, o->shape, sizeof e->shape);
	}
}

/* --- the reader --- */

static bool is_gguf(const unsigned char *start, size_t size)
{
	return size >= 4 && memcmp(start, "GGUF", 4) == 0;
}

static void read_header(struct gguf *g)
{
	struct tensor_file *f = g->file;
	take(g, 4);
	uint32_t version = (uint32_t)number(g, 4);
	if (!g->status && version != 2 && version != 3) {
		bool swapped = version && !(version & 0xFFFF);
		g->status = error_set(g->err, SUMI_UNSUPPORTED,
				      "%s: GGUF version %" PRIu32 "%s, versions 2 and 3 are read",
				      f->path, version, swapped ? " (a big-endian file?)" : "");
	}
	uint64_t tensors = number(g, 8), keys = number(g, 8);
	if (!g->status && (tensors > TENSORS_MAX || keys > KEYS_MAX ||
			   tensors > (uint64_t)f->stat.st_size / TENSOR_LEAST))
		g->status = error_set(g->err, SUMI_CORRUPT,
				      "%s: the GGUF header claims %" PRIu64 " tensors and %" PRIu64
				      " keys, at most %u of each are allowed",
				      f->path, tensors, keys, TENSORS_MAX);
	if (g->status)
		return;
	for (uint64_t i = 0; i < keys && !g->status; i++)
		read_key(g);
	f->entries = calloc((size_t)tensors + 1, sizeof *f->entries);
	g->name_at = calloc((size_t)tensors + 1, sizeof *g->name_at);
	if (!g->status && (!f->entries || !g->name_at))
		g->status = error_set(g->err, SUMI_NOMEM, "%s: out of memory", f->path);
	for (size_t i = 0; i < tensors && !g->status; i++)
		read_tensor(g, i);
	if (g->status)
		return;
	f->count = (size_t)tensors;
	f->head_size = g->at;
	place_tensors(g);
	check_overlaps(g);
	restore_shapes(g);
}

static int read_file(struct tensor_file *file, struct error *err)
{
	struct gguf g = {.file = file, .alignment = ALIGNMENT_USUAL, .err = err};
	read_header(&g);
	free(g.originals);
	free(g.name_at);
	if (g.status)
		file->count = 0;
	return g.status;
}

const struct tensor_reader gguf_reader = {"GGUF", is_gguf, read_file};

/* A part's tensors under the names and in the numbers that the network asks for. */
#include "weights/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/grow.h"
#include "base/half.h"
#include "weights/checkpoint.h"
#include "weights/scaled.h"
#include "weights/source.h"

/* Numbers that are expanded at a time. */
enum { CHUNK = 1 << 16 };

/* Where a network's tensor comes from. The public part comes first, so that one can be had from
 * the other. */
struct mapped {
	struct weight_tensor t;
	struct weight_change *changes; /* owned, in their order */
	size_t change_count;
	const struct tensor_file *file;
	const struct tensor_entry *entry;
	struct scale scale;
	uint64_t first; /* number of the entry that it begins with */
	bool transposed;
	bool used;
	bool ignored;
	const char *name; /* the entry's, or own_name */
	char *own_name;   /* owned; NULL: the file has this name too */
};

struct weights {
	char folder[FILES_PATH_MAX];
	struct source source;
	struct mapped *tensors; /* in the order of their names */
	size_t count, capacity;
	struct packed_store *store; /* borrowed */
};

/* --- building the list --- */

static int by_name(const void *a, const void *b)
{
	const struct mapped *x = a, *y = b;
	return strcmp(x->name, y->name);
}

static struct mapped *add_tensor(struct weights *w, const struct tensor_entry *e, const char *name)
{
	struct mapped *all = grow_room(w->tensors, w->count, &w->capacity, 256, sizeof *all);
	if (!all)
		return NULL;
	w->tensors = all;
	struct mapped *m = &w->tensors[w->count];
	*m = (struct mapped){.name = e->name};
	if (strcmp(name, e->name) != 0 && !(m->name = m->own_name = strdup(name)))
		return NULL;
	w->count++;
	return m;
}

/* Bytes as weights_read() gives them. */
static int measure(struct mapped *m, struct error *err)
{
	uint64_t elements = 1, bytes;
	for (int i = 0; i < m->t.rank; i++)
		elements *= (uint64_t)m->t.shape[i]; /* at most those of the entry */
	if (__builtin_mul_overflow(elements, (uint64_t)dtype_size(m->t.dtype), &bytes) ||
	    bytes > SIZE_MAX / 2)
		return error_set(err, SUMI_CORRUPT, "%s: tensor '%.100s' is too large",
				 tensors_path(m->file), m->entry->name);
	m->t.bytes = (size_t)bytes;
	return SUMI_OK;
}

/* Blocks run along the numbers as they stand in the file: those of a 3×3 kernel hold several taps
 * and parts of two channels, which no device can use where they lie, so they are expanded. What is
 * turned or a view is too. */
static void find_stored(struct mapped *m)
{
	const struct tensor_format *f = m->entry->format;
	const struct block_format *stored = format_info(f->stored);
	struct weight_tensor *t = &m->t;
	bool one_tap = true;
	for (int i = 2; i < t->rank; i++)
		one_tap = one_tap && t->shape[i] == 1;
	t->stored = t->dtype;
	t->stored_bytes = t->bytes;
	if (!t->usable || f->expand || f->stored == f->dtype || m->transposed ||
	    m->entry->strided || t->rank < 2 || m->first % (uint64_t)stored->block != 0 ||
	    (stored->block > 1 && (!one_tap || t->shape[1] % stored->block != 0)))
		return;
	t->stored = f->stored;
	t->scaled = m->scale.entry != NULL;
	t->stored_bytes = format_row_bytes(f->stored, t->bytes / dtype_size(t->dtype));
}

/* One of the tensors that an entry becomes. */
static int describe(struct weights *w, struct mapped *m, const struct tensor_entry *e,
		    const struct renamed *as, int part, struct error *err)
{
	const struct tensor_format *f = e->format;
	m->entry = e;
	m->file = source_file(&w->source, e);
	m->ignored = as->ignored;
	m->t = (struct weight_tensor){.name = m->name,
				      .format = f->name,
				      .usable = f->usable,
				      .dtype = f->dtype,
				      .rank = e->rank};
	memcpy(m->t.shape, e->shape, sizeof m->t.shape);
	if (as->parts > 1) {
		if (e->rank < 1 || e->shape[0] % as->parts != 0)
			return error_set(err, SUMI_CORRUPT,
					 "%s: tensor '%.100s' does not split into q, k and v",
					 tensors_path(m->file), e->name);
		m->t.shape[0] /= as->parts;
		m->first = (uint64_t)part * (tensor_elements(e) / (uint64_t)as->parts);
	}
	if (as->transposed && e->rank == 2) {
		m->transposed = true;
		m->t.shape[0] = e->shape[1];
		m->t.shape[1] = e->shape[0];
	}
	int status = scale_find(&w->source, e, &m->scale, err);
	m->t.unscaled = m->scale.needed && !m->scale.entry;
	if (m->t.unscaled)
		m->t.usable = false;
	if (!status)
		status = measure(m, err);
	if (!status)
		find_stored(m);
	return status;
}

/* Names that stay as they are: of adapters, of parts that no table knows. */
static void keep_name(const char *name, struct renamed *out)
{
	*out = (struct renamed){.parts = 0};
	if (strlen(name) >= LAYOUT_NAME_MAX)
		return;
	strcpy(out->names[0], name);
	out->parts = 1;
}

/* The components of a source, of which a name belongs to the first that knows it. */
struct components {
	struct component all[LAYOUT_COMPONENTS_MAX];
	int count;
};

static int add_entry(struct weights *w, const struct components *c, const struct tensor_entry *e,
		     struct error *err)
{
	struct renamed as = {.parts = 0};
	int status = SUMI_OK;
	if (scale_belongs(&w->source, e))
		return SUMI_OK;
	for (int i = 0; i < c->count && !as.parts; i++)
		component_rename(&c->all[i], e->name, &as);
	if (!as.parts && !*w->source.part)
		keep_name(e->name, &as);
	for (int i = 0; i < as.parts && !status; i++) {
		struct mapped *m = add_tensor(w, e, as.names[i]);
		status = m ? describe(w, m, e, &as, i, err)
			   : error_set(err, SUMI_NOMEM, "%s: out of memory", w->folder);
	}
	return status;
}

static int build_list(struct weights *w, struct error *err)
{
	struct components c;
	int status = checkpoint_components(&w->source, w->folder, c.all, &c.count, err);
	for (size_t i = 0; i < w->source.list.count && !status; i++)
		status = add_entry(w, &c, w->source.list.entries[i], err);
	for (int i = 0; i < c.count; i++)
		component_free(&c.all[i]);
	if (status)
		return status;
	if (w->count)
		qsort(w->tensors, w->count, sizeof *w->tensors, by_name);
	for (size_t i = 1; i < w->count; i++)
		if (strcmp(w->tensors[i - 1].name, w->tensors[i].name) == 0)
			return error_set(err, SUMI_CORRUPT,
					 "%s: tensors '%.100s' and '%.100s' are the same of the "
					 "model",
					 w->folder, w->tensors[i - 1].entry->name,
					 w->tensors[i].entry->name);
	return SUMI_OK;
}

int weights_open(const char *path, struct weights **out, struct error *err)
{
	*out = NULL;
	struct weights *w = calloc(1, sizeof *w);
	if (!w)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	int status = files_path(w->folder, err, "%s", path);
	if (!status)
		status = source_open(path, &w->source, err);
	if (!status)
		status = build_list(w, err);
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
		scale_free(&w->tensors[i].scale);
		free(w->tensors[i].own_name);
		free(w->tensors[i].changes);
	}
	free(w->tensors);
	source_close(&w->source);
	free(w);
}

/* --- looking up --- */

const struct weight_tensor *weights_find(struct weights *w, const char *name)
{
	struct mapped key = {.name = name};
	struct mapped *m =
	    w->count ? bsearch(&key, w->tensors, w->count, sizeof key, by_name) : NULL;
	if (!m)
		return NULL;
	m->used = true;
	return &m->t;
}

const struct weight_tensor *weights_at(const struct weights *w, size_t index)
{
	return &w->tensors[index].t;
}

static const struct mapped *mapped_of(const struct weight_tensor *tensor)
{
	return (const struct mapped *)tensor;
}

const char *weights_path_of(const struct weight_tensor *tensor)
{
	return tensors_path(mapped_of(tensor)->file);
}

const char *weights_folder(const struct weights *w)
{
	return w->folder;
}

const char *weights_config(const struct weights *w)
{
	return w && *w->source.part ? "its config (told from tensors; \"config\" in NAME.sumi.json "
				      "beside it sets fields)"
				    : "config.json";
}

size_t weights_tensors(const struct weights *w)
{
	return w->count;
}

void weights_keep(struct weights *w, struct packed_store *store)
{
	w->store = store;
}

const struct packed_store *weights_store(const struct weights *w)
{
	return w->store;
}

uint64_t weights_bytes(const struct weights *w)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < w->count; i++)
		bytes += w->tensors[i].t.stored_bytes;
	return bytes;
}

int weights_check(const struct weights *w, struct error *err)
{
	int status = SUMI_OK;
	for (size_t i = 0; i < w->source.file_count && !status; i++)
		status = tensors_check(w->source.files[i], err);
	return status;
}

void weights_identity(const struct weights *w, struct bytes_writer *out, int64_t *changed_ms)
{
	*changed_ms = 0;
	if (*w->source.part)
		bytes_put(out, w->source.part, sizeof w->source.part);
	for (size_t i = 0; i < w->source.file_count; i++) {
		int64_t ms = tensors_identity(w->source.files[i], out);
		if (ms > *changed_ms)
			*changed_ms = ms;
	}
}

bool weights_unchanged(const struct weights *w)
{
	for (size_t i = 0; i < w->source.file_count; i++)
		if (!tensors_unchanged(w->source.files[i]))
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
	const struct mapped *first = NULL;
	size_t unused = 0;
	for (size_t i = 0; i < w->count; i++) {
		const struct mapped *m = &w->tensors[i];
		if (m->used || m->ignored || strncmp(m->name, prefix, strlen(prefix)) != 0 ||
		    is_constant(m->name))
			continue;
		if (unused++ == 0)
			first = m;
	}
	if (unused == 0)
		return SUMI_OK;
	return error_set(err, SUMI_INVALID,
			 "%s: tensor '%.100s' (one of %zu) has no place in the model that %s "
			 "describes: the config belongs to other weights",
			 tensors_path(first->file), first->entry->name, unused, weights_config(w));
}

/* --- changes --- */

int weights_change(struct weights *w, size_t index, const struct weight_change *change,
		   struct error *err)
{
	struct mapped *m = &w->tensors[index];
	void *larger = realloc(m->changes, (m->change_count + 1) * sizeof *m->changes);
	if (!larger)
		return error_set(err, SUMI_NOMEM, "out of memory while loading '%s'", m->name);
	m->changes = larger;
	m->changes[m->change_count++] = *change;
	m->t.changed = true;
	/* The changed numbers are none of f16, bf16 or a block any more. */
	m->t.dtype = DTYPE_F32;
	int status = measure(m, err);
	m->t.stored = m->t.dtype;
	m->t.stored_bytes = m->t.bytes;
	m->t.scaled = false;
	return status;
}

const struct weight_change *weights_changes(const struct weight_tensor *tensor, size_t *count)
{
	const struct mapped *m = (const struct mapped *)tensor;
	*count = m->change_count;
	return m->changes;
}

bool weights_changed(const struct weights *w)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->tensors[i].change_count)
			return true;
	return false;
}

/* --- reading --- */

/* All of an entry as float32, in new memory that the caller frees. */
static int entry_floats(const struct mapped *m, float **out, struct error *err)
{
	size_t count = (size_t)tensor_elements(m->entry);
	unsigned char *raw = malloc(m->entry->bytes + 1);
	*out = malloc(count * sizeof **out + 1);
	int status = raw && *out ? tensors_read(m->file, m->entry, raw, err)
				 : error_set(err, SUMI_NOMEM, "out of memory while loading '%s'",
					     m->entry->name);
	if (!status)
		tensor_format_floats(m->entry->format, raw, count, *out);
	if (status) {
		free(*out);
		*out = NULL;
	}
	free(raw);
	return status;
}

/* count numbers from `at` of a tensor that is not transposed; `raw` has room for their blocks.
 * at and count are multiples of a block, save for the last count. */
static int chunk_floats(const struct mapped *m, uint64_t at, size_t count, unsigned char *raw,
			float *out, struct error *err)
{
	const struct tensor_format *f = m->entry->format;
	size_t blocks = count / (size_t)f->elements;
	int status = tensors_read_part(m->file, m->entry,
				       (size_t)(at / (uint64_t)f->elements) * (size_t)f->bytes, raw,
				       blocks * (size_t)f->bytes, err);
	if (!status)
		tensor_format_floats(f, raw, count, out);
	return status;
}

/* What takes the numbers of a tensor, in their order. */
struct sink {
	enum dtype dtype;
	unsigned char *out;
	const struct mapped *m;
	size_t at; /* numbers that were put */
};

static void put_as_they_are(struct sink *s, const float *values, size_t count)
{
	if (s->dtype == DTYPE_F32)
		memcpy(s->out + 4 * s->at, values, 4 * count);
	for (size_t i = 0; i < count && s->dtype != DTYPE_F32; i++) {
		uint16_t half = half_from_float(values[i]);
		if (s->dtype == DTYPE_BF16) { /* it was one: the upper half is all of it */
			uint32_t bits;
			memcpy(&bits, &values[i], 4);
			half = (uint16_t)(bits >> 16);
		}
		memcpy(s->out + 2 * (s->at + i), &half, 2);
	}
	s->at += count;
}

static void put_numbers(struct sink *s, float *values, size_t count)
{
	scale_apply(&s->m->scale, values, s->m->first + s->at, count);
	put_as_they_are(s, values, count);
}

/* Views, transposed ones, and slices that begin within a block: by way of the whole entry. */
static int read_whole(const struct mapped *m, struct sink *s, size_t count, struct error *err)
{
	float *all, row[256];
	int status = entry_floats(m, &all, err);
	if (status)
		return status;
	size_t columns = m->transposed ? (size_t)m->entry->shape[1] : 1;
	size_t rows = m->transposed ? (size_t)m->entry->shape[0] : 1;
	for (size_t i = 0; i < count;) {
		size_t n = 0;
		for (; n < sizeof row / sizeof *row && i < count; n++, i++)
			row[n] =
			    m->transposed ? all[i % rows * columns + i / rows] : all[m->first + i];
		put_numbers(s, row, n);
	}
	free(all);
	return SUMI_OK;
}

static int read_chunks(const struct mapped *m, struct sink *s, size_t count, struct error *err)
{
	const struct tensor_format *f = m->entry->format;
	if (m->transposed || m->entry->strided || m->first % (uint64_t)f->elements ||
	    count % (size_t)f->elements)
		return read_whole(m, s, count, err);
	unsigned char *raw = malloc(CHUNK / (size_t)f->elements * (size_t)f->bytes);
	float *values = malloc(CHUNK * sizeof *values);
	int status = raw && values ? SUMI_OK
				   : error_set(err, SUMI_NOMEM, "out of memory while loading '%s'",
					       m->entry->name);
	for (size_t done = 0; done < count && !status; done += CHUNK) {
		size_t n = count - done < CHUNK ? count - done : CHUNK;
		status = chunk_floats(m, m->first + done, n, raw, values, err);
		if (!status)
			put_numbers(s, values, n);
	}
	free(values);
	free(raw);
	return status;
}

/* The numbers of the file, changed in the order of the changes. */
static int read_numbers(const struct mapped *m, struct sink *s, size_t count, struct error *err)
{
	if (!m->change_count)
		return read_chunks(m, s, count, err);
	float *all = malloc(count * sizeof *all + 1);
	struct sink plain = {.dtype = DTYPE_F32, .out = (unsigned char *)all, .m = m};
	int status = all ? read_chunks(m, &plain, count, err)
			 : error_set(err, SUMI_NOMEM, "out of memory while loading '%s'", m->name);
	for (size_t i = 0; i < m->change_count && !status; i++) {
		const struct weight_change *c = &m->changes[i];
		status = c->apply(c, &m->t, all, count, err);
	}
	if (!status)
		put_as_they_are(s, all, count);
	free(all);
	return status;
}

int weights_read_floats(const struct weight_tensor *tensor, float *out, size_t count,
			struct error *err)
{
	struct sink s = {.dtype = DTYPE_F32, .out = (unsigned char *)out, .m = mapped_of(tensor)};
	return read_numbers(s.m, &s, count, err);
}

/* The first of n numbers of which the bits of the exponent are all set, or n. Whole blocks are looked at without a
 * branch for each: files are large. */
#define NOT_FINITE(bits)                                                                                  \
	static size_t not_finite_##bits(const uint##bits##_t *at, size_t n, uint##bits##_t exponent)        \
	{                                                                                                 \
		enum { BLOCK = 1024 };                                                                    \
		size_t i = 0;                                                                             \
		for (; n - i >= BLOCK; i += BLOCK) {                                                      \
			uint##bits##_t any = 0;                                                           \
			for (size_t k = 0; k < BLOCK; k++)                                                \
				any = (uint##bits##_t)(any | ((at[i + k] & exponent) == exponent));         \
			if (any)                                                                          \
				break;                                                                    \
		}                                                                                         \
		while (i < n && (at[i] & exponent) != exponent)                                           \
			i++;                                                                              \
		return i;                                                                                 \
	}
NOT_FINITE(16)
NOT_FINITE(32)

int weights_check_finite(const struct weight_tensor *tensor, enum dtype dtype, const void *values, size_t count,
			 struct error *err)
{
	size_t i = dtype == DTYPE_F32	 ? not_finite_32(values, count, 0x7f800000)
		   : dtype == DTYPE_F16	 ? not_finite_16(values, count, 0x7c00)
		   : dtype == DTYPE_BF16 ? not_finite_16(values, count, 0x7f80)
					 : count;
	if (i == count)
		return SUMI_OK;
	return error_set(err, SUMI_INVALID,
			 tensor->changed ? "%s: with what its LoRAs add, a number of tensor '%.100s' is NaN or infinite (value "
					   "%zu): give them less weight"
					 : "%s: a number of tensor '%.100s' is NaN or infinite (value %zu): the file is broken, "
					   "take another copy of it",
			 weights_path_of(tensor), tensor->name, i);
}

const json_t *weights_metadata(const struct weights *w)
{
	return w->source.file_count ? tensors_metadata(w->source.files[0]) : NULL;
}

/* Whole numbers, least byte first. */
static const struct {
	const char *format;
	int bytes;
	bool negative; /* the highest bit is the sign */
} wholes[] = {{"I64", 8, true},  {"I32", 4, true},  {"I16", 2, true}, {"I8", 1, true},	  {"U64", 8, false},
	      {"U32", 4, false}, {"U16", 2, false}, {"U8", 1, false}, {"BOOL", 1, false}};

int weights_read_number(const struct weight_tensor *tensor, double *out, struct error *err)
{
	const struct mapped *m = mapped_of(tensor);
	float real = 0;
	for (size_t i = 0; i < sizeof wholes / sizeof wholes[0]; i++) {
		uint8_t bytes[8];
		uint64_t value = 0;
		if (strcmp(tensor->format, wholes[i].format) != 0)
			continue;
		int n = wholes[i].bytes, status = tensors_read_part(m->file, m->entry, 0, bytes, (size_t)n, err);
		for (int k = 0; k < n && !status; k++)
			value |= (uint64_t)bytes[k] << 8 * k;
		if (n < 8 && wholes[i].negative && value >> (8 * n - 1))
			value -= UINT64_C(1) << 8 * n;
		*out = wholes[i].negative ? (double)(int64_t)value : (double)value;
		return status;
	}
	if (!tensor->usable)
		return error_set(err, SUMI_UNSUPPORTED, "%s: tensor '%.100s' is of the dtype %s",
				 tensors_path(m->file), tensor->name, tensor->format);
	int status = weights_read_floats(tensor, &real, 1, err);
	*out = (double)real;
	return status;
}

int weights_read(const struct weight_tensor *tensor, void *out, struct error *err)
{
	const struct mapped *m = mapped_of(tensor);
	size_t width = dtype_size(tensor->dtype), count = tensor->bytes / width;
	bool as_it_is =
	    tensor_format_is_plain(m->entry->format) && !m->scale.entry && !m->transposed &&
	    !m->change_count;
	if (as_it_is && m->entry->strided && !m->first)
		return tensors_read(m->file, m->entry, out, err);
	if (as_it_is && !m->entry->strided)
		return tensors_read_part(m->file, m->entry, (size_t)m->first * width, out,
					 tensor->bytes, err);
	struct sink s = {.dtype = tensor->dtype, .out = out, .m = m};
	return read_numbers(m, &s, count, err);
}

int weights_read_stored(const struct weight_tensor *tensor, void *out, struct error *err)
{
	const struct mapped *m = mapped_of(tensor);
	if (tensor->stored == tensor->dtype)
		return weights_read(tensor, out, err);
	return tensors_read_part(m->file, m->entry,
				 format_row_bytes(tensor->stored, (size_t)m->first), out,
				 tensor->stored_bytes, err);
}

void weights_scales(const struct weight_tensor *tensor, float *out)
{
	const struct mapped *m = mapped_of(tensor);
	size_t rows = (size_t)tensor->shape[0];
	size_t row = rows ? tensor->bytes / dtype_size(tensor->dtype) / rows : 0;
	for (size_t i = 0; i < rows; i++) {
		out[i] = 1;
		scale_apply(&m->scale, &out[i], m->first + i * row, 1);
	}
}

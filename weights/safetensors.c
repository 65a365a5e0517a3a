/* Reading safetensors files (github.com/huggingface/safetensors, "Format"): an 8-byte
 * little-endian header length, a JSON header, then the tensors' bytes without gaps. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "weights/tensors_internal.h"

/* Headers of checkpoints are below 1 MiB; but LoRAs carry texts of any length. What parsing takes
 * goes by the tensors. */
#define HEADER_LIMIT (16u << 20)
#define TENSOR_MEMORY 2048u
#define PREFIX_SIZE 8

/* --- checking the header --- */

static int read_shape(const struct tensor_file *st, struct tensor_entry *e, const json_t *shape,
		      struct error *err)
{
	if (!json_is_array(shape))
		return tensors_bad(st, e->name, err, "'shape' must be a list");
	if (json_array_size(shape) > TENSOR_RANK_MAX)
		return tensors_bad(st, e->name, err, "has more than 8 dimensions");
	e->rank = (int)json_array_size(shape);
	for (int i = 0; i < e->rank; i++) {
		const json_t *n = json_array_get(shape, (size_t)i);
		if (!json_is_integer(n) || json_integer_value(n) < 0)
			return tensors_bad(st, e->name, err,
					   "'shape' must hold whole numbers from 0");
		e->shape[i] = json_integer_value(n);
	}
	return SUMI_OK;
}

static int read_entry(struct tensor_file *st, const char *name, const json_t *value,
		      struct error *err)
{
	struct tensor_entry *e = &st->entries[st->count];
	e->name = name;
	if (!json_is_object(value))
		return tensors_bad(st, name, err, "must be described by a JSON object");
	const json_t *word = json_object_get(value, "dtype");
	bool whole = json_is_string(word) && strlen(json_string_value(word)) == json_string_length(word);
	e->format = whole ? tensor_format_named(json_string_value(word)) : NULL;
	if (!e->format)
		return error_set(err, SUMI_CORRUPT, "%s: tensor '%.100s': unknown dtype '%.20s'",
				 st->path, name,
				 json_is_string(word) ? json_string_value(word) : "(no text)");
	int status = read_shape(st, e, json_object_get(value, "shape"), err);
	if (status)
		return status;
	const json_t *offsets = json_object_get(value, "data_offsets");
	const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
	if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last))
		return tensors_bad(st, name, err, "'data_offsets' must be two whole numbers");
	json_int_t begin = json_integer_value(first), end = json_integer_value(last);
	if (begin < 0 || end < begin)
		return tensors_bad(st, name, err, "'data_offsets' run backwards");
	uint64_t data_size = (uint64_t)st->stat.st_size - st->data;
	if ((uint64_t)end > data_size)
		return error_set(err, SUMI_CORRUPT,
				 "%s: tensor '%.100s': ends at byte %" PRId64
				 " of the data, the file "
				 "holds %" PRIu64 ": it is cut short or damaged",
				 st->path, name, (int64_t)end, data_size);
	e->offset = st->data + (uint64_t)begin;
	if ((status = tensors_measure(st, e, err)))
		return status;
	if (e->bytes != (size_t)(end - begin)) {
		char shape[80];
		return error_set(err, SUMI_CORRUPT,
				 "%s: tensor '%.100s': %s of shape %s does not fill its %" PRId64
				 " bytes",
				 st->path, name, e->format->name,
				 tensor_shape_text(e->shape, e->rank, shape, sizeof shape),
				 (int64_t)(end - begin));
	}
	st->count++;
	return SUMI_OK;
}

static int by_place(const void *a, const void *b)
{
	const struct tensor_entry *x = a, *y = b;
	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* The format allows neither overlaps nor holes: bytes that belong to no tensor could hide
 * anything, or be the rest of an interrupted copy. */
static int check_places(struct tensor_file *st, struct error *err)
{
	if (st->count)
		qsort(st->entries, st->count, sizeof *st->entries, by_place);
	uint64_t end = st->data, size = (uint64_t)st->stat.st_size;
	for (size_t i = 0; i < st->count; i++) {
		const struct tensor_entry *e = &st->entries[i];
		if (e->offset < end)
			return error_set(err, SUMI_CORRUPT,
					 "%s: tensor '%.100s': overlaps tensor '%.100s'", st->path,
					 e->name, st->entries[i - 1].name);
		if (e->offset > end)
			return error_set(err, SUMI_CORRUPT,
					 "%s: tensor '%.100s': %" PRIu64
					 " bytes before it belong to no tensor",
					 st->path, e->name, e->offset - end);
		end = e->offset + e->bytes;
	}
	if (end != size)
		return error_set(err, SUMI_CORRUPT,
				 "%s: %" PRIu64 " bytes at the end of the file belong to no tensor",
				 st->path, size - end);
	return SUMI_OK;
}

/* --- reading --- */

/* Length and header into st->head. */
static int read_head(struct tensor_file *st, struct error *err)
{
	unsigned char start[PREFIX_SIZE];
	size_t size = (size_t)st->stat.st_size;
	if (size < PREFIX_SIZE)
		return error_set(err, SUMI_CORRUPT,
				 "%s: %zu bytes are too few for a safetensors file", st->path,
				 size);
	int status = tensors_read_at(st, 0, start, sizeof start, err);
	if (status)
		return status;
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
	st->data = st->head_size;
	st->head = malloc(st->head_size);
	if (!st->head)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", st->path);
	return tensors_read_at(st, 0, st->head, st->head_size, err);
}

static int parse_header(struct tensor_file *st, struct error *err)
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
	/* Trainers write comments of people into its metadata. */
	if (json_read_bounded_nul(header, length, memory, st->path, &st->header, err)) {
		if (err)
			err->status = SUMI_CORRUPT;
		return SUMI_CORRUPT;
	}
	if (!json_is_object(st->header))
		return error_set(err, SUMI_CORRUPT, "%s: the header must be a JSON object",
				 st->path);
	return SUMI_OK;
}

static int read_entries(struct tensor_file *st, struct error *err)
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

static bool is_any(const unsigned char *start, size_t size)
{
	(void)start, (void)size;
	return true;
}

static int read_file(struct tensor_file *st, struct error *err)
{
	int status = read_head(st, err);
	if (!status)
		status = parse_header(st, err);
	if (status)
		return status;
	const json_t *metadata = json_object_get(st->header, "__metadata__");
	st->metadata = json_is_object(metadata) ? metadata : NULL;
	return read_entries(st, err);
}

const struct tensor_reader safetensors_reader = {"safetensors", is_any, read_file};

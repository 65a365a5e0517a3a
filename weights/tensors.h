/* One file of tensors, whatever its format: safetensors, GGUF, a torch archive. What it is is told
 * from its bytes, never from its name.
 *
 * A file is hostile until it is checked: tensors_open() verifies all that describes the tensors
 * against the file's size, so that every entry it hands out lies inside the file and has as many
 * bytes as format and shape say. Nothing in a file is ever executed. */
#ifndef SUMI_WEIGHTS_TENSORS_H
#define SUMI_WEIGHTS_TENSORS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "weights/formats.h"

#define TENSOR_RANK_MAX 8

struct tensor_file;

struct tensor_entry {
	const char *name; /* UTF-8 */
	const struct tensor_format *format;
	int rank;                       /* 0: a single number */
	int64_t shape[TENSOR_RANK_MAX]; /* outermost first */
	uint64_t offset;                /* in the file */
	size_t bytes;
	bool strided;                    /* a view: its numbers do not follow each other */
	int64_t stride[TENSOR_RANK_MAX]; /* elements, from 0; only of a view */
};

/* Opens and checks a file. Everything that the entries point to is owned by the handle.
 * SUMI_CORRUPT with the file, the tensor and the reason for a malformed one; SUMI_UNSUPPORTED with
 * what it is for a file of another kind (a page of HTML, a Git LFS pointer, a pickle that wants
 * more than tensors). */
int tensors_open(const char *path, struct tensor_file **out, struct error *err);
void tensors_close(struct tensor_file *file); /* NULL is fine */

const char *tensors_path(const struct tensor_file *file);
const char *tensors_kind(const struct tensor_file *file); /* "safetensors", "GGUF", … */
size_t tensors_count(const struct tensor_file *file);

/* What the file says of itself: the "__metadata__" of safetensors, or NULL. */
const json_t *tensors_metadata(const struct tensor_file *file);

/* Entries in the order of their names' bytes. */
const struct tensor_entry *tensors_at(const struct tensor_file *file, size_t index);

/* The entry of that name, or NULL. */
const struct tensor_entry *tensors_find(const struct tensor_file *file, const char *name);

/* Reads an entry's bytes [entry->bytes] into out. SUMI_IO where the file has become shorter
 * since it was opened. */
int tensors_read(const struct tensor_file *file, const struct tensor_entry *entry, void *out,
		 struct error *err);

/* The same for size bytes from `at` of an entry that is not strided. */
int tensors_read_part(const struct tensor_file *file, const struct tensor_entry *entry, size_t at,
		      void *out, size_t size, struct error *err);

/* SUMI_IO where somebody wrote to the open file since then: what was read before may be a
 * mixture of two files. */
int tensors_check(const struct tensor_file *file, struct error *err);

/* Appends what changes when the file's content does, without reading all of it: inode, size,
 * times of change, a hash of what describes the tensors and one of blocks spread over the data.
 * ctime cannot be set, so a copy that keeps mtime and size is noticed too. Returns the time of the
 * last change in ms since 1970: a file that was changed just now may change again within the
 * clock's grain. */
int64_t tensors_identity(const struct tensor_file *file, struct bytes_writer *out);

/* Whether the file at that path is still the one that was opened, as it was then. */
bool tensors_unchanged(const struct tensor_file *file);

uint64_t tensor_elements(const struct tensor_entry *entry);

/* Writes "[320, 4, 3, 3]"; a long shape is cut. Returns out. */
const char *tensor_shape_text(const int64_t *shape, int rank, char *out, size_t size);

#endif

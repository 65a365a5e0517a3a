/* Reading safetensors files (github.com/huggingface/safetensors, "Format"): an 8-byte
 * little-endian header length, a JSON header, then the tensors' bytes without gaps.
 *
 * A file is hostile until it is checked: safetensors_open() verifies the whole header
 * against the file's size, so that every entry it hands out lies inside the file, has
 * as many bytes as dtype and shape say, and overlaps no other. */
#ifndef SUMI_WEIGHTS_SAFETENSORS_H
#define SUMI_WEIGHTS_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/backend.h"
#include "base/bytes.h"

#define SAFETENSORS_RANK_MAX 8

struct safetensors;

struct safetensors_entry {
	const char *name;   /* UTF-8 */
	const char *format; /* the dtype's name in the file: "F16", "I64" */
	bool usable;        /* F32, F16 or BF16: dtype says which */
	enum dtype dtype;
	int rank;                            /* 0: a single number */
	int64_t shape[SAFETENSORS_RANK_MAX]; /* outermost first */
	size_t offset, bytes;                /* in the file's data */
};

/* Opens and checks a file. Everything that the entries point to is owned by the handle.
 * SUMI_CORRUPT with the file, the tensor and the reason for a malformed one;
 * SUMI_UNSUPPORTED with the command that converts for a pickle (.bin, .ckpt, .pth, .pt). */
int safetensors_open(const char *path, struct safetensors **out, struct error *err);
void safetensors_close(struct safetensors *st); /* NULL is fine */

const char *safetensors_path(const struct safetensors *st);
size_t safetensors_count(const struct safetensors *st);

/* Entries in the order of their names' bytes. */
const struct safetensors_entry *safetensors_at(const struct safetensors *st, size_t index);

/* The entry of that name, or NULL. */
const struct safetensors_entry *safetensors_find(const struct safetensors *st, const char *name);

/* Reads an entry's bytes [entry->bytes] into out. SUMI_IO where the file has become shorter
 * since it was opened. */
int safetensors_read(const struct safetensors *st, const struct safetensors_entry *entry, void *out,
		     struct error *err);

/* SUMI_IO where somebody wrote to the open file since then: what was read before may be a
 * mixture of two files. */
int safetensors_check(const struct safetensors *st, struct error *err);

/* Appends what changes when the file's content does, without reading all of it: inode, size,
 * times of change, the header's hash and one of blocks spread over the data. ctime cannot be
 * set, so a copy that keeps mtime and size is noticed too. Returns the time of the last change
 * in ms since 1970: a file that was changed just now may change again within the clock's grain. */
int64_t safetensors_identity(const struct safetensors *st, struct bytes_writer *out);

/* Whether the file at that path is still the one that was opened, as it was then. */
bool safetensors_unchanged(const struct safetensors *st);

/* Writes "[320, 4, 3, 3]"; a long shape is cut. Returns out. */
const char *safetensors_shape_text(const struct safetensors_entry *entry, char *out, size_t size);

/* Whether a file's name is one that pickles have. */
bool safetensors_is_pickle_name(const char *path);

/* Fills err with the refusal of a pickle and the command that converts it. */
int safetensors_refuse_pickle(const char *path, struct error *err);

#endif

/* The part of Python's pickle format that files of tensors need, read as data. Numbers, texts,
 * tuples, lists, dictionaries, and of classes only those of a short table; nothing is ever
 * executed, and whatever else a stream wants is refused by its name. */
#ifndef SUMI_WEIGHTS_PICKLE_H
#define SUMI_WEIGHTS_PICKLE_H

#include <stddef.h>
#include <stdint.h>

#include "weights/tensors.h"

/* A stream takes so many times its bytes while it is read. */
#define PICKLE_BYTES_MAX (8u << 20)

/* What a stream says of one tensor. */
struct pickle_tensor {
	const char *storage; /* the key of its storage, not terminated; borrowed from the stream */
	size_t storage_size;
	const struct tensor_format *format;
	uint64_t storage_elements, first;
	int rank;
	int64_t shape[TENSOR_RANK_MAX], stride[TENSOR_RANK_MAX]; /* from 0 */
};

struct pickle;

/* Reads one stream from data [size]; *used becomes its length (NULL is fine). The result borrows
 * data. path is for messages. SUMI_UNSUPPORTED names the class or the opcode that is not read,
 * SUMI_CORRUPT the byte that contradicts. The caller frees *out with pickle_free(). */
int pickle_read(const unsigned char *data, size_t size, const char *path, struct pickle **out,
		size_t *used, struct error *err);
void pickle_free(struct pickle *p); /* NULL is fine */

/* Calls visit() for each tensor in the dictionaries of the stream. Of a checkpoint that wraps its
 * tensors ("state_dict", "params_ema", "string_to_param", …) only those within count; in others,
 * names of dictionaries within are joined by dots. A visit() that fails ends it. */
int pickle_visit(const struct pickle *p, const char *path,
		 int (*visit)(void *context, const char *name, const struct pickle_tensor *tensor,
			      struct error *err),
		 void *context, struct error *err);

/* How many storages the stream refers to, and a call of visit() for each (NULL: none) with its key
 * and the bytes of one of its numbers. */
size_t pickle_storages(const struct pickle *p,
		       int (*visit)(void *context, const char *key, size_t key_size, uint64_t width,
				    struct error *err),
		       void *context, struct error *err);

/* Calls visit() for the texts of a list, which is all that the stream holds. */
int pickle_visit_texts(const struct pickle *p, const char *path,
		       int (*visit)(void *context, const char *text, size_t size,
				    struct error *err),
		       void *context, struct error *err);

#endif

/* How the numbers of a tensor stand in a file, by the names and numbers that files have for it.
 * What the blocks of each hold is backends/format.h's. */
#ifndef SUMI_WEIGHTS_FORMATS_H
#define SUMI_WEIGHTS_FORMATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/format.h"

struct tensor_format {
	const char *name;    /* as files and messages have it: "F16", "Q4_K" */
	int elements, bytes; /* of one block; plain formats have blocks of one element */
	bool usable;         /* weights can be made of it */
	/* What its numbers are in memory. Where it differs from `stored`, or expand() is there,
	 * they are expanded and rounded; vectors and tables of numbers become float32 in any case.
	 */
	enum dtype dtype;
	enum dtype stored; /* what the bytes are, unless expand() reads them */
	void (*expand)(const unsigned char *blocks, size_t count, float *out);
};

/* Whether the bytes of a file are those that weights are made of. */
bool tensor_format_is_plain(const struct tensor_format *format);

/* By its name in safetensors files; by its number in GGUF files; NULL where there is none. */
const struct tensor_format *tensor_format_named(const char *name);
const struct tensor_format *tensor_format_of_gguf(uint32_t number);

/* Bytes of so many elements, or -1: they do not fill blocks, or cannot be counted. */
int64_t tensor_format_bytes(const struct tensor_format *format, uint64_t elements);

/* count elements as float32, whatever the (usable) format; whole blocks only. */
void tensor_format_floats(const struct tensor_format *format, const void *data, size_t count,
			  float *out);

#endif

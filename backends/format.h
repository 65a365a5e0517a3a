/* Formats of numbers as they stand in files and on devices: plain ones, and blocks of a row's
 * neighbours that share their scales. A row of a weight holds whole blocks. */
#ifndef SUMI_BACKENDS_FORMAT_H
#define SUMI_BACKENDS_FORMAT_H

#include <stddef.h>

/* Activations are F32 or F16; the rest is for weights. The blocks are those of GGUF. */
enum dtype {
	DTYPE_F32,
	DTYPE_F16,
	DTYPE_BF16,
	DTYPE_F8_E4M3, /* "fn": without infinities */
	DTYPE_F8_E5M2,
	DTYPE_I8, /* whole numbers, which mean something with a weight's scales */
	DTYPE_Q8_0,
	DTYPE_Q4_0,
	DTYPE_Q4_1,
	DTYPE_Q5_0,
	DTYPE_Q5_1,
	DTYPE_Q2_K,
	DTYPE_Q3_K,
	DTYPE_Q4_K,
	DTYPE_Q5_K,
	DTYPE_Q6_K,
	DTYPE_IQ4_NL,
	DTYPE_IQ4_XS,
	DTYPES
};

struct block_format {
	const char *name; /* "f16", "q4_K" */
	int block;        /* elements of a block; 1: a plain number */
	int bytes;        /* of a block */
	/* `blocks` of them to block·blocks floats. */
	void (*expand)(const unsigned char *data, size_t blocks, float *out);
};

/* A row of the table, or NULL: dtype is none of enum dtype. */
const struct block_format *format_info(enum dtype dtype);

/* Bytes of n elements that follow each other; 0: they are no whole blocks, or too many. */
size_t format_row_bytes(enum dtype dtype, size_t n);

/* n elements, a whole number of blocks, to float32; data needs no alignment. Equal to the bit to
 * what the gguf package's dequantize gives for blocks, and PyTorch for 8-bit floats. */
void format_expand(enum dtype dtype, const void *data, size_t n, float *out);

/* Bytes of one element of a plain format. */
size_t dtype_size(enum dtype dtype);

#endif

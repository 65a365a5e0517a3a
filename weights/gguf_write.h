/* Writing GGUF: a part's tensors, large matrices rounded to blocks. */
#ifndef SUMI_WEIGHTS_GGUF_WRITE_H
#define SUMI_WEIGHTS_GGUF_WRITE_H

#include "weights/quantise.h"
#include "weights/weights.h"

struct gguf_report {
	size_t quantised, kept; /* tensors */
	uint64_t bytes;         /* of the file */
};

/* Writes path (whole or not at all) with the tensors of source under the network's names, factors of
 * rows multiplied in. Matrices whose rows are
 * whole blocks are quantised; vectors stay float32, the rest becomes float16, as other programs do it. */
int gguf_write(const struct weights *source, const struct quantiser *q, const char *path,
	       struct gguf_report *report, struct error *err);

#endif

/* Rounding numbers to blocks: as the gguf package does it, to the byte, where that is one division a
 * block. K types search for their scales, and no two programs alike. Numbers are finite. */
#ifndef SUMI_WEIGHTS_QUANTISE_H
#define SUMI_WEIGHTS_QUANTISE_H

#include <stdint.h>

#include "backends/format.h"
#include "base/status.h"

struct quantiser {
	const char *name; /* "q8_0" */
	enum dtype dtype;
	uint32_t gguf; /* its number in GGUF files */
	/* One block of numbers. */
	void (*block)(const float *x, unsigned char *out);
	const char *otherwise; /* what rows that are no whole blocks are rounded to, or NULL */
};

/* By its name in any case; SUMI_INVALID lists those that there are. */
int quantiser_named(const char *name, const struct quantiser **out, struct error *err);

/* q, or what stands in for it, for rows of so many columns; NULL: neither has whole blocks there. */
const struct quantiser *quantiser_for_rows(const struct quantiser *q, size_t columns);

/* n numbers, whole blocks, to format_row_bytes(q->dtype, n) bytes. */
void quantise(const struct quantiser *q, const float *x, size_t n, unsigned char *out);

#endif

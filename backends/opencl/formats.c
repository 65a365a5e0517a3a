/* Formats of weights for kernels: what they are built with, and how blocks lie in panels. */
#include <stdio.h>
#include <string.h>

#include "backends/opencl/matrix.h"

/* Those that common.cl loads alone. */
static bool is_plain(enum dtype dtype)
{
	return dtype == DTYPE_F32 || dtype == DTYPE_F16 || dtype == DTYPE_BF16;
}

bool cl_takes_format(const struct device *d, enum dtype dtype, int kernel)
{
	(void)d;
	return kernel == 1 || format_info(dtype)->block == 1;
}

int cl_format_kernel(struct cl_device *d, const struct format_kernel *k, cl_kernel *kernel,
		     struct error *err)
{
	char options[512], files[128];
	bool plain = true;
	size_t used = (size_t)snprintf(options, sizeof options, "%s", k->options);
	for (int i = 0; i < 2 && k->formats[i].word; i++) {
		const char *word = k->formats[i].word;
		const struct block_format *f = format_info(k->formats[i].dtype);
		used += (size_t)snprintf(options + used, sizeof options - used, " -D %s=%s", word,
					 f->name);
		if (f->block > 1)
			used += (size_t)snprintf(options + used, sizeof options - used,
						 " -D %s_BLOCK=%d -D %s_BYTES=%d", word, f->block,
						 word, f->bytes);
		plain = plain && is_plain(k->formats[i].dtype);
	}
	if (!plain)
		snprintf(options + used, sizeof options - used, " -D WIDE=%d -D COLUMNS=%d",
			 k->wide, k->columns);
	snprintf(files, sizeof files, "%s%s", plain ? "" : "formats.cl+", k->files);
	return cl_kernel_get(d, files, k->name, options, kernel, err);
}

/* --- packing --- */

/* The constant of formats.cl with that beginning for the format. */
static size_t constant(const char *beginning, const struct block_format *f)
{
	char name[48];
	snprintf(name, sizeof name, "%s_%s", beginning, f->name);
	return (size_t)matrix_constant("formats.cl", name);
}

void cl_pack_blocks(const struct block_format *f, const unsigned char *source, size_t blocks,
		    unsigned char *out, const int *channels, size_t columns)
{
	size_t bytes = (size_t)f->bytes, count = constant("HALVES", f);
	size_t first = constant("HALVES_AT", f), last = first + 2 * count;
	for (size_t b = 0; b < blocks; b++, out += bytes * columns)
		for (size_t c = 0; c < columns; c++) {
			if (channels[c] < 0)
				continue;
			const unsigned char *from =
			    source + ((size_t)channels[c] * blocks + b) * bytes;
			unsigned char *to = out + 2 * count * columns + c;
			for (size_t i = 0; i < count; i++)
				memcpy(out + 2 * (i * columns + c), from + first + 2 * i, 2);
			for (size_t i = 0; i < first; i++, to += columns)
				*to = from[i];
			for (size_t i = last; i < bytes; i++, to += columns)
				*to = from[i];
		}
}

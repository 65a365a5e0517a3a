/* What the targets of all formats of tensor files do with one: what is handed out lies within the
 * file, has the bytes that it says, and is found by its name. */
#ifndef SUMI_TESTS_FUZZ_READ_TENSORS_H
#define SUMI_TESTS_FUZZ_READ_TENSORS_H

#include <stdlib.h>

#include "tests/fuzz/fuzz.h"
#include "weights/tensors.h"

static inline int fuzz_read_tensors(const char *path)
{
	struct tensor_file *file = NULL;
	struct error err = {0};
	unsigned sum = 0;
	int status = tensors_open(path, &file, &err);
	fuzz_outcome(status, &err);
	for (size_t i = 0; !status && i < tensors_count(file); i++) {
		const struct tensor_entry *e = tensors_at(file, i);
		fuzz_require(tensors_find(file, e->name) == e, "an entry is found by name");
		unsigned char *bytes = malloc(e->bytes + 1);
		fuzz_require(bytes && !tensors_read(file, e, bytes, &err), "it can be read");
		fuzz_require(tensor_format_bytes(e->format, tensor_elements(e)) ==
				 (int64_t)e->bytes,
			     "it has as many bytes as its shape says");
		for (size_t k = 0; k < e->bytes; k++)
			sum += bytes[k];
		uint64_t n = tensor_elements(e);
		float *numbers = e->format->usable ? malloc((size_t)n * sizeof *numbers + 1) : NULL;
		if (numbers)
			tensor_format_floats(e->format, bytes, (size_t)n, numbers);
		free(numbers);
		free(bytes);
	}
	tensors_close(file);
	return sum == 0x7FFFFFFF;
}

#endif

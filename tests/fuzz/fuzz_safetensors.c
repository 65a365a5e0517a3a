/* The header of a safetensors file: what is handed out lies within the file. */
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"
#include "weights/tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tensor_file *st = NULL;
	struct error err = {0};
	unsigned sum = 0;
	int status = tensors_open(fuzz_file("x.safetensors", data, size), &st, &err);
	fuzz_outcome(status, &err);
	for (size_t i = 0; !status && i < tensors_count(st); i++) {
		const struct tensor_entry *e = tensors_at(st, i);
		fuzz_require(tensors_find(st, e->name) != NULL, "an entry is found by name");
		unsigned char *bytes = malloc(e->bytes + 1);
		fuzz_require(bytes && !tensors_read(st, e, bytes, &err), "it can be read");
		for (size_t k = 0; k < e->bytes; k++)
			sum += bytes[k];
		free(bytes);
	}
	tensors_close(st);
	return sum == 0x7FFFFFFF;
}

/* The header of a safetensors file: what is handed out lies within the file. */
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"
#include "weights/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct safetensors *st = NULL;
	struct error err = {0};
	unsigned sum = 0;
	int status = safetensors_open(fuzz_file("x.safetensors", data, size), &st, &err);
	fuzz_outcome(status, &err);
	for (size_t i = 0; !status && i < safetensors_count(st); i++) {
		const struct safetensors_entry *e = safetensors_at(st, i);
		fuzz_require(safetensors_find(st, e->name) != NULL, "an entry is found by name");
		unsigned char *bytes = malloc(e->bytes + 1);
		fuzz_require(bytes && !safetensors_read(st, e, bytes, &err), "it can be read");
		for (size_t k = 0; k < e->bytes; k++)
			sum += bytes[k];
		free(bytes);
	}
	safetensors_close(st);
	return sum == 0x7FFFFFFF;
}

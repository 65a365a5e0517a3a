/* GGUF files. */
#include "tests/fuzz/read_tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_read_tensors(fuzz_file("x.gguf", data, size));
}

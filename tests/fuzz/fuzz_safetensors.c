/* The header of a safetensors file. */
#include "tests/fuzz/read_tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_read_tensors(fuzz_file("x.safetensors", data, size));
}

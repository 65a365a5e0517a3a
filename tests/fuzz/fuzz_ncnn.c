/* A model of ncnn: the text, and the numbers beside it. */
#include "tests/fuzz/read_tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_part rest = {data, size};
	struct fuzz_part text = fuzz_next(&rest);
	fuzz_file("m.bin", rest.data, rest.size);
	return fuzz_read_tensors(fuzz_file("m.param", text.data, text.size)) ? -1 : 0;
}

/* glTF binaries: how they were made. */
#include "media/landscape.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct file_texts texts = {0};
	fuzz_outcome(gltf_read_texts(data, size, "x.glb", &texts, &err), &err);
	texts_free(&texts);
	return 0;
}

/* glTF binaries: how they were made, and what they show. */
#include "media/landscape.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct file_texts texts = {0};
	fuzz_outcome(gltf_read_texts(data, size, "x.glb", &texts, &err), &err);
	texts_free(&texts);
	struct landscape_read l;
	uint8_t rgb[16 * 12 * 3];
	err = (struct error){0};
	int status = gltf_read_landscape(data, size, "x.glb", &l, &err);
	fuzz_outcome(status, &err);
	if (!status)
		fuzz_outcome(relief_draw(&l.land, 0.5, 16, 12, rgb, &err), &err);
	landscape_read_free(&l);
	return 0;
}

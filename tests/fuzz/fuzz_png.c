/* PNG: pixels and texts. */
#include <stdlib.h>

#include "media/mask.h"
#include "media/png.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct file_texts texts = {0};
	uint8_t *rgb = NULL;
	int width, height;
	struct picture_info info;
	fuzz_outcome(png_picture_info(data, size, "x.png", &info, &err), &err);
	fuzz_outcome(png_decode(data, size, "x.png", &rgb, &width, &height, &err), &err);
	fuzz_outcome(png_read_texts(data, size, "x.png", &texts, &err), &err);
	texts_free(&texts);
	free(rgb);
	for (int from = MASK_LIGHT; from <= MASK_DRAWN; from++) {
		uint8_t *mask = NULL;
		fuzz_outcome(mask_decode(data, size, "x.png", (enum mask_from)from, &mask, &width,
					 &height, &err),
			     &err);
		free(mask);
	}
	return 0;
}

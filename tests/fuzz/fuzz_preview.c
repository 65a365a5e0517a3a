/* Previews, which any sender may put among a job's events. */
#include <stdlib.h>

#include "cli/preview.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *rgb = NULL;
	int width = 0, height = 0;
	struct error err = {0};
	int status = preview_decode(data, size, &rgb, &width, &height, &err);
	fuzz_outcome(status, &err);
	fuzz_require(status || (rgb && width > 0 && height > 0), "a picture has pixels");
	free(rgb);
	return 0;
}

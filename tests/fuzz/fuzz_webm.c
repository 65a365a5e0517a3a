/* WebM: tags and the first picture. */
#include <stdlib.h>

#include "media/webm.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct file_texts texts = {0};
	uint8_t *rgb = NULL;
	int width, height;
	fuzz_outcome(webm_first_picture(data, size, "x.webm", &rgb, &width, &height, &err), &err);
	free(rgb);
	fuzz_outcome(webm_read_texts(data, size, "x.webm", &texts, &err), &err);
	texts_free(&texts);
	return 0;
}

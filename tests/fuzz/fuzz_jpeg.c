/* JPEG: headers, orientation, pixels, what it says of its making. */
#include <stdlib.h>

#include "media/jpeg.h"
#include "media/texts_jpeg.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct picture_info info = {0};
	struct file_texts texts = {0};
	struct error why = {0};
	uint8_t *rgb = NULL;
	int width, height, status = jpeg_picture_info(data, size, "x.jpg", &info, &err);
	fuzz_outcome(status, &err);
	fuzz_outcome(jpeg_read_texts(data, size, "x.jpg", &texts, &why), &why);
	texts_free(&texts);
	if (status || (size_t)info.width * (size_t)info.height > 1 << 20)
		return 0;
	if (info.orientation < 1 || info.orientation > 8)
		abort();
	fuzz_outcome(jpeg_decode(data, size, "x.jpg", &rgb, &width, &height, &err), &err);
	free(rgb);
	return 0;
}

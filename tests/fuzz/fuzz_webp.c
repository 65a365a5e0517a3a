/* WebP: frames and packets. */
#include <stdlib.h>

#include "media/webp.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct file_texts texts = {0};
	struct webp_reader *reader = NULL;
	struct picture_info picture;
	fuzz_outcome(webp_picture_info(data, size, "x.webp", &picture, &err), &err);
	int status = webp_reader_new(data, size, "x.webp", &reader, &err);
	fuzz_outcome(status, &err);
	if (!status) {
		const struct webp_info *info = webp_reader_info(reader);
		size_t bytes = (size_t)info->width * (size_t)info->height * 3;
		uint8_t *rgb = bytes <= 1 << 22 ? malloc(bytes) : NULL;
		for (int i = 0; rgb && i < 4 && !status; i++) {
			status = webp_reader_next(reader, rgb, NULL, &err);
			fuzz_outcome(status, &err);
		}
		free(rgb);
	}
	webp_reader_free(reader);
	fuzz_outcome(webp_read_texts(data, size, "x.webp", &texts, &err), &err);
	texts_free(&texts);
	return 0;
}

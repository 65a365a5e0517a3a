/* XMP (first byte even) and EXIF packets. */
#include "media/exif.h"
#include "media/xmp.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct file_texts texts = {0};
	if (size == 0)
		return 0;
	fuzz_outcome(data[0] & 1 ? exif_read(data + 1, size - 1, &texts, &err)
				 : xmp_read((const char *)data + 1, size - 1, &texts, &err),
		     &err);
	texts_free(&texts);
	return 0;
}

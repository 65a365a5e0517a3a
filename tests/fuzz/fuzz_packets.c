/* XMP (first byte even) and EXIF packets. */
#include "media/metadata.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct metadata m = {0};
	if (size == 0)
		return 0;
	fuzz_outcome(data[0] & 1 ? metadata_read_exif(data + 1, size - 1, &m, &err)
				 : metadata_read_xmp((const char *)data + 1, size - 1, &m, &err),
		     &err);
	metadata_free(&m);
	return 0;
}

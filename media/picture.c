/* Pictures as numbers. */
#include "media/picture.h"

void picture_to_bytes(const float *in, uint8_t *out, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		float v = in[i] * 255.0f;
		out[i] = v >= 255.0f ? 255 : v > 0.0f ? (uint8_t)(v + 0.5f) : 0;
	}
}

int picture_check_size(uint64_t width, uint64_t height, const char *where, struct error *err)
{
	if (width == 0 || height == 0)
		return error_set(err, SUMI_CORRUPT, "%s: holds a picture of %llux%llu pixels", where,
				 (unsigned long long)width, (unsigned long long)height);
	if (width <= PICTURE_SIDE_MAX && height <= PICTURE_SIDE_MAX &&
	    width * height <= PICTURE_PIXELS_MAX)
		return SUMI_OK;
	return error_set(err, SUMI_TOOBIG,
			 "%s: has %llux%llu pixels: a side may have %d, the picture %u", where,
			 (unsigned long long)width, (unsigned long long)height, PICTURE_SIDE_MAX,
			 PICTURE_PIXELS_MAX);
}

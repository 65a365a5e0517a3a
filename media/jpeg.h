/* JPEG: baseline and progressive, grey, YCbCr, RGB, CMYK and YCCK read; baseline written. */
#ifndef SUMI_MEDIA_JPEG_H
#define SUMI_MEDIA_JPEG_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "media/metadata.h"
#include "media/picture.h"

/* What the headers say, within the limits of pictures. SUMI_CORRUPT, SUMI_TOOBIG,
 * SUMI_UNSUPPORTED for kinds that libjpeg does not decode. */
int jpeg_picture_info(const void *data, size_t size, const char *where, struct picture_info *info,
	      struct error *err);

/* To 8-bit RGB, a new buffer [height, width, 3] that the caller frees. A file that is cut off is
 * SUMI_CORRUPT: nothing is made up for what it lacks. */
int jpeg_decode(const void *data, size_t size, const char *where, uint8_t **rgb, int *width,
		int *height, struct error *err);

/* rgb [height, width, 3]; quality: 0 to 100. meta may be NULL; its texts become an XMP packet and the infotext EXIF's
 * UserComment. Same input, same bytes. SUMI_TOOBIG where sumi's own JSON is beyond the 64 KiB that a segment holds.
 * The caller frees *data. */
int jpeg_encode(const uint8_t *rgb, int width, int height, int quality, const struct metadata *meta,
		uint8_t **data, size_t *size, struct error *err);

#endif

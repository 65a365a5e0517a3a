/* The texts of a JPEG file. */
#ifndef SUMI_MEDIA_TEXTS_JPEG_H
#define SUMI_MEDIA_TEXTS_JPEG_H

#include <stddef.h>

#include "base/status.h"
#include "media/texts.h"

/* Adds what XMP, EXIF and comments (COM) hold. Segments are read up to the first scan; SUMI_CORRUPT
 * where one of them is damaged or cut off. */
int jpeg_read_texts(const void *data, size_t size, const char *where,
		struct file_texts *texts, struct error *err);

#endif

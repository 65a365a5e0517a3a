/* Metadata of a JPEG file, read into struct metadata. */
#ifndef SUMI_MEDIA_METADATA_JPEG_H
#define SUMI_MEDIA_METADATA_JPEG_H

#include <stddef.h>

#include "base/status.h"
#include "media/metadata.h"

/* Adds to m an infotext from EXIF's UserComment or from a comment (COM), and what XMP holds. Texts of
 * other programs, which have no "Steps: ", are left out. Segments are read up to the first scan;
 * SUMI_CORRUPT where one of them is damaged or cut off. */
int jpeg_read_metadata(const void *data, size_t size, const char *where, struct metadata *m,
		       struct error *err);

#endif

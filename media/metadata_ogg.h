/* Vorbis comments of an Ogg file, read into struct metadata. */
#ifndef SUMI_MEDIA_METADATA_OGG_H
#define SUMI_MEDIA_METADATA_OGG_H

#include <stddef.h>

#include "base/status.h"
#include "media/metadata.h"

/* Adds to m the comments PARAMETERS and SUMI. SUMI_UNSUPPORTED for an Ogg file that is not
 * Vorbis, SUMI_CORRUPT for a damaged one. */
int ogg_read_metadata(const void *data, size_t size, const char *where, struct metadata *m,
		      struct error *err);

#endif

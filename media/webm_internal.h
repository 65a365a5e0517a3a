/* What the readers of WebM files share. */
#ifndef SUMI_MEDIA_WEBM_INTERNAL_H
#define SUMI_MEDIA_WEBM_INTERNAL_H

#include "media/ebml.h"
#include "media/webm.h"

int webm_damaged(const char *where, struct error *err); /* SUMI_CORRUPT */

/* The segment's elements. */
int webm_open_segment(const void *data, size_t size, const char *where, struct ebml_reader *out,
		      struct error *err);

#endif

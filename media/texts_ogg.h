/* Vorbis comments of an Ogg file, as texts. */
#ifndef SUMI_MEDIA_TEXTS_OGG_H
#define SUMI_MEDIA_TEXTS_OGG_H

#include <stddef.h>

#include "base/status.h"
#include "media/texts.h"

/* Adds every comment. SUMI_UNSUPPORTED for an Ogg file that is not
 * Vorbis, SUMI_CORRUPT for a damaged one. */
int ogg_read_texts(const void *data, size_t size, const char *where,
		struct file_texts *texts, struct error *err);

#endif

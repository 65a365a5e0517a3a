/* XMP packets: what sumi writes into WebP, and what of others' holds a text. */
#ifndef SUMI_MEDIA_XMP_H
#define SUMI_MEDIA_XMP_H

#include "media/metadata.h"
#include "media/texts.h"

/* A new packet with both texts, which the caller frees. SUMI_INVALID for a text that is not UTF-8. */
int xmp_write(const struct metadata *m, char **xmp, size_t *size, struct error *err);

/* Adds the texts of those elements or attributes that may say how a picture was made. SUMI_CORRUPT
 * where one has no end. */
int xmp_read(const char *xmp, size_t size, struct file_texts *texts, struct error *err);

#endif

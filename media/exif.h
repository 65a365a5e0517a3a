/* EXIF packets: the infotext where A1111 has it, and the texts of others. */
#ifndef SUMI_MEDIA_EXIF_H
#define SUMI_MEDIA_EXIF_H

#include "media/metadata.h"
#include "media/texts.h"

/* A new packet, which the caller frees, with the infotext as UserComment; NULL where there is none.
 * SUMI_INVALID for a text that is not UTF-8. */
int exif_write(const struct metadata *m, unsigned char **exif, size_t *size, struct error *err);

/* Adds the tags of a packet (with or without "Exif\0\0" before it) that may hold a text. SUMI_CORRUPT
 * where it is no TIFF or such a tag lies outside of it. */
int exif_read(const unsigned char *exif, size_t size, struct file_texts *texts, struct error *err);

/* How it wants the picture turned, 1 … 8; 1, as it is, where it does not say or cannot be read. */
int exif_orientation(const unsigned char *exif, size_t size);

#endif

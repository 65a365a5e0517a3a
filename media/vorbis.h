/* Ogg Vorbis, written and read. */
#ifndef SUMI_MEDIA_VORBIS_H
#define SUMI_MEDIA_VORBIS_H

#include <stdint.h>

#include "media/metadata.h"
#include "media/sound.h"

/* quality: 0 … 100, of libvorbis's −0.1 … 1. meta may be NULL. The same sound and metadata give
 * the same bytes: the stream's serial number is made of them. The caller frees *data. */
int vorbis_encode(const struct sound *sound, double quality, const struct metadata *meta,
		  uint8_t **data, size_t *size, struct error *err);

/* Whether a file's headers, and where its last page says that it ends, are what vorbis_decode() can
 * read. */
int vorbis_check(const void *data, size_t size, const char *where, struct error *err);

/* The first stream's sound; where names the file in messages. More than two channels are
 * SUMI_UNSUPPORTED. The caller frees out by sound_free(). */
int vorbis_decode(const void *data, size_t size, const char *where, struct sound *out,
		  struct error *err);

#endif

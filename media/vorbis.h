/* Ogg Vorbis, written and read. */
#ifndef SUMI_MEDIA_VORBIS_H
#define SUMI_MEDIA_VORBIS_H

#include <stdint.h>

#include "base/bytes.h"
#include "media/metadata.h"
#include "media/sound.h"

/* quality: 0 … 100, of libvorbis's −0.1 … 1. meta may be NULL. The same sound and metadata give
 * the same bytes: the stream's serial number is made of them. The caller frees *data. */
int vorbis_encode(const struct sound *sound, double quality, const struct metadata *meta,
		  uint8_t **data, size_t *size, struct error *err);

/* The same packets without pages, for files that have a container of their own. */
struct vorbis_packet {
	size_t at, size;    /* in data */
	int64_t begin, end; /* samples that it adds; the last packet's go beyond the sound's end */
};
struct vorbis_packets {
	struct bytes_writer headers; /* laced as Matroska's CodecPrivate wants them */
	struct bytes_writer data;
	struct vorbis_packet *all;
	size_t count;
};
/* The caller frees *out by vorbis_packets_free(). */
int vorbis_encode_packets(const struct sound *sound, double quality, struct vorbis_packets *out,
			  struct error *err);
void vorbis_packets_free(struct vorbis_packets *p); /* what it holds, not p */

/* Whether a file's headers, and where its last page says that it ends, are what vorbis_decode() can
 * read. */
int vorbis_check(const void *data, size_t size, const char *where, struct error *err);

/* The first stream's sound; where names the file in messages. More than two channels are
 * SUMI_UNSUPPORTED. The caller frees out by sound_free(). */
int vorbis_decode(const void *data, size_t size, const char *where, struct sound *out,
		  struct error *err);

#endif

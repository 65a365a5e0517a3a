/* Small pictures of results, for lists. */
#ifndef SUMI_MEDIA_THUMBNAIL_H
#define SUMI_MEDIA_THUMBNAIL_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define THUMBNAIL_SIDE 256 /* pixels of the longer side at most */

/* A WebP of the picture that a file is: of an animation or a film its first frame, of sound its waveform; it holds
 * no metadata. The same file gives the same bytes. The caller frees *webp. SUMI_UNSUPPORTED where it is
 * neither picture nor sound, SUMI_CORRUPT, SUMI_TOOBIG; messages name it as `where`. */
int thumbnail_make(const void *data, size_t size, const char *where, uint8_t **webp, size_t *webp_size,
		   struct error *err);

#endif

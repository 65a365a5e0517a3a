/* WebM: films of VP9 pictures and Vorbis sound. Same input, same bytes. */
#ifndef SUMI_MEDIA_WEBM_H
#define SUMI_MEDIA_WEBM_H

#include <stdint.h>

#include "base/status.h"
#include "media/metadata.h"
#include "media/sound.h"
#include "media/texts.h"
#include "media/vp9.h"

#define WEBM_MAX_FRAMES 100000

/* A film that grows picture by picture; coded ones are kept. */
struct webm;
int webm_new(int width, int height, const struct vp9_options *options, struct webm **out, struct error *err);
/* rgb is [height, width, 3], read during the call; key: one may jump to it, as to every other second. */
int webm_add(struct webm *w, const uint8_t *rgb, bool key, struct error *err);
/* After the last picture, once. sound may be NULL: a silent film; its quality as for vorbis_encode().
 * meta may be NULL. The caller frees *data. */
int webm_finish(struct webm *w, const struct sound *sound, double sound_quality, const struct metadata *meta,
		uint8_t **data, size_t *size, struct error *err);
void webm_free(struct webm *w); /* NULL is fine */

/* Adds the tags of a WebM or Matroska file. */
int webm_read_texts(const void *data, size_t size, const char *where, struct file_texts *texts,
		    struct error *err);

/* The first picture's pixels of a file with VP9, [height, width, 3]; the caller frees *rgb.
 * SUMI_CORRUPT, SUMI_TOOBIG; SUMI_UNSUPPORTED for other codecs. */
int webm_first_picture(const void *data, size_t size, const char *where, uint8_t **rgb, int *width,
		       int *height, struct error *err);

#endif

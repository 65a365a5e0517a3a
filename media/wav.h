/* WAV: PCM in RIFF, written with 16 bits, read with 8 to 32 or as floats. */
#ifndef SUMI_MEDIA_WAV_H
#define SUMI_MEDIA_WAV_H

#include <stdint.h>

#include "media/metadata.h"
#include "media/texts.h"
#include "media/sound.h"

/* meta may be NULL. The caller frees *data. */
int wav_encode(const struct sound *sound, const struct metadata *meta, uint8_t **data, size_t *size,
	       struct error *err);

/* Whether a file's headers say what wav_decode() can read. */
int wav_check(const void *data, size_t size, const char *where, struct error *err);

/* where names the file in messages. The caller frees out by sound_free(). */
int wav_decode(const void *data, size_t size, const char *where, struct sound *out,
	       struct error *err);

/* Adds the comment of the list of information and the chunk "sumi". */
int wav_read_texts(const void *data, size_t size, const char *where,
		struct file_texts *texts, struct error *err);

#endif

/* MP3 by LAME, where this machine has it: the library is looked for when somebody asks, and nothing is built with it. */
#ifndef SUMI_MEDIA_MP3_H
#define SUMI_MEDIA_MP3_H

#include <stdbool.h>
#include <stdint.h>

#include "media/metadata.h"
#include "media/sound.h"

#define MP3_LIBRARY "libmp3lame.so.0"

bool mp3_is_there(void);

/* Whether such a file may have so many samples a second. */
bool mp3_has_rate(int rate);

/* So many samples and thousands of bits a second, which LAME moves to the next that there are. Texts go into an ID3 tag before
 * the frames; meta may be NULL. LAME's own frame stands first and says what players cut off at both ends, so that what is heard is as
 * long as the sound; only where 8 kbit/s leave it no room there is none. The caller frees *data. SUMI_UNSUPPORTED without LAME. */
int mp3_encode(const struct sound *sound, int rate, int kbps, const struct metadata *meta, uint8_t **data,
	       size_t *size, struct error *err);

/* The same for a quality of 0 to 100, and the sound's own rate where that can be. */
int mp3_encode_quality(const struct sound *sound, double quality, const struct metadata *meta, uint8_t **data,
		       size_t *size, struct error *err);

/* Adds the texts of users (TXXX) of an ID3 tag of version 2.4 that stands first. */
int mp3_read_texts(const void *data, size_t size, const char *where, struct file_texts *texts,
		   struct error *err);

#endif

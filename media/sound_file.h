/* Sound from files. */
#ifndef SUMI_MEDIA_SOUND_FILE_H
#define SUMI_MEDIA_SOUND_FILE_H

#include "media/sound.h"

/* Whether these are the bytes of an Ogg Vorbis or WAV file within the limits: by its headers,
 * and where those are fine by decoding all of it. */
int sound_check(const void *data, size_t size, const char *where, struct error *err);

/* The sound of such a file's bytes, as it is. SUMI_UNSUPPORTED when it is neither, SUMI_INVALID where it
 * holds no sound. The caller frees out by sound_free(), also after a failure. */
int sound_decode(const void *data, size_t size, const char *where, struct sound *out,
		 struct error *err);

/* Reads an Ogg Vorbis or WAV file at another rate and number of channels; what lies behind its
 * first `most` samples at that rate may be left out. SUMI_UNSUPPORTED when it is neither,
 * SUMI_CORRUPT, SUMI_TOOBIG; messages name it as `where`. */
int sound_load(const char *path, const char *where, int rate, int channels, size_t most, struct sound *out,
	       struct error *err);

#endif

/* MP3 by LAME, where this machine has it: the library is looked for when somebody asks, and nothing is built with it. */
#ifndef SUMI_GATEWAY_MP3_H
#define SUMI_GATEWAY_MP3_H

#include "media/sound.h"

#define MP3_LIBRARY "libmp3lame.so.0"
#define MP3_RATE 44100
#define MP3_KBPS 128

bool mp3_is_there(void);

/* "mp3", or ElevenLabs' "mp3_44100_128": samples and thousands of bits a second. False: no such format. */
bool mp3_read_name(const char *name, int *rate, int *kbps);

/* Of this rate and so many thousand bits a second. SUMI_UNSUPPORTED where the library is not there or does not make
 * it. The caller frees *data. */
int mp3_encode(const struct sound *sound, int rate, int kbps, char **data, size_t *size, struct error *err);

#endif

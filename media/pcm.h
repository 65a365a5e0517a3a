/* Bare samples: 16 bits with a sign, the lower byte first, nothing around them. What a listener must know stands elsewhere. */
#ifndef SUMI_MEDIA_PCM_H
#define SUMI_MEDIA_PCM_H

#include <stdbool.h>
#include <stdint.h>

#include "media/sound.h"

/* Whether such samples can be had so many times a second. */
bool pcm_has_rate(int rate);

/* One channel, the mean of the sound's, at a rate that can be had: what lies above half of it is left out. The caller frees
 * *data. */
int pcm_encode(const struct sound *sound, int rate, uint8_t **data, size_t *size, struct error *err);

#endif

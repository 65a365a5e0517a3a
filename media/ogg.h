/* Ogg Vorbis files that play as they should: what coding does to a sound is heard and answered. */
#ifndef SUMI_MEDIA_OGG_H
#define SUMI_MEDIA_OGG_H

#include <stdint.h>

#include "media/metadata.h"
#include "media/sound.h"

/* The sound as an Ogg file in which no peak (true peak) is beyond full scale and, with loop, the
 * wave goes on from the end to the beginning: the step there is no larger than the median step
 * between samples. Both as far as a few trials bring it; sound is changed by them. quality and
 * meta as for vorbis_encode(). The same input gives the same bytes. The caller frees *data. */
int ogg_encode(struct sound *sound, double quality, bool loop, const struct metadata *meta,
	       uint8_t **data, size_t *size, struct error *err);

#endif

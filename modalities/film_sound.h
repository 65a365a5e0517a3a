/* The sound of a film: clips one after the other. */
#ifndef SUMI_MODALITIES_FILM_SOUND_H
#define SUMI_MODALITIES_FILM_SOUND_H

#include "media/sound.h"
#include "request/request.h"

/* The music of a resolved request whose files are found, for so many seconds of pictures: each clip
 * begins where the one before it ends, on a beat of its own where its tempo is given, and the last
 * ends with the film. Rate and channels are those of the first. *out is the caller's also after a
 * failure. */
int film_sound(const struct request *r, double seconds, struct sound *out, struct error *err);

/* Samples of a clip before the first of its beats, which come so many a minute: where what begins
 * most often begins. Less than a beat. */
size_t film_first_beat(const struct sound *clip, double tempo);

#endif

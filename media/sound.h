/* Sound as numbers. */
#ifndef SUMI_MEDIA_SOUND_H
#define SUMI_MEDIA_SOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define SOUND_RATE_MIN 8000
#define SOUND_RATE_MAX 192000
#define SOUND_SECONDS_MAX 600 /* of a file from outside */
#define SOUND_VALUES_MAX (1u << 26) /* the same: samples of all its channels */
#define SOUND_FILE_MAX (256 << 20) /* the same: bytes */

struct sound {
	int rate;       /* samples a second */
	int channels;   /* 1 or 2 */
	size_t length;  /* samples of a channel */
	float *samples; /* [channels, length], full scale is 1; owned */
};

/* Silence. */
int sound_new(struct sound *s, int rate, int channels, size_t length, struct error *err);
void sound_free(struct sound *s); /* the samples, not s */

/* What a file says of its sound must lie within the limits above: SUMI_UNSUPPORTED, SUMI_TOOBIG. */
int sound_check_size(int64_t rate, int channels, int64_t length, const char *where,
		     struct error *err);

#define SOUND_CEILING 0.8912509 /* −1 dB */

/* EBU R 128 loudness to −16 LUFS. Peaks above `highest` (true peak; full scale is 1) are turned
 * down around themselves. circular: the end meets the beginning. Silence stays as it is. */
int sound_normalise(struct sound *s, double highest, bool circular, struct error *err);

/* EBU R 128: LUFS, −infinity for silence; the highest true peak of the channels. */
int sound_measure(const struct sound *s, double *lufs, double *peak, struct error *err);

#endif

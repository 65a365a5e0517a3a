/* Sound as numbers. */
#include "media/sound.h"

#include <stdlib.h>

int sound_new(struct sound *s, int rate, int channels, size_t length, struct error *err)
{
	*s = (struct sound){.rate = rate, .channels = channels, .length = length};
	s->samples = calloc((size_t)channels * length + 1, sizeof *s->samples);
	return s->samples ? SUMI_OK
			  : error_set(err, SUMI_NOMEM, "no memory for %zu samples", length);
}

void sound_free(struct sound *s)
{
	free(s->samples);
	s->samples = NULL;
}

int sound_check_size(int64_t rate, int channels, int64_t length, const char *where,
		     struct error *err)
{
	if (channels < 1 || channels > 2 || rate < SOUND_RATE_MIN || rate > SOUND_RATE_MAX)
		return error_set(err, SUMI_UNSUPPORTED,
				 "%s: must have one or two channels at %d to %d Hz", where,
				 SOUND_RATE_MIN, SOUND_RATE_MAX);
	if (length >= 0 && length <= SOUND_SECONDS_MAX * rate &&
	    length <= SOUND_VALUES_MAX / channels)
		return SUMI_OK;
	return error_set(err, SUMI_TOOBIG,
			 "%s: says that it has %lld samples at %lld Hz: at most %d s and %u samples "
			 "of all channels are read",
			 where, (long long)length, (long long)rate, SOUND_SECONDS_MAX,
			 SOUND_VALUES_MAX);
}

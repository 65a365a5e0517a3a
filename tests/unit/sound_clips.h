/* The test clips of tests/vectors/README.md, section "audio". */
#ifndef SUMI_TESTS_SOUND_CLIPS_H
#define SUMI_TESTS_SOUND_CLIPS_H

#include <stddef.h>

/* One second of clip k, 0 … 19: rate samples, which the caller frees. */
float *sound_clip(int k, int rate);

struct stft;

/* The magnitudes of the first frames: out is [frames, bins]. */
void sound_magnitudes(struct stft *s, const float *samples, size_t length, int frames, int bins,
		      float *out);

#endif

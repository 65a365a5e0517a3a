/* The test clips of tests/vectors/README.md, section "audio". */
#ifndef SUMI_TESTS_SOUND_CLIPS_H
#define SUMI_TESTS_SOUND_CLIPS_H

/* One second of clip k, 0 … 19: rate samples, which the caller frees. */
float *sound_clip(int k, int rate);

#endif

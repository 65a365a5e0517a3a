/* A short-time transform from within, for those that also go back from spectra to samples. */
#ifndef SUMI_MODALITIES_STFT_INTERNAL_H
#define SUMI_MODALITIES_STFT_INTERNAL_H

#include <kissfft/kiss_fftr.h>

#include "modalities/stft.h"

struct stft {
	struct stft_options o;
	int bins, offset;       /* offset: of the window in a frame */
	float *window;          /* [window] */
	float *frame;           /* [n_fft] */
	kiss_fft_cpx *spectrum; /* [bins] */
	kiss_fftr_cfg forward, inverse;
};

/* Where the window of frame t begins; before the first sample, too. */
long long stft_first_sample(const struct stft *s, int t);

/* A sample beyond the ends of x [length]. */
float stft_beyond(const struct stft *s, const float *x, long long length, long long i);

#endif

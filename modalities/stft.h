/* Short-time spectra.
 *
 * Frame t stands around sample t · hop; its Hann window (periodic) is centred in n_fft
 * numbers, padded with zeros, as librosa's and torch's stft with center=True do it. */
#ifndef SUMI_MODALITIES_STFT_H
#define SUMI_MODALITIES_STFT_H

#include <stddef.h>

#include "base/status.h"

/* What lies beyond the first and the last sample. */
enum stft_edge { STFT_ZERO, STFT_REFLECT, STFT_CIRCLE };

struct stft_options {
	int n_fft;  /* even */
	int window; /* samples, at most n_fft */
	int hop;
	enum stft_edge edge;
};

struct stft;
int stft_new(const struct stft_options *options, struct stft **out, struct error *err);
void stft_free(struct stft *stft); /* NULL is fine */

/* samples [length] → out [n_fft/2 + 1]: frame t. */
void stft_magnitude(struct stft *stft, const float *samples, size_t length, int t, float *out);

#endif

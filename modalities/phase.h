/* Sound from the magnitudes of its short-time spectra alone. */
#ifndef SUMI_MODALITIES_PHASE_H
#define SUMI_MODALITIES_PHASE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "modalities/stft.h"

/* A transform that says as much of a window as one of n_fft numbers does, and is quicker:
 * longer ones only stand closer together. n_fft itself where there is none. */
int phase_transform(int window, int n_fft);

/* Magnitudes in [n_in/2 + 1] of a frame as the transform of n_out numbers has them, the lowest
 * `bins` of it. */
void phase_regrid(const float *in, int n_in, int n_out, int bins, float *out);

struct phase_options {
	struct stft_options stft;
	int frames;
	int bins;        /* that magnitudes holds, the lowest ones; those above are silent */
	size_t length;   /* samples wanted; on a circle frames · hop */
	int iterations;  /* of Griffin–Lim; 0: the first guess as it is */
	double momentum; /* 0 … 1; 0.99 is usual */
	bool blurred;    /* flat magnitudes are noise that was smoothed, as models and mel bands do,
			    and shall hiss; else they may be what they say, such as a fast sweep */
	const float *like; /* [length] a signal that lends its phases to begin with, such as that of
			      both channels together; NULL: they are guessed */
};

/* A signal whose magnitudes come near magnitudes [frames, bins]: fast Griffin–Lim (Perraudin,
 * Balazs, Søndergaard 2013) from phases that are integrated along the magnitudes' gradients
 * (Průša, Søndergaard 2016). Two threads; the same samples on any machine with the same
 * arithmetic. samples [length]. SUMI_NOMEM. */
int phase_reconstruct(const struct phase_options *options, const float *magnitudes, float *samples,
		      struct error *err);

#endif

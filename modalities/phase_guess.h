/* First guess of a spectrum's phases from its magnitudes, frame by frame. */
#ifndef SUMI_MODALITIES_PHASE_GUESS_H
#define SUMI_MODALITIES_PHASE_GUESS_H

#include <stdbool.h>

#include "modalities/stft.h"

struct phase_guess;
/* blurred: as in struct phase_options. */
int phase_guess_new(const struct stft_options *options, int bins, bool blurred,
		    struct phase_guess **out, struct error *err);
void phase_guess_free(struct phase_guess *g); /* NULL is fine */

/* The phases of the next frame, [bins], in radians, relative to the frame's middle; valid
 * until the next call. before and after are its neighbours' magnitudes [bins]; at the ends
 * the frame itself. Frames follow each other: this call's before is the last one's frame. */
const float *phase_guess_next(struct phase_guess *g, const float *before, const float *frame,
			      const float *after);

#endif

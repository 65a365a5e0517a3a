/* Mel filter banks: magnitudes of a spectrum to bands and back. */
#ifndef SUMI_MODALITIES_MEL_H
#define SUMI_MODALITIES_MEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct mel_options {
	int sample_rate, n_fft; /* bins stand at i · sample_rate / n_fft, i = 0 … n_fft/2 */
	int bands;
	double low, high; /* Hz: where the first band begins and the last ends */
	bool slaney;      /* the scale of Slaney's Auditory Toolbox; else HTK's */
	bool area_norm; /* bands divided by half their width ("slaney" in librosa); else peaks of 1
			 */
};

struct mel; /* triangles, as librosa.filters.mel and torchaudio's MelScale define them */

int mel_new(const struct mel_options *options, struct mel **out, struct error *err);
void mel_free(struct mel *mel); /* NULL is fine */

int mel_bins(const struct mel *mel); /* n_fft/2 + 1 */

/* Band i's weights, those of bins *start … *start + *count − 1; count may be 0. */
const float *mel_band(const struct mel *mel, int i, int *start, int *count);

/* magnitudes [bins] → bands [bands] */
void mel_apply(const struct mel *mel, const float *magnitudes, float *bands);

/* bands [bands], ≥ 0 → the magnitudes [bins], ≥ 0, that come nearest to them, and among those
 * the smallest. SUMI_NOMEM. */
int mel_invert(const struct mel *mel, const float *bands, float *magnitudes, struct error *err);

#endif

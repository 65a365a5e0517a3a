/* Spectra of eight real frames at once: what kissfft does one by one, in vectors. */
#ifndef SUMI_MODALITIES_FFT_H
#define SUMI_MODALITIES_FFT_H

#include "base/status.h"

#define FFT_FRAMES 8

/* The largest prime factor of n from 1 on; a transform takes as many times n. */
int fft_largest_factor(int n);

/* Tables and room for transforms of n numbers, even. */
struct fft;
int fft_new(int n, struct fft **out, struct error *err);
void fft_free(struct fft *f); /* NULL is fine */

/* [n, FFT_FRAMES]: the frames' samples side by side. The caller writes all of them before
 * fft_forward(), and reads them after fft_inverse(), which leaves them n times too large; ask
 * for the place again after each call. */
float *fft_samples(struct fft *f);

void fft_forward(struct fft *f);
/* Between the two: bins 0 … bins − 1 of frame i get the magnitudes in wanted[i] times scale and
 * keep their angles; those above become 0. wanted[i] NULL: the frame becomes silent. */
void fft_reshape(struct fft *f, const float *const wanted[FFT_FRAMES], int bins, float scale);
void fft_inverse(struct fft *f);

#endif

/* Short-time spectra. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "modalities/stft_internal.h"

#define TURN 6.283185307179586

int stft_new(const struct stft_options *o, struct stft **out, struct error *err)
{
	struct stft *s = calloc(1, sizeof *s);
	*out = s;
	if (!s)
		return error_set(err, SUMI_NOMEM, "no memory for spectra");
	s->o = *o;
	s->bins = o->n_fft / 2 + 1;
	s->offset = (o->n_fft - o->window) / 2;
	s->window = malloc((size_t)o->window * sizeof *s->window);
	s->frame = calloc((size_t)o->n_fft, sizeof *s->frame);
	s->spectrum = malloc((size_t)s->bins * sizeof *s->spectrum);
	s->forward = kiss_fftr_alloc(o->n_fft, 0, NULL, NULL);
	s->inverse = kiss_fftr_alloc(o->n_fft, 1, NULL, NULL);
	if (!s->window || !s->frame || !s->spectrum || !s->forward || !s->inverse) {
		stft_free(s);
		*out = NULL;
		return error_set(err, SUMI_NOMEM, "no memory for spectra of %d bins",
				 o->n_fft / 2 + 1);
	}
	for (int i = 0; i < o->window; i++)
		s->window[i] = (float)(0.5 - 0.5 * cos(TURN * i / o->window));
	return SUMI_OK;
}

void stft_free(struct stft *s)
{
	if (!s)
		return;
	free(s->window);
	free(s->frame);
	free(s->spectrum);
	kiss_fftr_free(s->forward);
	kiss_fftr_free(s->inverse);
	free(s);
}

long long stft_first_sample(const struct stft *s, int t)
{
	return (long long)t * s->o.hop - s->o.n_fft / 2 + s->offset;
}

float stft_beyond(const struct stft *s, const float *x, long long length, long long i)
{
	switch (s->o.edge) {
	case STFT_CIRCLE:
		return x[(i % length + length) % length];
	case STFT_REFLECT:
		for (long long last = length - 1; i < 0 || i > last;) {
			if (last == 0)
				return x[0];
			i = i < 0 ? -i : 2 * last - i;
		}
		return x[i];
	case STFT_ZERO:
		break;
	}
	return 0;
}

/* s->spectrum of frame t of x [length]. */
static void stft_analyse(struct stft *s, const float *x, size_t length, int t)
{
	long long first = stft_first_sample(s, t), n = (long long)length;
	float *frame = s->frame + s->offset;
	int w = s->o.window;
	memset(s->frame, 0, (size_t)s->o.n_fft * sizeof *s->frame);
	if (first >= 0 && first + w <= n)
		for (int i = 0; i < w; i++)
			frame[i] = s->window[i] * x[first + i];
	else
		for (int i = 0; i < w; i++) {
			long long at = first + i;
			frame[i] = s->window[i] * (at >= 0 && at < n ? x[at] : stft_beyond(s, x, n, at));
		}
	kiss_fftr(s->forward, s->frame, s->spectrum);
}

void stft_magnitude(struct stft *s, const float *samples, size_t length, int t, float *out)
{
	stft_analyse(s, samples, length, t);
	for (int k = 0; k < s->bins; k++)
		out[k] = hypotf(s->spectrum[k].r, s->spectrum[k].i);
}

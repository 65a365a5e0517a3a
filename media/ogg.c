/* Coding a sound, hearing what has become of it, and coding it again where that would click or
 * clip. Vorbis adds noise: to peaks, at low quality a lot, and to the two ends of a loop, to each
 * a different one. */
#include "media/ogg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/vorbis.h"

enum { PEAK_TRIES = 6, SEAM_TRIES = 8, CHANNELS_MAX = 2 };

#define MEND_SECONDS 0.005 /* how far from the seam a correction reaches */
#define MEND_SHARE 0.5f    /* of what is wrong: a coder answers with up to twice what it is given */
#define SEAM_WANTED 0.9f   /* of the median: what noise adds shall not be too much at once */

struct coded {
	uint8_t *data;
	size_t size;
	struct sound heard;
	double peak; /* true peak; full scale is 1 */
};

static void coded_free(struct coded *c)
{
	free(c->data);
	sound_free(&c->heard);
	memset(c, 0, sizeof *c);
}

/* out is freed by the caller, also on failure. */
static int code(const struct sound *sound, double quality, const struct metadata *meta,
		struct coded *out, struct error *err)
{
	double lufs;
	memset(out, 0, sizeof *out);
	int status = vorbis_encode(sound, quality, meta, &out->data, &out->size, err);
	if (!status)
		status = vorbis_decode(out->data, out->size, "coded sound", &out->heard, err);
	return status ? status : sound_measure(&out->heard, &lufs, &out->peak, err);
}

/* The sound again with `excess` times lower peaks: at first as loud as before; noise comes out of a
 * coder as other noise, where only less of everything helps. */
static int lower_peaks(struct sound *sound, double excess, int try, double *highest, bool loop,
		       struct error *err)
{
	enum { LIMITED = 2 };
	*highest /= excess;
	if (try < LIMITED)
		return sound_normalise(sound, *highest, loop, err);
	for (size_t i = 0; i < (size_t)sound->channels * sound->length; i++)
		sound->samples[i] /= (float)excess;
	return SUMI_OK;
}

static int code_without_clipping(struct sound *sound, double quality, bool loop,
				 const struct metadata *meta, struct coded *out, struct error *err)
{
	double highest = SOUND_CEILING;
	for (int k = 0;; k++) {
		int status = code(sound, quality, meta, out, err);
		if (status || out->peak <= 1 || k + 1 == PEAK_TRIES)
			return status;
		double excess = out->peak * 1.02;
		coded_free(out);
		if ((status = lower_peaks(sound, excess, k, &highest, loop, err)))
			return status;
	}
}

static int compare_floats(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

/* Of the steps between the samples of each channel, [channels]. */
static int median_steps(const struct sound *s, float median[CHANNELS_MAX], struct error *err)
{
	float *steps = malloc(s->length * sizeof *steps);
	if (!steps)
		return error_set(err, SUMI_NOMEM, "no memory for %zu samples", s->length);
	for (int c = 0; c < s->channels; c++) {
		const float *x = s->samples + (size_t)c * s->length;
		for (size_t i = 1; i < s->length; i++)
			steps[i - 1] = fabsf(x[i] - x[i - 1]);
		qsort(steps, s->length - 1, sizeof *steps, compare_floats);
		median[c] = steps[(s->length - 1) / 2];
	}
	free(steps);
	return SUMI_OK;
}

/* What a channel does from its last sample to its first: the step, and how much of it goes beyond
 * what the slopes on both sides lead to expect. */
struct seam {
	float step, beyond;
};

static struct seam seam_of(const struct sound *s, int c)
{
	const float *x = s->samples + (size_t)c * s->length, *end = x + s->length;
	float step = x[0] - end[-1];
	return (struct seam){step, step - (x[1] - x[0] + end[-1] - end[-2]) / 2};
}

/* The worst channel's seam against its median step; at most 1 is fine. */
static double roughness(const struct sound *s, const float median[CHANNELS_MAX])
{
	double worst = 0;
	for (int c = 0; c < s->channels; c++) {
		struct seam seam = seam_of(s, c);
		double wrong = fmax(fabsf(seam.step), fabsf(seam.beyond));
		worst = fmax(worst, wrong > 0 ? wrong / median[c] : 0);
	}
	return worst;
}

/* What to take away from the step: what the slopes do not explain, or, when little of that is left,
 * what is beyond the median. */
static float excess_of(struct seam seam, float median)
{
	if (fabsf(seam.beyond) > median / 2)
		return seam.beyond;
	return copysignf(fmaxf(0, fabsf(seam.step) - SEAM_WANTED * median), seam.step);
}

/* A share of the excess goes from both ends of the sound, fading within a few milliseconds. */
static void mend_seam(struct sound *sound, const struct sound *heard,
		      const float median[CHANNELS_MAX])
{
	size_t n = (size_t)(MEND_SECONDS * sound->rate);
	n = n < sound->length / 2 ? n : sound->length / 2;
	for (int c = 0; c < sound->channels; c++) {
		float *x = sound->samples + (size_t)c * sound->length;
		float lift = MEND_SHARE / 2 * excess_of(seam_of(heard, c), median[c]);
		for (size_t i = 0; i < n; i++) {
			float f = (float)(0.5 + 0.5 * cos(3.141592653589793 * (double)i / (double)n));
			x[i] -= lift * f;
			x[sound->length - 1 - i] += lift * f;
		}
	}
}

/* best: the sound coded already; replaced by a trial whose seam is smoother. */
static int smooth_seam(struct sound *sound, double quality, const struct metadata *meta,
		       struct coded *best, struct error *err)
{
	float median[CHANNELS_MAX];
	int status = median_steps(&best->heard, median, err);
	struct coded trial = *best;
	for (int k = 0; !status && k < SEAM_TRIES && roughness(&best->heard, median) > 1; k++) {
		mend_seam(sound, &trial.heard, median);
		if (trial.data != best->data)
			coded_free(&trial);
		status = code(sound, quality, meta, &trial, err);
		if (!status && trial.peak <= fmax(1, best->peak) &&
		    roughness(&trial.heard, median) < roughness(&best->heard, median)) {
			coded_free(best);
			*best = trial;
		}
	}
	if (trial.data != best->data)
		coded_free(&trial);
	return status;
}

int ogg_encode(struct sound *sound, double quality, bool loop, const struct metadata *meta,
	       uint8_t **data, size_t *size, struct error *err)
{
	struct coded coded;
	int status = code_without_clipping(sound, quality, loop, meta, &coded, err);
	if (!status && loop && sound->length > 1)
		status = smooth_seam(sound, quality, meta, &coded, err);
	if (!status) {
		*data = coded.data;
		*size = coded.size;
		coded.data = NULL;
	}
	coded_free(&coded);
	return status;
}

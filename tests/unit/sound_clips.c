/* The test clips, from their formulas. */
#include "tests/unit/sound_clips.h"

#include "modalities/stft.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define TURN 6.283185307179586

static double chord(double t, int v)
{
	double sum = 0;
	for (int i = 0; i < 3; i++)
		sum += 0.25 * sin(TURN * 110 * (v + 1) * (1 + 0.25 * i) * t);
	return sum;
}

static double plucked(double t, int v)
{
	double beat = floor(4 * t), p = t - beat / 4, sum = 0;
	double f = 130.81 * pow(2, (4 * v + 3 * beat) / 12);
	for (int h = 1; h <= 5; h++)
		sum += sin(TURN * h * f * p) / h;
	return 0.6 * exp(-8 * p) * sum;
}

static double value(int kind, int v, double t, double noise)
{
	double low = 80 * (v + 1), high = 1500 * (v + 1), f = 220 * (v + 1);
	switch (kind) {
	case 0:
		return chord(t, v);
	case 1:
		return 0.5 * sin(TURN * (low * t + (high - low) / 2 * t * t));
	case 2:
		return plucked(t, v);
	case 3:
		return noise * 0.4 * (0.5 + 0.5 * cos(TURN * (v + 1) * t));
	default:
		return 0.5 * exp(-2 * t) *
			   sin(TURN * f * t + 3 * exp(-3 * t) * sin(TURN * 1.4 * f * t)) +
		       0.02 * noise;
	}
}

float *sound_clip(int k, int rate)
{
	uint32_t s = (uint32_t)k + 1;
	float *out = malloc((size_t)rate * sizeof *out);
	assert_non_null(out);
	for (int i = 0; i < rate; i++) {
		s = 1664525u * s + 1013904223u;
		out[i] = (float)value(k % 5, k / 5, (double)i / rate, s / 2147483648.0 - 1);
	}
	return out;
}

void sound_magnitudes(struct stft *s, const float *samples, size_t length, int frames, int bins,
		      float *out)
{
	for (int t = 0; t < frames; t++)
		stft_magnitude(s, samples, length, t, out + (size_t)t * (size_t)bins);
}

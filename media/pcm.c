/* Another rate by a windowed sinc: each new sample is a sum of the old ones around its moment. */
#include "media/pcm.h"

#include <math.h>
#include <stdlib.h>

enum {
	LOBES = 32,   /* of the sinc on either side, at the lower of the two rates */
	PHASES = 256, /* values of it that are computed between two of its zeros; between these it is a line */
	TABLE = LOBES * PHASES + 2
};
#define TWO_PI 6.283185307179586

bool pcm_has_rate(int rate)
{
	static const int rates[] = {8000, 16000, 22050, 24000, 32000, 44100, 48000};
	for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
		if (rates[i] == rate)
			return true;
	return false;
}

/* sin(pi x) / (pi x) under a Blackman window, from x = 0 to LOBES. */
static void fill(float table[TABLE])
{
	for (int i = 0; i < TABLE; i++) {
		double x = (double)i / PHASES, part = x / LOBES;
		double window = part >= 1 ? 0 : 0.42 + 0.5 * cos(TWO_PI / 2 * part) + 0.08 * cos(TWO_PI * part);
		table[i] = (float)(i ? sin(TWO_PI / 2 * x) / (TWO_PI / 2 * x) * window : 1);
	}
}

static float mean_at(const struct sound *s, size_t i)
{
	float sum = 0;
	for (int c = 0; c < s->channels; c++)
		sum += s->samples[(size_t)c * s->length + i];
	return sum / (float)s->channels;
}

/* The sound at a moment, in samples of its own. step: of the sinc's zeros, in these. */
static float sound_at(const struct sound *s, const float *table, double moment, double step)
{
	double reach = LOBES * step, sum = 0, weights = 0;
	int64_t first = (int64_t)ceil(moment - reach), last = (int64_t)floor(moment + reach);
	for (int64_t k = first; k <= last; k++) {
		double x = fabs((double)k - moment) / step * PHASES;
		int at = (int)x;
		double weight = at + 1 < TABLE ? table[at] + (table[at + 1] - table[at]) * (x - at) : 0;
		weights += weight;
		if (k >= 0 && k < (int64_t)s->length)
			sum += weight * mean_at(s, (size_t)k);
	}
	return (float)(sum / weights);
}

int pcm_encode(const struct sound *s, int rate, uint8_t **data, size_t *size, struct error *err)
{
	size_t count = (size_t)ceil((double)s->length * rate / s->rate);
	double step = rate < s->rate ? (double)s->rate / rate : 1;
	float *table = malloc(TABLE * sizeof *table);
	*data = malloc(2 * count + 1);
	*size = 2 * count;
	if (!table || !*data) {
		free(table);
		free(*data);
		*data = NULL;
		return error_set(err, SUMI_NOMEM, "no memory for the samples");
	}
	fill(table);
	for (size_t i = 0; i < count; i++) {
		float v = rate == s->rate ? mean_at(s, i) : sound_at(s, table, (double)i * s->rate / rate, step);
		int n = (int)lrintf((v < -1 ? -1 : v > 1 ? 1 : v) * 32767.0f);
		(*data)[2 * i] = (uint8_t)n;
		(*data)[2 * i + 1] = (uint8_t)((unsigned)n >> 8);
	}
	free(table);
	return SUMI_OK;
}

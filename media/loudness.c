/* Loudness by EBU R 128, and a limiter for the peaks that it leaves too high. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The header takes the tag "error" for itself. */
#define error ebur128_error
#include <ebur128.h>
#undef error

#include "media/sound.h"

#define TARGET_LUFS (-16.0)
#define CLOSE_ENOUGH 0.1  /* LU */
#define LIMITED_GAIN 1.7  /* of a gain whose peaks are limited hardly more than half is heard */

enum { ROUNDS = 6 }; /* limiting makes quieter, which the next round makes up for */

struct measure {
	double loudness; /* LUFS; −infinity: silence, or too short to say */
	double peak;     /* true peak */
};

static int measure(const struct sound *s, struct measure *out, struct error *err)
{
	enum { BLOCK = 4096 };
	float block[BLOCK * 2];
	int failed = 0;
	unsigned channels = (unsigned)s->channels;
	ebur128_state *state =
	    ebur128_init(channels, (unsigned long)s->rate, EBUR128_MODE_I | EBUR128_MODE_TRUE_PEAK);
	if (!state)
		return error_set(err, SUMI_NOMEM, "no memory to measure loudness");
	for (size_t at = 0; at < s->length && !failed; at += BLOCK) {
		size_t n = s->length - at < BLOCK ? s->length - at : BLOCK;
		for (size_t i = 0; i < n; i++)
			for (unsigned c = 0; c < channels; c++)
				block[i * channels + c] = s->samples[c * s->length + at + i];
		failed = ebur128_add_frames_float(state, block, n) != EBUR128_SUCCESS;
	}
	failed |= ebur128_loudness_global(state, &out->loudness) != EBUR128_SUCCESS;
	out->peak = 0;
	for (unsigned c = 0; c < channels; c++) {
		double peak = 0;
		failed |= ebur128_true_peak(state, c, &peak) != EBUR128_SUCCESS;
		out->peak = fmax(out->peak, peak);
	}
	ebur128_destroy(&state);
	return failed ? error_set(err, SUMI_INTERNAL, "loudness could not be measured") : SUMI_OK;
}

static void scale(struct sound *s, double gain)
{
	for (size_t i = 0; i < (size_t)s->channels * s->length; i++)
		s->samples[i] *= (float)gain;
}

/* ---- the limiter ------------------------------------------------------------------- */

static size_t index_at(long long i, size_t n, bool circular)
{
	long long last = (long long)n - 1;
	if (circular)
		return (size_t)((i % (long long)n + (long long)n) % (long long)n);
	return (size_t)(i < 0 ? 0 : i > last ? last : i);
}

/* out[i] = the least of in over i − reach … i + reach: a queue of candidates, each larger
 * than those before it. queue: room for 2·reach + 2. */
static void least_around(const float *in, size_t n, int reach, bool circular, long long *queue,
			 float *out)
{
	size_t room = 2 * (size_t)reach + 2, head = 0, count = 0;
	for (long long k = -reach; k < (long long)n + reach; k++) {
		float value = in[index_at(k, n, circular)];
		while (count &&
		       in[index_at(queue[(head + count - 1) % room], n, circular)] >= value)
			count--;
		queue[(head + count++) % room] = k;
		if (queue[head] < k - 2 * reach) {
			head = (head + 1) % room;
			count--;
		}
		if (k >= reach)
			out[k - reach] = in[index_at(queue[head], n, circular)];
	}
}

/* out[i] = the mean of in over i − reach … i + reach. */
static void mean_around(const float *in, size_t n, int reach, bool circular, float *out)
{
	double sum = 0;
	for (long long k = -reach; k <= reach; k++)
		sum += in[index_at(k, n, circular)];
	for (size_t i = 0; i < n; i++) {
		out[i] = (float)(sum / (2 * reach + 1));
		sum += (double)in[index_at((long long)i + reach + 1, n, circular)] -
		       in[index_at((long long)i - reach, n, circular)];
	}
}

/* Turns peaks down over some milliseconds around them, all channels alike. The mean of least
 * gains within its own reach is never above the gain that a peak needs. */
static int limit(struct sound *s, double ceiling, bool circular, struct error *err)
{
	int half = s->rate / 400; /* 2.5 ms, twice */
	size_t n = s->length;
	float *gain = malloc(2 * n * sizeof *gain), *other = gain ? gain + n : NULL;
	long long *queue = malloc((4 * (size_t)half + 2) * sizeof *queue);
	if (!gain || !queue) {
		free(gain);
		free(queue);
		return error_set(err, SUMI_NOMEM, "no memory to limit peaks");
	}
	for (size_t i = 0; i < n; i++) {
		float peak = fabsf(s->samples[i]);
		if (s->channels == 2)
			peak = fmaxf(peak, fabsf(s->samples[n + i]));
		gain[i] = peak > ceiling ? (float)ceiling / peak : 1;
	}
	least_around(gain, n, 2 * half, circular, queue, other);
	mean_around(other, n, half, circular, gain);
	mean_around(gain, n, half, circular, other);
	for (int c = 0; c < s->channels; c++)
		for (size_t i = 0; i < n; i++)
			s->samples[(size_t)c * n + i] *= other[i];
	free(gain);
	free(queue);
	return SUMI_OK;
}

int sound_normalise(struct sound *s, double highest, bool circular, struct error *err)
{
	struct measure m;
	double ceiling = highest * 0.97;
	float peak = 0;
	bool limited = false;
	for (size_t i = 0; i < (size_t)s->channels * s->length; i++)
		peak = fmaxf(peak, fabsf(s->samples[i]));
	/* What is quieter than -70 LUFS does not count as loudness, so begin at full scale. */
	if (peak > 0)
		scale(s, 1 / (double)peak);
	int status = measure(s, &m, err);
	for (int round = 0; round < ROUNDS && !status; round++) {
		if (!isfinite(m.loudness) ||
		    (fabs(m.loudness - TARGET_LUFS) < CLOSE_ENOUGH && m.peak <= highest))
			break;
		scale(s, pow(10, (limited ? LIMITED_GAIN : 1) * (TARGET_LUFS - m.loudness) / 20));
		if ((status = measure(s, &m, err)) || m.peak <= highest)
			continue;
		/* Between samples the wave is higher than at them: as much lower is the ceiling
		 * there. How much that is shows only behind the limiter. */
		limited = true;
		if (!(status = limit(s, ceiling, circular, err)))
			status = measure(s, &m, err);
		if (m.peak > highest)
			ceiling *= highest / m.peak;
	}
	if (!status && m.peak > highest)
		scale(s, highest / m.peak);
	return status;
}

int sound_measure(const struct sound *s, double *lufs, double *peak, struct error *err)
{
	struct measure m = {0};
	int status = measure(s, &m, err);
	*lufs = m.loudness;
	*peak = m.peak;
	return status;
}

/* Phase gradient heap integration, one frame at a time.
 *
 * For a Gaussian window the phase's derivatives are those of the logarithm of the magnitude,
 * with time and frequency exchanged; for a Hann window that is nearly so. The phase is
 * integrated from bin to bin, and from the frame before, the loudest first: there the
 * derivatives are most reliable (Z. Průša, P. L. Søndergaard: Real-Time Spectrogram
 * Inversion Using Phase Gradient Heap Integration, DAFx-16). Their heap is a row of buckets
 * here, each for magnitudes of nearly the same logarithm: its order is near enough, and it
 * takes constant time. */
#include "modalities/phase_guess.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TURN 6.283185307179586
#define HANN_GAMMA 0.25645    /* of the window squared: the Gaussian that is nearest to Hann's */
#define QUIET 1e-6f           /* of the loudest: below it gradients mean nothing */
#define LOG_QUIET (-13.8155f) /* log(QUIET) */
#define FLAT 0.05f            /* squared change of logarithms that is none */
#define STEEP 1.0f            /* … that surely is one: exp(−20) */

enum { BUCKETS = 512, NONE = -1 };

struct phase_guess {
	int bins;
	bool blurred;
	float time_scale, frequency_scale, advance; /* see gradients() */
	uint32_t random;
	int frames;
	float *block;                              /* all of the arrays of floats */
	float *phase, *phase_before;               /* [bins] */
	float *time, *time_before;                 /* [bins] change of phase to the next frame */
	float *frequency;                          /* [bins] change of phase to the next bin */
	float *log_before, *log_frame, *log_after; /* [bins] */
	float *before, *here, *after;              /* [bins] the same, none below the floor */
	unsigned char *done;                       /* [bins] */
	int left;                                  /* bins that are not done */
	/* Entries 0 … bins − 1 are the frame before's bins, then come this frame's. */
	int *next;         /* [2 · bins] the entry behind one in its bucket */
	int head[BUCKETS]; /* first entries */
	int highest;       /* no bucket above holds any */
	float lowest;      /* logarithm at which the buckets begin */
};

int phase_guess_new(const struct stft_options *o, int bins, bool blurred, struct phase_guess **out,
		    struct error *err)
{
	size_t n = (size_t)bins;
	double gamma = HANN_GAMMA * o->window * o->window;
	struct phase_guess *g = calloc(1, sizeof *g);
	*out = g;
	if (!g)
		return error_set(err, SUMI_NOMEM, "no memory for a spectrum's phases");
	g->bins = bins;
	g->blurred = blurred;
	g->time_scale = (float)((double)o->hop * o->n_fft / gamma / 2);
	g->frequency_scale = (float)(-gamma / ((double)o->hop * o->n_fft) / 2);
	g->advance = (float)(TURN * o->hop / o->n_fft);
	g->random = 1;
	float **arrays[] = {&g->phase,     &g->phase_before, &g->time,      &g->time_before,
			    &g->frequency, &g->log_before,   &g->log_frame, &g->log_after,
			    &g->before,    &g->here,         &g->after};
	size_t count = sizeof arrays / sizeof arrays[0];
	g->block = calloc(count * n, sizeof(float));
	g->done = malloc(n);
	g->next = malloc(2 * n * sizeof *g->next);
	if (!g->block || !g->done || !g->next) {
		phase_guess_free(g);
		*out = NULL;
		return error_set(err, SUMI_NOMEM, "no memory for a spectrum's phases");
	}
	for (size_t i = 0; i < count; i++)
		*arrays[i] = g->block + i * n;
	return SUMI_OK;
}

void phase_guess_free(struct phase_guess *g)
{
	if (!g)
		return;
	free(g->block);
	free(g->done);
	free(g->next);
	free(g);
}

/* ---- the queue: loudest first ------------------------------------------------------- */

static void push(struct phase_guess *g, float logarithm, int entry)
{
	int bucket = (int)((logarithm - g->lowest) * ((BUCKETS - 1) / -LOG_QUIET));
	bucket = bucket < 0 ? 0 : bucket >= BUCKETS ? BUCKETS - 1 : bucket;
	g->next[entry] = g->head[bucket];
	g->head[bucket] = entry;
	if (bucket > g->highest)
		g->highest = bucket;
}

static int pop(struct phase_guess *g)
{
	while (g->highest >= 0 && g->head[g->highest] == NONE)
		g->highest--;
	if (g->highest < 0)
		return NONE;
	int entry = g->head[g->highest];
	g->head[g->highest] = g->next[entry];
	return entry;
}

/* ---- a frame ----------------------------------------------------------------------- */

static void logarithms(const float *in, int bins, float *out)
{
	for (int m = 0; m < bins; m++)
		out[m] = logf(in[m]);
}

static void limit(const float *in, int bins, float floor, float *out)
{
	for (int m = 0; m < bins; m++)
		out[m] = in[m] > floor ? in[m] : floor;
}

/* Phases that no gradient tells: any will do, as long as they are the same each time. */
static float random_phase(struct phase_guess *g)
{
	g->random = 1664525u * g->random + 1013904223u;
	return (float)((double)g->random / 4294967296.0 * TURN);
}

/* Equations 3 and 4 of the paper, in phases per hop and per bin. Where magnitudes are flat
 * both ways these make a click of each frame; noise that was blurred gets noise's phases. */
static void gradients(struct phase_guess *g)
{
	int n = g->bins;
	for (int m = 0; m < n; m++) {
		float below = g->here[m > 0 ? m - 1 : 0], above = g->here[m + 1 < n ? m + 1 : m];
		float up = above - below, on = g->after[m] - g->before[m];
		float bend =
		    above + below - 2 * g->here[m]; /* a tone's peak has no slope, but that */
		float change = up * up + on * on + bend * bend;
		g->time[m] = g->time_scale * up + g->advance * (float)m;
		g->frequency[m] = g->frequency_scale * on;
		if (g->blurred && change < STEEP)
			g->frequency[m] += expf(-change / FLAT) * random_phase(g);
	}
}

static void finish_bin(struct phase_guess *g, int bin, float phase)
{
	g->phase[bin] = phase;
	g->done[bin] = 1;
	g->left--;
	push(g, g->here[bin], g->bins + bin);
}

static void spread(struct phase_guess *g, int from, int to)
{
	if (to < 0 || to >= g->bins || g->done[to])
		return;
	float change = (g->frequency[from] + g->frequency[to]) / 2;
	finish_bin(g, to, g->phase[from] + (to > from ? change : -change));
}

static void integrate(struct phase_guess *g)
{
	int entry;
	while (g->left > 0 && (entry = pop(g)) != NONE) {
		if (entry >= g->bins) {
			spread(g, entry - g->bins, entry - g->bins + 1);
			spread(g, entry - g->bins, entry - g->bins - 1);
		} else if (!g->done[entry]) {
			finish_bin(g, entry,
				   g->phase_before[entry] +
				       (g->time_before[entry] + g->time[entry]) / 2);
		}
	}
}

static void start(struct phase_guess *g, const float *frame, float floor)
{
	int loudest = 0;
	g->left = 0;
	g->highest = NONE;
	for (int i = 0; i < BUCKETS; i++)
		g->head[i] = NONE;
	for (int m = 0; m < g->bins; m++) {
		g->done[m] = frame[m] <= floor;
		g->left += !g->done[m];
		if (g->done[m])
			g->phase[m] = random_phase(g);
		else if (g->frames > 0)
			push(g, g->before[m], m);
		loudest = frame[m] > frame[loudest] ? m : loudest;
	}
	if (g->frames == 0 && !g->done[loudest])
		finish_bin(g, loudest, 0);
}

static void exchange(float **a, float **b)
{
	float *kept = *a;
	*a = *b;
	*b = kept;
}

const float *phase_guess_next(struct phase_guess *g, const float *before, const float *frame,
			      const float *after)
{
	float loudest = 0;
	exchange(&g->phase, &g->phase_before);
	exchange(&g->time, &g->time_before);
	for (int m = 0; m < g->bins; m++)
		loudest = fmaxf(loudest, fmaxf(before[m], frame[m]));
	float floor = fmaxf(QUIET * loudest, 1e-30f);
	/* Two of the three frames are known from the call before. */
	exchange(&g->log_before, &g->log_frame);
	exchange(&g->log_frame, &g->log_after);
	if (g->frames == 0) {
		logarithms(before, g->bins, g->log_before);
		logarithms(frame, g->bins, g->log_frame);
	}
	logarithms(after, g->bins, g->log_after);
	g->lowest = logf(floor);
	limit(g->log_before, g->bins, g->lowest, g->before);
	limit(g->log_frame, g->bins, g->lowest, g->here);
	limit(g->log_after, g->bins, g->lowest, g->after);
	gradients(g);
	start(g, frame, floor);
	integrate(g);
	/* Cosines of large numbers are slow and coarse. */
	for (int m = 0; m < g->bins; m++)
		g->phase[m] -= (float)TURN * rintf(g->phase[m] * (float)(1 / TURN));
	g->frames++;
	return g->phase;
}

/* Phase gradient heap integration, one frame at a time.
 *
 * For a Gaussian window the phase's derivatives are those of the logarithm of the magnitude,
 * with time and frequency exchanged; for a Hann window that is nearly so. The phase is
 * integrated from bin to bin, and from the frame before, the loudest first: there the
 * derivatives are most reliable (Z. Průša, P. L. Søndergaard: Real-Time Spectrogram
 * Inversion Using Phase Gradient Heap Integration, DAFx-16). */
#include "modalities/phase_guess.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TURN 6.283185307179586
#define HANN_GAMMA 0.25645 /* of the window squared: the Gaussian that is nearest to Hann's */
#define QUIET 1e-6f        /* of the loudest: below it gradients mean nothing */
#define FLAT 0.05f         /* squared change of logarithms that is none */

struct entry {
	float priority;
	int bin; /* those of the frame before come first, then this frame's */
};

struct phase_guess {
	int bins;
	bool blurred;
	float time_scale, frequency_scale, advance; /* see gradients() */
	uint32_t random;
	int frames;
	float *phase, *phase_before;               /* [bins] */
	float *time, *time_before;                 /* [bins] change of phase to the next frame */
	float *frequency;                          /* [bins] change of phase to the next bin */
	float *log_before, *log_frame, *log_after; /* [bins] */
	unsigned char *done;                       /* [bins] */
	struct entry *heap;                        /* [2 · bins] */
	int heap_size;
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
	g->phase = calloc(8 * n, sizeof(float));
	g->done = malloc(n);
	g->heap = malloc(2 * n * sizeof *g->heap);
	if (!g->phase || !g->done || !g->heap) {
		phase_guess_free(g);
		*out = NULL;
		return error_set(err, SUMI_NOMEM, "no memory for a spectrum's phases");
	}
	g->phase_before = g->phase + n;
	g->time = g->phase + 2 * n;
	g->time_before = g->phase + 3 * n;
	g->frequency = g->phase + 4 * n;
	g->log_before = g->phase + 5 * n;
	g->log_frame = g->phase + 6 * n;
	g->log_after = g->phase + 7 * n;
	return SUMI_OK;
}

void phase_guess_free(struct phase_guess *g)
{
	if (!g)
		return;
	/* The halves are exchanged from frame to frame: the block begins at the lower one. */
	free(g->phase < g->phase_before ? g->phase : g->phase_before);
	free(g->done);
	free(g->heap);
	free(g);
}

/* ---- the heap ---------------------------------------------------------------------- */

static void push(struct phase_guess *g, float priority, int bin)
{
	int i = g->heap_size++;
	while (i > 0 && g->heap[(i - 1) / 2].priority < priority) {
		g->heap[i] = g->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	g->heap[i] = (struct entry){priority, bin};
}

static struct entry pop(struct phase_guess *g)
{
	struct entry top = g->heap[0], last = g->heap[--g->heap_size];
	int i = 0, child;
	while ((child = 2 * i + 1) < g->heap_size) {
		if (child + 1 < g->heap_size &&
		    g->heap[child + 1].priority > g->heap[child].priority)
			child++;
		if (g->heap[child].priority <= last.priority)
			break;
		g->heap[i] = g->heap[child];
		i = child;
	}
	g->heap[i] = last;
	return top;
}

/* ---- a frame ----------------------------------------------------------------------- */

static void logarithms(const float *in, int bins, float floor, float *out)
{
	for (int m = 0; m < bins; m++)
		out[m] = logf(in[m] > floor ? in[m] : floor);
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
		float below = g->log_frame[m > 0 ? m - 1 : 0],
		      above = g->log_frame[m + 1 < n ? m + 1 : m];
		float up = above - below, on = g->log_after[m] - g->log_before[m];
		float bend =
		    above + below - 2 * g->log_frame[m]; /* a tone's peak has no slope, but that */
		float flat = !g->blurred ? 0 : expf(-(up * up + on * on + bend * bend) / FLAT);
		g->time[m] = g->time_scale * up + g->advance * (float)m;
		g->frequency[m] = g->frequency_scale * on + flat * random_phase(g);
	}
}

static void spread(struct phase_guess *g, const float *frame, int from, int to)
{
	if (to < 0 || to >= g->bins || g->done[to])
		return;
	float change = (g->frequency[from] + g->frequency[to]) / 2;
	g->phase[to] = g->phase[from] + (to > from ? change : -change);
	g->done[to] = 1;
	push(g, frame[to], g->bins + to);
}

static void integrate(struct phase_guess *g, const float *frame)
{
	while (g->heap_size > 0) {
		int bin = pop(g).bin;
		if (bin >= g->bins) {
			spread(g, frame, bin - g->bins, bin - g->bins + 1);
			spread(g, frame, bin - g->bins, bin - g->bins - 1);
		} else if (!g->done[bin]) {
			g->phase[bin] =
			    g->phase_before[bin] + (g->time_before[bin] + g->time[bin]) / 2;
			g->done[bin] = 1;
			push(g, frame[bin], g->bins + bin);
		}
	}
}

static void start(struct phase_guess *g, const float *before, const float *frame, float floor)
{
	int loudest = 0;
	for (int m = 0; m < g->bins; m++) {
		g->done[m] = frame[m] <= floor;
		if (g->done[m])
			g->phase[m] = random_phase(g);
		else if (g->frames > 0)
			push(g, before[m], m);
		loudest = frame[m] > frame[loudest] ? m : loudest;
	}
	if (g->frames == 0 && !g->done[loudest]) {
		g->phase[loudest] = 0;
		g->done[loudest] = 1;
		push(g, frame[loudest], g->bins + loudest);
	}
}

const float *phase_guess_next(struct phase_guess *g, const float *before, const float *frame,
			      const float *after)
{
	float loudest = 0, *other = g->phase_before;
	g->phase_before = g->phase;
	g->phase = other;
	other = g->time_before;
	g->time_before = g->time;
	g->time = other;
	for (int m = 0; m < g->bins; m++)
		loudest = fmaxf(loudest, fmaxf(before[m], frame[m]));
	float floor = QUIET * loudest;
	if (floor < 1e-30f)
		floor = 1e-30f;
	logarithms(before, g->bins, floor, g->log_before);
	logarithms(frame, g->bins, floor, g->log_frame);
	logarithms(after, g->bins, floor, g->log_after);
	gradients(g);
	start(g, before, frame, floor);
	integrate(g, frame);
	/* Cosines of large numbers are slow and coarse. */
	for (int m = 0; m < g->bins; m++)
		g->phase[m] = remainderf(g->phase[m], (float)TURN);
	g->frames++;
	return g->phase;
}

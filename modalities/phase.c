/* Griffin–Lim.
 *
 * The fast algorithm keeps the spectra of two iterations and extrapolates,
 * angle(t − β t₋₁). A spectrum is linear in its signal, so here the two signals are
 * extrapolated instead: no spectrum outlives its frame, and memory is a few signals. */
#include "modalities/phase.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "modalities/fft.h"
#include "modalities/phase_guess.h"
#include "modalities/stft_internal.h"

enum { PARTS = 2 }; /* of the frames, one thread each; fixed, as sums depend on it */

/* ---- another transform ------------------------------------------------------------- */

int phase_transform(int window, int n_fft)
{
	int n = (window + 7) / 8 * 8;
	while (fft_largest_factor(n) > 5)
		n += 8;
	/* Between bins that stand three times as close as they must, a line is near enough. */
	return n_fft % n == 0 || (n < n_fft && n_fft / 3 >= window) ? n : n_fft;
}

void phase_regrid(const float *in, int n_in, int n_out, int bins, float *out)
{
	for (int k = 0; k < bins; k++) {
		long long at = (long long)k * n_in;
		int left = (int)(at / n_out), rest = (int)(at % n_out);
		float part = (float)rest / (float)n_out;
		out[k] = rest ? in[left] + (in[left + 1] - in[left]) * part : in[left];
	}
}

/* ---- reconstruction ---------------------------------------------------------------- */

struct rebuild;

/* A run of frames and the sum of what they say. */
struct part {
	struct rebuild *whole;
	struct stft *stft;
	struct fft *fft;
	int first, count; /* frames */
	long long base;   /* the sample at which sum begins */
	size_t size;
	float *sum; /* [size] */
};

struct rebuild {
	const struct phase_options *o;
	const float *magnitudes; /* [frames, bins] */
	struct part parts[PARTS];
	float *input;   /* [length] what the frames are taken from */
	float *newest;  /* [length] */
	float *before;  /* [length] the iteration before that */
	float *overlap; /* [length] 1 / sum of the windows' squares */
};

/* Adds the signal of p's spectrum. */
static void synthesise(struct part *p, int t)
{
	struct stft *s = p->stft;
	long long at = stft_first_sample(s, t) - p->base;
	kiss_fftri(s->inverse, s->spectrum, s->frame);
	const float *frame = s->frame + s->offset;
	for (int i = 0; i < s->o.window; i++)
		p->sum[at + i] += s->window[i] * frame[i];
}

/* The windowed samples of frame t beside those of others, as number `lane`. */
static void lay_frame(const struct part *p, int t, float *samples, int lane)
{
	const struct stft *s = p->stft;
	const float *x = p->whole->input;
	long long first = stft_first_sample(s, t), n = (long long)p->whole->o->length;
	float *to = samples + (size_t)s->offset * FFT_FRAMES + lane;
	int w = s->o.window;
	if (first >= 0 && first + w <= n)
		for (int i = 0; i < w; i++)
			to[(size_t)i * FFT_FRAMES] = s->window[i] * x[first + i];
	else
		for (int i = 0; i < w; i++) {
			long long at = first + i;
			to[(size_t)i * FFT_FRAMES] =
			    s->window[i] * (at >= 0 && at < n ? x[at] : stft_beyond(s, x, n, at));
		}
}

static void take_frame(struct part *p, int t, const float *samples, int lane)
{
	const struct stft *s = p->stft;
	float *sum = p->sum + (stft_first_sample(s, t) - p->base);
	const float *from = samples + (size_t)s->offset * FFT_FRAMES + lane;
	for (int i = 0; i < s->o.window; i++)
		sum[i] += s->window[i] * from[(size_t)i * FFT_FRAMES];
}

/* Adds frames t … t + count − 1 of the signal, with the magnitudes that they should have. */
static void project(struct part *p, int t, int count)
{
	const struct stft *s = p->stft;
	const struct rebuild *r = p->whole;
	const float *wanted[FFT_FRAMES] = {NULL};
	float *samples = fft_samples(p->fft);
	memset(samples, 0, (size_t)s->o.n_fft * FFT_FRAMES * sizeof *samples);
	for (int k = 0; k < count; k++) {
		lay_frame(p, t + k, samples, k);
		wanted[k] = r->magnitudes + (size_t)(t + k) * (size_t)r->o->bins;
	}
	fft_forward(p->fft);
	fft_reshape(p->fft, wanted, r->o->bins, 1.0f / (float)s->o.n_fft);
	fft_inverse(p->fft);
	samples = fft_samples(p->fft);
	for (int k = 0; k < count; k++)
		take_frame(p, t + k, samples, k);
}

static void *project_part(void *context)
{
	struct part *p = context;
	memset(p->sum, 0, p->size * sizeof *p->sum);
	for (int t = 0; t < p->count; t += FFT_FRAMES)
		project(p, p->first + t, p->count - t < FFT_FRAMES ? p->count - t : FFT_FRAMES);
	return NULL;
}

/* Phases of frame t, which comes after those of frame t - 1. */
static const float *guess_phases(const struct rebuild *r, struct phase_guess *g, int t)
{
	const struct phase_options *o = r->o;
	size_t bins = (size_t)o->bins;
	bool circle = o->stft.edge == STFT_CIRCLE;
	int last = o->frames - 1;
	int t0 = t > 0 ? t - 1 : circle ? last : 0, t1 = t < last ? t + 1 : circle ? 0 : last;
	const float *all = r->magnitudes;
	return phase_guess_next(g, all + (size_t)t0 * bins, all + (size_t)t * bins,
				all + (size_t)t1 * bins);
}

static void guess_frame(struct part *p, struct phase_guess *g, int t)
{
	struct stft *s = p->stft;
	const struct phase_options *o = p->whole->o;
	const float *frame = p->whole->magnitudes + (size_t)t * (size_t)o->bins;
	const float *phase = guess_phases(p->whole, g, t);
	memset(s->spectrum, 0, (size_t)s->bins * sizeof *s->spectrum);
	for (int k = 0; k < o->bins; k++) {
		/* A frame's middle is its sample n_fft/2: odd bins stand there the other way
		 * around. */
		float f = (k & 1 ? -1.0f : 1.0f) * frame[k] / (float)s->o.n_fft;
		s->spectrum[k].r = f * cosf(phase[k]);
		s->spectrum[k].i = f * sinf(phase[k]);
	}
	synthesise(p, t);
}

/* The signal's index of sample i of a part; −1 where it has none. */
static long long place(const struct rebuild *r, long long i)
{
	long long n = (long long)r->o->length;
	if (r->o->stft.edge == STFT_CIRCLE)
		return (i % n + n) % n;
	return i >= 0 && i < n ? i : -1;
}

/* newest = the parts' sums over the windows'. */
static void combine(struct rebuild *r)
{
	memset(r->newest, 0, r->o->length * sizeof *r->newest);
	for (int k = 0; k < PARTS; k++)
		for (size_t i = 0; i < r->parts[k].size; i++) {
			long long at = place(r, r->parts[k].base + (long long)i);
			if (at >= 0)
				r->newest[at] += r->parts[k].sum[i];
		}
	for (size_t i = 0; i < r->o->length; i++)
		r->newest[i] *= r->overlap[i];
}

static void weigh_overlap(struct rebuild *r)
{
	const struct stft *s = r->parts[0].stft;
	for (int t = 0; t < r->o->frames; t++)
		for (int i = 0; i < s->o.window; i++) {
			long long at = place(r, stft_first_sample(s, t) + i);
			if (at >= 0)
				r->overlap[at] += s->window[i] * s->window[i];
		}
	for (size_t i = 0; i < r->o->length; i++)
		r->overlap[i] = r->overlap[i] > 1e-6f ? 1 / r->overlap[i] : 1;
}

static int make_parts(struct rebuild *r, struct error *err)
{
	const struct phase_options *o = r->o;
	for (int k = 0, first = 0; k < PARTS; k++) {
		struct part *p = &r->parts[k];
		int end = (int)((long long)o->frames * (k + 1) / PARTS), status;
		p->whole = r;
		p->first = first;
		p->count = end - first;
		first = end;
		if ((status = stft_new(&o->stft, &p->stft, err)) ||
		    (status = fft_new(o->stft.n_fft, &p->fft, err)))
			return status;
		p->base = stft_first_sample(p->stft, p->first);
		p->size = (size_t)p->count * (size_t)o->stft.hop + (size_t)o->stft.window;
		p->sum = calloc(p->size, sizeof *p->sum);
		if (!p->sum)
			return error_set(err, SUMI_NOMEM, "no memory for %zu samples", o->length);
	}
	r->input = calloc(o->length, sizeof(float));
	r->newest = calloc(o->length, sizeof(float));
	r->before = calloc(o->length, sizeof(float));
	r->overlap = calloc(o->length, sizeof(float));
	return r->input && r->newest && r->before && r->overlap
		   ? SUMI_OK
		   : error_set(err, SUMI_NOMEM, "no memory for %zu samples", o->length);
}

static int first_guess(struct rebuild *r, struct error *err)
{
	struct phase_guess *g;
	int status = phase_guess_new(&r->o->stft, r->o->bins, r->o->blurred, &g, err);
	if (status)
		return status;
	/* All phases begin in step, which makes a pulse. A circle shall not have one at its seam:
	 * there they have gone on for some frames already. */
	enum { LEAD_IN = 32 };
	int lead = r->o->stft.edge != STFT_CIRCLE ? 0
		   : r->o->frames < LEAD_IN       ? r->o->frames
						  : LEAD_IN;
	for (int t = r->o->frames - lead; t < r->o->frames; t++)
		guess_phases(r, g, t);
	for (int k = 0; k < PARTS; k++)
		for (int t = r->parts[k].first; t < r->parts[k].first + r->parts[k].count; t++)
			guess_frame(&r->parts[k], g, t);
	combine(r);
	phase_guess_free(g);
	return SUMI_OK;
}

/* One iteration; a thread that cannot be had is done without. */
static void iterate(struct rebuild *r, float beta)
{
	float *other = r->before;
	pthread_t threads[PARTS];
	int started[PARTS] = {0};
	for (size_t i = 0; i < r->o->length; i++)
		r->input[i] = r->newest[i] - beta * r->before[i];
	for (int k = 1; k < PARTS; k++)
		started[k] = pthread_create(&threads[k], NULL, project_part, &r->parts[k]) == 0;
	for (int k = 0; k < PARTS; k++)
		if (!started[k])
			project_part(&r->parts[k]);
	for (int k = 1; k < PARTS; k++)
		if (started[k])
			pthread_join(threads[k], NULL);
	r->before = r->newest;
	r->newest = other;
	combine(r);
}

int phase_reconstruct(const struct phase_options *o, const float *magnitudes, float *samples,
		      struct error *err)
{
	struct rebuild r = {.o = o, .magnitudes = magnitudes};
	int status = make_parts(&r, err);
	if (status)
		goto done;
	weigh_overlap(&r);
	if (o->like)
		memcpy(r.newest, o->like, o->length * sizeof *samples);
	else if ((status = first_guess(&r, err)))
		goto done;
	/* t + α (t − t₋₁) has the angles of t − α/(1 + α) t₋₁; the first step knows one only. */
	for (int i = 0; i < o->iterations; i++)
		iterate(&r, i ? (float)(o->momentum / (1 + o->momentum)) : 0);
	memcpy(samples, r.newest, o->length * sizeof *samples);
done:
	for (int k = 0; k < PARTS; k++) {
		stft_free(r.parts[k].stft);
		fft_free(r.parts[k].fft);
		free(r.parts[k].sum);
	}
	free(r.input);
	free(r.newest);
	free(r.before);
	free(r.overlap);
	return status;
}

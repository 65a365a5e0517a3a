#include "diffusion/windows.h"

#include <stdlib.h>
#include <string.h>

/* Coprime to any usual count of columns, so that the circle's windows visit every position. */
#define CIRCLE_SHIFT 13

struct windows {
	struct session base;
	struct session *inner; /* owned; of one window */
	int h, w;              /* of a window */
	int count;             /* of windows */
	bool circular;
	float *latents, *prediction; /* [h, w, out] */
	float *beside;               /* [h, w, in − out] or NULL */
	float *weights;              /* [columns of the whole] */
};

static int window_start(const struct windows *win, int i, int call)
{
	int whole = win->base.plan.w;
	if (win->circular)
		return (int)(((long long)i * whole / win->count + (long long)call * CIRCLE_SHIFT) %
			     whole);
	return win->count == 1 ? 0 : (int)((long long)i * (whole - win->w) / (win->count - 1));
}

/* Highest in the middle: a window knows least about its edges. */
static float window_weight(const struct windows *win, int x)
{
	return (float)(x + 1 < win->w - x ? x + 1 : win->w - x);
}

/* A window of [h, w of the whole, c]. */
static void gather(const struct windows *win, const float *from, int start, size_t c, float *to)
{
	int whole = win->base.plan.w;
	for (int y = 0; y < win->h; y++)
		for (int x = 0; x < win->w; x++)
			memcpy(to + ((size_t)y * (size_t)win->w + (size_t)x) * c,
			       from + ((size_t)y * (size_t)whole + (size_t)((start + x) % whole)) * c,
			       c * sizeof(float));
}

static void scatter(struct windows *win, int start, float *prediction)
{
	size_t c = (size_t)win->base.spec.out;
	int whole = win->base.plan.w;
	for (int x = 0; x < win->w; x++) {
		float weight = window_weight(win, x);
		size_t column = (size_t)((start + x) % whole);
		win->weights[column] += weight;
		for (int y = 0; y < win->h; y++) {
			const float *from =
			    win->prediction + ((size_t)y * (size_t)win->w + (size_t)x) * c;
			float *to = prediction + ((size_t)y * (size_t)whole + column) * c;
			for (size_t k = 0; k < c; k++)
				to[k] += weight * from[k];
		}
	}
}

static int predict(struct session *s, const struct session_call *call, struct error *err)
{
	struct windows *win = (struct windows *)s;
	size_t c = (size_t)s->spec.out, pixels = (size_t)win->h * (size_t)s->plan.w;
	struct session_call own = *call;
	own.latents = win->latents;
	own.beside = call->beside ? win->beside : NULL;
	own.prediction = win->prediction;
	memset(call->prediction, 0, pixels * c * sizeof(float));
	memset(win->weights, 0, (size_t)s->plan.w * sizeof(float));
	for (int i = 0; i < win->count; i++) {
		int start = window_start(win, i, call->number);
		gather(win, call->latents, start, c, win->latents);
		if (own.beside)
			gather(win, call->beside, start, (size_t)(s->spec.in - s->spec.out),
			       win->beside);
		int status = session_predict(win->inner, &own, err);
		if (status)
			return status;
		scatter(win, start, call->prediction);
	}
	for (size_t i = 0; i < pixels; i++)
		for (size_t k = 0; k < c; k++)
			call->prediction[i * c + k] /= win->weights[i % (size_t)s->plan.w];
	return SUMI_OK;
}

static void windows_free(struct session *s)
{
	struct windows *win = (struct windows *)s;
	session_free(win->inner);
	free(win->latents);
	free(win->prediction);
	free(win->beside);
	free(win->weights);
	free(win);
}

static const struct session_kind kind = {.predict = predict, .free = windows_free};

static int count_of(int whole, int window, int overlap, bool circular)
{
	int stride = window - overlap;
	if (!circular)
		return 1 + (whole - window + stride - 1) / stride;
	/* One window on a circle would have a seam. */
	int count = (whole + stride - 1) / stride;
	return count < 2 ? 2 : count;
}

int windows_wrap(struct session **session, int width, int overlap, bool circular, struct error *err)
{
	struct session *inner = *session;
	const struct denoiser_spec *spec = &inner->spec;
	int h = inner->plan.h, w = inner->plan.w;
	size_t pixels = (size_t)h * (size_t)w;
	struct windows *win = calloc(1, sizeof *win);
	if (!win)
		return error_set(err, SUMI_NOMEM, "out of memory");
	*win = (struct windows){
	    .base = *inner,
	    .h = h,
	    .w = w,
	    .count = count_of(width, w, overlap, circular),
	    .circular = circular,
	    .latents = malloc(pixels * (size_t)spec->out * sizeof(float)),
	    .prediction = malloc(pixels * (size_t)spec->out * sizeof(float)),
	    .weights = malloc((size_t)width * sizeof(float)),
	};
	win->base.kind = &kind;
	win->base.plan.w = width;
	if (spec->in > spec->out)
		win->beside = malloc(pixels * (size_t)(spec->in - spec->out) * sizeof(float));
	if (!win->latents || !win->prediction || !win->weights ||
	    (spec->in > spec->out && !win->beside)) {
		windows_free(&win->base);
		return error_set(err, SUMI_NOMEM, "no memory for windows of %d columns", w);
	}
	win->inner = inner;
	*session = &win->base;
	return SUMI_OK;
}

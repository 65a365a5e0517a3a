#include "diffusion/windows.h"

#include <stdlib.h>
#include <string.h>

/* Coprime to any usual count of columns, so that the circle's windows visit every position. */
#define CIRCLE_SHIFT 13

/* One side of the whole. */
struct line {
	int whole, window, count; /* latents, and windows along it */
	bool circular;
	bool flat;      /* all of a window counts alike */
	float *weights; /* [whole]: the sum of those of all windows */
};

struct windows {
	struct session base;
	struct session *inner; /* owned; of one window */
	struct line y, x;
	float *latents, *prediction; /* [window, out] */
	float *beside;               /* [window, in − out] or NULL */
};

static int window_start(const struct line *l, int i, int call)
{
	if (l->circular)
		return (int)(((long long)i * l->whole / l->count + (long long)call * CIRCLE_SHIFT) % l->whole);
	return l->count == 1 ? 0 : (int)((long long)i * (l->whole - l->window) / (l->count - 1));
}

/* Highest in the middle: a window knows least about its edges. */
static float window_weight(const struct line *l, int i)
{
	if (l->flat)
		return 1;
	return (float)(i + 1 < l->window - i ? i + 1 : l->window - i);
}

static void weigh(struct line *l, int call)
{
	memset(l->weights, 0, (size_t)l->whole * sizeof(float));
	for (int i = 0; i < l->count; i++)
		for (int k = 0, start = window_start(l, i, call); k < l->window; k++)
			l->weights[(start + k) % l->whole] += window_weight(l, k);
}

/* Where the pixel of a window lies in the whole. */
static size_t place(const struct windows *win, int y0, int x0, int y, int x)
{
	return (size_t)((y0 + y) % win->y.whole) * (size_t)win->x.whole + (size_t)((x0 + x) % win->x.whole);
}

/* A window of [whole, c]. */
static void gather(const struct windows *win, const float *from, int y0, int x0, size_t c, float *to)
{
	for (int y = 0; y < win->y.window; y++)
		for (int x = 0; x < win->x.window; x++, to += c)
			memcpy(to, from + place(win, y0, x0, y, x) * c, c * sizeof(float));
}

static void scatter(const struct windows *win, int y0, int x0, float *prediction)
{
	size_t c = (size_t)win->base.spec.out;
	const float *from = win->prediction;
	for (int y = 0; y < win->y.window; y++)
		for (int x = 0; x < win->x.window; x++, from += c) {
			float weight = window_weight(&win->y, y) * window_weight(&win->x, x);
			float *to = prediction + place(win, y0, x0, y, x) * c;
			for (size_t k = 0; k < c; k++)
				to[k] += weight * from[k];
		}
}

static int predict(struct session *s, const struct session_call *call, struct error *err)
{
	struct windows *win = (struct windows *)s;
	size_t c = (size_t)s->spec.out, pixels = (size_t)win->y.whole * (size_t)win->x.whole;
	struct session_call own = *call;
	own.latents = win->latents;
	own.beside = call->beside ? win->beside : NULL;
	own.prediction = win->prediction;
	memset(call->prediction, 0, pixels * c * sizeof(float));
	weigh(&win->y, call->number);
	weigh(&win->x, call->number);
	for (int i = 0; i < win->y.count * win->x.count; i++) {
		int y0 = window_start(&win->y, i / win->x.count, call->number);
		int x0 = window_start(&win->x, i % win->x.count, call->number);
		gather(win, call->latents, y0, x0, c, win->latents);
		if (own.beside)
			gather(win, call->beside, y0, x0, (size_t)(s->spec.in - s->spec.out), win->beside);
		int status = session_predict(win->inner, &own, err);
		if (status)
			return status;
		scatter(win, y0, x0, call->prediction);
	}
	for (size_t i = 0; i < pixels; i++) {
		float sum = win->y.weights[i / (size_t)win->x.whole] * win->x.weights[i % (size_t)win->x.whole];
		for (size_t k = 0; k < c; k++)
			call->prediction[i * c + k] /= sum;
	}
	return SUMI_OK;
}

static void windows_free(struct session *s)
{
	struct windows *win = (struct windows *)s;
	session_free(win->inner);
	free(win->latents);
	free(win->prediction);
	free(win->beside);
	free(win->y.weights);
	free(win->x.weights);
	free(win);
}

static const struct session_kind kind = {.predict = predict, .free = windows_free};

static struct line line_of(int whole, int window, int overlap, bool circular)
{
	/* What one window holds is not cut, however much the other side's overlap. */
	int stride = window < whole || circular ? window - overlap : window;
	struct line l = {.whole = whole, .window = window, .circular = circular};
	l.count = circular ? (whole + stride - 1) / stride : 1 + (whole - window + stride - 1) / stride;
	if (circular && l.count < 2)
		l.count = 2; /* one window on a circle would have a seam */
	l.weights = malloc((size_t)whole * sizeof(float));
	return l;
}

int windows_wrap(struct session **session, const struct windows_shape *shape, struct error *err)
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
	    .y = line_of(shape->height, h, shape->overlap, shape->circular_y),
	    .x = line_of(shape->width, w, shape->overlap, shape->circular_x),
	    .latents = malloc(pixels * (size_t)spec->out * sizeof(float)),
	    .prediction = malloc(pixels * (size_t)spec->out * sizeof(float)),
	};
	/* Columns are weighed also where there is one window of them: sound of that length keeps its bytes. */
	win->y.flat = shape->height == h && !shape->circular_y;
	win->base.kind = &kind;
	win->base.plan.h = shape->height;
	win->base.plan.w = shape->width;
	if (spec->in > spec->out)
		win->beside = malloc(pixels * (size_t)(spec->in - spec->out) * sizeof(float));
	if (!win->latents || !win->prediction || !win->y.weights || !win->x.weights ||
	    (spec->in > spec->out && !win->beside)) {
		windows_free(&win->base);
		return error_set(err, SUMI_NOMEM, "no memory for windows of %dx%d", w, h);
	}
	win->inner = inner;
	*session = &win->base;
	return SUMI_OK;
}

/* A saved state does not hold the features (megabytes) but the latents of the whole evaluation that
 * made them. A run that is restored before a shallow one evaluates those once more: the same
 * numbers, and the same bytes from there on. */
#include "diffusion/deep_cache.h"

#include <stdlib.h>
#include <string.h>

struct deep_cache {
	struct session base;
	struct session *inner; /* owned */
	int every;
	int made;      /* the call that made the features; -1: they must be made again */
	size_t values; /* of the latents */
	float *anchor; /* [values], what that call saw */
};

/* Whether that call runs the whole network. */
static bool is_whole(const struct deep_cache *d, int call)
{
	/* Features of two texts are none of one, nor of others. */
	return call % d->every == 0 || (d->base.changes && d->base.changes[call]) ||
	       guidance_at(&d->base.guidance, call) !=
					   guidance_at(&d->base.guidance, call - 1);
}

/* The features that a call needs, once more from what is known of their making; the prediction is
 * lost. */
static int recall(struct deep_cache *d, const struct session_call *call, struct error *err)
{
	struct session_call again = *call;
	again.latents = d->anchor;
	while (!is_whole(d, again.number))
		again.number--;
	int status = session_predict(d->inner, &again, err);
	if (!status)
		d->made = again.number;
	return status;
}

static int predict(struct session *s, const struct session_call *call, struct error *err)
{
	struct deep_cache *d = (struct deep_cache *)s;
	struct session_call own = *call;
	own.shallow = !is_whole(d, call->number);
	int status = SUMI_OK;
	if (!own.shallow)
		d->made = -1; /* what a failure leaves is of no use */
	else if (d->made < 0)
		status = recall(d, call, err);
	if (!status)
		status = session_predict(d->inner, &own, err);
	if (status || own.shallow)
		return status;
	d->made = call->number;
	memcpy(d->anchor, call->latents, d->values * sizeof *d->anchor);
	return SUMI_OK;
}

static float *kept(struct session *s, int next, size_t *count)
{
	struct deep_cache *d = (struct deep_cache *)s;
	if (next >= sampler_calls(s->sampler) || is_whole(d, next))
		return NULL;
	*count = d->values;
	return d->anchor;
}

static void deep_cache_free(struct session *s)
{
	struct deep_cache *d = (struct deep_cache *)s;
	session_free(d->inner);
	free(d->anchor);
	free(d);
}

static const struct session_kind kind = {.predict = predict, .kept = kept, .free = deep_cache_free};

int deep_cache_wrap(struct session **session, int every, struct error *err)
{
	struct session *inner = *session;
	size_t values = (size_t)inner->plan.frames * (size_t)inner->plan.h * (size_t)inner->plan.w *
			(size_t)inner->spec.out;
	struct deep_cache *d = calloc(1, sizeof *d);
	float *anchor = malloc(values * sizeof *anchor);
	if (!d || !anchor) {
		free(d);
		free(anchor);
		return error_set(err, SUMI_NOMEM, "out of memory");
	}
	*d = (struct deep_cache){
	    .base = *inner,
	    .inner = inner,
	    .every = every,
	    .made = -1,
	    .values = values,
	    .anchor = anchor,
	};
	d->base.kind = &kind;
	*session = &d->base;
	return SUMI_OK;
}

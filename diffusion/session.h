/* What a run knows of its denoiser: one question at a time (or one of each of several runs), one
 * prediction, guidance applied. Sessions that are made otherwise than at once (deep_cache.h,
 * windows.h) are wrapped around a plain one and look the same from outside. */
#ifndef SUMI_DIFFUSION_SESSION_H
#define SUMI_DIFFUSION_SESSION_H

#include <stddef.h>

#include "diffusion/denoiser.h"
#include "diffusion/guidance.h"
#include "diffusion/sampler.h"
#include "diffusion/telling.h"

struct session;

struct session_call {
	int number;           /* of the evaluation: the sampler's call */
	const float *latents; /* [frames, h, w, out] */
	const float *beside;  /* [frames, h, w, in − out], what else the denoiser is shown, or NULL */
	float *prediction;    /* [frames, h, w, out] */
	bool shallow;         /* for wrappers: from what the last whole evaluation left */
};

struct session_kind {
	int (*predict)(struct session *s, const struct session_call *call, struct error *err);
	/* What a saved state must hold for the next call to come out the same after a restore:
	 * count values, owned by the session, read to save and written to restore. NULL: nothing. */
	float *(*kept)(struct session *s, int next, size_t *count);
	void (*free)(struct session *s);
};

/* The part that all kinds have; wrappers copy it from what they wrap. */
struct session {
	const struct session_kind *kind;
	const struct denoiser *denoiser; /* borrowed */
	struct denoiser_plan plan;
	struct denoiser_spec spec;
	struct denoiser_frames frames;
	struct guidance guidance;
	const struct sampler *sampler; /* borrowed */
	const bool *changes; /* [calls]: another thing is told than at the call before; NULL: never */
};

/* A plain session, of what plan.texts texts said; sampler and denoiser must outlive it. SUMI_INVALID
 * for a level of features that the denoiser has not. */
int session_new(struct denoiser *denoiser, const struct denoiser_plan *plan,
		const struct conditions *said, const struct guidance *guidance,
		const struct sampler *sampler, struct session **out, struct error *err);

/* The same of texts that change on the way, or of several parts; plan.texts is how many t tells at once. t is
 * borrowed until the session is freed. */
int session_new_telling(struct denoiser *denoiser, const struct denoiser_plan *plan,
			const struct telling *t, const struct guidance *guidance,
			const struct sampler *sampler, struct session **out, struct error *err);
void session_free(struct session *session); /* NULL is fine */

/* Fails with SUMI_IO when a file of the model became shorter meanwhile. */
int session_predict(struct session *s, const struct session_call *call, struct error *err);

/* The same for several at once, which all join the first. */
bool session_joins(const struct session *a, const struct session *b);
int session_predict_together(struct session *const *sessions, const struct session_call *calls,
			     int count, struct error *err);

/* See struct session_kind; next: the number of the next call, or that after the last. */
float *session_kept(struct session *s, int next, size_t *count);

#endif

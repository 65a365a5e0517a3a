/* Plain sessions: one evaluation of the denoiser, with one text or both, then guidance. */
#include "diffusion/session.h"

#include <stdlib.h>
#include <string.h>

#include "diffusion/control.h"
#include "weights/guard.h"

/* Of a run's texts: the one before it is the negative prompt. */
enum { PROMPT_TEXT = 2 };

struct plain {
	struct session base;
	struct denoiser_session *own; /* what the denoiser keeps */
	const struct telling *telling; /* borrowed; NULL: what was said is said all the way */
	int told;                     /* the call that `own` was made for */
	float *joined;                /* [frames, h, w, in] where in > out, else NULL */
	float *strengths; /* of the plan's controls, in one evaluation */
	float *raw; /* [texts, frames, h, w, out], predictions of all texts; NULL: never guided */
	float *blind; /* [frames, h, w, out], that of the first without the picture; NULL: not asked for */
};

static const struct session_kind kind_plain;

static size_t pixels_of(const struct session *s)
{
	return (size_t)s->plan.frames * (size_t)s->plan.h * (size_t)s->plan.w;
}

static size_t values_of(const struct session *s)
{
	return pixels_of(s) * (size_t)s->spec.out;
}

static void plain_free(struct session *s)
{
	struct plain *p = (struct plain *)s;
	if (p->own)
		p->own->denoiser->kind->end(p->own);
	free(p->joined);
	free(p->raw);
	free(p->blind);
	free(p->strengths);
	free(p);
}

/* A picture that counts for more or less than it is: what the model says without it is asked, too. */
static bool asks_blind(const struct session *s)
{
	return s->guidance.on && denoiser_beside(&s->spec) == BESIDE_PICTURE &&
	       s->guidance.picture != 1;
}

static int allocate(struct plain *p, struct error *err)
{
	const struct session *s = &p->base;
	if (s->spec.in > s->spec.out)
		p->joined = malloc(pixels_of(s) * (size_t)s->spec.in * sizeof *p->joined);
	if (s->guidance.on)
		p->raw = malloc(values_of(s) * (size_t)s->plan.texts * sizeof *p->raw);
	if (asks_blind(s))
		p->blind = malloc(values_of(s) * sizeof *p->blind);
	p->strengths = calloc((size_t)s->plan.control_count + 1, sizeof *p->strengths);
	if (p->strengths && (p->joined || s->spec.in <= s->spec.out) && (p->raw || !s->guidance.on) &&
	    (p->blind || !asks_blind(s)))
		return SUMI_OK;
	return error_set(err, SUMI_NOMEM, "no memory for latents of %dx%d", s->plan.w, s->plan.h);
}

/* What is told at a call, where it is not what the denoiser has already. */
static int tell(struct plain *p, int call, struct error *err)
{
	struct conditions said;
	struct denoiser *denoiser = (struct denoiser *)p->base.denoiser;
	if (!p->telling || (p->own && telling_is_same(p->telling, p->told, call)))
		return SUMI_OK;
	int status = telling_at(p->telling, call, &said, err);
	if (status)
		return status;
	struct denoiser_session *own = NULL;
	if (p->own)
		p->own->denoiser->kind->end(p->own);
	p->own = NULL;
	status = denoiser->kind->prepare(denoiser, &p->base.plan, &said, &own, err);
	conditions_free(&said);
	p->own = own;
	p->told = call;
	return status;
}

/* One of said and t is NULL. */
static int open_plain(struct denoiser *denoiser, const struct denoiser_plan *plan,
		      const struct conditions *said, const struct telling *t,
		      const struct guidance *guidance, const struct sampler *sampler,
		      struct session **out, struct error *err)
{
	*out = NULL;
	struct plain *p = calloc(1, sizeof *p);
	if (!p)
		return error_set(err, SUMI_NOMEM, "out of memory");
	p->base = (struct session){
	    .kind = &kind_plain,
	    .denoiser = denoiser,
	    .plan = *plan,
	    .spec = denoiser_spec(denoiser),
	    .guidance = *guidance,
	    .sampler = sampler,
	    .changes = t ? t->changes : NULL,
	};
	p->telling = t;
	int status = denoiser_check_level(&p->base.spec, plan->level, err);
	if (!status)
		status = allocate(p, err);
	if (!status)
		status = t ? tell(p, 0, err)
			   : denoiser->kind->prepare(denoiser, plan, said, &p->own, err);
	if (status) {
		plain_free(&p->base);
		return status;
	}
	p->base.frames = p->own->frames;
	*out = &p->base;
	return SUMI_OK;
}

int session_new(struct denoiser *denoiser, const struct denoiser_plan *plan,
		const struct conditions *said, const struct guidance *guidance,
		const struct sampler *sampler, struct session **out, struct error *err)
{
	return open_plain(denoiser, plan, said, NULL, guidance, sampler, out, err);
}

int session_new_telling(struct denoiser *denoiser, const struct denoiser_plan *plan,
			const struct telling *t, const struct guidance *guidance,
			const struct sampler *sampler, struct session **out, struct error *err)
{
	return open_plain(denoiser, plan, NULL, t, guidance, sampler, out, err);
}

void session_free(struct session *session)
{
	if (session)
		session->kind->free(session);
}

/* The latents with what stands beside them, pixel by pixel; NULL: nothing does. */
static const float *join(struct plain *p, const struct session_call *call, const float *beside)
{
	size_t all = (size_t)p->base.spec.in, own = (size_t)p->base.spec.out;
	if (!p->joined)
		return call->latents;
	for (size_t i = 0; i < pixels_of(&p->base); i++) {
		memcpy(p->joined + i * all, call->latents + i * own, own * sizeof(float));
		if (beside)
			memcpy(p->joined + i * all + own, beside + i * (all - own),
			       (all - own) * sizeof(float));
		else
			memset(p->joined + i * all + own, 0, (all - own) * sizeof(float));
	}
	return p->joined;
}

/* Whether a call asks for more than the prompt: several parts are one prediction by what each of them
 * changes of the negative prompt's. */
static bool asks_all(const struct plain *p, int call)
{
	return guidance_at(&p->base.guidance, call) || (p->telling && !telling_is_single(p->telling));
}

static int ask(struct plain *p, const struct session_call *call, struct denoiser_input *in,
	       struct error *err)
{
	const struct session *s = &p->base;
	bool both = asks_all(p, call->number);
	int status = tell(p, call->number, err);
	if (status)
		return status;
	if (p->joined && !call->beside)
		return error_set(err, SUMI_INVALID,
				 "the denoiser takes %d channels, %d of them beside the latents, and "
				 "is shown none",
				 s->spec.in, s->spec.in - s->spec.out);
	for (int i = 0; i < s->plan.control_count; i++) {
		const struct control_use *use = &s->plan.controls[i];
		bool on = control_is_on(use, call->number, sampler_calls(s->sampler));
		p->strengths[i] = on ? (float)use->strength : 0;
	}
	*in = (struct denoiser_input){
	    .session = p->own,
	    .latents = join(p, call, call->beside),
	    .timestep = (float)sampler_timestep(s->sampler, call->number),
	    .text = s->plan.texts > 1 && !both ? PROMPT_TEXT : 0,
	    .shallow = call->shallow,
	    .strengths = p->strengths,
	    .prediction = both ? p->raw : call->prediction,
	};
	return SUMI_OK;
}

/* Several parts as one: what each changes, by its weight (arXiv:2206.01714), in the first's place. */
static void join_parts(const struct plain *p, size_t n)
{
	const struct telling *t = p->telling;
	float *negative = p->raw, *sum = p->raw + n;
	for (size_t i = 0; i < n; i++) {
		float change = 0;
		for (int k = 1; k < t->count; k++)
			change += (float)t->weights[k] * (p->raw[(size_t)k * n + i] - negative[i]);
		sum[i] = negative[i] + change;
	}
}

static int guide(const struct plain *p, const struct session_call *call, struct error *err)
{
	struct guidance g = p->base.guidance;
	size_t n = values_of(&p->base);
	if (!asks_all(p, call->number))
		return SUMI_OK;
	if (p->telling && !telling_is_single(p->telling))
		join_parts(p, n);
	if (!guidance_at(&g, call->number))
		g.scale = 1;
	return p->blind ? guidance_combine_picture(p->blind, p->raw, p->raw + n, n, &g,
						   call->prediction, err)
			: guidance_combine(p->raw, p->raw + n, n, g.scale, g.rescale,
					   call->prediction, err);
}

/* What the model says with neither picture nor prompt. */
static int ask_blind(struct plain *p, const struct session_call *call, struct denoiser_input in,
		     struct error *err)
{
	if (!p->blind || !asks_all(p, call->number))
		return SUMI_OK;
	in.latents = join(p, call, NULL);
	in.text = PROMPT_TEXT - 1;
	in.prediction = p->blind;
	return p->own->denoiser->kind->evaluate(&in, 1, err);
}

static int plain_predict(struct session *s, const struct session_call *call, struct error *err)
{
	struct plain *p = (struct plain *)s;
	struct denoiser_input in;
	int status = ask(p, call, &in, err);
	if (!status)
		status = p->own->denoiser->kind->evaluate(&in, 1, err);
	if (!status)
		status = ask_blind(p, call, in, err);
	if (!status)
		status = guard_check(err);
	return status ? status : guide(p, call, err);
}

static const struct session_kind kind_plain = {.predict = plain_predict, .free = plain_free};

int session_predict(struct session *s, const struct session_call *call, struct error *err)
{
	return s->kind->predict(s, call, err);
}

bool session_joins(const struct session *a, const struct session *b)
{
	if (a->kind != &kind_plain || b->kind != &kind_plain || asks_blind(a) || asks_blind(b))
		return false;
	const struct denoiser_session *one = ((const struct plain *)a)->own;
	const struct denoiser_session *other = ((const struct plain *)b)->own;
	return one && other && one->denoiser == other->denoiser && one->denoiser->kind->joins &&
	       one->denoiser->kind->joins(one, other);
}

int session_predict_together(struct session *const *sessions, const struct session_call *calls,
			     int count, struct error *err)
{
	struct plain *const *all = (struct plain *const *)sessions;
	struct denoiser_input *in = calloc((size_t)count, sizeof *in);
	if (!in)
		return error_set(err, SUMI_NOMEM, "out of memory");
	int status = SUMI_OK;
	for (int i = 0; i < count && !status; i++)
		status = ask(all[i], &calls[i], &in[i], err);
	if (!status)
		status = all[0]->own->denoiser->kind->evaluate(in, count, err);
	if (!status)
		status = guard_check(err);
	for (int i = 0; i < count && !status; i++)
		status = guide(all[i], &calls[i], err);
	free(in);
	return status;
}

float *session_kept(struct session *s, int next, size_t *count)
{
	*count = 0;
	return s->kind->kept ? s->kind->kept(s, next, count) : NULL;
}

/* DPM-Solver++ singlestep (arXiv:2211.01095, algorithm 1; arXiv:2206.00927 for the third order) and
 * its SDE form: diffusers' DPMSolverSinglestepScheduler with algorithm_type dpmsolver++ and
 * sde-dpmsolver++. Steps come in groups of the solver's order; each group begins anew from the
 * sample at its first step. */
#include "diffusion/sampler_internal.h"

#include <math.h>
#include <string.h>

enum { OUTPUTS = 0, START = 3 }; /* slots: three estimates, newest first; x at a group's begin */
enum { COUNTER_KNOWN = 0 };      /* estimates behind us, as far as the order goes */

static int single_plan(struct sampler *s, struct error *err)
{
	struct noise_ask how = {.round_karras = true};
	int status = sampler_last_step(s, &how.last, err);
	return status ? status : sampler_plan_multistep(s, &how, err);
}

/* diffusers' list of orders (1, 2, 3, 1, 2, 3 …), at one place. */
static int order_at(const struct sampler *s, int index)
{
	const struct sampler_config *c = &s->config;
	int order = c->solver_order, known = s->counters[COUNTER_KNOWN] + 1;
	bool whole_groups = s->steps % order == 0, last = index == s->count - 1;
	int own = index % order + 1;
	if (last && (!c->final_sigma_min || (whole_groups && c->lower_order_final == CHOICE_YES)))
		own = 1;
	return own < known ? own : known;
}

/* x = carry·start + d0·D0 + d1·D1 + d2·D2 + noise·z, from the group's first point to t. */
struct update {
	float carry, d0, d1, d2, noise;
};

static struct update ode_update(struct sampler_point t, struct sampler_point from, int order,
				bool heun)
{
	float h = t.lambda - from.lambda, decay = sampler_expf(-h) - 1;
	struct update u = {.carry = t.sigma / from.sigma, .d0 = -(t.alpha * decay)};
	if (order == 1)
		return u;
	u.d1 = order == 2 && !heun ? -(0.5f * (t.alpha * decay)) : t.alpha * (decay / h + 1);
	if (order == 3 && heun)
		u.d2 = -(t.alpha * ((decay + h) / (h * h) - 0.5f));
	return u;
}

static struct update sde_update(struct sampler_point t, struct sampler_point from, int order,
				bool heun)
{
	float h = t.lambda - from.lambda, growth = 1 - sampler_expf(-2 * h);
	struct update u = {.carry = t.sigma / from.sigma * sampler_expf(-h),
			   .d0 = t.alpha * growth,
			   .noise = t.sigma * sqrtf(growth)};
	if (order == 1)
		return u;
	u.d1 = order == 2 && !heun ? 0.5f * (t.alpha * growth) : t.alpha * (growth / (-2 * h) + 1);
	if (order == 3 && heun)
		u.d2 = t.alpha * ((growth - 2 * h) / (2 * h * (2 * h)) - 0.5f);
	return u;
}

static void apply(struct sampler *s, int index, int order, struct update u, const float *noise,
		  float *x)
{
	const float *m0 = s->slots[OUTPUTS], *m1 = s->slots[OUTPUTS + 1],
		    *m2 = s->slots[OUTPUTS + 2], *start = s->slots[START];
	float from = sampler_point_at(s, index - order + 1).lambda, r0 = 0, r1 = 0;
	float h = sampler_point_at(s, index + 1).lambda - from;
	if (order >= 2)
		r0 = (sampler_point_at(s, index).lambda - from) / h;
	if (order == 3)
		r1 = (sampler_point_at(s, index - 1).lambda - from) / h;
	for (size_t i = 0; i < s->n; i++) {
		float next = u.carry * start[i];
		if (order == 1) {
			next += u.d0 * m0[i];
		} else if (order == 2) {
			next += u.d0 * m1[i] + u.d1 * (1 / r0 * (m0[i] - m1[i]));
		} else {
			float d10 = 1 / r1 * (m1[i] - m2[i]), d11 = 1 / r0 * (m0[i] - m2[i]);
			float d1 = s->config.solver_heun ? (r0 * d10 - r1 * d11) / (r0 - r1) : d11;
			next += u.d0 * m2[i] + u.d1 * d1 + u.d2 * (2 * (d11 - d10) / (r0 - r1));
		}
		x[i] = noise ? next + u.noise * noise[i] : next;
	}
}

static void single_step(struct sampler *s, int index, const float *model_output, float *x,
			struct rng *rng, bool sde)
{
	int order = order_at(s, index);
	struct sampler_point now = sampler_point_at(s, index), t = sampler_point_at(s, index + 1);
	float *newest = sampler_push(s->slots + OUTPUTS, 3);
	sampler_predict(s, now.alpha, now.sigma, model_output, x, newest, NULL);
	memcpy(s->denoised, newest, s->n * sizeof *newest);
	if (order == 1)
		memcpy(s->slots[START], x, s->n * sizeof *x);
	struct sampler_point from = sampler_point_at(s, index - order + 1);
	struct update u = (sde ? sde_update : ode_update)(t, from, order, s->config.solver_heun);
	apply(s, index, order, u, sde ? sampler_draw(s, rng) : NULL, x);
	if (s->counters[COUNTER_KNOWN] < s->config.solver_order)
		s->counters[COUNTER_KNOWN]++;
}

static void ode_step(struct sampler *s, int index, const float *model_output, float *x,
		     struct rng *rng)
{
	single_step(s, index, model_output, x, rng, false);
}

static void sde_step(struct sampler *s, int index, const float *model_output, float *x,
		     struct rng *rng)
{
	single_step(s, index, model_output, x, rng, true);
}

/* What both have alike. */
#define SINGLESTEP                                                                                 \
	.spacing = SPACING_LINSPACE, .betas = BETAS_LINEAR, .beta_start = 0.0001,                  \
	.beta_end = 0.02, .takes_sigmas = true, .takes_flow = true, .ignores_zero_snr = true,      \
	.ignores_file_spacing = true, .order = 1, .slots = 4,                                      \
	.counter_most = {SOLVER_ORDER_MAX}, .plan = single_plan

const struct sampler_ops sampler_dpmpp_2s = {
    .name = "dpmpp_2s",
    SINGLESTEP,
    .step = ode_step,
};

const struct sampler_ops sampler_dpmpp_2s_sde = {
    .name = "dpmpp_2s_sde",
    SINGLESTEP,
    .step = sde_step,
};

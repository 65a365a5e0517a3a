/* DPM-Solver++ multistep (arXiv:2211.01095), and its SDE form: diffusers'
 * DPMSolverMultistepScheduler with algorithm_type dpmsolver++ and sde-dpmsolver++. */
#include "diffusion/sampler_internal.h"

#include <math.h>

enum { COUNTER_ORDERS = 0 }; /* steps behind us, as far as the order goes */

/* x = carry·x + d[0]·D0 + d[1]·D1 + d[2]·D2 + noise·z */
struct update {
	float carry, d[3], noise;
};

static int dpm_plan(struct sampler *s, struct error *err)
{
	struct noise_ask how = {.round_karras = s->config.betas != BETAS_SQUAREDCOS};
	int status = sampler_last_step(s, &how.last, err);
	return status ? status : sampler_plan_multistep(s, &how, err);
}

/* Coefficients of equation 9 and of the multistep updates in appendix B. */
static struct update ode_update(struct sampler_point t, struct sampler_point s0, int order,
				bool heun)
{
	float h = t.lambda - s0.lambda, decay = sampler_expf(-h) - 1;
	struct update u = {.carry = t.sigma / s0.sigma, .d = {-(t.alpha * decay)}};
	if (order == 2 && !heun)
		u.d[1] = -(0.5f * (t.alpha * decay));
	else if (order >= 2)
		u.d[1] = t.alpha * (decay / h + 1);
	if (order == 3)
		u.d[2] = -(t.alpha * ((decay + h) / (h * h) - 0.5f));
	return u;
}

static struct update sde_update(struct sampler_point t, struct sampler_point s0, int order,
				bool heun)
{
	float h = t.lambda - s0.lambda, decay = sampler_expf(-h), growth = 1 - sampler_expf(-2 * h);
	struct update u = {.carry = t.sigma / s0.sigma * decay, .d = {t.alpha * growth}};
	u.noise = t.sigma * sqrtf(growth);
	if (order == 2 && !heun)
		u.d[1] = 0.5f * (t.alpha * growth);
	else if (order >= 2)
		u.d[1] = t.alpha * (growth / (-2 * h) + 1);
	if (order == 3)
		u.d[2] = t.alpha * ((growth - 2 * h) / (2 * h * (2 * h)) - 0.5f);
	return u;
}

static int order_at(const struct sampler *s, int index)
{
	const struct sampler_config *c = &s->config;
	int left = s->count - index, known = s->counters[COUNTER_ORDERS];
	bool short_run = c->lower_order_final == CHOICE_YES && s->count < 15;
	if (c->solver_order == 1 || known < 1)
		return 1;
	if (left == 1 && (c->euler_at_final || short_run || !c->final_sigma_min))
		return 1;
	if (c->solver_order == 2 || known < 2 || (left == 2 && short_run))
		return 2;
	return 3;
}

static void apply(struct sampler *s, int index, int order, struct update u, const float *noise,
		  float *x)
{
	const float *m0 = s->slots[0], *m1 = s->slots[1], *m2 = s->slots[2];
	struct sampler_point t = sampler_point_at(s, index + 1), p0 = sampler_point_at(s, index);
	float h = t.lambda - p0.lambda, r0 = 0, r1 = 0;
	if (order >= 2)
		r0 = (p0.lambda - sampler_point_at(s, index - 1).lambda) / h;
	if (order == 3)
		r1 = (sampler_point_at(s, index - 1).lambda -
		      sampler_point_at(s, index - 2).lambda) /
		     h;
	for (size_t i = 0; i < s->n; i++) {
		float next = u.carry * x[i] + u.d[0] * m0[i];
		if (order == 2) {
			next += u.d[1] * (1 / r0 * (m0[i] - m1[i]));
		} else if (order == 3) {
			float d10 = 1 / r0 * (m0[i] - m1[i]), d11 = 1 / r1 * (m1[i] - m2[i]);
			next += u.d[1] * (d10 + r0 / (r0 + r1) * (d10 - d11));
			next += u.d[2] * (1 / (r0 + r1) * (d10 - d11));
		}
		x[i] = noise ? next + u.noise * noise[i] : next;
	}
}

static void dpm_step(struct sampler *s, int index, const float *model_output, float *x,
		     struct rng *rng, bool sde)
{
	int order = order_at(s, index);
	struct sampler_point t = sampler_point_at(s, index + 1), s0 = sampler_point_at(s, index);
	float *newest = sampler_push(s->slots, 3);
	sampler_predict(s, s0.alpha, s0.sigma, model_output, x, newest, NULL);
	for (size_t i = 0; i < s->n; i++)
		s->denoised[i] = newest[i];
	bool heun = s->config.solver_heun || order == 3;
	struct update u = (sde ? sde_update : ode_update)(t, s0, order, heun);
	apply(s, index, order, u, sde ? sampler_draw(s, rng) : NULL, x);
	if (s->counters[COUNTER_ORDERS] < s->config.solver_order)
		s->counters[COUNTER_ORDERS]++;
}

static void ode_step(struct sampler *s, int index, const float *model_output, float *x,
		     struct rng *rng)
{
	dpm_step(s, index, model_output, x, rng, false);
}

static void sde_step(struct sampler *s, int index, const float *model_output, float *x,
		     struct rng *rng)
{
	dpm_step(s, index, model_output, x, rng, true);
}

/* What both have alike. */
#define MULTISTEP                                                                                  \
	.spacing = SPACING_LINSPACE, .betas = BETAS_LINEAR, .beta_start = 0.0001,                  \
	.beta_end = 0.02, .takes_sigmas = true, .takes_flow = true, .takes_lu = true,              \
	.lower_order_final = true, .order = 1, .slots = 3,                                         \
	.counter_most = {SOLVER_ORDER_MAX}, .plan = dpm_plan

const struct sampler_ops sampler_dpmpp_2m = {
    .name = "dpmpp_2m",
    MULTISTEP,
    .step = ode_step,
};

const struct sampler_ops sampler_dpmpp_2m_sde = {
    .name = "dpmpp_2m_sde",
    MULTISTEP,
    .step = sde_step,
};

/* DEIS (arXiv:2204.13902), multistep in log rho: diffusers' DEISMultistepScheduler. */
#include "diffusion/sampler_internal.h"

#include <string.h>

enum { COUNTER_ORDERS = 0 }; /* steps behind us, as far as the order goes */

static int deis_plan(struct sampler *s, struct error *err)
{
	s->config.final_sigma_min = true; /* the class never ends at zero */
	struct noise_ask how = {.round_karras = true, .end_of_spread = true};
	return sampler_plan_multistep(s, &how, err);
}

/* A point of the schedule: rho = sigma / alpha. */
struct place {
	float alpha, sigma, rho, log_rho;
};

static struct place place_at(const struct sampler *s, int index)
{
	struct sampler_point p = sampler_point_at(s, index);
	float rho = p.sigma / p.alpha;
	return (struct place){p.alpha, p.sigma, rho, sampler_logf(rho)};
}

/* The integral of Lagrange's polynomial in log rho that is 1 at b and 0 at c (and d), up to t. */
static float integral_2(struct place t, struct place b, struct place c)
{
	return t.rho * (-c.log_rho + t.log_rho - 1) / (b.log_rho - c.log_rho);
}

static float integral_3(struct place t, struct place b, struct place c, struct place d)
{
	float numerator = t.rho * (c.log_rho * (d.log_rho - t.log_rho + 1) - d.log_rho * t.log_rho +
				   d.log_rho + t.log_rho * t.log_rho - 2 * t.log_rho + 2);
	return numerator / ((b.log_rho - c.log_rho) * (b.log_rho - d.log_rho));
}

static int order_at(const struct sampler *s, int index)
{
	const struct sampler_config *c = &s->config;
	int left = s->count - index, known = s->counters[COUNTER_ORDERS];
	bool short_run = c->lower_order_final == CHOICE_YES && s->count < 15;
	if (c->solver_order == 1 || known < 1 || (left == 1 && short_run))
		return 1;
	return c->solver_order == 2 || known < 2 || (left == 2 && short_run) ? 2 : 3;
}

/* x at the next sigma from the noises of the last steps, newest first. */
static void advance(const struct sampler *s, int index, int order, float *x)
{
	const float *m0 = s->slots[0], *m1 = s->slots[1], *m2 = s->slots[2];
	struct place t = place_at(s, index + 1), p0 = place_at(s, index);
	if (order == 1) {
		float h = sampler_point_at(s, index + 1).lambda - sampler_point_at(s, index).lambda;
		float carry = t.alpha / p0.alpha, add = t.sigma * (sampler_expf(h) - 1);
		for (size_t i = 0; i < s->n; i++)
			x[i] = carry * x[i] - add * m0[i];
		return;
	}
	struct place p1 = place_at(s, index - 1);
	float c0, c1, c2 = 0;
	if (order == 2) {
		c0 = integral_2(t, p0, p1) - integral_2(p0, p0, p1);
		c1 = integral_2(t, p1, p0) - integral_2(p0, p1, p0);
	} else {
		struct place p2 = place_at(s, index - 2);
		c0 = integral_3(t, p0, p1, p2) - integral_3(p0, p0, p1, p2);
		c1 = integral_3(t, p1, p2, p0) - integral_3(p0, p1, p2, p0);
		c2 = integral_3(t, p2, p0, p1) - integral_3(p0, p2, p0, p1);
	}
	for (size_t i = 0; i < s->n; i++) {
		float sum = x[i] / p0.alpha + c0 * m0[i] + c1 * m1[i];
		x[i] = t.alpha * (order == 3 ? sum + c2 * m2[i] : sum);
	}
}

static void deis_step(struct sampler *s, int index, const float *model_output, float *x,
		      struct rng *rng)
{
	(void)rng;
	struct sampler_point now = sampler_point_at(s, index);
	float *newest = sampler_push(s->slots, 3);
	sampler_predict(s, now.alpha, now.sigma, model_output, x, s->denoised, NULL);
	for (size_t i = 0; i < s->n; i++)
		newest[i] = (x[i] - now.alpha * s->denoised[i]) / now.sigma;
	advance(s, index, order_at(s, index), x);
	if (s->counters[COUNTER_ORDERS] < s->config.solver_order)
		s->counters[COUNTER_ORDERS]++;
}

const struct sampler_ops sampler_deis = {
    .name = "deis",
    .spacing = SPACING_LINSPACE,
    .betas = BETAS_LINEAR,
    .beta_start = 0.0001,
    .beta_end = 0.02,
    .takes_sigmas = true,
    .takes_flow = true,
    .ignores_zero_snr = true,
    .lower_order_final = true,
    .order = 1,
    .slots = 3,
    .counter_most = {SOLVER_ORDER_MAX},
    .plan = deis_plan,
    .step = deis_step,
};

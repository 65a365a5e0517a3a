/* UniPC (arXiv:2302.04867): predictor and corrector of any order up to 3, predicting x0; as
 * diffusers' UniPCMultistepScheduler. The corrector of a step uses the model's output of the
 * next call, so it costs no evaluation. */
#include "diffusion/sampler_internal.h"

#include <math.h>
#include <string.h>

enum { OUTPUTS = 0, LAST_SAMPLE = 3 };          /* slots: three estimates, newest first */
enum { COUNTER_ORDERS = 0, COUNTER_ORDER = 1 }; /* steps behind us; order of the last one */

static int unipc_plan(struct sampler *s, struct error *err)
{
	if (s->config.lower_order_final != CHOICE_YES && !s->config.final_sigma_min &&
	    s->config.solver_order > 1)
		return error_set(
		    err, SUMI_UNSUPPORTED,
		    "scheduler_config.json: unipc with lower_order_final off cannot end at "
		    "sigma zero");
	struct noise_ask how = {
	    .round_karras = true, .end_of_spread = true, .flow_from_one = true};
	return sampler_plan_multistep(s, &how, err);
}

/* Solves a·x = b in place (x in b), n up to 3, with partial pivoting. */
static void solve(int n, float a[3][3], float b[3])
{
	for (int k = 0; k < n; k++) {
		int pivot = k;
		for (int i = k + 1; i < n; i++)
			if (fabsf(a[i][k]) > fabsf(a[pivot][k]))
				pivot = i;
		for (int j = 0; j < n; j++) {
			float swap = a[k][j];
			a[k][j] = a[pivot][j];
			a[pivot][j] = swap;
		}
		float swap = b[k];
		b[k] = b[pivot];
		b[pivot] = swap;
		for (int i = k + 1; i < n; i++) {
			float factor = a[i][k] / a[k][k];
			for (int j = k; j < n; j++)
				a[i][j] -= factor * a[k][j];
			b[i] -= factor * b[k];
		}
	}
	for (int k = n - 1; k >= 0; k--) {
		for (int j = k + 1; j < n; j++)
			b[k] -= a[k][j] * b[j];
		b[k] /= a[k][k];
	}
}

/* What both halves of a step need, from sigma index `from` to `to`. */
struct bh {
	float carry;   /* of x */
	float alpha;   /* at the end */
	float phi_1;   /* expm1(-h) */
	float b_h;     /* B(h) of the paper */
	float r[3];    /* (lambda_i - lambda_0) / h of the older points, then 1 */
	float rhos[3]; /* weights of the differences */
};

/* Equations 6 to 9. size: unknowns of the linear system (0: none, the weight is ½). */
static struct bh make_bh(const struct sampler *s, int from, int to, int order, int size)
{
	struct sampler_point t = sampler_point_at(s, to), s0 = sampler_point_at(s, from);
	float h = t.lambda - s0.lambda, hh = -h;
	struct bh c = {.carry = t.sigma / s0.sigma, .alpha = t.alpha, .rhos = {0.5f}};
	c.phi_1 = sampler_expm1f(hh);
	c.b_h = s->config.solver_bh1 ? hh : c.phi_1;
	for (int i = 1; i < order; i++)
		c.r[i - 1] = (sampler_point_at(s, from - i).lambda - s0.lambda) / h;
	c.r[order - 1] = 1;
	if (size == 0)
		return c;
	float phi_k = c.phi_1 / hh - 1, factorial = 1, a[3][3] = {{0}};
	for (int i = 0; i < order; i++) {
		c.rhos[i] = phi_k * factorial / c.b_h;
		for (int j = 0; j < order; j++)
			a[i][j] = i == 0 ? 1 : a[i - 1][j] * c.r[j];
		factorial *= (float)(i + 2);
		phi_k = phi_k / hh - 1 / factorial;
	}
	solve(size, a, c.rhos);
	return c;
}

static void predictor(const struct sampler *s, int index, int order, float *x)
{
	const float *m0 = s->slots[OUTPUTS];
	struct bh c = make_bh(s, index, index + 1, order, order == 3 ? 2 : 0);
	/* At sigma zero B(h) of bh1 is infinite; without older points it is not used. */
	float model = c.alpha * c.phi_1, outer = order > 1 ? c.alpha * c.b_h : 0;
	for (size_t i = 0; i < s->n; i++) {
		float differences = 0;
		for (int k = 0; k < order - 1; k++)
			differences +=
			    c.rhos[k] * ((s->slots[OUTPUTS + 1 + k][i] - m0[i]) / c.r[k]);
		x[i] = c.carry * x[i] - model * m0[i] - outer * differences;
	}
}

/* Replaces x by the corrected one, now that the model was called at its end. */
static void corrector(const struct sampler *s, int index, int order, const float *estimate,
		      float *x)
{
	const float *m0 = s->slots[OUTPUTS], *last = s->slots[LAST_SAMPLE];
	struct bh c = make_bh(s, index - 1, index, order, order == 1 ? 0 : order);
	float model = c.alpha * c.phi_1, outer = c.alpha * c.b_h;
	for (size_t i = 0; i < s->n; i++) {
		float differences = 0;
		for (int k = 0; k < order - 1; k++)
			differences +=
			    c.rhos[k] * ((s->slots[OUTPUTS + 1 + k][i] - m0[i]) / c.r[k]);
		differences += c.rhos[order - 1] * (estimate[i] - m0[i]);
		x[i] = c.carry * last[i] - model * m0[i] - outer * differences;
	}
}

static void unipc_step(struct sampler *s, int index, const float *model_output, float *x,
		       struct rng *rng)
{
	(void)rng;
	const struct sampler_config *c = &s->config;
	struct sampler_point now = sampler_point_at(s, index);
	sampler_predict(s, now.alpha, now.sigma, model_output, x, s->denoised, NULL);
	bool skip = index > 0 && index <= 64 && c->no_corrector >> (index - 1) & 1;
	if (s->counters[COUNTER_ORDER] > 0 && !skip)
		corrector(s, index, s->counters[COUNTER_ORDER], s->denoised, x);
	memcpy(sampler_push(s->slots + OUTPUTS, 3), s->denoised, s->n * sizeof *x);
	memcpy(s->slots[LAST_SAMPLE], x, s->n * sizeof *x);
	int order = c->solver_order, left = s->count - index;
	if (c->lower_order_final == CHOICE_YES && left < order)
		order = left;
	if (order > s->counters[COUNTER_ORDERS] + 1)
		order = s->counters[COUNTER_ORDERS] + 1;
	s->counters[COUNTER_ORDER] = order;
	predictor(s, index, order, x);
	if (s->counters[COUNTER_ORDERS] < c->solver_order)
		s->counters[COUNTER_ORDERS]++;
}

const struct sampler_ops sampler_unipc = {
    .name = "unipc",
    .spacing = SPACING_LINSPACE,
    .betas = BETAS_LINEAR,
    .beta_start = 0.0001,
    .beta_end = 0.02,
    .takes_sigmas = true,
    .takes_flow = true,
    .lower_order_final = true,
    .order = 1,
    .slots = 4,
    .counter_most = {SOLVER_ORDER_MAX, SOLVER_ORDER_MAX},
    .plan = unipc_plan,
    .step = unipc_step,
};

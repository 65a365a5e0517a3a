/* Linear multistep (Adams–Bashforth over sigmas that are not evenly spaced): diffusers'
 * LMSDiscreteScheduler with its order of 4. */
#include "diffusion/sampler_internal.h"

enum { ORDER = 4 };
enum { COUNTER_KNOWN = 0 }; /* slopes behind us, newest first in the slots */

static int lms_plan(struct sampler *s, struct error *err)
{
	int status = sampler_alloc_schedule(s, s->steps, true, err);
	if (status)
		return status;
	s->config.final_sigma_min = false; /* the class always ends at zero */
	if (s->config.sigmas == SIGMAS_KARRAS)
		s->config.sigma_min = s->config.sigma_max =
		    0; /* …and has no ends of its own here */
	return sampler_plan_between(s, s->timesteps, s->sigmas, err);
}

/* Lagrange's polynomial that is 1 at the sigma of slope k and 0 at those of the others. */
static double basis(const float *sigmas, int order, int k, double at)
{
	double product = 1;
	for (int j = 0; j < order; j++)
		if (j != k)
			product *= (at - sigmas[-j]) / ((double)sigmas[-k] - sigmas[-j]);
	return product;
}

/* Its integral over the step; Simpson's rule is exact up to the third power. */
static float weight(const float *sigmas, int order, int k)
{
	double from = sigmas[0], to = sigmas[1];
	double sum = basis(sigmas, order, k, from) + basis(sigmas, order, k, to) +
		     4 * basis(sigmas, order, k, (from + to) / 2);
	return (float)(sum * (to - from) / 6);
}

static void lms_step(struct sampler *s, int index, const float *model_output, float *x,
		     struct rng *rng)
{
	(void)rng;
	const float *sigmas = s->sigmas + index;
	float *newest = sampler_push(s->slots, ORDER);
	sampler_predict_at_sigma(s, sigmas[0], model_output, x, s->denoised);
	for (size_t i = 0; i < s->n; i++)
		newest[i] = (x[i] - s->denoised[i]) / sigmas[0];
	if (s->counters[COUNTER_KNOWN] < ORDER)
		s->counters[COUNTER_KNOWN]++;
	/* A run that starts from a picture has the order of its place, and fewer slopes. */
	int order = index + 1 < ORDER ? index + 1 : ORDER, known = s->counters[COUNTER_KNOWN];
	float weights[ORDER];
	for (int k = 0; k < order; k++)
		weights[k] = weight(sigmas, order, k);
	for (size_t i = 0; i < s->n; i++) {
		float sum = 0;
		for (int k = 0; k < order && k < known; k++)
			sum += weights[k] * s->slots[k][i];
		x[i] = x[i] + sum;
	}
}

const struct sampler_ops sampler_lms = {
    .name = "lms",
    .spacing = SPACING_LINSPACE,
    .betas = BETAS_LINEAR,
    .beta_start = 0.0001,
    .beta_end = 0.02,
    .takes_sigmas = true,
    .takes_flow = true,
    .ignores_zero_snr = true,
    .unscaled = true,
    .order = 1,
    .slots = ORDER,
    .counter_most = {ORDER},
    .plan = lms_plan,
    .step = lms_step,
};

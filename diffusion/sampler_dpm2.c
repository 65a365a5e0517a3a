/* DPM-Solver-2 and its ancestral form (arXiv:2206.00364, algorithm 2, without its noise):
 * diffusers' KDPM2DiscreteScheduler and KDPM2AncestralDiscreteScheduler. Each step but the last
 * calls the model twice: at its beginning, and half way in the logarithm of sigma. */
#include "diffusion/sampler_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Where an ancestral step from one sigma to another stops before noise is added. */
static float sigma_up(float from, float to)
{
	return sqrtf(to * to * (from * from - to * to) / (from * from));
}

static float sigma_down(float from, float to)
{
	float up = sigma_up(from, to);
	return sqrtf(fmaxf(to * to - up * up, 0));
}

static float halfway(float from, float to)
{
	float a = sampler_logf(from), b = sampler_logf(to);
	return sampler_expf(b - (b - a) * 0.5f);
}

/* Even calls stand at the steps' sigmas, odd ones between them: s0, m0, s1, m1, s2 … 0. */
static int plan(struct sampler *s, bool ancestral, struct error *err)
{
	int steps = s->steps, status = sampler_alloc_schedule(s, 2 * steps - 1, true, err);
	double *timesteps = malloc((size_t)steps * sizeof *timesteps);
	float *sigmas = malloc(((size_t)steps + 1) * sizeof *sigmas);
	if (!status && (!timesteps || !sigmas))
		status = error_set(err, SUMI_NOMEM, "no memory for the schedule of sampler %s",
				   s->ops->name);
	s->config.final_sigma_min = false; /* both classes always end at zero */
	if (!status)
		status = sampler_plan_between(s, timesteps, sigmas, err);
	for (int i = 0; !status && i < steps; i++) {
		s->timesteps[2 * i] =
		    s->config.sigmas == SIGMAS_KARRAS ? rint(timesteps[i]) : timesteps[i];
		s->sigmas[2 * i] = sigmas[i];
		if (i + 1 == steps)
			break;
		float to = ancestral ? sigma_down(sigmas[i], sigmas[i + 1]) : sigmas[i + 1];
		s->sigmas[2 * i + 1] = halfway(sigmas[i], to);
		status = noise_timestep(s->noise_model, s->sigmas[2 * i + 1],
					&s->timesteps[2 * i + 1], err);
	}
	free(timesteps);
	free(sigmas);
	return status;
}

static int ode_plan(struct sampler *s, struct error *err)
{
	return plan(s, false, err);
}

static int ancestral_plan(struct sampler *s, struct error *err)
{
	return plan(s, true, err);
}

/* x = start + the slope at (x, sigma) · dt */
static void move(struct sampler *s, float sigma, float dt, const float *model_output,
		 const float *start, float *x)
{
	sampler_predict_at_sigma(s, sigma, model_output, x, s->denoised);
	for (size_t i = 0; i < s->n; i++)
		x[i] = start[i] + (x[i] - s->denoised[i]) / sigma * dt;
}

/* To the middle of the step, or from the last sigma to zero. */
static void first_half(struct sampler *s, int index, const float *model_output, float *x)
{
	const float *sigmas = s->sigmas + index;
	memcpy(s->slots[0], x, s->n * sizeof *x);
	move(s, sigmas[0], sigmas[1] - sigmas[0], model_output, s->slots[0], x);
}

static void ode_step(struct sampler *s, int index, const float *model_output, float *x,
		     struct rng *rng)
{
	const float *sigmas = s->sigmas + index;
	(void)rng;
	if (index % 2 == 0)
		first_half(s, index, model_output, x);
	else
		move(s, sigmas[0], sigmas[1] - sigmas[-1], model_output, s->slots[0], x);
}

static void ancestral_step(struct sampler *s, int index, const float *model_output, float *x,
			   struct rng *rng)
{
	const float *sigmas = s->sigmas + index;
	if (index % 2 == 0) {
		first_half(s, index, model_output, x);
		return;
	}
	float from = sigmas[-1], to = sigmas[1], up = sigma_up(from, to);
	move(s, sigmas[0], sigma_down(from, to) - from, model_output, s->slots[0], x);
	const float *noise = sampler_draw(s, rng);
	for (size_t i = 0; i < s->n; i++)
		x[i] = x[i] + noise[i] * up;
}

/* What both have alike. */
#define SECOND_ORDER                                                                               \
	.spacing = SPACING_LINSPACE, .betas = BETAS_LINEAR, .beta_start = 0.00085,                 \
	.beta_end = 0.012, .takes_sigmas = true, .ignores_zero_snr = true, .unscaled = true,       \
	.no_sample_prediction = true, .order = 2, .slots = 1

const struct sampler_ops sampler_dpm2 = {
    .name = "dpm2",
    SECOND_ORDER,
    .takes_flow = true,
    .plan = ode_plan,
    .step = ode_step,
};

const struct sampler_ops sampler_dpm2_a = {
    .name = "dpm2_a",
    SECOND_ORDER,
    .plan = ancestral_plan,
    .step = ancestral_step,
};

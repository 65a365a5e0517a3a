/* Euler, Euler ancestral and Heun on sigmas (arXiv:2206.00364, k-diffusion): here x is
 * x0 + sigma·noise, and the model gets x / sqrt(sigma² + 1). */
#include "diffusion/sampler_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int euler_plan(struct sampler *s, struct error *err)
{
	int status = sampler_alloc_schedule(s, s->steps, true, err);
	if (status)
		return status;
	return sampler_plan_between(s, s->timesteps, s->sigmas, err);
}

static void euler_step(struct sampler *s, int index, const float *model_output, float *x,
		       struct rng *rng)
{
	(void)rng;
	float sigma = s->sigmas[index], dt = s->sigmas[index + 1] - sigma;
	sampler_predict_at_sigma(s, sigma, model_output, x, s->denoised);
	for (size_t i = 0; i < s->n; i++)
		x[i] = x[i] + (x[i] - s->denoised[i]) / sigma * dt;
}

const struct sampler_ops sampler_euler = {
    .name = "euler",
    .spacing = SPACING_LINSPACE,
    .betas = BETAS_LINEAR,
    .beta_start = 0.0001,
    .beta_end = 0.02,
    .takes_sigmas = true,
    .takes_flow = true,
    .unscaled = true,
    .order = 1,
    .plan = euler_plan,
    .step = euler_step,
};

static int euler_a_plan(struct sampler *s, struct error *err)
{
	s->config.final_sigma_min = false; /* EulerAncestralDiscreteScheduler always ends at zero */
	return euler_plan(s, err);
}

static void euler_a_step(struct sampler *s, int index, const float *model_output, float *x,
			 struct rng *rng)
{
	float from = s->sigmas[index], to = s->sigmas[index + 1];
	float up = sqrtf(to * to * (from * from - to * to) / (from * from));
	float down = sqrtf(fmaxf(to * to - up * up, 0)), dt = down - from;
	sampler_predict_at_sigma(s, from, model_output, x, s->denoised);
	const float *noise = sampler_draw(s, rng);
	for (size_t i = 0; i < s->n; i++) {
		float moved = x[i] + (x[i] - s->denoised[i]) / from * dt;
		x[i] = moved + noise[i] * up;
	}
}

const struct sampler_ops sampler_euler_a = {
    .name = "euler_a",
    .spacing = SPACING_LINSPACE,
    .betas = BETAS_LINEAR,
    .beta_start = 0.0001,
    .beta_end = 0.02,
    .takes_sigmas = true,
    .ignores_file_sigmas = true,
    .unscaled = true,
    .order = 1,
    .plan = euler_a_plan,
    .step = euler_a_step,
};

/* Heun visits every sigma but the first and the last twice: s0, s1, s1, s2, s2 … 0. */
static int heun_plan(struct sampler *s, struct error *err)
{
	int steps = s->steps, status = sampler_alloc_schedule(s, 2 * steps - 1, true, err);
	double *timesteps = malloc((size_t)steps * sizeof *timesteps);
	float *sigmas = malloc(((size_t)steps + 1) * sizeof *sigmas);
	if (!status && (!timesteps || !sigmas))
		status = error_set(err, SUMI_NOMEM, "no memory for the schedule of sampler heun");
	s->config.final_sigma_min = false; /* HeunDiscreteScheduler always ends at zero */
	if (!status)
		status = sampler_plan_between(s, timesteps, sigmas, err);
	for (int i = 0; !status && i < s->count; i++) {
		s->timesteps[i] = timesteps[(i + 1) / 2];
		s->sigmas[i] = sigmas[(i + 1) / 2];
	}
	free(timesteps);
	free(sigmas);
	return status;
}

static void heun_step(struct sampler *s, int index, const float *model_output, float *x,
		      struct rng *rng)
{
	(void)rng;
	float *slope = s->slots[0], *start = s->slots[1];
	if (index % 2 == 0) {
		float sigma = s->sigmas[index], dt = s->sigmas[index + 1] - sigma;
		sampler_predict_at_sigma(s, sigma, model_output, x, s->denoised);
		sampler_clip(s, s->denoised);
		memcpy(start, x, s->n * sizeof *start);
		for (size_t i = 0; i < s->n; i++) {
			slope[i] = (x[i] - s->denoised[i]) / sigma;
			x[i] = x[i] + slope[i] * dt;
		}
		return;
	}
	/* Come back with the mean of the slopes at both ends. */
	float sigma = s->sigmas[index], dt = sigma - s->sigmas[index - 1];
	sampler_predict_at_sigma(s, sigma, model_output, x, s->denoised);
	sampler_clip(s, s->denoised);
	for (size_t i = 0; i < s->n; i++) {
		float mean = (slope[i] + (x[i] - s->denoised[i]) / sigma) / 2;
		x[i] = start[i] + mean * dt;
	}
}

const struct sampler_ops sampler_heun = {
    .name = "heun",
    .spacing = SPACING_LINSPACE,
    .betas = BETAS_LINEAR,
    .beta_start = 0.00085,
    .beta_end = 0.012,
    .takes_sigmas = true,
    .takes_flow = true,
    .unscaled = true,
    .order = 2,
    .slots = 2,
    .plan = heun_plan,
    .step = heun_step,
};

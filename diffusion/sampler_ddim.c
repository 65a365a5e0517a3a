/* DDPM (arXiv:2006.11239) and DDIM (arXiv:2010.02502). */
#include "diffusion/sampler_internal.h"

#include <math.h>

static void ddpm_step(struct sampler *s, int index, const float *model_output, float *x,
		      struct rng *rng)
{
	double t = s->timesteps[index];
	float alpha = sampler_alpha(s, t);
	float alpha_prev = index + 1 < s->count ? sampler_alpha(s, s->timesteps[index + 1]) : 1;
	float beta = 1 - alpha, beta_prev = 1 - alpha_prev;
	float alpha_now = alpha / alpha_prev, beta_now = 1 - alpha_now;
	sampler_predict(s, sqrtf(alpha), sqrtf(beta), model_output, x, s->denoised, NULL);
	sampler_clip(s, s->denoised);
	/* Equation 7: the mean of q(x_{t-1} | x_t, x_0). */
	float x0_coeff = sqrtf(alpha_prev) * beta_now / beta;
	float x_coeff = sqrtf(alpha_now) * beta_prev / beta;
	for (size_t i = 0; i < s->n; i++)
		x[i] = x0_coeff * s->denoised[i] + x_coeff * x[i];
	if (t <= 0)
		return;
	const float *noise = sampler_draw(s, rng);
	float small = fmaxf(beta_prev / beta * beta_now, 1e-20f), deviation;
	if (s->config.variance == VARIANCE_FIXED_SMALL_LOG)
		deviation = sampler_expf(0.5f * sampler_logf(small));
	else
		deviation = sqrtf(s->config.variance == VARIANCE_FIXED_LARGE ? beta_now : small);
	for (size_t i = 0; i < s->n; i++)
		x[i] = x[i] + deviation * noise[i];
}

const struct sampler_ops sampler_ddpm = {
    .name = "ddpm",
    .spacing = SPACING_LEADING,
    .betas = BETAS_LINEAR,
    .beta_start = 0.0001,
    .beta_end = 0.02,
    .clip_sample = true,
    .order = 1,
    .plan = sampler_plan_whole,
    .step = ddpm_step,
};

static void ddim_step(struct sampler *s, int index, const float *model_output, float *x,
		      struct rng *rng)
{
	double t = s->timesteps[index];
	double t_prev = t - s->config.train_steps / s->steps;
	float alpha = sampler_alpha(s, t), alpha_prev = sampler_alpha(s, t_prev);
	float beta = 1 - alpha, beta_prev = 1 - alpha_prev;
	float *eps = s->slots[0];
	sampler_predict(s, sqrtf(alpha), sqrtf(beta), model_output, x, s->denoised, eps);
	sampler_clip(s, s->denoised);
	/* Equations 16 and 12. */
	float variance = beta_prev / beta * (1 - alpha / alpha_prev);
	float deviation = (float)s->config.eta * sqrtf(variance);
	float direction = sqrtf(fmaxf(1 - alpha_prev - deviation * deviation, 0));
	float root_prev = sqrtf(alpha_prev);
	for (size_t i = 0; i < s->n; i++)
		x[i] = root_prev * s->denoised[i] + direction * eps[i];
	if (s->config.eta <= 0)
		return;
	const float *noise = sampler_draw(s, rng);
	for (size_t i = 0; i < s->n; i++)
		x[i] = x[i] + deviation * noise[i];
}

const struct sampler_ops sampler_ddim = {
    .name = "ddim",
    .spacing = SPACING_LEADING,
    .betas = BETAS_LINEAR,
    .beta_start = 0.0001,
    .beta_end = 0.02,
    .clip_sample = true,
    .alpha_to_one = true,
    .order = 1,
    .slots = 1,
    .plan = sampler_plan_whole,
    .step = ddim_step,
};

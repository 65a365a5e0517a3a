/* Consistency models: LCM (arXiv:2310.04378) and TCD (arXiv:2402.19159). */
#include "diffusion/sampler_internal.h"

#include <math.h>

static int distilled_plan(struct sampler *s, struct error *err)
{
	int original = s->config.original_steps;
	if (original < 1 || original > s->config.train_steps)
		return error_set(
		    err, SUMI_INVALID,
		    "scheduler_config.json: original_inference_steps is %d, allowed are 1 to %d",
		    original, s->config.train_steps);
	if (s->steps > original)
		return error_set(
		    err, SUMI_INVALID,
		    "sampler %s: %d steps, but the model was distilled from %d; 4 to 8 are usual",
		    s->ops->name, s->steps, original);
	int status = sampler_alloc_schedule(s, s->steps, false, err);
	if (status)
		return status;
	schedule_timesteps_distilled(s->config.train_steps, original, s->steps, s->timesteps);
	return SUMI_OK;
}

static void lcm_step(struct sampler *s, int index, const float *model_output, float *x,
		     struct rng *rng)
{
	double t = s->timesteps[index];
	bool last = index == s->count - 1;
	float alpha = sampler_alpha(s, t);
	float alpha_prev = last ? alpha : sampler_alpha(s, s->timesteps[index + 1]);
	/* The boundary condition of §3 with sigma_data 0.5. */
	float scaled = (float)t * (float)s->config.timestep_scaling;
	float square = scaled * scaled + 0.25f;
	float skip = 0.25f / square, keep = scaled / sqrtf(square);
	sampler_predict(s, sqrtf(alpha), sqrtf(1 - alpha), model_output, x, s->denoised, NULL);
	sampler_clip(s, s->denoised);
	for (size_t i = 0; i < s->n; i++)
		s->denoised[i] = keep * s->denoised[i] + skip * x[i];
	float root = last ? 1 : sqrtf(alpha_prev), spread = last ? 0 : sqrtf(1 - alpha_prev);
	const float *noise = last ? s->noise : sampler_draw(s, rng);
	for (size_t i = 0; i < s->n; i++)
		x[i] = last ? s->denoised[i] : root * s->denoised[i] + spread * noise[i];
}

const struct sampler_ops sampler_lcm = {
    .name = "lcm",
    .spacing = SPACING_LEADING,
    .betas = BETAS_SCALED_LINEAR,
    .beta_start = 0.00085,
    .beta_end = 0.012,
    .alpha_to_one = true,
    .order = 1,
    .plan = distilled_plan,
    .step = lcm_step,
};

static void tcd_step(struct sampler *s, int index, const float *model_output, float *x,
		     struct rng *rng)
{
	double t = s->timesteps[index];
	bool last = index == s->count - 1;
	double t_prev = last ? 0 : s->timesteps[index + 1];
	/* Algorithm 4: jump beyond t_prev to s, then noise back up to t_prev. */
	double t_jump = floorf((float)(1 - s->config.eta) * (float)t_prev);
	float alpha = sampler_alpha(s, t), alpha_prev = sampler_alpha(s, t_prev);
	float alpha_jump = sampler_alpha(s, t_jump);
	float *eps = s->slots[0];
	sampler_predict(s, sqrtf(alpha), sqrtf(1 - alpha), model_output, x, s->denoised, eps);
	float root = sqrtf(alpha_jump), spread = sqrtf(1 - alpha_jump);
	for (size_t i = 0; i < s->n; i++)
		x[i] = root * s->denoised[i] + spread * eps[i];
	if (s->config.eta <= 0 || last)
		return;
	const float *noise = sampler_draw(s, rng);
	float keep = sqrtf(alpha_prev / alpha_jump), add = sqrtf(1 - alpha_prev / alpha_jump);
	for (size_t i = 0; i < s->n; i++)
		x[i] = keep * x[i] + add * noise[i];
}

const struct sampler_ops sampler_tcd = {
    .name = "tcd",
    .spacing = SPACING_LEADING,
    .betas = BETAS_SCALED_LINEAR,
    .beta_start = 0.00085,
    .beta_end = 0.012,
    .eta = 0.3,
    .alpha_to_one = true,
    .order = 1,
    .slots = 1,
    .plan = distilled_plan,
    .step = tcd_step,
};

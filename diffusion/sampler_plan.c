/* Samplers: which timesteps and sigmas a run visits, as the noise model plans them. */
#include "diffusion/sampler_internal.h"

#include <stdlib.h>

int sampler_alloc_schedule(struct sampler *s, int count, bool with_sigmas, struct error *err)
{
	s->count = count;
	s->timesteps = calloc((size_t)count, sizeof *s->timesteps);
	s->sigmas = with_sigmas ? calloc((size_t)count + 1, sizeof *s->sigmas) : NULL;
	if (!s->timesteps || (with_sigmas && !s->sigmas))
		return error_set(err, SUMI_NOMEM, "no memory for the schedule of sampler %s",
				 s->ops->name);
	return SUMI_OK;
}

/* What the config says of the times to visit. */
static struct noise_ask ask_of(const struct sampler *s, enum noise_points points)
{
	const struct sampler_config *c = &s->config;
	return (struct noise_ask){.points = points,
				  .steps = s->steps,
				  .spacing = c->spacing,
				  .steps_offset = c->steps_offset,
				  .sigmas = c->sigmas,
				  .sigma_min = c->sigma_min,
				  .sigma_max = c->sigma_max,
				  .final_sigma_min = c->final_sigma_min};
}

int sampler_plan_whole(struct sampler *s, struct error *err)
{
	struct noise_ask ask = ask_of(s, NOISE_WHOLE);
	int status = sampler_alloc_schedule(s, s->steps, false, err);
	return status ? status : noise_plan(s->noise_model, &ask, s->timesteps, NULL, err);
}

int sampler_plan_between(struct sampler *s, double *timesteps, float *sigmas, struct error *err)
{
	struct noise_ask ask = ask_of(s, NOISE_BETWEEN);
	return noise_plan(s->noise_model, &ask, timesteps, sigmas, err);
}

int sampler_plan_multistep(struct sampler *s, const struct noise_ask *how, struct error *err)
{
	struct noise_ask ask = ask_of(s, NOISE_OPEN);
	ask.last = how->last ? how->last : s->config.train_steps;
	ask.round_karras = how->round_karras;
	ask.end_of_spread = how->end_of_spread;
	ask.flow_from_one = how->flow_from_one;
	int status = sampler_alloc_schedule(s, s->steps, true, err);
	return status ? status : noise_plan(s->noise_model, &ask, s->timesteps, s->sigmas, err);
}

int sampler_last_step(const struct sampler *s, int *last, struct error *err)
{
	*last = noise_steps_above(s->noise_model, s->config.lambda_min_clipped);
	if (*last < 1)
		return error_set(err, SUMI_INVALID,
				 "scheduler_config.json: lambda_min_clipped %g leaves no timestep",
				 s->config.lambda_min_clipped);
	return SUMI_OK;
}

struct sampler_point sampler_point_at(const struct sampler *s, int index)
{
	struct noise_point at = noise_mixed(s->noise_model, s->sigmas[index]);
	struct sampler_point p = {.alpha = at.keep, .sigma = at.add};
	p.lambda = sampler_logf(p.alpha) - sampler_logf(p.sigma);
	return p;
}

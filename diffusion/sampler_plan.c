/* Samplers: which timesteps and sigmas a run visits. */
#include "diffusion/sampler_internal.h"

#include <math.h>
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

int sampler_plan_whole(struct sampler *s, struct error *err)
{
	int status = sampler_alloc_schedule(s, s->steps, false, err);
	if (status)
		return status;
	schedule_timesteps_whole(s->config.spacing, s->config.train_steps, s->steps,
				 s->config.steps_offset, s->timesteps);
	return SUMI_OK;
}

struct sampler_point sampler_point_at(const struct sampler *s, int index)
{
	float sigma = s->sigmas[index];
	struct sampler_point p = {.alpha = 1 / sqrtf(sigma * sigma + 1)};
	p.sigma = sigma * p.alpha;
	p.lambda = sampler_logf(p.alpha) - sampler_logf(p.sigma);
	return p;
}

/* sigmas and log sigmas of all training steps in one allocation of 2·train_steps. */
static float *sigma_tables(const struct sampler *s, struct error *err)
{
	size_t n = (size_t)s->config.train_steps;
	float *sigmas = malloc(2 * n * sizeof *sigmas);
	if (sigmas)
		schedule_sigma_table(s->alphas_cumprod, s->config.train_steps, sigmas, sigmas + n);
	else
		error_set(err, SUMI_NOMEM, "no memory for the table of sigmas");
	return sigmas;
}

/* Replaces spread [s->steps] by the config's way of going from the largest to the smallest
 * sigma, and timesteps by those of the new sigmas. */
static int spread(const struct sampler *s, const float *log_sigmas, double largest, double smallest,
		  double *sigmas, double *timesteps, struct error *err)
{
	const struct sampler_config *c = &s->config;
	double max = c->sigma_max > 0 ? c->sigma_max : largest;
	double min = c->sigma_min > 0 ? c->sigma_min : smallest;
	if (min > max)
		return error_set(err, SUMI_INVALID,
				 "scheduler_config.json: sigma_min %g is above sigma_max %g", min,
				 max);
	schedule_spread_sigmas(c->sigmas, min, max, s->steps, sigmas);
	for (int i = 0; i < s->steps; i++)
		timesteps[i] = schedule_sigma_to_t(log_sigmas, c->train_steps, sigmas[i]);
	return SUMI_OK;
}

int sampler_last_step(const struct sampler *s)
{
	int clipped = 0;
	for (int i = 0; i < s->config.train_steps; i++) {
		float alpha = s->alphas_cumprod[i];
		float lambda = sampler_logf(sqrtf(alpha)) - sampler_logf(sqrtf(1 - alpha));
		clipped += lambda < s->config.lambda_min_clipped;
	}
	return s->config.train_steps - clipped;
}

int sampler_timestep_of(const struct sampler *s, float sigma, double *timestep, struct error *err)
{
	float *tables = sigma_tables(s, err);
	if (!tables)
		return SUMI_NOMEM;
	int n = s->config.train_steps;
	*timestep = (float)schedule_sigma_to_t(tables + n, n, sigma);
	free(tables);
	return SUMI_OK;
}

int sampler_plan_between(struct sampler *s, double *timesteps, float *sigmas, struct error *err)
{
	const struct sampler_config *c = &s->config;
	int status = SUMI_OK;
	float *tables = sigma_tables(s, err);
	double *wide = malloc((size_t)s->steps * sizeof *wide);
	if (!tables || !wide) {
		status = error_set(err, SUMI_NOMEM, "no memory for the sigmas");
		goto out;
	}
	schedule_timesteps_between(c->spacing, c->train_steps, s->steps, c->steps_offset,
				   timesteps);
	for (int i = 0; i < s->steps; i++)
		wide[i] = schedule_interpolate(tables, c->train_steps, timesteps[i]);
	if (c->sigmas != SIGMAS_NORMAL)
		status = spread(s, tables + c->train_steps, wide[0], wide[s->steps - 1], wide,
				timesteps, err);
	for (int i = 0; i < s->steps; i++) {
		timesteps[i] = (float)timesteps[i];
		sigmas[i] = (float)wide[i];
	}
	sigmas[s->steps] = c->final_sigma_min ? tables[0] : 0;
out:
	free(wide);
	free(tables);
	return status;
}

int sampler_plan_multistep(struct sampler *s, int last, bool round_karras, bool end_of_spread,
			   struct error *err)
{
	const struct sampler_config *c = &s->config;
	int n = c->train_steps, status = sampler_alloc_schedule(s, s->steps, true, err);
	if (status)
		return status;
	float *tables = sigma_tables(s, err);
	double *wide = malloc((size_t)s->steps * sizeof *wide);
	if (!tables || !wide) {
		status = error_set(err, SUMI_NOMEM, "no memory for the sigmas");
		goto out;
	}
	schedule_timesteps_open(c->spacing, n, last, s->steps, c->steps_offset, s->timesteps);
	for (int i = 0; i < s->steps; i++)
		wide[i] = schedule_interpolate(tables, n, s->timesteps[i]);
	bool spreads = c->sigmas != SIGMAS_NORMAL;
	if (spreads)
		status = spread(s, tables + n, tables[n - 1], tables[0], wide, s->timesteps, err);
	bool rounds = round_karras && (c->sigmas == SIGMAS_KARRAS || c->sigmas == SIGMAS_LU);
	for (int i = 0; i < s->steps; i++) {
		s->timesteps[i] = rounds ? rint(s->timesteps[i]) : trunc(s->timesteps[i]);
		s->sigmas[i] = (float)wide[i];
	}
	s->sigmas[s->steps] = 0;
	if (c->final_sigma_min)
		s->sigmas[s->steps] =
		    spreads && end_of_spread ? s->sigmas[s->steps - 1] : tables[0];
out:
	free(wide);
	free(tables);
	return status;
}

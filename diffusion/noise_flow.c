/* Flow matching (arXiv:2210.02747, arXiv:2403.03206): x = (1 − sigma)·x0 + sigma·noise, a straight
 * line that the model walks back. As diffusers' FlowMatchEulerDiscreteScheduler, and for multistep
 * solvers as its use_flow_sigmas. */
#include "diffusion/noise_model_internal.h"

#include <math.h>
#include <stdlib.h>

/* UniPC takes the logarithm of the signal, of which there is none at sigma 1. */
#define FROM_ONE_MARGIN 1e-6

static struct noise_point mixed(float sigma)
{
	return (struct noise_point){.keep = 1 - sigma, .add = sigma};
}

static float input_divisor(float sigma)
{
	(void)sigma;
	return 1;
}

static float start_deviation(float sigma, enum schedule_spacing spacing)
{
	(void)sigma, (void)spacing;
	return 1;
}

/* The mu of as many tokens as the latents have: diffusers' calculate_shift(). */
static int want_mu(struct noise_flow *f, struct error *err)
{
	if (isfinite(f->mu))
		return SUMI_OK;
	if (!(f->tokens > 0))
		return error_set(err, SUMI_INVALID,
				 "scheduler_config.json: use_dynamic_shifting needs the size of the "
				 "latents, which is not known here");
	if (!(f->max_tokens > f->base_tokens))
		return error_set(err, SUMI_INVALID,
				 "scheduler_config.json: max_image_seq_len %g must be above "
				 "base_image_seq_len %g",
				 f->max_tokens, f->base_tokens);
	double slope = (f->max_shift - f->base_shift) / (f->max_tokens - f->base_tokens);
	f->mu = f->tokens * slope + (f->base_shift - slope * f->base_tokens);
	return SUMI_OK;
}

static int open(struct noise_model *m, struct error *err)
{
	struct noise_flow *f = &m->params.flow;
	int status = f->dynamic ? want_mu(f, err) : SUMI_OK;
	if (status)
		return status;
	if (f->dynamic)
		f->shift = f->linear ? f->mu : exp(f->mu);
	if (!(f->shift > 0 && f->shift <= 1e6))
		return error_set(err, SUMI_INVALID,
				 "scheduler_config.json: flow matching is shifted by %g, allowed are "
				 "above 0 to 1e6",
				 f->shift);
	return SUMI_OK;
}

static double shift(double by, double t)
{
	return by * t / (1 + (by - 1) * t);
}

static int timestep_of(const struct noise_model *m, float sigma, double *timestep,
		       struct error *err)
{
	(void)err;
	*timestep = sigma * (float)m->params.alphas.train_steps;
	return SUMI_OK;
}

/* Times before they are shifted, largest first. */
static double time_at(const struct noise_model *m, const struct noise_ask *ask, int i)
{
	double first = 1, smallest = 1.0 / m->params.alphas.train_steps;
	int steps = ask->steps;
	if (ask->points == NOISE_OPEN) {
		double step = (1 - smallest) / steps;
		return ask->flow_from_one ? first - i * step : (steps - i) * step;
	}
	/* Pipelines hand the class points from 1 to 1/steps; what it takes of itself ends at the
	 * smallest sigma that it has trained, which was shifted before. */
	double last = 1.0 / steps;
	if (ask->spacing == SPACING_LINSPACE)
		last = m->params.flow.dynamic ? (float)smallest
					      : (float)shift(m->params.flow.shift, smallest);
	return steps > 1 ? first + i * ((last - first) / (steps - 1)) : first;
}

static int spread(const struct noise_ask *ask, double *wide, struct error *err)
{
	if (ask->sigmas == SIGMAS_NORMAL)
		return SUMI_OK;
	if (ask->sigmas == SIGMAS_AYS || ask->sigmas == SIGMAS_AYS_A1111)
		return error_set(err, SUMI_INVALID,
				 "the steps of schedule ays are not for a model of flow matching");
	double max = ask->sigma_max > 0 ? ask->sigma_max : wide[0];
	double min = ask->sigma_min > 0 ? ask->sigma_min : wide[ask->steps - 1];
	if (!(min > 0 && min <= max && max <= 1))
		return error_set(err, SUMI_INVALID,
				 "scheduler_config.json: sigmas of flow matching from %g down to %g, "
				 "allowed are 1 to above 0",
				 max, min);
	schedule_spread_sigmas(ask->sigmas, min, max, ask->steps, wide);
	return SUMI_OK;
}

static int fill(const struct noise_model *m, const struct noise_ask *ask, double *wide,
		struct error *err)
{
	const struct noise_flow *f = &m->params.flow;
	int steps = ask->steps;
	for (int i = 0; i < steps; i++)
		wide[i] = shift(f->shift, time_at(m, ask, i));
	if (f->terminal > 0) {
		double scale = (1 - wide[steps - 1]) / (1 - f->terminal);
		if (!(scale > 0))
			return error_set(err, SUMI_INVALID,
					 "scheduler_config.json: shift_terminal %g needs 2 steps or "
					 "more",
					 f->terminal);
		for (int i = 0; i < steps; i++)
			wide[i] = 1 - (1 - wide[i]) / scale;
	}
	int status = spread(ask, wide, err);
	if (ask->points == NOISE_OPEN && fabs(wide[0] - 1) < FROM_ONE_MARGIN)
		wide[0] -= FROM_ONE_MARGIN;
	return status;
}

static int plan(const struct noise_model *m, const struct noise_ask *ask, double *timesteps,
		float *sigmas, struct error *err)
{
	int steps = ask->steps, n = m->params.alphas.train_steps;
	bool open = ask->points == NOISE_OPEN;
	if (open && ask->final_sigma_min && !ask->end_of_spread)
		return error_set(err, SUMI_UNSUPPORTED,
				 "scheduler_config.json: final_sigmas_type sigma_min is not for a "
				 "model of flow matching, which ends at zero");
	double *wide = malloc((size_t)steps * sizeof *wide);
	if (!wide)
		return error_set(err, SUMI_NOMEM, "no memory for the sigmas");
	int status = fill(m, ask, wide, err);
	for (int i = 0; i < steps && !status; i++) {
		sigmas[i] = (float)wide[i];
		timesteps[i] = open ? trunc(wide[i] * n) : sigmas[i] * (float)n;
	}
	if (!status)
		sigmas[steps] = open && ask->final_sigma_min ? sigmas[steps - 1] : 0;
	free(wide);
	return status;
}

const struct noise_process noise_flow_matching = {
    .mixed = mixed,
    .unscaled = mixed,
    .input_divisor = input_divisor,
    .start_deviation = start_deviation,
    .open = open,
    .timestep = timestep_of,
    .plan = plan,
};

/* DDPM's process (arXiv:2006.11239): a table of alphas over the training steps. */
#include "diffusion/noise_model_internal.h"

#include <math.h>
#include <stdlib.h>

static struct noise_point mixed(float sigma)
{
	float keep = 1 / sqrtf(sigma * sigma + 1);
	return (struct noise_point){.keep = keep, .add = sigma * keep};
}

static struct noise_point unscaled(float sigma)
{
	return (struct noise_point){.keep = 1, .add = sigma};
}

static float input_divisor(float sigma)
{
	return sqrtf(sigma * sigma + 1);
}

static float start_deviation(float sigma, enum schedule_spacing spacing)
{
	return spacing == SPACING_LEADING ? sqrtf(sigma * sigma + 1) : sigma;
}

static int open(struct noise_model *m, struct error *err)
{
	const struct noise_params *p = &m->params;
	int n = p->alphas.train_steps;
	m->alphas = malloc((size_t)n * sizeof *m->alphas);
	if (!m->alphas)
		return error_set(err, SUMI_NOMEM, "no memory for the noise schedule");
	int status = schedule_alphas_cumprod(&p->alphas, m->alphas, err);
	if (status)
		return status;
	/* An infinite sigma is replaced by a large one (diffusers: "close to 0 without being 0 so
	 * first sigma is not inf"). */
	if (p->finite_sigmas && p->alphas.zero_terminal_snr)
		m->alphas[n - 1] = 0x1p-24f;
	m->final_alpha = p->final_alpha_one ? 1 : m->alphas[0];
	return SUMI_OK;
}

float noise_alpha(const struct noise_model *m, double timestep)
{
	if (timestep < 0)
		return m->final_alpha;
	int i = (int)timestep, last = m->params.alphas.train_steps - 1;
	return m->alphas[i < last ? i : last];
}

int noise_steps_above(const struct noise_model *m, double lambda_min)
{
	int n = m->params.alphas.train_steps, below = 0;
	for (int i = 0; m->alphas && i < n; i++) {
		float signal = sqrtf(m->alphas[i]), noise = sqrtf(1 - m->alphas[i]);
		below += (float)log((double)signal) - (float)log((double)noise) < lambda_min;
	}
	return n - below;
}

/* sigmas and log sigmas of all training steps in one allocation of 2·train_steps. */
static float *sigma_tables(const struct noise_model *m, struct error *err)
{
	int n = m->params.alphas.train_steps;
	float *sigmas = malloc(2 * (size_t)n * sizeof *sigmas);
	if (sigmas)
		schedule_sigma_table(m->alphas, n, sigmas, sigmas + n);
	else
		error_set(err, SUMI_NOMEM, "no memory for the table of sigmas");
	return sigmas;
}

static int timestep_of(const struct noise_model *m, float sigma, double *timestep,
		       struct error *err)
{
	float *tables = sigma_tables(m, err);
	if (!tables)
		return SUMI_NOMEM;
	int n = m->params.alphas.train_steps;
	*timestep = (float)schedule_sigma_to_t(tables + n, n, sigma);
	free(tables);
	return SUMI_OK;
}

/* Replaces sigmas [steps] by another way of going from the largest to the smallest, and timesteps
 * by those of the new sigmas. */
static int spread(const struct noise_model *m, const struct noise_ask *ask, const float *log_sigmas,
		  double largest, double smallest, double *sigmas, double *timesteps,
		  struct error *err)
{
	double max = ask->sigma_max > 0 ? ask->sigma_max : largest;
	double min = ask->sigma_min > 0 ? ask->sigma_min : smallest;
	if (min > max)
		return error_set(err, SUMI_INVALID,
				 "scheduler_config.json: sigma_min %g is above sigma_max %g", min,
				 max);
	if (ask->sigmas == SIGMAS_AYS || ask->sigmas == SIGMAS_AYS_A1111)
		schedule_aligned_sigmas(m->params.steps, ask->sigmas, ask->steps, sigmas);
	else
		schedule_spread_sigmas(ask->sigmas, min, max, ask->steps, sigmas);
	for (int i = 0; i < ask->steps; i++)
		timesteps[i] =
		    schedule_sigma_to_t(log_sigmas, m->params.alphas.train_steps, sigmas[i]);
	return SUMI_OK;
}

/* tables: as sigma_tables() gives them; wide [steps] becomes the sigmas before they are rounded. */
static int fill(const struct noise_model *m, const struct noise_ask *ask, const float *tables,
		double *timesteps, double *wide, struct error *err)
{
	int n = m->params.alphas.train_steps, steps = ask->steps;
	bool open = ask->points == NOISE_OPEN;
	if (open)
		schedule_timesteps_open(ask->spacing, n, ask->last, steps, ask->steps_offset,
					timesteps);
	else
		schedule_timesteps_between(ask->spacing, n, steps, ask->steps_offset, timesteps);
	for (int i = 0; i < steps; i++)
		wide[i] = schedule_interpolate(tables, n, timesteps[i]);
	if (ask->sigmas == SIGMAS_NORMAL)
		return SUMI_OK;
	/* Multistep solvers spread over the whole table, the others over what they visit. */
	double largest = open ? tables[n - 1] : wide[0], smallest = open ? tables[0] : wide[steps - 1];
	return spread(m, ask, tables + n, largest, smallest, wide, timesteps, err);
}

static int plan(const struct noise_model *m, const struct noise_ask *ask, double *timesteps,
		float *sigmas, struct error *err)
{
	int steps = ask->steps;
	if (ask->points == NOISE_WHOLE) {
		schedule_timesteps_whole(ask->spacing, m->params.alphas.train_steps, steps,
					 ask->steps_offset, timesteps);
		return SUMI_OK;
	}
	int status = SUMI_OK;
	float *tables = sigma_tables(m, err);
	double *wide = malloc((size_t)steps * sizeof *wide);
	if (!tables || !wide)
		status = error_set(err, SUMI_NOMEM, "no memory for the sigmas");
	else
		status = fill(m, ask, tables, timesteps, wide, err);
	bool open = ask->points == NOISE_OPEN;
	bool rounds =
	    ask->round_karras && (ask->sigmas == SIGMAS_KARRAS || ask->sigmas == SIGMAS_LU);
	for (int i = 0; i < steps && !status; i++) {
		timesteps[i] = !open    ? (float)timesteps[i]
			       : rounds ? rint(timesteps[i])
					: trunc(timesteps[i]);
		sigmas[i] = (float)wide[i];
	}
	if (!status) {
		bool own_end = open && ask->end_of_spread && ask->sigmas != SIGMAS_NORMAL;
		float smallest = own_end ? sigmas[steps - 1] : tables[0];
		sigmas[steps] = ask->final_sigma_min ? smallest : 0;
	}
	free(wide);
	free(tables);
	return status;
}

const struct noise_process noise_ddpm = {
    .mixed = mixed,
    .unscaled = unscaled,
    .input_divisor = input_divisor,
    .start_deviation = start_deviation,
    .open = open,
    .timestep = timestep_of,
    .plan = plan,
};

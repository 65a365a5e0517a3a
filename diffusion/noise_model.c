/* Noise models: the table, and what a model's output says. */
#include "diffusion/noise_model_internal.h"

#include <math.h>
#include <stdlib.h>

#include "base/bytes.h"

/* What an output m means for x = keep·x0 + add·noise: x0, the noise. */
typedef void predict_fn(struct noise_point p, size_t n, const float *m, const float *x, float *x0,
			float *eps);
/* The same of x0 alone, for x as noise_unscaled() has it. */
typedef void predict_unscaled_fn(float sigma, size_t n, const float *m, const float *x, float *x0);

/* The output that means x0 and the noise eps. */
typedef float answer_fn(struct noise_point p, float x0, float eps);

struct noise_ops {
	const char *name;
	const struct noise_process *process;
	predict_fn *predict;
	predict_unscaled_fn *predict_unscaled;
	answer_fn *answer;
	bool needs_signal; /* x0 comes of a division by keep */
};

static void epsilon(struct noise_point p, size_t n, const float *m, const float *x, float *x0,
		    float *eps)
{
	for (size_t i = 0; i < n; i++) {
		float e = m[i];
		if (x0)
			x0[i] = (x[i] - p.add * e) / p.keep;
		if (eps)
			eps[i] = e;
	}
}

static void epsilon_unscaled(float sigma, size_t n, const float *m, const float *x, float *x0)
{
	for (size_t i = 0; i < n; i++)
		x0[i] = x[i] - sigma * m[i];
}

static void v(struct noise_point p, size_t n, const float *m, const float *x, float *x0, float *eps)
{
	for (size_t i = 0; i < n; i++) {
		float at = x[i], output = m[i];
		if (x0)
			x0[i] = p.keep * at - p.add * output;
		if (eps)
			eps[i] = p.keep * output + p.add * at;
	}
}

static void v_unscaled(float sigma, size_t n, const float *m, const float *x, float *x0)
{
	float square = sigma * sigma + 1, factor = -sigma / sqrtf(square);
	for (size_t i = 0; i < n; i++)
		x0[i] = m[i] * factor + x[i] / square;
}

static void sample(struct noise_point p, size_t n, const float *m, const float *x, float *x0,
		   float *eps)
{
	for (size_t i = 0; i < n; i++) {
		float output = m[i], at = x[i];
		if (x0)
			x0[i] = output;
		if (eps)
			eps[i] = (at - p.keep * output) / p.add;
	}
}

static void sample_unscaled(float sigma, size_t n, const float *m, const float *x, float *x0)
{
	(void)sigma, (void)x;
	for (size_t i = 0; i < n; i++)
		x0[i] = m[i];
}

static void flow(struct noise_point p, size_t n, const float *m, const float *x, float *x0,
		 float *eps)
{
	for (size_t i = 0; i < n; i++) {
		float output = m[i], at = x[i];
		if (x0)
			x0[i] = at - p.add * output;
		if (eps)
			eps[i] = at + p.keep * output;
	}
}

static float answer_epsilon(struct noise_point p, float x0, float eps)
{
	(void)p, (void)x0;
	return eps;
}

static float answer_v(struct noise_point p, float x0, float eps)
{
	return p.keep * eps - p.add * x0;
}

static float answer_sample(struct noise_point p, float x0, float eps)
{
	(void)p, (void)eps;
	return x0;
}

static float answer_flow(struct noise_point p, float x0, float eps)
{
	(void)p;
	return eps - x0;
}

static const struct noise_ops table[] = {
    [PREDICTION_EPSILON] = {"epsilon", &noise_ddpm, epsilon, epsilon_unscaled, answer_epsilon,
			    true},
    [PREDICTION_V] = {"v", &noise_ddpm, v, v_unscaled, answer_v, false},
    [PREDICTION_SAMPLE] = {"sample", &noise_ddpm, sample, sample_unscaled, answer_sample, false},
    /* Unscaled is mixed here: x0 is the same x − sigma·m. */
    [PREDICTION_FLOW] = {"flow", &noise_flow_matching, flow, epsilon_unscaled, answer_flow, false},
};

/* ---- life ---- */

int noise_model_new(const struct noise_params *params, struct noise_model **out, struct error *err)
{
	*out = NULL;
	struct noise_model *m = calloc(1, sizeof *m);
	if (!m)
		return error_set(err, SUMI_NOMEM, "no memory for the noise schedule");
	m->params = *params;
	m->ops = &table[params->prediction];
	int status = m->ops->process->open(m, err);
	m->params.alphas.trained_betas = NULL;
	if (status) {
		noise_model_free(m);
		return status;
	}
	*out = m;
	return SUMI_OK;
}

void noise_model_free(struct noise_model *m)
{
	if (!m)
		return;
	free(m->alphas);
	free(m);
}

uint64_t noise_model_hash(const struct noise_model *m, uint64_t hash)
{
	if (m->alphas)
		hash = bytes_hash(hash, m->alphas,
				  (size_t)m->params.alphas.train_steps * sizeof *m->alphas);
	return hash;
}

/* ---- asking ---- */

struct noise_point noise_mixed(const struct noise_model *m, float sigma)
{
	return m->ops->process->mixed(sigma);
}

struct noise_point noise_unscaled(const struct noise_model *m, float sigma)
{
	return m->ops->process->unscaled(sigma);
}

float noise_input_divisor(const struct noise_model *m, float sigma)
{
	return m->ops->process->input_divisor(sigma);
}

float noise_start_deviation(const struct noise_model *m, float sigma, enum schedule_spacing spacing)
{
	return m->ops->process->start_deviation(sigma, spacing);
}

int noise_timestep(const struct noise_model *m, float sigma, double *timestep, struct error *err)
{
	return m->ops->process->timestep(m, sigma, timestep, err);
}

bool noise_can_predict(const struct noise_model *m, double timestep)
{
	return !m->ops->needs_signal || noise_alpha(m, timestep) > 0;
}

int noise_plan(const struct noise_model *m, const struct noise_ask *ask, double *timesteps,
	       float *sigmas, struct error *err)
{
	return m->ops->process->plan(m, ask, timesteps, sigmas, err);
}

void noise_predict(const struct noise_model *m, struct noise_point p, size_t n, const float *output,
		   const float *x, float *x0, float *eps)
{
	m->ops->predict(p, n, output, x, x0, eps);
}

void noise_predict_unscaled(const struct noise_model *m, float sigma, size_t n, const float *output,
			    const float *x, float *x0)
{
	m->ops->predict_unscaled(sigma, n, output, x, x0);
}

float noise_answer(const struct noise_model *m, struct noise_point p, float x, float x0)
{
	return m->ops->answer(p, x0, (x - p.keep * x0) / p.add);
}

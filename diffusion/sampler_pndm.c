/* PNDM (arXiv:2202.09778): pseudo Runge–Kutta and pseudo linear multistep, as diffusers'
 * PNDMScheduler. Stable Diffusion's own files skip the Runge–Kutta part ("PLMS"). */
#include "diffusion/sampler_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OUTPUTS = 4 }; /* that the multistep formula looks back on */
enum { ETS = 0, CUR_SAMPLE = OUTPUTS, CUR_OUTPUT }; /* slots: the outputs, newest first */
enum { COUNTER_ETS = 0, COUNTER_CALLS = 1 };

#define PRK_CALLS 12 /* three timesteps of four calls */

static int pndm_plan(struct sampler *s, struct error *err)
{
	const struct sampler_config *c = &s->config;
	int steps = s->steps, half = c->train_steps / steps / 2;
	if (!c->skip_prk_steps && steps < 4)
		return error_set(err, SUMI_INVALID,
				 "sampler pndm needs 4 steps or more when skip_prk_steps is off");
	double *whole = malloc((size_t)steps * sizeof *whole);
	if (!whole)
		return error_set(err, SUMI_NOMEM, "no memory for the schedule of sampler pndm");
	schedule_timesteps_whole(c->spacing, c->train_steps, steps, c->steps_offset, whole);
	int calls = c->skip_prk_steps ? (steps > 1 ? steps + 1 : 1) : PRK_CALLS + steps - 3;
	int status = sampler_alloc_schedule(s, calls, false, err);
	if (!status && c->skip_prk_steps) {
		/* The second timestep is visited twice: the first visit only looks ahead. */
		for (int i = 0; i < calls; i++)
			s->timesteps[i] = whole[i < 2 ? i : i - 1];
	} else if (!status) {
		/* t, t−h/2, t−h/2, t−h for each of the first three; h/2 is counted from below. */
		for (int i = 0; i < 3; i++) {
			double middle = whole[i + 1] + half;
			s->timesteps[4 * i] = whole[i];
			s->timesteps[4 * i + 1] = middle;
			s->timesteps[4 * i + 2] = middle;
			s->timesteps[4 * i + 3] = whole[i + 1];
		}
		for (int i = 3; i < steps; i++)
			s->timesteps[PRK_CALLS + i - 3] = whole[i];
	}
	free(whole);
	return status;
}

/* Equation 9, from t to t_prev with the noise estimate e [n]; x is input and output. */
static void transfer(const struct sampler *s, double t, double t_prev, const float *e,
		     const float *from, float *x)
{
	float alpha = sampler_alpha(s, t), alpha_prev = sampler_alpha(s, t_prev);
	float beta = 1 - alpha, beta_prev = 1 - alpha_prev;
	float root_alpha = sqrtf(alpha), root_beta = sqrtf(beta);
	float x_coeff = sqrtf(alpha_prev / alpha);
	float divisor = alpha * sqrtf(beta_prev) + sqrtf(alpha * beta * alpha_prev);
	float gap = alpha_prev - alpha;
	sampler_predict(s, root_alpha, root_beta, e, from, NULL, s->noise);
	for (size_t i = 0; i < s->n; i++)
		x[i] = x_coeff * from[i] - gap * s->noise[i] / divisor;
}

static void push_output(struct sampler *s, const float *model_output)
{
	memcpy(sampler_push(s->slots + ETS, OUTPUTS), model_output, s->n * sizeof *model_output);
	if (s->counters[COUNTER_ETS] < OUTPUTS)
		s->counters[COUNTER_ETS]++;
}

static void prk_step(struct sampler *s, int index, const float *model_output, float *x)
{
	static const float weights[4] = {(float)(1.0 / 6), (float)(1.0 / 3), (float)(1.0 / 3),
					 (float)(1.0 / 6)};
	int stage = index % 4, half = s->config.train_steps / s->steps / 2;
	float *sum = s->slots[CUR_OUTPUT], *start = s->slots[CUR_SAMPLE];
	if (stage == 0) {
		push_output(s, model_output);
		memset(sum, 0, s->n * sizeof *sum);
		memcpy(start, x, s->n * sizeof *start);
	}
	for (size_t i = 0; i < s->n; i++)
		sum[i] = sum[i] + weights[stage] * model_output[i];
	double t = s->timesteps[index - stage];
	double t_prev = s->timesteps[index] - (stage % 2 ? 0 : half);
	transfer(s, t, t_prev, stage == 3 ? sum : model_output, start, x);
}

/* Adams–Bashforth of the order that the history allows (equation 12), into out [n]. */
static void multistep(const struct sampler *s, float *out)
{
	const float *e0 = s->slots[ETS], *e1 = s->slots[ETS + 1];
	const float *e2 = s->slots[ETS + 2], *e3 = s->slots[ETS + 3];
	for (size_t i = 0; i < s->n; i++) {
		switch (s->counters[COUNTER_ETS]) {
		case 1:
			out[i] = e0[i];
			break;
		case 2:
			out[i] = (3 * e0[i] - e1[i]) / 2;
			break;
		case 3:
			out[i] = (23 * e0[i] - 16 * e1[i] + 5 * e2[i]) / 12;
			break;
		default:
			out[i] =
			    (float)(1.0 / 24) * (55 * e0[i] - 59 * e1[i] + 37 * e2[i] - 9 * e3[i]);
		}
	}
}

static void plms_step(struct sampler *s, int index, const float *model_output, float *x)
{
	double t = s->timesteps[index], stride = s->config.train_steps / s->steps;
	double t_prev = t - stride;
	float *start = s->slots[CUR_SAMPLE], *e = s->slots[CUR_OUTPUT];
	if (s->counters[COUNTER_CALLS] != 1) {
		push_output(s, model_output);
		if (s->counters[COUNTER_CALLS] == 0)
			memcpy(start, x, s->n * sizeof *start);
		multistep(s, e);
		transfer(s, t, t_prev, e, x, x);
		return;
	}
	/* The look-ahead came back: take the first step again with the mean of both. */
	for (size_t i = 0; i < s->n; i++)
		e[i] = (model_output[i] + s->slots[ETS][i]) / 2;
	transfer(s, t + stride, t, e, start, x);
}

static void pndm_step(struct sampler *s, int index, const float *model_output, float *x,
		      struct rng *rng)
{
	(void)rng;
	float alpha = sampler_alpha(s, s->timesteps[index]);
	sampler_predict(s, sqrtf(alpha), sqrtf(1 - alpha), model_output, x, s->denoised, NULL);
	if (!s->config.skip_prk_steps && index < PRK_CALLS)
		prk_step(s, index, model_output, x);
	else
		plms_step(s, index, model_output, x);
	s->counters[COUNTER_CALLS]++;
}

const struct sampler_ops sampler_pndm = {
    .name = "pndm",
    .spacing = SPACING_LEADING,
    .betas = BETAS_LINEAR,
    .beta_start = 0.0001,
    .beta_end = 0.02,
    .no_sample_prediction = true,
    .order = 1,
    .slots = 6,
    .counter_most = {OUTPUTS},
    .plan = pndm_plan,
    .step = pndm_step,
};

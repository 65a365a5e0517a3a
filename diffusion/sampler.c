/* Samplers: what all families share: making, stepping, saving. */
#include "diffusion/sampler_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STATE_VERSION 1u
#define NAME_SIZE 16
#define STEPS_MAX 10000

/* ---- making ---- */

/* Fills in what the config leaves to the sampler. */
static int resolve(struct sampler *s, enum schedule_sigmas asked, struct error *err)
{
	const struct sampler_ops *ops = s->ops;
	struct sampler_config *c = &s->config;
	if (ops->ignores_file_spacing)
		c->spacing = SPACING_DEFAULT;
	if (ops->ignores_zero_snr)
		c->zero_terminal_snr = false;
	if (asked == SIGMAS_SGM_UNIFORM || asked == SIGMAS_SIMPLE) {
		c->spacing = SPACING_TRAILING;
		asked = SIGMAS_NORMAL;
	}
	if (asked == SIGMAS_DEFAULT && ops->takes_sigmas && !ops->ignores_file_sigmas &&
	    (ops->takes_lu || c->file_sigmas != SIGMAS_LU))
		asked = c->file_sigmas;
	if (asked == SIGMAS_DEFAULT)
		asked = SIGMAS_NORMAL;
	if (asked != SIGMAS_NORMAL && !ops->takes_sigmas)
		return error_set(
		    err, SUMI_INVALID,
		    "sampler %s has no sigmas, so it takes no %s schedule: use euler, euler_a, "
		    "heun, dpm2, lms, deis, dpmpp_2m, dpmpp_2m_sde or unipc",
		    ops->name, sampler_sigmas_name(asked));
	c->sigmas = asked;
	if (c->spacing == SPACING_DEFAULT)
		c->spacing = c->prediction == PREDICTION_FLOW ? SPACING_TRAILING : ops->spacing;
	if (c->betas == BETAS_DEFAULT)
		c->betas = ops->betas;
	if (c->beta_start == 0)
		c->beta_start = ops->beta_start;
	if (c->beta_end == 0)
		c->beta_end = ops->beta_end;
	if (c->clip_sample == CHOICE_DEFAULT)
		c->clip_sample = ops->clip_sample ? CHOICE_YES : CHOICE_NO;
	if (c->set_alpha_to_one == CHOICE_DEFAULT)
		c->set_alpha_to_one = ops->alpha_to_one ? CHOICE_YES : CHOICE_NO;
	if (c->lower_order_final == CHOICE_DEFAULT)
		c->lower_order_final = ops->lower_order_final ? CHOICE_YES : CHOICE_NO;
	if (c->eta < 0)
		c->eta = ops->eta;
	if (!(c->eta <= 1))
		return error_set(err, SUMI_INVALID, "eta is %g, allowed are 0 to 1", c->eta);
	if (c->prediction == PREDICTION_SAMPLE && ops->no_sample_prediction)
		return error_set(err, SUMI_UNSUPPORTED,
				 "sampler %s cannot run a model that predicts the sample: use ddim",
				 ops->name);
	if (c->thresholding)
		return error_set(
		    err, SUMI_UNSUPPORTED,
		    "scheduler_config.json: 'thresholding' is for models in pixel space and not "
		    "supported");
	return SUMI_OK;
}

static int make_noise_model(struct sampler *s, struct error *err)
{
	const struct sampler_config *c = &s->config;
	struct noise_params params = {.prediction = c->prediction,
				      .alphas = {.train_steps = c->train_steps,
						 .betas = c->betas,
						 .beta_start = c->beta_start,
						 .beta_end = c->beta_end,
						 .trained_betas = c->trained_betas,
						 .zero_terminal_snr = c->zero_terminal_snr},
				      .steps = c->aligned,
				      .final_alpha_one = c->set_alpha_to_one == CHOICE_YES,
				      .finite_sigmas = s->ops->takes_sigmas,
				      .flow = c->flow};
	if (c->prediction == PREDICTION_FLOW && !s->ops->takes_flow)
		return error_set(err, SUMI_INVALID,
				 "sampler %s is not for a model of flow matching: use euler, heun, "
				 "dpm2, lms, deis, dpmpp_2m, dpmpp_2m_sde, dpmpp_2s or unipc",
				 s->ops->name);
	return noise_model_new(&params, &s->noise_model, err);
}

/* A plan that leaves the table of training steps, or divides by an alpha of zero, is refused
 * here, so that no step has to look. */
static int check_plan(const struct sampler *s, struct error *err)
{
	for (int i = 0; i < s->count; i++) {
		double t = s->timesteps[i];
		if (s->sigmas) {
			if (!isfinite(t) || !isfinite(s->sigmas[i]) || !(s->sigmas[i] > 0))
				return error_set(err, SUMI_INVALID,
						 "sampler %s: sigma %d of this schedule is %g; use "
						 "another schedule "
						 "or fewer steps",
						 s->ops->name, i, (double)s->sigmas[i]);
			continue;
		}
		if (!(t >= 0 && t <= s->config.train_steps - 1))
			return error_set(
			    err, SUMI_INVALID,
			    "sampler %s: %d steps reach timestep %g of %d; use fewer steps",
			    s->ops->name, s->steps, t, s->config.train_steps);
		if (!noise_can_predict(s->noise_model, t))
			return error_set(
			    err, SUMI_INVALID,
			    "scheduler_config.json: rescale_betas_zero_snr needs a model that "
			    "predicts v or the sample, this one predicts epsilon");
	}
	return SUMI_OK;
}

int sampler_new(const char *name, const struct sampler_config *config, int steps,
		struct sampler **out, struct error *err)
{
	enum schedule_sigmas sigmas = config->sigmas;
	int status = SUMI_OK;
	*out = NULL;
	if (!name || !*name)
		name = config->sampler;
	if (!name)
		return error_set(
		    err, SUMI_UNSUPPORTED,
		    "scheduler_config.json: there is no sampler for class '%s'; name one, such as "
		    "euler_a or dpmpp_2m",
		    config->class_name);
	status = sampler_parse_name(name, &name, &sigmas, err);
	if (status)
		return status;
	if (config->train_steps < 2 || config->train_steps > SCHEDULE_TRAIN_STEPS_MAX)
		return error_set(err, SUMI_INVALID,
				 "scheduler_config.json: num_train_timesteps is %d",
				 config->train_steps);
	int most = config->train_steps < STEPS_MAX ? config->train_steps : STEPS_MAX;
	if (steps < 1 || steps > most)
		return error_set(err, SUMI_INVALID, "steps is %d, allowed are 1 to %d", steps,
				 most);
	struct sampler *s = calloc(1, sizeof *s);
	if (!s)
		return error_set(err, SUMI_NOMEM, "no memory for the sampler");
	s->ops = sampler_find(name);
	s->config = *config;
	s->steps = steps;
	status = resolve(s, sigmas, err);
	if (!status)
		status = make_noise_model(s, err);
	s->config.trained_betas = NULL; /* borrowed from the caller's config, not needed any more */
	if (!status)
		status = s->ops->plan(s, err);
	if (!status)
		status = check_plan(s, err);
	if (status) {
		sampler_free(s);
		return status;
	}
	*out = s;
	return SUMI_OK;
}

static void free_tensors(struct sampler *s)
{
	free(s->denoised);
	free(s->noise);
	s->denoised = s->noise = NULL;
	for (int i = 0; i < SAMPLER_SLOTS; i++) {
		free(s->slots[i]);
		s->slots[i] = NULL;
	}
	s->n = 0;
}

void sampler_free(struct sampler *s)
{
	if (!s)
		return;
	free_tensors(s);
	noise_model_free(s->noise_model);
	free(s->timesteps);
	free(s->sigmas);
	free(s);
}

int sampler_start(struct sampler *s, double strength, struct error *err)
{
	if (!(strength >= 0 && strength <= 1))
		return error_set(err, SUMI_INVALID, "strength is %g, allowed are 0 to 1", strength);
	if (s->done > 0)
		return error_set(err, SUMI_INTERNAL, "sampler_start after the first step");
	int kept = (int)(s->steps * strength);
	if (kept < 1 || (s->steps - kept) * s->ops->order >= s->count)
		return error_set(
		    err, SUMI_INVALID,
		    "strength %g of %d steps leaves none; use more steps or a greater strength",
		    strength, s->steps);
	return sampler_start_last(s, kept, err);
}

int sampler_start_last(struct sampler *s, int kept, struct error *err)
{
	if (s->done > 0 || kept < 1 || kept > s->steps)
		return error_set(err, SUMI_INTERNAL, "the last %d of %d steps, after %d calls", kept,
				 s->steps, s->done);
	int begin = (s->steps - kept) * s->ops->order;
	if (begin > 0 && s->ops == &sampler_pndm && !s->config.skip_prk_steps)
		return error_set(
		    err, SUMI_UNSUPPORTED,
		    "sampler pndm with Runge–Kutta steps cannot start from a picture; use ddim");
	s->begin = begin;
	return SUMI_OK;
}

/* The training step at which a part of the run ends, as Python rounds it. */
static double cutoff(const struct sampler *s, double part)
{
	return rint(s->config.train_steps - part * s->config.train_steps);
}

int sampler_cut(struct sampler *s, double from, double until, struct error *err)
{
	int before = 0, behind = 0;
	if (!(from >= 0 && until <= 1 && from < until) || s->done > 0)
		return error_set(err, SUMI_INVALID,
				 "a part of the run from %g to %g: both are 0 to 1, the start before "
				 "the end",
				 from, until);
	for (int i = 0; i < s->count; i++) {
		before += s->timesteps[i] >= cutoff(s, until);
		behind += s->timesteps[i] < cutoff(s, from);
	}
	/* Both halves of a step stay together. */
	if (s->ops->order == 2 && behind % 2 == 0 && behind > 0)
		behind++;
	int begin = from > 0 ? s->count - behind : 0, end = until < 1 ? before : s->count;
	if (begin >= end)
		return error_set(err, SUMI_INVALID,
				 "%d steps leave none between %g and %g of the run: use more steps",
				 s->steps, from, until);
	if (begin > 0 && s->ops == &sampler_pndm && !s->config.skip_prk_steps)
		return error_set(
		    err, SUMI_UNSUPPORTED,
		    "sampler pndm with Runge–Kutta steps cannot start in the middle; use ddim");
	s->begin = begin;
	s->end = end == s->count ? 0 : end;
	return SUMI_OK;
}

/* ---- looking ---- */

const char *sampler_name(const struct sampler *s)
{
	return s->ops->name;
}

int sampler_calls(const struct sampler *s)
{
	return (s->end ? s->end : s->count) - s->begin;
}

int sampler_calls_from_noise(const struct sampler *s)
{
	return s->count;
}

int sampler_done(const struct sampler *s)
{
	return s->done;
}

double sampler_timestep(const struct sampler *s, int call)
{
	return s->timesteps[s->begin + call];
}

float sampler_init_noise_sigma(const struct sampler *s)
{
	if (!s->ops->unscaled)
		return 1;
	float most = 0;
	for (int i = 0; i < s->count; i++)
		most = fmaxf(most, s->sigmas[i]);
	return noise_start_deviation(s->noise_model, most, s->config.spacing);
}

void sampler_scale_input(const struct sampler *s, int call, const float *x, float *out, size_t n)
{
	float divisor = 1;
	if (s->ops->unscaled)
		divisor = noise_input_divisor(s->noise_model, s->sigmas[s->begin + call]);
	for (size_t i = 0; i < n; i++)
		out[i] = x[i] / divisor;
}

void sampler_add_noise(const struct sampler *s, const float *original, const float *noise,
		       float *out, size_t n)
{
	struct noise_point p = sampler_noise_at(s, 0);
	for (size_t i = 0; i < n; i++)
		out[i] = p.keep * original[i] + p.add * noise[i];
}

const float *sampler_denoised(const struct sampler *s, size_t *n)
{
	if (n)
		*n = s->n;
	return s->done ? s->denoised : NULL;
}

/* ---- stepping ---- */

static int make_tensors(struct sampler *s, size_t n, struct error *err)
{
	bool ok = n > 0 && n <= SIZE_MAX / sizeof(float);
	s->denoised = ok ? calloc(n, sizeof(float)) : NULL;
	s->noise = ok ? calloc(n, sizeof(float)) : NULL;
	ok = s->denoised && s->noise;
	for (int i = 0; ok && i < s->ops->slots; i++) {
		s->slots[i] = calloc(n, sizeof(float));
		ok = s->slots[i] != NULL;
	}
	if (!ok) {
		free_tensors(s);
		return error_set(err, SUMI_NOMEM,
				 "no memory for the history of sampler %s (%zu values)",
				 s->ops->name, n);
	}
	s->n = n;
	return SUMI_OK;
}

int sampler_check(struct sampler *s, int call, const float *model_output, size_t n,
		  struct error *err)
{
	if (call != s->done || call >= sampler_calls(s))
		return error_set(err, SUMI_INTERNAL, "sampler %s: call %d of %d, but %d is due",
				 s->ops->name, call, sampler_calls(s), s->done);
	if (s->n && s->n != n)
		return error_set(err, SUMI_INTERNAL, "sampler %s: %zu values, began with %zu",
				 s->ops->name, n, s->n);
	for (size_t i = 0; i < n; i++)
		if (!isfinite(model_output[i]))
			return error_set(
			    err, SUMI_DEVICE,
			    "the model gave %s at step %d (value %zu): broken weights, or an "
			    "overflow in half precision",
			    isnan(model_output[i]) ? "NaN" : "infinity", call + 1, i);
	return s->n ? SUMI_OK : make_tensors(s, n, err);
}

int sampler_step(struct sampler *s, int call, const float *model_output, float *x, size_t n,
		 struct rng *rng, struct error *err)
{
	int status = sampler_check(s, call, model_output, n, err);
	if (status)
		return status;
	s->ops->step(s, s->begin + call, model_output, x, rng);
	s->done++;
	return SUMI_OK;
}

void sampler_predict(const struct sampler *s, float root_alpha, float root_beta,
		     const float *model_output, const float *x, float *x0, float *eps)
{
	struct noise_point p = {.keep = root_alpha, .add = root_beta};
	noise_predict(s->noise_model, p, s->n, model_output, x, x0, eps);
}

void sampler_predict_at_sigma(const struct sampler *s, float sigma, const float *model_output,
			      const float *x, float *x0)
{
	noise_predict_unscaled(s->noise_model, sigma, s->n, model_output, x, x0);
}

void sampler_clip(const struct sampler *s, float *x0)
{
	if (s->config.clip_sample != CHOICE_YES)
		return;
	float range = (float)s->config.clip_sample_range;
	for (size_t i = 0; i < s->n; i++)
		x0[i] = fminf(fmaxf(x0[i], -range), range);
}

float *sampler_push(float **slots, int count)
{
	float *oldest = slots[count - 1];
	for (int k = count - 1; k > 0; k--)
		slots[k] = slots[k - 1];
	return slots[0] = oldest;
}

const float *sampler_draw(struct sampler *s, struct rng *rng)
{
	rng_randn(rng, s->noise, s->n);
	return s->noise;
}

float sampler_logf(float x)
{
	return (float)log((double)x);
}

float sampler_expf(float x)
{
	return (float)exp((double)x);
}

float sampler_expm1f(float x)
{
	return (float)expm1((double)x);
}

/* ---- saving ---- */

/* Tells samplers apart that would go on differently from the same state. */
static uint64_t fingerprint(const struct sampler *s)
{
	const struct sampler_config *c = &s->config;
	const double numbers[] = {s->steps,
				  s->count,
				  s->begin,
				  c->train_steps,
				  c->prediction,
				  c->clip_sample,
				  c->clip_sample_range,
				  c->eta,
				  c->variance,
				  c->skip_prk_steps,
				  c->solver_order,
				  c->solver_heun,
				  c->solver_bh1,
				  c->lower_order_final == CHOICE_YES,
				  c->euler_at_final,
				  c->final_sigma_min,
				  (double)c->no_corrector,
				  c->timestep_scaling,
				  (double)sampler_alpha(s, -1)};
	uint64_t h = bytes_hash(BYTES_HASH_START, numbers, sizeof numbers);
	h = noise_model_hash(s->noise_model, h);
	h = bytes_hash(h, s->timesteps, (size_t)s->count * sizeof *s->timesteps);
	if (s->sigmas)
		h = bytes_hash(h, s->sigmas, ((size_t)s->count + 1) * sizeof *s->sigmas);
	if (s->end)
		h = bytes_hash(h, &s->end, sizeof s->end);
	return h;
}

void sampler_save(const struct sampler *s, struct bytes_writer *w)
{
	char name[NAME_SIZE] = "";
	strncpy(name, s->ops->name, sizeof name - 1);
	bytes_put_u32(w, STATE_VERSION);
	bytes_put(w, name, sizeof name);
	bytes_put_u64(w, fingerprint(s));
	bytes_put_u32(w, (uint32_t)s->done);
	for (int i = 0; i < SAMPLER_COUNTERS; i++)
		bytes_put_u32(w, (uint32_t)s->counters[i]);
	/* What sampler_check() made before the first step holds nothing yet. */
	bytes_put_u64(w, s->done ? s->n : 0);
	if (!s->done)
		return;
	bytes_put_f32s(w, s->denoised, s->n);
	for (int i = 0; i < s->ops->slots; i++)
		bytes_put_f32s(w, s->slots[i], s->n);
}

int sampler_restore(struct sampler *s, struct bytes_reader *r, struct error *err)
{
	char name[NAME_SIZE];
	uint32_t version = bytes_get_u32(r);
	bytes_get(r, name, sizeof name);
	name[NAME_SIZE - 1] = '\0';
	uint64_t print = bytes_get_u64(r);
	uint32_t done = bytes_get_u32(r), counters[SAMPLER_COUNTERS];
	for (int i = 0; i < SAMPLER_COUNTERS; i++)
		counters[i] = bytes_get_u32(r);
	uint64_t n = bytes_get_u64(r);
	if (r->failed || version != STATE_VERSION)
		return error_set(err, SUMI_CORRUPT, "sampler state: cut off or not of version %u",
				 STATE_VERSION);
	if (strcmp(name, s->ops->name) != 0 || print != fingerprint(s))
		return error_set(
		    err, SUMI_INVALID,
		    "sampler state: saved by another sampler, schedule or number of steps");
	uint64_t left = r->size - r->at, tensors = (uint64_t)s->ops->slots + 1;
	bool plausible = done <= (uint32_t)sampler_calls(s) && (done == 0) == (n == 0) &&
			 n <= left / sizeof(float) / tensors;
	/* A step indexes its history and the schedule behind it with them. */
	for (int i = 0; i < SAMPLER_COUNTERS; i++) {
		uint32_t most = (uint32_t)s->ops->counter_most[i];
		plausible = plausible && counters[i] <= done && (!most || counters[i] <= most);
	}
	if (!plausible)
		return error_set(err, SUMI_CORRUPT,
				 "sampler state: position or sizes are out of range");
	struct sampler fresh = *s;
	fresh.denoised = fresh.noise = NULL;
	memset(fresh.slots, 0, sizeof fresh.slots);
	fresh.n = 0;
	if (n) {
		int status = make_tensors(&fresh, n, err);
		if (status)
			return status;
		bytes_get_f32s(r, fresh.denoised, n);
		for (int i = 0; i < s->ops->slots; i++)
			bytes_get_f32s(r, fresh.slots[i], n);
	}
	free_tensors(s);
	*s = fresh;
	s->done = (int)done;
	for (int i = 0; i < SAMPLER_COUNTERS; i++)
		s->counters[i] = (int)counters[i];
	return SUMI_OK;
}

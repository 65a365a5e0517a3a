/* What the families of samplers (sampler_*.c) share with sampler.c. Nobody else includes it. */
#ifndef SUMI_DIFFUSION_SAMPLER_INTERNAL_H
#define SUMI_DIFFUSION_SAMPLER_INTERNAL_H

#include "diffusion/sampler.h"

#define SAMPLER_SLOTS 6
#define SAMPLER_COUNTERS 2

struct sampler {
	const struct sampler_ops *ops;
	struct sampler_config config; /* resolved: nothing "default" is left; trained_betas NULL */
	int steps;                    /* as asked for */

	/* The schedule, made by ops->plan. */
	struct noise_model *noise_model; /* of the model that is sampled */
	int count;                       /* calls of the whole schedule */
	double *timesteps;               /* [count] */
	float *sigmas;                   /* [count + 1] or NULL for samplers that live on alphas */

	int begin; /* index of the first call in the schedule */
	int end;   /* one behind the last; 0: count */
	int done;  /* calls since begin */

	/* Made by the first step. */
	size_t n;
	float *denoised;             /* [n] */
	float *slots[SAMPLER_SLOTS]; /* [n] each, ops->slots of them: the family's history */
	float *noise;                /* [n], scratch */
	int counters[SAMPLER_COUNTERS];
};

/* One step of an algorithm; index counts in the whole schedule. The caller has checked the
 * arguments and made the slots, so a step cannot fail. */
typedef void sampler_step_fn(struct sampler *s, int index, const float *model_output, float *x,
			     struct rng *rng);

struct sampler_ops {
	const char *name;
	/* diffusers' defaults of the class, for fields that the config leaves open. */
	enum schedule_spacing spacing;
	enum schedule_betas betas;
	double beta_start, beta_end, eta;
	bool clip_sample, alpha_to_one;
	/* What it is. */
	bool takes_sigmas;         /* has sigmas that can be spread by karras and the like */
	bool ignores_file_sigmas;  /* …but diffusers' class has no such option */
	bool unscaled;             /* x is that of noise_unscaled(): the k-diffusion convention */
	bool takes_flow;           /* can sample a model of flow matching */
	bool takes_lu;             /* …and it has use_lu_lambdas */
	bool ignores_zero_snr;     /* diffusers' class has no rescale_betas_zero_snr */
	bool ignores_file_spacing; /* …and no timestep_spacing */
	bool lower_order_final;    /* its default */
	bool no_sample_prediction; /* cannot use a model that predicts the sample */
	int order;                 /* calls for one timestep */
	int slots;
	int counter_most[SAMPLER_COUNTERS]; /* never more than done; 0: no other bound */
	int (*plan)(struct sampler *s, struct error *err);
	sampler_step_fn *step;
};

extern const struct sampler_ops sampler_ddpm, sampler_ddim, sampler_pndm, sampler_euler,
    sampler_euler_a, sampler_heun, sampler_dpmpp_2m, sampler_dpmpp_2m_sde, sampler_unipc,
    sampler_dpm2, sampler_dpm2_a, sampler_lms, sampler_deis, sampler_dpmpp_2s, sampler_dpmpp_2s_sde,
    sampler_lcm, sampler_tcd;

/* Makes the arrays of the schedule for count calls. */
int sampler_alloc_schedule(struct sampler *s, int count, bool with_sigmas, struct error *err);

/* Timesteps on training steps and no sigmas: the plan of DDPM and DDIM. */
int sampler_plan_whole(struct sampler *s, struct error *err);

/* The plan of multistep solvers: how has the fields of NOISE_OPEN, all else is the config's. */
int sampler_plan_multistep(struct sampler *s, const struct noise_ask *how, struct error *err);

/* Timesteps between training steps, with sigmas: the plan of Euler and of Heun's whole steps.
 * Fills timesteps [s->steps] and sigmas [s->steps + 1]. */
int sampler_plan_between(struct sampler *s, double *timesteps, float *sigmas, struct error *err);

/* Training steps whose lambda is at least lambda_min_clipped, for cosine schedules. SUMI_INVALID when
 * there is none. */
int sampler_last_step(const struct sampler *s, int *last, struct error *err);

/* A point of the schedule of a multistep solver: x = alpha·x0 + sigma·noise. */
struct sampler_point {
	float alpha, sigma;
	float lambda; /* log(alpha / sigma); infinite at the end */
};
struct sampler_point sampler_point_at(const struct sampler *s, int index);

/* The alpha of a timestep; before the first, the config's final alpha. Not for flow matching. */
float sampler_alpha(const struct sampler *s, double timestep);

/* x0 and (where eps is not NULL) the noise that model_output means for x when
 * x = root_alpha·x0 + root_beta·eps. All [s->n]. */
void sampler_predict(const struct sampler *s, float root_alpha, float root_beta,
		     const float *model_output, const float *x, float *x0, float *eps);

/* The estimate of x0 for unscaled samplers. All [s->n]. */
void sampler_predict_at_sigma(const struct sampler *s, float sigma, const float *model_output,
			      const float *x, float *x0);

/* Clips the estimate where the config says so. */
void sampler_clip(const struct sampler *s, float *x0);

/* The oldest of count slots comes to the front, for the newest of what a multistep solver keeps; the others are one
 * older. Returns it. */
float *sampler_push(float **slots, int count);

/* Fills s->noise. */
const float *sampler_draw(struct sampler *s, struct rng *rng);

/* float32 functions of one number, by way of double: the same everywhere. */
float sampler_logf(float x);
float sampler_expf(float x);
float sampler_expm1f(float x);

/* Of the table (sampler_table.c); NULL: there is none of that name. */
const struct sampler_ops *sampler_find(const char *name);

#endif

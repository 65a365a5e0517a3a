/* The process that a model was trained to undo: how much noise stands in x at which time, which
 * times a run visits, and what the model's answer says of x. Samplers ask; none of them holds a
 * table of alphas of its own.
 *
 * A level of noise is a sigma. Of DDPM's kinds it is noise over signal, 0 … ∞; of flow matching the
 * part of x that is noise, 0 … 1, and a thousandth of its timestep.
 *
 * x stands in one of two ways: mixed, as the process does it (variance 1 for DDPM), or unscaled,
 * where a sampler in the manner of k-diffusion leaves out the factor of the signal and the model
 * gets x divided by noise_input_divisor(). For flow matching both are the same. */
#ifndef SUMI_DIFFUSION_NOISE_MODEL_H
#define SUMI_DIFFUSION_NOISE_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "diffusion/schedule.h"

enum noise_prediction {
	PREDICTION_EPSILON, /* the noise */
	PREDICTION_V,       /* arXiv:2202.00512 */
	PREDICTION_SAMPLE,  /* x without noise */
	PREDICTION_FLOW,    /* flow matching's velocity: noise less x without it */
};

/* Flow matching: how times are shifted towards noise, arXiv:2403.03206 §5.3.2. */
struct noise_flow {
	double shift;    /* sigma' = shift·sigma / (1 + (shift − 1)·sigma) */
	bool dynamic;    /* by mu instead: shift = e^mu, or mu itself where linear */
	bool linear;     /* time_shift_type */
	double mu;       /* NAN: of the number of tokens, as the line through the two ends below */
	double base_shift, max_shift;
	double base_tokens, max_tokens;
	double tokens;   /* positions of the latents that the model sees; 0: not known */
	double terminal; /* the last sigma but zero is stretched to this; 0: it is not */
};

struct noise_params {
	enum noise_prediction prediction;
	struct schedule_alphas alphas; /* train_steps counts for all; the rest not for flow */
	enum schedule_steps steps;     /* for Align Your Steps */
	bool final_alpha_one;          /* alpha before the first step: 1, or the first one's */
	bool finite_sigmas;            /* a last alpha of zero becomes a very small one */
	struct noise_flow flow;
};

struct noise_model;

/* The caller frees *out. SUMI_INVALID for numbers that are no process, with the field's name. */
int noise_model_new(const struct noise_params *params, struct noise_model **out, struct error *err);
void noise_model_free(struct noise_model *m); /* NULL is fine */

/* ---- what is known of a time ---- */

/* The share of the signal in x's variance at a timestep, before the first one the final one's.
 * DDPM only. */
float noise_alpha(const struct noise_model *m, double timestep);

/* x = keep·x0 + add·noise */
struct noise_point {
	float keep, add;
};
struct noise_point noise_mixed(const struct noise_model *m, float sigma);
struct noise_point noise_unscaled(const struct noise_model *m, float sigma);
float noise_input_divisor(const struct noise_model *m, float sigma);

/* The deviation of unscaled x where a run starts at that sigma. */
float noise_start_deviation(const struct noise_model *m, float sigma, enum schedule_spacing spacing);

/* The timestep (between training steps) that a sigma belongs to. */
int noise_timestep(const struct noise_model *m, float sigma, double *timestep, struct error *err);

/* Training steps whose log(signal/noise) is at least lambda_min. */
int noise_steps_above(const struct noise_model *m, double lambda_min);

/* Whether x0 can be told at that timestep; flow matching tells it at any. */
bool noise_can_predict(const struct noise_model *m, double timestep);

/* ---- what the model's output [n] says of x [n] ---- */

/* x mixed at p. x0 and eps [n] are filled where they are not NULL; they may be x or output. */
void noise_predict(const struct noise_model *m, struct noise_point p, size_t n, const float *output,
		   const float *x, float *x0, float *eps);

/* x unscaled at sigma. */
void noise_predict_unscaled(const struct noise_model *m, float sigma, size_t n, const float *output,
			    const float *x, float *x0);

/* The other way round: the output that says x0 of x mixed at p, where there is noise. */
float noise_answer(const struct noise_model *m, struct noise_point p, float x, float x0);

/* ---- which times a run visits ---- */

enum noise_points {
	NOISE_WHOLE,   /* training steps alone: DDPM, DDIM, PNDM. No sigmas; DDPM only */
	NOISE_BETWEEN, /* between training steps: Euler and its kin */
	NOISE_OPEN,    /* the first of steps + 1 points: multistep solvers, on whole timesteps */
};

struct noise_ask {
	enum noise_points points;
	int steps;
	enum schedule_spacing spacing; /* flow: trailing and leading end a step before zero; linspace
					  at the smallest trained time, shifted once more */
	int steps_offset;
	enum schedule_sigmas sigmas;   /* normal, karras … */
	double sigma_min, sigma_max;   /* ends of karras and the like; 0: those of the table */
	bool final_sigma_min;          /* the last sigma is not zero, but the smallest: … */
	/* NOISE_OPEN */
	bool end_of_spread; /* … of the spread, not of the table */
	int last;           /* training steps that are used, from the first */
	bool round_karras;  /* karras' timesteps are rounded, not cut */
	bool flow_from_one; /* flow: points from 1 down, as UniPC has them, not from 0 up */
};

/* Fills timesteps [steps] and, but for NOISE_WHOLE, sigmas [steps + 1]. */
int noise_plan(const struct noise_model *m, const struct noise_ask *ask, double *timesteps,
	       float *sigmas, struct error *err);

/* Tells processes apart for saved states: mixes what the model holds into hash. */
uint64_t noise_model_hash(const struct noise_model *m, uint64_t hash);

#endif

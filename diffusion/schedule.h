/* Noise schedules: the table of cumulative alphas of a checkpoint, the timesteps at which a
 * sampler calls the model, and the sigmas that belong to them.
 *
 * The arithmetic follows diffusers 0.42 (schedulers/scheduling_*.py) including where it is
 * float32 and where float64, since 1 − alphas_cumprod near 1 keeps only a few digits. */
#ifndef SUMI_DIFFUSION_SCHEDULE_H
#define SUMI_DIFFUSION_SCHEDULE_H

#include <stdbool.h>

#include "base/status.h"

#define SCHEDULE_TRAIN_STEPS_MAX 100000

enum schedule_betas { BETAS_DEFAULT, BETAS_LINEAR, BETAS_SCALED_LINEAR, BETAS_SQUAREDCOS };

/* Which of the training timesteps are visited (arXiv:2305.08891, table 2). */
enum schedule_spacing { SPACING_DEFAULT, SPACING_LEADING, SPACING_TRAILING, SPACING_LINSPACE };

/* How the sigmas between the largest and the smallest are spread. */
enum schedule_sigmas {
	SIGMAS_DEFAULT,     /* what the checkpoint's scheduler_config.json says */
	SIGMAS_NORMAL,      /* those of the timesteps */
	SIGMAS_KARRAS,      /* arXiv:2206.00364, equation 5, rho 7 */
	SIGMAS_EXPONENTIAL, /* even in log sigma */
	SIGMAS_BETA,        /* quantiles of Beta(0.6, 0.6), arXiv:2407.12173 */
	SIGMAS_LU,          /* even in lambda; exponential, with timesteps rounded to whole ones */
	SIGMAS_SGM_UNIFORM, /* normal with trailing spacing */
	SIGMAS_SIMPLE,      /* the same under its other name */
	SIGMAS_AYS,         /* Align Your Steps, arXiv:2404.14507: steps + 1 points of which the last
			       becomes zero, as its authors and ComfyUI have it */
	SIGMAS_AYS_A1111,   /* … or as many points as steps, and zero behind them */
};

/* Whose steps were aligned. */
enum schedule_steps { STEPS_STABLE_DIFFUSION, STEPS_STABLE_DIFFUSION_XL };

struct schedule_alphas {
	int train_steps;
	enum schedule_betas betas;
	double beta_start, beta_end;
	const float *trained_betas; /* [train_steps] or NULL; wins over the formula; borrowed */
	bool zero_terminal_snr;     /* arXiv:2305.08891, algorithm 1 */
};

/* Fills alphas_cumprod [train_steps]. SUMI_INVALID when a beta is not in 0…1. */
int schedule_alphas_cumprod(const struct schedule_alphas *params, float *alphas_cumprod,
			    struct error *err);

/* Timesteps of the schedulers that land on training steps (DDPM, DDIM, PNDM): fills
 * timesteps [steps], largest first. */
void schedule_timesteps_whole(enum schedule_spacing spacing, int train_steps, int steps, int offset,
			      double *timesteps);

/* The same for those that interpolate between them (Euler, Heun): float32 values. */
void schedule_timesteps_between(enum schedule_spacing spacing, int train_steps, int steps,
				int offset, double *timesteps);

/* The same for multistep solvers, which leave out the last of steps + 1 points. last is the
 * number of training steps that are used, at most train_steps. */
void schedule_timesteps_open(enum schedule_spacing spacing, int train_steps, int last, int steps,
			     int offset, double *timesteps);

/* Timesteps of consistency models (LCM, TCD): every steps-th of the `original` steps that
 * the distillation was trained on. Needs steps <= original <= train_steps. */
void schedule_timesteps_distilled(int train_steps, int original, int steps, double *timesteps);

/* sigmas [train_steps] and their logarithms [train_steps] of a table of alphas. */
void schedule_sigma_table(const float *alphas_cumprod, int train_steps, float *sigmas,
			  float *log_sigmas);

/* Linear interpolation in a table [count] at position t; clamped at both ends. */
double schedule_interpolate(const float *table, int count, double t);

/* The (fractional) timestep whose sigma is the given one. */
double schedule_sigma_to_t(const float *log_sigmas, int train_steps, double sigma);

/* Fills sigmas [steps], from max down to min. kind: karras, exponential, lu or beta. */
void schedule_spread_sigmas(enum schedule_sigmas kind, double min, double max, int steps,
			    double *sigmas);

/* Fills sigmas [steps] with those of Align Your Steps, as kind has them. */
void schedule_aligned_sigmas(enum schedule_steps whose, enum schedule_sigmas kind, int steps,
			     double *sigmas);

/* Quantile function of Beta(shape, shape). */
double schedule_beta_quantile(double p, double shape);

#endif

/* What the two kinds of process (noise_ddpm.c, noise_flow.c) share with noise_model.c. Nobody else
 * includes it. */
#ifndef SUMI_DIFFUSION_NOISE_MODEL_INTERNAL_H
#define SUMI_DIFFUSION_NOISE_MODEL_INTERNAL_H

#include "diffusion/noise_model.h"

struct noise_ops;

struct noise_model {
	const struct noise_ops *ops;
	struct noise_params params; /* alphas.trained_betas NULL: they are in the table */
	/* DDPM */
	float *alphas;              /* [train_steps] */
	float final_alpha;
};

struct noise_process {
	struct noise_point (*mixed)(float sigma);
	struct noise_point (*unscaled)(float sigma);
	float (*input_divisor)(float sigma);
	float (*start_deviation)(float sigma, enum schedule_spacing spacing);
	int (*open)(struct noise_model *m, struct error *err);
	int (*timestep)(const struct noise_model *m, float sigma, double *timestep,
			struct error *err);
	int (*plan)(const struct noise_model *m, const struct noise_ask *ask, double *timesteps,
		    float *sigmas, struct error *err);
};

extern const struct noise_process noise_ddpm, noise_flow_matching;

#endif

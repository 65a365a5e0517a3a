/* Samplers: from noise to latents, one model evaluation at a time, on the host.
 *
 *     sampler_new → [sampler_start] → for each call:
 *         sampler_scale_input, the model at sampler_timestep, sampler_step
 *
 * Every sampler is the scheduler of the same name in diffusers 0.42, in float32, with the
 * noise drawn in the same order. A sampler can be saved and restored between any two calls.
 *
 * x is float32 host memory of n elements. Samplers do not look at its shape; but noise is
 * drawn in memory order, and torch's order is [frames, channels, height, width]. */
#ifndef SUMI_DIFFUSION_SAMPLER_H
#define SUMI_DIFFUSION_SAMPLER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "diffusion/noise_model.h"
#include "diffusion/rng.h"
#include "diffusion/schedule.h"

/* A field that a config may leave to the sampler's own default. */
enum sampler_choice { CHOICE_DEFAULT, CHOICE_NO, CHOICE_YES };

enum sampler_variance {
	VARIANCE_FIXED_SMALL,
	VARIANCE_FIXED_SMALL_LOG,
	VARIANCE_FIXED_LARGE,
};

/* What scheduler_config.json says. Start with sampler_config_init(); what a file does not say
 * stays "default" there, since each sampler has a default of its own. */
struct sampler_config {
	const char *sampler; /* canonical name that fits the file's class, or NULL: none does */
	char class_name[64]; /* the file's _class_name, for messages; may be empty */
	char unknown[64];    /* the first option that is set and that nobody here knows, or empty */
	int train_steps;
	enum schedule_steps aligned; /* whose, for schedule ays; the family's */
	enum schedule_betas betas;
	double beta_start, beta_end; /* 0: the sampler's default */
	float *trained_betas;        /* [train_steps] or NULL; owned */
	bool zero_terminal_snr;
	enum noise_prediction prediction;
	struct noise_flow flow; /* of PREDICTION_FLOW; its tokens are the caller's to fill in */
	enum schedule_spacing spacing;
	int steps_offset;
	enum schedule_sigmas file_sigmas; /* of the file's use_…_sigmas */
	enum schedule_sigmas sigmas;      /* what the user asked for; wins over file_sigmas */
	double sigma_min, sigma_max;      /* ends of karras, exponential and beta; 0: the table's */
	bool final_sigma_min;             /* end at the smallest sigma instead of zero */
	enum sampler_choice clip_sample, set_alpha_to_one;
	double clip_sample_range;
	bool thresholding; /* refused: it is for models in pixels */
	double eta;        /* DDIM, TCD: the part of the noise that is new; < 0: default */
	enum sampler_variance variance; /* DDPM */
	bool skip_prk_steps;            /* PNDM */
	int solver_order;               /* DPM++, UniPC and DEIS: 1…SOLVER_ORDER_MAX */
	bool solver_heun;               /* DPM++: solver_type "heun" */
	bool solver_bh1;                /* UniPC: solver_type "bh1" */
	enum sampler_choice lower_order_final;
	bool euler_at_final;
	uint64_t no_corrector;     /* UniPC, bit i: what step i made is not corrected */
	double lambda_min_clipped; /* DPM++ */
	int original_steps;        /* LCM, TCD: steps of the distillation's teacher */
	double timestep_scaling;   /* LCM */
};

#define SOLVER_ORDER_MAX 3

void sampler_config_init(struct sampler_config *config);
void sampler_config_free(struct sampler_config *config);

/* Fills config (any state before; released by sampler_config_free()) from a parsed
 * scheduler_config.json; where names it in messages. Unknown fields are noted, not refused:
 * diffusers passes over what a class does not have, but a newer one may have it. SUMI_UNSUPPORTED
 * for fields that would change the result and are not implemented (thresholding, learned variances
 * …). */
int sampler_config_from_json(const json_t *root, const char *where, struct sampler_config *config,
			     struct error *err);

/* The same from a file. Python writes -Infinity into JSON; that is read as "not given". */
int sampler_config_read(const char *path, struct sampler_config *config, struct error *err);

/* What diffusers' Stable Diffusion pipelines do to old configs: steps_offset 1, and no
 * clipping of latents to −1…1. */
void sampler_config_for_latents(struct sampler_config *config);

/* Canonical names in the order of the table, NULL past the end. */
const char *sampler_name_at(int index);
const char *sampler_sigmas_name_at(int index);

/* Any name the field uses ("euler_a", "Euler a", "k_euler_ancestral", "DPM++ 2M Karras") →
 * canonical name, and the sigmas when the name says some (else *sigmas is left alone).
 * SUMI_INVALID with the list of names. */
int sampler_parse_name(const char *text, const char **name, enum schedule_sigmas *sigmas,
		       struct error *err);
/* The names of sampler_sigmas_name_at(), and what others call them. */
int sampler_parse_sigmas(const char *text, enum schedule_sigmas *sigmas, struct error *err);
const char *sampler_sigmas_name(enum schedule_sigmas sigmas);

struct sampler;

/* Makes a sampler for a number of steps. name: as for sampler_parse_name() (its sigmas win
 * over config's), or NULL or "" for the one of the config. config is only read. The caller
 * frees *out. */
int sampler_new(const char *name, const struct sampler_config *config, int steps,
		struct sampler **out, struct error *err);
void sampler_free(struct sampler *sampler); /* NULL is fine */

/* Leaves out the beginning of the schedule, to start from a picture: strength 1 runs all of
 * it, 0.5 the latter half. Before the first step only. SUMI_INVALID when nothing is left. */
int sampler_start(struct sampler *sampler, double strength, struct error *err);

/* Leaves out all but the last `steps` steps. Otherwise as sampler_start(). */
int sampler_start_last(struct sampler *sampler, int steps, struct error *err);

/* Runs a part of the schedule alone, 0 <= from < until <= 1 of the training steps, as diffusers does it
 * with denoising_start and denoising_end: what another model begins or goes on with. SUMI_INVALID when
 * nothing is left. */
int sampler_cut(struct sampler *sampler, double from, double until, struct error *err);

const char *sampler_name(const struct sampler *sampler);
int sampler_calls(const struct sampler *sampler); /* model evaluations in all */
int sampler_calls_from_noise(const struct sampler *sampler); /* the same without sampler_start() */
int sampler_done(const struct sampler *sampler);  /* of them behind us: the next call */

/* The timestep the model is called with; whole for most samplers. */
double sampler_timestep(const struct sampler *sampler, int call);

/* The standard deviation of the noise that the first call starts from. */
float sampler_init_noise_sigma(const struct sampler *sampler);

/* out [n] = what the model gets for x [n] at that call; out may be x. */
void sampler_scale_input(const struct sampler *sampler, int call, const float *x, float *out,
			 size_t n);

/* out [n] = original [n] with noise [n] as the first call expects it; out may be either. */
void sampler_add_noise(const struct sampler *sampler, const float *original, const float *noise,
		       float *out, size_t n);

/* ---- sampler_estimate.c: for those who come between model and sampler ---- */

/* How much of signal and noise that call expects in x; behind the last: the signal alone. */
struct noise_point sampler_noise_at(const struct sampler *sampler, int call);

/* What one value of the model's output says of the final latents, where x stands at that call; and the
 * output that says x0 of it. */
float sampler_estimate(const struct sampler *sampler, int call, float x, float model_output);
float sampler_answer(const struct sampler *sampler, int call, float x, float x0);

/* All that sampler_step() may fail with: after SUMI_OK the same call cannot. Changes no state. */
int sampler_check(struct sampler *sampler, int call, const float *model_output, size_t n,
		  struct error *err);

/* Advances x [n] by one call with the model's output [n] (guidance already applied). call
 * must be sampler_done(). Draws from rng where the sampler needs noise. SUMI_DEVICE when the
 * output is not finite; on failure sampler, x and rng are as they were. */
int sampler_step(struct sampler *sampler, int call, const float *model_output, float *x, size_t n,
		 struct rng *rng, struct error *err);

/* The estimate of the final latents [n] at the last step, owned by the sampler; NULL before. */
const float *sampler_denoised(const struct sampler *sampler, size_t *n);

/* Appends the state to w: position, history, last estimate; not the schedule, which the same
 * sampler_new() (and sampler_start()) makes again. */
void sampler_save(const struct sampler *sampler, struct bytes_writer *w);

/* Reads it into a sampler made with the same arguments. SUMI_INVALID when it was saved by
 * another one, SUMI_CORRUPT when it is damaged; the sampler is then as it was. */
int sampler_restore(struct sampler *sampler, struct bytes_reader *r, struct error *err);

#endif

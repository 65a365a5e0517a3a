/* One generation as a state that advances step by step:
 *
 *     run_begin → run_step … run_step → run_decode → run_free
 *                    ↕ run_save / run_restore, in any process
 *
 * The caller owns the loop: progress, previews, cancelling, preemption and resuming
 * after a crash all follow from that. A run that was saved after step k, freed, restored
 * in another process and finished gives the same bytes as one that was never interrupted.
 *
 * A step is one model evaluation (Heun takes two a timestep). */
#ifndef SUMI_DIFFUSION_RUN_H
#define SUMI_DIFFUSION_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "diffusion/conditioner.h"
#include "diffusion/pack.h"

/* A network that steers the run by a picture (diffusion/control.h). */
struct run_control {
	const char *path;     /* of the network */
	const char *encoder;  /* of an IP-Adapter its image encoder; NULL: what lies beside it */
	const float *picture; /* in 0…1, read in run_begin; NULL where a run is only looked at: [height, width, 3];
				 of an IP-Adapter [side, side, 3] of its encoder */
	const float *mask;    /* of an IP-Adapter where it counts, [height, width] in 0…1, read in run_begin;
				 NULL: everywhere */
	int height, width;    /* of the result */
	bool joined;          /* of an IP-Adapter: seen in one attention with the one before it, by the same network,
				 whose strength, mask and part of the run count */
	int kind;             /* of the map: -1, or as ControlNets for several kinds count them */
	double strength;
	double start, end; /* part of the run; end 0: 1 */
	bool guess;
};

#define RUN_CONTROLS_MAX 8

/* From this frame on a video is about another text; the frames before it go over. */
struct run_travel {
	int frame;
	const char *prompt;
	uint64_t seed; /* where the noise goes */
	bool seeded;   /* else it stays the run's */
};

#define RUN_TRAVEL_MAX 32

struct run_params {
	const char *prompt;          /* UTF-8 */
	const char *negative_prompt; /* UTF-8 or NULL: not given, which some models tell from "" */
	const struct embeddings *embeddings; /* words that stand for vectors; read in run_begin, NULL: none */
	const char *prompt_syntax;   /* of both, prompt_syntax_names[]; NULL: "diffusers", none */
	uint64_t seed;
	int steps;
	double cfg_scale;        /* 1: no guidance, and no second evaluation */
	double guidance_rescale; /* 0…1, arXiv:2305.08891 §3.4; 0: off */
	/* The part of the run that is guided (arXiv:2404.07724): evaluation i of n is when
	 * ⌊start·n⌋ <= i < ⌊end·n⌋, as diffusers' guiders count it; the others see the prompt only.
	 * 0 <= start < end <= 1; end 0: 1. */
	double guidance_start, guidance_end;
	/* Deep-feature reuse (deep_cache.h): every so many evaluations the whole denoiser runs, between
	 * them its uppermost deep_cache_level levels (0: 1) with what lies below as it was. 0, 1:
	 * always all. Not with windows. */
	int deep_cache, deep_cache_level;
	const char *sampler;  /* canonical name; NULL: the pack's */
	const char *schedule; /* canonical name; NULL: the pack's */
	const char *rng;      /* "torch" (NULL) or "philox" */
	int width, height;    /* pixels */
	int frames;           /* pictures that are denoised together; 1 for a still */
	bool circular;        /* the last frame, or in windows the last column, is followed by
				 the first */
	const char *tile;     /* edges that are one, for pictures that go on beside themselves: "x" (left and
				 right), "y" (top and bottom), "both"; NULL: none */
	int window, overlap;  /* pixels of the width that the model sees at once, and that two
				 such windows share; 0: all of it. For one frame only */
	/* Pixels a side that the model sees at once of a larger picture, and that two such patches share or more;
	 * 0: all of that side. Edges that are one are then those of a circle of patches. For one frame only, and
	 * not with window, deep_cache or controls. */
	int patch_width, patch_height, patch_overlap;
	struct conditioner_sizes sizes; /* what models are told of width and height */
	int clip_skip;        /* layers of the text encoder left out at its end */
	double eta;           /* DDIM and TCD */
	bool fast;            /* use the pack's distilled denoiser */
	const float *init; /* [init_frames, height, width, colours] in −1…1, or NULL; read in run_begin */
	int init_frames;   /* 0: as many as frames; 1: this one stands for all of them */
	double strength;   /* with init: the part of the schedule that is run, 0…1 */
	/* With init: [height, width], 1 what is made anew, 0 what stays; of all frames. NULL: all of it is
	 * made anew. Read in run_begin. */
	const float *mask;
	const char *mask_blend; /* how what stays comes into the latents; canonical, NULL: "a1111" */
	int unknown;       /* with init: so many of the last channels of its pixels are not known but painted, as they
			      fit the others. For one frame, without a mask */
	const char *mask_fill;  /* what stands in them where the mask is: "noise", "nothing"; else init's */
	double image_cfg_scale; /* of models that change a picture: its weight, as cfg_scale is the
				   prompt's; 0: 1.5 */
	struct run_travel travel[RUN_TRAVEL_MAX]; /* by rising frames, behind the prompt */
	int travel_count;
	const struct run_control *controls; /* up to RUN_CONTROLS_MAX */
	int control_count;
	/* Goes on from another run's latents [frames, height / scale, width / scale, channels], which
	 * run_restore() does not look at; not with init. */
	bool from_latents;
	const float *latents;
	int last_steps; /* noise is added to latents or init, and the last so many of steps are run; 0:
			   latents are taken as they are */
	double from, until; /* the part of the schedule that is run, where it is not all; until 0: 1 */
	const char *precision; /* "exact" (NULL), "half" or "int8": of the denoiser and the autoencoder;
				  texts are always encoded exactly */
};

/* Words of a mask's blend:
 *   a1111      in the model's estimate of the final latents, at each step and once at the end
 *   comfy      in what the model sees (with noise) and in its estimate
 *   diffusers  in the latents after each step, with as much noise as the next one expects
 *   soft       differential diffusion: as comfy, where the mask is at least as large as the part of the
 *              run that is ahead; greys are the part of the run in which they are made */

/* What of resolved parameters the pack cannot do, by its configs alone: samplers, schedules and steps
 * that do not go together, layers that it has not. from_picture: there will be an init. What depends
 * on a device is not looked at. SUMI_INVALID as run_begin() would say it. */
int run_possible(const struct pack_info *info, const struct run_params *params, bool from_picture,
		 struct error *err);

/* SUMI_TOOBIG, as run_begin() would say it, where a step alone takes more than a device of so many bytes has, in
 * whatever way it computes; by the pack's configs alone. What is not refused may still be by run_begin(). */
int run_fits_step(const struct pack_info *info, const struct run_params *params, uint64_t memory,
		  const char *device, struct error *err);

/* Evaluations of the model that a whole run would make. Errors as above. */
int run_evaluations(const struct pack_info *info, const struct run_params *params, int *out,
		    struct error *err);

/* The same of its texts alone: whether they can be read by their syntax, and the model takes what they are. */
int run_text_check(const struct pack_info *info, const struct run_params *params, struct error *err);

struct run;

/* The evaluations that such a run has with a pack. */
int run_calls(const struct pack_info *info, const struct run_params *params, int *calls,
	      struct error *err);

/* Whether a run of these parameters can begin on the pack's device, as run_begin() finds out first:
 * for callers that would spend time or memory on init. */
int run_check(struct pack *pack, const struct run_params *params, struct error *err);

/* Checks the parameters, encodes the text, draws the noise. pack must outlive the run;
 * the strings and init may go away after the call. */
int run_begin(struct pack *pack, const struct run_params *params, struct run **out,
	      struct error *err);
void run_free(struct run *run); /* NULL is fine */

/* After the last step: gives its denoiser back. Latents, saving and decoding remain. */
void run_retire(struct run *run);

/* Whether its texts say more than they would without a syntax. */
bool run_has_syntax(const struct run *run);

/* What it was begun with. */
const struct pack *run_pack(const struct run *run);

/* [{"kind", "sha256"}] of the networks of its controls, a new reference; NULL for none. */
json_t *run_controls_json(const struct run *run);

int run_steps(const struct run *run);      /* model evaluations in all */
int run_steps_done(const struct run *run); /* 0 … run_steps() */

/* One model evaluation and sampler step. On failure the run stands where it stood. */
int run_step(struct run *run, struct error *err);

/* Whether the two may make their next steps together: stills of one size, made by one denoiser of one
 * pack, neither in windows nor with features that are kept from step to step. Seeds, texts,
 * samplers, timesteps and guidance may differ. */
bool run_joins(const struct run *a, const struct run *b);

/* The next step of each of several runs that all join the first, with one evaluation of the
 * model: the same bytes as run_step() of each. On failure every run stands where it stood. */
int run_step_together(struct run *const *runs, int count, struct error *err);

#define RUN_TOGETHER_MAX 16

/* How many runs like this one the device had better make together, at most RUN_TOGETHER_MAX: 1
 * where it gains nothing by more, or has no memory for their steps. */
int run_most_together(const struct run *run);

/* The latents so far, [frames, height, width, channels] of the pack's latent_spec, owned by the run.
 * With denoised set: the sampler's present estimate of the final latents. */
const float *run_latents(const struct run *run, bool denoised, size_t *count);

/* Their sizes. */
struct latent_spec run_latent_spec(const struct run *run);

/* Decodes one frame of the latents as they stand into out, [height, width, colours] in 0…1.
 * SUMI_DEVICE when the result is not finite. */
int run_decode(struct run *run, int frame, float *out, struct error *err);

/* Decodes a small, rough picture of frame 0 as it forms, a pixel for a latent one, RGB u8: a linear
 * map of the latents, no model. */
void run_preview(const struct run *run, uint8_t *out);

/* The state as bytes: a header with a digest of pack and parameters, then latents, sampler
 * history and generator. The caller frees *data. */
int run_save(const struct run *run, void **data, size_t *size, struct error *err);

/* Makes the run that params and data describe. SUMI_INVALID when data was saved with other
 * parameters or another pack, SUMI_CORRUPT when it is damaged. */
int run_restore(struct pack *pack, const struct run_params *params, const void *data, size_t size,
		struct run **out, struct error *err);

/* Bytes of device memory that the run's steps and the decoding of a frame will need at their
 * peak, beside the pack's weights and where activations are float32. */
uint64_t run_memory(const struct pack_info *info, const struct run_params *params);

/* Multiplications of matrices that one evaluation of the denoiser takes, with all its texts; 0: nobody
 * counts them, or the pack's configs cannot be read. */
uint64_t run_products(const struct pack_info *info, const struct run_params *params);

#endif

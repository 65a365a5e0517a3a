/* The state of a run, shared by run.c and run_state.c. */
#ifndef SUMI_DIFFUSION_RUN_INTERNAL_H
#define SUMI_DIFFUSION_RUN_INTERNAL_H

#include "diffusion/pack_internal.h"
#include "diffusion/run.h"

#define RUN_SIDE_MAX 8192
#define RUN_WINDOWED_MAX 65536 /* columns, where the model sees a window of them */
#define RUN_CACHE_MAX 10       /* evaluations for which features may be reused */
#define PROMPT_TEXT 2          /* of a guided run's texts: the other is the negative prompt */

/* The part of the width that the model sees at once; w is 0 where it sees all. */
struct window {
	int w;     /* latent pixels */
	int count; /* of windows */
	bool circular;
	float *in, *out; /* [2, h, window.w, c] */
	float *weights;  /* [w of the run] */
};

struct run {
	struct pack *pack; /* borrowed */
	struct unet *unet; /* of the pack */
	struct unet_text *text;
	struct sampler *sampler;
	struct rng rng;
	char digest[SHA256_HEX_SIZE]; /* of pack and parameters: what a saved state must fit */
	int frames, h, w, c;          /* of the latents */
	enum precision precision;
	bool guided;                  /* two texts: two evaluations a step, … */
	int guided_from, guided_to;   /* … in calls from … to less one */
	float cfg_scale, guidance_rescale;
	int cache_every;                /* < 2: no features are reused */
	struct unet_features *features; /* NULL: none are */
	int features_call;              /* that made them; -1: they must be made again */
	float *anchor;                  /* [frames, h, w, c], its input */
	float *x;                       /* [c, frames, h, w] */
	float *prediction;              /* [c, frames, h, w] */
	float *denoised;                /* [frames, h, w, c], what run_latents() gives out */
	float *model_in;                /* [2·frames, h, w, c] */
	float *model_out;               /* [2·frames, h, w, c] */
	float *timesteps;               /* [2·frames] */
	float *time_cond;               /* [frames, time_cond] or NULL */
	struct window window;
	struct motion_context motion; /* frames 0: no motion modules */
};

/* FreeNoise (arXiv:2310.15169) as diffusers' "shuffle_context": frames of x [c, frames, pixels]
 * behind the first window are replaced by shuffled earlier ones, the order drawn from rng. */
void run_shuffle_noise(struct rng *rng, float *x, int c, int frames, size_t pixels,
		       const struct motion_context *motion);

/* Mixed noise (arXiv:2305.10474, eq. 3): share, 0…1, of the variance of x [c, frames, pixels]
 * becomes the same for all frames, drawn from rng after x was. common [c, pixels] is scratch. */
void run_share_noise(struct rng *rng, float *x, float *common, int c, int frames, size_t pixels,
		     float share);

/* run->motion: which frames see each other. */
int run_plan_motion(struct run *run, const struct run_params *p, struct error *err);

/* The side of the tiles in which a frame is decoded; 0: as a whole. SUMI_TOOBIG. */
int run_plan_tile(const struct run *run, int *tile, struct error *err);

/* SUMI_TOOBIG, with the figures, when a step or the decoding would need more than the device has, or
 * more in one piece than it gives. */
int run_plan_fits(struct pack *pack, const struct run_params *p, struct error *err);

/* Whether the model sees both texts in that call. */
bool run_is_guided(const struct run *run, int call);

/* Whether that call runs the whole UNet. */
bool run_is_whole(const struct run *run, int call);

/* Whether the next call needs features, and a saved state therefore the anchor. */
bool run_needs_anchor(const struct run *run);

/* Sets run->features and what belongs to them; n: values of the latents. */
int run_plan_features(struct run *run, const struct run_params *p, size_t n, struct error *err);

/* Makes the features that call needs once more after a restore; changes model_in, model_out. */
int run_recall_features(struct run *run, int call, size_t n, struct error *err);

/* model_in [n], one set of latents, → model_out [n], guidance applied. */
int run_predict(struct run *run, int call, size_t n, struct error *err);

/* The same for several runs, each with its own model_in, in one evaluation of the model; calls:
 * the number of each. */
int run_predict_together(struct run *const *runs, const int *calls, int count, size_t n,
			 struct error *err);

/* Of everything that decides the result. */
int run_digest(const struct pack *pack, const struct run_params *p, char out[SHA256_HEX_SIZE],
	       struct error *err);

/* run_save() and the second half of run_restore(); n: values of the latents. */
int run_store(const struct run *run, size_t n, void **data, size_t *size, struct error *err);
int run_load(struct run *run, size_t n, const void *data, size_t size, struct error *err);

/* ---- run_window.c: latents that are wider than the model's window ---- */

/* SUMI_INVALID where window and overlap do not fit the run. */
int window_check(const struct pack_info *info, const struct run_params *p, struct error *err);

/* Sets run->window from the parameters; the run's own sizes must stand. */
int window_new(struct run *run, const struct run_params *p, struct error *err);
void window_free(struct window *win); /* what it points to, not win */

/* run->model_in [h, w, c] → run->model_out [h, w, c], guidance applied. */
int window_predict(struct run *run, int call, struct error *err);

/* latents [h, w, c] → out [h·scale, w·scale, 3], about −1 … 1. */
int window_decode(struct run *run, const float *latents, float *out, struct error *err);

/* picture [h·scale, w·scale, 3] → mean and deviation [h, w, c]. */
int window_encode(struct run *run, const float *picture, float *mean, float *deviation,
		  struct error *err);

#endif

/* The state of a run, shared by run.c and run_state.c. */
#ifndef SUMI_DIFFUSION_RUN_INTERNAL_H
#define SUMI_DIFFUSION_RUN_INTERNAL_H

#include "diffusion/pack_internal.h"
#include "diffusion/run.h"

#define RUN_SIDE_MAX 8192
#define TOKENS_USUAL 77 /* of a prompt, when memory is planned */

struct run {
	struct pack *pack; /* borrowed */
	struct unet *unet; /* of the pack */
	struct unet_text *text;
	struct sampler *sampler;
	struct rng rng;
	char digest[SHA256_HEX_SIZE]; /* of pack and parameters: what a saved state must fit */
	int frames, h, w, c;          /* of the latents */
	bool guided;                  /* two evaluations a step */
	float cfg_scale, guidance_rescale;
	float *x;          /* [c, frames, h, w] */
	float *prediction; /* [c, frames, h, w] */
	float *denoised;   /* [frames, h, w, c], what run_latents() gives out */
	float *model_in;   /* [2·frames, h, w, c] */
	float *model_out;  /* [2·frames, h, w, c] */
	float *timesteps;  /* [2·frames] */
	float *time_cond;  /* [frames, time_cond] or NULL */
};

/* Of everything that decides the result. */
void run_digest(const struct pack *pack, const struct run_params *p, char out[SHA256_HEX_SIZE]);

int run_store(const struct run *run, size_t n, void **data, size_t *size, struct error *err);
int run_load(struct run *run, size_t n, const void *data, size_t size, struct error *err);

#endif

/* The opened models of a pack, for run.c; and its parts, for those that read or open packs. */
#ifndef SUMI_DIFFUSION_PACK_INTERNAL_H
#define SUMI_DIFFUSION_PACK_INTERNAL_H

#include "diffusion/family.h"
#include "diffusion/pack.h"
#include "diffusion/sampler.h"

struct pack {
	struct pack_info info;
	struct device *device; /* borrowed */
	struct sampler_config scheduler;
	struct conditioner *conditioner;
	struct conditioner_shape texts; /* that it makes */
	struct denoiser *denoiser;
	struct denoiser *fast; /* loaded when it is first asked for */
	struct codec *codec;
	uint64_t denoiser_bytes[2]; /* of weights of both, for run_plan_fits(); 0: not known yet */
};

/* File names of the diffusers layout. */
#define UNET_FILE "diffusion_pytorch_model.safetensors" /* the VAE's and the adapter's too */
#define SCHEDULER_FILE "scheduler_config.json"

/* What its samplers are told, by the file alone; config as for sampler_config_read(). */
int pack_scheduler_read(const struct pack_info *info, struct sampler_config *config,
			struct error *err);

/* Opens every part that comes with the pack, into pack. */
int pack_parts_open(struct pack *pack, struct error *err);

/* Bytes of weights that this loads. */
uint64_t pack_parts_bytes(const struct pack_info *info);

/* SUMI_NOTFOUND with all that is missing, for half a pack; files are looked for, not read. The
 * fast UNet's folder is only known when all of the info was read. */
int pack_parts_check(const struct pack_info *info, struct error *err);
int pack_parts_check_fast(const struct pack_info *info, struct error *err);
int pack_check_whole(const char *folder, struct error *err);

/* Whether a folder holds anything that packs are made of. */
bool pack_parts_any(const char *folder);

/* The denoiser of a run: the base one or the distilled one, which is loaded now if need be. */
int pack_denoiser(struct pack *pack, bool fast, struct denoiser **out, struct error *err);

/* The folder that it is in. */
const char *pack_denoiser_part(const struct pack_info *info, bool fast);

#endif

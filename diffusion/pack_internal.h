/* The opened models of a pack, for run.c. */
#ifndef SUMI_DIFFUSION_PACK_INTERNAL_H
#define SUMI_DIFFUSION_PACK_INTERNAL_H

#include "diffusion/pack.h"
#include "diffusion/sampler.h"
#include "diffusion/text_memory.h"
#include "networks/text_encoder.h"
#include "networks/tokenizer.h"
#include "networks/unet.h"
#include "networks/vae.h"

struct pack {
	struct pack_info info;
	struct device *device; /* borrowed */
	struct sampler_config scheduler;
	struct tokenizer *tokenizer;
	struct text_encoder *text_encoder;
	struct text_memory *texts; /* what it gave last */
	struct unet *unet;
	struct unet *fast; /* loaded when it is first asked for */
	struct vae *vae;
};

/* The UNet of a run: the base one or the distilled one, which is loaded now if need be. */
int pack_unet(struct pack *pack, bool fast, struct unet **out, struct error *err);

#endif

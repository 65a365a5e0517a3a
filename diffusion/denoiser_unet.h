/* What a UNet's sessions and the networks that steer them share. */
#ifndef SUMI_DIFFUSION_DENOISER_UNET_H
#define SUMI_DIFFUSION_DENOISER_UNET_H

#include "diffusion/control.h"
#include "diffusion/denoiser.h"
#include "networks/unet.h"

/* What stands beside the time, for each of so many frames of each text: *out [said->n · frames,
 * config.time_width], the caller's; NULL for a UNet that is told nothing there. */
int unet_embed_conditions(struct unet *unet, const struct conditions *said, int frames, float **out,
			  struct error *err);

struct unet_controls;

/* What they keep for a session of a UNet; *out NULL for none. */
int unet_controls_new(struct device *device, const struct unet_config *config,
		      const struct denoiser_plan *plan, const struct conditions *said,
		      struct unet_controls **out, struct error *err);
void unet_controls_free(struct unet_controls *controls); /* NULL is fine */

/* Asks those whose strength is not 0 what is to be added to this evaluation of the UNet, for in->residuals.
 * texts: how many are seen; channels: of in's latents. */
int unet_controls_ask(struct unet_controls *controls, const float *strengths, int texts, int channels,
		      struct unet_input *in, struct error *err);

/* What all of them need, a step of the largest alone; false where it cannot be said. */
bool unet_controls_memory(const struct denoiser_plan *plan, const struct unet_plan *unet,
			  struct controlnet_needs *all);

struct unet_looks;

/* Pictures that are attended to beside a session's texts, so many; *out NULL for none. */
int unet_looks_new(struct device *device, struct unet *unet, const struct denoiser_plan *plan, int texts,
		   struct unet_looks **out, struct error *err);
void unet_looks_free(struct unet_looks *looks); /* NULL is fine */

/* Puts those whose strength is not 0 into an input; they are the session's until it is asked again. */
void unet_looks_ask(const struct unet_looks *looks, const float *strengths, struct unet_input *in);

/* Bytes that they keep, and that a step takes more. */
uint64_t unet_looks_memory(const struct denoiser_plan *plan, const struct unet_plan *unet, uint64_t *step);

/* SUMI_INVALID where a network is for another UNet. */
int unet_takes_control(const struct unet_config *config, const struct control *control,
		       struct error *err);

#endif

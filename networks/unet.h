/* UNet2DConditionModel of Stable Diffusion 1.x, 2.x and XL: noisy latents, timestep and text to
 * a prediction of the latents' size. */
#ifndef SUMI_NETWORKS_UNET_H
#define SUMI_NETWORKS_UNET_H

#include <stdint.h>

#include "backends/backend.h"
#include "networks/config.h"
#include "networks/motion.h"
#include "networks/pass.h"
#include "networks/residuals.h"

struct unet;

/* Loads FOLDER/config.json and the weights beside it onto the device, which must outlive
 * the UNet. Weights that contradict the config are SUMI_INVALID with file and tensor. */
int unet_open(struct device *device, const char *folder, struct unet **out, struct error *err);

struct overlays;
/* The same with adapters on its weights; on: borrowed, NULL for none. */
int unet_open_with(struct device *device, const char *folder, const struct overlays *on,
		   struct unet **out, struct error *err);
void unet_close(struct unet *unet); /* NULL is fine */

/* Lets lie beside the weights, which are FOLDER's, what on says, instead of what lay there before.
 * After a failure nothing does. */
int unet_adapt(struct unet *unet, const char *folder, const struct overlays *on, struct error *err);

/* Adds the motion modules of FOLDER (motion_adapter/) to the UNet. After a failure the UNet
 * may only be closed. */
int unet_motion_open(struct unet *unet, const char *folder, const struct overlays *on,
		     struct error *err);

const struct unet_config *unet_config(const struct unet *unet);

/* To be called when others will need memory before the UNet is called again: weights that are
 * mapped from a file leave the process until then. */
void unet_rest(const struct unet *unet);

/* What the UNet keeps of a text for a whole run: keys and values of every cross-attention.
 * Made once, used in every step, freed before the UNet. */
struct unet_text;

/* context: host, [n, tokens, config.context]; n texts, the unconditional one among them. */
int unet_text_new(struct unet *unet, const float *context, int n, int tokens,
		  struct unet_text **out, struct error *err);
void unet_text_free(struct unet_text *text); /* NULL is fine */

/* What a UNet with config.added is told of a text beside the time: pooled [n, pooled_width] and ids
 * [n, id_count], host, into out [n, config.time_width], host, for struct unet_input. Does not change
 * from step to step. SUMI_INVALID where pooled and ids are not of the size that it wants. */
int unet_embed_added(struct unet *unet, const float *pooled, int pooled_width, const float *ids,
		     int id_count, int n, float *out, struct error *err);

/* What a whole pass leaves for shallow ones: the input of the way up at one skip connection. */
struct unet_features;

/* level: skip connections, counted from the top, that a shallow pass still runs; SUMI_INVALID
 * when the UNet has not more. Freed before the UNet. */
int unet_features_new(struct unet *unet, int level, struct unet_features **out, struct error *err);
void unet_features_free(struct unet_features *features); /* NULL is fine */

/* A picture that is attended to beside the text (networks/ip_adapter.h). */
struct unet_look {
	const struct unet_text *text; /* its keys and values, of as many texts */
	float strength;
	const struct look_mask *masks; /* of each size that attends (networks/blocks.h), or NULL */
	int mask_count;
};

struct unet_input {
	const float *latents;   /* host, [n, h, w, in_channels] */
	int n, h, w;            /* n: a multiple of the text's; neighbours share a text */
	const float *timesteps; /* host, [n] */
	const float *time_cond; /* host, [n, config.time_cond], or NULL */
	const float *added;     /* host, [n, config.time_width]; NULL where config.added is 0 */
	const struct unet_text *text;
	int only_text;                  /* 1 … the text's n: this one alone is used; 0: all */
	struct unet_features *features; /* written by a whole pass, read by a shallow one; NULL */
	bool shallow; /* only the layers above features, which are of the same n, h and w */
	unsigned wrap; /* edges that are one (networks/pass.h) */
	const struct unet_look *looks; /* borrowed, of look_count */
	int look_count;
	const struct residuals *residuals; /* of n pictures, added by others; NULL: nothing is */
	struct motion_context motion; /* frames: a divisor of n; ignored without modules */
	struct tap tap;               /* conv_in, down.I, mid, up.I, and module names */
};

/* prediction: host, [n, h, w, out_channels]. */
int unet_forward(struct unet *unet, const struct unet_input *in, float *prediction,
		 struct error *err);

/* The same for the pictures of several inputs at once: what each gets is what unet_forward() would
 * give it alone, bit for bit. Of one h and w; none with features, a tap, motion or residuals. */
int unet_forward_many(struct unet *unet, const struct unet_input *in, int count,
		      float *const *predictions, struct error *err);

struct unet_plan {
	const struct unet_config *config;
	const struct motion_config *adapter; /* NULL: no motion modules */
	struct motion_context motion;
	int texts, tokens; /* rows of text, and tokens of each; texts divide n */
	int n, h, w;       /* as in struct unet_input */
	unsigned wrap;
	int level;         /* of features, 0: none */
	enum dtype dtype;  /* of activations */
	int thin;          /* ranks of what lies beside its layers */
};

struct unet_needs {
	uint64_t text;    /* what keys and values take from the first step to the run's end */
	uint64_t largest; /* of one piece */
	uint64_t products; /* multiplications of a pass, and of one from its features on */
};

/* Bytes of temporaries that a forward pass takes at its peak, the text's keys and values
 * included, without what the device's operations may need for themselves; 0 when there is
 * no memory to find out. needs may be NULL. */
uint64_t unet_memory(const struct unet_plan *plan, struct unet_needs *needs);

/* Whether the device supports every operation of such a pass: else what device_supports() says of the
 * first that it does not. */
int unet_supported(const struct unet_plan *plan, const struct device *device, struct error *err);

#endif

/* ControlNetModel (arXiv:2302.05543): a copy of a UNet's way down and middle that also sees a picture, and
 * says what is to be added to the UNet's skip connections and middle. */
#ifndef SUMI_NETWORKS_CONTROLNET_H
#define SUMI_NETWORKS_CONTROLNET_H

#include "networks/residuals.h"
#include "networks/unet.h"

struct controlnet;

struct controlnet_config {
	struct unet_config trunk; /* of which the way up counts for nothing */
	int hint_levels;          /* each but the first halves the picture */
	int hint[CONFIG_LEVELS_MAX];
	int colours; /* of the picture */
	bool bgr;    /* in this order */
	int kinds;   /* of maps that it is told apart ("union"); 0: it is made for one */
	int union_layers, union_heads; /* that weigh the picture, of those */
};

/* Reads PATH/config.json; errors as those of unet_config_read(). */
int controlnet_config_read(const char *path, struct controlnet_config *out, struct error *err);

/* path: a folder as diffusers writes it, or FILE/controlnet of one in any names. Errors as those of
 * unet_open(). */
int controlnet_open(struct device *device, const char *path, struct controlnet **out,
		    struct error *err);
void controlnet_close(struct controlnet *net); /* NULL is fine */
const struct controlnet_config *controlnet_config(const struct controlnet *net);
void controlnet_rest(const struct controlnet *net); /* as unet_rest() */

/* The UNet of which it is a copy: unet_text_new() and unet_embed_added() of it make what it keeps of a
 * text. */
struct unet *controlnet_trunk(struct controlnet *net);

/* What it keeps of a picture for a whole run. */
struct control_hint;

struct control_picture {
	const float *values; /* host, [height, width, colours] in 0…1 */
	int height, width;
	int h, w;      /* of the latents */
	unsigned wrap; /* edges that are one (networks/pass.h) */
	int kind;      /* of a net with kinds: which of them */
};

/* SUMI_INVALID where its levels do not make [h, w] of the picture. */
int control_hint_new(struct controlnet *net, const struct control_picture *picture,
		     struct control_hint **out, struct error *err);
void control_hint_free(struct control_hint *hint); /* NULL is fine; before the net is closed */

/* [trunk.time_width], to be added to what the net is told beside the time; NULL: nothing. */
const float *control_hint_added(const struct control_hint *hint);

struct controlnet_call {
	struct unet_input in; /* the net's own text and added; no tap, no residuals */
	const struct control_hint *hint;
	float strength;
	bool guess;   /* a tenth of it at the top, growing to all of it in the middle */
	int first, n; /* which of the UNet's n pictures is in's first */
};

/* Adds what the net says to r. */
int controlnet_forward(struct controlnet *net, const struct controlnet_call *call,
		       struct residuals *r, struct error *err);

struct controlnet_needs {
	uint64_t step;      /* bytes that a call takes at its peak, beside … */
	uint64_t kept;      /* … what it keeps of text and picture for the whole run … */
	uint64_t residuals; /* … and what it says */
	uint64_t largest;   /* of one piece */
};

/* plan: of the UNet, but for its config; false without memory to find out. */
bool controlnet_memory(const struct controlnet_config *config, const struct unet_plan *plan,
		       struct controlnet_needs *needs);

#endif

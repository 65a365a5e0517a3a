/* AnimateDiff's motion modules (arXiv:2307.04725): transformers over the frames of a video,
 * one at each pixel, between the blocks of a UNet. diffusers' AnimateDiffTransformer3D. */
#ifndef SUMI_NETWORKS_MOTION_H
#define SUMI_NETWORKS_MOTION_H

#include "networks/config.h"
#include "networks/pass.h"
#include "weights/loader.h"

#define MOTION_FRAMES_MAX 1024

/* norm, self-attention over frames, out; the positions are added after the norm. */
struct motion_attention {
	struct norm_layer norm;
	struct linear_layer qkv, out;
	float *table; /* owned, [positions, channels] */
};

struct motion_layer {
	struct motion_attention attention[2];
	struct norm_layer norm;
	struct linear_layer ff_in, ff_out; /* GEGLU, four times as wide */
};

struct motion_block {
	struct norm_layer norm;
	struct linear_layer proj_in, proj_out;
	struct motion_layer *layers; /* owned */
	int count;                   /* 0: there is no module here */
	int channels, heads, positions;
};

/* Loads the module named prefix, under diffusers' names or under those of AnimateDiff's own
 * files. The caller clears it, also after a failure. */
void motion_load(struct loader *l, struct motion_block *m, const struct motion_config *config,
		 int channels, int layers, const char *prefix);
void motion_clear(struct motion_block *m);

/* Which frames attend to each other: FreeNoise's windows (arXiv:2310.15169), as diffusers'
 * FreeNoiseTransformerBlock weighs them. */
struct motion_context {
	int frames;         /* that belong together; 0 or 1: motion modules are left out */
	int length, stride; /* of the windows; all frames at once where length is 0 or >= frames */
	bool circular;      /* windows go on from the last frame to the first */
};

/* SUMI_INVALID when so many frames do not go through the position table at once. */
int motion_context_check(const struct motion_context *context, int positions, struct error *err);

/* Adds the module to x [sets · frames, h, w, c], a dense tensor or a slice, into y of the same
 * shape, which may be x. */
void motion_forward(struct pass *p, const struct motion_block *m,
		    const struct motion_context *context, struct map x, struct map y);

/* The windows over a context's frames, for motion_forward() and tests: starts[] (room for
 * frames entries) gets each one's first frame; returns how many there are. */
int motion_windows(const struct motion_context *context, int *starts);

/* The share of frame number k of window index in that frame's result; 0: no share. */
float motion_share(const struct motion_context *context, const int *starts, int count, int index,
		   int k);

#endif

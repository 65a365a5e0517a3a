/* What unet.c (the model and its forward pass) and unet_load.c (building it) share. */
#ifndef SUMI_NETWORKS_UNET_INTERNAL_H
#define SUMI_NETWORKS_UNET_INTERNAL_H

#include "networks/blocks.h"
#include "networks/motion.h"
#include "networks/unet.h"

/* A residual block and what follows it: attention where the level has it. */
struct unet_layer {
	struct resnet_block resnet;
	struct transformer_block attention; /* count 0: none */
	struct motion_block motion;         /* count 0: none */
};

/* One of down_blocks or up_blocks. */
struct unet_stage {
	struct unet_layer *layers; /* owned, [count] */
	int count;
	bool resamples;             /* all but the last on either way */
	struct conv_layer resample; /* stride 2 down; after doubling up */
	int channels;
};

/* A tensor that crosses from the way down to the way up. Both parts lie in one buffer,
 * channels of the way up first, so that their concatenation is never made. */
struct unet_skip {
	int up;   /* channels that come from below */
	int skip; /* channels that come across */
};

#define UNET_SKIPS_MAX (CONFIG_LEVELS_MAX * 65 + 1)

struct unet {
	struct unet_config config;
	struct weight_set set;
	struct linear_layer time_cond;    /* [channels[0], time_cond], no bias */
	struct linear_layer time1, time2; /* time_embedding */
	struct linear_layer added1, added2; /* add_embedding; config.added 0: none */
	struct linear_layer time_all;     /* every residual block's time_emb_proj, stacked */
	struct conv_layer conv_in, conv_out;
	struct unet_stage down[CONFIG_LEVELS_MAX]; /* from the top down */
	struct resnet_block mid1, mid2;
	struct transformer_block mid_attention;
	struct motion_block mid_motion;          /* count 0: none */
	struct motion_config motion;             /* positions 0: there are no motion modules */
	struct unet_stage up[CONFIG_LEVELS_MAX]; /* from the bottom up */
	struct norm_layer norm_out;
	struct unet_skip skips[UNET_SKIPS_MAX]; /* in the order in which the way down makes them */
	int skip_count;
	int text_count; /* transformer layers */
};

struct unet_text {
	struct text_cache cache;
};

struct unet_features {
	struct device *device; /* borrowed */
	int level;
	struct map kept; /* [n, h, w, up] of skip level - 1; buffer NULL: not made yet */
};

/* What travels through the stages. */
struct unet_flow {
	const struct unet *u;
	struct text_batch texts;
	const struct motion_context *motion;
	struct map time;                   /* [n, 1, 1, all blocks' channels] */
	struct map joined[UNET_SKIPS_MAX]; /* [n, h, w, up + skip], by skip */
	struct tensor shift; /* [n, channels[0]], added to what the first convolution makes; buffer NULL: nothing */
	int made;                       /* skips that the way down has made, less those used */
	int depth;                      /* skips that this pass runs: all, or the features' level */
	struct unet_features *features; /* NULL: none */
};

/* Keys and values of all layers, into the cache's kv; context NULL in a pass that only counts. */
void unet_fill_cache(struct pass *p, const struct unet *u, const float *context,
		     struct text_cache *cache);

/* What the first convolution makes of an input, a new temporary. */
struct map unet_first(struct pass *p, const struct unet *u, const struct unet_input *in);

/* The time and the way down as far as f->depth; f->time is the caller's to free, as are the maps in
 * f->joined. beside: of one picture, added to each after the first convolution; NULL: nothing. Returns
 * what the middle sees. */
struct map unet_way_down(struct pass *p, struct unet_flow *f, const struct unet_input *in,
			 const struct map *beside);
void unet_middle_forward(struct pass *p, const struct unet_flow *f, struct map x, struct map y);
void unet_layer_forward(struct pass *p, const struct unet_flow *f, const struct unet_layer *layer,
			struct map x, struct map y, const char *stage, int index);

/* What an input's pictures see, when the input is sound, until it is dropped. */
int unet_take_text(const struct unet *u, const struct unet_input *in, struct text_part *part,
		   struct error *err);
void unet_drop_text(const struct unet_input *in, struct text_part *part);

/* For keys and values of n texts of so many tokens, none of which is there yet. */
int unet_text_empty(const struct unet *u, int n, int tokens, struct unet_text **out, struct error *err);

/* Fills a zeroed unet whose config is set; files NULL: shapes only. The caller clears it
 * with unet_clear(), also after a failure. */
int unet_build(struct unet *unet, struct weights *files, struct error *err);

/* Of the same, all but the way up, by a loader that the caller ends. */
void unet_build_trunk(struct unet *unet, struct loader *l);
void unet_clear(struct unet *unet);

/* Loads the motion modules that unet->motion describes; the same rules. */
int unet_build_motion(struct unet *unet, struct weights *files, struct error *err);

#endif

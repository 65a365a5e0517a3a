/* T2I-Adapter (arXiv:2302.08453): of a picture features of the sizes of a UNet's levels, which are added on its way
 * down. They do not change from step to step. */
#ifndef SUMI_NETWORKS_T2I_ADAPTER_H
#define SUMI_NETWORKS_T2I_ADAPTER_H

#include "networks/residuals.h"
#include "networks/unet.h"

struct t2i_config {
	bool light;  /* narrow blocks between two convolutions of one pixel */
	int colours; /* of the picture, 1 or 3 */
	int factor;  /* pixels that the first features stand for, each way */
	int levels;
	int channels[CONFIG_LEVELS_MAX];
	bool halves[CONFIG_LEVELS_MAX]; /* a level begins with half the size */
	int blocks;                     /* of a level */
};

/* Reads PATH/config.json; errors as those of unet_config_read(). */
int t2i_config_read(const char *path, struct t2i_config *out, struct error *err);

/* SUMI_INVALID where its levels are not those of a UNet: the features beyond them are the middle's. */
int t2i_adapter_check(const struct t2i_config *config, const struct unet_config *unet, struct error *err);

struct t2i_adapter;

/* path: a folder as diffusers writes it, or FILE/t2i_adapter of one in any names. Errors as those of
 * unet_open(). */
int t2i_adapter_open(struct device *device, const char *path, struct t2i_adapter **out, struct error *err);
void t2i_adapter_close(struct t2i_adapter *t2i); /* NULL is fine */
const struct t2i_config *t2i_adapter_config(const struct t2i_adapter *t2i);
void t2i_adapter_rest(const struct t2i_adapter *t2i); /* as unet_rest() */

/* What it says of a picture. */
struct t2i_features;

/* picture: host, [height, width, 3] in 0…1, of which one that is made for one colour sees the light; wrap: edges
 * that are one (networks/pass.h). SUMI_INVALID for sides that its factor does not divide. */
int t2i_features_new(struct t2i_adapter *t2i, const float *picture, int height, int width,
		     unsigned wrap, struct t2i_features **out, struct error *err);
void t2i_features_free(struct t2i_features *features); /* NULL is fine; before the adapter is closed */

/* Adds strength · features to what is said of each of n pictures of a UNet of so many levels. */
int t2i_features_put(const struct t2i_features *features, float strength, int levels, int n,
		     struct residuals *r, struct error *err);

/* Bytes of the features of a picture, and, in *peak, of what making them takes besides. */
uint64_t t2i_bytes(const struct t2i_config *config, int height, int width, enum dtype dtype, uint64_t *peak);

#endif

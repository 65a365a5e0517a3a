/* Pictures made larger by a network, tile by tile. */
#ifndef SUMI_DIFFUSION_UPSCALE_H
#define SUMI_DIFFUSION_UPSCALE_H

#include "networks/upscaler.h"

/* Told after each tile; what it returns other than SUMI_OK ends the work. */
struct upscale_watch {
	int (*tile)(void *context, int done, int count, struct error *err); /* NULL: nobody */
	void *context;
};

/* picture [h, w, 3] → out [out_h, out_w, 3], both in 0 … 1 (out clamped), host. The network is used as
 * often as it takes to reach that size, and what is too large then is made smaller by Lanczos' kernel
 * (to the size that the file itself wants: by torch's cubic one, as ncnn does it).
 *
 * Where a network's pixels see a known number of others, tiles overlap by these and the result is that
 * of the whole picture; where they see all, tiles overlap by 64 pixels and fade into each other.
 * Sizes of tiles are the same on all devices. SUMI_INVALID for a size that is smaller, SUMI_NOMEM. */
int upscale_picture(const struct upscaler *u, const float *picture, int h, int w, float *out, int out_h,
		    int out_w, const struct upscale_watch *watch, struct error *err);

/* The same where edges of the picture are one, and shall be in the result: "x", "y", "both"; NULL: none. */
int upscale_around(const struct upscaler *u, const float *picture, int h, int w, float *out, int out_h, int out_w,
		   const char *tile, const struct upscale_watch *watch, struct error *err);

#endif

/* Latents wider or higher than what the denoiser was trained with: at every step it looks at windows that
 * overlap, and what it predicts where they meet is averaged, so that neighbours agree more with
 * each step (MultiDiffusion, arXiv:2302.08113, eq. 7). The sampler sees one picture and knows
 * nothing of windows.
 *
 * In a circle the last column (or row) is followed by the first: windows reach around the edge, and begin
 * somewhere else at each step, so that no column is always the middle of one. */
#ifndef SUMI_DIFFUSION_WINDOWS_H
#define SUMI_DIFFUSION_WINDOWS_H

#include "diffusion/session.h"

struct windows_shape {
	int width, height;           /* of the whole, in latents */
	int overlap;                 /* of windows along a side that has several, at least */
	bool circular_x, circular_y; /* the last column, the last row is followed by the first */
};

/* *session, a plain one for a window of one picture, becomes one for all of it. After a failure it is as
 * it was. */
int windows_wrap(struct session **session, const struct windows_shape *shape, struct error *err);

#endif

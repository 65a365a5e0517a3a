/* Latents wider than what the denoiser was trained with: at every step it looks at windows that
 * overlap, and what it predicts where they meet is averaged, so that neighbours agree more with
 * each step (MultiDiffusion, arXiv:2302.08113, eq. 7). The sampler sees one picture and knows
 * nothing of windows.
 *
 * In a circle the last column is followed by the first: windows reach around the edge, and begin
 * somewhere else at each step, so that no column is always the middle of one. */
#ifndef SUMI_DIFFUSION_WINDOWS_H
#define SUMI_DIFFUSION_WINDOWS_H

#include "diffusion/session.h"

/* *session, a plain one for a window of one picture, becomes one for latents of `width` columns,
 * where windows overlap by `overlap` of them or more. After a failure it is as it was. */
int windows_wrap(struct session **session, int width, int overlap, bool circular, struct error *err);

#endif

/* Classifier-free guidance (arXiv:2207.12598): what is added of the difference that the
 * prompt makes. */
#ifndef SUMI_DIFFUSION_GUIDANCE_H
#define SUMI_DIFFUSION_GUIDANCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/* What a run does of it. */
struct guidance {
	bool on;
	int from, to; /* in the calls from … to less one; the others see the prompt only */
	float scale, rescale;
	float picture; /* the same for a picture that stands beside the latents; 1: nothing is added */
};

/* Whether the model sees both texts in that call. */
bool guidance_at(const struct guidance *g, int call);

/* out [n] = uncond + scale·(cond − uncond), for one picture or clip of n values; out may be
 * either input. rescale 0…1 mixes in the same with the standard deviation of cond
 * (arXiv:2305.08891 §3.4, diffusers' guidance_rescale); 0: off. SUMI_INVALID for a scale or
 * rescale that is not a number or out of range, SUMI_DEVICE when the result is not finite
 * (out is then not to be used). */
int guidance_combine(const float *uncond, const float *cond, size_t n, double scale, double rescale,
		     float *out, struct error *err);

/* The same where a picture is shown too (arXiv:2211.09800 §3.2.1): blind saw neither it nor the prompt,
 * uncond the picture alone. out = blind + scale·(cond − uncond) + picture·(uncond − blind). */
int guidance_combine_picture(const float *blind, const float *uncond, const float *cond, size_t n,
			     const struct guidance *g, float *out, struct error *err);

#endif

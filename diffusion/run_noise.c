/* The first noise of videos: what frames have in common, and how it goes on where a video is
 * longer than what its motion modules see at once. */
#include <math.h>
#include <string.h>

#include "diffusion/run_internal.h"

/* torch.randperm of n numbers from first on. */
static void shuffle(struct rng *rng, int first, int n, int *out)
{
	for (int i = 0; i < n; i++)
		out[i] = first + i;
	for (int i = 0; i < n - 1; i++) {
		int with = i + (int)(rng_mt_next(rng) % (uint32_t)(n - i)), kept = out[i];
		out[i] = out[with];
		out[with] = kept;
	}
}

void run_shuffle_noise(struct rng *rng, float *x, int c, int frames, size_t pixels,
		       const struct denoiser_frames *together)
{
	/* Philox has no stream of integers: the order then comes from torch's of the same seed. */
	struct rng own;
	int order[RUN_FRAMES_MAX];
	if (rng->kind != RNG_TORCH) {
		rng_init(&own, RNG_TORCH, rng->seed);
		rng = &own;
	}
	for (int at = together->window; at < frames; at += together->stride) {
		shuffle(rng, at - together->window, together->stride, order);
		for (int i = 0; i < together->stride && at + i < frames; i++)
			for (int k = 0; k < c; k++) {
				float *channel = x + (size_t)k * (size_t)frames * pixels;
				memcpy(channel + (size_t)(at + i) * pixels,
				       channel + (size_t)order[i] * pixels, pixels * sizeof *x);
			}
	}
}

void run_share_noise(struct rng *rng, float *x, float *common, int c, int frames, size_t pixels,
		     float share)
{
	float theirs = sqrtf(share), own = sqrtf(1 - share);
	rng_randn(rng, common, (size_t)c * pixels);
	for (int k = 0; k < c; k++)
		for (int f = 0; f < frames; f++) {
			float *frame = x + ((size_t)k * (size_t)frames + (size_t)f) * pixels;
			for (size_t i = 0; i < pixels; i++)
				frame[i] = theirs * common[(size_t)k * pixels + i] + own * frame[i];
		}
}

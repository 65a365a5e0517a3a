/* The shape of latents, and what they stand for. A pack's own spec has no sizes (frames, height and
 * width are 0); a run's has them. */
#ifndef SUMI_DIFFUSION_LATENT_SPEC_H
#define SUMI_DIFFUSION_LATENT_SPEC_H

struct latent_spec {
	int channels;
	int frames, height, width; /* of latents */
	int scale;                 /* pixels that one stands for, each way */
	int time_scale; /* frames that one stands for, but the first, which stands for one: a clip has
			   1 + (frames − 1)·time_scale */
	int patch;      /* latents a side that a denoiser sees as one: sizes are multiples of it */
	int colours;    /* channels of a pixel */
};

/* Pixels of which a picture's sides are multiples. */
static inline int latent_step(const struct latent_spec *spec)
{
	return spec->scale * spec->patch;
}

/* Positions that a denoiser sees of latents with sizes. */
static inline double latent_tokens(const struct latent_spec *spec)
{
	return (double)spec->frames * spec->height * spec->width / spec->patch / spec->patch;
}

#endif

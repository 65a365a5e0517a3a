/* A run's latents, for all files that a run is made of: as the sampler and as the models have them, and their noise. */
#include "diffusion/run_internal.h"

size_t run_values(const struct run *run)
{
	const struct latent_spec *s = &run->latents;
	return (size_t)s->frames * (size_t)s->height * (size_t)s->width * (size_t)s->channels;
}

/* [c, f, h, w] → [f, h, w, c] and back. */
void run_to_models(const struct run *run, const float *x, float *out)
{
	const struct latent_spec *s = &run->latents;
	size_t pixels = (size_t)s->height * (size_t)s->width, c = (size_t)s->channels,
	       f = (size_t)s->frames;
	for (size_t k = 0; k < c; k++)
		for (size_t i = 0; i < f * pixels; i++)
			out[i * c + k] = x[k * f * pixels + i];
}

/* [f, h, w, c] → [c, f, h, w] */
void run_from_models(const struct run *run, const float *in, float *x)
{
	const struct latent_spec *s = &run->latents;
	size_t pixels = (size_t)s->height * (size_t)s->width, c = (size_t)s->channels,
	       f = (size_t)s->frames;
	for (size_t k = 0; k < c; k++)
		for (size_t i = 0; i < f * pixels; i++)
			x[k * f * pixels + i] = in[i * c + k];
}

/* What a run asks of the device it asks in its own precision, and leaves it as others expect it:
 * run_enter() … run_leave(). prepare() has found out that the device can. */
void run_enter(const struct run *run)
{
	pack_device(run->pack)->precision = run->precision;
}

void run_leave(const struct run *run)
{
	pack_device(run->pack)->precision = PRECISION_EXACT;
}

void run_draw_noise(struct run *run, float *noise)
{
	size_t pixels = (size_t)run->latents.height * (size_t)run->latents.width;
	double share = pack_info_of(run->pack)->noise_shared;
	rng_randn(&run->rng, noise, run_values(run));
	if (share > 0 && run->session->frames.together)
		run_share_noise(&run->rng, noise, run->denoised, run->latents.channels,
				run->latents.frames, pixels,
				(float)share);
}

/* x [c, f, h, w] of another run's latents. */
void run_go_on(struct run *run, const struct run_params *p, float *x, float *noise)
{
	if (!p->latents) /* they come from a saved state */
		return;
	run_from_models(run, p->latents, x);
	if (!p->last_steps)
		return;
	run_draw_noise(run, noise);
	sampler_add_noise(run->sampler, x, noise, x, run_values(run));
}

struct latent_spec run_latent_spec(const struct run *run)
{
	return run->latents;
}

const float *run_latents(const struct run *run, bool denoised, size_t *count)
{
	size_t n = run_values(run), have = 0;
	const float *estimate = denoised ? sampler_denoised(run->sampler, &have) : NULL;
	run_to_models(run, estimate && have == n ? estimate : run->x, run->denoised);
	*count = n;
	return run->denoised;
}

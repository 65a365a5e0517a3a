/* A run's pictures as latents, and its latents as pictures. */
#include <math.h>
#include <stdlib.h>

#include "diffusion/run_internal.h"
#include "weights/guard.h"

/* As the autoencoder has them. */
static void plain_latents(const struct run *run, const float *mean, float *out, size_t n)
{
	const struct codec *codec = run->pack->codec;
	size_t one = n / (size_t)run->latents.channels;
	run_from_models(run, mean, out);
	for (size_t i = 0; i < n; i++)
		out[i] = (float)(out[i] / codec->scale[i / one] + codec->shift[i / one]);
}

/* A sample is drawn before the noise that is added, as diffusers does it. */
int run_encode_pictures(struct run *run, const struct codec_job *job, const float *pictures, bool plain,
			float *out, struct error *err)
{
	size_t n = run_values(run);
	float *mean = malloc(n * 4 * sizeof *mean);
	if (!mean)
		return error_set(err, SUMI_NOMEM, "no memory for the first picture's latents");
	float *deviation = mean + n, *noise = mean + 2 * n, *sample = mean + 3 * n;
	size_t part = n / (size_t)run->latents.frames * (size_t)job->frames;
	run_enter(run);
	int status = codec_encode(run->pack->codec, job, pictures, mean, deviation, err);
	run_leave(run);
	for (size_t i = part; i < n && !status; i++) { /* the same picture for the others */
		mean[i] = mean[i - part];
		deviation[i] = deviation[i - part];
	}
	if (!status && plain) {
		plain_latents(run, mean, out, n);
	} else if (!status) {
		bool random = run->pack->codec->random;
		run_from_models(run, mean, out);
		run_from_models(run, deviation, sample);
		if (random)
			rng_randn(&run->rng, noise, n);
		for (size_t i = 0; random && i < n; i++)
			out[i] += sample[i] * noise[i];
	}
	free(mean);
	return status;
}

int run_encode(struct run *run, const struct run_params *p, bool plain, float *out,
	       struct error *err)
{
	struct codec_job job = run_plan_encode(run->pack, p);
	return run_encode_pictures(run, &job, p->init, plain, out, err);
}

/* Pixels from about −1…1 to 0…1. A decoder that overflows gives NaN, which would pass for black. */
static int finish_pixels(float *out, size_t n, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		float v = out[i] * 0.5f + 0.5f;
		if (!isfinite(v))
			return error_set(err, SUMI_DEVICE,
					 "the autoencoder gave %s (value %zu): broken weights, or "
					 "an overflow in half precision",
					 isnan(v) ? "NaN" : "infinity", i);
		out[i] = v < 0 ? 0 : v > 1 ? 1 : v;
	}
	return SUMI_OK;
}

int run_decode_latents(struct run *run, const float *latents, float *out, struct error *err)
{
	struct codec_job job;
	int status = run_plan_decode(run, &job, err);
	run_enter(run);
	if (!status)
		status = codec_decode(run->pack->codec, &job, latents, out, err);
	run_leave(run);
	return status;
}

int run_decode(struct run *run, int frame, float *out, struct error *err)
{
	const struct latent_spec *spec = &run->latents;
	size_t pixels = (size_t)spec->height * (size_t)spec->width, count;
	if (frame < 0 || frame >= spec->frames)
		return error_set(err, SUMI_INVALID, "there is no frame %d", frame);
	const float *latents =
	    run_latents(run, false, &count) + (size_t)frame * pixels * (size_t)spec->channels;
	/* Decoding takes more memory than a step, and the two need not be in it at once. */
	if (run->session)
		denoiser_rest(run->session->denoiser);
	for (int i = 0; i < run->control_count; i++)
		control_rest(run->controls[i].control);
	int status = run_decode_latents(run, latents, out, err);
	size_t values =
	    pixels * (size_t)spec->scale * (size_t)spec->scale * (size_t)spec->colours;
	if (!status)
		status = guard_check(err);
	return status ? status : finish_pixels(out, values, err);
}

/* Runs that make a part of a picture anew, and models that are shown one.
 *
 * What stays comes into the latents in one of several ways (run.h); what the model is shown beside them
 * is made once. Both come from the parameters alone, in the order in which diffusers draws: the latents
 * of the picture, the noise, those of what is left of the picture under the mask. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/resample.h"
#include "diffusion/run_internal.h"

enum blend { BLEND_A1111, BLEND_COMFY, BLEND_DIFFUSERS, BLEND_SOFT, BLENDS };

static const char *const blend_names[BLENDS + 1] = {
    [BLEND_A1111] = "a1111",
    [BLEND_COMFY] = "comfy",
    [BLEND_DIFFUSERS] = "diffusers",
    [BLEND_SOFT] = "soft",
};

struct inpaint {
	enum blend blend;
	bool blends;   /* something stays in the latents */
	float *mask;   /* [frames · h · w], of latents: 1 is made anew */
	float *clean;  /* [c, f, h, w] of the picture */
	float *noise;  /* [c, f, h, w] that it gets */
	float *seen;   /* [c, f, h, w] x with what stays, where the model sees that */
	float *beside; /* [f, h, w, in − out] or NULL */
};

static enum blend blend_of(const char *word)
{
	for (int i = 0; word && i < BLENDS; i++)
		if (strcmp(word, blend_names[i]) == 0)
			return (enum blend)i;
	return BLEND_A1111;
}

int run_inpaint_check(enum denoiser_beside shown, const struct run_params *p, struct error *err)
{
	bool known = !p->mask_blend;
	for (int i = 0; i < BLENDS; i++)
		known |= p->mask_blend && strcmp(p->mask_blend, blend_names[i]) == 0;
	if (!known)
		return error_set(err, SUMI_INVALID,
				 "mask_blend is '%.40s', allowed are a1111, comfy, diffusers, soft",
				 p->mask_blend);
	if (p->mask && !p->init)
		return error_set(err, SUMI_INVALID,
				 "there is a mask, but no init of which it is a part");
	if (!isfinite(p->image_cfg_scale))
		return error_set(err, SUMI_INVALID, "image_cfg_scale must be a number");
	if (shown == BESIDE_PICTURE && !p->init)
		return error_set(err, SUMI_INVALID,
				 "this model changes a picture as the prompt says: give one as init");
	if (shown == BESIDE_PICTURE && p->mask)
		return error_set(err, SUMI_INVALID,
				 "this model changes whole pictures: it takes no mask");
	return SUMI_OK;
}

/* ---- masks of latents ---- */

/* Sharp, of the pixel in which a latent begins. */
static void sharp_mask(const struct run *run, const struct run_params *p, float *out)
{
	int scale = run->latents.scale, w = run->latents.width;
	for (int y = 0; y < run->latents.height; y++)
		for (int x = 0; x < w; x++)
			out[y * w + x] =
			    !p->mask || p->mask[(size_t)(y * scale) * (size_t)p->width +
						(size_t)(x * scale)] >= 0.5f;
}

/* A1111 scales pictures of bytes and rounds. */
static int rounded_mask(const struct run *run, const struct run_params *p, float *out,
			struct error *err)
{
	int w = run->latents.width, h = run->latents.height;
	int status = resample(RESAMPLE_SMOOTH_CUBIC, p->mask, p->height, p->width, 1, out, h, w, err);
	for (int i = 0; i < w * h && !status; i++)
		out[i] = out[i] * 255 >= 127.5f;
	return status;
}

static int make_mask(const struct run *run, const struct run_params *p, enum blend blend, float *out,
		     struct error *err)
{
	int w = run->latents.width, h = run->latents.height, status = SUMI_OK;
	size_t pixels = (size_t)w * (size_t)h;
	if (!p->mask || blend == BLEND_DIFFUSERS)
		sharp_mask(run, p, out);
	else if (blend == BLEND_A1111)
		status = rounded_mask(run, p, out, err);
	else
		status = resample(RESAMPLE_LINEAR, p->mask, p->height, p->width, 1, out, h, w, err);
	for (int f = 1; f < run->latents.frames && !status; f++)
		memcpy(out + (size_t)f * pixels, out, pixels * sizeof *out);
	return status;
}

/* The mask of a value of [c, f, h, w] at a call. */
static float mask_at(const struct run *run, size_t i, int call)
{
	const struct inpaint *ip = run->inpaint;
	float mask = ip->mask[i % (run_values(run) / (size_t)run->latents.channels)];
	if (ip->blend != BLEND_SOFT)
		return mask;
	double first = sampler_timestep(run->sampler, 0);
	double ahead = first > 0 ? sampler_timestep(run->sampler, call) / first : 0;
	return mask >= (float)ahead;
}

/* ---- life ---- */

void run_inpaint_free(struct inpaint *ip)
{
	if (!ip)
		return;
	free(ip->mask);
	free(ip->clean);
	free(ip->noise);
	free(ip->seen);
	free(ip->beside);
	free(ip);
}

int run_inpaint_new(struct run *run, const struct run_params *p, struct error *err)
{
	size_t n = run_values(run), pixels = n / (size_t)run->latents.channels;
	if (!p->mask && run->shown == BESIDE_NOTHING)
		return SUMI_OK;
	struct inpaint *ip = calloc(1, sizeof *ip);
	if (!ip)
		return error_set(err, SUMI_NOMEM, "out of memory");
	run->inpaint = ip;
	ip->blend = blend_of(p->mask_blend);
	/* A model that is shown the mask keeps to it by itself: so diffusers leaves it alone. */
	ip->blends = p->mask && !(ip->blend == BLEND_DIFFUSERS && run->shown == BESIDE_MASK);
	ip->mask = malloc(pixels * sizeof *ip->mask);
	ip->clean = calloc(n, sizeof *ip->clean);
	ip->noise = malloc(n * sizeof *ip->noise);
	ip->seen = malloc(n * sizeof *ip->seen);
	if (run->shown != BESIDE_NOTHING)
		ip->beside = malloc((n + pixels) * sizeof *ip->beside);
	if (ip->mask && ip->clean && ip->noise && ip->seen &&
	    (ip->beside || run->shown == BESIDE_NOTHING))
		return make_mask(run, p, ip->blend, ip->mask, err);
	return error_set(err, SUMI_NOMEM, "no memory for the mask of latents of %dx%d",
			 run->latents.width, run->latents.height);
}

/* ---- what is shown ---- */

/* The pictures with grey where the mask is. */
static float *hidden_pictures(const struct run_params *p, int colours, int frames)
{
	size_t pixels = (size_t)p->height * (size_t)p->width, c = (size_t)colours;
	float *out = calloc((size_t)frames * pixels * c, sizeof *out);
	for (size_t i = 0; out && p->init && p->mask && i < (size_t)frames * pixels; i++)
		if (p->mask[i % pixels] < 0.5f)
			memcpy(out + i * c, p->init + i * c, c * sizeof *out);
	return out;
}

/* Mask and latents of the rest, or the latents of the picture. */
static int show(struct run *run, const struct run_params *p, struct error *err)
{
	struct inpaint *ip = run->inpaint;
	size_t n = run_values(run), c = (size_t)run->latents.channels, pixels = n / c;
	size_t one = (size_t)run->latents.width * (size_t)run->latents.height;
	if (run->shown == BESIDE_PICTURE) {
		int status = run_encode(run, p, true, ip->seen, err);
		if (!status)
			run_to_models(run, ip->seen, ip->beside);
		return status;
	}
	struct run_params hidden = *p;
	hidden.init_frames = !p->init ? 1 : p->init_frames ? p->init_frames : p->frames;
	float *picture = hidden_pictures(p, run->latents.colours, hidden.init_frames);
	float *sharp = malloc(one * sizeof *sharp), *rows = malloc(n * sizeof *rows);
	hidden.init = picture;
	int status = picture && sharp && rows
			 ? run_encode(run, &hidden, false, ip->seen, err)
			 : error_set(err, SUMI_NOMEM, "no memory for the picture under the mask");
	if (!status) {
		sharp_mask(run, p, sharp);
		run_to_models(run, ip->seen, rows);
	}
	for (size_t i = 0; i < pixels && !status; i++) {
		ip->beside[i * (c + 1)] = sharp[i % one];
		memcpy(ip->beside + i * (c + 1) + 1, rows + i * c, c * sizeof *rows);
	}
	free(rows);
	free(sharp);
	free(picture);
	return status;
}

/* ---- the first latents ---- */

/* Where the mask is, nothing or noise instead of the picture. */
static void fill(struct run *run, const char *word)
{
	struct inpaint *ip = run->inpaint;
	bool noise = word && strcmp(word, "noise") == 0;
	size_t n = run_values(run), pixels = n / (size_t)run->latents.channels;
	if (!noise && !(word && strcmp(word, "nothing") == 0))
		return;
	for (size_t i = 0; i < n; i++) {
		float mask = ip->mask[i % pixels];
		ip->clean[i] = ip->clean[i] * (1 - mask) + (noise ? ip->noise[i] * mask : 0);
	}
}

int run_inpaint_first(struct run *run, const struct run_params *p, struct error *err)
{
	struct inpaint *ip = run->inpaint;
	size_t n = run_values(run);
	bool diffusers = p->mask && ip->blend == BLEND_DIFFUSERS;
	/* diffusers begins with noise alone where all of the run is made. */
	bool pure = !p->init || run->shown == BESIDE_PICTURE || (diffusers && p->strength == 1);
	bool encodes = p->init && run->shown != BESIDE_PICTURE && (!pure || ip->blends);
	int status = encodes ? run_encode(run, p, false, ip->clean, err) : SUMI_OK;
	if (status)
		return status;
	if (!p->from_latents)
		run_draw_noise(run, ip->noise);
	fill(run, p->mask_fill);
	if (p->from_latents) {
		run_go_on(run, p, run->x, ip->noise);
	} else if (pure) {
		float sigma = sampler_init_noise_sigma(run->sampler);
		for (size_t i = 0; i < n; i++)
			run->x[i] = ip->noise[i] * sigma;
	} else {
		sampler_add_noise(run->sampler, ip->clean, ip->noise, run->x, n);
	}
	if (ip->beside)
		return show(run, p, err);
	/* diffusers encodes what is under the mask for all models: its generator has gone on. */
	if (diffusers && run->pack->codec->random)
		rng_randn(&run->rng, ip->seen, n);
	return SUMI_OK;
}

/* ---- steps ---- */

const float *run_inpaint_beside(const struct run *run)
{
	return run->inpaint ? run->inpaint->beside : NULL;
}

static float with_noise(const struct inpaint *ip, struct noise_point p, size_t i)
{
	return p.keep * ip->clean[i] + p.add * ip->noise[i];
}

static bool model_sees_rest(const struct inpaint *ip)
{
	return ip->blends && (ip->blend == BLEND_COMFY || ip->blend == BLEND_SOFT);
}

const float *run_inpaint_seen(struct run *run, int call)
{
	struct inpaint *ip = run->inpaint;
	if (!ip || !model_sees_rest(ip))
		return run->x;
	struct noise_point p = sampler_noise_at(run->sampler, call);
	for (size_t i = 0; i < run_values(run); i++) {
		float mask = mask_at(run, i, call);
		ip->seen[i] = run->x[i] * mask + with_noise(ip, p, i) * (1 - mask);
	}
	return ip->seen;
}

void run_inpaint_answer(struct run *run, int call)
{
	struct inpaint *ip = run->inpaint;
	if (!ip || !ip->blends || ip->blend == BLEND_DIFFUSERS)
		return;
	const float *seen = model_sees_rest(ip) ? ip->seen : run->x;
	for (size_t i = 0; i < run_values(run); i++) {
		float mask = mask_at(run, i, call), x0 = ip->clean[i];
		if (mask == 1)
			continue;
		if (mask != 0)
			x0 = mask * sampler_estimate(run->sampler, call, seen[i], run->prediction[i]) +
			     (1 - mask) * x0;
		run->prediction[i] = sampler_answer(run->sampler, call, run->x[i], x0);
	}
}

void run_inpaint_settle(struct run *run, int call)
{
	struct inpaint *ip = run->inpaint;
	bool last = call + 1 >= sampler_calls(run->sampler);
	if (!ip || !ip->blends || !(ip->blend == BLEND_DIFFUSERS || (ip->blend == BLEND_A1111 && last)))
		return;
	struct noise_point p = sampler_noise_at(run->sampler, call + 1);
	for (size_t i = 0; i < run_values(run); i++) {
		float mask = mask_at(run, i, call);
		run->x[i] = (1 - mask) * with_noise(ip, p, i) + mask * run->x[i];
	}
}

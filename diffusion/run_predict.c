/* One evaluation of the model within a run: guided or not, whole or with what an earlier one
 * left.
 *
 * Deep-feature reuse (DeepCache, arXiv:2312.00858): the lower part of the UNet changes little from
 * one step to the next, so that only every few evaluations run all of it; those between run its
 * uppermost layers with what the last whole one computed below. Which evaluations are whole
 * depends on nothing but their number.
 *
 * A saved state does not hold those features (megabytes) but the input of the whole evaluation
 * that made them (the latents' size). A run that is restored before a shallow one evaluates that
 * input once more: the same numbers, and the same bytes from there on. */
#include <stdlib.h>
#include <string.h>

#include "diffusion/guidance.h"
#include "diffusion/run_internal.h"
#include "weights/guard.h"

bool run_is_guided(const struct run *run, int call)
{
	return run->guided && call >= run->guided_from && call < run->guided_to;
}

bool run_is_whole(const struct run *run, int call)
{
	/* Features of two texts are none of one. */
	return run->cache_every < 2 || call % run->cache_every == 0 ||
	       run_is_guided(run, call) != run_is_guided(run, call - 1);
}

bool run_needs_anchor(const struct run *run)
{
	int call = sampler_done(run->sampler);
	return call < sampler_calls(run->sampler) && !run_is_whole(run, call);
}

int run_plan_features(struct run *run, const struct run_params *p, size_t n, struct error *err)
{
	run->cache_every = p->deep_cache;
	run->features_call = -1;
	if (run->cache_every < 2)
		return SUMI_OK;
	run->anchor = malloc(n * sizeof(float));
	if (!run->anchor)
		return error_set(err, SUMI_NOMEM, "out of memory");
	return unet_features_new(run->unet, p->deep_cache_level ? p->deep_cache_level : 1,
				 &run->features, err);
}

/* What the model is asked in that call, with model_in's one set of latents of n values. */
static struct unet_input question(struct run *run, int call, size_t n)
{
	bool guided = run_is_guided(run, call);
	for (int i = 0; i < run->frames * 2; i++)
		run->timesteps[i] = (float)sampler_timestep(run->sampler, call);
	if (guided)
		memcpy(run->model_in + n, run->model_in, n * sizeof(float));
	return (struct unet_input){
	    .latents = run->model_in,
	    .n = run->frames * (guided ? 2 : 1),
	    .h = run->h,
	    .w = run->w,
	    .timesteps = run->timesteps,
	    .time_cond = run->time_cond,
	    .text = run->text,
	    .only_text = run->guided && !guided ? PROMPT_TEXT : 0,
	    .features = run->features,
	    .shallow = !run_is_whole(run, call),
	    .motion = run->motion,
	};
}

/* model_in → model_out, one or two predictions. */
static int evaluate(struct run *run, int call, size_t n, struct error *err)
{
	struct unet_input in = question(run, call, n);
	if (!in.shallow)
		run->features_call = -1; /* what a failure leaves is of no use */
	int status = unet_forward(run->unet, &in, run->model_out, err);
	if (status || in.shallow || run->cache_every < 2)
		return status;
	run->features_call = call;
	memcpy(run->anchor, run->model_in, n * sizeof(float));
	return SUMI_OK;
}

/* model_out, one or two predictions → one. */
static int guide(struct run *run, int call, size_t n, struct error *err)
{
	if (!run_is_guided(run, call))
		return SUMI_OK;
	return guidance_combine(run->model_out, run->model_out + n, n, run->cfg_scale,
				run->guidance_rescale, run->model_out, err);
}

int run_recall_features(struct run *run, int call, size_t n, struct error *err)
{
	int made = call;
	if (run_is_whole(run, call) || run->features_call >= 0)
		return SUMI_OK;
	while (!run_is_whole(run, made))
		made--;
	memcpy(run->model_in, run->anchor, n * sizeof(float));
	return evaluate(run, made, n, err);
}

int run_predict(struct run *run, int call, size_t n, struct error *err)
{
	if (run->window.w) {
		run->timesteps[0] = run->timesteps[1] = (float)sampler_timestep(run->sampler, call);
		int status = window_predict(run, call, err);
		return status ? status : guard_check(err);
	}
	int status = evaluate(run, call, n, err);
	if (!status)
		status = guard_check(err);
	return status ? status : guide(run, call, n, err);
}

int run_predict_together(struct run *const *runs, const int *calls, int count, size_t n,
			 struct error *err)
{
	struct unet_input *in = calloc((size_t)count, sizeof *in);
	float **out = calloc((size_t)count, sizeof *out);
	int status = SUMI_OK;
	if (!in || !out)
		status = error_set(err, SUMI_NOMEM, "out of memory");
	for (int i = 0; i < count && !status; i++) {
		in[i] = question(runs[i], calls[i], n);
		out[i] = runs[i]->model_out;
	}
	if (!status)
		status = unet_forward_many(runs[0]->unet, in, count, out, err);
	if (!status)
		status = guard_check(err);
	for (int i = 0; i < count && !status; i++)
		status = guide(runs[i], calls[i], n, err);
	free(out);
	free(in);
	return status;
}

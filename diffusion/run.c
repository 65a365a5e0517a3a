/* One generation, step by step.
 *
 * The latents x lie in the order in which torch draws their noise, [channels, frames, height,
 * width] (for one frame that is diffusers' [1, c, h, w], for several AnimateDiff's
 * [1, c, f, h, w]); the models see [frames, height, width, channels]. */
#include "diffusion/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/deep_cache.h"
#include "diffusion/pack_internal.h"
#include "diffusion/run_internal.h"
#include "diffusion/windows.h"
#include "weights/guard.h"

/* Bytes that a device may keep for later beside what a step takes: giving them back and taking them again is not
 * worth it. */
#define LEFT_AT_REST (UINT64_C(32) << 20)

/* Latents beyond which a CPU is busy enough with one picture: two together take as long as one
 * after the other (docs/performance.md). */
#define CPU_LATENTS_TOGETHER (32 * 32)

/* Part of the device's memory that steps made together may take. */
#define MEMORY_SHARE 4

/* Window and overlap fit the run. */
static int check_window(const struct pack_info *info, const struct run_params *p,
			struct error *err)
{
	int step = latent_step(&info->latents);
	if (p->window == 0)
		return SUMI_OK;
	if (p->window < step || p->window % step || p->overlap % step || p->overlap < 0 ||
	    p->overlap >= p->window)
		return error_set(
		    err, SUMI_INVALID,
		    "window %d with overlap %d: both must be multiples of %d, the overlap the "
		    "smaller one",
		    p->window, p->overlap, step);
	if (p->frames != 1 || (!p->circular && p->width < p->window))
		return error_set(err, SUMI_INVALID,
				 "windows of %d are for one picture at least as wide, not %d",
				 p->window, p->width);
	return SUMI_OK;
}

/* One side of the patches. */
static bool patch_fits(int patch, int side, int overlap, int step)
{
	return patch == 0 || (patch >= step && patch % step == 0 && patch < side && overlap < patch);
}

static int check_patches(const struct pack_info *info, const struct run_params *p, struct error *err)
{
	int step = latent_step(&info->latents);
	if (p->patch_width == 0 && p->patch_height == 0)
		return SUMI_OK;
	if (!patch_fits(p->patch_width, p->width, p->patch_overlap, step) ||
	    !patch_fits(p->patch_height, p->height, p->patch_overlap, step) || p->patch_overlap < 0 ||
	    p->patch_overlap % info->latents.scale)
		return error_set(err, SUMI_INVALID,
				 "patches of %dx%d that overlap by %d: multiples of %d, smaller than %dx%d, the overlap "
				 "the smallest",
				 p->patch_width, p->patch_height, p->patch_overlap, step, p->width, p->height);
	if (p->frames != 1 || p->window || p->deep_cache > 1 || p->control_count)
		return error_set(err, SUMI_INVALID,
				 "patches do not go together with frames, windows, deep_cache and controls");
	return SUMI_OK;
}

static int check_params(const struct pack_info *info, const struct run_params *p, struct error *err)
{
	int width_max = p->window ? RUN_WINDOWED_MAX : RUN_SIDE_MAX;
	int step = latent_step(&info->latents);
	if (p->width < step || p->height < step || p->width % step || p->height % step ||
	    p->width > width_max || p->height > RUN_SIDE_MAX)
		return error_set(err, SUMI_INVALID,
				 "size %dx%d: width and height must be multiples of %d up to %d",
				 p->width, p->height, step, width_max);
	if (p->frames < 1 || p->frames > RUN_FRAMES_MAX)
		return error_set(err, SUMI_INVALID, "frames is %d, allowed are 1 to %d", p->frames,
				 RUN_FRAMES_MAX);
	if (!isfinite(p->cfg_scale) || !isfinite(p->guidance_rescale) || !isfinite(p->eta))
		return error_set(err, SUMI_INVALID,
				 "cfg_scale, guidance_rescale and eta must be numbers");
	if (!(p->guidance_start >= 0 && p->guidance_end <= 1 && p->guidance_end >= 0) ||
	    (p->guidance_end != 0 ? p->guidance_start >= p->guidance_end : p->guidance_start >= 1))
		return error_set(err, SUMI_INVALID,
				 "guidance from %g to %g: guidance_start and guidance_end are "
				 "parts of the run, 0 to 1, the start before the end",
				 p->guidance_start, p->guidance_end != 0 ? p->guidance_end : 1);
	if (p->deep_cache < 0 || p->deep_cache > RUN_CACHE_MAX || p->deep_cache_level < 0)
		return error_set(err, SUMI_INVALID,
				 "deep_cache is %d, allowed are 1 (off) to %d, deep_cache_level "
				 "from 1",
				 p->deep_cache, RUN_CACHE_MAX);
	if (p->deep_cache > 1 && p->window)
		return error_set(err, SUMI_INVALID,
				 "deep_cache does not go together with windows: a picture of %d "
				 "columns is made in windows of %d",
				 p->width, p->window);
	if (p->init && p->init_frames != 0 && p->init_frames != 1 && p->init_frames != p->frames)
		return error_set(err, SUMI_INVALID, "init has %d pictures for %d frames",
				 p->init_frames, p->frames);
	int status = run_check_controls(info, p, err);
	if (status)
		return status;
	if (p->tile && !run_wrap(p))
		return error_set(err, SUMI_INVALID, "tile is '%.20s', allowed are x, y and both", p->tile);
	if (p->tile && p->window)
		return error_set(err, SUMI_INVALID, "tile does not go together with windows");
	if (p->init && p->from_latents)
		return error_set(err, SUMI_INTERNAL, "a run goes on from latents or from a picture");
	if (p->init && !p->last_steps && !(p->strength > 0 && p->strength <= 1))
		return error_set(err, SUMI_INVALID,
				 "strength is %g, allowed are 0 (exclusive) to 1", p->strength);
	status = check_patches(info, p, err);
	return status ? status : check_window(info, p, err);
}

static int precision_wanted(const struct run_params *p, enum precision *out, struct error *err)
{
	*out = PRECISION_EXACT;
	return p->precision ? precision_of(p->precision, out, err) : SUMI_OK;
}

/* ---- begin ------------------------------------------------------------------------ */

static int make_sampler(const struct pack_info *info, const struct sampler_config *scheduler,
			const struct run_params *p, bool shows_picture, struct sampler **out,
			struct error *err)
{
	struct sampler_config config = *scheduler;
	struct latent_spec latents = run_plan_latents(info, p);
	const char *name = p->sampler ? p->sampler
			   : p->fast  ? info->fast.sampler
				      : info->defaults.sampler;
	*out = NULL;
	if (p->schedule) {
		int status = sampler_parse_sigmas(p->schedule, &config.sigmas, err);
		if (status)
			return status;
	}
	if (p->eta > 0)
		config.eta = p->eta;
	config.flow.tokens = latent_tokens(&latents);
	int status = sampler_new(name, &config, p->steps, out, err);
	if (!status && p->last_steps)
		return sampler_start_last(*out, p->last_steps, err);
	if (!status && (p->from > 0 || (p->until > 0 && p->until < 1)))
		return sampler_cut(*out, p->from, p->until > 0 ? p->until : 1, err);
	/* A picture that is shown is not what the run starts from. */
	if (!status && p->init && !shows_picture)
		status = sampler_start(*out, p->strength, err);
	return status;
}

int run_calls(const struct pack_info *info, const struct run_params *p, int *calls,
	      struct error *err)
{
	struct sampler_config config;
	struct sampler *sampler = NULL;
	sampler_config_init(&config);
	int status = pack_scheduler_read(info, &config, err);
	sampler_config_for_latents(&config);
	config.aligned = info->family->aligned;
	if (!status)
		status = make_sampler(info, &config, p, info->shows_picture, &sampler, err);
	if (!status)
		*calls = sampler_calls(sampler);
	sampler_free(sampler);
	sampler_config_free(&config);
	return status;
}

/* With its order, where windows see the frames. */
static void draw_first(struct run *run, float *noise)
{
	run_draw_noise(run, noise);
	if (run->session->frames.window)
		run_shuffle_noise(&run->rng, noise, run->latents.channels, run->latents.frames,
				  (size_t)run->latents.height * (size_t)run->latents.width,
				  &run->session->frames);
}

static int first_latents(struct run *run, const struct run_params *p, struct error *err)
{
	enum rng_kind kind;
	size_t n = run_values(run);
	int status = rng_kind_from_name(p->rng, &kind, err);
	if (status)
		return status;
	rng_init(&run->rng, kind, p->seed);
	if (run->inpaint)
		return run_inpaint_first(run, p, err);
	if (p->from_latents) {
		run_go_on(run, p, run->x, run->prediction);
		return SUMI_OK;
	}
	if (p->init) {
		float *clean = run->x, *noise = run->prediction;
		if ((status = run_encode(run, p, false, clean, err)))
			return status;
		run_draw_noise(run, noise);
		sampler_add_noise(run->sampler, clean, noise, run->x, n);
		return SUMI_OK;
	}
	draw_first(run, run->x);
	if ((status = run_travel_noise(run, p, draw_first, err)))
		return status;
	float sigma = sampler_init_noise_sigma(run->sampler);
	for (size_t i = 0; i < n; i++)
		run->x[i] *= sigma;
	return SUMI_OK;
}

static int allocate(struct run *run, struct error *err)
{
	size_t n = run_values(run);
	run->x = malloc(n * sizeof(float));
	run->prediction = malloc(n * sizeof(float));
	run->denoised = malloc(n * sizeof(float));
	run->model_in = malloc(n * sizeof(float));
	run->model_out = malloc(n * sizeof(float));
	if (run->x && run->prediction && run->denoised && run->model_in && run->model_out)
		return SUMI_OK;
	return error_set(err, SUMI_NOMEM, "no memory for latents of %dx%d",
			 run->latents.width, run->latents.height);
}

#define IMAGE_CFG_SCALE 1.5f /* diffusers' and A1111's */

static struct guidance guidance_of(const struct run *run, const struct run_params *p, bool on)
{
	int calls = sampler_calls(run->sampler);
	return (struct guidance){
	    .on = on,
	    .from = (int)(p->guidance_start * calls),
	    .to = p->guidance_end != 0 ? (int)(p->guidance_end * calls) : calls,
	    .scale = (float)p->cfg_scale,
	    .rescale = (float)p->guidance_rescale,
	    .picture = run->shown != BESIDE_PICTURE ? 1
		       : p->image_cfg_scale != 0    ? (float)p->image_cfg_scale
						    : IMAGE_CFG_SCALE,
	};
}

/* Windows of columns, or patches. */
static int wrap_windows(struct run *run, const struct run_params *p, struct error *err)
{
	int scale = run->latents.scale;
	struct windows_shape shape = {
	    .width = run->latents.width,
	    .height = run->latents.height,
	    .overlap = (p->window ? p->overlap : p->patch_overlap) / scale,
	    .circular_x = p->window ? p->circular : p->patch_width && (run_wrap(p) & WRAP_X),
	    .circular_y = p->patch_height && (run_wrap(p) & WRAP_Y),
	};
	return windows_wrap(&run->session, &shape, err);
}

/* With the pack's denoiser, which may come when the texts are encoded and their encoders gone. */
static int begin_session(struct run *run, const struct run_params *p, struct error *err)
{
	struct denoiser_spec spec;
	struct denoiser_needs needs;
	struct conditions said;
	int status = pack_denoiser_spec(run->pack, p->fast, &spec, err);
	if (status)
		return status;
	struct denoiser_plan plan = run_plan_denoiser(&run->pack->info, p, &spec, 0);
	struct guidance guidance = guidance_of(run, p, plan.texts > 1);
	if ((status = run_encode_text(run, p, plan.texts, &said, err)))
		return status;
	uint64_t step = run_plan_step(run->pack, p, &needs) + run_control_bytes(run->pack, p);
	run->step_bytes = step;
	status = pack_denoiser_take(run->pack, p->fast, step, &run->denoiser, err);
	if (!status)
		status = run_take_controls(run, p, err);
	plan.controls = run->controls;
	plan.control_count = run->control_count;
	run_enter(run);
	if (!status && run->telling)
		status = session_new_telling(run->denoiser, &plan, run->telling, &guidance,
					     run->sampler, &run->session, err);
	else if (!status)
		status = session_new(run->denoiser, &plan, &said, &guidance, run->sampler,
				     &run->session, err);
	run_leave(run);
	conditions_free(&said);
	if (!status && p->deep_cache > 1)
		status = deep_cache_wrap(&run->session, p->deep_cache, err);
	if (!status && (p->window || p->patch_width || p->patch_height))
		status = wrap_windows(run, p, err);
	return status ? status : guard_check(err);
}

static int check_precision(const struct pack *pack, const struct run_params *p, struct error *err)
{
	enum precision precision;
	int status = precision_wanted(p, &precision, err);
	if (!status)
		status = device_set_precision(pack_device(pack), precision, err);
	pack_device(pack)->precision = PRECISION_EXACT;
	return status;
}

int run_check(struct pack *pack, const struct run_params *p, struct error *err)
{
	int status = check_params(&pack->info, p, err);
	if (!status)
		status = run_text_check(&pack->info, p, err);
	if (!status)
		status = check_precision(pack, p, err);
	if (!status)
		status = run_plan_fits(pack, p, err);
	return status ? status : run_plan_supported(pack, p, err);
}

/* All but the first latents. */
static int prepare(struct pack *pack, const struct run_params *p, struct run **out,
		   struct error *err)
{
	int status = run_check(pack, p, err);
	if (status)
		return status;
	struct denoiser_spec spec;
	status = pack_denoiser_spec(pack, p->fast, &spec, err);
	if (!status)
		status = run_inpaint_check(denoiser_beside(&spec), p, err);
	if (status)
		return status;
	struct run *run = calloc(1, sizeof *run);
	if (!run)
		return error_set(err, SUMI_NOMEM, "out of memory");
	run->pack = pack;
	run->shown = denoiser_beside(&spec);
	run->latents = run_plan_latents(&pack->info, p);
	precision_wanted(p, &run->precision, NULL); /* run_check() has read it */
	run->wrap = run_wrap(p);
	run->window = (struct window){p->window / pack->info.latents.scale, p->circular};
	if ((status = allocate(run, err)) || (status = make_sampler(&pack->info, &pack->scheduler, p,
					run->shown == BESIDE_PICTURE, &run->sampler, err)) ||
	    (status = begin_session(run, p, err)) || (status = run_digest(run, p, err)) ||
	    (status = run_inpaint_new(run, p, err)) || (status = run_lift_new(run, p, err)))
		goto fail;
	*out = run;
	return SUMI_OK;
fail:
	run_free(run);
	return status;
}

/* A decoder, or the encoder of what a run starts from, takes several times what a step does: where that much
 * stays, it and their weights would lie beside the denoiser's for all of the steps. */
static void give_back(const struct run *run)
{
	struct device *d = run->pack->device;
	uint64_t all = d->bytes_peak, used = d->bytes_in_use;
	if (!d->info.is_cpu || all <= used || all - used <= run->step_bytes + LEFT_AT_REST)
		return;
	device_trim(d);
	codec_rest(run->pack->codec);
}

int run_begin(struct pack *pack, const struct run_params *params, struct run **out,
	      struct error *err)
{
	*out = NULL;
	int status = prepare(pack, params, out, err);
	if (!status && (status = first_latents(*out, params, err))) {
		run_free(*out);
		*out = NULL;
	}
	if (!status)
		give_back(*out);
	return status;
}

void run_retire(struct run *run)
{
	session_free(run->session);
	run->session = NULL;
	run_give_controls(run);
	pack_denoiser_give(run->pack, run->denoiser);
	run->denoiser = NULL;
}

void run_free(struct run *run)
{
	if (!run)
		return;
	run_retire(run);
	telling_free(run->telling);
	sampler_free(run->sampler);
	free(run->x);
	free(run->prediction);
	free(run->denoised);
	free(run->model_in);
	free(run->model_out);
	run_inpaint_free(run->inpaint);
	run_lift_free(run->lift);
	free(run);
}

int run_restore(struct pack *pack, const struct run_params *params, const void *data, size_t size,
		struct run **out, struct error *err)
{
	*out = NULL;
	int status = prepare(pack, params, out, err);
	/* What stays and what is shown come from the parameters, not from what was saved. */
	if (!status && (*out)->inpaint && (status = first_latents(*out, params, err))) {
		run_free(*out);
		*out = NULL;
	}
	if (!status && (status = run_load(*out, run_values(*out), data, size, err))) {
		run_free(*out);
		*out = NULL;
	}
	if (!status)
		give_back(*out);
	return status;
}

int run_save(const struct run *run, void **data, size_t *size, struct error *err)
{
	return run_store(run, run_values(run), data, size, err);
}

/* ---- steps ------------------------------------------------------------------------ */

const struct pack *run_pack(const struct run *run)
{
	return run->pack;
}

int run_steps(const struct run *run)
{
	return sampler_calls(run->sampler);
}

int run_steps_done(const struct run *run)
{
	return sampler_done(run->sampler);
}

/* The question of that call, with the latents as the model wants them. */
static struct session_call question(struct run *run, int call)
{
	sampler_scale_input(run->sampler, call, run_inpaint_seen(run, call), run->prediction,
			    run_values(run));
	run_to_models(run, run->prediction, run->model_in);
	return (struct session_call){
	    .number = call,
	    .latents = run->model_in,
	    .beside = run_inpaint_beside(run),
	    .prediction = run->model_out,
	};
}

/* What the model said, as the sampler wants it. */
static int answer(struct run *run, int call, struct error *err)
{
	run_from_models(run, run->model_out, run->prediction);
	run_inpaint_answer(run, call);
	return run_lift_answer(run, call, err);
}

static int move(struct run *run, int call, struct error *err)
{
	int status = sampler_step(run->sampler, call, run->prediction, run->x, run_values(run),
				  &run->rng, err);
	if (!status)
		run_inpaint_settle(run, call);
	return status;
}

int run_step(struct run *run, struct error *err)
{
	int call = sampler_done(run->sampler);
	if (call >= sampler_calls(run->sampler))
		return error_set(err, SUMI_INVALID, "the run has no step left");
	struct session_call asked = question(run, call);
	run_enter(run);
	int status = session_predict(run->session, &asked, err);
	run_leave(run);
	if (status)
		return status;
	status = answer(run, call, err);
	return status ? status : move(run, call, err);
}

bool run_joins(const struct run *a, const struct run *b)
{
	return a->session && b->session && a->precision == b->precision &&
	       session_joins(a->session, b->session);
}

int run_most_together(const struct run *run)
{
	const struct device *device = run->pack->device;
	int pixels = run->latents.height * run->latents.width;
	if (!run_joins(run, run) || (device->info.is_cpu && pixels > CPU_LATENTS_TOGETHER))
		return 1;
	const struct denoiser *denoiser = run->session->denoiser;
	struct denoiser_plan plan = run->session->plan;
	plan.tokens = run->pack->texts.tokens;
	uint64_t most = RUN_TOGETHER_MAX;
	uint64_t bytes = denoiser->kind->memory(denoiser, &plan, device->activation_dtype, NULL);
	if (bytes == 0)
		return 1;
	if (device->info.memory > 0 && device->info.memory / MEMORY_SHARE / bytes < most)
		most = device->info.memory / MEMORY_SHARE / bytes;
	return most > 1 ? (int)most : 1;
}

static int predict_together(struct run *const *runs, int count, struct error *err)
{
	int status = SUMI_OK;
	struct session **sessions = calloc((size_t)count, sizeof *sessions);
	struct session_call *calls = calloc((size_t)count, sizeof *calls);
	if (!sessions || !calls)
		status = error_set(err, SUMI_NOMEM, "out of memory");
	for (int i = 0; i < count && !status; i++) {
		int call = sampler_done(runs[i]->sampler);
		sessions[i] = runs[i]->session;
		if (call >= sampler_calls(runs[i]->sampler))
			status = error_set(err, SUMI_INVALID, "the run has no step left");
		else if (!run_joins(runs[0], runs[i]))
			status =
			    error_set(err, SUMI_INVALID, "run %d does not join the first", i + 1);
		else
			calls[i] = question(runs[i], call);
	}
	run_enter(runs[0]);
	if (!status)
		status = session_predict_together(sessions, calls, count, err);
	run_leave(runs[0]);
	free(sessions);
	free(calls);
	return status;
}

int run_step_together(struct run *const *runs, int count, struct error *err)
{
	size_t n = run_values(runs[0]);
	int status = predict_together(runs, count, err);
	/* Nobody moves before all can. */
	for (int i = 0; i < count && !status; i++) {
		status = answer(runs[i], sampler_done(runs[i]->sampler), err);
		if (!status)
			status = sampler_check(runs[i]->sampler, sampler_done(runs[i]->sampler),
					       runs[i]->prediction, n, err);
	}
	for (int i = 0; i < count && !status; i++)
		status = move(runs[i], sampler_done(runs[i]->sampler), err);
	return status;
}


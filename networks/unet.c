/* The UNet's forward pass. */
#include "networks/unet.h"

#include <stdlib.h>
#include <string.h>

#include "networks/unet_internal.h"
#include "weights/overlay.h"

/* --- life --- */

int unet_open(struct device *device, const char *folder, struct unet **out, struct error *err)
{
	return unet_open_with(device, folder, NULL, out, err);
}

int unet_open_with(struct device *device, const char *folder, const struct overlays *on,
		   struct unet **out, struct error *err)
{
	*out = NULL;
	struct weights *files = NULL;
	struct unet *u = calloc(1, sizeof *u);
	if (!u)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", folder);
	u->set.device = device;
	u->set.adapts = true;
	int status = unet_config_read(folder, &u->config, err);
	if (!status)
		status = weights_open_with(folder, on, &files, err);
	if (!status)
		status = unet_build(u, files, err);
	if (!status)
		status = weights_check_unused(files, "", err);
	weights_close(files);
	if (!status && on && on->thin)
		status = unet_adapt(u, folder, on, err);
	if (status) {
		unet_close(u);
		return status;
	}
	*out = u;
	return SUMI_OK;
}

void unet_close(struct unet *u)
{
	if (!u)
		return;
	unet_clear(u);
	free(u);
}

int unet_adapt(struct unet *u, const char *folder, const struct overlays *on, struct error *err)
{
	return thin_put(&u->set.thin, u->set.device, folder, on, err);
}

int unet_motion_open(struct unet *u, const char *folder, const struct overlays *on,
		     struct error *err)
{
	struct weights *files = NULL;
	int status = motion_config_read(folder, &u->config, &u->motion, err);
	if (!status)
		status = weights_open_with(folder, on, &files, err);
	if (!status)
		status = unet_build_motion(u, files, err);
	if (!status)
		status = weights_check_unused(files, "", err);
	weights_close(files);
	return status;
}

const struct unet_config *unet_config(const struct unet *u)
{
	return &u->config;
}

void unet_rest(const struct unet *u)
{
	packed_rest(u->set.packed);
}

/* --- features --- */

int unet_features_new(struct unet *u, int level, struct unet_features **out, struct error *err)
{
	*out = NULL;
	if (level < 1 || level >= u->skip_count)
		return error_set(err, SUMI_INVALID,
				 "deep_cache_level is %d, this model has 1 to %d", level,
				 u->skip_count - 1);
	*out = calloc(1, sizeof **out);
	if (!*out)
		return error_set(err, SUMI_NOMEM, "out of memory");
	(*out)->device = u->set.device;
	(*out)->level = level;
	return SUMI_OK;
}

void unet_features_free(struct unet_features *features)
{
	if (!features)
		return;
	device_buffer_free(features->device, features->kept.t.buffer);
	free(features);
}

/* --- forward --- */

static bool is_like(const struct map *a, const struct map *b)
{
	return a->n == b->n && a->h == b->h && a->w == b->w && a->t.c == b->t.c &&
	       a->t.dtype == b->t.dtype;
}

/* Between the features and their place in a skip: kept by a whole pass, put back by another. */
static void exchange_features(struct pass *p, const struct unet_flow *f, struct map place)
{
	struct map *kept = &f->features->kept;
	bool shallow = f->depth < f->u->skip_count;
	if (shallow && p->device && !(kept->t.buffer && is_like(kept, &place))) {
		pass_fail(p, SUMI_INVALID, "there are no features of latents of this size");
		return;
	}
	if (!shallow && !(kept->t.buffer && is_like(kept, &place))) {
		pass_free(p, kept);
		*kept = pass_new(p, place.n, place.h, place.w, place.t.c);
	}
	pass_scale(p, shallow ? *kept : place, 1, shallow ? place : *kept);
}

/* Where the way up puts its next result. */
static struct map next_up(const struct unet_flow *f)
{
	return map_slice(f->joined[f->made - 1], 0, f->u->skips[f->made - 1].up);
}

/* Runs one stage of the way up, or what of it lies above the features. Its last result goes to the
 * next stage's first place or, at the top, into *out, a new temporary. */
static void up_forward(struct pass *p, struct unet_flow *f, int index, struct map *out)
{
	const struct unet_stage *s = &f->u->up[index];
	char stage[WEIGHT_NAME_MAX];
	weight_name(stage, "up_blocks.%d", index);
	for (int i = 0; i < s->count; i++) {
		if (--f->made >= f->depth)
			continue;
		struct map x = f->joined[f->made], y;
		bool last = i == s->count - 1;
		if (f->features && f->made == f->features->level - 1)
			exchange_features(p, f, map_slice(x, 0, f->u->skips[f->made].up));
		if (last)
			y = pass_new(p, x.n, x.h, x.w, s->channels);
		else
			y = next_up(f);
		unet_layer_forward(p, f, &s->layers[i], x, y, stage, i);
		pass_free(p, &x);
		if (last)
			*out = y;
	}
	if (f->made >= f->depth)
		return;
	if (s->resamples) {
		struct map y = next_up(f);
		pass_conv_up(p, &s->resample, *out, y);
		pass_free(p, out);
		pass_tap(p, &y, "up.%d", index);
	} else {
		pass_tap(p, out, "up.%d", index);
	}
}

/* What others say of the skip connections that this pass has made, and of its middle. */
static void add_residuals(struct pass *p, const struct unet_flow *f, const struct unet_input *in)
{
	for (int i = 0; i < f->made; i++) {
		const struct unet_skip *s = &f->u->skips[i];
		residuals_apply(p, in->residuals, RESIDUAL_SKIP, i,
				map_slice(f->joined[i], s->up, s->skip));
	}
	if (!in->shallow)
		residuals_apply(p, in->residuals, RESIDUAL_MIDDLE, 0, next_up(f));
}

static void forward(struct pass *p, struct unet_flow *f, const struct unet_input *in, float *prediction)
{
	const struct unet *u = f->u;
	f->features = in->features;
	f->depth = in->shallow ? in->features->level : u->skip_count;
	struct map x = unet_way_down(p, f, in, NULL);
	if (!in->shallow)
		unet_middle_forward(p, f, x, next_up(f));
	add_residuals(p, f, in);
	f->made = u->skip_count;
	struct map out = {0};
	for (int i = 0; i < u->config.levels; i++)
		up_forward(p, f, i, &out);
	pass_free(p, &f->time);
	pass_norm(p, &u->norm_out, out, out, ACT_SILU);
	struct map y = pass_new(p, in->n, in->h, in->w, u->config.out_channels);
	pass_conv(p, &u->conv_out, out, y, (struct conv2d_args){0});
	pass_free(p, &out);
	pass_tap(p, &y, "out");
	pass_download(p, &y, prediction);
	pass_free(p, &y);
}

/* Latents in a pass from which on weights that are lean leave the process behind each block: it takes so long
 * then that reading them again from the system's cache is a hundredth of it. */
enum { LEAN_LATENTS = 128 * 128 };

/* The same for a part of weights that are quantised: two pictures of 64 x 64. */
enum { TIGHT_LATENTS = 2 * 64 * 64 };

static void make_lean(struct pass *p, const struct unet *u, const struct unet_input *in)
{
	const struct packed *packed = u->set.packed;
	int64_t latents = (int64_t)in->n * in->h * in->w;
	p->lean_partly = latents < LEAN_LATENTS;
	if (latents >= LEAN_LATENTS ? packed_is_lean(packed) : latents >= TIGHT_LATENTS && packed_is_tight(packed))
		p->lean = packed;
}

/* `texts`: those of the batch, part by part. */
static int run_pass(struct unet *u, const struct unet_input *in, struct text_batch texts,
		    float *prediction, struct error *err)
{
	struct unet_flow *f = calloc(1, sizeof *f);
	if (!f)
		return error_set(err, SUMI_NOMEM, "out of memory for a forward pass");
	f->u = u;
	f->texts = texts;
	f->motion = &in->motion;
	struct pass p = pass_begin(u->set.device, &in->tap, err);
	p.wrap = in->wrap;
	make_lean(&p, u, in);
	forward(&p, f, in, prediction);
	free(f);
	return p.status;
}

int unet_forward(struct unet *u, const struct unet_input *in, float *prediction, struct error *err)
{
	struct text_part part;
	int status = unet_take_text(u, in, &part, err);
	if (status)
		return status;
	status = run_pass(u, in, (struct text_batch){&part, 1}, prediction, err);
	unet_drop_text(in, &part);
	return status;
}

/* --- several inputs --- */

/* One input made of all, and its prediction. */
struct joint {
	struct unet_input in;
	float *memory; /* what in's pointers and prediction lie in */
	float *prediction;
	struct text_part *parts; /* [count] */
	int count;               /* of parts that are taken */
};

static int joint_new(struct joint *j, const struct unet *u, const struct unet_input *in, int count,
		     struct error *err)
{
	const struct unet_config *c = &u->config;
	int n = 0;
	for (int i = 0; i < count; i++) {
		if (in[i].h != in->h || in[i].w != in->w || in[i].features || in[i].tap.call || in[i].residuals || in[i].wrap != in->wrap ||
		    in[i].motion.frames > 1 || !in[i].time_cond != !in->time_cond)
			return error_set(err, SUMI_INVALID,
					 "latents: input %d cannot be evaluated beside the first",
					 i + 1);
		n += in[i].n;
	}
	size_t pixels = (size_t)n * (size_t)in->h * (size_t)in->w;
	size_t latents = pixels * (size_t)c->in_channels, times = (size_t)n;
	size_t cond = in->time_cond ? times * (size_t)c->time_cond : 0;
	size_t added = in->added ? times * (size_t)c->time_width : 0;
	j->parts = calloc((size_t)count, sizeof *j->parts);
	j->memory = malloc((latents + times + cond + added + pixels * (size_t)c->out_channels) *
			   sizeof *j->memory);
	if (!j->parts || !j->memory)
		return error_set(err, SUMI_NOMEM, "out of memory for latents");
	float *to = j->memory, *time = to + latents, *to_cond = time + times;
	float *to_added = to_cond + cond;
	j->prediction = to_added + added;
	j->in = (struct unet_input){.latents = to, .n = n, .h = in->h, .w = in->w, .wrap = in->wrap};
	j->in.timesteps = time;
	j->in.time_cond = in->time_cond ? to_cond : NULL;
	j->in.added = in->added ? to_added : NULL;
	for (int i = 0; i < count; i++) {
		int status = unet_take_text(u, &in[i], &j->parts[i], err);
		if (status)
			return status;
		j->count++;
		size_t own = (size_t)in[i].n, values = latents / times * own;
		memcpy(to, in[i].latents, values * sizeof *to);
		memcpy(time, in[i].timesteps, own * sizeof *time);
		if (cond > 0)
			memcpy(to_cond, in[i].time_cond, cond / times * own * sizeof *to_cond);
		to += values;
		time += own;
		to_cond += cond / times * own;
		if (added > 0)
			memcpy(to_added, in[i].added, added / times * own * sizeof *to_added);
		to_added += added / times * own;
	}
	return SUMI_OK;
}

static void joint_free(struct joint *j, const struct unet_input *in)
{
	for (int i = 0; i < j->count; i++)
		unet_drop_text(&in[i], &j->parts[i]);
	free(j->parts);
	free(j->memory);
}

int unet_forward_many(struct unet *u, const struct unet_input *in, int count,
		      float *const *predictions, struct error *err)
{
	struct joint j = {0};
	if (count == 1)
		return unet_forward(u, in, predictions[0], err);
	int status = joint_new(&j, u, in, count, err);
	if (!status)
		status =
		    run_pass(u, &j.in, (struct text_batch){j.parts, j.count}, j.prediction, err);
	const float *from = j.prediction;
	for (int i = 0; i < count && !status; i++) {
		size_t values = (size_t)in[i].n * (size_t)in->h * (size_t)in->w *
				(size_t)u->config.out_channels;
		memcpy(predictions[i], from, values * sizeof *from);
		from += values;
	}
	joint_free(&j, in);
	return status;
}

/* --- planning --- */

/* Goes the way of such a pass. false: no memory, or it failed. */
static bool plan_pass(struct pass *p, const struct unet_plan *plan, struct unet_needs *needs)
{
	bool done = false;
	struct text_cache cache = {.n = plan->texts, .tokens = plan->tokens};
	struct unet_flow *f = calloc(1, sizeof *f);
	struct unet *u = calloc(1, sizeof *u);
	p->thin = plan->thin;
	p->wrap = plan->wrap;
	if (!f || !u)
		goto done;
	u->config = *plan->config;
	if (plan->adapter)
		u->motion = *plan->adapter;
	if (unet_build(u, NULL, NULL) || (plan->adapter && unet_build_motion(u, NULL, NULL)))
		goto clear;
	cache.kv = calloc((size_t)u->text_count, sizeof *cache.kv);
	if (!cache.kv)
		goto clear;
	unet_fill_cache(p, u, NULL, &cache);
	if (needs)
		*needs = (struct unet_needs){.text = p->bytes};
	uint64_t before = p->products;
	struct unet_input in = {.n = plan->n, .h = plan->h, .w = plan->w};
	const struct text_part part = {.cache = cache, .pictures = plan->n};
	struct unet_features features = {.level = plan->level};
	if (plan->level)
		in.features = &features;
	/* The second time the features are there from the beginning. */
	for (int i = 0; i < (plan->level ? 2 : 1); i++) {
		*f = (struct unet_flow){.u = u, .texts = {&part, 1}, .motion = &plan->motion};
		forward(p, f, &in, NULL);
	}
	if (needs) {
		needs->largest = p->bytes_largest;
		needs->products = p->products - before;
	}
	done = true;
	free(cache.kv);
clear:
	unet_clear(u);
done:
	free(u);
	free(f);
	return done;
}

uint64_t unet_memory(const struct unet_plan *plan, struct unet_needs *needs)
{
	struct pass p = pass_plan(plan->dtype);
	return plan_pass(&p, plan, needs) ? p.bytes_peak : 0;
}

int unet_supported(const struct unet_plan *plan, const struct device *device, struct error *err)
{
	struct pass p = pass_plan(plan->dtype);
	p.asked = device;
	p.err = err;
	if (!plan_pass(&p, plan, NULL))
		return error_set(err, SUMI_NOMEM, "out of memory for the plan of a step");
	return p.status;
}

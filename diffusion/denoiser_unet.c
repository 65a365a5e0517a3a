/* UNet2DConditionModel, with or without motion modules, as a denoiser. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "diffusion/adapters.h"
#include "diffusion/denoiser_unet.h"
#include "diffusion/pack.h"
#include "weights/checkpoint.h"

/* AnimateDiff was trained on 16 frames; the stride is diffusers' default for FreeNoise. */
enum { CONTEXT_LENGTH = 16, CONTEXT_STRIDE = 4 };

struct unet_denoiser {
	struct denoiser base;
	struct unet *unet; /* NULL: its configs alone are known */
	struct device *device; /* borrowed, with it */
	struct unet_config config;
	struct motion_config motion; /* positions 0: there are no motion modules */
	int thin;                    /* ranks of what lies beside its weights */
};

struct unet_session {
	struct denoiser_session base;
	struct unet *unet; /* borrowed */
	struct unet_text *text;
	struct unet_features *features; /* NULL: no evaluation is shallow */
	struct motion_context motion;
	int frames, h, w, in, texts;
	unsigned wrap;
	float *latents;   /* [texts · frames, h, w, in]; NULL for one text */
	float *timesteps; /* [texts · frames] */
	float *time_cond; /* [frames, config.time_cond] or NULL */
	float *added;     /* [texts · frames, config.time_width] or NULL */
	size_t added_one; /* of one text */
	struct unet_controls *controls; /* NULL: none */
	struct unet_looks *looks;       /* likewise */
};

/* ---- the network ------------------------------------------------------------------- */

static const struct unet_denoiser *unet_of(const struct denoiser *denoiser)
{
	return (const struct unet_denoiser *)denoiser;
}

static void close_unet(struct denoiser *denoiser)
{
	unet_close(unet_of(denoiser)->unet);
	free(denoiser);
}

static int open_motion(struct unet_denoiser *d, const struct pack_info *info, struct error *err)
{
	char folder[FILES_PATH_MAX];
	int status = info->has_motion ? pack_part(info, "motion_adapter", folder, err) : SUMI_OK;
	if (status || !info->has_motion)
		return status;
	status = motion_config_read(folder, &d->config, &d->motion, err);
	struct overlays on = {.store = info->store};
	return status || !d->unet ? status : unet_motion_open(d->unet, folder, &on, err);
}

static int open_unet(const struct denoiser_kind *kind, struct device *device,
		     const struct pack_info *info, const char *part, struct denoiser **out,
		     struct error *err)
{
	char folder[FILES_PATH_MAX];
	struct overlays on;
	struct unet_denoiser *d = calloc(1, sizeof *d);
	if (!d)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", info->path);
	d->base.kind = kind;
	d->device = device;
	d->thin = adapters_thin(info->adapters);
	int status = pack_part(info, part, folder, err);
	if (!status)
		status = device ? unet_open_with(device, folder, adapters_on(info, part, &on), &d->unet,
						 err)
				: unet_config_read(folder, &d->config, err);
	if (!status && device)
		d->config = *unet_config(d->unet);
	if (!status)
		status = open_motion(d, info, err);
	if (status) {
		close_unet(&d->base);
		return status;
	}
	*out = &d->base;
	return SUMI_OK;
}

static int adapt(struct denoiser *denoiser, const struct pack_info *info, const char *part,
		 struct error *err)
{
	char folder[FILES_PATH_MAX];
	struct overlays on;
	struct unet_denoiser *d = (struct unet_denoiser *)denoiser;
	d->thin = adapters_thin(info->adapters);
	int status = pack_part(info, part, folder, err);
	return status || !d->unet ? status
				  : unet_adapt(d->unet, folder, adapters_on(info, part, &on), err);
}

/* Also of a network that cannot be opened. */
static int read_size(const struct pack_info *info, const char *part, int *height, int *width,
		     struct error *err)
{
	enum { CONFIG_LIMIT = 1 << 20, SIDE_MAX = 1024 };
	char file[FILES_PATH_MAX], path[FILES_PATH_MAX];
	json_t *root;
	int status = files_path(file, err, "%s/config.json", part);
	if (status || (status = pack_part(info, file, path, err)) ||
	    (status = part_json_read(path, CONFIG_LIMIT, &root, err)))
		return status;
	int64_t w = 64, h = 64;
	const json_t *size = json_object_get(root, "sample_size");
	if (!json_is_object(root)) {
		status = error_set(err, SUMI_INVALID, "%s: must hold one JSON object", path);
	} else if (json_is_array(size) && json_array_size(size) == 2) {
		h = json_integer_value(json_array_get(size, 0));
		w = json_integer_value(json_array_get(size, 1));
	} else {
		status = json_want_int(root, path, "sample_size", 1, SIDE_MAX, &w, err);
		h = w;
	}
	json_decref(root);
	if (!status && (w < 1 || h < 1 || w > SIDE_MAX || h > SIDE_MAX))
		status = error_set(err, SUMI_INVALID, "%s: 'sample_size' must be 1 to %d", path,
				   SIDE_MAX);
	*width = (int)w;
	*height = (int)h;
	return status;
}

static void describe(const struct denoiser *denoiser, struct denoiser_spec *out)
{
	const struct unet_config *c = &unet_of(denoiser)->config;
	*out = (struct denoiser_spec){
	    .in = c->in_channels,
	    .out = c->out_channels,
	    .embeds_guidance = c->time_cond > 0,
	};
	/* A skip connection from the input, each residual block and each step down; the lowest is
	 * the whole way. */
	out->levels = c->levels - 1;
	for (int i = 0; i < c->levels; i++)
		out->levels += c->layers[i];
}

static int accepts(const struct denoiser *denoiser, const struct conditioner_shape *shape,
		   struct error *err)
{
	const struct unet_config *c = &unet_of(denoiser)->config;
	if (c->context != shape->width)
		return error_set(err, SUMI_INVALID,
				 "the UNet wants text embeddings of %d channels "
				 "(cross_attention_dim), the text encoder gives %d",
				 c->context, shape->width);
	if (c->added && c->added != shape->pooled + shape->ids * c->added_time)
		return error_set(err, SUMI_INVALID,
				 "the UNet wants %d channels beside the time "
				 "(projection_class_embeddings_input_dim), a pooled text of %d and "
				 "%d numbers of %d are %d",
				 c->added, shape->pooled, shape->ids, c->added_time,
				 shape->pooled + shape->ids * c->added_time);
	return SUMI_OK;
}

static int takes(const struct denoiser *denoiser, const struct control *control, struct error *err)
{
	return unet_takes_control(&unet_of(denoiser)->config, control, err);
}

static void rest(const struct denoiser *denoiser)
{
	unet_rest(unet_of(denoiser)->unet);
}

/* All frames at once, or where that is too many, FreeNoise's windows. positions: frames that the
 * motion modules know, 0: there are none. */
static struct motion_context context_of(const struct denoiser_plan *p, int positions)
{
	struct motion_context c = {.frames = p->frames};
	if (positions == 0 || p->frames < 2)
		return (struct motion_context){0};
	int length = positions < CONTEXT_LENGTH ? positions : CONTEXT_LENGTH;
	/* A circle needs windows that reach across its seam, also where all frames would fit. */
	if (p->circular && p->frames <= length)
		length = (p->frames + 1) / 2;
	if (p->frames > length) {
		c.length = length;
		c.stride = length > CONTEXT_STRIDE ? CONTEXT_STRIDE : 1;
		c.circular = p->circular;
	}
	return c;
}

/* A plan in the network's words; false where its frames cannot be seen together so. */
static bool plan_unet(const struct unet_denoiser *d, const struct denoiser_plan *plan,
		      enum dtype dtype, struct unet_plan *out)
{
	*out = (struct unet_plan){
	    .config = &d->config,
	    .texts = plan->texts * (plan->travels ? plan->frames : 1),
	    .tokens = plan->tokens,
	    .n = plan->texts * plan->frames,
	    .h = plan->h,
	    .w = plan->w,
	    .wrap = plan->wrap,
	    .level = plan->level,
	    .dtype = dtype,
	    .thin = d->thin,
	};
	if (!d->motion.positions)
		return true;
	out->adapter = &d->motion;
	out->motion = context_of(plan, d->motion.positions);
	return motion_context_check(&out->motion, d->motion.positions, NULL) == SUMI_OK;
}

static int supported(const struct denoiser *denoiser, const struct denoiser_plan *plan,
		     const struct device *device, struct error *err)
{
	struct unet_plan unet;
	if (!plan_unet(unet_of(denoiser), plan, device->activation_dtype, &unet))
		return SUMI_OK; /* a session says what is wrong with them */
	return unet_supported(&unet, device, err);
}

static uint64_t memory(const struct denoiser *denoiser, const struct denoiser_plan *plan,
		       enum dtype dtype, struct denoiser_needs *needs)
{
	struct unet_needs took = {0};
	struct unet_plan unet;
	struct controlnet_needs beside;
	if (!plan_unet(unet_of(denoiser), plan, dtype, &unet))
		return 0;
	uint64_t bytes = unet_memory(&unet, &took);
	if (bytes == 0 || !unet_controls_memory(plan, &unet, &beside))
		return 0;
	uint64_t more, looks = unet_looks_memory(plan, &unet, &more);
	if (needs)
		*needs = (struct denoiser_needs){
		    .text = took.text + beside.kept + beside.residuals + looks,
		    .largest = took.largest > beside.largest ? took.largest : beside.largest,
		    .products = took.products,
		};
	bytes += more;
	/* One after the other; the texts' keys and values of the UNet stand beside a call of another. */
	uint64_t other = beside.step + took.text;
	return (bytes > other ? bytes : other) + beside.kept + beside.residuals + looks;
}

/* ---- sessions ---------------------------------------------------------------------- */

/* What a distilled model wants to know of the guidance, instead of two evaluations:
 * diffusers' get_guidance_scale_embedding of guidance − 1. */
static int embed_guidance(struct unet_session *s, int dim, double scale, struct error *err)
{
	int half = dim / 2;
	if (dim == 0)
		return SUMI_OK;
	s->time_cond = calloc((size_t)s->frames * (size_t)dim, sizeof(float));
	if (!s->time_cond)
		return error_set(err, SUMI_NOMEM, "out of memory");
	float w = (float)(scale - 1) * 1000.0f;
	for (int i = 0; i < half; i++) {
		float frequency = expf((float)i * -(logf(10000.0f) / (float)(half - 1)));
		for (int f = 0; f < s->frames; f++) {
			s->time_cond[f * dim + i] = sinf(w * frequency);
			s->time_cond[f * dim + half + i] = cosf(w * frequency);
		}
	}
	return SUMI_OK;
}

static int plan_frames(struct unet_session *s, const struct denoiser_plan *plan, int positions,
		       struct error *err)
{
	s->motion = context_of(plan, positions);
	s->base.frames = (struct denoiser_frames){
	    .together = s->motion.frames > 0,
	    .window = s->motion.length,
	    .stride = s->motion.stride,
	};
	return s->motion.frames ? motion_context_check(&s->motion, positions, err) : SUMI_OK;
}

static int allocate(struct unet_session *s, struct error *err)
{
	size_t n = (size_t)s->texts * (size_t)s->frames;
	size_t one = (size_t)s->h * (size_t)s->w * (size_t)s->in;
	s->timesteps = malloc(n * sizeof *s->timesteps);
	if (s->texts > 1)
		s->latents = malloc(n * one * sizeof *s->latents);
	if (s->timesteps && (s->latents || s->texts == 1))
		return SUMI_OK;
	return error_set(err, SUMI_NOMEM, "no memory for latents of %dx%d", s->w, s->h);
}

static void end(struct denoiser_session *session)
{
	struct unet_session *s = (struct unet_session *)session;
	unet_text_free(s->text);
	unet_features_free(s->features);
	unet_controls_free(s->controls);
	unet_looks_free(s->looks);
	free(s->latents);
	free(s->timesteps);
	free(s->time_cond);
	free(s->added);
	free(s);
}

static int prepare(struct denoiser *denoiser, const struct denoiser_plan *plan,
		   const struct conditions *said, struct denoiser_session **out, struct error *err)
{
	const struct unet_denoiser *d = unet_of(denoiser);
	const struct condition *tokens = conditions_get(said, CONDITION_TOKENS);
	*out = NULL;
	if (!tokens || tokens->width != d->config.context)
		return error_set(err, SUMI_INVALID,
				 "the UNet wants a text's tokens of %d channels", d->config.context);
	struct unet_session *s = calloc(1, sizeof *s);
	if (!s)
		return error_set(err, SUMI_NOMEM, "out of memory");
	s->base.denoiser = denoiser;
	s->unet = d->unet;
	s->frames = plan->frames;
	s->h = plan->h;
	s->w = plan->w;
	s->wrap = plan->wrap;
	s->in = d->config.in_channels;
	s->texts = plan->texts;
	s->added_one = (size_t)s->frames * (size_t)d->config.time_width;
	int status = plan_frames(s, plan, d->motion.positions, err);
	if (!status)
		status = allocate(s, err);
	if (!status && plan->level)
		status = unet_features_new(d->unet, plan->level, &s->features, err);
	if (!status)
		status = embed_guidance(s, d->config.time_cond, plan->guidance, err);
	if (!status)
		status = unet_embed_conditions(d->unet, said, plan->travels ? 1 : s->frames, &s->added, err);
	if (!status)
		status = unet_text_new(d->unet, tokens->values, said->n, tokens->rows, &s->text, err);
	if (!status)
		status = unet_controls_new(d->device, &d->config, plan, said, &s->controls, err);
	if (!status)
		status = unet_looks_new(d->device, d->unet, plan, said->n, &s->looks, err);
	if (status) {
		end(&s->base);
		return status;
	}
	*out = &s->base;
	return SUMI_OK;
}

/* The whole UNet's input for one of the denoiser's. */
static struct unet_input question(const struct denoiser_input *in)
{
	struct unet_session *s = (struct unet_session *)in->session;
	int texts = in->text ? 1 : s->texts;
	size_t one = (size_t)s->frames * (size_t)s->h * (size_t)s->w * (size_t)s->in;
	for (int i = 0; i < texts * s->frames; i++)
		s->timesteps[i] = in->timestep;
	for (int i = 0; texts > 1 && i < texts; i++)
		memcpy(s->latents + (size_t)i * one, in->latents, one * sizeof(float));
	return (struct unet_input){
	    .latents = texts > 1 ? s->latents : in->latents,
	    .n = texts * s->frames,
	    .h = s->h,
	    .w = s->w,
	    .timesteps = s->timesteps,
	    .time_cond = s->time_cond,
	    .added = s->added && in->text ? s->added + (size_t)(in->text - 1) * s->added_one
					  : s->added,
	    .text = s->text,
	    .only_text = in->text,
	    .features = s->features,
	    .shallow = in->shallow,
	    .wrap = s->wrap,
	    .motion = s->motion,
	};
}

static int evaluate(const struct denoiser_input *in, int count, struct error *err)
{
	struct unet *unet = ((struct unet_session *)in->session)->unet;
	if (count == 1) {
		struct unet_input one = question(in);
		const struct unet_session *s = (const struct unet_session *)in->session;
		int status = unet_controls_ask(s->controls, in->strengths, in->text ? 1 : s->texts, s->in,
					       &one, err);
		unet_looks_ask(s->looks, in->strengths, &one);
		return status ? status : unet_forward(unet, &one, in->prediction, err);
	}
	struct unet_input *all = calloc((size_t)count, sizeof *all);
	float **out = calloc((size_t)count, sizeof *out);
	int status = SUMI_OK;
	if (!all || !out)
		status = error_set(err, SUMI_NOMEM, "out of memory");
	for (int i = 0; i < count && !status; i++) {
		all[i] = question(&in[i]);
		out[i] = in[i].prediction;
	}
	if (!status)
		status = unet_forward_many(unet, all, count, out, err);
	free(out);
	free(all);
	return status;
}

static bool joins(const struct denoiser_session *a, const struct denoiser_session *b)
{
	const struct unet_session *one = (const struct unet_session *)a;
	const struct unet_session *other = (const struct unet_session *)b;
	return one->h == other->h && one->w == other->w && one->wrap == other->wrap && one->frames == 1 && other->frames == 1 &&
	       !one->features && !other->features && !one->controls && !other->controls &&
	       !one->looks && !other->looks;
}

const struct denoiser_kind denoiser_unet = {
    .name = "unet",
    .open = open_unet,
    .close = close_unet,
    .adapt = adapt,
    .size = read_size,
    .spec = describe,
    .accepts = accepts,
    .takes = takes,
    .memory = memory,
    .supported = supported,
    .prepare = prepare,
    .end = end,
    .evaluate = evaluate,
    .joins = joins,
    .rest = rest,
};

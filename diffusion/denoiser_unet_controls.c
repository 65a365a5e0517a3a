/* Networks that see a picture beside a UNet: what each keeps for a session, and what they say in a step. */
#include <stdlib.h>
#include <string.h>

#include "diffusion/denoiser_unet.h"

enum { PIXELS = 8 }; /* that a latent stands for, in plans */

/* One of them. */
struct beside {
	int control;                   /* in the plan */
	struct t2i_features *features; /* of a T2I-Adapter; else NULL, and: */
	struct controlnet *net;        /* borrowed */
	struct unet_text *text;
	struct control_hint *hint;
	float *added;     /* as a UNet session's, or NULL */
	size_t added_one; /* of one text */
	bool guess;
};

struct unet_controls {
	struct residuals *residuals;
	int levels; /* of the UNet */
	float *latents; /* of as many channels as the networks take; NULL: as many as the UNet */
	int count;
	struct beside all[];
};

static size_t latent_values(const struct denoiser_plan *plan, int channels)
{
	return (size_t)plan->texts * (size_t)plan->frames * (size_t)plan->h * (size_t)plan->w *
	       (size_t)channels;
}

static bool is_beside(const struct control_use *use)
{
	return use->control->type == CONTROL_NET || use->control->type == CONTROL_T2I;
}

static int prepare_t2i(struct beside *b, const struct control_use *use, unsigned wrap, struct error *err)
{
	return t2i_features_new(use->control->t2i, use->picture, use->height, use->width, wrap, &b->features,
				err);
}

static int prepare(struct beside *b, const struct denoiser_plan *plan, const struct control_use *use,
		   const struct conditions *said, struct error *err)
{
	const struct condition *tokens = conditions_get(said, CONDITION_TOKENS);
	struct unet *trunk = controlnet_trunk(use->control->net);
	b->net = use->control->net;
	b->guess = use->guess;
	b->added_one = (size_t)plan->frames * (size_t)unet_config(trunk)->time_width;
	struct control_picture picture = {use->picture, use->height, use->width, plan->h, plan->w, plan->wrap,
					  use->kind};
	int status = control_hint_new(b->net, &picture, &b->hint, err);
	if (!status)
		status = unet_embed_conditions(trunk, said, plan->frames, &b->added, err);
	const float *more = status ? NULL : control_hint_added(b->hint);
	size_t count = more && b->added ? (size_t)said->n * b->added_one : 0;
	for (size_t i = 0; i < count; i++)
		b->added[i] += more[i % (size_t)unet_config(trunk)->time_width];
	return status ? status
		      : unet_text_new(trunk, tokens->values, said->n, tokens->rows, &b->text, err);
}

int unet_controls_new(struct device *device, const struct unet_config *config,
		      const struct denoiser_plan *plan, const struct conditions *said,
		      struct unet_controls **out, struct error *err)
{
	int skips = 1, count = 0, status = SUMI_OK;
	*out = NULL;
	for (int i = 0; i < plan->control_count; i++)
		count += is_beside(&plan->controls[i]);
	if (count == 0)
		return SUMI_OK;
	for (int i = 0; i < config->levels; i++)
		skips += config->layers[i] + 1;
	struct unet_controls *c = calloc(1, sizeof *c + (size_t)count * sizeof *c->all);
	if (!c)
		return error_set(err, SUMI_NOMEM, "out of memory");
	c->levels = config->levels;
	for (int i = 0; i < plan->control_count && !status; i++)
		status = unet_takes_control(config, plan->controls[i].control, err);
	for (int i = 0; i < plan->control_count && !status; i++) {
		const struct unet_config *own = &plan->controls[i].control->net_config.trunk;
		struct beside *b = &c->all[c->count];
		if (!is_beside(&plan->controls[i]))
			continue;
		b->control = i;
		c->count++;
		if (plan->controls[i].control->type == CONTROL_T2I) {
			status = prepare_t2i(b, &plan->controls[i], plan->wrap, err);
			continue;
		}
		status = prepare(b, plan, &plan->controls[i], said, err);
		if (!status && own->in_channels < config->in_channels && !c->latents &&
		    !(c->latents = malloc(latent_values(plan, own->in_channels) * sizeof(float))))
			status = error_set(err, SUMI_NOMEM, "no memory for latents of %dx%d", plan->w,
					   plan->h);
	}
	if (!status)
		status = residuals_new(device, skips - 1, config->levels, &c->residuals, err);
	if (status) {
		unet_controls_free(c);
		return status;
	}
	*out = c;
	return SUMI_OK;
}

void unet_controls_free(struct unet_controls *c)
{
	if (!c)
		return;
	for (int i = 0; i < c->count; i++) {
		t2i_features_free(c->all[i].features);
		control_hint_free(c->all[i].hint);
		unet_text_free(c->all[i].text);
		free(c->all[i].added);
	}
	residuals_free(c->residuals);
	free(c->latents);
	free(c);
}

/* The first channels alone: what is shown beside the latents is the UNet's. */
static const float *own_latents(const struct unet_controls *c, const struct unet_input *in, int channels,
				int own)
{
	size_t pixels = (size_t)in->n * (size_t)in->h * (size_t)in->w;
	if (!c->latents)
		return in->latents;
	for (size_t i = 0; i < pixels; i++)
		memcpy(c->latents + i * (size_t)own, in->latents + i * (size_t)channels,
		       (size_t)own * sizeof(float));
	return c->latents;
}

/* Of a guess, the prompt's pictures alone, which are the last of all texts'. */
static struct controlnet_call call_of(const struct beside *b, float strength, int texts,
				      const struct unet_input *in, const float *latents)
{
	int frames = in->n / texts, text = in->only_text;
	struct controlnet_call call = {.in = *in,
				       .hint = b->hint,
				       .strength = strength,
				       .guess = b->guess,
				       .n = in->n};
	int own = controlnet_config(b->net)->trunk.in_channels;
	call.in.latents = latents;
	if (b->guess && texts > 1) {
		text = texts;
		call.first = in->n - frames;
		call.in.n = frames;
		call.in.latents += (size_t)call.first * (size_t)in->h * (size_t)in->w * (size_t)own;
	}
	call.in.text = b->text;
	call.in.only_text = text;
	call.in.time_cond = NULL; /* as in diffusers: the UNet alone is told the guidance */
	call.in.added = b->added && text ? b->added + (size_t)(text - 1) * b->added_one : b->added;
	call.in.residuals = NULL;
	call.in.looks = NULL; /* the UNet alone sees them */
	call.in.look_count = 0;
	call.in.motion = (struct motion_context){0};
	call.in.tap = (struct tap){0};
	return call;
}

static int ask_net(const struct unet_controls *c, const struct beside *b, float strength, int texts, int channels,
		   const struct unet_input *in, struct error *err)
{
	int own = controlnet_config(b->net)->trunk.in_channels;
	struct controlnet_call call = call_of(b, strength, texts, in, own_latents(c, in, channels, own));
	return controlnet_forward(b->net, &call, c->residuals, err);
}

int unet_controls_ask(struct unet_controls *c, const float *strengths, int texts, int channels,
		      struct unet_input *in, struct error *err)
{
	if (!c)
		return SUMI_OK;
	residuals_clear(c->residuals);
	for (int i = 0; i < c->count; i++) {
		const struct beside *b = &c->all[i];
		float strength = strengths[b->control];
		if (strength == 0)
			continue;
		int status = b->features ? t2i_features_put(b->features, strength, c->levels, in->n, c->residuals,
							    err)
					 : ask_net(c, b, strength, texts, channels, in, err);
		if (status)
			return status;
	}
	in->residuals = c->residuals;
	return SUMI_OK;
}

/* Its features stay, once for the picture and once for those that are made. */
static struct controlnet_needs t2i_needs(const struct denoiser_plan *plan, const struct t2i_config *c,
					 const struct unet_plan *unet)
{
	uint64_t peak, bytes = t2i_bytes(c, plan->h * PIXELS, plan->w * PIXELS, unet->dtype, &peak);
	return (struct controlnet_needs){
	    .kept = bytes, .step = peak, .residuals = bytes * (uint64_t)unet->n, .largest = peak};
}

bool unet_controls_memory(const struct denoiser_plan *plan, const struct unet_plan *unet,
			  struct controlnet_needs *all)
{
	*all = (struct controlnet_needs){0};
	for (int i = 0; i < plan->control_count; i++) {
		struct controlnet_needs one;
		if (!is_beside(&plan->controls[i]))
			continue;
		if (plan->controls[i].control->type == CONTROL_T2I)
			one = t2i_needs(plan, &plan->controls[i].control->t2i_config, unet);
		else if (!controlnet_memory(&plan->controls[i].control->net_config, unet, &one))
			return false;
		all->kept += one.kept;
		all->step = one.step > all->step ? one.step : all->step;
		all->largest = one.largest > all->largest ? one.largest : all->largest;
		all->residuals =
		    one.residuals > all->residuals ? one.residuals : all->residuals;
	}
	return true;
}

static int takes_net(const struct unet_config *u, const struct control *control, struct error *err)
{
	const struct unet_config *c = &control->net_config.trunk;
	if (c->context != u->context)
		return error_set(err, SUMI_INVALID,
				 "the %s reads texts of %d channels, this model's have %d: it is for "
				 "another family",
				 control_word(control), c->context, u->context);
	bool same = c->levels == u->levels && c->in_channels <= u->in_channels && c->added == u->added;
	for (int i = 0; same && i < u->levels; i++)
		same = c->channels[i] == u->channels[i] && c->layers[i] == u->layers[i];
	if (!same)
		return error_set(err, SUMI_INVALID,
				 "the %s is not made for this model: its levels have other channels or "
				 "layers than the UNet's",
				 control_word(control));
	return SUMI_OK;
}

static int takes_t2i(const struct unet_config *u, const struct control *control, struct error *err)
{
	return t2i_adapter_check(&control->t2i_config, u, err);
}

static int takes_look(const struct unet_config *u, const struct control *control, struct error *err)
{
	return ip_adapter_check(&control->look->config, u, err);
}

int unet_takes_control(const struct unet_config *u, const struct control *control, struct error *err)
{
	static int (*const takes[])(const struct unet_config *u, const struct control *control,
				    struct error *err) = {
	    [CONTROL_NET] = takes_net, [CONTROL_T2I] = takes_t2i, [CONTROL_LOOK] = takes_look};
	return takes[control->type](u, control, err);
}

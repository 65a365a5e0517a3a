#include "networks/controlnet.h"

#include <math.h>
#include <stdlib.h>

#include "networks/controlnet_union.h"
#include "networks/unet_internal.h"

#define EMBEDDING "controlnet_cond_embedding"

struct controlnet {
	struct controlnet_config config;
	struct unet trunk; /* without a way up; its set holds all weights */
	struct conv_layer hint_in, hint_out;
	struct conv_layer hint_same[CONFIG_LEVELS_MAX], hint_down[CONFIG_LEVELS_MAX];
	struct linear_layer says[UNET_SKIPS_MAX], says_middle; /* 1×1 convolutions */
	struct union_head *head; /* NULL: it is made for one kind of maps */
};

/* --- life --- */

/* Fills a zeroed net whose config is set; files NULL: shapes only. */
static int build(struct controlnet *net, struct weights *files, struct error *err)
{
	const struct controlnet_config *c = &net->config;
	struct unet *u = &net->trunk;
	struct loader l = {.files = files, .set = &u->set, .err = err};
	u->config = c->trunk;
	unet_build_trunk(u, &l);
	load_conv(&l, &net->hint_in, c->hint[0], c->colours, 3, 0, EMBEDDING ".conv_in");
	for (int i = 0; i < c->hint_levels - 1; i++) {
		load_conv(&l, &net->hint_same[i], c->hint[i], c->hint[i], 3, 0,
			  EMBEDDING ".blocks.%d", 2 * i);
		load_conv(&l, &net->hint_down[i], c->hint[i + 1], c->hint[i], 3, 0,
			  EMBEDDING ".blocks.%d", 2 * i + 1);
	}
	load_conv(&l, &net->hint_out, c->trunk.channels[0], c->hint[c->hint_levels - 1], 3, 0,
		  EMBEDDING ".conv_out");
	for (int i = 0; i < u->skip_count; i++)
		load_linear(&l, &net->says[i], u->skips[i].skip, u->skips[i].skip, 0,
			    "controlnet_down_blocks.%d", i);
	int bottom = c->trunk.channels[c->trunk.levels - 1];
	load_linear(&l, &net->says_middle, bottom, bottom, 0, "controlnet_mid_block");
	const struct union_shape shape = {.kinds = c->kinds,
					  .width = c->trunk.channels[0],
					  .layers = c->union_layers,
					  .heads = c->union_heads,
					  .time = c->trunk.time_width,
					  .sinusoid = c->trunk.added_time,
					  .flip_sin_to_cos = c->trunk.flip_sin_to_cos,
					  .freq_shift = c->trunk.freq_shift};
	if (c->kinds)
		union_head_load(&l, &shape, &net->head);
	return loader_end(&l);
}

int controlnet_open(struct device *device, const char *path, struct controlnet **out,
		    struct error *err)
{
	*out = NULL;
	struct weights *files = NULL;
	struct controlnet *net = calloc(1, sizeof *net);
	if (!net)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	net->trunk.set.device = device;
	int status = controlnet_config_read(path, &net->config, err);
	if (!status)
		status = weights_open(path, &files, err);
	if (!status)
		status = build(net, files, err);
	if (!status)
		status = weights_check_unused(files, "", err);
	weights_close(files);
	if (status) {
		controlnet_close(net);
		return status;
	}
	*out = net;
	return SUMI_OK;
}

void controlnet_close(struct controlnet *net)
{
	if (!net)
		return;
	unet_clear(&net->trunk);
	union_head_free(net->head);
	free(net);
}

const struct controlnet_config *controlnet_config(const struct controlnet *net)
{
	return &net->config;
}

void controlnet_rest(const struct controlnet *net)
{
	unet_rest(&net->trunk);
}

struct unet *controlnet_trunk(struct controlnet *net)
{
	return &net->trunk;
}

/* --- the picture --- */

struct control_hint {
	struct device *device; /* borrowed */
	struct map map;        /* [1, h, w, the first level's channels] */
	float *token, *added;  /* of a net with kinds; else NULL */
};

static struct map hint_forward(struct pass *p, const struct controlnet *net, const float *picture,
			       int height, int width)
{
	const struct controlnet_config *c = &net->config;
	const struct conv2d_args silu = {.act = ACT_SILU};
	struct map x = pass_upload(p, picture, 1, height, width, c->colours);
	struct map y = pass_new(p, 1, height, width, c->hint[0]);
	pass_conv(p, &net->hint_in, x, y, silu);
	pass_free(p, &x);
	for (int i = 0; i < c->hint_levels - 1; i++) {
		struct map same = pass_new(p, 1, y.h, y.w, c->hint[i]);
		pass_conv(p, &net->hint_same[i], y, same, silu);
		pass_free(p, &y);
		y = pass_new(p, 1, (same.h + 1) / 2, (same.w + 1) / 2, c->hint[i + 1]);
		pass_conv(p, &net->hint_down[i], same, y,
			  (struct conv2d_args){.act = ACT_SILU, .stride = 2});
		pass_free(p, &same);
	}
	struct map out = pass_new(p, 1, y.h, y.w, c->trunk.channels[0]);
	pass_conv(p, &net->hint_out, y, out, (struct conv2d_args){0});
	pass_free(p, &y);
	return out;
}

/* The picture as the net sees colours; the caller frees it. */
static float *ordered(const struct controlnet_config *c, const float *picture, int height, int width)
{
	size_t count = (size_t)height * (size_t)width, colours = (size_t)c->colours;
	float *out = malloc(count * colours * sizeof *out);
	for (size_t i = 0; out && i < count; i++)
		for (size_t k = 0; k < colours; k++)
			out[i * colours + k] = picture[i * colours + (c->bgr ? colours - 1 - k : k)];
	return out;
}

/* What a net with kinds makes of the picture and of its kind. */
static void add_kind(struct pass *p, const struct controlnet *net, int kind, struct control_hint *hint)
{
	const struct unet_config *u = &net->config.trunk;
	if (!net->head)
		return;
	hint->token = malloc((size_t)u->channels[0] * sizeof *hint->token);
	hint->added = malloc((size_t)u->time_width * sizeof *hint->added);
	if (!hint->token || !hint->added) {
		pass_fail(p, SUMI_NOMEM, "no memory for a ControlNet's picture");
		return;
	}
	union_head_token(p, net->head, kind, hint->map, hint->token);
	union_head_added(p, net->head, kind, hint->added);
}

const float *control_hint_added(const struct control_hint *hint)
{
	return hint->added;
}

int control_hint_new(struct controlnet *net, const struct control_picture *picture,
		     struct control_hint **out, struct error *err)
{
	int scale = 1 << (net->config.hint_levels - 1), height = picture->height, width = picture->width;
	*out = NULL;
	if (picture->h * scale != height || picture->w * scale != width)
		return error_set(err, SUMI_INVALID,
				 "the ControlNet makes %d pixels one of its latents, the model takes %d: it "
				 "is for another model",
				 scale, height / (picture->h ? picture->h : 1));
	struct control_hint *hint = calloc(1, sizeof *hint);
	float *seen = ordered(&net->config, picture->values, height, width);
	if (!hint || !seen) {
		free(hint);
		free(seen);
		return error_set(err, SUMI_NOMEM, "no memory for a ControlNet's picture");
	}
	struct pass p = pass_begin(net->trunk.set.device, NULL, err);
	p.wrap = picture->wrap;
	hint->device = net->trunk.set.device;
	hint->map = hint_forward(&p, net, seen, height, width);
	add_kind(&p, net, picture->kind, hint);
	free(seen);
	if (p.status) {
		control_hint_free(hint);
		return p.status;
	}
	*out = hint;
	return SUMI_OK;
}

void control_hint_free(struct control_hint *hint)
{
	if (!hint)
		return;
	device_buffer_free(hint->device, hint->map.t.buffer);
	free(hint->token);
	free(hint->added);
	free(hint);
}

/* --- forward --- */

/* Adds what a layer makes of x to a place. portion: of the strength. */
static void say(struct pass *p, const struct controlnet_call *call, const struct linear_layer *layer,
		struct map x, enum residual_place place, int index, float portion, struct residuals *r)
{
	struct map y = pass_new(p, x.n, x.h, x.w, x.t.c);
	pass_linear(p, layer, x, y, (struct linear_args){0});
	residuals_put(p, r, place, index, y, call->strength * portion, call->first, call->n);
	pass_free(p, &y);
}

/* torch.logspace(-1, 0, skips + 1), where it is a guess. */
static float portion_of(const struct controlnet_call *call, int place, int skips)
{
	return call->guess ? (float)pow(10, -1 + (double)place / skips) : 1;
}

static void forward(struct pass *p, struct unet_flow *f, const struct controlnet *net,
		    const struct controlnet_call *call, struct residuals *r)
{
	const struct unet *u = &net->trunk;
	int skips = u->skip_count;
	f->depth = call->in.shallow ? call->in.features->level : skips;
	struct map shift = {0};
	if (net->head) {
		struct map first = unet_first(p, u, &call->in);
		shift = union_head_shift(p, net->head, call->hint->token, first);
		pass_free(p, &first);
		f->shift = shift.t;
	}
	struct map x = unet_way_down(p, f, &call->in, &call->hint->map);
	if (f->depth == skips) {
		struct map y = pass_new(p, x.n, x.h, x.w, x.t.c);
		unet_middle_forward(p, f, x, y);
		say(p, call, &net->says_middle, y, RESIDUAL_MIDDLE, 0, portion_of(call, skips, skips),
		    r);
		pass_free(p, &y);
	}
	if (net->head)
		pass_free(p, &shift);
	pass_free(p, &f->time);
	for (int i = f->made - 1; i >= 0; i--) {
		say(p, call, &net->says[i], f->joined[i], RESIDUAL_SKIP, i,
		    portion_of(call, i, skips), r);
		pass_free(p, &f->joined[i]);
	}
}

int controlnet_forward(struct controlnet *net, const struct controlnet_call *call,
		       struct residuals *r, struct error *err)
{
	struct text_part part;
	struct unet *u = &net->trunk;
	struct unet_flow *f = calloc(1, sizeof *f);
	if (!f)
		return error_set(err, SUMI_NOMEM, "out of memory for a forward pass");
	int status = unet_take_text(u, &call->in, &part, err);
	if (!status) {
		struct pass p = pass_begin(u->set.device, NULL, err);
		p.wrap = call->in.wrap;
		f->u = u;
		f->texts = (struct text_batch){&part, 1};
		f->motion = &call->in.motion;
		forward(&p, f, net, call, r);
		status = p.status;
		unet_drop_text(&call->in, &part);
	}
	free(f);
	return status;
}

/* --- planning --- */

/* What its passes take, counted into needs; the net is zeroed but for its config. */
static int count(struct controlnet *net, const struct unet_plan *plan, struct unet_flow *f,
		 struct residuals *r, struct controlnet_needs *needs)
{
	const struct controlnet_config *c = &net->config;
	int scale = 1 << (c->hint_levels - 1);
	struct text_cache cache = {.n = plan->texts, .tokens = plan->tokens};
	int status = build(net, NULL, NULL);
	if (status)
		return status;
	cache.kv = calloc((size_t)net->trunk.text_count, sizeof *cache.kv);
	if (!cache.kv)
		return SUMI_NOMEM;
	struct pass p = pass_plan(plan->dtype);
	p.wrap = plan->wrap;
	struct control_hint hint = {.map = hint_forward(&p, net, NULL, plan->h * scale, plan->w * scale)};
	unet_fill_cache(&p, &net->trunk, NULL, &cache);
	needs->kept = p.bytes;
	const struct text_part part = {.cache = cache, .pictures = plan->n};
	*f = (struct unet_flow){.u = &net->trunk, .texts = {&part, 1}, .motion = &plan->motion};
	struct controlnet_call call = {.hint = &hint, .n = plan->n, .strength = 1};
	call.in = (struct unet_input){.n = plan->n, .h = plan->h, .w = plan->w};
	forward(&p, f, net, &call, r);
	needs->step = p.bytes_peak - needs->kept;
	needs->largest = p.bytes_largest;
	needs->residuals = residuals_bytes(r);
	free(cache.kv);
	return p.status;
}

bool controlnet_memory(const struct controlnet_config *config, const struct unet_plan *plan,
		       struct controlnet_needs *needs)
{
	struct unet_flow *f = calloc(1, sizeof *f);
	struct controlnet *net = calloc(1, sizeof *net);
	struct residuals *r = NULL;
	bool fine = f && net && !residuals_new(NULL, UNET_SKIPS_MAX, CONFIG_LEVELS_MAX, &r, NULL);
	*needs = (struct controlnet_needs){0};
	if (fine) {
		net->config = *config;
		fine = !count(net, plan, f, r, needs);
	}
	residuals_free(r);
	controlnet_close(net);
	free(f);
	return fine;
}

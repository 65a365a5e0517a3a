/* What UNet and ControlNet have in common: the text's keys and values, the time, the way down and the
 * middle. */
#include <stdlib.h>
#include <string.h>

#include "networks/unet_internal.h"

/* --- the text's keys and values --- */

static void cache_attention(struct pass *p, const struct transformer_block *t, struct map text,
			    struct text_cache *cache)
{
	for (int i = 0; i < t->count; i++) {
		const struct linear_layer *kv = &t->layers[i].kv;
		struct map y = pass_new(p, text.n, 1, text.w, kv->cout);
		pass_linear(p, kv, text, y, (struct linear_args){0});
		cache->kv[t->layers[i].text_index] = y;
	}
}

void unet_fill_cache(struct pass *p, const struct unet *u, const float *context,
		       struct text_cache *cache)
{
	struct map text = pass_upload(p, context, cache->n, 1, cache->tokens, u->config.context);
	for (int i = 0; i < u->config.levels; i++) {
		for (int k = 0; k < u->down[i].count; k++)
			cache_attention(p, &u->down[i].layers[k].attention, text, cache);
		for (int k = 0; k < u->up[i].count; k++)
			cache_attention(p, &u->up[i].layers[k].attention, text, cache);
	}
	cache_attention(p, &u->mid_attention, text, cache);
	pass_free(p, &text);
}

int unet_text_empty(const struct unet *u, int n, int tokens, struct unet_text **out, struct error *err)
{
	*out = NULL;
	if (n < 1 || tokens < 1)
		return error_set(err, SUMI_INVALID, "text: %d rows of %d tokens", n, tokens);
	struct unet_text *text = calloc(1, sizeof *text);
	if (text)
		text->cache.kv = calloc((size_t)u->text_count, sizeof *text->cache.kv);
	if (!text || !text->cache.kv) {
		free(text);
		return error_set(err, SUMI_NOMEM, "out of memory for the text's keys and values");
	}
	text->cache.device = u->set.device;
	text->cache.count = u->text_count;
	text->cache.n = n;
	text->cache.tokens = tokens;
	*out = text;
	return SUMI_OK;
}

int unet_text_new(struct unet *u, const float *context, int n, int tokens, struct unet_text **out,
		  struct error *err)
{
	int status = unet_text_empty(u, n, tokens, out, err);
	if (status)
		return status;
	struct pass p = pass_begin(u->set.device, NULL, err);
	unet_fill_cache(&p, u, context, &(*out)->cache);
	if (p.status) {
		unet_text_free(*out);
		*out = NULL;
	}
	return p.status;
}

void unet_text_free(struct unet_text *text)
{
	if (!text)
		return;
	for (int i = 0; i < text->cache.count; i++)
		device_buffer_free(text->cache.device, text->cache.kv[i].t.buffer);
	free(text->cache.kv);
	free(text);
}

/* --- what stands beside the time --- */

/* pooled text and the ids' sinusoids side by side, [n, 1, 1, added] */
static struct map join_added(struct pass *p, const struct unet_config *c, const float *pooled,
				int pooled_width, const float *ids, int id_count, int n)
{
	struct map joined = pass_new(p, n, 1, 1, c->added);
	struct map text = pass_upload(p, pooled, n, 1, 1, pooled_width);
	float *column = malloc((size_t)n * sizeof *column);
	if (!column)
		pass_fail(p, SUMI_NOMEM, "out of memory for a text");
	pass_scale(p, text, 1, map_slice(joined, 0, pooled_width));
	for (int k = 0; k < id_count && column; k++) {
		for (int i = 0; i < n; i++)
			column[i] = ids[i * id_count + k];
		int first = pooled_width + k * c->added_time;
		pass_timestep(p, &(struct timestep_args){
				     .timesteps = column,
				     .y = map_slice(joined, first, c->added_time).t,
				     .flip_sin_to_cos = c->flip_sin_to_cos,
				     .freq_shift = (float)c->freq_shift});
	}
	free(column);
	pass_free(p, &text);
	return joined;
}

int unet_embed_added(struct unet *u, const float *pooled, int pooled_width, const float *ids,
		     int id_count, int n, float *out, struct error *err)
{
	const struct unet_config *c = &u->config;
	if (pooled_width + id_count * c->added_time != c->added)
		return error_set(err, SUMI_INVALID,
				 "text: %d pooled channels and %d ids of %d, this UNet wants %d "
				 "together (projection_class_embeddings_input_dim)",
				 pooled_width, id_count, c->added_time, c->added);
	struct pass p = pass_begin(u->set.device, NULL, err);
	struct map joined = join_added(&p, c, pooled, pooled_width, ids, id_count, n);
	struct map a = pass_new(&p, n, 1, 1, c->time_width);
	struct map b = pass_new(&p, n, 1, 1, c->time_width);
	pass_linear(&p, &u->added1, joined, a, (struct linear_args){.act = ACT_SILU});
	pass_linear(&p, &u->added2, a, b, (struct linear_args){0});
	pass_download(&p, &b, out);
	pass_free(&p, &b);
	pass_free(&p, &a);
	pass_free(&p, &joined);
	return p.status;
}

/* --- the way down --- */

/* [n, 1, 1, all blocks' channels]: silu(time embedding) through every block's projection. */
static struct map time_forward(struct pass *p, const struct unet *u, const struct unet_input *in)
{
	const struct unet_config *c = &u->config;
	struct map sinusoid = pass_new(p, in->n, 1, 1, c->channels[0]);
	pass_timestep(p, &(struct timestep_args){.timesteps = in->timesteps,
						 .y = sinusoid.t,
						 .flip_sin_to_cos = c->flip_sin_to_cos,
						 .freq_shift = (float)c->freq_shift});
	pass_tap(p, &sinusoid, "time_proj");
	if (in->time_cond) {
		struct map cond = pass_upload(p, in->time_cond, in->n, 1, 1, c->time_cond);
		pass_linear(p, &u->time_cond, cond, sinusoid,
			    (struct linear_args){.residual = sinusoid.t});
		pass_free(p, &cond);
	}
	struct map a = pass_new(p, in->n, 1, 1, c->time_width);
	struct map b = pass_new(p, in->n, 1, 1, c->time_width);
	pass_linear(p, &u->time1, sinusoid, a, (struct linear_args){.act = ACT_SILU});
	pass_free(p, &sinusoid);
	pass_linear(p, &u->time2, a, b, (struct linear_args){0});
	pass_free(p, &a);
	pass_tap(p, &b, "time_embedding");
	struct map added = {0};
	if (c->added)
		added = pass_upload(p, in->added, in->n, 1, 1, c->time_width);
	pass_axpby(p, &(struct axpby_args){.a = b.t,
					   .b = added.t,
					   .y = b.t,
					   .alpha = 1,
					   .beta = 1,
					   .act = ACT_SILU});
	if (c->added)
		pass_free(p, &added);
	struct map all = pass_new(p, in->n, 1, 1, u->time_all.cout);
	pass_linear(p, &u->time_all, b, all, (struct linear_args){0});
	pass_free(p, &b);
	return all;
}

/* Where the way down puts its next result: beside the place of what will come from below. */
static struct map next_skip(struct pass *p, struct unet_flow *f, int n, int h, int w)
{
	const struct unet_skip *s = &f->u->skips[f->made];
	struct map joined = pass_new(p, n, h, w, s->up + s->skip);
	f->joined[f->made++] = joined;
	return map_slice(joined, s->up, s->skip);
}

/* The motion module after a block, in place, where there is one. */
static void add_motion(struct pass *p, const struct unet_flow *f, const struct motion_block *m,
		       struct map y, const char *stage, int index)
{
	if (m->count == 0 || f->motion->frames < 2)
		return;
	motion_forward(p, m, f->motion, y, y);
	pass_tap(p, &y, "%s.motion_modules.%d", stage, index);
}

void unet_layer_forward(struct pass *p, const struct unet_flow *f, const struct unet_layer *layer,
			  struct map x, struct map y, const char *stage, int index)
{
	char name[WEIGHT_NAME_MAX];
	if (layer->attention.count == 0) {
		resnet_forward(p, &layer->resnet, x, f->time, y);
		pass_tap(p, &y, "%s.resnets.%d", stage, index);
		add_motion(p, f, &layer->motion, y, stage, index);
		return;
	}
	struct map h = pass_new(p, x.n, x.h, x.w, layer->resnet.cout);
	resnet_forward(p, &layer->resnet, x, f->time, h);
	pass_tap(p, &h, "%s.resnets.%d", stage, index);
	weight_name(name, "%s.attentions.%d", stage, index);
	transformer_forward(p, &layer->attention, h, &f->texts, y, name);
	pass_tap(p, &y, "%s", name);
	pass_free(p, &h);
	add_motion(p, f, &layer->motion, y, stage, index);
}

/* What others say of a level goes into its last result: with attention before it is halved, without behind
 * that, as diffusers' blocks have it. */
static struct map down_forward(struct pass *p, struct unet_flow *f, const struct residuals *said, int level,
			       struct map x)
{
	const struct unet_stage *s = &f->u->down[level];
	bool before = f->u->config.down_attention[level];
	char stage[WEIGHT_NAME_MAX];
	weight_name(stage, "down_blocks.%d", level);
	for (int i = 0; i < s->count && f->made < f->depth; i++) {
		struct map y = next_skip(p, f, x.n, x.h, x.w);
		unet_layer_forward(p, f, &s->layers[i], x, y, stage, i);
		if (i == s->count - 1 && (before || !s->resamples))
			residuals_apply(p, said, RESIDUAL_LEVEL, level, y);
		x = y;
	}
	if (s->resamples && f->made < f->depth) {
		struct map y = next_skip(p, f, x.n, (x.h + 1) / 2, (x.w + 1) / 2);
		pass_conv(p, &s->resample, x, y, (struct conv2d_args){.stride = 2});
		pass_tap(p, &y, "%s.downsamplers.0", stage);
		if (!before)
			residuals_apply(p, said, RESIDUAL_LEVEL, level, y);
		x = y;
	}
	pass_tap(p, &x, "down.%d", level);
	return x;
}

void unet_middle_forward(struct pass *p, const struct unet_flow *f, struct map x, struct map y)
{
	const struct unet *u = f->u;
	if (u->config.middle == MIDDLE_NONE)
		pass_scale(p, x, 1, y);
	if (u->config.middle == MIDDLE_PLAIN)
		resnet_forward(p, &u->mid1, x, f->time, y);
	if (u->config.middle != MIDDLE_ATTENTION) {
		pass_tap(p, &y, "mid");
		return;
	}
	struct map a = pass_new(p, x.n, x.h, x.w, u->mid1.cout);
	struct map b = pass_new(p, x.n, x.h, x.w, u->mid1.cout);
	resnet_forward(p, &u->mid1, x, f->time, a);
	transformer_forward(p, &u->mid_attention, a, &f->texts, b, "mid_block.attentions.0");
	pass_tap(p, &b, "mid_block.attentions.0");
	pass_free(p, &a);
	add_motion(p, f, &u->mid_motion, b, "mid_block", 0);
	resnet_forward(p, &u->mid2, b, f->time, y);
	pass_free(p, &b);
	pass_tap(p, &y, "mid");
}

static struct map input_forward(struct pass *p, const struct unet *u, const struct unet_input *in)
{
	const struct unet_config *c = &u->config;
	struct map x = pass_upload(p, in->latents, in->n, in->h, in->w, c->in_channels);
	if (!c->center_input || !in->latents || p->status)
		return x;
	size_t count = (size_t)in->n * (size_t)in->h * (size_t)in->w * (size_t)c->in_channels;
	float *centred = malloc(count * sizeof *centred);
	if (!centred) {
		pass_fail(p, SUMI_NOMEM, "out of memory for latents");
		return x;
	}
	for (size_t i = 0; i < count; i++)
		centred[i] = 2 * in->latents[i] - 1;
	pass_free(p, &x);
	x = pass_upload(p, centred, in->n, in->h, in->w, c->in_channels);
	free(centred);
	return x;
}

struct map unet_first(struct pass *p, const struct unet *u, const struct unet_input *in)
{
	struct map latents = input_forward(p, u, in);
	struct map x = pass_new(p, in->n, in->h, in->w, u->config.channels[0]);
	pass_conv(p, &u->conv_in, latents, x, (struct conv2d_args){0});
	pass_free(p, &latents);
	return x;
}

struct map unet_way_down(struct pass *p, struct unet_flow *f, const struct unet_input *in,
			 const struct map *beside)
{
	const struct unet *u = f->u;
	f->time = time_forward(p, u, in);
	struct map latents = input_forward(p, u, in);
	struct map x = next_skip(p, f, in->n, in->h, in->w);
	pass_conv(p, &u->conv_in, latents, x, (struct conv2d_args){.add = f->shift});
	pass_free(p, &latents);
	for (int i = 0; beside && i < x.n; i++) {
		struct map one = map_pictures(x, i, 1);
		pass_axpby(p, &(struct axpby_args){
				  .a = one.t, .b = beside->t, .y = one.t, .alpha = 1, .beta = 1});
	}
	pass_tap(p, &x, "conv_in");
	for (int i = 0; i < u->config.levels && f->made < f->depth; i++)
		x = down_forward(p, f, in->residuals, i, x);
	return x;
}

/* --- what is asked --- */

/* One text of several: a view, whose kv the caller frees. */
static int narrow_text(const struct text_cache *all, int only, struct text_cache *out,
		       struct error *err)
{
	*out = *all;
	if (only < 1 || only > all->n)
		return error_set(err, SUMI_INVALID, "text: there is no text %d of %d", only,
				 all->n);
	out->kv = malloc((size_t)all->count * sizeof *out->kv);
	if (!out->kv)
		return error_set(err, SUMI_NOMEM, "out of memory for a text");
	out->n = 1;
	for (int i = 0; i < all->count; i++)
		out->kv[i] = map_pictures(all->kv[i], only - 1, 1);
	return SUMI_OK;
}

static int check_input(const struct unet *u, const struct unet_input *in, int texts,
		       struct error *err)
{
	if (in->n < 1 || in->h < 1 || in->w < 1 || in->h > 65536 || in->w > 65536)
		return error_set(err, SUMI_INVALID, "latents: [%d, %d, %d] is not a size", in->n,
				 in->h, in->w);
	if (in->n % texts != 0)
		return error_set(err, SUMI_INVALID, "latents: %d pictures cannot share %d texts",
				 in->n, texts);
	if (in->shallow && !in->features)
		return error_set(err, SUMI_INVALID, "a shallow pass needs features");
	if (in->time_cond && !u->config.time_cond)
		return error_set(
		    err, SUMI_INVALID,
		    "this UNet takes no guidance embedding (time_cond_proj_dim is null)");
	if (!in->added != !u->config.added)
		return error_set(err, SUMI_INVALID,
				 u->config.added
				     ? "this UNet wants pooled text and ids (addition_embed_type)"
				     : "this UNet takes no pooled text (addition_embed_type is null)");
	if (u->motion.positions && in->motion.frames > 1) {
		if (in->n % in->motion.frames != 0)
			return error_set(err, SUMI_INVALID,
					 "latents: %d pictures are not videos of %d frames", in->n,
					 in->motion.frames);
		return motion_context_check(&in->motion, u->motion.positions, err);
	}
	return SUMI_OK;
}

static int take_one(const struct unet_text *text, int only, struct text_cache *out, struct error *err)
{
	*out = text->cache;
	return only ? narrow_text(&text->cache, only, out, err) : SUMI_OK;
}

static int take_looks(const struct unet_input *in, struct text_part *part, struct error *err)
{
	int status = SUMI_OK;
	if (in->look_count == 0)
		return SUMI_OK;
	part->looks = calloc((size_t)in->look_count, sizeof *part->looks);
	if (!part->looks)
		return error_set(err, SUMI_NOMEM, "out of memory for pictures beside a text");
	for (int i = 0; i < in->look_count && !status; i++) {
		const struct unet_look *look = &in->looks[i];
		struct text_look *to = &part->looks[part->look_count];
		*to = (struct text_look){.strength = look->strength,
					 .masks = look->masks,
					 .mask_count = look->mask_count};
		if (!(status = take_one(look->text, in->only_text, &to->cache, err)))
			part->look_count++;
	}
	return status;
}

int unet_take_text(const struct unet *u, const struct unet_input *in, struct text_part *part,
		     struct error *err)
{
	*part = (struct text_part){.pictures = in->n};
	int status = check_input(u, in, in->only_text ? 1 : in->text->cache.n, err);
	if (status || (status = take_one(in->text, in->only_text, &part->cache, err)))
		return status;
	if ((status = take_looks(in, part, err)))
		unet_drop_text(in, part);
	return status;
}

void unet_drop_text(const struct unet_input *in, struct text_part *part)
{
	for (int i = 0; in->only_text && i < part->look_count; i++)
		free(part->looks[i].cache.kv);
	free(part->looks);
	if (in->only_text)
		free(part->cache.kv);
}


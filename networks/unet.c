/* The UNet's forward pass. */
#include "networks/unet.h"

#include <stdlib.h>
#include <string.h>

#include "networks/unet_internal.h"
#include "weights/overlay.h"

struct unet_text {
	struct text_cache cache;
};

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
	int status = unet_config_read(folder, &u->config, err);
	if (!status)
		status = weights_open_with(folder, on, &files, err);
	if (!status)
		status = unet_build(u, files, err);
	if (!status)
		status = weights_check_unused(files, "", err);
	weights_close(files);
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

int unet_motion_open(struct unet *u, const char *folder, struct error *err)
{
	struct weights *files = NULL;
	int status = motion_config_read(folder, &u->config, &u->motion, err);
	if (!status)
		status = weights_open(folder, &files, err);
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

static void fill_cache(struct pass *p, const struct unet *u, const float *context,
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

int unet_text_new(struct unet *u, const float *context, int n, int tokens, struct unet_text **out,
		  struct error *err)
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
	struct pass p = pass_begin(u->set.device, NULL, err);
	fill_cache(&p, u, context, &text->cache);
	if (p.status) {
		unet_text_free(text);
		return p.status;
	}
	*out = text;
	return SUMI_OK;
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

/* --- features --- */

struct unet_features {
	struct device *device; /* borrowed */
	int level;
	struct map kept; /* [n, h, w, up] of skip level - 1; buffer NULL: not made yet */
};

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

/* What travels through the stages. */
struct flow {
	const struct unet *u;
	struct text_batch texts;
	const struct motion_context *motion;
	struct map time;                   /* [n, 1, 1, all blocks' channels] */
	struct map joined[UNET_SKIPS_MAX]; /* [n, h, w, up + skip], by skip */
	int made;                       /* skips that the way down has made, less those used */
	int depth;                      /* skips that this pass runs: all, or the features' level */
	struct unet_features *features; /* NULL: none */
};

static bool is_like(const struct map *a, const struct map *b)
{
	return a->n == b->n && a->h == b->h && a->w == b->w && a->t.c == b->t.c &&
	       a->t.dtype == b->t.dtype;
}

/* Between the features and their place in a skip: kept by a whole pass, put back by another. */
static void exchange_features(struct pass *p, const struct flow *f, struct map place)
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
static struct map next_skip(struct pass *p, struct flow *f, int n, int h, int w)
{
	const struct unet_skip *s = &f->u->skips[f->made];
	struct map joined = pass_new(p, n, h, w, s->up + s->skip);
	f->joined[f->made++] = joined;
	return map_slice(joined, s->up, s->skip);
}

/* Where the way up puts its next result. */
static struct map next_up(const struct flow *f)
{
	return map_slice(f->joined[f->made - 1], 0, f->u->skips[f->made - 1].up);
}

/* The motion module after a block, in place, where there is one. */
static void add_motion(struct pass *p, const struct flow *f, const struct motion_block *m,
		       struct map y, const char *stage, int index)
{
	if (m->count == 0 || f->motion->frames < 2)
		return;
	motion_forward(p, m, f->motion, y, y);
	pass_tap(p, &y, "%s.motion_modules.%d", stage, index);
}

static void layer_forward(struct pass *p, const struct flow *f, const struct unet_layer *layer,
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

static struct map down_forward(struct pass *p, struct flow *f, int level, struct map x)
{
	const struct unet_stage *s = &f->u->down[level];
	char stage[WEIGHT_NAME_MAX];
	weight_name(stage, "down_blocks.%d", level);
	for (int i = 0; i < s->count && f->made < f->depth; i++) {
		struct map y = next_skip(p, f, x.n, x.h, x.w);
		layer_forward(p, f, &s->layers[i], x, y, stage, i);
		x = y;
	}
	if (s->resamples && f->made < f->depth) {
		struct map y = next_skip(p, f, x.n, (x.h + 1) / 2, (x.w + 1) / 2);
		pass_conv(p, &s->resample, x, y, (struct conv2d_args){.stride = 2});
		pass_tap(p, &y, "%s.downsamplers.0", stage);
		x = y;
	}
	pass_tap(p, &x, "down.%d", level);
	return x;
}

static void middle_forward(struct pass *p, struct flow *f, struct map x)
{
	const struct unet *u = f->u;
	struct map y = next_up(f);
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

/* Runs one stage of the way up, or what of it lies above the features. Its last result goes to the
 * next stage's first place or, at the top, into *out, a new temporary. */
static void up_forward(struct pass *p, struct flow *f, int index, struct map *out)
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
		layer_forward(p, f, &s->layers[i], x, y, stage, i);
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

static struct map input_forward(struct pass *p, const struct unet *u,
				   const struct unet_input *in)
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

static void forward(struct pass *p, struct flow *f, const struct unet_input *in, float *prediction)
{
	const struct unet *u = f->u;
	f->features = in->features;
	f->depth = in->shallow ? in->features->level : u->skip_count;
	f->time = time_forward(p, u, in);
	struct map latents = input_forward(p, u, in);
	struct map x = next_skip(p, f, in->n, in->h, in->w);
	pass_conv(p, &u->conv_in, latents, x, (struct conv2d_args){0});
	pass_free(p, &latents);
	pass_tap(p, &x, "conv_in");
	for (int i = 0; i < u->config.levels && f->made < f->depth; i++)
		x = down_forward(p, f, i, x);
	if (!in->shallow)
		middle_forward(p, f, x);
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

/* The text that an input's pictures see. */
static int take_text(const struct unet *u, const struct unet_input *in, struct text_part *part,
		     struct error *err)
{
	part->cache = in->text->cache;
	part->pictures = in->n;
	int status = check_input(u, in, in->only_text ? 1 : part->cache.n, err);
	return status || !in->only_text
		   ? status
		   : narrow_text(&in->text->cache, in->only_text, &part->cache, err);
}

/* `texts`: those of the batch, part by part. */
static int run_pass(struct unet *u, const struct unet_input *in, struct text_batch texts,
		    float *prediction, struct error *err)
{
	struct flow *f = calloc(1, sizeof *f);
	if (!f)
		return error_set(err, SUMI_NOMEM, "out of memory for a forward pass");
	f->u = u;
	f->texts = texts;
	f->motion = &in->motion;
	struct pass p = pass_begin(u->set.device, &in->tap, err);
	forward(&p, f, in, prediction);
	free(f);
	return p.status;
}

int unet_forward(struct unet *u, const struct unet_input *in, float *prediction, struct error *err)
{
	struct text_part part;
	int status = take_text(u, in, &part, err);
	if (status)
		return status;
	status = run_pass(u, in, (struct text_batch){&part, 1}, prediction, err);
	if (in->only_text)
		free(part.cache.kv);
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
		if (in[i].h != in->h || in[i].w != in->w || in[i].features || in[i].tap.call ||
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
	j->in = (struct unet_input){.latents = to, .n = n, .h = in->h, .w = in->w};
	j->in.timesteps = time;
	j->in.time_cond = in->time_cond ? to_cond : NULL;
	j->in.added = in->added ? to_added : NULL;
	for (int i = 0; i < count; i++) {
		int status = take_text(u, &in[i], &j->parts[i], err);
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
		if (in[i].only_text)
			free(j->parts[i].cache.kv);
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

uint64_t unet_memory(const struct unet_plan *plan, struct unet_needs *needs)
{
	uint64_t bytes = 0;
	struct pass p = pass_plan(plan->dtype);
	struct text_cache cache = {.n = plan->texts, .tokens = plan->tokens};
	struct flow *f = calloc(1, sizeof *f);
	struct unet *u = calloc(1, sizeof *u);
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
	fill_cache(&p, u, NULL, &cache);
	if (needs)
		needs->text = p.bytes;
	struct unet_input in = {.n = plan->n, .h = plan->h, .w = plan->w};
	const struct text_part part = {cache, plan->n};
	struct unet_features features = {.level = plan->level};
	if (plan->level)
		in.features = &features;
	/* The second time the features are there from the beginning. */
	for (int i = 0; i < (plan->level ? 2 : 1); i++) {
		*f = (struct flow){.u = u, .texts = {&part, 1}, .motion = &plan->motion};
		forward(&p, f, &in, NULL);
	}
	bytes = p.bytes_peak;
	if (needs)
		needs->largest = p.bytes_largest;
	free(cache.kv);
clear:
	unet_clear(u);
done:
	free(u);
	free(f);
	return bytes;
}

/* AnimateDiff's motion modules. */
#include "networks/motion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Epsilons that diffusers' AnimateDiffTransformer3D fixes. */
#define MOTION_NORM_EPSILON 1e-6
#define MOTION_LAYER_NORM_EPSILON 1e-5

/* --- loading --- */

/* How the two kinds of files call the parts of a transformer block. */
struct motion_names {
	const char *inner; /* between the module and its parts */
	const char *norm[2], *attention[2], *table[2], *ff_norm;
};

static const struct motion_names diffusers_names = {
    .inner = "",
    .norm = {"norm1", "norm2"},
    .attention = {"attn1", "attn2"},
    .table = {"pos_embed.pe", "pos_embed.pe"},
    .ff_norm = "norm3",
};
static const struct motion_names original_names = {
    .inner = ".temporal_transformer",
    .norm = {"norms.0", "norms.1"},
    .attention = {"attention_blocks.0", "attention_blocks.1"},
    .table = {"attention_blocks.0.pos_encoder.pe", "attention_blocks.1.pos_encoder.pe"},
    .ff_norm = "ff_norm",
};

/* sin and cos of position · 10000^(−2i/c), interleaved: for files without the table. */
static void fill_table(float *table, int positions, int channels)
{
	for (int f = 0; f < positions; f++)
		for (int i = 0; i < channels; i++) {
			double rate = exp(-(double)(i / 2 * 2) / channels * log(10000.0));
			double angle = f * rate;
			table[f * channels + i] = (float)(i % 2 ? cos(angle) : sin(angle));
		}
}

static void load_table(struct loader *l, float **out, int positions, int channels, const char *name)
{
	if (l->status || !l->files)
		return;
	*out = malloc((size_t)positions * (size_t)channels * sizeof **out);
	if (!*out)
		loader_fail(l, SUMI_NOMEM, "out of memory while loading '%s'", name);
	else if (weights_find(l->files, name))
		load_values(l, *out, (const int[]){1, positions, channels}, 3, name);
	else
		fill_table(*out, positions, channels);
}

static void load_layer(struct loader *l, struct motion_layer *t, const struct motion_names *names,
		       int c, int positions, const char *prefix)
{
	static const char *const qkv[] = {"to_q", "to_k", "to_v"};
	struct stack_part parts[3];
	char name[WEIGHT_NAME_MAX];
	for (int i = 0; i < 2; i++) {
		struct motion_attention *a = &t->attention[i];
		const char *attention = names->attention[i];
		load_norm(l, &a->norm, c, 0, MOTION_LAYER_NORM_EPSILON, "%s.%s", prefix,
			  names->norm[i]);
		for (int k = 0; k < 3; k++) {
			weight_name(parts[k].name, "%s.%s.%s", prefix, attention, qkv[k]);
			parts[k].cout = c;
		}
		load_linear_stack(l, &a->qkv, parts, 3, c, LOAD_NO_BIAS);
		load_linear(l, &a->out, c, c, 0, "%s.%s.to_out.0", prefix, attention);
		weight_name(name, "%s.%s", prefix, names->table[i]);
		load_table(l, &a->table, positions, c, name);
	}
	load_norm(l, &t->norm, c, 0, MOTION_LAYER_NORM_EPSILON, "%s.%s", prefix, names->ff_norm);
	load_linear(l, &t->ff_in, 8 * c, c, LOAD_GEGLU, "%s.ff.net.0.proj", prefix);
	load_linear(l, &t->ff_out, c, 4 * c, 0, "%s.ff.net.2", prefix);
}

void motion_load(struct loader *l, struct motion_block *m, const struct motion_config *config,
		 int channels, int layers, const char *prefix)
{
	char name[WEIGHT_NAME_MAX];
	const struct motion_names *names = &diffusers_names;
	*m = (struct motion_block){
	    .channels = channels, .heads = config->heads, .positions = config->positions};
	load_heads(l, channels, config->heads, prefix);
	weight_name(name, "%s%s.norm.weight", prefix, original_names.inner);
	if (l->files && weights_find(l->files, name))
		names = &original_names;
	m->layers = calloc((size_t)layers, sizeof *m->layers);
	if (!m->layers) {
		loader_fail(l, SUMI_NOMEM, "out of memory while loading '%s'", prefix);
		return;
	}
	m->count = layers;
	weight_name(name, "%s%s", prefix, names->inner);
	load_norm(l, &m->norm, channels, config->groups, MOTION_NORM_EPSILON, "%s.norm", name);
	load_linear(l, &m->proj_in, channels, channels, 0, "%s.proj_in", name);
	load_linear(l, &m->proj_out, channels, channels, 0, "%s.proj_out", name);
	for (int i = 0; i < layers; i++) {
		weight_name(name, "%s%s.transformer_blocks.%d", prefix, names->inner, i);
		load_layer(l, &m->layers[i], names, channels, config->positions, name);
	}
}

void motion_clear(struct motion_block *m)
{
	for (int i = 0; i < m->count; i++)
		for (int k = 0; k < 2; k++)
			free(m->layers[i].attention[k].table);
	free(m->layers);
	*m = (struct motion_block){0};
}

/* --- windows --- */

static bool in_windows(const struct motion_context *c)
{
	return c->length > 0 && c->length < c->frames;
}

int motion_context_check(const struct motion_context *c, int positions, struct error *err)
{
	int at_once = in_windows(c) ? c->length : c->frames;
	if (c->frames < 0 || c->frames > MOTION_FRAMES_MAX)
		return error_set(err, SUMI_INVALID, "frames is %d, allowed are up to %d", c->frames,
				 MOTION_FRAMES_MAX);
	if (in_windows(c) && (c->stride < 1 || c->stride > c->length))
		return error_set(err, SUMI_INVALID, "windows of %d frames cannot be %d apart",
				 c->length, c->stride);
	if (at_once > positions)
		return error_set(err, SUMI_INVALID,
				 "%d frames at once: the motion adapter knows %d "
				 "(motion_max_seq_length)",
				 at_once, positions);
	return SUMI_OK;
}

int motion_windows(const struct motion_context *c, int *starts)
{
	int count = 0;
	if (!in_windows(c)) {
		starts[0] = 0;
		return 1;
	}
	for (int f = 0; f < (c->circular ? c->frames : c->frames - c->length + 1); f += c->stride)
		starts[count++] = f;
	/* What the last window leaves is seen through one more, moved back to fit. */
	if (!c->circular && starts[count - 1] + c->length < c->frames)
		starts[count++] = c->frames - c->length;
	return count;
}

/* 1, 2, … up to the middle and down again. */
static float pyramid(int length, int k)
{
	return (float)(k < length - 1 - k ? k + 1 : length - k);
}

float motion_share(const struct motion_context *c, const int *starts, int count, int index, int k)
{
	int length = c->length, frame = starts[index] + k;
	if (!in_windows(c))
		return 1;
	if (c->circular)
		frame %= c->frames;
	/* The window that was moved back counts for the frames that no other has, over the
	   weight of the first of these: diffusers' arithmetic. */
	bool moved = !c->circular && count > 1 && starts[count - 1] % c->stride != 0;
	int covered = moved ? starts[count - 2] + length : c->frames;
	if (frame >= covered)
		return index < count - 1
			   ? 0
			   : pyramid(length, k) / pyramid(length, covered - starts[count - 1]);
	if (moved && index == count - 1)
		return 0;
	float sum = 0;
	for (int i = 0; i < count - (moved ? 1 : 0); i++) {
		int at = frame - starts[i];
		if (c->circular)
			at = (at + c->frames) % c->frames;
		if (at >= 0 && at < length)
			sum += pyramid(length, at);
	}
	return pyramid(length, k) / sum;
}

/* --- forward --- */

/* y = alpha·x + beta·y; beta 0: y's content does not count. */
static void blend(struct pass *p, struct map x, float alpha, struct map y, float beta)
{
	struct axpby_args args = {.a = x.t, .y = y.t, .alpha = alpha};
	if (beta != 0) {
		args.b = y.t;
		args.beta = beta;
	}
	pass_axpby(p, &args);
}

/* x += out(attention over the frames of each pixel), x [frames, h, w, c] dense. The positions'
 * part of q, k and v, W·table, is added to each frame's instead of the table to its input. */
static void attend(struct pass *p, const struct motion_block *m, const struct motion_attention *a,
		   struct map x)
{
	int c = m->channels, frames = x.n, pixels = x.h * x.w;
	struct map table = pass_upload(p, a->table, frames, 1, 1, c);
	struct map add = pass_new(p, frames, 1, 1, 3 * c);
	pass_linear(p, &a->qkv, table, add, (struct linear_args){0});
	pass_free(p, &table);
	struct map h = pass_new(p, frames, x.h, x.w, c);
	struct map qkv = pass_new(p, frames, x.h, x.w, 3 * c);
	struct conv_layer projection = {
	    .weight = a->qkv.weight, .cin = c, .cout = 3 * c, .kernel = 1};
	pass_norm(p, &a->norm, x, h, ACT_NONE);
	pass_conv(p, &projection, h, qkv, (struct conv2d_args){.add = add.t});
	pass_free(p, &add);
	pass_free(p, &h);
	struct map turned = pass_new(p, pixels, 1, frames, 3 * c);
	pass_permute(p, &(struct permute_args){
			    .x = qkv.t, .y = turned.t, .grid = {1, frames, x.h, x.w}});
	pass_free(p, &qkv);
	struct map y = pass_new(p, pixels, 1, frames, c);
	pass_attention(p, &(struct attention_args){
			      .q = map_slice(turned, 0, c).t,
			      .k = map_slice(turned, c, c).t,
			      .v = map_slice(turned, 2 * c, c).t,
			      .y = y.t,
			      .n = pixels,
			      .heads = m->heads,
			      .scale = head_scale(c, m->heads),
			  });
	pass_free(p, &turned);
	h = pass_new(p, frames, x.h, x.w, c);
	pass_permute(p, &(struct permute_args){
			    .x = y.t, .y = h.t, .grid = {1, pixels, 1, frames}});
	pass_free(p, &y);
	pass_linear(p, &a->out, h, x, (struct linear_args){.residual = x.t});
	pass_free(p, &h);
}

/* Both attentions over one set of frames h, window by window, into sum of h's shape. */
static void attend_windows(struct pass *p, const struct motion_block *m,
			   const struct motion_layer *layer, const struct motion_context *context,
			   struct map h, struct map sum)
{
	int starts[MOTION_FRAMES_MAX], frames = context->frames;
	bool begun[MOTION_FRAMES_MAX] = {false};
	int count = motion_windows(context, starts);
	struct map part = pass_new(p, context->length, h.h, h.w, h.t.c);
	for (int i = 0; i < count; i++) {
		int straight = frames - starts[i] < part.n ? frames - starts[i] : part.n;
		blend(p, map_pictures(h, starts[i], straight), 1, map_pictures(part, 0, straight),
		      0);
		if (straight < part.n)
			blend(p, map_pictures(h, 0, part.n - straight), 1,
			      map_pictures(part, straight, part.n - straight), 0);
		attend(p, m, &layer->attention[0], part);
		attend(p, m, &layer->attention[1], part);
		for (int k = 0; k < part.n; k++) {
			int frame = (starts[i] + k) % frames;
			float share = motion_share(context, starts, count, i, k);
			if (share == 0)
				continue;
			blend(p, map_pictures(part, k, 1), share, map_pictures(sum, frame, 1),
			      begun[frame] ? 1 : 0);
			begun[frame] = true;
		}
	}
	pass_free(p, &part);
}

/* h = the layer over h [sets · frames, h, w, c]. */
static void layer_forward(struct pass *p, const struct motion_block *m,
			  const struct motion_layer *layer, const struct motion_context *context,
			  struct map *h)
{
	int frames = context->frames;
	if (in_windows(context)) {
		struct map sum = pass_new(p, h->n, h->h, h->w, h->t.c);
		for (int first = 0; first < h->n; first += frames)
			attend_windows(p, m, layer, context, map_pictures(*h, first, frames),
				       map_pictures(sum, first, frames));
		pass_free(p, h);
		*h = sum;
	} else {
		for (int first = 0; first < h->n; first += frames)
			for (int i = 0; i < 2; i++)
				attend(p, m, &layer->attention[i], map_pictures(*h, first, frames));
	}
	struct map a = pass_new(p, h->n, h->h, h->w, h->t.c);
	struct map wide = pass_new(p, h->n, h->h, h->w, 4 * h->t.c);
	pass_norm(p, &layer->norm, *h, a, ACT_NONE);
	pass_linear(p, &layer->ff_in, a, wide, (struct linear_args){.act = ACT_GEGLU});
	pass_free(p, &a);
	pass_linear(p, &layer->ff_out, wide, *h, (struct linear_args){.residual = h->t});
	pass_free(p, &wide);
}

void motion_forward(struct pass *p, const struct motion_block *m,
		    const struct motion_context *context, struct map x, struct map y)
{
	struct map a = pass_new(p, x.n, x.h, x.w, m->channels);
	struct map h = pass_new(p, x.n, x.h, x.w, m->channels);
	/* All frames of a set are normalised together. */
	struct grid sets = {x.n / context->frames, context->frames, x.h, x.w};
	pass_norm_over(p, &m->norm, sets, x, a, ACT_NONE);
	pass_linear(p, &m->proj_in, a, h, (struct linear_args){0});
	pass_free(p, &a);
	for (int i = 0; i < m->count; i++)
		layer_forward(p, m, &m->layers[i], context, &h);
	pass_linear(p, &m->proj_out, h, y, (struct linear_args){.residual = x.t});
	pass_free(p, &h);
}

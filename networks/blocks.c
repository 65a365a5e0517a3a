/* The blocks that UNet and autoencoder are made of. */
#include "networks/blocks.h"

#include <stdlib.h>

/* Epsilon of the group norm before a transformer, fixed in diffusers' Transformer2DModel. */
#define TRANSFORMER_NORM_EPSILON 1e-6
/* Epsilon of PyTorch's LayerNorm, which BasicTransformerBlock uses as it is. */
#define LAYER_NORM_EPSILON 1e-5

/* --- ResnetBlock2D --- */

void resnet_load(struct loader *l, struct resnet_block *r, int cin, int cout, int groups,
		 double epsilon, const char *prefix)
{
	*r = (struct resnet_block){.cin = cin, .cout = cout, .time_first = -1};
	load_norm(l, &r->norm1, cin, groups, epsilon, "%s.norm1", prefix);
	load_conv(l, &r->conv1, cout, cin, 3, 0, "%s.conv1", prefix);
	load_norm(l, &r->norm2, cout, groups, epsilon, "%s.norm2", prefix);
	load_conv(l, &r->conv2, cout, cout, 3, 0, "%s.conv2", prefix);
	if (cin != cout)
		load_conv(l, &r->shortcut, cout, cin, 1, 0, "%s.conv_shortcut", prefix);
}

void resnet_forward(struct pass *p, const struct resnet_block *r, struct map x,
		    struct map time, struct map y)
{
	struct map add = {0};
	if (r->time_first >= 0)
		add = map_slice(time, r->time_first, r->cout);
	struct map a = pass_new(p, x.n, x.h, x.w, r->cin);
	pass_norm(p, &r->norm1, x, a, ACT_SILU);
	struct map b = pass_new(p, x.n, x.h, x.w, r->cout);
	pass_conv(p, &r->conv1, a, b, (struct conv2d_args){.add = add.t});
	pass_free(p, &a);
	pass_norm(p, &r->norm2, b, b, ACT_SILU);
	struct map residual = x;
	if (r->cin != r->cout) {
		pass_conv(p, &r->shortcut, x, y, (struct conv2d_args){0});
		residual = y;
	}
	pass_conv(p, &r->conv2, b, y, (struct conv2d_args){.residual = residual.t});
	pass_free(p, &b);
	pass_behind(p);
}

void resnet_replace(struct pass *p, const struct resnet_block *r, struct map *x)
{
	/* With a shortcut x is not needed once that is made, so norm1 works in place; without
	   one the sum is made in x itself. */
	struct map y = *x, a = *x;
	if (r->cin != r->cout) {
		y = pass_new(p, x->n, x->h, x->w, r->cout);
		pass_conv(p, &r->shortcut, *x, y, (struct conv2d_args){0});
	} else {
		a = pass_new(p, x->n, x->h, x->w, r->cin);
	}
	pass_norm(p, &r->norm1, *x, a, ACT_SILU);
	struct map b = pass_new(p, x->n, x->h, x->w, r->cout);
	pass_conv(p, &r->conv1, a, b, (struct conv2d_args){0});
	pass_free(p, &a);
	pass_norm(p, &r->norm2, b, b, ACT_SILU);
	pass_conv(p, &r->conv2, b, y, (struct conv2d_args){.residual = y.t});
	pass_free(p, &b);
	*x = y;
}

/* --- Transformer2DModel --- */

static void transformer_layer_load(struct loader *l, struct transformer_layer *t, int c,
				   int context, const char *prefix)
{
	struct stack_part parts[3];
	static const char *const qkv[] = {"to_q", "to_k", "to_v"};
	load_norm(l, &t->norm1, c, 0, LAYER_NORM_EPSILON, "%s.norm1", prefix);
	load_norm(l, &t->norm2, c, 0, LAYER_NORM_EPSILON, "%s.norm2", prefix);
	load_norm(l, &t->norm3, c, 0, LAYER_NORM_EPSILON, "%s.norm3", prefix);
	for (int i = 0; i < 3; i++) {
		weight_name(parts[i].name, "%s.attn1.%s", prefix, qkv[i]);
		parts[i].cout = c;
	}
	load_linear_stack(l, &t->qkv, parts, 3, c, LOAD_NO_BIAS);
	load_linear(l, &t->out1, c, c, 0, "%s.attn1.to_out.0", prefix);
	load_linear(l, &t->q, c, c, LOAD_NO_BIAS, "%s.attn2.to_q", prefix);
	for (int i = 0; i < 2; i++)
		weight_name(parts[i].name, "%s.attn2.%s", prefix, qkv[i + 1]);
	load_linear_stack(l, &t->kv, parts, 2, context, LOAD_NO_BIAS);
	load_linear(l, &t->out2, c, c, 0, "%s.attn2.to_out.0", prefix);
	load_linear(l, &t->ff_in, 8 * c, c, LOAD_GEGLU, "%s.ff.net.0.proj", prefix);
	load_linear(l, &t->ff_out, c, 4 * c, 0, "%s.ff.net.2", prefix);
}

void transformer_load(struct loader *l, struct transformer_block *t, int channels, int heads,
		      int count, int context, int groups, const char *prefix, int *text_index)
{
	*t = (struct transformer_block){.channels = channels, .heads = heads, .count = count};
	load_heads(l, channels, heads, prefix);
	if (l->status)
		return;
	t->layers = calloc((size_t)count, sizeof *t->layers);
	if (!t->layers) {
		loader_fail(l, SUMI_NOMEM, "out of memory while loading '%s'", prefix);
		return;
	}
	load_norm(l, &t->norm, channels, groups, TRANSFORMER_NORM_EPSILON, "%s.norm", prefix);
	load_linear(l, &t->proj_in, channels, channels, 0, "%s.proj_in", prefix);
	for (int i = 0; i < count; i++) {
		char name[WEIGHT_NAME_MAX];
		weight_name(name, "%s.transformer_blocks.%d", prefix, i);
		transformer_layer_load(l, &t->layers[i], channels, context, name);
		t->layers[i].text_index = (*text_index)++;
	}
	load_linear(l, &t->proj_out, channels, channels, 0, "%s.proj_out", prefix);
}

void transformer_clear(struct transformer_block *t)
{
	free(t->layers);
	t->layers = NULL;
}

void self_attention(struct pass *p, const struct self_attention *s, struct map x, struct map scratch)
{
	int c = x.t.c;
	struct map qkv = pass_new(p, x.n, x.h, x.w, 3 * c);
	pass_norm(p, s->norm, x, scratch, ACT_NONE);
	pass_linear(p, s->qkv, scratch, qkv, (struct linear_args){0});
	pass_attention(p, &(struct attention_args){
			      .q = map_slice(qkv, 0, c).t,
			      .k = map_slice(qkv, c, c).t,
			      .v = map_slice(qkv, 2 * c, c).t,
			      .y = scratch.t,
			      .n = x.n,
			      .heads = s->heads,
			      .scale = head_scale(c, s->heads),
			      .causal = s->causal,
			  });
	pass_free(p, &qkv);
	pass_linear(p, s->out, scratch, x, (struct linear_args){.residual = x.t});
}

/* y = attention of the pixels of a part's pictures, q, to its text. */
static void attend_text(struct pass *p, const struct transformer_block *t, struct map kv,
			struct map q, struct map y)
{
	int c = t->channels;
	/* Pixels do not see each other here, so pictures with one text are one long row. */
	pass_attention(p, &(struct attention_args){
			      .q = q.t,
			      .k = map_slice(kv, 0, c).t,
			      .v = map_slice(kv, c, c).t,
			      .y = y.t,
			      .n = kv.n,
			      .heads = t->heads,
			      .scale = head_scale(c, t->heads),
			  });
}

/* a += what a part's pictures q see in those beside its text. */
static void attend_looks(struct pass *p, const struct transformer_block *t, int text_index,
			 const struct text_part *part, struct map q, struct map a)
{
	for (int i = 0; i < part->look_count; i++) {
		const struct text_look *look = &part->looks[i];
		struct axpby_args add = {.a = a.t, .y = a.t, .alpha = 1, .beta = look->strength};
		struct map y = pass_new(p, q.n, q.h, q.w, t->channels);
		attend_text(p, t, look->cache.kv[text_index], q, y);
		for (int k = 0; k < look->mask_count; k++)
			if (look->masks[k].h == q.h && look->masks[k].w == q.w)
				add.gain = look->masks[k].gain;
		if (look->mask_count && !add.gain)
			pass_fail(p, SUMI_INTERNAL, "there is no mask of %dx%d", q.w, q.h);
		add.b = y.t;
		add.gains = q.h * q.w;
		pass_axpby(p, &add);
		pass_free(p, &y);
	}
}

/* h += out2(attention of the pixels to the texts, and to the pictures beside them). */
static void cross_attention(struct pass *p, const struct transformer_block *t,
			    const struct transformer_layer *layer, const struct text_batch *texts,
			    struct map h, struct map a)
{
	struct map q = pass_new(p, h.n, h.h, h.w, t->channels);
	pass_norm(p, &layer->norm2, h, a, ACT_NONE);
	pass_linear(p, &layer->q, a, q, (struct linear_args){0});
	for (int i = 0, first = 0; i < texts->count; first += texts->parts[i++].pictures) {
		const struct text_part *part = &texts->parts[i];
		struct map own_q = map_pictures(q, first, part->pictures);
		struct map own_a = map_pictures(a, first, part->pictures);
		attend_text(p, t, part->cache.kv[layer->text_index], own_q, own_a);
		attend_looks(p, t, layer->text_index, part, own_q, own_a);
	}
	pass_free(p, &q);
	pass_linear(p, &layer->out2, a, h, (struct linear_args){.residual = h.t});
}

/* h += ff_out(geglu(ff_in(h))). */
static void feed_forward(struct pass *p, const struct transformer_layer *layer, struct map h,
			 struct map a)
{
	struct map wide = pass_new(p, h.n, h.h, h.w, layer->ff_out.cin);
	pass_norm(p, &layer->norm3, h, a, ACT_NONE);
	pass_linear(p, &layer->ff_in, a, wide, (struct linear_args){.act = ACT_GEGLU});
	pass_linear(p, &layer->ff_out, wide, h, (struct linear_args){.residual = h.t});
	pass_free(p, &wide);
}

void transformer_forward(struct pass *p, const struct transformer_block *t, struct map x,
			 const struct text_batch *texts, struct map y, const char *prefix)
{
	struct map a = pass_new(p, x.n, x.h, x.w, t->channels);
	struct map h = pass_new(p, x.n, x.h, x.w, t->channels);
	pass_norm(p, &t->norm, x, a, ACT_NONE);
	pass_tap(p, &a, "%s.norm", prefix);
	pass_linear(p, &t->proj_in, a, h, (struct linear_args){0});
	pass_tap(p, &h, "%s.proj_in", prefix);
	for (int i = 0; i < t->count; i++) {
		const struct transformer_layer *own = &t->layers[i];
		self_attention(p, &(struct self_attention){&own->norm1, &own->qkv, &own->out1, t->heads, false}, h, a);
		cross_attention(p, t, own, texts, h, a);
		feed_forward(p, own, h, a);
		pass_behind(p);
		pass_tap(p, &h, "%s.transformer_blocks.%d", prefix, i);
	}
	pass_free(p, &a);
	pass_linear(p, &t->proj_out, h, y, (struct linear_args){.residual = x.t});
	pass_free(p, &h);
}

/* --- AutoencoderKL's attention --- */

void pixel_attention_load(struct loader *l, struct pixel_attention *a, int channels, int groups,
			  double epsilon, const char *prefix)
{
	static const char *const qkv[] = {"to_q", "to_k", "to_v"};
	struct stack_part parts[3];
	*a = (struct pixel_attention){.channels = channels};
	load_heads(l, channels, 1, prefix);
	load_norm(l, &a->norm, channels, groups, epsilon, "%s.group_norm", prefix);
	for (int i = 0; i < 3; i++) {
		weight_name(parts[i].name, "%s.%s", prefix, qkv[i]);
		parts[i].cout = channels;
	}
	load_linear_stack(l, &a->qkv, parts, 3, channels, 0);
	load_linear(l, &a->out, channels, channels, 0, "%s.to_out.0", prefix);
}

void pixel_attention_forward(struct pass *p, const struct pixel_attention *a, struct map x,
			     struct map y)
{
	int c = a->channels;
	struct map h = pass_new(p, x.n, x.h, x.w, c);
	struct map qkv = pass_new(p, x.n, x.h, x.w, 3 * c);
	pass_norm(p, &a->norm, x, h, ACT_NONE);
	pass_linear(p, &a->qkv, h, qkv, (struct linear_args){0});
	pass_attention(p, &(struct attention_args){
			      .q = map_slice(qkv, 0, c).t,
			      .k = map_slice(qkv, c, c).t,
			      .v = map_slice(qkv, 2 * c, c).t,
			      .y = h.t,
			      .n = x.n,
			      .heads = 1,
			      .scale = head_scale(c, 1),
			  });
	pass_free(p, &qkv);
	pass_linear(p, &a->out, h, y, (struct linear_args){.residual = x.t});
	pass_free(p, &h);
}

void pass_conv_replace(struct pass *p, const struct conv_layer *layer, struct map *x, int h, int w,
		  struct conv2d_args args)
{
	struct map y = pass_new(p, x->n, h, w, layer->cout);
	pass_conv(p, layer, *x, y, args);
	pass_free(p, x);
	*x = y;
}

/* SPAN (arXiv:2311.12770): six blocks of three convolutions whose result is weighed by itself, without parameters.
 *
 * A convolution stands in the file as those that it was trained as: a 1×1 that widens, a 3×3 and a 1×1 that narrows, beside a
 * 1×1 of its own (sk). They are one 3×3, which is made here. What the file holds as that one (eval_conv) is of some moment of
 * the training, and no program uses it. */
#include <stdlib.h>

#include "networks/upscaler_internal.h"

enum { BLOCKS = 6, IN_BLOCK = 3, JOINED = 4, SCALE_MAX = 8, WIDE_MAX = 4096 };

/* Of the trainer; no file says them. */
static const double colour_range = 255, colour_mean[3] = {0.4488, 0.4371, 0.4040};

struct span {
	struct conv_layer colours; /* 1×1: what the first one wants of a picture */
	struct conv_layer first, block[BLOCKS][IN_BLOCK], last, join, up;
	int channels, scale;
};

/* --- making one convolution of four --- */

/* The parts of one as they stand in the file, float32. */
struct parts {
	int cin, wide, wider, cout;
	float *widen, *widen_bias; /* [wide, cin] */
	float *conv, *conv_bias;   /* [wider, wide, 3, 3] */
	float *narrow, *bias;      /* [cout, wider] */
	float *own, *own_bias;     /* [cout, cin] */
	double *half;              /* [wider, cin, 9]: the first two as one */
	float *result;             /* [cout, cin, 9] and [cout] */
	float *memory;
};

static bool has_shape(const struct weight_tensor *t, int64_t a, int64_t b, int64_t kernel)
{
	return t && t->rank == 4 && (!a || t->shape[0] == a) && t->shape[1] == b && t->shape[2] == kernel &&
	       t->shape[3] == kernel && t->shape[0] >= 1 && t->shape[0] <= WIDE_MAX;
}

/* How wide it is in between, by shapes that fit together: what is made room for is as large as the file's. */
static bool measure(const struct upscaler_names *n, const char *name, int cin, int cout, struct parts *p)
{
	const struct weight_tensor *a = upscaler_find(n, "%s.conv.0.weight", name);
	const struct weight_tensor *b = upscaler_find(n, "%s.conv.1.weight", name);
	if (!has_shape(a, 0, cin, 1) || !has_shape(b, 0, a->shape[0], 3))
		return false;
	*p = (struct parts){.cin = cin, .wide = (int)a->shape[0], .wider = (int)b->shape[0], .cout = cout};
	return has_shape(upscaler_find(n, "%s.conv.2.weight", name), cout, p->wider, 1) &&
	       has_shape(upscaler_find(n, "%s.sk.weight", name), cout, cin, 1);
}

static bool allocate(struct parts *p)
{
	size_t cin = (size_t)p->cin, wide = (size_t)p->wide, wider = (size_t)p->wider, cout = (size_t)p->cout;
	float **const places[] = {&p->widen, &p->widen_bias, &p->conv, &p->conv_bias, &p->narrow, &p->bias,
				  &p->own,   &p->own_bias,   &p->result};
	const size_t counts[] = {wide * cin,   wide, wider * wide * 9, wider, cout * wider, cout,
				 cout * cin, cout, cout * cin * 9 + cout};
	size_t total = 0;
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
		total += counts[i];
	p->half = calloc(wider * cin * 9, sizeof *p->half);
	p->memory = malloc(total * sizeof *p->memory);
	float *at = p->memory;
	for (size_t i = 0; at && i < sizeof counts / sizeof counts[0]; at += counts[i++])
		*places[i] = at;
	return p->half && p->memory;
}

static void read_parts(struct loader *l, const struct upscaler_names *n, const char *name, const struct parts *p)
{
	const struct {
		const char *end;
		float *out;
		int shape[4], rank;
	} tensors[] = {
	    {"conv.0.weight", p->widen, {p->wide, p->cin, 1, 1}, 4},  {"conv.0.bias", p->widen_bias, {p->wide}, 1},
	    {"conv.1.weight", p->conv, {p->wider, p->wide, 3, 3}, 4}, {"conv.1.bias", p->conv_bias, {p->wider}, 1},
	    {"conv.2.weight", p->narrow, {p->cout, p->wider, 1, 1}, 4}, {"conv.2.bias", p->bias, {p->cout}, 1},
	    {"sk.weight", p->own, {p->cout, p->cin, 1, 1}, 4},	      {"sk.bias", p->own_bias, {p->cout}, 1}};
	char full[WEIGHT_NAME_MAX];
	for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
		weight_name(full, "%s%s.%s", n->prefix, name, tensors[i].end);
		load_values(l, tensors[i].out, tensors[i].shape, tensors[i].rank, full);
	}
}

static void merge(const struct parts *p)
{
	enum { TAPS = 9, MIDDLE = 4 };
	size_t cin = (size_t)p->cin, wide = (size_t)p->wide, wider = (size_t)p->wider, cout = (size_t)p->cout;
	for (size_t m = 0; m < wider; m++)
		for (size_t k = 0; k < wide; k++)
			for (size_t i = 0; i < cin; i++)
				for (size_t t = 0; t < TAPS; t++)
					p->half[(m * cin + i) * TAPS + t] += (double)p->conv[(m * wide + k) * TAPS + t] *
									     (double)p->widen[k * cin + i];
	for (size_t o = 0; o < cout; o++) {
		double bias = (double)p->bias[o] + (double)p->own_bias[o];
		for (size_t m = 0; m < wider; m++) {
			double middle = (double)p->conv_bias[m];
			for (size_t k = 0; k < wide; k++)
				for (size_t t = 0; t < TAPS; t++)
					middle += (double)p->conv[(m * wide + k) * TAPS + t] * (double)p->widen_bias[k];
			bias += (double)p->narrow[o * wider + m] * middle;
		}
		p->result[cout * cin * TAPS + o] = (float)bias;
		for (size_t j = 0; j < cin * TAPS; j++) {
			double sum = j % TAPS == MIDDLE ? (double)p->own[o * cin + j / TAPS] : 0;
			for (size_t m = 0; m < wider; m++)
				sum += (double)p->narrow[o * wider + m] * p->half[m * cin * TAPS + j];
			p->result[o * cin * TAPS + j] = (float)sum;
		}
	}
}

static void load_merged(struct loader *l, const struct upscaler_names *n, struct conv_layer *out, int cin, int cout,
			const char *name)
{
	struct parts p = {0};
	if (l->status)
		return;
	/* They are there, and nobody needs them. */
	upscaler_find(n, "%s.eval_conv.weight", name);
	upscaler_find(n, "%s.eval_conv.bias", name);
	if (!measure(n, name, cin, cout, &p)) {
		loader_fail(l, SUMI_INVALID, "%s: the parts of convolution '%s%s' do not fit together",
			    weights_folder(n->files), n->prefix, name);
		return;
	}
	if (!allocate(&p))
		loader_fail(l, SUMI_NOMEM, "out of memory while loading '%s'", name);
	else
		read_parts(l, n, name, &p);
	if (!l->status) {
		merge(&p);
		load_made_conv(l, out, cout, cin, 3, p.result, p.result + (size_t)cout * (size_t)cin * 9);
	}
	free(p.half);
	free(p.memory);
}

/* --- the network --- */

static bool span_is(const struct upscaler_names *n, struct upscaler_info *info)
{
	const struct weight_tensor *first = upscaler_find(n, "conv_1.sk.weight"), *up;
	if (!first || first->rank != 4 || !upscaler_find(n, "block_1.c1_r.sk.weight") ||
	    !upscaler_find(n, "conv_cat.weight") || !(up = upscaler_find(n, "upsampler.0.weight")))
		return false;
	for (int scale = 1; scale <= SCALE_MAX && up->rank == 4; scale++)
		if (up->shape[0] == 3 * scale * scale)
			info->scale = scale;
	info->margin = BLOCKS * IN_BLOCK + 3; /* a pixel a convolution of 3×3 */
	return true;
}

/* A 1×1 that brings colours to where the network was trained; where the file says that it was not, as they are. */
static void load_colours(struct loader *l, const struct upscaler_names *n, struct span *s)
{
	bool plain = upscaler_find(n, "no_norm") != NULL;
	float weights[9] = {0}, bias[3] = {0};
	for (int c = 0; c < 3; c++) {
		weights[4 * c] = plain ? 1 : (float)colour_range;
		bias[c] = plain ? 0 : (float)(-colour_mean[c] * colour_range);
	}
	load_made_conv(l, &s->colours, 3, 3, 1, weights, bias);
}

static int span_load(struct loader *l, const struct upscaler_names *n, void **state)
{
	struct upscaler_info info = {0};
	struct span *s = calloc(1, sizeof *s);
	*state = s;
	if (!s)
		return error_set(l->err, SUMI_NOMEM, "out of memory while loading an upscaler");
	span_is(n, &info);
	const struct weight_tensor *first = upscaler_find(n, "conv_1.sk.weight");
	s->scale = info.scale;
	if (!info.scale || first->shape[1] != 3 || first->shape[0] < 1 || first->shape[0] > WIDE_MAX) {
		loader_fail(l, SUMI_INVALID, "%s: its first and last convolutions are not those of RGB pictures",
			    weights_folder(n->files));
		return l->status;
	}
	int c = s->channels = (int)first->shape[0];
	load_colours(l, n, s);
	load_merged(l, n, &s->first, 3, c, "conv_1");
	for (int i = 0; i < BLOCKS; i++)
		for (int k = 0; k < IN_BLOCK; k++) {
			char name[WEIGHT_NAME_MAX];
			weight_name(name, "block_%d.c%d_r", i + 1, k + 1);
			load_merged(l, n, &s->block[i][k], c, c, name);
		}
	load_merged(l, n, &s->last, c, c, "conv_2");
	load_conv(l, &s->join, c, JOINED * c, 1, 0, "%sconv_cat", n->prefix);
	load_conv(l, &s->up, 3 * s->scale * s->scale, c, 3, 0, "%supsampler.0", n->prefix);
	return l->status;
}

static void span_free(void *state)
{
	free(state);
}

/* y = (o + x)·(σ(o) − ½) with o of three convolutions; *inner: what the first gave, where it is asked for. y may be x. */
static void block_forward(struct pass *p, const struct conv_layer conv[IN_BLOCK], struct map x, struct map y,
			  struct map *inner)
{
	struct map a = pass_new(p, x.n, x.h, x.w, x.t.c), b = pass_new(p, x.n, x.h, x.w, x.t.c);
	pass_conv(p, &conv[0], x, a, (struct conv2d_args){.act = ACT_SILU});
	if (inner)
		pass_scale(p, a, 1, *inner);
	pass_conv(p, &conv[1], a, b, (struct conv2d_args){.act = ACT_SILU});
	pass_conv(p, &conv[2], b, a, (struct conv2d_args){0});
	pass_axpby(p, &(struct axpby_args){.a = a.t, .b = x.t, .y = y.t, .alpha = 1, .beta = 1, .act = ACT_GATE});
	pass_free(p, &b);
	pass_free(p, &a);
}

static void span_forward(struct pass *p, const void *state, struct map *x)
{
	const struct span *s = state;
	int c = s->channels;
	upscaler_conv(p, &s->colours, x, ACT_NONE, false);
	upscaler_conv(p, &s->first, x, ACT_NONE, false);
	/* Side by side: the first convolution's, the last one's, the first block's, what the last block's first gave. */
	struct map joined = pass_new(p, x->n, x->h, x->w, JOINED * c), inner = map_slice(joined, 3 * c, c);
	pass_scale(p, *x, 1, map_slice(joined, 0, c));
	for (int i = 0; i < BLOCKS; i++) {
		block_forward(p, s->block[i], *x, *x, i == BLOCKS - 1 ? &inner : NULL);
		if (i == 0)
			pass_scale(p, *x, 1, map_slice(joined, 2 * c, c));
	}
	pass_conv(p, &s->last, *x, map_slice(joined, c, c), (struct conv2d_args){0});
	pass_conv(p, &s->join, joined, *x, (struct conv2d_args){0});
	pass_free(p, &joined);
	upscaler_conv(p, &s->up, x, ACT_NONE, false);
}

static void span_shapes(const void *state, int *down, int *shuffle, bool *adds_picture)
{
	*down = 1;
	*shuffle = ((const struct span *)state)->scale;
	*adds_picture = false;
}

const struct upscaler_kind upscaler_span = {
    .name = "SPAN",
    .is = span_is,
    .load = span_load,
    .free = span_free,
    .forward = span_forward,
    .shapes = span_shapes,
};

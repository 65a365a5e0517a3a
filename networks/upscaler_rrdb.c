/* RRDBNet (ESRGAN, arXiv:1809.00219; Real-ESRGAN): blocks of three dense blocks of five convolutions
 * each, then twice as large as often as there are convolutions for it. Those that enlarge by two or
 * not at all begin with four or sixteen pixels side by side as channels of one. */
#include <stdio.h>
#include <stdlib.h>

#include "networks/upscaler_internal.h"

enum { BLOCKS_MAX = 64, UPS_MAX = 3, DENSE = 5, IN_BLOCK = 3 };
static const float slope = 0.2f, share = 0.2f;

struct dense_block {
	struct conv_layer conv[DENSE];
};

struct rrdb {
	struct conv_layer first, body, up[UPS_MAX], hr, last;
	struct dense_block *blocks; /* owned, [3·count] */
	int count, ups, down, channels, growth;
};

/* How people call the layers. The number of a name is per_block · blocks + per_up · ups + plus, ups
 * being the number of its own (from 1) for those that enlarge. */
struct place {
	const char *format;
	int per_block, per_up, plus;
};

enum role { FIRST, BODY, UP, HR, LAST, ROLES };

static const struct dialect {
	const char *conv; /* block, dense block (from 1), convolution (from 1); NULL: in order */
	struct place places[ROLES];
} dialects[] = {
    {"body.%d.rdb%d.conv%d",
     {{"conv_first", 0, 0, 0}, {"conv_body", 0, 0, 0}, {"conv_up%d", 0, 1, 0}, {"conv_hr", 0, 0, 0},
      {"conv_last", 0, 0, 0}}},
    {"RRDB_trunk.%d.RDB%d.conv%d",
     {{"conv_first", 0, 0, 0}, {"trunk_conv", 0, 0, 0}, {"upconv%d", 0, 1, 0}, {"HRconv", 0, 0, 0},
      {"conv_last", 0, 0, 0}}},
    {"model.1.sub.%d.RDB%d.conv%d.0",
     {{"model.0", 0, 0, 0}, {"model.1.sub.%d", 1, 0, 0}, {"model.%d", 0, 3, 0},
      {"model.%d", 0, 3, 2}, {"model.%d", 0, 3, 4}}},
    /* as the ncnn reader has them: all in their order */
    {NULL,
     {{"%d", 0, 0, 0}, {"%d", DENSE * IN_BLOCK, 0, 1}, {"%d", DENSE * IN_BLOCK, 1, 1},
      {"%d", DENSE * IN_BLOCK, 1, 2}, {"%d", DENSE * IN_BLOCK, 1, 3}}},
};

static const char *place_name(const struct dialect *d, enum role role, int blocks, int ups,
			      char out[WEIGHT_NAME_MAX])
{
	const struct place *p = &d->places[role];
	snprintf(out, WEIGHT_NAME_MAX, p->format, p->per_block * blocks + p->per_up * ups + p->plus);
	return out;
}

static const char *conv_name(const struct dialect *d, int block, int dense, int conv,
			     char out[WEIGHT_NAME_MAX])
{
	if (d->conv)
		snprintf(out, WEIGHT_NAME_MAX, d->conv, block, dense + 1, conv + 1);
	else
		snprintf(out, WEIGHT_NAME_MAX, "%d", 1 + DENSE * (IN_BLOCK * block + dense) + conv);
	return out;
}

static const struct weight_tensor *find(const struct upscaler_names *n, const char *name)
{
	const struct weight_tensor *t = upscaler_find(n, "%s.weight", name);
	return t && t->rank == 4 ? t : NULL;
}

/* Blocks: as many as there are with a convolution that grows; then ups. */
static bool count_parts(const struct upscaler_names *n, const struct dialect *d, struct rrdb *r)
{
	char name[WEIGHT_NAME_MAX];
	const struct weight_tensor *first = find(n, place_name(d, FIRST, 0, 0, name));
	const struct weight_tensor *grown = find(n, conv_name(d, 0, 0, 0, name));
	if (!first || !grown || grown->shape[1] != first->shape[0])
		return false;
	for (const struct weight_tensor *t = grown;
	     t && r->count < BLOCKS_MAX && t->shape[0] == grown->shape[0];
	     t = find(n, conv_name(d, r->count, 0, 0, name)))
		r->count++;
	for (int ups = 0; ups <= UPS_MAX; ups++) {
		const struct weight_tensor *last =
		    find(n, place_name(d, LAST, r->count, ups, name));
		if (!last || last->shape[0] != 3)
			continue;
		/* Names without a number find it with any: then those that enlarge are counted. */
		if (ups && !find(n, place_name(d, UP, r->count, ups, name)))
			continue;
		r->ups = ups;
	}
	return r->count > 0 && find(n, place_name(d, LAST, r->count, r->ups, name)) != NULL;
}

static void load_blocks(struct loader *l, const struct upscaler_names *n, const struct dialect *d,
			struct rrdb *r)
{
	char name[WEIGHT_NAME_MAX];
	for (int i = 0; i < IN_BLOCK * r->count; i++)
		for (int k = 0; k < DENSE; k++) {
			struct conv_layer *conv = &r->blocks[i].conv[k];
			int cin = r->channels + k * r->growth;
			conv_name(d, i / IN_BLOCK, i % IN_BLOCK, k, name);
			if (k < DENSE - 1)
				upscaler_load(l, n, conv, cin, name, NULL, slope);
			else
				upscaler_load_plain(l, n, conv, cin, name);
			if (k == 0 && i == 0)
				r->growth = conv->cout;
			int want = k < DENSE - 1 ? r->growth : r->channels;
			if (!l->status && conv->cout != want)
				loader_fail(l, SUMI_INVALID, "%s: convolution '%s' gives %d channels "
					    "where %d are read", weights_folder(n->files), name,
					    conv->cout, want);
		}
}

static void load_ends(struct loader *l, const struct upscaler_names *n, const struct dialect *d,
		      struct rrdb *r)
{
	char name[WEIGHT_NAME_MAX];
	upscaler_load_plain(l, n, &r->body, r->channels, place_name(d, BODY, r->count, 0, name));
	int cin = r->body.cout;
	for (int i = 0; i < r->ups; i++) {
		place_name(d, UP, r->count, i + 1, name);
		upscaler_load(l, n, &r->up[i], cin, name, NULL, slope);
		cin = r->up[i].cout;
	}
	upscaler_load(l, n, &r->hr, cin, place_name(d, HR, r->count, r->ups, name), NULL, slope);
	upscaler_load_plain(l, n, &r->last, r->hr.cout,
			    place_name(d, LAST, r->count, r->ups, name));
}

/* How many pixels a side are channels of one at the beginning; 0: none of these numbers. */
static int pixels_down(int64_t channels)
{
	for (int down = 1; down <= 4; down *= 2)
		if (channels == 3 * down * down)
			return down;
	return 0;
}

/* How its layers are called, and how many there are; NULL: it is another network. */
static const struct dialect *find_parts(const struct upscaler_names *n, struct rrdb *r)
{
	for (size_t i = 0; i < sizeof dialects / sizeof dialects[0]; i++) {
		r->count = r->ups = 0;
		if (count_parts(n, &dialects[i], r))
			return &dialects[i];
	}
	return NULL;
}

static bool rrdb_is(const struct upscaler_names *n, struct upscaler_info *info)
{
	char name[WEIGHT_NAME_MAX];
	struct rrdb r = {0};
	const struct dialect *d = find_parts(n, &r);
	if (!d)
		return false;
	int down = pixels_down(find(n, place_name(d, FIRST, r.count, 0, name))->shape[1]);
	info->scale = down ? (1 << r.ups) / down : 0;
	info->multiple = down ? down : 1;
	return true;
}

static int rrdb_load(struct loader *l, const struct upscaler_names *n, void **state)
{
	char name[WEIGHT_NAME_MAX];
	struct rrdb *r = calloc(1, sizeof *r);
	const struct dialect *d = r ? find_parts(n, r) : NULL;
	*state = r;
	if (d)
		r->blocks = calloc((size_t)(IN_BLOCK * r->count), sizeof *r->blocks);
	if (!d || !r->blocks)
		return error_set(l->err, SUMI_NOMEM, "out of memory while loading an upscaler");
	upscaler_load_plain(l, n, &r->first, 0, place_name(d, FIRST, r->count, 0, name));
	r->channels = r->first.cout;
	r->down = pixels_down(r->first.cin);
	if (!l->status && (!r->down || r->down > 1 << r->ups))
		loader_fail(l, SUMI_INVALID, "%s: its first convolution reads %d channels, which is no "
			    "RGB picture", weights_folder(n->files), r->first.cin);
	load_blocks(l, n, d, r);
	load_ends(l, n, d, r);
	return l->status;
}

static void rrdb_free(void *state)
{
	struct rrdb *r = state;
	if (r)
		free(r->blocks);
	free(r);
}

/* --- running --- */

/* The first channels of `wide` are replaced by what the dense block makes of them; the others are
 * where it puts what it finds on the way. */
static void dense_forward(struct pass *p, const struct rrdb *r, const struct dense_block *b,
			  struct map wide)
{
	struct map x = map_slice(wide, 0, r->channels);
	struct map last = pass_new(p, wide.n, wide.h, wide.w, r->channels);
	for (int k = 0, have = r->channels; k < DENSE; k++, have += r->growth) {
		bool grows = k < DENSE - 1;
		pass_conv(p, &b->conv[k], map_slice(wide, 0, have),
			  grows ? map_slice(wide, have, r->growth) : last,
			  (struct conv2d_args){.act = grows ? ACT_PRELU : ACT_NONE});
	}
	pass_axpby(p, &(struct axpby_args){
			  .a = last.t, .b = x.t, .y = x.t, .alpha = share, .beta = 1});
	pass_free(p, &last);
}

static void rrdb_forward(struct pass *p, const void *state, struct map *x)
{
	const struct rrdb *r = state;
	upscaler_conv(p, &r->first, x, ACT_NONE, false);
	struct map wide = pass_new(p, x->n, x->h, x->w, r->channels + (DENSE - 1) * r->growth);
	struct map in = pass_new(p, x->n, x->h, x->w, r->channels);
	struct map head = map_slice(wide, 0, r->channels);
	pass_scale(p, *x, 1, head);
	for (int i = 0; i < r->count; i++) {
		pass_scale(p, head, 1, in);
		for (int k = 0; k < IN_BLOCK; k++)
			dense_forward(p, r, &r->blocks[IN_BLOCK * i + k], wide);
		pass_axpby(p, &(struct axpby_args){.a = head.t,
						   .b = in.t,
						   .y = head.t,
						   .alpha = share,
						   .beta = 1});
	}
	pass_free(p, &in);
	pass_conv(p, &r->body, head, *x, (struct conv2d_args){.residual = x->t});
	pass_free(p, &wide);
	for (int i = 0; i < r->ups; i++)
		upscaler_conv(p, &r->up[i], x, ACT_PRELU, true);
	upscaler_conv(p, &r->hr, x, ACT_PRELU, false);
	upscaler_conv(p, &r->last, x, ACT_NONE, false);
}

static void rrdb_shapes(const void *state, int *down, int *shuffle, bool *adds_picture)
{
	*down = ((const struct rrdb *)state)->down;
	*shuffle = 1;
	*adds_picture = false;
}

const struct upscaler_kind upscaler_rrdb = {
    .name = "RRDB",
    .is = rrdb_is,
    .load = rrdb_load,
    .free = rrdb_free,
    .forward = rrdb_forward,
    .shapes = rrdb_shapes,
};

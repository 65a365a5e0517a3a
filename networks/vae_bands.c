/* An AutoencoderKL in bands of rows: the same picture or latents with less memory, and no seams.
 *
 * A convolution sees one row beyond its own, so a band with a margin gives the very rows that the
 * whole picture has there. What is not local are group norms: mean and variance of all of it must
 * be known before anything behind them can be made. So a network is cut into pieces between which a
 * tensor is there as a whole, and a piece is made in bands again and again: once for each norm
 * within, to measure what goes into it, and once more for the result. A piece is one residual
 * block; where there is no memory for the whole between those of the last stage either, that stage
 * is one piece. */
#include <math.h>
#include <stdlib.h>

#include "networks/vae_internal.h"

enum { RESULT = -1 };

/* An upsampling, residual blocks and the decoder's end, of which a piece has one or more. */
struct piece {
	const struct conv_layer *up;
	const struct resnet_block *resnets;
	int count;
	const struct norm_layer *norm_out;
	const struct conv_layer *conv_out;
};

struct banding {
	struct pass *p;
	int rows, height; /* of a band, of all; in latents */
	int bands;
	struct buffer *ones, *zeros; /* [widest], gamma and beta of what is measured */
	struct buffer **measured;    /* [bands], factors of each */
	struct buffer **factors;     /* [norms], of all bands, of this piece */
	int norms;                   /* that any piece has at most */
};

/* One band of a piece's input, and where its own rows lie in the result. */
struct band {
	struct map x;
	int from;        /* the row of the whole input that is x's first */
	int first, rows; /* of the result, behind the margin */
	int to;          /* the row of the whole result that is the first */
	int index;
};

/* Rows of the input beyond a band of it that its result depends on. */
static int margin_of(const struct piece *piece)
{
	int rows = (piece->up != NULL) + 2 * piece->count + (piece->conv_out != NULL);
	return piece->up ? (rows + 1) / 2 : rows;
}

static struct band band_of(const struct banding *b, const struct piece *piece, struct map x,
			   int i)
{
	int scale = x.h / b->height, grow = piece->up ? 2 : 1, margin = margin_of(piece);
	int first = i * b->rows * scale, end = first + b->rows * scale;
	end = end < x.h ? end : x.h;
	int from = first < margin ? 0 : first - margin, to = end + margin < x.h ? end + margin : x.h;
	return (struct band){.x = map_lines(x, from, to - from),
			     .from = from,
			     .first = (first - from) * grow,
			     .rows = (end - first) * grow,
			     .to = first * grow,
			     .index = i};
}

/* ---- norms ---- */

static void free_buffers(struct device *device, struct buffer **buffers, int count)
{
	for (int i = 0; i < count; i++) {
		device_buffer_free(device, buffers[i]);
		buffers[i] = NULL;
	}
}

static void new_buffer(struct pass *p, size_t floats, struct buffer **out)
{
	if (p->device && !p->status)
		p->status = device_buffer_new(p->device, floats * sizeof(float), out, p->err);
}

/* Measures the band's own rows of t. */
static void measure(struct banding *b, const struct norm_layer *norm, const struct band *band,
		    struct map t)
{
	struct pass *p = b->p;
	new_buffer(p, 2 * (size_t)t.t.c, &b->measured[band->index]);
	if (!p->device || p->status)
		return;
	struct map own = map_lines(t, band->first, band->rows);
	struct group_norm_args a = {.x = own.t,
				    .grid = map_grid(&own),
				    .gamma = b->ones,
				    .beta = b->zeros,
				    .groups = norm->groups,
				    .epsilon = norm->epsilon,
				    .half = NORM_MEASURE,
				    .factors = b->measured[band->index]};
	p->status = device_group_norm(p->device, &a, p->err);
}

static void apply(struct banding *b, const struct norm_layer *norm, int which, struct map x,
		  struct map y)
{
	struct pass *p = b->p;
	if (!p->device || p->status)
		return;
	struct group_norm_args a = {.x = x.t,
				    .y = y.t,
				    .grid = map_grid(&x),
				    .groups = norm->groups,
				    .epsilon = norm->epsilon,
				    .act = ACT_SILU,
				    .half = NORM_APPLY,
				    .factors = b->factors[which]};
	p->status = device_group_norm(p->device, &a, p->err);
}

static int band_rows(const struct banding *b, int i)
{
	int left = b->height - i * b->rows;
	return left < b->rows ? left : b->rows;
}

/* Mean and variance (with epsilon) of a channel over all bands. measured: [bands, 2, c], the
 * factors 1 / √variance and −mean / √variance of each. */
static void join_channel(const struct banding *b, const float *measured, size_t c, size_t k,
			 double *mean, double *variance)
{
	double sum = 0, squares = 0;
	for (int i = 0; i < b->bands; i++) {
		const float *m = measured + (size_t)i * 2 * c + k;
		sum += band_rows(b, i) * (-(double)m[c] / (double)m[0]);
	}
	*mean = sum / b->height;
	for (int i = 0; i < b->bands; i++) {
		const float *m = measured + (size_t)i * 2 * c + k;
		double apart = -(double)m[c] / (double)m[0] - *mean;
		squares += band_rows(b, i) *
			   (1 / ((double)m[0] * (double)m[0]) + apart * apart);
	}
	*variance = squares / b->height;
}

/* What the bands measured becomes factors of the piece's norm. c: channels. */
static void join(struct banding *b, const struct norm_layer *norm, int which, size_t c)
{
	struct pass *p = b->p;
	if (!p->device || p->status)
		return;
	size_t bytes = 2 * c * sizeof(float), count = (size_t)b->bands;
	float *measured = malloc(bytes * (count + 2));
	if (!measured) {
		pass_fail(p, SUMI_NOMEM, "out of memory for a picture in bands");
		return;
	}
	float *layer = measured + 2 * c * count, *factors = layer + 2 * c;
	for (size_t i = 0; i < count && !p->status; i++)
		p->status = device_read(p->device, b->measured[i], 0, measured + 2 * c * i, bytes,
					p->err);
	if (!p->status)
		p->status = device_read(p->device, norm->gamma, 0, layer, bytes / 2, p->err);
	if (!p->status)
		p->status = device_read(p->device, norm->beta, 0, layer + c, bytes / 2, p->err);
	for (size_t k = 0; k < c && !p->status; k++) {
		double mean, variance;
		join_channel(b, measured, c, k, &mean, &variance);
		double scale = (double)layer[k] / sqrt(variance);
		factors[k] = (float)scale;
		factors[c + k] = (float)((double)layer[c + k] - mean * scale);
	}
	free_buffers(p->device, b->measured, b->bands);
	new_buffer(p, 2 * c, &b->factors[which]);
	if (!p->status)
		p->status = device_write(p->device, b->factors[which], 0, factors, bytes, p->err);
	free(measured);
}

/* ---- pieces ---- */

/* Copies so many rows. */
static void copy(struct banding *b, struct map from, int first, struct map to, int at,
		 int rows)
{
	pass_scale(b->p, map_lines(from, first, rows), 1, map_lines(to, at, rows));
}

/* Replaces *x by the block's result, up to the norm that is to be measured: then true, and *x
 * stands. which: the number of the block's first norm. *owned: *x is a temporary; then it is freed
 * or used. */
static bool resnet_band(struct banding *b, const struct resnet_block *r, const struct band *band,
			int which, int stop, struct map *x, bool *owned)
{
	struct pass *p = b->p;
	bool widens = r->cin != r->cout, in_place = *owned && widens && stop != which + 1;
	struct map y = *x;
	if (stop == which) {
		measure(b, &r->norm1, band, *x);
		return true;
	}
	if (widens && stop != which + 1) {
		y = pass_new(p, 1, x->h, x->w, r->cout);
		pass_conv(p, &r->shortcut, *x, y, (struct conv2d_args){0});
	}
	struct map a = in_place ? *x : pass_new(p, 1, x->h, x->w, r->cin);
	apply(b, &r->norm1, which, *x, a);
	struct map t = pass_new(p, 1, x->h, x->w, r->cout);
	pass_conv(p, &r->conv1, a, t, (struct conv2d_args){0});
	pass_free(p, &a); /* in place: x, which is not needed any more */
	if (stop == which + 1) {
		measure(b, &r->norm2, band, t);
		pass_free(p, &t);
		return true;
	}
	apply(b, &r->norm2, which + 1, t, t);
	struct map residual = widens ? y : *x;
	if (!widens && !*owned)
		y = pass_new(p, 1, x->h, x->w, r->cout);
	pass_conv(p, &r->conv2, t, y, (struct conv2d_args){.residual = residual.t});
	pass_free(p, &t);
	*x = y;
	*owned = true;
	return false;
}

/* The same for the end. */
static bool end_band(struct banding *b, const struct piece *piece, const struct band *band,
		     int which, int stop, struct map *x, bool *owned)
{
	struct pass *p = b->p;
	if (stop == which) {
		measure(b, piece->norm_out, band, *x);
		return true;
	}
	struct map a = *owned ? *x : pass_new(p, 1, x->h, x->w, x->t.c);
	apply(b, piece->norm_out, which, *x, a);
	struct map y = pass_new(p, 1, x->h, x->w, piece->conv_out->cout);
	pass_conv(p, piece->conv_out, a, y, (struct conv2d_args){0});
	pass_free(p, &a);
	*x = y;
	*owned = true;
	return false;
}

/* stop: the norm to measure, or RESULT: then the band's own rows go into the whole result. owned:
 * the band's x is a temporary. */
static void one_band(struct banding *b, const struct piece *piece, const struct band *band,
		     bool owned, int stop, struct map out)
{
	struct map t = band->x;
	bool measured = false;
	int k = 0;
	if (piece->up) {
		t = pass_new(b->p, 1, 2 * band->x.h, 2 * band->x.w, piece->up->cout);
		pass_conv(b->p, piece->up, band->x, t, (struct conv2d_args){.upsample = true});
		owned = true;
	}
	for (; k < piece->count && !measured; k++)
		measured = resnet_band(b, &piece->resnets[k], band, 2 * k, stop, &t, &owned);
	if (piece->conv_out && !measured)
		measured = end_band(b, piece, band, 2 * k, stop, &t, &owned);
	if (!measured)
		copy(b, t, band->first, out, band->to, band->rows);
	if (owned)
		pass_free(b->p, &t);
}

/* The i-th norm of a piece. */
static const struct norm_layer *norm_of(const struct piece *piece, int i)
{
	if (i == 2 * piece->count)
		return piece->norm_out;
	return i % 2 ? &piece->resnets[i / 2].norm2 : &piece->resnets[i / 2].norm1;
}

static int channels_of(const struct piece *piece, int i, int before)
{
	if (i == 2 * piece->count)
		return piece->count ? piece->resnets[piece->count - 1].cout : before;
	return i % 2 ? piece->resnets[i / 2].cout : piece->resnets[i / 2].cin;
}

static void make_result(struct banding *b, const struct piece *piece, struct map *x)
{
	struct pass *p = b->p;
	int grow = piece->up ? 2 : 1;
	int cout = piece->conv_out ? piece->conv_out->cout : piece->resnets[piece->count - 1].cout;
	struct map out = pass_new(p, 1, grow * x->h, grow * x->w, cout);
	for (int i = 0; i < b->bands && !p->status; i++) {
		struct band band = band_of(b, piece, *x, i);
		one_band(b, piece, &band, false, RESULT, out);
	}
	pass_free(p, x);
	*x = out;
}

/* The same into x itself: each band's rows are copied first, those above it that the band before
 * has replaced from where they were kept. */
static void make_result_in_place(struct banding *b, const struct piece *piece, struct map x)
{
	struct pass *p = b->p;
	int margin = margin_of(piece);
	struct map above = pass_new(p, 1, margin, x.w, x.t.c);
	for (int i = 0; i < b->bands && !p->status; i++) {
		struct band band = band_of(b, piece, x, i);
		struct map t = pass_new(p, 1, band.x.h, x.w, x.t.c);
		if (band.first > 0)
			copy(b, above, margin - band.first, t, 0, band.first);
		copy(b, band.x, band.first, t, band.first, band.x.h - band.first);
		if (band.rows >= margin)
			copy(b, x, band.to + band.rows - margin, above, 0, margin);
		band.x = t;
		one_band(b, piece, &band, true, RESULT, x);
	}
	pass_free(p, &above);
}

/* Replaces the whole *x by the piece's result. */
static void make_piece(struct banding *b, const struct piece *piece, struct map *x)
{
	struct pass *p = b->p;
	int norms = 2 * piece->count + (piece->conv_out != NULL);
	for (int which = 0; which < norms; which++) {
		for (int i = 0; i < b->bands && !p->status; i++) {
			struct band band = band_of(b, piece, *x, i);
			one_band(b, piece, &band, false, which, (struct map){0});
		}
		join(b, norm_of(piece, which), which, (size_t)channels_of(piece, which, x->t.c));
	}
	bool same = piece->count == 1 && !piece->up && !piece->conv_out &&
		    piece->resnets->cin == piece->resnets->cout;
	if (same)
		make_result_in_place(b, piece, *x);
	else
		make_result(b, piece, x);
	if (p->device)
		free_buffers(p->device, b->factors, norms);
}

static void fill(struct pass *p, size_t count, float value, struct buffer **out)
{
	float *values = malloc(count * sizeof *values);
	if (!values)
		pass_fail(p, SUMI_NOMEM, "out of memory for a picture in bands");
	for (size_t i = 0; values && i < count; i++)
		values[i] = value;
	if (values && p->device && !p->status)
		p->status = device_buffer_of(p->device, values, count * sizeof *values, out, p->err);
	free(values);
}

/* The stages from bands.whole on, and the end. */
static void make_pieces(struct banding *b, const struct kl_half *half, const struct vae_config *c,
			struct vae_bands bands, struct map *x)
{
	const struct piece end = {.norm_out = &half->norm_out, .conv_out = &half->conv_out};
	int last = c->levels - 1;
	for (int i = bands.whole; i < c->levels && !b->p->status; i++) {
		const struct kl_stage *s = &half->stages[i];
		const struct conv_layer *up = i > 0 ? &half->stages[i - 1].resample : NULL;
		if (i == last && bands.anew) {
			struct piece piece = end;
			piece.up = up;
			piece.resnets = s->resnets;
			piece.count = s->count;
			make_piece(b, &piece, x);
			return;
		}
		for (int k = 0; k < s->count && !b->p->status; k++) {
			struct piece piece = {
			    .up = k ? NULL : up, .resnets = &s->resnets[k], .count = 1};
			make_piece(b, &piece, x);
		}
	}
	if (!b->p->status)
		make_piece(b, &end, x);
}

static void end_banding(struct banding *b)
{
	struct pass *p = b->p;
	if (p->device && b->measured && b->factors) {
		device_buffer_free(p->device, b->ones);
		device_buffer_free(p->device, b->zeros);
		free_buffers(p->device, b->factors, b->norms);
		free_buffers(p->device, b->measured, b->bands);
	}
	free(b->measured);
	free(b->factors);
}

/* height: of the latents. Its end comes after it whatever became of it. */
static struct banding begin_banding(struct pass *p, const struct vae_config *c, int rows,
				    int height)
{
	struct banding b = {.p = p,
			    .rows = rows,
			    .height = height,
			    .bands = (height + rows - 1) / rows,
			    .norms = 2 * (c->layers + 1) + 1};
	size_t widest = 0;
	for (int i = 0; i < c->levels; i++)
		widest = (size_t)c->channels[i] > widest ? (size_t)c->channels[i] : widest;
	b.measured = calloc((size_t)b.bands, sizeof(struct buffer *));
	b.factors = calloc((size_t)b.norms, sizeof(struct buffer *));
	if (!b.measured || !b.factors) {
		pass_fail(p, SUMI_NOMEM, "out of memory for a picture in bands");
		return b;
	}
	fill(p, widest, 1, &b.ones);
	fill(p, widest, 0, &b.zeros);
	return b;
}

void kl_decode_bands(struct pass *p, const struct kl_half *half, const struct vae_config *c,
		     struct vae_bands bands, struct map *x)
{
	struct banding b = begin_banding(p, c, bands.rows, x->h);
	kl_decode_bottom(p, half, c, bands.whole, x);
	if (!p->status)
		make_pieces(&b, half, c, bands, x);
	end_banding(&b);
}

void kl_encode_bands(struct pass *p, const struct kl_half *half, const struct vae_config *c,
		     struct vae_bands bands, struct map *x)
{
	struct banding b = begin_banding(p, c, bands.rows, x->h / c->scale);
	int first = c->levels - bands.whole;
	pass_conv_replace(p, &half->conv_in, x, x->h, x->w, (struct conv2d_args){0});
	for (int i = 0; i < first && !p->status; i++) {
		const struct kl_stage *s = &half->stages[i];
		for (int k = 0; k < s->count && !p->status; k++) {
			struct piece piece = {.resnets = &s->resnets[k], .count = 1};
			make_piece(&b, &piece, x);
		}
		kl_downsample(p, s, x);
	}
	kl_encode_top(p, half, c, first, x);
	end_banding(&b);
}

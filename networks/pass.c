/* One forward pass of a model. */
#include "networks/pass.h"

#include <math.h>
#include <stdio.h>

#include "base/formatted.h"
struct pass pass_begin(struct device *device, const struct tap *tap, struct error *err)
{
	struct pass p = {.device = device, .dtype = device->activation_dtype, .err = err};
	if (tap)
		p.tap = *tap;
	return p;
}

struct pass pass_plan(enum dtype dtype)
{
	return (struct pass){.dtype = dtype};
}

void pass_fail(struct pass *p, int status, const char *format, ...)
{
	FORMATTED(text, sizeof p->err->text, format);
	if (!p->status)
		p->status = error_set(p->err, status, "%s", text);
}

void pass_behind(struct pass *p)
{
	if (!p->lean || p->status)
		return;
	p->status = device_sync(p->device, p->err);
	if (p->lean_partly)
		packed_rest_partly(p->lean);
	else
		packed_rest(p->lean);
}

/* --- temporaries --- */

static size_t bytes_of(const struct map *x)
{
	return x->t.rows * (size_t)x->t.c * dtype_size(x->t.dtype);
}

static size_t rows_of(int n, int h, int w)
{
	return (size_t)n * (size_t)h * (size_t)w;
}

struct map pass_new(struct pass *p, int n, int h, int w, int c)
{
	struct map x = {.n = n, .h = h, .w = w};
	x.t = (struct tensor){.rows = rows_of(n, h, w), .c = c, .ld = c, .dtype = p->dtype};
	if (p->status)
		return x;
	if (p->device)
		p->status = device_buffer_new(p->device, bytes_of(&x), &x.t.buffer, p->err);
	p->bytes += bytes_of(&x);
	if (p->bytes > p->bytes_peak)
		p->bytes_peak = p->bytes;
	if (bytes_of(&x) > p->bytes_largest)
		p->bytes_largest = bytes_of(&x);
	return x;
}

void pass_free(struct pass *p, struct map *x)
{
	if (p->device)
		device_buffer_free(p->device, x->t.buffer);
	x->t.buffer = NULL;
	p->bytes -= p->bytes < bytes_of(x) ? p->bytes : bytes_of(x);
}

struct map pass_upload(struct pass *p, const float *values, int n, int h, int w, int c)
{
	enum dtype dtype = p->dtype;
	p->dtype = DTYPE_F32;
	struct map x = pass_new(p, n, h, w, c);
	p->dtype = dtype;
	if (p->device && !p->status)
		p->status = device_write(p->device, x.t.buffer, 0, values, bytes_of(&x), p->err);
	if (dtype == DTYPE_F32)
		return x;
	struct map y = pass_new(p, n, h, w, c);
	pass_scale(p, x, 1, y);
	pass_free(p, &x);
	return y;
}

void pass_download(struct pass *p, const struct map *x, float *values)
{
	if (!p->device || p->status)
		return;
	struct map dense = *x;
	bool copied = x->t.dtype != DTYPE_F32 || x->t.ld != x->t.c;
	if (copied) {
		enum dtype dtype = p->dtype;
		p->dtype = DTYPE_F32;
		dense = pass_new(p, x->n, x->h, x->w, x->t.c);
		p->dtype = dtype;
		pass_scale(p, *x, 1, dense);
	}
	if (!p->status)
		p->status = device_read(p->device, dense.t.buffer, dense.t.offset * sizeof(float),
					values, bytes_of(&dense), p->err);
	if (copied)
		pass_free(p, &dense);
}

struct map map_slice(struct map x, int first, int c)
{
	x.t.offset += (size_t)first;
	x.t.c = c;
	return x;
}

struct map map_pictures(struct map x, int first, int n)
{
	x.t.offset += rows_of(first, x.h, x.w) * (size_t)x.t.ld;
	x.t.rows = rows_of(n, x.h, x.w);
	x.n = n;
	return x;
}

struct map map_tokens(struct map x, int first, int n)
{
	x.t.offset += rows_of(1, 1, first) * (size_t)x.t.ld;
	x.t.rows = rows_of(1, 1, n);
	x.w = n;
	return x;
}

struct map map_lines(struct map x, int first, int h)
{
	x.t.offset += rows_of(1, first, x.w) * (size_t)x.t.ld;
	x.t.rows = rows_of(1, h, x.w);
	x.h = h;
	return x;
}

struct grid map_grid(const struct map *x)
{
	return (struct grid){x->n, 1, x->h, x->w};
}

/* --- operations --- */

static bool idle(const struct pass *p)
{
	return p->status || !p->device;
}

/* The same of an operation, which a plan asks for. */
static bool only_asked(struct pass *p, enum device_op op, const void *args)
{
	if (!p->status && !p->device && p->asked)
		p->status = device_supports(p->asked, op, args, p->err);
	return idle(p);
}

static void conv(struct pass *p, const struct weight *weight, const struct buffer *bias, struct map x,
		 struct map y, struct conv2d_args args)
{
	args.x = x.t;
	args.y = y.t;
	args.in = map_grid(&x);
	args.out = map_grid(&y);
	args.weight = weight;
	args.bias = bias;
	if (args.stride == 0)
		args.stride = 1;
	if (!only_asked(p, OP_CONV2D, &args))
		p->status = device_conv2d(p->device, &args, p->err);
}

static void linear(struct pass *p, const struct weight *weight, const struct buffer *bias,
		   struct map x, struct map y, struct linear_args args)
{
	args.x = x.t;
	args.y = y.t;
	args.n = y.n;
	args.weight = weight;
	args.bias = bias;
	if (!only_asked(p, OP_LINEAR, &args))
		p->status = device_linear(p->device, &args, p->err);
}

/* y += t·Uᵀ of each part, or y = t·Uᵀ. */
static void put_thin(struct pass *p, const struct thin *thin, struct map t, struct map y, bool add)
{
	for (int i = 0; i < thin->count; i++) {
		const struct thin_part *part = &thin->parts[i];
		struct map to = map_slice(y, part->first, part->cout);
		if (part->ranks)
			linear(p, part->up, NULL, map_slice(t, part->first_rank, part->ranks), to,
			       (struct linear_args){.residual = add ? to.t : (struct tensor){0}});
	}
}

/* Whether a layer's weight is put together with what lies beside it anew for each product, rather than that being
 * multiplied for itself. By the numbers of one picture, as its bytes must not depend on what is computed beside it;
 * a guided one is evaluated twice. Costs in multiplications, as measured (docs/performance.md). ranks: of all parts,
 * which the first product has; most: of a part, which the second has. */
static bool fold_pays(int pixels, int cin, int kernel, int cout, int ranks, int most)
{
	const double pictures = 2, large = 1 << 21; /* numbers that leave the caches on their way */
	double numbers = (double)cin * (kernel * kernel) * cout, copy = numbers > large ? 100 : 30;
	double down = (double)cin * ranks, up = (double)cout * most;
	if (kernel == 3) { /* by Winograd's way, and a pass over all results */
		down = cin * (2.25 * ranks + 40);
		up += 16.0 * cout;
	}
	return (1.3 * most + copy) * numbers < 1.2 * pictures * pixels * (down + up);
}

static struct linear_beside beside_of(const struct thin *thin, struct tensor t)
{
	struct linear_beside b = {.t = t, .down = thin->down, .count = thin->count};
	for (int i = 0; i < thin->count && i < BESIDE_MOST; i++) {
		const struct thin_part *part = &thin->parts[i];
		b.parts[i].up = part->ranks ? part->up : NULL;
		b.parts[i].ranks = part->ranks;
		b.parts[i].first_rank = part->first_rank;
		if (part->cout != thin->parts[0].cout) /* the device takes none whose parts are unlike */
			b.count = BESIDE_MOST + 1;
	}
	return b;
}

/* The weight with what lies beside it, for one product; NULL: it does not pay, or the device cannot. */
static struct weight *fold(struct pass *p, const struct thin *thin, const struct weight *weight, int pixels)
{
	struct weight *folded = NULL;
	struct linear_beside b = beside_of(thin, (struct tensor){0});
	int most = 0, cout = 0;
	for (int i = 0; i < thin->count; i++) {
		most = thin->parts[i].ranks > most ? thin->parts[i].ranks : most;
		cout += thin->parts[i].cout;
	}
	if (!p->status && fold_pays(pixels, thin->cin, thin->kernel, cout, thin->ranks, most) &&
	    device_folds_beside(p->device, weight, &b))
		p->status = device_weight_fold(p->device, weight, &b, &folded, p->err);
	return folded;
}

/* Without a device all that such products would take is counted. A stack has up to three parts. */
static void count_thin(struct pass *p, struct map x, int cin, int kernel, int cout, enum activation act)
{
	enum { PARTS = 3, FILLED = 32 }; /* columns of the widest panels */
	if (fold_pays(x.h * x.w, cin, kernel, cout, PARTS * p->thin, p->thin)) {
		struct map folded = pass_new(p, kernel * kernel, 1, cin, (cout + FILLED - 1) / FILLED * FILLED);
		pass_free(p, &folded);
	}
	struct map t = pass_new(p, x.n, x.h, x.w, PARTS * p->thin);
	if (act != ACT_NONE) {
		struct map more = pass_new(p, x.n, x.h, x.w, cout);
		pass_free(p, &more);
	}
	pass_free(p, &t);
}

/* Of a matrix operation. */
static void count(struct pass *p, uint64_t rows, int cin, int cout)
{
	if (!p->device)
		p->products += rows * (uint64_t)cin * (uint64_t)cout;
}

/* With zeros beyond the edges. */
static void conv_flat(struct pass *p, const struct conv_layer *layer, struct map x, struct map y,
		      struct conv2d_args args)
{
	const struct thin *thin = layer->thin;
	count(p, y.t.rows, layer->cin * layer->kernel * layer->kernel, layer->cout);
	if (!p->device && p->thin)
		count_thin(p, y, layer->cin, layer->kernel, layer->cout, ACT_NONE);
	struct weight *folded = idle(p) || !thin || !thin->ranks ? NULL : fold(p, thin, layer->weight, y.h * y.w);
	conv(p, folded ? folded : layer->weight, layer->bias, x, y, args);
	if (folded)
		device_weight_free(p->device, folded);
	if (idle(p) || folded || !thin || !thin->ranks)
		return;
	if (args.act != ACT_NONE)
		pass_fail(p, SUMI_UNSUPPORTED, "a LoRA on a convolution that ends in an activation");
	struct map t = pass_new(p, y.n, y.h, y.w, thin->ranks);
	conv(p, thin->down, NULL, x, t,
	     (struct conv2d_args){
		 .stride = args.stride, .upsample = args.upsample, .pad_end = args.pad_end});
	put_thin(p, thin, t, y, true);
	pass_free(p, &t);
}

/* ---- convolutions that go around ---- */

/* Pixels h × w of one picture from a line and column on, which lie side by side, as rows of lines. */
static struct tensor window(struct map x, int picture, int line, int column, int h, int w)
{
	struct tensor t = map_pictures(x, picture, 1).t;
	t.offset += (rows_of(1, line, x.w) + (size_t)column) * (size_t)t.c;
	t.rows = (size_t)h;
	t.ld = x.w * t.c;
	t.c *= w;
	return t;
}

static void copy_window(struct pass *p, struct tensor from, struct tensor to)
{
	pass_axpby(p, &(struct axpby_args){.a = from, .y = to, .alpha = 1});
}

/* The same as a temporary whose pixels lie side by side. */
static struct map dense(struct pass *p, struct map x)
{
	struct map y = pass_new(p, x.n, x.h, x.w, x.t.c);
	pass_scale(p, x, 1, y);
	return y;
}

/* x with so many lines above and below and columns beside it that go around; a temporary. */
static struct map surrounded(struct pass *p, struct map x, int lines, int columns)
{
	struct map own = {0};
	if (x.t.ld != x.t.c)
		x = own = dense(p, x);
	struct map y = pass_new(p, x.n, x.h + 2 * lines, x.w + 2 * columns, x.t.c);
	for (int i = 0; i < x.n && !idle(p); i++) {
		copy_window(p, window(x, i, 0, 0, x.h, x.w), window(y, i, lines, columns, x.h, x.w));
		for (int k = 1; k <= columns; k++) {
			int left = (x.w - k % x.w) % x.w, right = (k - 1) % x.w;
			copy_window(p, window(x, i, 0, left, x.h, 1), window(y, i, lines, columns - k, x.h, 1));
			copy_window(p, window(x, i, 0, right, x.h, 1),
				    window(y, i, lines, columns + x.w + k - 1, x.h, 1));
		}
		for (int k = 1; k <= lines; k++) {
			int above = (x.h - k % x.h) % x.h, below = (k - 1) % x.h;
			copy_window(p, window(y, i, lines + above, 0, 1, y.w), window(y, i, lines - k, 0, 1, y.w));
			copy_window(p, window(y, i, lines + below, 0, 1, y.w),
				    window(y, i, lines + x.h + k - 1, 0, 1, y.w));
		}
	}
	if (own.t.ld)
		pass_free(p, &own);
	return y;
}

/* y = the part of large from a line and column on, and residual, which may be y, added. */
static void cut_out(struct pass *p, struct map large, int line, int column, struct tensor residual,
		    struct map y)
{
	struct map to = y, added = {residual, y.n, y.h, y.w};
	bool apart = y.t.ld != y.t.c || (residual.buffer && residual.ld != residual.c);
	if (apart)
		to = pass_new(p, y.n, y.h, y.w, y.t.c);
	for (int i = 0; i < y.n && !idle(p); i++) {
		struct axpby_args args = {.a = window(large, i, line, column, y.h, y.w),
					  .y = window(to, i, 0, 0, y.h, y.w),
					  .alpha = 1,
					  .beta = 1};
		if (residual.buffer && !apart)
			args.b = window(added, i, 0, 0, y.h, y.w);
		pass_axpby(p, &args);
	}
	if (!apart)
		return;
	pass_axpby(p, &(struct axpby_args){.a = to.t, .b = residual, .y = y.t, .alpha = 1, .beta = 1});
	pass_free(p, &to);
}

/* The picture is surrounded by itself, convolved as any other, and its own part cut out. With a stride two
 * pixels more are needed: the grid of the result begins with a pixel of the picture's own. */
static void conv_around(struct pass *p, const struct conv_layer *layer, struct map x, struct map y,
			struct conv2d_args args)
{
	int stride = args.stride ? args.stride : 1, grow = args.upsample ? 2 : 1;
	int columns = p->wrap & WRAP_X ? stride : 0, lines = p->wrap & WRAP_Y ? stride : 0;
	struct tensor residual = args.residual;
	struct map more = surrounded(p, x, lines, columns);
	struct map large = pass_new(p, y.n, (more.h * grow + stride - 1) / stride,
				    (more.w * grow + stride - 1) / stride, y.t.c);
	args.residual = (struct tensor){0};
	conv_flat(p, layer, more, large, args);
	pass_free(p, &more);
	cut_out(p, large, lines * grow / stride, columns * grow / stride, residual, y);
	pass_free(p, &large);
}

/* The border of an encoder's halving (pad_end) is no part of its convolution in diffusers: zeros stay there. */
void pass_conv(struct pass *p, const struct conv_layer *layer, struct map x, struct map y,
	       struct conv2d_args args)
{
	if (p->wrap && layer->kernel > 1 && !args.pad_end)
		conv_around(p, layer, x, y, args);
	else
		conv_flat(p, layer, x, y, args);
}

void pass_linear(struct pass *p, const struct linear_layer *layer, struct map x, struct map y,
		 struct linear_args args)
{
	const struct thin *thin = layer->thin;
	struct linear_beside beside;
	struct map more = {0};
	count(p, x.t.rows, layer->cin, layer->cout);
	if (!p->device && p->thin)
		count_thin(p, x, layer->cin, 1, layer->cout, args.act);
	if (idle(p) || !thin || !thin->ranks) {
		linear(p, layer->weight, layer->bias, x, y, args);
		return;
	}
	struct weight *folded = fold(p, thin, layer->weight, y.h * y.w);
	if (folded) {
		linear(p, folded, layer->bias, x, y, args);
		device_weight_free(p->device, folded);
		return;
	}
	struct map t = pass_new(p, x.n, x.h, x.w, thin->ranks);
	linear(p, thin->down, NULL, x, t, (struct linear_args){0});
	beside = beside_of(thin, t.t);
	args.x = x.t;
	args.y = y.t;
	args.n = y.n;
	args.weight = layer->weight;
	args.beside = &beside;
	if (p->status || !device_joins_beside(p->device, &args))
		args.beside = NULL;
	bool apart = !args.beside;
	if (apart && args.act != ACT_NONE) { /* it belongs before the activation */
		more = pass_new(p, x.n, x.h, x.w, layer->cout);
		put_thin(p, thin, t, more, false);
		args.add = more.t;
	}
	linear(p, layer->weight, layer->bias, x, y, args);
	if (apart && args.act == ACT_NONE)
		put_thin(p, thin, t, y, true);
	else if (apart)
		pass_free(p, &more);
	pass_free(p, &t);
}

void pass_norm(struct pass *p, const struct norm_layer *layer, struct map x, struct map y,
	       enum activation act)
{
	struct layer_norm_args args = {.x = x.t,
				       .y = y.t,
				       .gamma = layer->gamma,
				       .beta = layer->beta,
				       .epsilon = layer->epsilon};
	if (layer->groups)
		pass_norm_over(p, layer, map_grid(&x), x, y, act);
	else if (!only_asked(p, OP_LAYER_NORM, &args))
		p->status = device_layer_norm(p->device, &args, p->err);
}

void pass_norm_over(struct pass *p, const struct norm_layer *layer, struct grid grid,
		    struct map x, struct map y, enum activation act)
{
	struct group_norm_args args = {.x = x.t,
				       .y = y.t,
				       .grid = grid,
				       .gamma = layer->gamma,
				       .beta = layer->beta,
				       .groups = layer->groups,
				       .epsilon = layer->epsilon,
				       .act = act};
	if (!only_asked(p, OP_GROUP_NORM, &args))
		p->status = device_group_norm(p->device, &args, p->err);
}

void pass_scale(struct pass *p, struct map x, float alpha, struct map y)
{
	pass_axpby(p, &(struct axpby_args){.a = x.t, .y = y.t, .alpha = alpha});
}

void pass_attention(struct pass *p, const struct attention_args *args)
{
	if (args->n > 0) /* of queries and keys, of weights and values */
		count(p, 2 * args->q.rows, (int)(args->k.rows / (size_t)args->n), args->q.c);
	if (!only_asked(p, OP_ATTENTION, args))
		p->status = device_attention(p->device, args, p->err);
}

void pass_axpby(struct pass *p, const struct axpby_args *args)
{
	if (!only_asked(p, OP_AXPBY, args))
		p->status = device_axpby(p->device, args, p->err);
}

void pass_embedding(struct pass *p, const struct embedding_args *args)
{
	if (!only_asked(p, OP_EMBEDDING, args))
		p->status = device_embedding(p->device, args, p->err);
}

void pass_permute(struct pass *p, const struct permute_args *args)
{
	if (!only_asked(p, OP_PERMUTE, args))
		p->status = device_permute(p->device, args, p->err);
}

void pass_timestep(struct pass *p, const struct timestep_args *args)
{
	if (!only_asked(p, OP_TIMESTEP, args))
		p->status = device_timestep(p->device, args, p->err);
}

void load_heads(struct loader *l, int channels, int heads, const char *name)
{
	if (heads < 1 || channels % heads != 0) {
		loader_fail(l, SUMI_INVALID,
			    "config.json: %d channels of '%s' do not form %d attention heads",
			    channels, name, heads);
		return;
	}
	if (l->status || !l->files)
		return;
	struct tensor t = {.rows = 1, .c = channels, .ld = channels};
	t.dtype = l->set->device->activation_dtype;
	l->status = device_supports(
	    l->set->device, OP_ATTENTION,
	    &(struct attention_args){
		.q = t, .k = t, .v = t, .y = t, .n = 1, .heads = heads, .scale = 1},
	    l->err);
	if (l->status)
		error_prefix(l->err, "%s: '%.100s'", weights_folder(l->files), name);
}

float head_scale(int channels, int heads)
{
	int width = channels / heads;
	return 1.0f / sqrtf((float)width);
}

/* Copies count pixels of x from x_first to every second pixel of y from y_first. */
static void spread(struct pass *p, struct tensor x, size_t x_first, struct tensor y, size_t y_first,
		   int count)
{
	x.rows = y.rows = (size_t)count;
	x.offset += x_first * (size_t)x.ld;
	y.offset += y_first * (size_t)y.ld;
	y.ld *= 2;
	pass_axpby(p, &(struct axpby_args){.a = x, .y = y, .alpha = 1});
}

void pass_conv_up(struct pass *p, const struct conv_layer *layer, struct map x, struct map y)
{
	if (y.h == 2 * x.h && y.w == 2 * x.w) {
		pass_conv(p, layer, x, y, (struct conv2d_args){.upsample = true});
		return;
	}
	/* The convolution's zero border must lie at y's edge, not one pixel behind it, so the
	 * enlarged picture is made first: two copies a row. Only odd latent sizes come here. */
	struct map large = pass_new(p, y.n, y.h, y.w, x.t.c);
	for (int n = 0; n < y.n; n++)
		for (int row = 0; row < y.h; row++) {
			size_t from = ((size_t)n * (size_t)x.h + (size_t)row / 2) * (size_t)x.w;
			size_t to = ((size_t)n * (size_t)y.h + (size_t)row) * (size_t)y.w;
			spread(p, x.t, from, large.t, to, (y.w + 1) / 2);
			if (y.w > 1)
				spread(p, x.t, from, large.t, to + 1, y.w / 2);
		}
	pass_conv(p, layer, large, y, (struct conv2d_args){0});
	pass_free(p, &large);
}

void pass_tap(struct pass *p, const struct map *x, const char *format, ...)
{
	if (!p->tap.call || idle(p))
		return;
	FORMATTED(name, 256, format);
	p->tap.call(p->tap.user, name, x);
}

/* The checked operations of backend.h: every rule about shapes stands here, once, so that
 * an implementation can trust what it is given. */
#include <limits.h>
#include <math.h>

#include "backends/implement.h"

int device_supports(const struct device *d, enum device_op op, const void *args, struct error *err)
{
	const struct device_ops *o = d->ops;
	const struct {
		const char *name;
		bool there;
	} all[] = {
	    [OP_CONV2D] = {"conv2d", o->conv2d},
	    [OP_LINEAR] = {"linear", o->linear},
	    [OP_GROUP_NORM] = {"group_norm", o->group_norm},
	    [OP_LAYER_NORM] = {"layer_norm", o->layer_norm},
	    [OP_ATTENTION] = {"attention", o->attention},
	    [OP_AXPBY] = {"axpby", o->axpby},
	    [OP_EMBEDDING] = {"embedding", o->embedding},
	    [OP_TIMESTEP] = {"timestep", o->timestep},
	    [OP_PERMUTE] = {"permute", o->permute},
	};
	if (!all[op].there)
		return error_set(err, SUMI_UNSUPPORTED, "%s: %s cannot do it", all[op].name,
				 d->info.name);
	const struct conv2d_args *conv = args;
	if (op == OP_CONV2D && conv->in.d > 1)
		return error_set(err, SUMI_UNSUPPORTED, "conv2d: x has %d planes, can have 1",
				 conv->in.d);
	return o->supports ? o->supports(d, op, args, err) : SUMI_OK;
}

static int check_tensor(const char *op, const char *name, const struct tensor *t, enum dtype dtype,
			struct error *err)
{
	if (!t->buffer)
		return error_set(err, SUMI_INVALID, "%s: %s has no buffer", op, name);
	if (t->dtype != DTYPE_F32 && t->dtype != DTYPE_F16)
		return error_set(err, SUMI_INVALID, "%s: %s must be F32 or F16", op, name);
	if (t->dtype != dtype)
		return error_set(err, SUMI_INVALID, "%s: %s has another dtype than the rest", op,
				 name);
	if (t->rows < 1 || t->c < 1 || t->ld < t->c)
		return error_set(err, SUMI_INVALID, "%s: %s has the shape [%zu, %d] with ld %d", op,
				 name, t->rows, t->c, t->ld);
	size_t last, end, bytes;
	if (t->rows > INT_MAX || __builtin_mul_overflow(t->rows - 1, (size_t)t->ld, &last) ||
	    __builtin_add_overflow(last + (size_t)t->c, t->offset, &end) ||
	    __builtin_mul_overflow(end, dtype_size(t->dtype), &bytes) ||
	    bytes > buffer_head(t->buffer)->bytes)
		return error_set(err, SUMI_INVALID,
				 "%s: %s [%zu, %d] with ld %d from %zu leaves its buffer of "
				 "%zu bytes",
				 op, name, t->rows, t->c, t->ld, t->offset,
				 buffer_head(t->buffer)->bytes);
	return SUMI_OK;
}

static int check_grid(const char *op, const char *name, const struct grid *g,
		      const struct tensor *t, struct error *err)
{
	/* A tensor has fewer than 2^31 rows: no product of two of these overflows before it is seen
	   to be too large. */
	size_t sides[] = {(size_t)g->d, (size_t)g->h, (size_t)g->w}, rows = (size_t)g->n;
	bool whole = g->n > 0 && g->d > 0 && g->h > 0 && g->w > 0;
	for (int i = 0; i < 3 && whole && rows <= t->rows; i++)
		rows *= sides[i];
	if (!whole || rows != t->rows)
		return error_set(err, SUMI_INVALID,
				 "%s: %s has %zu rows, its grid is [%d, %d, %d, %d]", op, name,
				 t->rows, g->n, g->d, g->h, g->w);
	return SUMI_OK;
}

/* n: pictures or texts that the rows are of. */
static int check_shares(const char *op, const char *name, const struct tensor *t, int n,
			struct error *err)
{
	if (n < 1 || t->rows % (size_t)n)
		return error_set(err, SUMI_INVALID, "%s: %s has %zu rows, which are not of n = %d",
				 op, name, t->rows, n);
	return SUMI_OK;
}

static int check_same_shape(const char *op, const char *name, const struct tensor *t,
			    const struct tensor *y, struct error *err)
{
	if (t->rows != y->rows || t->c != y->c)
		return error_set(err, SUMI_INVALID, "%s: %s is [%zu, %d], must be [%zu, %d]", op,
				 name, t->rows, t->c, y->rows, y->c);
	return SUMI_OK;
}

static int check_same_rows(const char *op, const char *name, const struct tensor *t,
			   const struct tensor *y, struct error *err)
{
	if (t->rows != y->rows)
		return error_set(err, SUMI_INVALID, "%s: %s has %zu rows, y has %zu", op, name,
				 t->rows, y->rows);
	return SUMI_OK;
}

static int check_vector(const char *op, const char *name, const struct buffer *b, int channels,
			struct error *err)
{
	size_t need = (size_t)channels * sizeof(float);
	if (!b)
		return error_set(err, SUMI_INVALID, "%s: there is no %s", op, name);
	if (buffer_head(b)->bytes < need)
		return error_set(err, SUMI_INVALID, "%s: %s holds %zu bytes, %d channels need %zu",
				 op, name, buffer_head(b)->bytes, channels, need);
	return SUMI_OK;
}

static bool same_tensor(const struct tensor *a, const struct tensor *b)
{
	return a->buffer == b->buffer && a->offset == b->offset && a->ld == b->ld &&
	       a->dtype == b->dtype && a->rows == b->rows && a->c == b->c;
}

/* Do two tensors share an element? Slices of one concatenation (same ld, other channels)
 * do not, although their ranges of bytes cross. */
static bool overlap(const struct tensor *a, const struct tensor *b)
{
	if (a->buffer != b->buffer)
		return false;
	size_t size_a = dtype_size(a->dtype), size_b = dtype_size(b->dtype);
	size_t end_a = (a->offset + (a->rows - 1) * (size_t)a->ld + (size_t)a->c) * size_a;
	size_t end_b = (b->offset + (b->rows - 1) * (size_t)b->ld + (size_t)b->c) * size_b;
	if (end_a <= b->offset * size_b || end_b <= a->offset * size_a)
		return false;
	if (a->ld != b->ld || size_a != size_b)
		return true;
	size_t ld = (size_t)a->ld;
	size_t from_a_to_b = (b->offset % ld + ld - a->offset % ld) % ld;
	return from_a_to_b < (size_t)a->c || ld - from_a_to_b < (size_t)b->c;
}

/* in_place: t may be y itself, but not cross it in any other way. */
static int check_apart(const char *op, const char *name, const struct tensor *t,
		       const struct tensor *y, bool in_place, struct error *err)
{
	if (in_place && same_tensor(t, y))
		return SUMI_OK;
	if (overlap(t, y))
		return error_set(err, SUMI_INVALID, "%s: y overlaps %s", op, name);
	return SUMI_OK;
}

static int check_weight(const char *op, const struct weight *w, int cin, int cout,
			struct error *err)
{
	if (!w)
		return error_set(err, SUMI_INVALID, "%s: there is no weight", op);
	const struct weight_head *head = weight_head(w);
	if (head->table)
		return error_set(err, SUMI_INVALID, "%s: the weight is a table", op);
	if (head->cin != cin || head->cout != cout)
		return error_set(err, SUMI_INVALID,
				 "%s: the weight is [%d, %d], the tensors need [%d, %d]", op,
				 head->cout, head->cin, cout, cin);
	return SUMI_OK;
}

/* `extra`: the one of those beyond ACT_TANH3 that the operation knows, or ACT_NONE. */
static int check_activation(const char *op, enum activation act, enum activation extra,
			    struct error *err)
{
	if ((int)act < ACT_NONE || (act > ACT_TANH3 && act != extra))
		return error_set(err, SUMI_INVALID, "%s: activation %d cannot be used here", op,
				 (int)act);
	return SUMI_OK;
}

/* Rows or columns that a convolution gives for `in` of the input; 0: not possible. */
static long long conv_extent(const struct conv2d_args *a, long long in)
{
	if (a->upsample)
		in *= 2;
	if (a->stride == 1)
		return in;
	if (a->pad_end)
		return in / 2;   /* (in + 1 - 3) / 2 + 1 */
	return (in - 1) / 2 + 1; /* kernel 3 with a border of 1, and kernel 1 without */
}

static int check_conv_grids(const struct conv2d_args *a, struct error *err)
{
	static const char op[] = "conv2d";
	int status = check_grid(op, "x", &a->in, &a->x, err);
	if (!status)
		status = check_grid(op, "y", &a->out, &a->y, err);
	if (status)
		return status;
	long long h = conv_extent(a, a->in.h), w = conv_extent(a, a->in.w);
	if (a->out.n != a->in.n || a->out.d != a->in.d || a->out.h != h || a->out.w != w || h < 1 ||
	    w < 1)
		return error_set(err, SUMI_INVALID,
				 "%s: y is [%d, %d, %d, %d], must be [%d, %d, %lld, %lld]", op,
				 a->out.n, a->out.d, a->out.h, a->out.w, a->in.n, a->in.d, h, w);
	return SUMI_OK;
}

int device_conv2d(struct device *d, const struct conv2d_args *a, struct error *err)
{
	static const char op[] = "conv2d";
	int status = check_tensor(op, "y", &a->y, a->y.dtype, err);
	if (status || (status = check_tensor(op, "x", &a->x, a->y.dtype, err)) ||
	    (status = check_weight(op, a->weight, a->x.c, a->y.c, err)) ||
	    (status = check_activation(op, a->act, ACT_PRELU, err)) ||
	    (status = check_apart(op, "x", &a->x, &a->y, false, err)))
		return status;
	int kernel = weight_head(a->weight)->kernel;
	if (weight_head(a->weight)->geglu)
		return error_set(err, SUMI_INVALID, "%s: the weight is a GEGLU layer's", op);
	if (a->stride != 1 && a->stride != 2)
		return error_set(err, SUMI_UNSUPPORTED, "%s: stride %d", op, a->stride);
	if ((a->upsample && a->stride != 1) || (a->pad_end && (a->stride != 2 || kernel != 3)))
		return error_set(err, SUMI_INVALID,
				 "%s: upsample needs stride 1, pad_end stride 2 and kernel 3", op);
	if ((status = check_conv_grids(a, err)))
		return status;
	bool prelu = a->act == ACT_PRELU;
	if (prelu && !a->bias)
		return error_set(err, SUMI_INVALID, "%s: PReLU needs its slopes", op);
	if (a->bias && (status = check_vector(op, "bias", a->bias, prelu ? 2 * a->y.c : a->y.c, err)))
		return status;
	if (a->add.buffer) {
		struct tensor want = {.rows = (size_t)a->out.n, .c = a->y.c};
		if ((status = check_tensor(op, "add", &a->add, a->y.dtype, err)) ||
		    (status = check_same_shape(op, "add", &a->add, &want, err)) ||
		    (status = check_apart(op, "add", &a->add, &a->y, false, err)))
			return status;
	}
	if (a->residual.buffer &&
	    ((status = check_tensor(op, "residual", &a->residual, a->y.dtype, err)) ||
	     (status = check_same_shape(op, "residual", &a->residual, &a->y, err)) ||
	     (status = check_apart(op, "residual", &a->residual, &a->y, true, err))))
		return status;
	status = device_supports(d, OP_CONV2D, a, err);
	return status ? status : d->ops->conv2d(d, a, err);
}

int device_linear(struct device *d, const struct linear_args *a, struct error *err)
{
	static const char op[] = "linear";
	bool geglu = a->act == ACT_GEGLU;
	int status = check_tensor(op, "y", &a->y, a->y.dtype, err);
	if (status || (status = check_tensor(op, "x", &a->x, a->y.dtype, err)) ||
	    (status = check_weight(op, a->weight, a->x.c, geglu ? 2 * a->y.c : a->y.c, err)) ||
	    (status = check_activation(op, a->act, ACT_GEGLU, err)) ||
	    (status = check_same_rows(op, "x", &a->x, &a->y, err)) ||
	    (status = check_shares(op, "y", &a->y, a->n, err)) ||
	    (status = check_apart(op, "x", &a->x, &a->y, false, err)))
		return status;
	const struct weight_head *head = weight_head(a->weight);
	if (head->kernel != 1 || head->geglu != geglu)
		return error_set(err, SUMI_INVALID, "%s: the weight is a %s's", op,
				 head->kernel != 1 ? "convolution"
				 : head->geglu     ? "GEGLU layer"
						   : "layer without GEGLU");
	if (a->bias && (status = check_vector(op, "bias", a->bias, head->cout, err)))
		return status;
	if (a->add.buffer) {
		struct tensor want = {.rows = a->y.rows, .c = head->cout};
		if ((status = check_tensor(op, "add", &a->add, a->y.dtype, err)) ||
		    (status = check_same_shape(op, "add", &a->add, &want, err)) ||
		    (status = check_apart(op, "add", &a->add, &a->y, false, err)))
			return status;
	}
	if (a->residual.buffer) {
		if ((status = check_tensor(op, "residual", &a->residual, a->y.dtype, err)) ||
		    (status = check_same_rows(op, "residual", &a->residual, &a->y, err)))
			return status;
		if (a->residual.c != a->y.c)
			return error_set(err, SUMI_INVALID,
					 "%s: residual has %d channels, y has %d", op,
					 a->residual.c, a->y.c);
		if ((status = check_apart(op, "residual", &a->residual, &a->y, true, err)))
			return status;
	}
	if (a->beside && ((status = check_tensor(op, "beside", &a->beside->t, a->x.dtype, err)) ||
			  (status = check_apart(op, "beside", &a->beside->t, &a->y, false, err))))
		return status;
	if (a->beside && (a->beside->t.rows != a->x.rows || !device_joins_beside(d, a)))
		return error_set(err, SUMI_UNSUPPORTED, "%s: what lies beside it is not for this product", op);
	status = device_supports(d, OP_LINEAR, a, err);
	return status ? status : d->ops->linear(d, a, err);
}

bool device_joins_beside(const struct device *d, const struct linear_args *a)
{
	return d->ops->joins_beside && d->ops->joins_beside(d, a);
}

bool device_folds_beside(const struct device *d, const struct weight *w, const struct linear_beside *b)
{
	return d->ops->folds_beside && d->ops->folds_beside(d, w, b);
}

int device_weight_fold(struct device *d, const struct weight *w, const struct linear_beside *b, struct weight **out,
		       struct error *err)
{
	*out = NULL;
	if (!device_folds_beside(d, w, b))
		return error_set(err, SUMI_UNSUPPORTED, "fold: what lies beside the weight is not for it");
	return d->ops->weight_fold(d, w, b, out, err);
}

int device_group_norm(struct device *d, const struct group_norm_args *a, struct error *err)
{
	static const char op[] = "group_norm";
	bool measures = a->half == NORM_MEASURE, applies = a->half == NORM_APPLY;
	int status = check_tensor(op, "x", &a->x, a->x.dtype, err);
	if (status || (status = check_grid(op, "x", &a->grid, &a->x, err)))
		return status;
	if (!measures &&
	    ((status = check_tensor(op, "y", &a->y, a->x.dtype, err)) ||
	     (status = check_same_shape(op, "x", &a->x, &a->y, err)) ||
	     (status = check_apart(op, "x", &a->x, &a->y, true, err))))
		return status;
	if (!applies && !(status = check_vector(op, "gamma", a->gamma, a->x.c, err)))
		status = check_vector(op, "beta", a->beta, a->x.c, err);
	if (!status && a->half != NORM_BOTH)
		status = check_vector(op, "factors", a->factors, a->grid.n * 2 * a->x.c, err);
	if (status)
		return status;
	if (a->groups < 1 || a->x.c % a->groups)
		return error_set(err, SUMI_INVALID, "%s: %d channels in %d groups", op, a->x.c,
				 a->groups);
	if (!(a->epsilon >= 0) || !isfinite(a->epsilon))
		return error_set(err, SUMI_INVALID, "%s: epsilon %g", op, (double)a->epsilon);
	if (a->act != ACT_NONE && a->act != ACT_SILU)
		return error_set(err, SUMI_UNSUPPORTED, "%s: activation %d", op, (int)a->act);
	status = device_supports(d, OP_GROUP_NORM, a, err);
	return status ? status : d->ops->group_norm(d, a, err);
}

int device_layer_norm(struct device *d, const struct layer_norm_args *a, struct error *err)
{
	static const char op[] = "layer_norm";
	int status = check_tensor(op, "y", &a->y, a->y.dtype, err);
	if (status || (status = check_tensor(op, "x", &a->x, a->y.dtype, err)) ||
	    (status = check_same_rows(op, "x", &a->x, &a->y, err)) ||
	    (status = check_apart(op, "x", &a->x, &a->y, true, err)) ||
	    (status = check_vector(op, "gamma", a->gamma, a->y.c, err)) ||
	    (status = check_vector(op, "beta", a->beta, a->y.c, err)))
		return status;
	if (a->x.c != a->y.c)
		return error_set(err, SUMI_INVALID, "%s: x has %d channels, y has %d", op, a->x.c,
				 a->y.c);
	if (!(a->epsilon >= 0) || !isfinite(a->epsilon))
		return error_set(err, SUMI_INVALID, "%s: epsilon %g", op, (double)a->epsilon);
	status = device_supports(d, OP_LAYER_NORM, a, err);
	return status ? status : d->ops->layer_norm(d, a, err);
}

int device_attention(struct device *d, const struct attention_args *a, struct error *err)
{
	static const char op[] = "attention";
	const struct {
		const char *name;
		const struct tensor *t;
		const struct tensor *like; /* has as many tokens */
	} parts[] = {{"q", &a->q, &a->y}, {"k", &a->k, &a->v}, {"v", &a->v, &a->k}};
	int status = check_tensor(op, "y", &a->y, a->y.dtype, err);
	for (int i = 0; i < 3 && !status; i++) {
		const struct tensor *t = parts[i].t, *like = parts[i].like;
		if ((status = check_tensor(op, parts[i].name, t, a->y.dtype, err)) ||
		    (status = check_apart(op, parts[i].name, t, &a->y, false, err)))
			return status;
		if (t->c != a->y.c || t->rows != like->rows)
			return error_set(err, SUMI_INVALID,
					 "%s: %s is [%zu, %d], which does not go with the rest", op,
					 parts[i].name, t->rows, t->c);
		if ((status = check_shares(op, parts[i].name, t, a->n, err)))
			return status;
	}
	if (status)
		return status;
	if (a->heads < 1 || a->y.c % a->heads)
		return error_set(err, SUMI_INVALID, "%s: %d channels in %d heads", op, a->y.c,
				 a->heads);
	if (!isfinite(a->scale))
		return error_set(err, SUMI_INVALID, "%s: scale %g", op, (double)a->scale);
	status = device_supports(d, OP_ATTENTION, a, err);
	return status ? status : d->ops->attention(d, a, err);
}

int device_axpby(struct device *d, const struct axpby_args *a, struct error *err)
{
	static const char op[] = "axpby";
	int status = check_tensor(op, "y", &a->y, a->y.dtype, err);
	if (status || (status = check_tensor(op, "a", &a->a, a->a.dtype, err)) ||
	    (status = check_same_shape(op, "a", &a->a, &a->y, err)) ||
	    (status = check_apart(op, "a", &a->a, &a->y, true, err)) ||
	    (status = check_activation(op, a->act, ACT_GATE, err)))
		return status;
	if (a->b.buffer && ((status = check_tensor(op, "b", &a->b, a->b.dtype, err)) ||
			    (status = check_same_shape(op, "b", &a->b, &a->y, err)) ||
			    (status = check_apart(op, "b", &a->b, &a->y, true, err))))
		return status;
	if (a->gain && (!a->b.buffer || a->gains < 1 || a->y.rows % (size_t)a->gains != 0))
		return error_set(err, SUMI_INVALID, "%s: %d gains for %zu rows of b", op, a->gains,
				 a->b.buffer ? a->y.rows : 0);
	if (a->gain && (status = check_vector(op, "gain", a->gain, a->gains, err)))
		return status;
	status = device_supports(d, OP_AXPBY, a, err);
	return status ? status : d->ops->axpby(d, a, err);
}

static int check_table(const char *name, const struct weight *w, int channels, struct error *err)
{
	const struct weight_head *head = weight_head(w);
	if (!head->table)
		return error_set(err, SUMI_INVALID, "embedding: the %s was not made as a table",
				 name);
	if (head->cin != channels)
		return error_set(err, SUMI_INVALID, "embedding: the %s has %d channels, y has %d",
				 name, head->cin, channels);
	return SUMI_OK;
}

int device_embedding(struct device *d, const struct embedding_args *a, struct error *err)
{
	static const char op[] = "embedding";
	int status = check_tensor(op, "y", &a->y, a->y.dtype, err);
	if (status)
		return status;
	if (!a->table || !a->ids)
		return error_set(err, SUMI_INVALID, "%s: there is no %s", op,
				 a->ids ? "table" : "id");
	if ((status = check_table("table", a->table, a->y.c, err)) ||
	    (a->position && (status = check_table("position", a->position, a->y.c, err))))
		return status;
	if ((status = check_shares(op, "y", &a->y, a->n, err)))
		return status;
	size_t tokens = a->y.rows / (size_t)a->n;
	if (a->position && (size_t)weight_head(a->position)->cout < tokens)
		return error_set(err, SUMI_INVALID, "%s: %zu tokens, but %d positions", op, tokens,
				 weight_head(a->position)->cout);
	int vocabulary = weight_head(a->table)->cout;
	for (size_t i = 0; i < a->y.rows; i++)
		if (a->ids[i] < 0 || a->ids[i] >= vocabulary)
			return error_set(err, SUMI_INVALID,
					 "%s: id %d of token %zu is outside the vocabulary of %d",
					 op, (int)a->ids[i], i, vocabulary);
	status = device_supports(d, OP_EMBEDDING, a, err);
	return status ? status : d->ops->embedding(d, a, err);
}

int device_timestep(struct device *d, const struct timestep_args *a, struct error *err)
{
	static const char op[] = "timestep";
	int status = check_tensor(op, "y", &a->y, a->y.dtype, err);
	if (status)
		return status;
	if (!a->timesteps)
		return error_set(err, SUMI_INVALID, "%s: there are no timesteps", op);
	if (a->y.c % 2)
		return error_set(err, SUMI_INVALID, "%s: y is [%zu, %d], must have an even c", op,
				 a->y.rows, a->y.c);
	int frequencies = a->y.c / 2;
	if (!(a->freq_shift < (float)frequencies) || !isfinite(a->freq_shift))
		return error_set(err, SUMI_INVALID, "%s: freq_shift %g for %d channels", op,
				 (double)a->freq_shift, a->y.c);
	for (size_t i = 0; i < a->y.rows; i++)
		if (!isfinite(a->timesteps[i]))
			return error_set(err, SUMI_INVALID, "%s: timestep %zu is not finite", op,
					 i);
	status = device_supports(d, OP_TIMESTEP, a, err);
	return status ? status : d->ops->timestep(d, a, err);
}

int device_permute(struct device *d, const struct permute_args *a, struct error *err)
{
	static const char op[] = "permute";
	int status = check_tensor(op, "y", &a->y, a->y.dtype, err);
	if (status || (status = check_tensor(op, "x", &a->x, a->y.dtype, err)) ||
	    (status = check_same_rows(op, "x", &a->x, &a->y, err)) ||
	    (status = check_apart(op, "x", &a->x, &a->y, false, err)))
		return status;
	if (a->x.c != a->y.c)
		return error_set(err, SUMI_INVALID, "%s: x has %d channels, y has %d", op, a->x.c,
				 a->y.c);
	if ((status = check_grid(op, "x", &a->grid, &a->x, err)))
		return status;
	status = device_supports(d, OP_PERMUTE, a, err);
	return status ? status : d->ops->permute(d, a, err);
}

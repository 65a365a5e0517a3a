/* What an adapter's modules add to a tensor. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "weights/adapter_internal.h"

/* ---- shapes ---- */

static const struct weight_tensor *get(const struct module *m, enum module_tensor which)
{
	return m->tensors[which];
}

/* All axes from the first of them on; 0 where they are too many. */
static uint64_t axes(const struct weight_tensor *t, int first)
{
	uint64_t n = 1;
	for (int i = first; i < t->rank; i++)
		if (__builtin_mul_overflow(n, (uint64_t)t->shape[i], &n))
			return 0;
	return n;
}

static uint64_t axis(const struct weight_tensor *t, int i)
{
	return i < t->rank ? (uint64_t)t->shape[i] : 1;
}

static uint64_t times(uint64_t a, uint64_t b)
{
	uint64_t n;
	return __builtin_mul_overflow(a, b, &n) ? 0 : n;
}

static bool set_shape(struct module *m, uint64_t rows, uint64_t columns, uint64_t rank)
{
	m->rows = rows;
	m->columns = columns;
	m->rank = (int)rank;
	return rows && columns && rank <= INT32_MAX;
}

/* ---- products ---- */

static int read_finite(const struct weight_tensor *t, float *out, size_t count, struct error *err)
{
	int status = weights_read_floats(t, out, count, err);
	return status ? status : weights_check_finite(t, DTYPE_F32, out, count, err);
}

static float *load(const struct weight_tensor *t, struct error *err)
{
	size_t count = (size_t)axes(t, 0);
	float *values = malloc(count * sizeof *values + 1);
	if (!values)
		error_set(err, SUMI_NOMEM, "out of memory while loading '%.100s'", t->name);
	else if (read_finite(t, values, count, err)) {
		free(values);
		values = NULL;
	}
	return values;
}

/* A matrix of the host, owned. */
struct matrix {
	float *at;
	bool turned; /* [columns, rows] in memory */
};

/* out [rows, columns] += a [rows, inner] · b [inner, columns]; b's rows have `width` numbers. */
static void multiply(const struct matrix *a, size_t stride, const float *b, uint64_t rows, uint64_t inner,
		     uint64_t columns, float *out)
{
	for (uint64_t r = 0; r < rows; r++)
		for (uint64_t i = 0; i < inner; i++) {
			float x = a->turned ? a->at[i * stride + r] : a->at[r * stride + i];
			const float *from = b + i * columns;
			float *to = out + r * columns;
			for (uint64_t c = 0; c < columns; c++)
				to[c] += x * from[c];
		}
}

/* t [outer, inner, taps] with b [inner, columns] on its second axis: [outer, columns, taps], new. */
static float *contract(const struct weight_tensor *t, const struct weight_tensor *b, struct error *err)
{
	uint64_t outer = axis(t, 0), inner = axis(t, 1), taps = axes(t, 2), columns = axes(b, 1);
	float *core = load(t, err), *side = core ? load(b, err) : NULL;
	uint64_t count = times(times(outer, columns), taps);
	float *out = side && count ? calloc(count, sizeof *out) : NULL;
	if (side && !out)
		error_set(err, SUMI_NOMEM, "out of memory while loading '%.100s'", t->name);
	for (uint64_t i = 0; out && i < outer; i++)
		for (uint64_t j = 0; j < inner; j++)
			for (uint64_t c = 0; c < columns; c++)
				for (uint64_t k = 0; k < taps; k++)
					out[(i * columns + c) * taps + k] +=
					    core[(i * inner + j) * taps + k] * side[j * columns + c];
	free(core);
	free(side);
	return out;
}

/* The product of a pair, through a core between them where there is one. With a core, `a` of LoHa and
 * LoKr stands turned. out is zeroed. */
struct pair {
	const struct weight_tensor *a, *b, *core;
	bool turned; /* a is [inner, rows] where there is a core */
};

static uint64_t pair_rows(const struct pair *p)
{
	return p->core && p->turned ? axes(p->a, 1) : axis(p->a, 0);
}

static uint64_t pair_rank(const struct pair *p)
{
	return axis(p->b, 0);
}

static uint64_t pair_columns(const struct pair *p)
{
	return p->core ? times(axes(p->b, 1), axes(p->core, 2)) : axes(p->b, 1);
}

/* Whether they go together. */
static bool pair_fits(const struct pair *p)
{
	if (!p->a || !p->b || p->a->rank < 2 || p->b->rank < 2)
		return false;
	uint64_t inner = p->core && p->turned ? axis(p->a, 0) : axes(p->a, 1);
	if (!p->core)
		return inner == axis(p->b, 0);
	return p->core->rank > 2 && axis(p->core, 0) == inner && axis(p->core, 1) == axis(p->b, 0);
}

static int pair_product(const struct pair *p, int ranks, float *out, struct error *err)
{
	struct error own = {0};
	struct matrix a = {load(p->a, &own), p->core && p->turned};
	float *b = !a.at ? NULL : p->core ? contract(p->core, p->b, &own) : load(p->b, &own);
	uint64_t inner = p->core ? axis(p->core, 0) : axis(p->b, 0), rows = pair_rows(p);
	uint64_t used = ranks && !p->core && (uint64_t)ranks < inner ? (uint64_t)ranks : inner;
	if (b)
		multiply(&a, a.turned ? rows : inner, b, rows, used, pair_columns(p), out);
	free(a.at);
	free(b);
	if (b)
		return SUMI_OK;
	return error_set(err, own.status, "%s", own.text);
}

/* ---- kinds ---- */

static struct pair lora_pair(const struct module *m)
{
	return (struct pair){get(m, TENSOR_UP), get(m, TENSOR_DOWN), get(m, TENSOR_MID), false};
}

static bool lora_check(struct module *m)
{
	struct pair p = lora_pair(m);
	return pair_fits(&p) && set_shape(m, pair_rows(&p), pair_columns(&p), pair_rank(&p));
}

static int lora_delta(const struct module *m, int ranks, float *out, struct error *err)
{
	struct pair p = lora_pair(m);
	return pair_product(&p, ranks, out, err);
}

static struct pair loha_pair(const struct module *m, int which)
{
	return (struct pair){get(m, which ? TENSOR_HADA_W2A : TENSOR_HADA_W1A),
			     get(m, which ? TENSOR_HADA_W2B : TENSOR_HADA_W1B),
			     get(m, which ? TENSOR_HADA_T2 : TENSOR_HADA_T1), true};
}

static bool loha_check(struct module *m)
{
	struct pair p = loha_pair(m, 0), q = loha_pair(m, 1);
	return pair_fits(&p) && pair_fits(&q) && pair_rows(&p) == pair_rows(&q) &&
	       pair_columns(&p) == pair_columns(&q) &&
	       set_shape(m, pair_rows(&p), pair_columns(&p), pair_rank(&p));
}

static int loha_delta(const struct module *m, int ranks, float *out, struct error *err)
{
	(void)ranks;
	struct pair p = loha_pair(m, 0), q = loha_pair(m, 1);
	size_t count = (size_t)(m->rows * m->columns);
	float *other = calloc(count, sizeof *other);
	int status = other ? pair_product(&p, 0, out, err)
			   : error_set(err, SUMI_NOMEM, "out of memory while loading '%.100s'", m->name);
	if (!status)
		status = pair_product(&q, 0, other, err);
	for (size_t i = 0; i < count && !status; i++)
		out[i] *= other[i];
	free(other);
	return status;
}

/* One of the two factors, whole or a pair. */
struct factor {
	const struct weight_tensor *whole;
	struct pair pair;
};

static struct factor lokr_factor(const struct module *m, int which)
{
	if (!which)
		return (struct factor){get(m, TENSOR_KRON_W1),
				       {get(m, TENSOR_KRON_W1A), get(m, TENSOR_KRON_W1B), NULL, true}};
	return (struct factor){
	    get(m, TENSOR_KRON_W2),
	    {get(m, TENSOR_KRON_W2A), get(m, TENSOR_KRON_W2B), get(m, TENSOR_KRON_T2), true}};
}

static bool factor_fits(const struct factor *f)
{
	return f->whole ? f->whole->rank >= 2 : pair_fits(&f->pair);
}

static uint64_t factor_rows(const struct factor *f)
{
	return f->whole ? axis(f->whole, 0) : pair_rows(&f->pair);
}

static uint64_t factor_columns(const struct factor *f)
{
	return f->whole ? axes(f->whole, 1) : pair_columns(&f->pair);
}

/* The rank is the second factor's where that is a pair, else the first's. Of two whole ones there is
 * none, and alpha says nothing. */
static bool lokr_check(struct module *m)
{
	struct factor w1 = lokr_factor(m, 0), w2 = lokr_factor(m, 1);
	if (!factor_fits(&w1) || !factor_fits(&w2))
		return false;
	uint64_t rank = !w2.whole ? pair_rank(&w2.pair) : !w1.whole ? pair_rank(&w1.pair) : 0;
	return set_shape(m, times(factor_rows(&w1), factor_rows(&w2)),
			 times(factor_columns(&w1), factor_columns(&w2)), rank);
}

static float *factor_load(const struct factor *f, struct error *err)
{
	if (f->whole)
		return load(f->whole, err);
	float *out = calloc((size_t)times(factor_rows(f), factor_columns(f)), sizeof *out);
	if (!out)
		error_set(err, SUMI_NOMEM, "out of memory while loading '%.100s'", f->pair.a->name);
	else if (pair_product(&f->pair, 0, out, err)) {
		free(out);
		out = NULL;
	}
	return out;
}

static int lokr_delta(const struct module *m, int ranks, float *out, struct error *err)
{
	(void)ranks;
	struct error own = {0};
	struct factor f1 = lokr_factor(m, 0), f2 = lokr_factor(m, 1);
	uint64_t r1 = factor_rows(&f1), c1 = factor_columns(&f1);
	uint64_t r2 = factor_rows(&f2), c2 = factor_columns(&f2);
	float *w1 = factor_load(&f1, &own), *w2 = w1 ? factor_load(&f2, &own) : NULL;
	for (uint64_t i = 0; w2 && i < r1 * r2; i++)
		for (uint64_t j = 0; j < c1; j++)
			for (uint64_t k = 0; k < c2; k++)
				out[(i * c1 + j) * c2 + k] = w1[i / r2 * c1 + j] * w2[i % r2 * c2 + k];
	free(w1);
	free(w2);
	if (w2)
		return SUMI_OK;
	return error_set(err, own.status, "%s", own.text);
}

static const struct weight_tensor *whole(const struct module *m)
{
	static const enum module_tensor whole[] = {TENSOR_DIFF, TENSOR_UP_BIAS, TENSOR_SAVED};
	for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++)
		if (get(m, whole[i]))
			return get(m, whole[i]);
	return NULL;
}

static bool diff_check(struct module *m)
{
	const struct weight_tensor *t = whole(m);
	return t && t->rank > 0 && set_shape(m, axis(t, 0), axes(t, 1), 0);
}

static int diff_delta(const struct module *m, int ranks, float *out, struct error *err)
{
	(void)ranks;
	return read_finite(whole(m), out, (size_t)(m->rows * m->columns), err);
}

/* It is counted, and has a place nowhere. */
static bool embedding_check(struct module *m)
{
	return set_shape(m, 1, 1, 0);
}

static int embedding_delta(const struct module *m, int ranks, float *out, struct error *err)
{
	(void)ranks;
	(void)out;
	return error_set(err, SUMI_UNSUPPORTED, "'%.100s' changes no tensor", m->name);
}

const struct module_kind module_kinds[] = {
    {"LoRA", false, TENSOR_DOWN, TENSOR_UP, lora_check, lora_delta},
    {"LoHa", false, TENSOR_HADA_W1A, TENSOR_HADA_W1B, loha_check, loha_delta},
    {"LoKr", false, TENSOR_KRON_W1, TENSOR_KRON_W1A, lokr_check, lokr_delta},
    {"difference", true, TENSOR_DIFF, TENSOR_DIFF, diff_check, diff_delta},
    {"LoRA", true, TENSOR_UP_BIAS, TENSOR_UP_BIAS, diff_check, diff_delta},
    {"whole tensor", true, TENSOR_SAVED, TENSOR_SAVED, diff_check, diff_delta},
    {"embedding", true, TENSOR_EMBEDDING, TENSOR_EMBEDDING, embedding_check, embedding_delta},
    {NULL, false, TENSOR_DIFF, TENSOR_DIFF, NULL, NULL},
};

/* ---- on a tensor ---- */

int adapter_fits(const struct adapter *a, size_t i, const int64_t *shape, int rank, struct error *err)
{
	const struct module *m = &a->modules[i];
	uint64_t rows = rank > 0 ? (uint64_t)shape[0] : 1, columns = 1;
	char has[80];
	for (int k = 1; k < rank; k++)
		columns = times(columns, (uint64_t)shape[k]);
	if (m->rows == rows && m->columns == columns)
		return SUMI_OK;
	return error_set(err, SUMI_INVALID,
			 "'%.100s' is made for %llu outputs of %llu inputs each, the model's tensor has the "
			 "shape %s",
			 m->name, (unsigned long long)m->rows, (unsigned long long)m->columns,
			 tensor_shape_text(shape, rank, has, sizeof has));
}

/* Whether the magnitudes are of the outputs (or, false, of the inputs). SUMI_INVALID where they are
 * of neither. */
static int magnitude_axis(const struct module *m, const int64_t *shape, int rank, bool *outputs,
			  struct error *err)
{
	const struct weight_tensor *d = get(m, TENSOR_DORA);
	const struct weight_tensor *t = d ? d : get(m, TENSOR_MAGNITUDE);
	uint64_t count = axes(t, 0);
	*outputs = !d || t->rank < 2 || axis(t, 0) == count;
	uint64_t wanted = *outputs ? (uint64_t)shape[0] : rank > 1 ? (uint64_t)shape[1] : 0;
	return count == wanted && count
		   ? SUMI_OK
		   : error_set(err, SUMI_INVALID, "'%.100s': its magnitudes are of neither axis", t->name);
}

/* LyCORIS's way: norms are those of the weight with the whole difference, and a strength other than 1
 * counts for the change of the magnitudes alone (lycoris-lora 4.1.3, get_merged_weight). ComfyUI takes
 * the norms of the original weight on the outputs' axis. */
static int decompose(const struct module *m, double weight, const int64_t *shape, int rank,
		     const float *delta, float *values, struct error *err)
{
	const struct weight_tensor *d = get(m, TENSOR_DORA);
	bool outputs;
	int status = magnitude_axis(m, shape, rank, &outputs, err);
	if (status)
		return status;
	float *wanted = load(d ? d : get(m, TENSOR_MAGNITUDE), err);
	size_t n = (size_t)(outputs ? m->rows : (uint64_t)shape[1]);
	size_t taps = outputs ? 1 : (size_t)(m->columns / n);
	double *norms = wanted ? calloc(n, sizeof *norms) : NULL;
	if (wanted && !norms)
		error_set(err, SUMI_NOMEM, "out of memory while loading '%.100s'", m->name);
	for (size_t i = 0; norms && i < m->rows * m->columns; i++) {
		size_t at = outputs ? i / m->columns : i % m->columns / taps;
		double merged = values[i] + m->scale * delta[i];
		norms[at] += merged * merged;
	}
	for (size_t i = 0; norms && i < n; i++)
		norms[i] = 1 + weight * (wanted[i] / (sqrt(norms[i]) + (d ? FLT_EPSILON : 0)) - 1);
	for (size_t i = 0; norms && i < m->rows * m->columns; i++) {
		size_t at = outputs ? i / m->columns : i % m->columns / taps;
		values[i] = (float)((values[i] + m->scale * delta[i]) * norms[at]);
	}
	status = norms ? SUMI_OK : err->status;
	free(wanted);
	free(norms);
	return status;
}

bool adapter_pair(const struct adapter *a, size_t i, double strength, int ranks,
		  struct adapter_pair *out)
{
	const struct module *m = &a->modules[i];
	if (m->kind->delta != lora_delta || m->bias || get(m, TENSOR_MID) || get(m, TENSOR_DORA) ||
	    get(m, TENSOR_MAGNITUDE))
		return false;
	*out = (struct adapter_pair){.down = get(m, TENSOR_DOWN),
				     .up = get(m, TENSOR_UP),
				     .rank = m->rank,
				     .ranks = ranks && ranks < m->rank ? ranks : m->rank,
				     .scale = strength * m->scale};
	return true;
}

double adapter_strength(const struct adapter *a, size_t i, const struct adapter_weight *weight)
{
	return a->modules[i].part == ADAPTER_DENOISER ? weight->denoiser : weight->text;
}

int adapter_apply(const struct adapter *a, size_t i, const struct adapter_weight *weight,
		  const int64_t *shape, int rank, float *values, size_t count, struct error *err)
{
	const struct module *m = &a->modules[i];
	double strength = adapter_strength(a, i, weight);
	if (strength == 0)
		return SUMI_OK;
	float *delta = calloc(count + 1, sizeof *delta);
	if (!delta)
		return error_set(err, SUMI_NOMEM, "out of memory while loading '%.100s'", m->name);
	int status = m->kind->delta(m, weight->ranks, delta, err);
	for (size_t k = 0; !status && m->kind->sign == TENSOR_SAVED && k < count; k++)
		delta[k] -= values[k];
	if (!status && (get(m, TENSOR_DORA) || get(m, TENSOR_MAGNITUDE)))
		status = decompose(m, strength, shape, rank, delta, values, err);
	else
		for (size_t k = 0; k < count && !status; k++)
			values[k] = (float)(values[k] + strength * m->scale * delta[k]);
	free(delta);
	return status;
}

/* Reference: convolution, linear layer, attention. */
#include <math.h>
#include <stdlib.h>

#include "backends/reference/internal.h"

static double dot(const float *a, const float *b, size_t n)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += (double)a[i] * (double)b[i];
	return sum;
}

struct conv {
	const struct conv2d_args *a;
	const float *x, *add, *residual; /* dense; add and residual may be NULL */
	int kernel, pad;                 /* pad: of the top and left border */
	double *row;                     /* [cout] */
};

/* All channels of the output pixel (oy, ox) of picture n. */
static void conv_pixel(const struct conv *k, int n, int oy, int ox)
{
	const struct conv2d_args *a = k->a;
	const float *bias = reference_vector(a->bias);
	size_t cin = (size_t)a->x.c, cout = (size_t)a->y.c;
	size_t pixel = ((size_t)n * (size_t)a->out.h + (size_t)oy) * (size_t)a->out.w + (size_t)ox;
	int up = a->upsample ? 2 : 1;
	for (size_t o = 0; o < cout; o++) {
		double sum = bias ? (double)bias[o] : 0;
		for (int ky = 0; ky < k->kernel; ky++)
			for (int kx = 0; kx < k->kernel; kx++) {
				int iy = oy * a->stride + ky - k->pad,
				    ix = ox * a->stride + kx - k->pad;
				if (iy < 0 || ix < 0 || iy >= a->in.h * up || ix >= a->in.w * up)
					continue;
				size_t at = ((size_t)n * (size_t)a->in.h + (size_t)(iy / up)) *
						(size_t)a->in.w +
					    (size_t)(ix / up);
				size_t tap =
				    (o * (size_t)k->kernel + (size_t)ky) * (size_t)k->kernel +
				    (size_t)kx;
				sum += dot(k->x + at * cin, a->weight->data + tap * cin, cin);
			}
		if (k->add)
			sum += (double)k->add[(size_t)n * cout + o];
		sum = a->act != ACT_PRELU ? reference_activate(a->act, sum)
		      : sum > 0           ? sum
					  : sum * (double)bias[cout + o];
		if (k->residual)
			sum += (double)k->residual[pixel * cout + o];
		k->row[o] = sum;
	}
	reference_store(&a->y, pixel, k->row);
}

int reference_conv2d(struct device *d, const struct conv2d_args *a, struct error *err)
{
	float *x = NULL, *add = NULL, *residual = NULL;
	struct conv k = {.a = a, .kernel = a->weight->head.kernel};
	k.pad = k.kernel == 3 && !a->pad_end ? 1 : 0;
	int status = reference_unpack(&a->x, &x, err);
	if (!status && a->add.buffer)
		status = reference_unpack(&a->add, &add, err);
	if (!status && a->residual.buffer)
		status = reference_unpack(&a->residual, &residual, err);
	if (!status)
		status = reference_array((size_t)a->y.c, &k.row, err);
	if (status)
		goto done;
	k.x = x;
	k.add = add;
	k.residual = residual;
	for (int n = 0; n < a->out.n; n++)
		for (int y = 0; y < a->out.h; y++)
			for (int z = 0; z < a->out.w; z++) {
				conv_pixel(&k, n, y, z);
				device_did(d);
			}
done:
	free(k.row);
	free(residual);
	free(add);
	free(x);
	return status;
}

int reference_linear(struct device *d, const struct linear_args *a, struct error *err)
{
	float *x = NULL, *residual = NULL, *add = NULL;
	double *row = NULL;
	size_t cin = (size_t)a->x.c, cout = (size_t)a->y.c, wide = (size_t)a->add.c;
	const float *bias = reference_vector(a->bias);
	int status = reference_unpack(&a->x, &x, err);
	if (!status && a->add.buffer)
		status = reference_unpack(&a->add, &add, err);
	if (!status && a->residual.buffer)
		status = reference_unpack(&a->residual, &residual, err);
	if (!status)
		status = reference_array(cout, &row, err);
	if (status)
		goto done;
	for (size_t r = 0; r < a->y.rows; r++) {
		for (size_t o = 0; o < cout; o++) {
			double sum = bias ? (double)bias[o] : 0;
			sum += add ? (double)add[r * wide + o] : 0;
			sum += dot(x + r * cin, a->weight->data + o * cin, cin);
			if (a->act == ACT_GEGLU) {
				size_t g = o + cout;
				double gate = bias ? (double)bias[g] : 0;
				gate += add ? (double)add[r * wide + g] : 0;
				gate += dot(x + r * cin, a->weight->data + g * cin, cin);
				sum *= reference_activate(ACT_GELU, gate);
			} else {
				sum = reference_activate(a->act, sum);
			}
			row[o] = sum + (residual ? (double)residual[r * cout + o] : 0);
		}
		reference_store(&a->y, r, row);
		device_did(d);
	}
done:
	free(row);
	free(residual);
	free(add);
	free(x);
	return status;
}

struct attend {
	const float *q, *k, *v; /* dense, at the picture's first token */
	int keys, width, heads; /* width: channels of one token */
	double scale;
	double *scores; /* [keys] */
	double *row;    /* [width] */
};

/* Query token t over the first `seen` keys, every head. */
static void attend_token(const struct attend *s, size_t t, int seen)
{
	size_t width = (size_t)s->width, dim = width / (size_t)s->heads;
	for (size_t h = 0; h < (size_t)s->heads; h++) {
		double most = -INFINITY, sum = 0;
		for (int j = 0; j < seen; j++) {
			s->scores[j] = s->scale * dot(s->q + t * width + h * dim,
						      s->k + (size_t)j * width + h * dim, dim);
			most = fmax(most, s->scores[j]);
		}
		for (int j = 0; j < seen; j++)
			sum += s->scores[j] = exp(s->scores[j] - most);
		for (size_t i = 0; i < dim; i++) {
			double value = 0;
			for (int j = 0; j < seen; j++)
				value +=
				    s->scores[j] * (double)s->v[(size_t)j * width + h * dim + i];
			s->row[h * dim + i] = value / sum;
		}
	}
}

int reference_attention(struct device *d, const struct attention_args *a, struct error *err)
{
	float *q = NULL, *k = NULL, *v = NULL;
	struct attend s = {
	    .keys = (int)(a->k.rows / (size_t)a->n),
	    .width = a->y.c,
	    .heads = a->heads,
	    .scale = (double)a->scale,
	};
	int tokens = (int)(a->y.rows / (size_t)a->n), status = reference_unpack(&a->q, &q, err);
	if (!status)
		status = reference_unpack(&a->k, &k, err);
	if (!status)
		status = reference_unpack(&a->v, &v, err);
	if (!status)
		status = reference_array((size_t)s.keys, &s.scores, err);
	if (!status)
		status = reference_array((size_t)s.width, &s.row, err);
	for (size_t n = 0; !status && n < (size_t)a->n; n++) {
		size_t width = (size_t)s.width, first = n * (size_t)tokens;
		s.q = q + first * width;
		s.k = k + n * (size_t)s.keys * width;
		s.v = v + n * (size_t)s.keys * width;
		for (int t = 0; t < tokens; t++) {
			attend_token(&s, (size_t)t, a->causal && t + 1 < s.keys ? t + 1 : s.keys);
			reference_store(&a->y, first + (size_t)t, s.row);
			device_did(d);
		}
	}
	free(s.row);
	free(s.scores);
	free(v);
	free(k);
	free(q);
	return status;
}

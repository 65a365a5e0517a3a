/* Operations of the backend with random operands. */
#include "bench/work.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"

static const char *const kind_words[] = {"conv",       "linear", "attention", "group_norm",
					 "layer_norm", "axpby",  "permute"};

static unsigned next_random(unsigned *state)
{
	return *state = *state * 1664525u + 1013904223u;
}

/* Values in -1…1, in the given dtype, on the device. */
static int random_tensor(struct work *work, struct grid grid, int c, struct tensor *t,
			 struct error *err)
{
	enum dtype dtype = work->dtype;
	size_t rows = (size_t)grid.n * (size_t)grid.d * (size_t)grid.h * (size_t)grid.w;
	size_t count = rows * (size_t)c, size = count * dtype_size(dtype);
	*t = (struct tensor){.rows = rows, .c = c, .ld = c, .dtype = dtype};
	void *data = malloc(size);
	if (!data)
		return error_set(err, SUMI_NOMEM, "no memory for %zu values", count);
	unsigned state = 1;
	for (size_t i = 0; i < count; i++) {
		float value = (float)(int)next_random(&state) / 2147483648.0f;
		if (dtype == DTYPE_F32)
			((float *)data)[i] = value;
		else
			((uint16_t *)data)[i] = half_from_float(value);
	}
	int status = device_buffer_new(work->device, size, &t->buffer, err);
	if (!status)
		status = device_write(work->device, t->buffer, 0, data, size, err);
	free(data);
	return status;
}

static int random_weight(struct device *d, const struct work_row *r, enum dtype dtype,
			 struct weight **out, struct error *err)
{
	bool geglu = r->act == ACT_GEGLU;
	bool fits = device_takes_format(d, dtype, r->kernel ? r->kernel : 1) &&
		    format_row_bytes(dtype, (size_t)r->cin);
	struct weight_desc desc = {.dtype = fits ? dtype : DTYPE_F16,
				   .cout = geglu ? 2 * r->cout : r->cout,
				   .cin = r->cin,
				   .kernel = r->kernel ? r->kernel : 1,
				   .geglu = geglu};
	size_t count = (size_t)desc.cout * (size_t)desc.cin * (size_t)(desc.kernel * desc.kernel);
	size_t bytes = format_row_bytes(desc.dtype, count);
	uint16_t *data = malloc(bytes);
	if (!data)
		return error_set(err, SUMI_NOMEM, "no memory for %zu weights", count);
	unsigned state = 2;
	memset(data, 0x2a, bytes); /* of a block: halves of 0.05 */
	for (size_t i = 0; desc.dtype == DTYPE_F16 && i < count; i++) /* ±2⁻⁶…2⁻⁵ */
		data[i] = (uint16_t)(0x2400 | (next_random(&state) >> 16 & 0x83ff));
	desc.data = data;
	int status = device_weight_new(d, &desc, out, err);
	free(data);
	return status;
}

void work_free(struct work *w)
{
	device_weight_free(w->device, w->weight);
	device_buffer_free(w->device, w->vector);
	device_buffer_free(w->device, w->y.buffer);
	device_buffer_free(w->device, w->v.buffer);
	device_buffer_free(w->device, w->k.buffer);
	device_buffer_free(w->device, w->x.buffer);
}

/* "conv 64x64 320->320 k3" */
void work_describe(const struct work_row *r, char out[WORK_NAME_SIZE])
{
	size_t size = WORK_NAME_SIZE;
	int h = r->side ? r->side : 1, wide = r->side ? r->side : r->w;
	int used = snprintf(out, size, "%s %dx%d %d", kind_words[r->kind], h, wide, r->cin);
	out += used;
	size -= (size_t)used;
	if (r->kind == CONV)
		snprintf(out, size, "->%d k%d%s%s", r->cout, r->kernel, r->stride == 2 ? " s2" : "",
			 r->upsample ? " up" : "");
	else if (r->kind == LINEAR)
		snprintf(out, size, "->%d%s", r->cout, r->act == ACT_GEGLU ? " geglu" : "");
	else if (r->kind == ATTENTION)
		snprintf(out, size, " heads %d keys %d", r->heads, r->keys ? r->keys : h * wide);
	else
		snprintf(out, size, "%s", r->act == ACT_SILU ? " silu" : "");
}

/* Floating point operations (a multiply-add is two) and bytes of a row. */
static void count_work(struct work *w)
{
	const struct work_row *r = w->row;
	double unit = (double)dtype_size(w->dtype);
	double out = (double)w->y.rows, in = (double)w->x.rows;
	double taps = r->kernel ? r->kernel * r->kernel : 1, wide = r->act == ACT_GEGLU ? 2 : 1;
	w->bytes = unit * (in * r->cin + out * r->cout);
	if (r->kind == CONV || r->kind == LINEAR) {
		w->flops = 2 * out * r->cin * r->cout * taps * wide;
		w->bytes += 2.0 * r->cin * r->cout * taps * wide;
	} else if (r->kind == ATTENTION) {
		w->flops = 4 * out * (double)w->k.rows / r->n * r->cin;
	} else if (r->kind == GROUP_NORM) {
		w->bytes += unit * in * r->cin; /* read once for the sums, once for the result */
	}
}

int work_make(struct device *d, const struct work_row *r, enum dtype dtype, enum dtype weight,
	      struct work *w, struct error *err)
{
	int h = r->side ? r->side : 1, wide = r->side ? r->side : r->w;
	int oh = r->upsample ? 2 * h : r->stride == 2 ? (h + 1) / 2 : h;
	int ow = r->upsample ? 2 * wide : r->stride == 2 ? (wide + 1) / 2 : wide;
	int keys = r->keys ? r->keys : h * wide;
	*w = (struct work){.device = d, .row = r, .dtype = dtype};
	work_describe(r, w->name);
	w->in = (struct grid){r->n, 1, h, wide};
	w->out = (struct grid){r->n, 1, oh, ow};
	if (r->kind == PERMUTE) {
		w->in = (struct grid){1, r->n, h, wide};
		w->out = (struct grid){1, h, wide, r->n};
	}
	struct grid text = {r->n, 1, 1, keys};
	int status = random_tensor(w, w->in, r->cin, &w->x, err);
	if (!status)
		status =
		    random_tensor(w, w->out, r->kind == PERMUTE ? r->cin : r->cout, &w->y, err);
	if (!status && r->kind == ATTENTION)
		status = random_tensor(w, text, r->cin, &w->k, err);
	if (!status && r->kind == ATTENTION)
		status = random_tensor(w, text, r->cin, &w->v, err);
	if (!status && (r->kind == CONV || r->kind == LINEAR))
		status = random_weight(d, r, weight, &w->weight, err);
	size_t channels = (size_t)(r->cout > r->cin ? r->cout : r->cin) * 2;
	float *ones = calloc(channels, sizeof *ones);
	if (!ones)
		return error_set(err, SUMI_NOMEM, "no memory for %zu channels", channels);
	for (size_t i = 0; i < channels; i++)
		ones[i] = 1;
	if (!status)
		status = device_buffer_new(d, channels * sizeof *ones, &w->vector, err);
	if (!status)
		status = device_write(d, w->vector, 0, ones, channels * sizeof *ones, err);
	free(ones);
	count_work(w);
	return status;
}

int work_run(void *user, struct error *err)
{
	const struct work *w = user;
	struct device *d = w->device;
	const struct work_row *r = w->row;
	switch (r->kind) {
	case CONV: {
		struct conv2d_args a = {.x = w->x,
					.y = w->y,
					.in = w->in,
					.out = w->out,
					.weight = w->weight,
					.bias = w->vector,
					.stride = r->stride ? r->stride : 1,
					.upsample = r->upsample};
		return device_conv2d(d, &a, err);
	}
	case LINEAR: {
		struct linear_args a = {
		    .x = w->x, .y = w->y, .n = r->n, .weight = w->weight, .bias = w->vector};
		a.act = r->act;
		return device_linear(d, &a, err);
	}
	case ATTENTION: {
		struct attention_args a = {
		    .q = w->x, .k = w->k, .v = w->v, .y = w->y, .n = r->n, .heads = r->heads};
		a.scale = 1.0f / sqrtf((float)r->cin / (float)r->heads);
		return device_attention(d, &a, err);
	}
	case GROUP_NORM: {
		struct group_norm_args a = {.x = w->x,
					    .y = w->y,
					    .grid = w->in,
					    .gamma = w->vector,
					    .beta = w->vector,
					    .groups = 32,
					    .epsilon = 1e-5f,
					    .act = r->act};
		return device_group_norm(d, &a, err);
	}
	case LAYER_NORM: {
		struct layer_norm_args a = {
		    .x = w->x, .y = w->y, .gamma = w->vector, .beta = w->vector, .epsilon = 1e-5f};
		return device_layer_norm(d, &a, err);
	}
	case AXPBY: {
		struct axpby_args a = {.a = w->x, .y = w->y, .alpha = 0.5f, .act = r->act};
		return device_axpby(d, &a, err);
	}
	case PERMUTE: {
		struct permute_args a = {.x = w->x, .y = w->y, .grid = w->in};
		return device_permute(d, &a, err);
	}
	}
	return SUMI_OK;
}

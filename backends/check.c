/* Whether a device computes what the scalar reference does: a linear layer and a convolution. */
#include <math.h>
#include <stdlib.h>

#include "backends/backend.h"
#include "backends/reference/reference.h"
#include "base/half.h"

/* Odd sizes: the ends of tiles are in it. */
enum { SIDE = 9, CIN = 24, COUT = 40, PIXELS = SIDE * SIDE };

/* Of the root mean square of what the reference gives: Winograd's transforms round before they
 * add, and products of halves by matrix instructions likewise. */
static const double tolerances[] = {[DTYPE_F32] = 1e-3, [DTYPE_F16] = 3e-2};

static const struct part {
	const char *name;
	int kernel;
} parts[] = {{"a linear layer", 1}, {"a convolution", 3}};

static float value(size_t i)
{
	return (float)((uint32_t)(i + 1) * 2654435761u >> 24) / 256.0f - 0.5f;
}

static int run(struct device *d, const struct weight *w, const struct part *part, struct buffer *in,
	       struct buffer *out, struct error *err)
{
	struct tensor x = {.buffer = in, .rows = PIXELS, .c = CIN, .ld = CIN};
	struct tensor y = {.buffer = out, .rows = PIXELS, .c = COUT, .ld = COUT};
	x.dtype = y.dtype = d->activation_dtype;
	if (part->kernel == 1)
		return device_linear(
		    d, &(struct linear_args){.x = x, .y = y, .n = 1, .weight = w}, err);
	struct conv2d_args a = {.x = x, .y = y, .weight = w, .stride = 1};
	a.in = a.out = (struct grid){1, 1, SIDE, SIDE};
	return device_conv2d(d, &a, err);
}

/* out: [PIXELS, COUT] */
static int compute(struct device *d, const struct part *part, float *out, struct error *err)
{
	static const size_t most = (size_t)COUT * CIN * 9;
	bool half = d->activation_dtype == DTYPE_F16;
	size_t unit = dtype_size(d->activation_dtype), n = (size_t)PIXELS * CIN;
	struct buffer *in = NULL, *result = NULL;
	struct weight *weight = NULL;
	float *w = malloc(most * sizeof *w);
	union {
		float f[PIXELS * COUT];
		uint16_t h[PIXELS * COUT];
	} *data = calloc(1, sizeof *data);
	int status = SUMI_OK;
	if (!w || !data) {
		status = error_set(err, SUMI_NOMEM, "out of memory");
		goto done;
	}
	for (size_t i = 0; i < most; i++)
		w[i] = value(i + 7);
	for (size_t i = 0; i < n; i++)
		if (half)
			data->h[i] = half_from_float(value(i));
		else
			data->f[i] = value(i);
	struct weight_desc desc = {.data = w, .cout = COUT, .cin = CIN, .kernel = part->kernel};
	desc.dtype = DTYPE_F32;
	if ((status = device_buffer_new(d, n * unit, &in, err)) ||
	    (status = device_buffer_new(d, PIXELS * COUT * unit, &result, err)) ||
	    (status = device_weight_new(d, &desc, &weight, err)) ||
	    (status = device_write(d, in, 0, data, n * unit, err)) ||
	    (status = run(d, weight, part, in, result, err)) ||
	    (status = device_read(d, result, 0, data, PIXELS * COUT * unit, err)))
		goto done;
	for (size_t i = 0; i < PIXELS * COUT; i++)
		out[i] = half ? half_to_float(data->h[i]) : data->f[i];
done:
	device_weight_free(d, weight);
	device_buffer_free(d, in);
	device_buffer_free(d, result);
	free(data);
	free(w);
	return status;
}

static int compare(const struct device *d, const struct part *part, const float *got,
		   const float *want, struct error *err)
{
	double squares = 0;
	for (size_t i = 0; i < PIXELS * COUT; i++)
		squares += (double)want[i] * (double)want[i];
	double most = tolerances[d->activation_dtype] * sqrt(squares / (PIXELS * COUT));
	for (size_t i = 0; i < PIXELS * COUT; i++)
		if (!(fabs((double)got[i] - (double)want[i]) <= most))
			return error_set(err, SUMI_DEVICE,
					 "%s computes wrongly: value %zu of %s is %g instead of "
					 "%g; a newer driver may mend it",
					 d->info.name, i, part->name, (double)got[i],
					 (double)want[i]);
	return SUMI_OK;
}

int device_check(struct device *d, struct error *err)
{
	struct device *reference = NULL;
	float *got = malloc(sizeof(float) * PIXELS * COUT);
	float *want = malloc(sizeof(float) * PIXELS * COUT);
	int status = got && want ? reference_open(&reference, err)
				 : error_set(err, SUMI_NOMEM, "out of memory");
	for (size_t i = 0; i < sizeof parts / sizeof parts[0] && !status; i++) {
		status = compute(reference, &parts[i], want, err);
		if (!status)
			status = compute(d, &parts[i], got, err);
		if (!status)
			status = compare(d, &parts[i], got, want, err);
	}
	device_close(reference);
	free(got);
	free(want);
	return status;
}

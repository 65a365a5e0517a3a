/* Operands for the tuner's trials of matrix products and 3×3 convolutions: one set for each
 * dtype and class of sizes, and sums in double that results are compared with. */
#include "backends/opencl/trial.h"

#include <math.h>
#include <stdlib.h>

#include "base/half.h"

#define SAMPLES 64 /* outputs that are compared with the oracle's */

/* What stands for a class of products: those of at most `outputs` numbers. No tile divides
 * rows and columns; the depth is one that vector loads reach. */
static const struct tune_class {
	size_t outputs;
	int rows, cols, depth; /* of a linear layer */
	int side, channels;    /* of a convolution */
} classes[TUNE_CLASSES] = {
    {(size_t)1 << 17, 70, 1288, 1280, 8, 1280},
    {(size_t)1 << 19, 250, 1288, 1280, 16, 1280},
    {(size_t)1 << 21, 4090, 328, 640, 64, 320},
    {SIZE_MAX, 4090, 2568, 640, 256, 256},
};

/* A CPU that plays a GPU computes small ones. */
static const struct tune_class on_cpu = {SIZE_MAX, 150, 140, 88, 11, 24};
int gemm_class(const struct gemm_job *job, int pictures)
{
	size_t outputs = (size_t)pictures * (size_t)job->out.h * (size_t)job->out.w *
			 (size_t)job->weight->head.cout;
	int class = 0;
	while (outputs > classes[class].outputs)
		class ++;
	return class;
}

/* y [rows, cols] = x [rows, depth]·wᵀ, or with kernel 3 the convolution of a square picture of
 * rows pixels. */
struct gemm_trial {
	struct trial base; /* first */
	enum dtype dtype; /* of x, w and y */
	int rows, cols, depth, side, kernel;
	struct buffer *x;
	struct weight *weight;
	struct gemm_job job;
};

/* How far a result may lie from the sum in double: `own` as a share of it (a linear layer's
 * sums are exact in float, see tune_value(), so only the rounding of the result is left), `all` as
 * a share of the results' root mean square (Winograd's transforms round before they add). */
static const struct {
	double own, all;
} tolerances[TUNE_DTYPES] = {[DTYPE_F32] = {1e-6, 2e-5}, [DTYPE_F16] = {5e-4, 1e-2}};

static void trial_free(struct cl_device *d, struct trial *base)
{
	struct gemm_trial *t = (struct gemm_trial *)base;
	cl_weight_free(&d->base, t->weight);
	cl_buffer_free(d, t->base.y);
	cl_buffer_free(d, t->x);
	free(t);
}

enum { SEED_X = 1, SEED_W = 77777 };

/* One output of the trial in double. */
static double oracle(const struct gemm_trial *t, int row, int column)
{
	int wide = t->rows / t->side, border = t->kernel / 2;
	double sum = 0;
	for (int tap = 0; tap < t->kernel * t->kernel; tap++) {
		int y = row / wide + tap / t->kernel - border;
		int x = row % wide + tap % t->kernel - border;
		if (y < 0 || y >= t->side || x < 0 || x >= wide)
			continue;
		size_t pixel = (size_t)(y * wide + x) * (size_t)t->depth;
		size_t weight = (size_t)column * (size_t)t->depth;
		for (size_t k = 0; k < (size_t)t->depth; k++)
			sum += (double)tune_value(pixel + k, SEED_X) *
			       (double)tune_value((weight + k) * (size_t)(t->kernel * t->kernel) +
						      (size_t)tap,
						  SEED_W);
	}
	return sum;
}

/* Compares outputs spread over the whole of y with sums in double. */
static bool trial_right(const struct trial *base, const void *y)
{
	const struct gemm_trial *t = (const struct gemm_trial *)base;
	size_t y_size = (size_t)t->rows * (size_t)t->cols, cols = (size_t)t->cols;
	double rms = sqrt((double)(t->kernel * t->kernel * t->depth)) / 12;
	double slack = t->kernel == 3 ? tolerances[t->dtype].all * rms : 1e-6;
	for (size_t s = 0; s < SAMPLES; s++) {
		size_t at = s == 0 ? y_size - 1 : (y_size / SAMPLES * s + 7 * s) % y_size;
		double want = oracle(t, (int)(at / cols), (int)(at % cols));
		double got = t->dtype == DTYPE_F32
				 ? (double)((const float *)y)[at]
				 : (double)half_to_float(((const uint16_t *)y)[at]);
		if (!(fabs(got - want) <= tolerances[t->dtype].own * fabs(want) + slack))
			return false;
	}
	return true;
}

/* The buffers, and the weight, filled. */
static int make_operands(struct cl_device *d, struct gemm_trial *t, struct error *err)
{
	size_t unit = dtype_size(t->dtype), x_size = (size_t)t->rows * (size_t)t->depth;
	size_t taps = (size_t)(t->kernel * t->kernel);
	void *x = tune_values(x_size, t->dtype, SEED_X);
	void *w = tune_values((size_t)t->cols * (size_t)t->depth * taps, t->dtype, SEED_W);
	struct weight_desc desc = {.data = w,
				   .dtype = t->dtype,
				   .cout = t->cols,
				   .cin = t->depth,
				   .kernel = t->kernel};
	int status = x && w ? cl_buffer_new(d, x_size * unit, &t->x, err)
			    : error_set(err, SUMI_NOMEM, "no memory for the tuner's matrices");
	if (!status)
		status = cl_buffer_new(d, t->base.bytes, &t->base.y, err);
	if (!status)
		status = cl_buffer_write(d, t->x, 0, x, x_size * unit, err);
	if (!status)
		status = cl_weight_new(&d->base, &desc, &t->weight, err);
	free(x);
	free(w);
	return status;
}

static int trial_new(struct cl_device *d, enum dtype dtype, int class, int kernel,
		     struct trial **out, struct error *err)
{
	const struct tune_class *c = d->base.info.is_cpu ? &on_cpu : &classes[class];
	struct gemm_trial *t = calloc(1, sizeof *t);
	*out = t ? &t->base : NULL;
	if (!t)
		return error_set(err, SUMI_NOMEM, "no memory for the tuner's trial");
	t->dtype = dtype;
	t->kernel = kernel;
	t->side = kernel == 3 ? c->side : 1;
	t->rows = kernel == 3 ? c->side * c->side : c->rows;
	t->cols = kernel == 3 ? c->channels : c->cols;
	t->depth = kernel == 3 ? c->channels : c->depth;
	t->base.bytes = (size_t)t->rows * (size_t)t->cols * dtype_size(dtype);
	t->base.job = &t->job;
	t->base.right = trial_right;
	t->base.free = trial_free;
	int status = make_operands(d, t, err);
	if (status)
		return status;
	struct tensor x = {.buffer = t->x, .rows = (size_t)t->rows, .dtype = dtype};
	struct tensor y = x;
	x.c = x.ld = t->depth;
	y.buffer = t->base.y;
	y.c = y.ld = t->cols;
	t->job = (struct gemm_job){.x = x, .y = y, .weight = t->weight, .stride = 1};
	t->job.in = t->job.out = (struct grid){1, 1, t->side, t->rows / t->side};
	t->job.side = kernel;
	t->job.padding = kernel / 2;
	return SUMI_OK;
}

int trial_gemm(struct cl_device *d, enum dtype dtype, int class, struct trial **out,
	       struct error *err)
{
	return trial_new(d, dtype, class, 1, out, err);
}

int trial_conv(struct cl_device *d, enum dtype dtype, int class, struct trial **out,
	       struct error *err)
{
	return trial_new(d, dtype, class, 3, out, err);
}

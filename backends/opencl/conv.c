/* Convolutions: which way each one takes. */
#include <limits.h>

#include "backends/opencl/trial.h"

static int run_gathered(struct cl_device *d, const void *job, const void *how, struct error *err)
{
	(void)how;
	return gemm_enqueue(d, job, err);
}

static int run_winograd(struct cl_device *d, const void *job, const void *how, struct error *err)
{
	(void)how;
	return winograd_enqueue(d, job, err);
}

static int run_winograd_gpu(struct cl_device *d, const void *job, const void *how,
			    struct error *err)
{
	(void)how;
	return winograd_enqueue_gpu(d, job, err);
}

static int run_winograd_dot(struct cl_device *d, const void *job, const void *how,
			    struct error *err)
{
	(void)how;
	return winograd_dot_enqueue(d, job, err);
}

static bool winograd_dot_row(const struct cl_device *d, const void *job, const void *how)
{
	(void)how;
	return winograd_dot_pays(d, job);
}

static bool winograd_row(const struct cl_device *d, const void *job, const void *how)
{
	(void)how;
	return winograd_pays(d, job);
}

static bool winograd_row_gpu(const struct cl_device *d, const void *job, const void *how)
{
	(void)d;
	(void)how;
	return winograd_possible(job);
}

/* On CPUs the first possible row is taken: by costs that were measured, so that a picture's
 * bytes do not hang on a trial. */
static const struct variant cpu_rows[] = {
    {"winograd pairs", ROUNDING_DOT, winograd_dot_row, run_winograd_dot, NULL},
    {"winograd", ROUNDING_WINOGRAD, winograd_row, run_winograd, NULL},
    {"plain", ROUNDING_PLAIN, NULL, run_gathered, NULL},
};

static const struct variant gpu_rows[] = {
    {"plain", ROUNDING_PLAIN, NULL, run_gathered, NULL},
    {"winograd", ROUNDING_WINOGRAD, winograd_row_gpu, run_winograd_gpu, NULL},
};

/* A class is one picture's: the ways round differently, and no picture's bytes may depend on
 * how many are computed at once. */
static const struct tuned conv_tuned = {
    .name = "conv",
    .slot = TUNE_CONV,
    .rows = gpu_rows,
    .count = CL_COUNT(gpu_rows),
    .deciding_class = -1,
    .trial_new = trial_conv,
};

const struct variant *conv_choose(struct cl_device *d, const struct gemm_job *job)
{
	if (d->quirks.cpu_kernels)
		return variant_first(cpu_rows, CL_COUNT(cpu_rows), d, job);
	if (!winograd_possible(job))
		return &gpu_rows[0];
	if (d->quirks.winograd_forced)
		return &gpu_rows[1];
	return tune_choose(d, &conv_tuned, job->x.dtype, gemm_class(job, 1), job);
}

/* Kernels index a picture with 32 bits. */
int cl_conv_supports(const struct cl_device *d, const struct conv2d_args *a, struct error *err)
{
	(void)d;
	size_t picture = (size_t)a->in.h * (size_t)a->in.w * (size_t)a->x.ld;
	if (picture > INT_MAX)
		return error_set(err, SUMI_TOOBIG,
				 "conv2d: x [%d, %d, %d, %d] has 2^31 elements a picture "
				 "or more; use tiles",
				 a->in.n, a->in.h, a->in.w, a->x.c);
	return SUMI_OK;
}

int cl_conv2d(struct device *base, const struct conv2d_args *a, struct error *err)
{
	struct cl_device *d = cl_device_of(base);
	int side = a->weight->head.kernel;
	struct gemm_job job = {.x = a->x,
			       .y = a->y,
			       .in = a->in,
			       .out = a->out,
			       .weight = a->weight,
			       .bias = a->bias,
			       .add = a->add,
			       .residual = a->residual,
			       .act = a->act,
			       .side = side,
			       .stride = a->stride,
			       .padding = side == 3 && !a->pad_end,
			       .up = a->upsample,
			       .pixels = a->out.h * a->out.w};
	return variant_run(conv_choose(d, &job), d, &job, err);
}

/* Convolutions: which way each one takes. */
#include <limits.h>

#include "backends/opencl/matrix.h"

int cl_conv2d(struct device *base, const struct conv2d_args *a, struct error *err)
{
	struct cl_device *d = cl_device_of(base);
	size_t picture = (size_t)a->x.h * (size_t)a->x.w * (size_t)a->x.ld;
	if (picture > INT_MAX)
		return error_set(err, SUMI_TOOBIG,
				 "conv2d: x [%d, %d, %d, %d] has 2^31 elements a picture "
				 "or more; use tiles",
				 a->x.n, a->x.h, a->x.w, a->x.c);
	int side = a->weight->head.kernel;
	struct gemm_job job = {.x = a->x,
			       .y = a->y,
			       .weight = a->weight,
			       .bias = a->bias,
			       .add = a->add,
			       .residual = a->residual,
			       .act = a->act,
			       .side = side,
			       .stride = a->stride,
			       .padding = side == 3 && !a->pad_end,
			       .up = a->upsample};
	return winograd_pays(d, &job) ? winograd_enqueue(d, &job, err) : gemm_enqueue(d, &job, err);
}

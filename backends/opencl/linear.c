/* Linear layers: rows in pieces that 32-bit indices reach. */
#include <limits.h>

#include "backends/opencl/matrix.h"

/* Rows [first, first + count) of t, as one picture of one line. */
static struct tensor rows_of(const struct tensor *t, size_t first, int count)
{
	struct tensor part = *t;
	part.offset += first * (size_t)t->ld;
	part.n = part.h = 1;
	part.w = count;
	return part;
}

int cl_linear(struct device *base, const struct linear_args *a, struct error *err)
{
	struct cl_device *d = cl_device_of(base);
	size_t rows = (size_t)a->y.n * (size_t)a->y.h * (size_t)a->y.w;
	int ld = a->x.ld > a->y.ld ? a->x.ld : a->y.ld;
	size_t most = INT_MAX / (size_t)ld;
	for (size_t r = 0; r < rows; r += most) {
		int count = (int)(rows - r < most ? rows - r : most);
		struct gemm_job job = {.x = rows_of(&a->x, r, count),
				       .y = rows_of(&a->y, r, count),
				       .weight = a->weight,
				       .bias = a->bias,
				       .act = a->act,
				       .side = 1,
				       .pixels = a->y.h * a->y.w,
				       .stride = 1};
		if (a->residual.buffer)
			job.residual = rows_of(&a->residual, r, count);
		int status = gemm_enqueue(d, &job, err);
		if (status)
			return status;
	}
	return SUMI_OK;
}

/* Linear layers: rows in pieces that 32-bit indices reach. */
#include <limits.h>

#include "backends/opencl/matrix.h"

/* Rows [first, first + count) of t. */
static struct tensor rows_of(const struct tensor *t, size_t first, int count)
{
	struct tensor part = *t;
	part.offset += first * (size_t)t->ld;
	part.rows = (size_t)count;
	return part;
}

int cl_linear(struct device *base, const struct linear_args *a, struct error *err)
{
	struct cl_device *d = cl_device_of(base);
	size_t rows = a->y.rows;
	int ld = a->x.ld > a->y.ld ? a->x.ld : a->y.ld;
	size_t most = INT_MAX / (size_t)ld;
	for (size_t r = 0; r < rows; r += most) {
		int count = (int)(rows - r < most ? rows - r : most);
		struct grid line = {1, 1, 1, count};
		struct gemm_job job = {.x = rows_of(&a->x, r, count),
				       .y = rows_of(&a->y, r, count),
				       .in = line,
				       .out = line,
				       .weight = a->weight,
				       .bias = a->bias,
				       .act = a->act,
				       .side = 1,
				       .pixels = (int)(rows / (size_t)a->n),
				       .stride = 1};
		if (a->add.buffer) {
			job.add = rows_of(&a->add, r, count);
			job.add_row = a->add.ld;
		}
		if (a->residual.buffer)
			job.residual = rows_of(&a->residual, r, count);
		struct linear_beside beside;
		if (a->beside) {
			beside = *a->beside;
			beside.t = rows_of(&a->beside->t, r, count);
			job.beside = &beside;
		}
		int status = gemm_enqueue(d, &job, err);
		if (status)
			return status;
	}
	return SUMI_OK;
}

bool cl_joins_beside(const struct device *base, const struct linear_args *a)
{
	const struct cl_device *d = (const struct cl_device *)base;
	struct gemm_job job = {.x = a->x,
			       .y = a->y,
			       .weight = a->weight,
			       .act = a->act,
			       .side = 1,
			       .pixels = (int)(a->y.rows / (size_t)a->n),
			       .stride = 1,
			       .beside = a->beside};
	return d->quirks.cpu_kernels && gemm_joins_beside(d, &job);
}

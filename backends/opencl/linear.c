/* Linear layers, and the gathered matrix product that they share with convolutions. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "backends/opencl/matrix.h"

static int ceil_div(int a, int b)
{
	return (a + b - 1) / b;
}

static struct cl_arg arg_int8(const int v[8])
{
	struct cl_arg arg = {.size = sizeof(cl_int8)};
	memcpy(&arg.v, v, sizeof(cl_int8));
	return arg;
}

/* How a product is cut into work-items of [block rows] × [group panels]. */
struct gemm_cut {
	int block_rows, blocks; /* rows of a work-item, and how many such blocks */
	int group, groups;      /* panels of a work-item */
	bool swapped;           /* panels vary fastest: the rows stay in the cache */
};

/* Large blocks reuse what they load, but every compute unit needs a few work-items, and
 * equal ones. */
static struct gemm_cut cut_cpu(const struct cl_device *d, const struct gemm_job *job, int rows)
{
	int most = matrix_constant("gemm_cpu.cl", "GEMM_ROWS");
	int tile = matrix_constant("tile_cpu.cl", "TILE_ROWS");
	int wanted = 4 * d->base.info.compute_units, panels = job->weight->panels;
	struct gemm_cut cut = {.group = matrix_constant("gemm_cpu.cl", "GEMM_GROUP")};
	cut.blocks = ceil_div(rows, most);
	if (cut.blocks * panels * job->y.n < wanted)
		cut.blocks = ceil_div(wanted, panels * job->y.n);
	cut.block_rows = (int)cl_round_up((size_t)ceil_div(rows, cut.blocks), (size_t)tile);
	cut.blocks = ceil_div(rows, cut.block_rows);
	while (cut.group > 1 && cut.blocks * job->y.n * ceil_div(panels, cut.group) < wanted)
		cut.group /= 2;
	cut.groups = ceil_div(panels, cut.group);
	size_t x_bytes = (size_t)job->x.h * (size_t)job->x.w * dtype_size(job->x.dtype);
	size_t w_bytes = (size_t)job->weight->head.cout * dtype_size(job->weight->head.dtype) *
			 (size_t)(job->side * job->side);
	cut.swapped = x_bytes > w_bytes;
	return cut;
}

static void find_geometry(const struct gemm_job *job, int geometry[8])
{
	const struct tensor *x = &job->x;
	const int values[8] = {job->side, job->stride,     job->padding,    job->up,
			       x->w,      x->h << job->up, x->w << job->up, job->y.w};
	memcpy(geometry, values, sizeof values);
}

static int enqueue_cpu(struct cl_device *d, const struct gemm_job *job, struct error *err)
{
	const struct tensor *x = &job->x, *y = &job->y;
	const struct weight *w = job->weight;
	cl_kernel kernel;
	int status = matrix_kernel(d, "tile_cpu.cl+gemm_cpu.cl", "gemm", x->dtype, w->head.dtype,
				   &kernel, err);
	if (status)
		return status;
	struct gemm_cut cut = cut_cpu(d, job, y->h * y->w);
	int geometry[8];
	find_geometry(job, geometry);
	struct cl_arg args[] = {
	    arg_buffer(x->buffer),
	    arg_ulong(x->offset),
	    arg_int(x->ld),
	    arg_ulong((size_t)x->h * (size_t)x->w * (size_t)x->ld),
	    arg_int8(geometry),
	    arg_int(y->h * y->w),
	    arg_int(cut.block_rows),
	    arg_int(cut.group),
	    arg_int(cut.swapped),
	    arg_buffer(w->buffer),
	    arg_ulong(w->zero_at),
	    arg_int(x->c),
	    arg_int(y->c),
	    arg_buffer(job->bias),
	    arg_int(job->act),
	    arg_buffer(job->add.buffer),
	    arg_ulong(job->add.offset),
	    arg_int(job->add.ld),
	    arg_buffer(job->residual.buffer),
	    arg_ulong(job->residual.offset),
	    arg_int(job->residual.ld),
	    arg_buffer(y->buffer),
	    arg_ulong(y->offset),
	    arg_int(y->ld),
	};
	struct cl_range range = {
	    .dims = 3,
	    .global = {(size_t)(cut.swapped ? cut.groups : cut.blocks),
		       (size_t)(cut.swapped ? cut.blocks : cut.groups), (size_t)y->n},
	    .local = {1, 1, 1},
	};
	return cl_launch(d, kernel, &range, args, CL_COUNT(args), err);
}

int gemm_enqueue_tile(struct cl_device *d, const struct gemm_job *job, const struct gemm_tile *tile,
		      struct error *err)
{
	const struct tensor *x = &job->x, *y = &job->y;
	const struct weight *w = job->weight;
	char options[160];
	int geometry[8], rows = y->h * y->w, columns = matrix_constant("tile_cpu.cl", "PANEL");
	snprintf(options, sizeof options,
		 "-D ACT=%s -D WEIGHT=%s -D GEMM_M=%d -D GEMM_N=%d -D GEMM_K=%d -D ITEM_M=%d "
		 "-D ITEM_N=%d",
		 cl_dtype_word(x->dtype), cl_dtype_word(w->head.dtype), tile->m, tile->n, tile->k,
		 tile->item_m, tile->item_n);
	cl_kernel kernel;
	int status = cl_kernel_get(d, "gemm_gpu.cl", "gemm", options, &kernel, err);
	if (status)
		return status;
	find_geometry(job, geometry);
	size_t items = (size_t)(tile->m / tile->item_m * (tile->n / tile->item_n));
	struct cl_arg args[] = {
	    arg_buffer(x->buffer),
	    arg_ulong(x->offset),
	    arg_int(x->ld),
	    arg_ulong((size_t)x->h * (size_t)x->w * (size_t)x->ld),
	    arg_int8(geometry),
	    arg_int(rows),
	    arg_buffer(w->buffer),
	    arg_int(w->panels),
	    arg_int(x->c),
	    arg_int(y->c),
	    arg_buffer(job->bias),
	    arg_int(job->act),
	    arg_buffer(job->add.buffer),
	    arg_ulong(job->add.offset),
	    arg_int(job->add.ld),
	    arg_buffer(job->residual.buffer),
	    arg_ulong(job->residual.offset),
	    arg_int(job->residual.ld),
	    arg_buffer(y->buffer),
	    arg_ulong(y->offset),
	    arg_int(y->ld),
	};
	struct cl_range range = {
	    .dims = 3,
	    .global = {(size_t)ceil_div(w->panels * columns, tile->n) * items,
		       (size_t)ceil_div(rows, tile->m), (size_t)y->n},
	    .local = {items, 1, 1},
	};
	return cl_launch(d, kernel, &range, args, CL_COUNT(args), err);
}

int gemm_enqueue(struct cl_device *d, const struct gemm_job *job, struct error *err)
{
	if (d->quirks.cpu_kernels)
		return enqueue_cpu(d, job, err);
	if (!d->gemm_tile.m)
		d->gemm_tile = tune_gemm(d);
	return gemm_enqueue_tile(d, job, &d->gemm_tile, err);
}

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
				       .stride = 1};
		if (a->residual.buffer)
			job.residual = rows_of(&a->residual, r, count);
		int status = gemm_enqueue(d, &job, err);
		if (status)
			return status;
	}
	return SUMI_OK;
}

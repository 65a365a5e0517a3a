/* The operations of kernels/norm.cl. */
#include <stdio.h>

#include "backends/opencl/internal.h"

#define FILE_NAME "norm.cl"

/* Work-group shapes of the GPU kernels; handed to them by -D. */
#define SUM_LANES 64
#define SUM_ROWS 4 /* fewer where a work-group of 256 is too large */
#define JOIN_LANES 64
#define NORM_LANES 64

/* A chunk of group norm's sums has at least so many pixels: below, starting it and
 * joining its sums cost more than they save. */
#define CHUNK_PIXELS 64

struct group_plan {
	const struct group_norm_args *a;
	size_t pixels, chunks, sum_rows;
	int c, wide; /* channels, channels of a group */
	char sum_options[128], apply_options[80];
	struct buffer *partial; /* [n, chunks, 3, c] f32 */
	struct buffer *factors; /* [n, 2, c] f32; the caller's where it wants one half alone */
};

static void plan_group_norm(const struct cl_device *d, const struct group_norm_args *a,
			    struct group_plan *p)
{
	bool cpu = d->quirks.cpu_kernels;
	size_t units = (size_t)d->base.info.compute_units, most;
	p->a = a;
	p->pixels = a->x.rows / (size_t)a->grid.n;
	p->c = a->x.c;
	p->wide = a->x.c / a->groups;
	/* CPU: a few chunks a core. GPU: several work-groups a unit; a picture that has many
	 * channels needs fewer chunks, because its channels are spread over work-groups too. */
	size_t lanes = ((size_t)p->c + SUM_LANES - 1) / SUM_LANES;
	most = p->pixels / CHUNK_PIXELS + 1;
	p->chunks = cpu ? units * 4 : units * 4 / lanes + 1;
	p->chunks = p->chunks < most ? p->chunks : most;
	p->sum_rows = d->quirks.max_work_group / SUM_LANES;
	p->sum_rows = p->sum_rows > SUM_ROWS ? SUM_ROWS : p->sum_rows < 1 ? 1 : p->sum_rows;
	/* Two programs: the sums are the same for every activation. */
	snprintf(p->sum_options, sizeof p->sum_options,
		 "-D GROUP_SUMS -D T=%s -D V=%d -D JOIN_LANES=%d -D SUM_LANES=%d -D SUM_ROWS=%zu%s",
		 cl_dtype_word(a->x.dtype), cpu ? 16 : 4, cpu ? 1 : JOIN_LANES, SUM_LANES,
		 p->sum_rows, cpu ? " -D CPU" : "");
	snprintf(p->apply_options, sizeof p->apply_options,
		 "-D GROUP_APPLY -D T=%s -D V=%d -D ACTIVATION=%d", cl_dtype_word(a->x.dtype),
		 cpu ? 16 : 4, (int)a->act);
}

static int launch_sums(struct cl_device *d, const struct group_plan *p, struct error *err)
{
	const struct tensor *x = &p->a->x;
	cl_kernel kernel;
	int status = cl_kernel_get(d, FILE_NAME, "group_sums", p->sum_options, &kernel, err);
	if (status)
		return status;
	bool cpu = d->quirks.cpu_kernels;
	const struct cl_arg args[] = {
	    arg_buffer(x->buffer),  arg_ulong(x->offset),   arg_ulong((size_t)x->ld),
	    arg_buffer(p->partial), arg_ulong(p->pixels),   arg_int(p->c),
	    arg_int(p->wide),       arg_int((int)p->chunks)}; /* the last: GPU only, the CPU's range
								 says it */
	size_t n = (size_t)p->a->grid.n;
	struct cl_range on_cpu = {.dims = 2, .global = {p->chunks, n}, .local = {1, 1}};
	struct cl_range on_gpu = {
	    .dims = 2,
	    .global = {cl_round_up((size_t)p->c, SUM_LANES), p->chunks * n * p->sum_rows},
	    .local = {SUM_LANES, p->sum_rows}};
	return cl_launch(d, kernel, cpu ? &on_cpu : &on_gpu, args, CL_COUNT(args) - (cpu ? 1 : 0),
			 err);
}

static int launch_join(struct cl_device *d, const struct group_plan *p, struct error *err)
{
	const struct group_norm_args *a = p->a;
	cl_kernel kernel;
	int status = cl_kernel_get(d, FILE_NAME, "group_join", p->sum_options, &kernel, err);
	if (status)
		return status;
	const struct cl_arg args[] = {
	    arg_buffer(p->partial), arg_buffer(a->gamma), arg_buffer(a->beta),
	    arg_buffer(p->factors), arg_ulong(p->pixels), arg_int((int)p->chunks),
	    arg_int(p->c),          arg_int(p->wide),     arg_float(a->epsilon)};
	size_t lanes = d->quirks.cpu_kernels ? 1 : JOIN_LANES;
	struct cl_range range = {
	    .dims = 2,
	    .global = {(size_t)a->groups * lanes, (size_t)a->grid.n},
	    .local = {lanes, 1}};
	return cl_launch(d, kernel, &range, args, CL_COUNT(args), err);
}

static int launch_apply(struct cl_device *d, const struct group_plan *p, struct error *err)
{
	const struct tensor *x = &p->a->x, *y = &p->a->y;
	cl_kernel kernel;
	int status = cl_kernel_get(d, FILE_NAME, "group_apply", p->apply_options, &kernel, err);
	if (status)
		return status;
	const struct cl_arg args[] = {
	    arg_buffer(x->buffer),  arg_ulong(x->offset), arg_ulong((size_t)x->ld),
	    arg_buffer(y->buffer),  arg_ulong(y->offset), arg_ulong((size_t)y->ld),
	    arg_buffer(p->factors), arg_ulong(p->pixels), arg_int(p->c)};
	size_t n = (size_t)p->a->grid.n, walkers = cl_round_up(((size_t)p->c + 3) / 4, 32);
	struct cl_range range = {.dims = 3, .global = {1, p->chunks, n}, .local = {1, 1, 1}};
	if (!d->quirks.cpu_kernels) {
		range.local[0] = walkers < 128 ? walkers : 128;
		range.global[0] = cl_round_up(walkers, range.local[0]);
		range.global[1] = p->pixels;
	}
	return cl_launch(d, kernel, &range, args, CL_COUNT(args), err);
}

int cl_group_norm(struct device *base, const struct group_norm_args *a, struct error *err)
{
	struct cl_device *d = cl_device_of(base);
	struct group_plan p = {0};
	plan_group_norm(d, a, &p);
	size_t row = (size_t)a->grid.n * (size_t)p.c * sizeof(float);
	bool measures = a->half != NORM_APPLY, applies = a->half != NORM_MEASURE;
	p.factors = a->factors;
	int status = SUMI_OK;
	if (measures)
		status = cl_buffer_new(d, row * p.chunks * 3, &p.partial, err);
	if (!status && a->half == NORM_BOTH)
		status = cl_buffer_new(d, row * 2, &p.factors, err);
	if (!status && measures)
		status = launch_sums(d, &p, err);
	if (!status && measures)
		status = launch_join(d, &p, err);
	if (!status && applies)
		status = launch_apply(d, &p, err);
	if (a->half == NORM_BOTH)
		cl_buffer_free(d, p.factors);
	cl_buffer_free(d, p.partial);
	return status;
}

int cl_layer_norm(struct device *base, const struct layer_norm_args *a, struct error *err)
{
	struct cl_device *d = cl_device_of(base);
	bool cpu = d->quirks.cpu_kernels;
	size_t rows = a->x.rows;
	char options[128];
	cl_kernel kernel;
	snprintf(options, sizeof options, "-D LAYER_NORM -D T=%s -D V=%d -D LANES=%d%s",
		 cl_dtype_word(a->x.dtype), cpu ? 16 : 4, NORM_LANES, cpu ? " -D CPU" : "");
	int status = cl_kernel_get(d, FILE_NAME, "layer_norm", options, &kernel, err);
	if (status)
		return status;
	const struct cl_arg args[] = {
	    arg_buffer(a->x.buffer), arg_ulong(a->x.offset), arg_ulong((size_t)a->x.ld),
	    arg_buffer(a->y.buffer), arg_ulong(a->y.offset), arg_ulong((size_t)a->y.ld),
	    arg_buffer(a->gamma),    arg_buffer(a->beta),    arg_ulong(rows),
	    arg_int(a->x.c),         arg_float(a->epsilon)};
	size_t blocks = (size_t)d->base.info.compute_units * 4;
	struct cl_range on_cpu = {
	    .dims = 1, .global = {blocks < rows ? blocks : rows}, .local = {1}};
	struct cl_range on_gpu = {.dims = 1, .global = {rows * NORM_LANES}, .local = {NORM_LANES}};
	return cl_launch(d, kernel, cpu ? &on_cpu : &on_gpu, args, CL_COUNT(args), err);
}

/* The gathered matrix product on CPUs: its ways, and how it is cut. */
#include "backends/opencl/matrix.h"

/* One of the kernels: its files, and the constants of its block. */
struct product {
	const char *files, *kernel;
	int rows, tile, group; /* rows of a work-item and of a tile, panels of a work-item */
};

static int ceil_div(int a, int b)
{
	return (a + b - 1) / b;
}

/* How a product is cut into work-items of [block rows] × [group panels]. */
struct gemm_cut {
	int block_rows, blocks; /* rows of a work-item, and how many such blocks */
	int group, groups;      /* panels of a work-item */
	bool swapped;           /* panels vary fastest: the rows stay in the cache */
};

/* Large blocks reuse what they load, but every compute unit needs a few work-items, and
 * equal ones. */
static struct gemm_cut cut_product(const struct cl_device *d, const struct product *p,
				   const struct gemm_job *job, int rows)
{
	int wanted = 4 * d->base.info.compute_units, panels = job->weight->panels;
	struct gemm_cut cut = {.group = p->group};
	cut.blocks = ceil_div(rows, p->rows);
	if (cut.blocks * panels * job->out.n < wanted)
		cut.blocks = ceil_div(wanted, panels * job->out.n);
	cut.block_rows = (int)cl_round_up((size_t)ceil_div(rows, cut.blocks), (size_t)p->tile);
	cut.blocks = ceil_div(rows, cut.block_rows);
	while (cut.group > 1 && cut.blocks * job->out.n * ceil_div(panels, cut.group) < wanted)
		cut.group /= 2;
	cut.groups = ceil_div(panels, cut.group);
	size_t x_bytes = (size_t)job->in.h * (size_t)job->in.w * dtype_size(job->x.dtype);
	const struct block_format *f = format_info(job->weight->head.dtype);
	size_t w_bytes = (size_t)job->weight->head.cout * (size_t)f->bytes / (size_t)f->block *
			 (size_t)(job->side * job->side);
	cut.swapped = x_bytes > w_bytes;
	return cut;
}

static int enqueue(struct cl_device *d, const struct product *p, const struct gemm_job *job,
		   struct error *err)
{
	const struct tensor *y = &job->y;
	const struct weight *w = job->weight;
	cl_kernel kernel;
	int status =
	    matrix_kernel(d, p->files, p->kernel, y->dtype, w->head.dtype, &kernel, err);
	if (status)
		return status;
	struct gemm_cut cut = cut_product(d, p, job, job->out.h * job->out.w);
	struct cl_arg args[GEMM_HEAD + 7 + GEMM_TAIL], *at = gemm_head(job, args);
	*at++ = arg_int(cut.block_rows);
	*at++ = arg_int(cut.group);
	*at++ = arg_int(cut.swapped);
	*at++ = arg_buffer(w->buffer);
	*at++ = arg_ulong(w->zero_at);
	*at++ = arg_int(job->x.c);
	*at++ = arg_int(y->c);
	at = gemm_tail(job, at);
	struct cl_range range = {
	    .dims = 3,
	    .global = {(size_t)(cut.swapped ? cut.groups : cut.blocks),
		       (size_t)(cut.swapped ? cut.blocks : cut.groups), (size_t)job->out.n},
	    .local = {1, 1, 1},
	};
	return cl_launch(d, kernel, &range, args, (int)(at - args), err);
}

static int run_plain(struct cl_device *d, const void *job, const void *how, struct error *err)
{
	const struct product p = {
	    .files = "tile_cpu.cl+gather_cpu.cl+gemm_cpu.cl",
	    .kernel = "gemm",
	    .rows = matrix_constant("gemm_cpu.cl", "GEMM_ROWS"),
	    .tile = matrix_tile_rows(d),
	    .group = matrix_constant("gemm_cpu.cl", "GEMM_GROUP"),
	};
	(void)how;
	return enqueue(d, &p, job, err);
}

static int run_dot(struct cl_device *d, const void *job, const void *how, struct error *err)
{
	const struct product p = {
	    .files = "tile_cpu.cl+dot_cpu.cl+gather_cpu.cl+gemm_dot_cpu.cl",
	    .kernel = "gemm_dot",
	    .rows = matrix_constant("gemm_dot_cpu.cl", "GEMM_DOT_ROWS"),
	    .tile = matrix_constant("dot_cpu.cl", "DOT_ROWS"),
	    .group = matrix_constant("gemm_dot_cpu.cl", "GEMM_DOT_GROUP"),
	};
	(void)how;
	return enqueue(d, &p, job, err);
}

static bool dot_row(const struct cl_device *d, const void *job, const void *how)
{
	(void)how;
	return dot_pays(d, job);
}

static const struct variant rows[] = {
    {"pairs", ROUNDING_DOT, dot_row, run_dot, NULL},
    {"plain", ROUNDING_PLAIN, NULL, run_plain, NULL},
};

int gemm_enqueue_cpu(struct cl_device *d, const struct gemm_job *job, struct error *err)
{
	return variant_run(variant_first(rows, CL_COUNT(rows), d, job), d, job, err);
}

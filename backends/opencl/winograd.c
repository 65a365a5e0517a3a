/* 3×3 convolutions by Winograd's F(4×4, 3×3): when it pays, and its chunks. */
#include "backends/opencl/matrix.h"

static const char file[] = "winograd_cpu.cl";

static size_t ceil_div(size_t a, size_t b)
{
	return (a + b - 1) / b;
}

/* Pictures that share a transformed weight, as a guided one's two evaluations do. Not those of
 * the call: the ways round differently, and a picture's bytes must not depend on what is
 * computed beside it. */
#define SHARED_BY 2.0

/* Costs of a layer in fused multiply-adds for every way, measured on Zen 3: transforming
 * one weight takes as long as 150, an input or output channel of a tile 400. */
bool winograd_pays(const struct cl_device *d, const struct gemm_job *job)
{
	if (!winograd_possible(job))
		return false;
	int columns = matrix_panel(d);
	double cin = job->x.c, cout = (double)job->weight->panels * columns;
	double tiles = (double)(ceil_div((size_t)job->y.h, 4) * ceil_div((size_t)job->y.w, 4));
	double direct = 9.0 * job->y.h * job->y.w * cin * cout;
	double weights = 150 / SHARED_BY;
	return (36 * tiles + weights) * cin * cout + 400 * tiles * (cin + cout) < direct;
}

/* How the tiles are cut: chunks that share the scratch buffer, made of blocks. */
struct winograd_cut {
	int down, across; /* tiles of a picture */
	int tiles;        /* of all pictures */
	int depth;        /* input channels of a step */
	int block;        /* tiles */
	int chunk;        /* tiles, whole blocks */
	size_t block_bytes;
};

static struct winograd_cut cut_tiles(const struct cl_device *d, const struct gemm_job *job)
{
	struct winograd_cut cut = {
	    .down = (int)ceil_div((size_t)job->y.h, 4),
	    .across = (int)ceil_div((size_t)job->y.w, 4),
	};
	size_t most_depth = (size_t)matrix_constant(file, "WINOGRAD_DEPTH");
	size_t most_tiles = (size_t)matrix_constant(file, "WINOGRAD_TILES");
	size_t scratch = (size_t)matrix_constant(file, "WINOGRAD_SCRATCH");
	size_t cin = (size_t)job->x.c, steps = ceil_div(cin, most_depth);
	cut.depth = (int)cl_round_up(ceil_div(cin, steps), 8);
	steps = ceil_div(cin, (size_t)cut.depth);
	cut.tiles = job->y.n * cut.down * cut.across;
	size_t blocks = ceil_div((size_t)cut.tiles, most_tiles);
	size_t wanted = 2 * (size_t)d->base.info.compute_units;
	if (blocks * (size_t)job->weight->panels < wanted)
		blocks = ceil_div(wanted, (size_t)job->weight->panels);
	cut.block = (int)ceil_div((size_t)cut.tiles, blocks);
	size_t place = (size_t)(cut.block * cut.depth + matrix_constant(file, "WINOGRAD_PAD"));
	cut.block_bytes = 36 * steps * place * sizeof(float);
	size_t together = scratch / cut.block_bytes;
	cut.chunk = cut.block * (int)(together ? together : 1);
	return cut;
}

static int transform_chunk(struct cl_device *d, const struct gemm_job *job,
			   const struct winograd_cut *cut, int first, int tiles,
			   struct buffer *scratch, struct error *err)
{
	cl_kernel kernel;
	const struct tensor *x = &job->x;
	const struct weight *w = job->weight;
	int status = matrix_kernel(d, "tile_cpu.cl+winograd_cpu.cl", "winograd_input", x->dtype,
				   w->head.dtype, &kernel, err);
	if (status)
		return status;
	struct cl_arg args[] = {
	    arg_buffer(x->buffer), arg_ulong(x->offset),  arg_int(x->ld),
	    arg_int(x->h),         arg_int(x->w),         arg_int(job->up),
	    arg_buffer(w->buffer), arg_ulong(w->zero_at), arg_int(x->c),
	    arg_int(cut->depth),   arg_int(cut->block),   arg_int(cut->down),
	    arg_int(cut->across),  arg_int(first),        arg_buffer(scratch),
	};
	struct cl_range range = {.dims = 1, .global = {(size_t)tiles}, .local = {1}};
	return cl_launch(d, kernel, &range, args, CL_COUNT(args), err);
}

static int multiply_chunk(struct cl_device *d, const struct gemm_job *job,
			  const struct winograd_cut *cut, int first, int tiles,
			  const struct buffer *scratch, struct error *err)
{
	cl_kernel kernel;
	const struct tensor *y = &job->y;
	const struct weight *w = job->weight;
	int status = matrix_kernel(d, "tile_cpu.cl+winograd_cpu.cl", "winograd_multiply", y->dtype,
				   w->head.dtype, &kernel, err);
	if (status)
		return status;
	struct cl_arg args[10 + GEMM_TAIL + 2] = {
	    arg_buffer(scratch), arg_int(cut->depth), arg_int(cut->block),  arg_int(first),
	    arg_int(tiles),      arg_int(cut->down),  arg_int(cut->across), arg_buffer(w->buffer),
	    arg_int(job->x.c),   arg_int(y->c),
	};
	struct cl_arg *at = gemm_tail(job, args + 10);
	*at++ = arg_int(y->h);
	*at++ = arg_int(y->w);
	struct cl_range range = {
	    .dims = 2,
	    .global = {(size_t)w->panels, ceil_div((size_t)tiles, (size_t)cut->block)},
	    .local = {1, 1},
	};
	return cl_launch(d, kernel, &range, args, (int)(at - args), err);
}

int winograd_enqueue(struct cl_device *d, const struct gemm_job *job, struct error *err)
{
	struct winograd_cut cut = cut_tiles(d, job);
	int most = cut.chunk < cut.tiles ? cut.chunk : cut.tiles;
	struct buffer *scratch = NULL;
	/* The last tiles' rows are read as if there were up to three more. */
	size_t bytes = ceil_div((size_t)most, (size_t)cut.block) * cut.block_bytes +
		       3 * (size_t)cut.depth * sizeof(float);
	int status = cl_buffer_new(d, bytes, &scratch, err);
	for (int first = 0; first < cut.tiles && !status; first += cut.chunk) {
		int tiles = cut.tiles - first < cut.chunk ? cut.tiles - first : cut.chunk;
		status = transform_chunk(d, job, &cut, first, tiles, scratch, err);
		if (!status)
			status = multiply_chunk(d, job, &cut, first, tiles, scratch, err);
	}
	cl_buffer_free(d, scratch);
	return status;
}

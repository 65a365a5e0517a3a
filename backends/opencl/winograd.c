/* 3×3 convolutions by Winograd's F(4×4, 3×3): when it pays, and its chunks. */
#include "backends/opencl/matrix.h"

/* One of the kernels. */
struct winograd {
	const char *files;
	size_t unit;      /* bytes of one transformed number */
	/* Costs of a layer in fused multiply-adds for every way, measured: transforming a weight,
	 * and an input or output channel of a tile. */
	double weight_cost, channel_cost;
};

static const char shared[] = "winograd_both_cpu.cl";

static const struct winograd exact = {
    .files = "tile_cpu.cl+winograd_both_cpu.cl+winograd_cpu.cl",
    .unit = sizeof(float),
    .weight_cost = 150, /* on Zen 3 */
    .channel_cost = 400,
};

static const struct winograd dot = {
    .files = "tile_cpu.cl+matrix_cpu.cl+dot_cpu.cl+winograd_both_cpu.cl+winograd_dot_cpu.cl",
    .unit = sizeof(float) / 2,
    .weight_cost = 150, /* on Zen 5 */
    .channel_cost = 400,
};

static size_t ceil_div(size_t a, size_t b)
{
	return (a + b - 1) / b;
}

/* Pictures that share a transformed weight, as a guided one's two evaluations do. Not those of
 * the call: the ways round differently, and a picture's bytes must not depend on what is
 * computed beside it. */
#define SHARED_BY 2.0

static bool pays(const struct cl_device *d, const struct winograd *way, const struct gemm_job *job)
{
	if (!winograd_possible(job))
		return false;
	int columns = job->weight->narrow ? matrix_panel(d) / 2 : matrix_panel(d);
	double cin = job->x.c, cout = (double)job->weight->panels * columns;
	double tiles = (double)(ceil_div((size_t)job->out.h, 4) * ceil_div((size_t)job->out.w, 4));
	double direct = 9.0 * job->out.h * job->out.w * cin * cout;
	double weights = way->weight_cost / SHARED_BY;
	return (36 * tiles + weights) * cin * cout + way->channel_cost * tiles * (cin + cout) <
	       direct;
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

static struct winograd_cut cut_tiles(const struct cl_device *d, const struct winograd *way,
				     const struct gemm_job *job)
{
	struct winograd_cut cut = {
	    .down = (int)ceil_div((size_t)job->out.h, 4),
	    .across = (int)ceil_div((size_t)job->out.w, 4),
	};
	size_t most_depth = (size_t)matrix_constant(shared, "WINOGRAD_DEPTH");
	size_t most_tiles = (size_t)matrix_constant(shared, "WINOGRAD_TILES");
	size_t scratch = (size_t)matrix_constant(shared, "WINOGRAD_SCRATCH");
	size_t cin = (size_t)job->x.c, steps = ceil_div(cin, most_depth);
	/* Whole vectors of channels, of pairs of them. */
	size_t unit = way == &exact ? 8 : 2 * (size_t)d->quirks.lanes;
	cut.depth = (int)cl_round_up(ceil_div(cin, steps), unit);
	steps = ceil_div(cin, (size_t)cut.depth);
	cut.tiles = job->out.n * cut.down * cut.across;
	size_t pad = (size_t)matrix_constant(shared, "WINOGRAD_PAD") * sizeof(float);
	size_t tile_bytes = 36 * steps * (size_t)cut.depth * way->unit;
	size_t blocks = ceil_div((size_t)cut.tiles, most_tiles);
	size_t wanted = 2 * (size_t)d->base.info.compute_units;
	if (blocks * (size_t)job->weight->panels < wanted)
		blocks = ceil_div(wanted, (size_t)job->weight->panels);
	cut.block = (int)ceil_div((size_t)cut.tiles, blocks);
	cut.block_bytes = (size_t)cut.block * tile_bytes + 36 * steps * pad;
	size_t together = scratch / cut.block_bytes;
	cut.chunk = cut.block * (int)(together ? together : 1);
	return cut;
}

static int transform_chunk(struct cl_device *d, const struct winograd *way,
			   const struct gemm_job *job,
			   const struct winograd_cut *cut, int first, int tiles,
			   struct buffer *scratch, struct error *err)
{
	cl_kernel kernel;
	const struct tensor *x = &job->x;
	const struct weight *w = job->weight;
	int status = matrix_kernel(d, way->files, "winograd_input", x->dtype,
				   w->head.dtype, &kernel, err);
	if (status)
		return status;
	struct cl_arg args[] = {
	    arg_buffer(x->buffer), arg_ulong(x->offset),  arg_int(x->ld),
	    arg_int(job->in.h),    arg_int(job->in.w),    arg_int(job->up),
	    arg_buffer(w->buffer), arg_ulong(w->zero_at), arg_int(x->c),
	    arg_int(cut->depth),   arg_int(cut->block),   arg_int(cut->down),
	    arg_int(cut->across),  arg_int(first),        arg_buffer(scratch),
	};
	struct cl_range range = {.dims = 1, .global = {(size_t)tiles}, .local = {1}};
	return cl_launch(d, kernel, &range, args, CL_COUNT(args), err);
}

static int multiply_chunk(struct cl_device *d, const struct winograd *way,
			  const struct gemm_job *job,
			  const struct winograd_cut *cut, int first, int tiles,
			  const struct buffer *scratch, struct error *err)
{
	cl_kernel kernel;
	const struct tensor *y = &job->y;
	const struct weight *w = job->weight;
	int status = matrix_kernel_of(d, way->files, "winograd_multiply", job, &kernel, err);
	if (status)
		return status;
	struct cl_arg args[10 + GEMM_TAIL + 2] = {
	    arg_buffer(scratch), arg_int(cut->depth), arg_int(cut->block),  arg_int(first),
	    arg_int(tiles),      arg_int(cut->down),  arg_int(cut->across), arg_buffer(w->buffer),
	    arg_int(job->x.c),   arg_int(y->c),
	};
	struct cl_arg *at = gemm_tail(job, args + 10);
	*at++ = arg_int(job->out.h);
	*at++ = arg_int(job->out.w);
	struct cl_range range = {
	    .dims = 2,
	    .global = {(size_t)w->panels, ceil_div((size_t)tiles, (size_t)cut->block)},
	    .local = {1, 1},
	};
	return cl_launch(d, kernel, &range, args, (int)(at - args), err);
}

static int enqueue(struct cl_device *d, const struct winograd *way, const struct gemm_job *job,
		   struct error *err)
{
	struct winograd_cut cut = cut_tiles(d, way, job);
	int most = cut.chunk < cut.tiles ? cut.chunk : cut.tiles;
	struct buffer *scratch = NULL;
	/* The last tiles' rows are read as if there were up to fifteen more. */
	size_t bytes = ceil_div((size_t)most, (size_t)cut.block) * cut.block_bytes +
		       15 * (size_t)cut.depth * sizeof(float);
	int status = cl_buffer_new(d, bytes, &scratch, err);
	for (int first = 0; first < cut.tiles && !status; first += cut.chunk) {
		int tiles = cut.tiles - first < cut.chunk ? cut.tiles - first : cut.chunk;
		status = transform_chunk(d, way, job, &cut, first, tiles, scratch, err);
		if (!status)
			status = multiply_chunk(d, way, job, &cut, first, tiles, scratch, err);
	}
	cl_buffer_free(d, scratch);
	return status;
}

bool winograd_pays(const struct cl_device *d, const struct gemm_job *job)
{
	return pays(d, &exact, job);
}

int winograd_enqueue(struct cl_device *d, const struct gemm_job *job, struct error *err)
{
	return enqueue(d, &exact, job, err);
}

bool winograd_dot_pays(const struct cl_device *d, const struct gemm_job *job)
{
	return dot_pays(d, job) && !dot_is_split(d) && pays(d, &dot, job);
}

int winograd_dot_enqueue(struct cl_device *d, const struct gemm_job *job, struct error *err)
{
	return enqueue(d, &dot, job, err);
}

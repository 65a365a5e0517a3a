/* 3×3 convolutions by Winograd's F(2×2, 3×3) on GPUs: transforms around 16 products that
 * gemm.c enqueues as one. */
#include "backends/opencl/matrix.h"

#define FILES "gather_gpu.cl+winograd_gpu.cl"
#define PLACES 16
#define LANES 32 /* of a work-group, four channels each */

struct plan {
	const struct gemm_job *job;
	int down, across;     /* tiles of a picture */
	int tiles, chunk;     /* of all pictures; of a chunk at most */
	int ld_x, ld_y;       /* of the transformed input and of the sums */
	struct weight weight; /* transformed: [PLACES][panels][cin][PANEL] */
	struct buffer *x, *y; /* a chunk's: [PLACES, chunk, ld_x], [PLACES, chunk, ld_y] */
};

static struct cl_range channels_by(size_t channels, size_t n)
{
	return (struct cl_range){
	    .dims = 2, .global = {cl_round_up((channels + 3) / 4, LANES), n}, .local = {LANES, 1}};
}

/* Numbers of chunks are kept low by equal shares; a chunk's products index with 32 bits. */
static void plan_tiles(struct plan *p, const struct gemm_job *job)
{
	size_t unit = dtype_size(job->x.dtype);
	p->job = job;
	p->down = (job->out.h + 1) / 2;
	p->across = (job->out.w + 1) / 2;
	p->tiles = job->out.n * p->down * p->across;
	p->ld_x = (int)cl_round_up((size_t)job->x.c, 8);
	p->ld_y = (int)cl_round_up((size_t)job->y.c, 8);
	size_t tile = PLACES * unit * (size_t)(p->ld_x + p->ld_y);
	size_t most = (size_t)matrix_constant("winograd_gpu.cl", "WINOGRAD_GPU_SCRATCH") / tile;
	size_t chunks = most ? ((size_t)p->tiles + most - 1) / most : (size_t)p->tiles;
	p->chunk = (int)(((size_t)p->tiles + chunks - 1) / chunks);
}

static int transform_weights(struct cl_device *d, const struct plan *p, struct error *err)
{
	const struct weight *w = p->job->weight;
	cl_kernel kernel;
	int status = matrix_kernel(d, FILES, "winograd_weights", p->job->x.dtype, w->head.dtype,
				   &kernel, err);
	if (status)
		return status;
	struct cl_arg args[] = {arg_buffer(w->buffer), arg_int(p->job->x.c),
				arg_buffer(p->weight.buffer)};
	size_t columns = (size_t)matrix_panel(d);
	struct cl_range range = channels_by((size_t)p->job->x.c * columns, (size_t)w->panels);
	return cl_launch(d, kernel, &range, args, CL_COUNT(args), err);
}

static int transform_input(struct cl_device *d, const struct plan *p, int first, int tiles,
			   struct error *err)
{
	const struct tensor *x = &p->job->x;
	const struct grid *in = &p->job->in;
	cl_kernel kernel;
	int status = matrix_kernel(d, FILES, "winograd_input", x->dtype, p->job->weight->head.dtype,
				   &kernel, err);
	if (status)
		return status;
	struct cl_arg args[] = {
	    arg_buffer(x->buffer), arg_ulong(x->offset), arg_int(x->ld),   arg_int(in->h),
	    arg_int(in->w),        arg_int(p->job->up),  arg_int(x->c),    arg_int(p->down),
	    arg_int(p->across),    arg_int(first),       arg_buffer(p->x), arg_int(p->ld_x),
	};
	struct cl_range range = channels_by((size_t)x->c, (size_t)tiles);
	return cl_launch(d, kernel, &range, args, CL_COUNT(args), err);
}

static int multiply(struct cl_device *d, const struct plan *p, int tiles, struct error *err)
{
	struct tensor x = {.buffer = p->x, .rows = PLACES * (size_t)tiles};
	struct gemm_job job = {.weight = &p->weight, .side = 1, .stride = 1, .own_panels = true};
	x.dtype = p->job->x.dtype;
	job.x = job.y = x;
	job.in = job.out = (struct grid){PLACES, 1, 1, tiles};
	job.x.c = p->job->x.c;
	job.x.ld = p->ld_x;
	job.y.buffer = p->y;
	job.y.c = p->job->y.c;
	job.y.ld = p->ld_y;
	return gemm_enqueue(d, &job, err);
}

static int transform_output(struct cl_device *d, const struct plan *p, int first, int tiles,
			    struct error *err)
{
	const struct tensor *y = &p->job->y;
	const struct grid *out = &p->job->out;
	cl_kernel kernel;
	int status = matrix_kernel(d, FILES, "winograd_output", y->dtype,
				   p->job->weight->head.dtype, &kernel, err);
	if (status)
		return status;
	struct cl_arg args[8 + GEMM_TAIL] = {
	    arg_buffer(p->y), arg_int(p->ld_y), arg_int(p->down), arg_int(p->across),
	    arg_int(first),   arg_int(out->h),  arg_int(out->w),  arg_int(y->c),
	};
	gemm_tail(p->job, args + 8);
	struct cl_range range = channels_by((size_t)y->c, (size_t)tiles);
	return cl_launch(d, kernel, &range, args, CL_COUNT(args), err);
}

int winograd_enqueue_gpu(struct cl_device *d, const struct gemm_job *job, struct error *err)
{
	const struct weight *w = job->weight;
	size_t unit = dtype_size(job->x.dtype);
	size_t panel = (size_t)job->x.c * (size_t)matrix_panel(d) * unit;
	struct plan p = {.weight = {.head = w->head, .panels = PLACES * w->panels}};
	plan_tiles(&p, job);
	p.weight.head.dtype = job->x.dtype;
	p.weight.head.kernel = 1;
	size_t places = PLACES * (size_t)p.chunk * unit;
	int status = cl_buffer_new(d, (size_t)p.weight.panels * panel, &p.weight.buffer, err);
	if (!status)
		status = cl_buffer_new(d, places * (size_t)p.ld_x, &p.x, err);
	if (!status)
		status = cl_buffer_new(d, places * (size_t)p.ld_y, &p.y, err);
	if (!status)
		status = transform_weights(d, &p, err);
	for (int first = 0; first < p.tiles && !status; first += p.chunk) {
		int tiles = p.tiles - first < p.chunk ? p.tiles - first : p.chunk;
		if (!(status = transform_input(d, &p, first, tiles, err)) &&
		    !(status = multiply(d, &p, tiles, err)))
			status = transform_output(d, &p, first, tiles, err);
	}
	cl_buffer_free(d, p.y);
	cl_buffer_free(d, p.x);
	cl_buffer_free(d, p.weight.buffer);
	return status;
}

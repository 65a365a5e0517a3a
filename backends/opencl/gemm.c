/* The gathered matrix product behind linear layers and convolutions, and how it is cut on GPUs. */
#include <stdio.h>
#include <string.h>

#include "backends/opencl/trial.h"

/* The tile of gemm_gpu.cl or gemm_mma.cl: rows and columns of a work-group, terms in local
 * memory, rows and columns of a work-item (a warp or subgroup of gemm_mma.cl). */
struct gemm_tile {
	enum { PLAIN, NVIDIA, INTEL } instruction; /* PLAIN: gemm_gpu.cl */
	int m, n, k, item_m, item_n;
};

static struct gemm_tile plain_tile(void)
{
	static const char name[] = "gemm_gpu.cl";
	return (struct gemm_tile){
	    .m = matrix_constant(name, "GEMM_M"),
	    .n = matrix_constant(name, "GEMM_N"),
	    .k = matrix_constant(name, "GEMM_K"),
	    .item_m = matrix_constant(name, "ITEM_M"),
	    .item_n = matrix_constant(name, "ITEM_N"),
	};
}

/* May gemm_mma.cl read and write eight numbers of every tensor at once? */
static bool aligned(const struct gemm_job *job)
{
	const struct tensor tensors[] = {job->x, job->y, job->residual};
	size_t all = (size_t)job->x.c;
	for (int i = 0; i < CL_COUNT(tensors); i++)
		all |= tensors[i].offset | (size_t)tensors[i].ld;
	return all % 8 == 0;
}

static int tile_kernel(struct cl_device *d, const struct gemm_job *job,
		       const struct gemm_tile *tile, cl_kernel *kernel, struct error *err)
{
	char options[256];
	enum dtype weight = job->weight->head.dtype;
	int used = snprintf(options, sizeof options, "-D ACT=%s ", cl_dtype_word(job->x.dtype));
	char *more = options + used;
	struct format_kernel k = {.name = "gemm",
				  .options = options,
				  .formats = {{"WEIGHT", weight}},
				  .columns = matrix_panel(d)};
	size_t size = sizeof options - (size_t)used;
	if (tile->instruction == PLAIN) {
		snprintf(more, size,
			 "-D GEMM_M=%d -D GEMM_N=%d -D GEMM_K=%d -D ITEM_M=%d -D ITEM_N=%d",
			 tile->m, tile->n, tile->k, tile->item_m, tile->item_n);
		k.files = "gather_gpu.cl+gemm_gpu.cl";
		k.wide = 4;
		return cl_format_kernel(d, &k, kernel, err);
	}
	snprintf(more, size,
		 "%s%s%s -D ALIGNED=%d -D MMA_TILE_M=%d -D MMA_TILE_N=%d -D MMA_TILE_K=%d "
		 "-D MMA_WARP_M=%d -D MMA_WARP_N=%d",
		 d->quirks.mma, d->quirks.mma_emulated ? " -D MMA_EMULATED" : "",
		 weight == DTYPE_F16 ? " -D HALF_WEIGHT" : "", aligned(job), tile->m, tile->n,
		 tile->k, tile->item_m, tile->item_n);
	k.files = "gather_gpu.cl+mma.cl+gemm_mma.cl";
	k.wide = 8;
	return cl_format_kernel(d, &k, kernel, err);
}

/* how: the struct gemm_tile, NULL for gemm_gpu.cl's own. */
static int enqueue_tile(struct cl_device *d, const void *job_, const void *how, struct error *err)
{
	const struct gemm_job *job = job_;
	const struct gemm_tile own = plain_tile(), *tile = how ? how : &own;
	const struct weight *w = job->weight;
	int rows = job->out.h * job->out.w, columns = matrix_panel(d);
	int panels = w->panels / (job->own_panels ? job->out.n : 1);
	size_t items, picture = (size_t)panels * (size_t)job->x.c * (size_t)columns;
	cl_kernel kernel;
	int status = tile_kernel(d, job, tile, &kernel, err);
	if (status || (status = cl_kernel_items(d, kernel, &items, err)))
		return status;
	struct cl_arg args[GEMM_HEAD + 5 + GEMM_ROW_TAIL], *at = gemm_head(job, args);
	*at++ = arg_buffer(w->buffer);
	*at++ = arg_ulong(job->own_panels ? picture : 0);
	*at++ = arg_int(panels);
	*at++ = arg_int(job->x.c);
	*at++ = arg_int(job->y.c);
	at = gemm_row_tail(job, at);
	struct cl_range range = {
	    .dims = 3,
	    .global = {(size_t)cl_ceil_div(panels * columns, tile->n) * items,
		       (size_t)cl_ceil_div(rows, tile->m), (size_t)job->out.n},
	    .local = {items, 1, 1},
	};
	return cl_launch(d, kernel, &range, args, (int)(at - args), err);
}

static bool tile_possible(const struct cl_device *d, const void *job, const void *how)
{
	const struct gemm_tile *tile = how;
	if (tile->instruction == PLAIN)
		return true;
	return ((const struct gemm_job *)job)->x.dtype == DTYPE_F16 && d->quirks.mma &&
	       (strstr(d->quirks.mma, "MMA_INTEL") != NULL) == (tile->instruction == INTEL);
}

#define TILE(rounding, instruction, m, n, k, item_m, item_n)                                       \
	{"tile " #instruction " " #m " " #n " " #k " " #item_m " " #item_n, rounding,              \
	 tile_possible, enqueue_tile,                                                              \
	 &(const struct gemm_tile){instruction, m, n, k, item_m, item_n}}

static const struct variant gpu_rows[] = {
    {"tile default", ROUNDING_PLAIN, NULL, enqueue_tile, NULL},
    TILE(ROUNDING_PLAIN, PLAIN, 32, 64, 16, 4, 4),
    TILE(ROUNDING_PLAIN, PLAIN, 128, 128, 16, 8, 8),
    TILE(ROUNDING_PLAIN, PLAIN, 128, 64, 16, 8, 4),
    TILE(ROUNDING_PLAIN, PLAIN, 64, 64, 32, 4, 4),
    /* The first of an instruction is also what its emulation runs: small. A lane holds 64
     * numbers of D in registers for a warp's 64 × 32. */
    TILE(ROUNDING_MATRIX, NVIDIA, 32, 32, 32, 16, 16),
    TILE(ROUNDING_MATRIX, NVIDIA, 64, 64, 32, 32, 32),
    TILE(ROUNDING_MATRIX, NVIDIA, 128, 128, 32, 64, 32),
    TILE(ROUNDING_MATRIX, NVIDIA, 128, 64, 32, 32, 32),
    TILE(ROUNDING_MATRIX, NVIDIA, 64, 128, 32, 32, 32),
    TILE(ROUNDING_MATRIX, NVIDIA, 32, 64, 64, 16, 32),
    /* A subgroup of 8 lanes holds 32 × 16 in half of its registers. */
    TILE(ROUNDING_MATRIX, INTEL, 32, 32, 32, 16, 16),
    TILE(ROUNDING_MATRIX, INTEL, 64, 64, 32, 32, 16),
    TILE(ROUNDING_MATRIX, INTEL, 64, 64, 32, 16, 16),
    TILE(ROUNDING_MATRIX, INTEL, 64, 64, 32, 32, 32),
    TILE(ROUNDING_MATRIX, INTEL, 32, 64, 32, 16, 16),
};

/* Tiles of one instruction all add in the same order, matrix instructions round otherwise than
 * the plain kernel: class 2 decides between them. */
static const struct tuned gemm_tuned = {
    .name = "gemm",
    .slot = TUNE_GEMM,
    .rows = gpu_rows,
    .count = CL_COUNT(gpu_rows),
    .deciding_class = 2,
    .trial_new = trial_gemm,
};

int gemm_enqueue(struct cl_device *d, const struct gemm_job *job, struct error *err)
{
	if (d->quirks.cpu_kernels)
		return gemm_enqueue_cpu(d, job, err);
	int class = gemm_class(job, job->out.n);
	return variant_run(tune_choose(d, &gemm_tuned, job->x.dtype, class, job), d, job, err);
}

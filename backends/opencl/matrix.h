/* What the matrix-like operations share: packed weights, the gathered product behind
 * linear layers and convolutions, and the constants of their kernels. */
#ifndef SUMI_BACKENDS_OPENCL_MATRIX_H
#define SUMI_BACKENDS_OPENCL_MATRIX_H

#include "backends/opencl/variant.h"

struct gemm_job;

/* A weight in panels of PANEL (matrix_panel()) columns, in the dtype of the file:
 * [panels][taps][cin][PANEL], or in blocks as formats.cl says, [panels][cin / block][…]. A column is an output channel; the panels of a GEGLU layer
 * hold PANEL / 2 value channels and then the PANEL / 2 gates that belong to them, so that
 * both meet in one register tile. Missing columns of the last panel are zero, and at least
 * cin + PANEL floats of zeros follow the panels: what padding reads; PANEL alone where a narrow one has no taps
 * to pad. A table is [cout][cin]. */
struct weight {
	struct weight_head head; /* first */
	struct buffer *buffer;
	struct buffer *scales; /* [cout] f32, or NULL */
	int panels;
	bool narrow; /* its rows are not filled up to panels: [taps][cin][cout], read in panels of PANEL / 2 columns
			(-D NARROW) */
	size_t zero_at; /* elements (of the weight's dtype, of blocks bytes) before the zeros */
};

/* Writes `blocks` blocks of each column's channel (-1: none, left as it is) as formats.cl reads
 * them. Channels are rows of source. */
void cl_pack_blocks(const struct block_format *f, const unsigned char *source, size_t blocks,
		    unsigned char *out, const int *channels, size_t columns);

/* The value of `#define name value` in kernels/<file>: the host has no copy of a tile's
 * size. 0 when there is no such line. */
int matrix_constant(const char *file, const char *name);

/* The same of name_AMX or name_VECTORS, by the way that this device multiplies so. */
int matrix_dot_constant(const struct cl_device *d, enum cl_products of, const char *file,
			const char *name);

/* PANEL: columns of a panel on this device. */
int matrix_panel(const struct cl_device *d);

/* TILE_ROWS and TILE_COVER(rows) of tile_cpu.cl on this device. */
int matrix_tile_rows(const struct cl_device *d);
int matrix_tile_cover(const struct cl_device *d, int rows);

/* cl_format_kernel() with -D ACT and -D WEIGHT, for vectors of a CPU's lanes. */
int matrix_kernel(struct cl_device *d, const char *files, const char *name, enum dtype act,
		  enum dtype weight, cl_kernel *kernel, struct error *err);

/* The same of job's product, with -D NARROW where its weight is, and with -D UP, the dtype of what lies beside
 * it, where something does. */
int matrix_kernel_of(struct cl_device *d, const char *files, const char *name, const struct gemm_job *job,
		     cl_kernel *kernel, struct error *err);

/* y[r, :] = act(Σ over taps x[pixel(r, tap), :]·W[tap] · scales + bias + add) + residual for
 * out.n pictures of out.h·out.w rows each. */
struct gemm_job {
	struct tensor x, y;
	struct grid in, out; /* of x and y; a linear layer's are one line */
	const struct weight *weight;
	const struct buffer *bias;
	struct tensor add, residual; /* buffer NULL: none */
	const struct linear_beside *beside; /* of the gathered product in its plain way, or NULL */
	int add_row; /* elements between the rows of add; 0: it has one a picture (a linear layer's
			only: no other way than the gathered product reads it) */
	enum activation act;
	int side, stride, padding; /* taps a side; 1, 1, 0 for a linear layer */
	int up;                    /* log2 of the upsampling of x */
	int pixels;                /* rows of one picture: what a way may be chosen by */
	bool own_panels;           /* GPU only: the weight has panels for one picture after the
				      other, not the same for all */
};

/* Every picture of x must span fewer than 2^31 elements: kernels index it with 32 bits. */
int gemm_enqueue(struct cl_device *d, const struct gemm_job *job, struct error *err);

/* Whether it adds what lies beside job->weight (gemm_cpu.c). */
bool gemm_joins_beside(const struct cl_device *d, const struct gemm_job *job);

/* The same with the kernels for CPUs (gemm_cpu.c). */
int gemm_enqueue_cpu(struct cl_device *d, const struct gemm_job *job, struct error *err);

/* Where products of bfloat16 pairs begin to pay: rows of a picture, channels of both sides. */
#define DOT_LEAST_ROWS 16
#define DOT_LEAST_CHANNELS 32

/* Are both sides of job large enough? Rounding a panel takes as long as a few rows of products;
 * what has few channels has little to gain, and they are a model's first and last, where errors count
 * most. By one picture's rows: its bytes must not depend on what is computed beside it. */
static inline bool dot_is_worth_it(const struct gemm_job *job)
{
	return job->pixels >= DOT_LEAST_ROWS && job->x.c >= DOT_LEAST_CHANNELS &&
	       (job->y.c >= DOT_LEAST_CHANNELS || job->weight->narrow);
}

/* Is an operation to be computed in such pairs where that pays? In half it is, and in int8 if the
 * device can. */
static inline bool dot_is_wanted(const struct cl_device *d)
{
	enum cl_dot pairs = d->dot[CL_PAIRS];
	return d->base.precision != PRECISION_EXACT && pairs != DOT_MISSING && pairs != DOT_UNKNOWN;
}

/* Are three products of pairs to stand for one? Only the gathered product has that. */
static inline bool dot_is_split(const struct cl_device *d)
{
	return d->dot[CL_PAIRS] == DOT_AMX_SPLIT;
}

/* Tiles of AMX have whole panels. */
static inline bool dot_pays(const struct cl_device *d, const struct gemm_job *job)
{
	enum cl_dot pairs = d->dot[CL_PAIRS];
	if (job->weight->narrow && (pairs == DOT_AMX || pairs == DOT_AMX_SPLIT))
		return false;
	return dot_is_wanted(d) && dot_is_worth_it(job);
}

/* The first GEMM_HEAD arguments of all of their kernels: x and its geometry. */
#define GEMM_HEAD 6
struct cl_arg *gemm_head(const struct gemm_job *job, struct cl_arg *args);

/* The last GEMM_TAIL arguments of every kernel that ends a product: scales, bias, activation,
 * add, residual and y. Returns the argument behind them. */
#define GEMM_TAIL 12
struct cl_arg *gemm_tail(const struct gemm_job *job, struct cl_arg *args);

/* The same, and job->add_row: for the gathered products. */
#define GEMM_ROW_TAIL (GEMM_TAIL + 1)
struct cl_arg *gemm_row_tail(const struct gemm_job *job, struct cl_arg *args);

/* The way that a convolution takes on this device. */
const struct variant *conv_choose(struct cl_device *d, const struct gemm_job *job);

static inline bool winograd_possible(const struct gemm_job *job)
{
	return job->side == 3 && job->stride == 1;
}

/* On CPUs: is winograd_enqueue() possible for job, and faster than gemm_enqueue()? */
bool winograd_pays(const struct cl_device *d, const struct gemm_job *job);
int winograd_enqueue(struct cl_device *d, const struct gemm_job *job, struct error *err);
/* The same in products of bfloat16 pairs. */
bool winograd_dot_pays(const struct cl_device *d, const struct gemm_job *job);
int winograd_dot_enqueue(struct cl_device *d, const struct gemm_job *job, struct error *err);
int winograd_enqueue_gpu(struct cl_device *d, const struct gemm_job *job, struct error *err);

#endif

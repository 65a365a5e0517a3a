/* Attention: one launch, whatever the number of tokens. */
#include <stdio.h>

#include "backends/opencl/trial.h"

static const char matrix_file[] = "attention_mma.cl";

#define LOG2_E 1.4426950408889634f
#define TENSOR_ARGS 16 /* buffer, offset, ld and elements of a batch of q, k, v, y */

static size_t ceil_div(int a, int b)
{
	return (size_t)((a + b - 1) / b);
}

/* Queries and keys of one n. */
static int queries_of(const struct attention_args *a)
{
	return (int)(a->q.rows / (size_t)a->n);
}

static int keys_of(const struct attention_args *a)
{
	return (int)(a->k.rows / (size_t)a->n);
}

static void tensor_args(const struct attention_args *a, struct cl_arg args[TENSOR_ARGS])
{
	const struct tensor tensors[] = {a->q, a->k, a->v, a->y};
	for (int i = 0; i < CL_COUNT(tensors); i++) {
		const struct tensor *t = &tensors[i];
		args[4 * i] = arg_buffer(t->buffer);
		args[4 * i + 1] = arg_ulong(t->offset);
		args[4 * i + 2] = arg_int(t->ld);
		args[4 * i + 3] = arg_ulong(t->rows / (size_t)a->n * (size_t)t->ld);
	}
}

/* The arguments of both kernels for GPUs. */
#define GPU_ARGS 4
static void gpu_args(const struct attention_args *a, struct cl_arg args[TENSOR_ARGS + GPU_ARGS])
{
	tensor_args(a, args);
	args[TENSOR_ARGS] = arg_int(queries_of(a));
	args[TENSOR_ARGS + 1] = arg_int(keys_of(a));
	args[TENSOR_ARGS + 2] = arg_float(a->scale * LOG2_E);
	args[TENSOR_ARGS + 3] = arg_int(a->causal);
}

/* The kernels for CPUs: their files, and the rows that their tiles cover of a head's channels. */
struct cpu_kernel {
	const char *files, *kernel;
	int (*cover)(const struct cl_device *d, int rows);
};

static int dot_cover(const struct cl_device *d, int rows)
{
	int small = matrix_dot_constant(d, CL_PAIRS, "dot_cpu.cl", "DOT_SMALL");
	return (int)cl_round_up((size_t)rows, (size_t)small);
}

/* A panel's scores and sums stand in a work-item's own memory. */
int cl_attention_supports(const struct cl_device *d, const struct attention_args *a,
			  struct error *err)
{
	int cells = matrix_constant("attention_panel_cpu.cl", "ATTENTION_CELLS") / matrix_panel(d);
	int dim = a->q.c / a->heads;
	int plain = matrix_tile_cover(d, dim), pairs = dot_cover(d, dim);
	if (d->quirks.cpu_kernels && (plain > pairs ? plain : pairs) > cells)
		return error_set(err, SUMI_UNSUPPORTED,
				 "attention: %d channels a head, %s takes at most %d", dim,
				 d->base.info.name, cells);
	return SUMI_OK;
}

static int attention_cpu(struct cl_device *d, const void *job, const void *how, struct error *err)
{
	static const char file[] = "attention_panel_cpu.cl";
	const struct attention_args *a = job;
	const struct cpu_kernel *way = how;
	int dim = a->q.c / a->heads, queries = queries_of(a);
	int columns = matrix_panel(d);
	int panels = matrix_constant(file, "ATTENTION_QUERIES") / columns;
	int cells = matrix_constant(file, "ATTENTION_CELLS") / columns; /* of one panel */
	int covered = way->cover(d, dim);
	cl_kernel kernel;
	int status = matrix_kernel(d, way->files, way->kernel, a->q.dtype, DTYPE_F32, &kernel, err);
	if (status)
		return status;
	/* Few queries: smaller work-items, so that every compute unit has some. */
	int all = (int)ceil_div(queries, columns);
	size_t wanted = 4 * (size_t)d->base.info.compute_units;
	while (panels > 1 && (panels * covered > cells ||
			      ceil_div(all, panels) * (size_t)a->heads * (size_t)a->n < wanted))
		panels--;
	panels = (int)ceil_div(all, (int)ceil_div(all, panels)); /* equal shares */
	struct cl_arg args[TENSOR_ARGS + 6];
	tensor_args(a, args);
	args[TENSOR_ARGS] = arg_int(queries);
	args[TENSOR_ARGS + 1] = arg_int(keys_of(a));
	args[TENSOR_ARGS + 2] = arg_int(dim);
	args[TENSOR_ARGS + 3] = arg_float(a->scale * LOG2_E);
	args[TENSOR_ARGS + 4] = arg_int(a->causal);
	args[TENSOR_ARGS + 5] = arg_int(panels);
	struct cl_range range = {
	    .dims = 3,
	    .global = {ceil_div(all, panels), (size_t)a->heads, (size_t)a->n},
	    .local = {1, 1, 1},
	};
	return cl_launch(d, kernel, &range, args, CL_COUNT(args), err);
}

static bool dot_row(const struct cl_device *d, const void *job, const void *how)
{
	const struct attention_args *a = job;
	(void)how;
	return dot_is_wanted(d) && !dot_is_split(d) && queries_of(a) >= DOT_LEAST_ROWS &&
	       keys_of(a) >= DOT_LEAST_ROWS;
}

static const struct variant cpu_rows[] = {
    {"pairs", ROUNDING_DOT, dot_row, attention_cpu,
     &(const struct cpu_kernel){
	 "tile_cpu.cl+matrix_cpu.cl+dot_cpu.cl+attention_panel_cpu.cl+attention_dot_cpu.cl",
	 "attention_dot", dot_cover}},
    {"plain", ROUNDING_PLAIN, NULL, attention_cpu,
     &(const struct cpu_kernel){"tile_cpu.cl+attention_panel_cpu.cl+attention_cpu.cl",
				"attention", matrix_tile_cover}},
};

static int attention_plain(struct cl_device *d, const struct attention_args *a, struct error *err)
{
	static const char file[] = "attention_gpu.cl";
	int dim = a->q.c / a->heads, queries = queries_of(a);
	bool wide = dim > matrix_constant(file, "ATTENTION_WIDE_DIM");
	int tile = matrix_constant(file, wide ? "ATTENTION_WIDE_QUERIES" : "ATTENTION_QUERIES");
	size_t side = (size_t)matrix_constant(file, "SIDE");
	char options[128];
	snprintf(options, sizeof options, "-D ACT=%s -D HEAD_DIM=%d -D ATTENTION_QUERIES=%d",
		 cl_dtype_word(a->q.dtype), dim, tile);
	cl_kernel kernel;
	int status = cl_kernel_get(d, file, "attention", options, &kernel, err);
	if (status)
		return status;
	struct cl_arg args[TENSOR_ARGS + GPU_ARGS];
	gpu_args(a, args);
	struct cl_range range = {
	    .dims = 3,
	    .global = {ceil_div(queries, tile) * side, (size_t)a->heads * side, (size_t)a->n},
	    .local = {side, side, 1},
	};
	return cl_launch(d, kernel, &range, args, CL_COUNT(args), err);
}

static bool matrix_possible(const struct cl_device *d, const struct attention_args *a)
{
	return d->quirks.mma && a->q.dtype == DTYPE_F16 &&
	       a->q.c / a->heads <= matrix_constant(matrix_file, "ATTENTION_MMA_DIM");
}

static int attention_matrix(struct cl_device *d, const struct attention_args *a, struct error *err)
{
	int dim = a->q.c / a->heads, queries = queries_of(a);
	int tile = matrix_constant(matrix_file, "ATTENTION_MMA_QUERIES");
	const struct tensor tensors[] = {a->q, a->k, a->v, a->y};
	size_t all = (size_t)dim, items;
	for (int i = 0; i < CL_COUNT(tensors); i++)
		all |= tensors[i].offset | (size_t)tensors[i].ld;
	char options[160];
	snprintf(options, sizeof options, "-D ACT=f16 -D HEAD_DIM=%d -D ALIGNED=%d %s%s", dim,
		 all % 8 == 0, d->quirks.mma, d->quirks.mma_emulated ? " -D MMA_EMULATED" : "");
	cl_kernel kernel;
	int status =
	    cl_kernel_get(d, "mma.cl+attention_mma.cl", "attention", options, &kernel, err);
	if (status || (status = cl_kernel_items(d, kernel, &items, err)))
		return status;
	struct cl_arg args[TENSOR_ARGS + GPU_ARGS];
	gpu_args(a, args);
	struct cl_range range = {
	    .dims = 3,
	    .global = {ceil_div(queries, tile) * items, (size_t)a->heads, (size_t)a->n},
	    .local = {items, 1, 1},
	};
	return cl_launch(d, kernel, &range, args, CL_COUNT(args), err);
}

static int run_plain(struct cl_device *d, const void *job, const void *how, struct error *err)
{
	(void)how;
	return attention_plain(d, job, err);
}

static int run_matrix(struct cl_device *d, const void *job, const void *how, struct error *err)
{
	(void)how;
	return attention_matrix(d, job, err);
}

static bool matrix_row(const struct cl_device *d, const void *job, const void *how)
{
	(void)how;
	return matrix_possible(d, job);
}

static const struct variant gpu_rows[] = {
    {"plain", ROUNDING_PLAIN, NULL, run_plain, NULL},
    {"matrix", ROUNDING_MATRIX, matrix_row, run_matrix, NULL},
};

static const struct tuned attention_tuned = {
    .name = "attention",
    .slot = TUNE_ATTENTION,
    .rows = gpu_rows,
    .count = CL_COUNT(gpu_rows),
    .deciding_class = -1,
    .trial_new = trial_attention,
};

int cl_attention(struct device *base, const struct attention_args *a, struct error *err)
{
	struct cl_device *d = cl_device_of(base);
	if (d->quirks.cpu_kernels)
		return variant_run(variant_first(cpu_rows, CL_COUNT(cpu_rows), d, a), d, a, err);
	/* Heads too wide for matrix instructions are no reason for a trial. */
	const struct variant *row = matrix_possible(d, a)
					? tune_choose(d, &attention_tuned, DTYPE_F16, 0, a)
					: &gpu_rows[0];
	return variant_run(row, d, a, err);
}

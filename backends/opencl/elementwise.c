/* The operations of kernels/elementwise.cl: axpby, embedding, permute, timestep. */
#include <stdio.h>

#include "backends/opencl/internal.h"

#define FILE_NAME "elementwise.cl"

/* Elements of a row that a dense tensor is cut into. */
#define DENSE_ROW 1024

static int vector_width(const struct cl_device *d)
{
	return d->quirks.cpu_kernels ? 16 : 4;
}

/* The walk of elementwise.cl over rows of c elements. */
static struct cl_range walk(const struct cl_device *d, size_t rows, size_t c)
{
	struct cl_range range = {.dims = 2};
	if (d->quirks.cpu_kernels) {
		/* Some blocks more than cores, so that one that is busy elsewhere does not
		 * hold up the rest; never so many that starting them costs more than the work. */
		size_t blocks = (size_t)d->base.info.compute_units * 4, most = rows * c / 4096 + 1;
		blocks = blocks < most ? blocks : most;
		range.global[0] = range.local[0] = range.local[1] = 1;
		range.global[1] = blocks < rows ? blocks : rows;
	} else {
		size_t walkers = cl_round_up((c + 3) / 4, 32);
		range.local[0] = walkers < 128 ? walkers : 128;
		range.local[1] = 1;
		range.global[0] = cl_round_up(walkers, range.local[0]);
		range.global[1] = rows;
	}
	return range;
}

int cl_axpby(struct device *base, const struct axpby_args *a, struct error *err)
{
	struct cl_device *d = cl_device_of(base);
	const struct tensor *b = a->b.buffer ? &a->b : &a->a;
	size_t rows = a->y.rows, c = (size_t)a->y.c, last_c = c;
	size_t a_ld = (size_t)a->a.ld, b_ld = (size_t)b->ld, y_ld = (size_t)a->y.ld;
	char options[160];
	cl_kernel kernel;
	snprintf(options, sizeof options,
		 "-D AXPBY -D V=%d -D A_T=%s -D B_T=%s -D Y_T=%s -D HAS_B=%d%s -D ACTIVATION=%d",
		 vector_width(d), cl_dtype_word(a->a.dtype), cl_dtype_word(b->dtype),
		 cl_dtype_word(a->y.dtype), a->b.buffer != NULL, a->gain ? " -D HAS_GAIN=1" : "",
		 (int)a->act);
	int status = cl_kernel_get(d, FILE_NAME, "axpby", options, &kernel, err);
	if (status)
		return status;
	/* An activation may round otherwise in a row's last few elements: those must be the same
	 * ones whatever the number of pictures. */
	bool even = !a->gain && (a->act == ACT_NONE || c % (size_t)vector_width(d) == 0);
	if (even && a_ld == c && b_ld == c && y_ld == c) {
		size_t count = rows * c;
		c = a_ld = b_ld = y_ld = DENSE_ROW;
		rows = (count + c - 1) / c;
		last_c = count - (rows - 1) * c;
	}
	const struct cl_arg args[] = {
	    arg_buffer(a->a.buffer), arg_ulong(a->a.offset), arg_ulong(a_ld),
	    arg_buffer(b->buffer),   arg_ulong(b->offset),   arg_ulong(b_ld),
	    arg_buffer(a->y.buffer), arg_ulong(a->y.offset), arg_ulong(y_ld),
	    arg_ulong(rows),         arg_ulong(c),           arg_ulong(last_c),
	    arg_float(a->alpha),     arg_float(a->beta),     arg_buffer(a->gain),
	    arg_ulong((cl_ulong)a->gains)};
	struct cl_range range = walk(d, rows, c);
	return cl_launch(d, kernel, &range, args, CL_COUNT(args) - (a->gain ? 0 : 2), err);
}

int cl_embedding(struct device *base, const struct embedding_args *a, struct error *err)
{
	struct cl_device *d = cl_device_of(base);
	const struct weight *position = a->position ? a->position : a->table;
	size_t rows = a->y.rows, c = (size_t)a->y.c;
	struct buffer *ids = NULL;
	enum dtype of_table = weight_head(a->table)->dtype;
	enum dtype of_position = weight_head(position)->dtype;
	/* Neighbours in a row of blocks do not lie side by side. */
	bool blocks = format_info(of_table)->block > 1 || format_info(of_position)->block > 1;
	char options[160];
	cl_kernel kernel;
	snprintf(options, sizeof options, "-D EMBEDDING -D V=%d -D Y_T=%s -D HAS_POSITION=%d",
		 blocks ? 1 : vector_width(d), cl_dtype_word(a->y.dtype), a->position != NULL);
	struct format_kernel k = {.files = FILE_NAME,
				  .name = "embedding",
				  .options = options,
				  .formats = {{"TABLE_T", of_table}, {"POSITION_T", of_position}},
				  .wide = 1,
				  .columns = 1};
	int status = cl_format_kernel(d, &k, &kernel, err);
	if (!status)
		status = cl_buffer_new(d, rows * sizeof *a->ids, &ids, err);
	if (!status)
		status = cl_buffer_write(d, ids, 0, a->ids, rows * sizeof *a->ids, err);
	if (status)
		goto done;
	const struct cl_arg args[] = {arg_buffer(ids),
				      arg_buffer(cl_weight_rows(a->table)),
				      arg_buffer(cl_weight_rows(position)),
				      arg_buffer(a->y.buffer),
				      arg_ulong(a->y.offset),
				      arg_ulong((size_t)a->y.ld),
				      arg_ulong(rows),
				      arg_ulong(rows / (size_t)a->n),
				      arg_ulong(c)};
	struct cl_range range = walk(d, rows, c);
	status = cl_launch(d, kernel, &range, args, CL_COUNT(args), err);
done:
	cl_buffer_free(d, ids);
	return status;
}

int cl_permute(struct device *base, const struct permute_args *a, struct error *err)
{
	struct cl_device *d = cl_device_of(base);
	size_t rows = a->x.rows, c = (size_t)a->x.c;
	char options[80];
	cl_kernel kernel;
	snprintf(options, sizeof options, "-D PERMUTE -D V=%d -D BITS=%s", vector_width(d),
		 a->x.dtype == DTYPE_F32 ? "uint" : "ushort");
	int status = cl_kernel_get(d, FILE_NAME, "permute", options, &kernel, err);
	if (status)
		return status;
	const struct cl_arg args[] = {arg_buffer(a->x.buffer),
				      arg_ulong(a->x.offset),
				      arg_ulong((size_t)a->x.ld),
				      arg_buffer(a->y.buffer),
				      arg_ulong(a->y.offset),
				      arg_ulong((size_t)a->y.ld),
				      arg_ulong(rows),
				      arg_ulong((size_t)a->grid.d),
				      arg_ulong((size_t)a->grid.h * (size_t)a->grid.w),
				      arg_ulong(c)};
	struct cl_range range = walk(d, rows, c);
	return cl_launch(d, kernel, &range, args, CL_COUNT(args), err);
}

/* Timesteps travel as an argument, eight a launch: no copy, no waiting. */
int cl_timestep(struct device *base, const struct timestep_args *a, struct error *err)
{
	struct cl_device *d = cl_device_of(base);
	int half_c = a->y.c / 2;
	char options[80];
	cl_kernel kernel;
	snprintf(options, sizeof options, "-D TIMESTEP -D V=4 -D Y_T=%s",
		 cl_dtype_word(a->y.dtype));
	int status = cl_kernel_get(d, FILE_NAME, "timestep", options, &kernel, err);
	for (size_t first = 0; !status && first < a->y.rows; first += 8) {
		size_t rows = a->y.rows - first < 8 ? a->y.rows - first : 8;
		float timesteps[8] = {0};
		for (size_t i = 0; i < rows; i++)
			timesteps[i] = a->timesteps[first + i];
		const struct cl_arg args[] = {
		    arg_float8(timesteps),
		    arg_buffer(a->y.buffer),
		    arg_ulong(a->y.offset + first * (size_t)a->y.ld),
		    arg_ulong((size_t)a->y.ld),
		    arg_int(half_c),
		    arg_float((float)half_c - a->freq_shift),
		    arg_int(a->flip_sin_to_cos)};
		struct cl_range range = {.dims = 2, .global = {(size_t)half_c, rows}};
		status = cl_launch(d, kernel, &range, args, CL_COUNT(args), err);
	}
	return status;
}

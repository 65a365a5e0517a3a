/* Attention: one launch, whatever the number of tokens. */
#include "backends/opencl/matrix.h"

#define LOG2_E 1.4426950408889634f

static size_t batch_elements(const struct tensor *t)
{
	return (size_t)t->h * (size_t)t->w * (size_t)t->ld;
}

int cl_attention(struct device *base, const struct attention_args *a, struct error *err)
{
	struct cl_device *d = cl_device_of(base);
	static const char file[] = "attention_cpu.cl";
	int dim = a->q.c / a->heads, queries = a->q.h * a->q.w, keys = a->k.h * a->k.w;
	int columns = matrix_constant("tile_cpu.cl", "PANEL");
	int panels = matrix_constant(file, "ATTENTION_PANELS");
	int cells = matrix_constant(file, "ATTENTION_CELLS");
	if (dim > cells)
		return error_set(err, SUMI_UNSUPPORTED, "attention: %d channels a head, at most %d", dim,
		                 cells);
	cl_kernel kernel;
	int status = matrix_kernel(d, "tile_cpu.cl+attention_cpu.cl", "attention", a->q.dtype,
	                           DTYPE_F32, &kernel, err);
	if (status)
		return status;
	/* Few queries: smaller work-items, so that every compute unit has some. */
	int all = (queries + columns - 1) / columns;
	int wanted = 4 * d->base.info.compute_units;
	while (panels > 1 && (panels * dim > cells ||
	                      (all + panels - 1) / panels * a->heads * a->q.n < wanted))
		panels--;
	struct cl_arg args[] = {
		arg_buffer(a->q.buffer), arg_ulong(a->q.offset), arg_int(a->q.ld),
		arg_ulong(batch_elements(&a->q)),
		arg_buffer(a->k.buffer), arg_ulong(a->k.offset), arg_int(a->k.ld),
		arg_ulong(batch_elements(&a->k)),
		arg_buffer(a->v.buffer), arg_ulong(a->v.offset), arg_int(a->v.ld),
		arg_ulong(batch_elements(&a->v)),
		arg_buffer(a->y.buffer), arg_ulong(a->y.offset), arg_int(a->y.ld),
		arg_ulong(batch_elements(&a->y)),
		arg_int(queries), arg_int(keys), arg_int(dim), arg_float(a->scale * LOG2_E),
		arg_int(a->causal), arg_int(panels),
	};
	struct cl_range range = {
		.dims = 3,
		.global = {(size_t)((all + panels - 1) / panels), (size_t)a->heads, (size_t)a->q.n},
		.local = {1, 1, 1},
	};
	return cl_launch(d, kernel, &range, args, CL_COUNT(args), err);
}

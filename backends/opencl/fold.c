/* Weights with what lies beside them in one, made for a product and gone after it. */
#include <stdio.h>
#include <stdlib.h>

#include "backends/opencl/matrix.h"

/* The ups that are there: all of one format, and as wide as a part. */
static const struct weight *first_up(const struct linear_beside *b, int cout)
{
	const struct weight *first = NULL;
	for (int i = 0; i < b->count; i++) {
		const struct weight *up = b->parts[i].up;
		if (!up)
			continue;
		first = first ? first : up;
		if (up->head.dtype != first->head.dtype || up->head.cout != cout || up->head.geglu || up->narrow ||
		    up->scales || up->head.cin != b->parts[i].ranks || format_info(up->head.dtype)->block > 1)
			return NULL;
	}
	return first;
}

bool cl_folds_beside(const struct device *base, const struct weight *w, const struct linear_beside *b)
{
	const struct cl_device *d = (const struct cl_device *)base;
	const struct weight_head *head = &w->head;
	int panel = matrix_panel(d), lanes = d->quirks.lanes;
	if (!d->quirks.cpu_kernels || w->scales || w->narrow || head->table || format_info(head->dtype)->block > 1 ||
	    head->dtype == DTYPE_I8 || b->count < 1 || b->count > BESIDE_MOST || head->cout % b->count ||
	    format_info(b->down->head.dtype)->block > 1 || b->down->head.kernel != head->kernel ||
	    b->down->head.cin != head->cin)
		return false;
	int cout = head->cout / b->count;
	/* Vectors of a panel belong to one part. */
	return (b->count == 1 || (cout % panel == 0 && !head->geglu)) &&
	       (head->geglu ? head->cout / 2 : head->cout) % lanes == 0 && first_up(b, cout);
}

/* In pairs, where products are. */
static bool folds_in_pairs(const struct cl_device *d)
{
	enum cl_dot pairs = d->dot[CL_PAIRS];
	return dot_is_wanted(d) && pairs != DOT_AMX && pairs != DOT_AMX_SPLIT;
}

static int fold_kernel(struct cl_device *d, const struct weight *w, const struct linear_beside *b, cl_kernel *kernel,
		       struct error *err)
{
	char options[128 + CL_DOT_OPTIONS], dot[CL_DOT_OPTIONS] = "";
	bool pairs = folds_in_pairs(d);
	if (pairs)
		cl_dot_options(d, CL_PAIRS, dot);
	snprintf(options, sizeof options, "-D ACT=f32 -D UP=%s -D DOWN=%s%s%s%s",
		 cl_dtype_word(first_up(b, w->head.cout / b->count)->head.dtype), cl_dtype_word(b->down->head.dtype),
		 b->down->narrow ? " -D DOWN_NARROW" : "", pairs ? " -D DOT" : "", dot);
	struct format_kernel k = {.files = pairs ? "tile_cpu.cl+matrix_cpu.cl+dot_cpu.cl+beside_cpu.cl+fold_cpu.cl"
						 : "tile_cpu.cl+beside_cpu.cl+fold_cpu.cl",
				  .name = "fold",
				  .options = options,
				  .formats = {{"WEIGHT", w->head.dtype}},
				  .wide = d->quirks.lanes,
				  .columns = matrix_panel(d)};
	return cl_format_kernel(d, &k, kernel, err);
}

/* Work-items of equal blocks of lines and groups of panels, a few for every compute unit. */
static int enqueue(struct cl_device *d, const struct weight *w, const struct linear_beside *b, struct weight *out,
		   int slack, struct error *err)
{
	cl_kernel kernel;
	int status = fold_kernel(d, w, b, &kernel, err);
	if (status)
		return status;
	int lines = w->head.cin * w->head.kernel * w->head.kernel, most = matrix_constant("fold_cpu.cl", "FOLD_ROWS");
	int tile = folds_in_pairs(d) ? matrix_constant("dot_cpu.cl", "DOT_SMALL_VECTORS")
				     : matrix_constant("tile_cpu.cl", "TILE_SMALL");
	int block = (int)cl_round_up((size_t)cl_ceil_div(lines, cl_ceil_div(lines, most)), (size_t)tile);
	int blocks = cl_ceil_div(lines, block), wanted = 4 * d->base.info.compute_units, group = w->panels;
	while (group > 1 && blocks * cl_ceil_div(w->panels, group) < wanted)
		group = cl_ceil_div(group, 2);
	int cout = w->head.cout / b->count, columns = matrix_panel(d);
	struct cl_arg args[26], *at = args;
	*at++ = arg_buffer(w->buffer);
	*at++ = arg_int(lines);
	*at++ = arg_int(block);
	*at++ = arg_int(w->panels);
	*at++ = arg_int(group);
	*at++ = arg_int(w->head.geglu ? columns / 2 : columns);
	*at++ = arg_int(w->head.geglu ? w->head.cout / 2 : columns / 2);
	*at++ = arg_int(slack);
	*at++ = arg_buffer(b->down->buffer);
	*at++ = arg_int(b->down->head.cout);
	*at++ = arg_buffer(b->down->scales);
	*at++ = arg_int(b->count);
	*at++ = arg_int(cout);
	for (int i = 0; i < BESIDE_MOST; i++) {
		bool there = i < b->count && b->parts[i].up;
		*at++ = arg_buffer(there ? b->parts[i].up->buffer : b->down->buffer);
		*at++ = arg_int(there ? b->parts[i].ranks : 0);
		*at++ = arg_int(there ? b->parts[i].first_rank : 0);
	}
	*at++ = arg_buffer(out->buffer);
	struct cl_range range = {.dims = 2,
				 .global = {(size_t)blocks, (size_t)cl_ceil_div(w->panels, group)},
				 .local = {1, 1}};
	return cl_launch(d, kernel, &range, args, (int)(at - args), err);
}

int cl_weight_fold(struct device *base, const struct weight *w, const struct linear_beside *b, struct weight **out,
		   struct error *err)
{
	struct cl_device *d = cl_device_of(base);
	size_t lines = (size_t)w->head.cin * (size_t)(w->head.kernel * w->head.kernel);
	int columns = matrix_panel(d), slack = w->head.cin + columns;
	struct weight *own = calloc(1, sizeof *own);
	*out = NULL;
	if (!own)
		return error_set(err, SUMI_NOMEM, "no memory for a weight");
	own->head = w->head;
	own->head.dtype = DTYPE_F32;
	own->panels = w->panels;
	own->zero_at = (size_t)w->panels * lines * (size_t)columns;
	int status = cl_buffer_new(d, (own->zero_at + (size_t)slack) * sizeof(float), &own->buffer, err);
	if (!status)
		status = enqueue(d, w, b, own, slack, err);
	if (status) {
		cl_weight_free(base, own);
		return status;
	}
	*out = own;
	return SUMI_OK;
}

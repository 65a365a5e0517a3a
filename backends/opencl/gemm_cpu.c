/* The gathered matrix product on CPUs: its ways, and how it is cut. */
#include "backends/opencl/matrix.h"

/* One of the kernels: its files, and the constants of its block. */
struct product {
	const char *files, *kernel;
	int rows, tile, group; /* rows of a work-item and of a tile, panels of a work-item */
};

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
	cut.blocks = cl_ceil_div(rows, p->rows);
	if (cut.blocks * panels * job->out.n < wanted)
		cut.blocks = cl_ceil_div(wanted, panels * job->out.n);
	cut.block_rows = (int)cl_round_up((size_t)cl_ceil_div(rows, cut.blocks), (size_t)p->tile);
	cut.blocks = cl_ceil_div(rows, cut.block_rows);
	while (cut.group > 1 && cut.blocks * job->out.n * cl_ceil_div(panels, cut.group) < wanted)
		cut.group /= 2;
	cut.groups = cl_ceil_div(panels, cut.group);
	size_t x_bytes = (size_t)job->in.h * (size_t)job->in.w * dtype_size(job->x.dtype);
	const struct block_format *f = format_info(job->weight->head.dtype);
	size_t w_bytes = (size_t)job->weight->head.cout * (size_t)f->bytes / (size_t)f->block *
			 (size_t)(job->side * job->side);
	cut.swapped = x_bytes > w_bytes;
	return cut;
}

static struct cl_range cut_range(const struct gemm_cut *cut, int pictures)
{
	return (struct cl_range){
	    .dims = 3,
	    .global = {(size_t)(cut->swapped ? cut->groups : cut->blocks),
		       (size_t)(cut->swapped ? cut->blocks : cut->groups), (size_t)pictures},
	    .local = {1, 1, 1},
	};
}

/* --- what lies beside the weight --- */

enum { BESIDE_ARGS = 5 + 3 * BESIDE_MOST };

static struct cl_arg *beside_args(const struct gemm_job *job, struct cl_arg *at)
{
	const struct linear_beside *b = job->beside;
	const struct buffer *any = b->t.buffer; /* in the place of those that are not there */
	*at++ = arg_buffer(b->t.buffer);
	*at++ = arg_ulong(b->t.offset);
	*at++ = arg_int(b->t.ld);
	*at++ = arg_int(b->count);
	*at++ = arg_int(job->weight->head.cout / b->count);
	for (int i = 0; i < BESIDE_MOST; i++) {
		bool there = i < b->count && b->parts[i].up;
		*at++ = arg_buffer(there ? b->parts[i].up->buffer : any);
		*at++ = arg_int(there ? b->parts[i].ranks : 0);
		*at++ = arg_int(there ? b->parts[i].first_rank : 0);
	}
	return at;
}

static int enqueue(struct cl_device *d, const struct product *p, const struct gemm_job *job,
		   struct error *err)
{
	const struct tensor *y = &job->y;
	const struct weight *w = job->weight;
	cl_kernel kernel;
	int status = matrix_kernel_of(d, p->files, p->kernel, job, &kernel, err);
	if (status)
		return status;
	struct gemm_cut cut = cut_product(d, p, job, job->out.h * job->out.w);
	struct cl_arg args[GEMM_HEAD + 7 + GEMM_ROW_TAIL + BESIDE_ARGS], *at = gemm_head(job, args);
	*at++ = arg_int(cut.block_rows);
	*at++ = arg_int(cut.group);
	*at++ = arg_int(cut.swapped);
	*at++ = arg_buffer(w->buffer);
	*at++ = arg_ulong(w->zero_at);
	*at++ = arg_int(job->x.c);
	*at++ = arg_int(y->c);
	at = gemm_row_tail(job, at);
	if (job->beside)
		at = beside_args(job, at);
	struct cl_range range = cut_range(&cut, job->out.n);
	return cl_launch(d, kernel, &range, args, (int)(at - args), err);
}

static int run_plain(struct cl_device *d, const void *job, const void *how, struct error *err)
{
	const struct product p = {
	    .files = "tile_cpu.cl+gather_cpu.cl+beside_cpu.cl+gemm_cpu.cl",
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
	    .files = "tile_cpu.cl+matrix_cpu.cl+dot_cpu.cl+gather_cpu.cl+beside_cpu.cl+gemm_dot_cpu.cl",
	    .kernel = "gemm_dot",
	    .rows = matrix_constant("gemm_dot_cpu.cl", "GEMM_DOT_ROWS"),
	    .tile = matrix_dot_constant(d, CL_PAIRS, "dot_cpu.cl", "DOT_ROWS"),
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

static bool split_row(const struct cl_device *d, const void *job, const void *how)
{
	(void)how;
	return dot_is_split(d) && dot_pays(d, job);
}

/* --- whole numbers by fours --- */

static const char dot4_file[] = "gemm_dot4_cpu.cl";

static int dot4_kernel(struct cl_device *d, const char *name, const struct gemm_job *job,
		       cl_kernel *kernel, struct error *err)
{
	static const char files[] =
	    "tile_cpu.cl+matrix_cpu.cl+dot4_cpu.cl+gather_cpu.cl+gemm_dot4_cpu.cl";
	return matrix_kernel(d, files, name, job->y.dtype, job->weight->head.dtype, kernel, err);
}

static int dot4_rows(const struct cl_device *d)
{
	return matrix_dot_constant(d, CL_FOURS, dot4_file, "DOT4_ROWS");
}

/* A piece of the rows: those that are quantised at once. */
struct piece {
	int picture, pictures, first, rows;
};

/* Most bytes of quantised rows at a time: they are read again from the caches. */
#define DOT4_SCRATCH ((size_t)4 << 20)

static int quantise(struct cl_device *d, const struct gemm_job *job, const struct piece *piece,
		    struct buffer *to, struct error *err)
{
	int tile = dot4_rows(d);
	int most = matrix_constant(dot4_file, "GEMM_DOT4_GATHER");
	int wanted = cl_ceil_div(piece->rows, cl_ceil_div(4 * d->base.info.compute_units, piece->pictures));
	int block_rows = (int)cl_round_up((size_t)(wanted < most ? wanted : most), (size_t)tile);
	cl_kernel kernel;
	int status = dot4_kernel(d, "quantise_dot4", job, &kernel, err);
	if (status)
		return status;
	struct cl_arg args[GEMM_HEAD + 5], *at = gemm_head(job, args);
	at[-1] = arg_int(piece->picture); /* in the place of all rows of a picture */
	*at++ = arg_int(piece->first);
	*at++ = arg_int(piece->rows);
	*at++ = arg_int(block_rows);
	*at++ = arg_int(job->x.c);
	*at++ = arg_buffer(to);
	struct cl_range range = {.dims = 2,
				 .global = {(size_t)cl_ceil_div(piece->rows, block_rows),
					    (size_t)piece->pictures},
				 .local = {1, 1}};
	return cl_launch(d, kernel, &range, args, (int)(at - args), err);
}

static int multiply(struct cl_device *d, const struct gemm_job *job, const struct piece *piece,
		    const struct buffer *x, struct error *err)
{
	const struct product p = {
	    .rows = matrix_constant(dot4_file, "GEMM_DOT4_ROWS"),
	    .tile = dot4_rows(d),
	    .group = matrix_constant(dot4_file, "GEMM_DOT4_GROUP"),
	};
	cl_kernel kernel;
	int status = dot4_kernel(d, "gemm_dot4", job, &kernel, err);
	if (status)
		return status;
	struct gemm_cut cut = cut_product(d, &p, job, piece->rows);
	struct cl_arg args[11 + GEMM_ROW_TAIL], *at = args;
	*at++ = arg_buffer(x);
	*at++ = arg_int(piece->picture);
	*at++ = arg_int(piece->first);
	*at++ = arg_int(piece->rows);
	*at++ = arg_int(job->out.h * job->out.w);
	*at++ = arg_int(cut.block_rows);
	*at++ = arg_int(cut.group);
	*at++ = arg_int(cut.swapped);
	*at++ = arg_buffer(job->weight->buffer);
	*at++ = arg_int(job->x.c);
	*at++ = arg_int(job->y.c);
	at = gemm_row_tail(job, at);
	struct cl_range range = cut_range(&cut, piece->pictures);
	return cl_launch(d, kernel, &range, args, (int)(at - args), err);
}

/* Rows are quantised once, piece by piece, for all panels. */
static int run_dot4(struct cl_device *d, const void *job_, const void *how, struct error *err)
{
	const struct gemm_job *job = job_;
	int tile = dot4_rows(d), rows = job->out.h * job->out.w;
	/* Blocks of 16 have the most beside their numbers: 6 words for 4. */
	size_t row_bytes = cl_round_up((size_t)job->x.c, 32) / 4 * 6;
	size_t fit = DOT4_SCRATCH / row_bytes / (size_t)tile * (size_t)tile;
	int most = fit < (size_t)rows ? (int)fit : rows;
	size_t piece_bytes = cl_round_up((size_t)most, (size_t)tile) * row_bytes;
	int together = most < rows ? 1 : (int)(DOT4_SCRATCH / piece_bytes);
	struct buffer *scratch;
	(void)how;
	if (together > job->out.n)
		together = job->out.n;
	int status = cl_buffer_new(d, piece_bytes * (size_t)together, &scratch, err);
	for (int n = 0; n < job->out.n && !status; n += together)
		for (int r = 0; r < rows && !status; r += most) {
			struct piece piece = {n, job->out.n - n < together ? job->out.n - n : together,
					      r, rows - r < most ? rows - r : most};
			status = quantise(d, job, &piece, scratch, err);
			if (!status)
				status = multiply(d, job, &piece, scratch, err);
		}
	cl_buffer_free(d, scratch);
	return status;
}

/* Weights that are whole numbers with factors, of one tap. */
static bool dot4_row(const struct cl_device *d, const void *job_, const void *how)
{
	const struct gemm_job *job = job_;
	enum dtype dtype = job->weight->head.dtype;
	(void)how;
	return d->base.precision == PRECISION_INT8 && job->side == 1 &&
	       (dtype == DTYPE_I8 || format_info(dtype)->block > 1) && dot_is_worth_it(job);
}

/* What a row can do more, its `how`. */
static const struct ability {
	bool joins; /* what lies beside a weight */
} joining = {true}, alone = {false};

static const struct variant rows[] = {
    {"fours", ROUNDING_DOT4, dot4_row, run_dot4, &alone},
    {"split pairs", ROUNDING_SPLIT, split_row, run_dot, &joining},
    {"pairs", ROUNDING_DOT, dot_row, run_dot, &joining},
    {"plain", ROUNDING_PLAIN, NULL, run_plain, &joining},
};

/* Vectors of a panel belong to one part, and a part's panels are as deep as a panel is staged at once. */
bool gemm_joins_beside(const struct cl_device *d, const struct gemm_job *job)
{
	const struct linear_beside *b = job->beside;
	const struct weight_head *w = &job->weight->head;
	int lanes = d->quirks.lanes, panel = matrix_panel(d), cout = w->cout / (b->count ? b->count : 1);
	const struct ability *way = variant_first(rows, CL_COUNT(rows), d, job)->how;
	/* GEMM_DEPTH and GEMM_DOT_PAIRS, which hang on the lanes. */
	enum { STAGED = 2560 };
	const struct weight *first = NULL;
	if (b->count < 1 || b->count > BESIDE_MOST || w->cout % b->count || job->weight->scales ||
	    (b->count > 1 && (cout % panel || w->geglu)) || (w->geglu ? w->cout / 2 : w->cout) % lanes ||
	    !way->joins)
		return false;
	for (int i = 0; i < b->count; i++) {
		const struct weight *up = b->parts[i].up;
		if (!up)
			continue;
		first = first ? first : up;
		if (up->head.dtype != first->head.dtype || up->head.cout != cout || up->head.geglu ||
		    up->head.cin != b->parts[i].ranks || up->scales || format_info(up->head.dtype)->block > 1 ||
		    b->parts[i].ranks > STAGED / lanes || b->parts[i].ranks > w->cin)
			return false;
	}
	return first != NULL;
}

int gemm_enqueue_cpu(struct cl_device *d, const struct gemm_job *job, struct error *err)
{
	return variant_run(variant_first(rows, CL_COUNT(rows), d, job), d, job, err);
}

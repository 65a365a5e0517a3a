/* What the files of the OpenCL backend share: the device, buffers, programs, launches.
 *
 * One thread uses a device at a time (PoCL's kernel objects are not safe to share).
 * The queue is in order, so a buffer that is given back while commands still use it
 * may be handed out again at once: the next user's commands stand behind them. */
#ifndef SUMI_BACKENDS_OPENCL_INTERNAL_H
#define SUMI_BACKENDS_OPENCL_INTERNAL_H

#include <CL/cl.h>
#include <stdbool.h>
#include <stddef.h>

#include "backends/implement.h"
#include "backends/opencl/arena.h"
#include "base/files.h"

/* Kernels may read (never write) this many bytes past the end of a buffer: vector
 * loads at a ragged end need no special case. The bytes' values are arbitrary. */
#define CL_BUFFER_SLACK 64

#define CL_LAUNCHES 4096

struct buffer {
	struct buffer_head head; /* first */
	cl_mem mem;
	size_t capacity; /* allocated, slack included */
	bool pooled;     /* goes back to the pool when freed */
	void *place;     /* its memory in the device's arena; NULL: the driver's own */
	struct buffer *next, *prev;
};

/* What is known about a device beyond device_info; filled in one place,
 * cl_quirks_read() in opencl.c. */
struct cl_quirks {
	bool cpu_kernels; /* CPU-shaped kernels: a register tile a work-item, work-groups of
			     one, no local memory. SUMI_KERNELS overrides. */
	int lanes;        /* numbers of a vector of tile_cpu.cl: 8, or 16; for GPUs 8 */
	bool host_memory; /* buffers are host memory: mapping copies nothing */
	bool nvidia, pocl, oclgrind;
	bool nameless_calls; /* assembler is taken for a call, see tile_cpu.cl */
	const char *mma; /* options of mma.cl; NULL: no matrix instruction */
	/* What SUMI_KERNELS asks for in tests: the emulation of mma; Winograd in any case. */
	bool mma_emulated, winograd_forced;
	size_t max_work_group; /* of the device; a kernel may allow less */
	char options[128];     /* build options that every program gets */
};

struct cl_program_entry;

/* What the tuner keeps apart: dtypes of activations, and sizes of a product. */
#define TUNE_DTYPES 2
#define TUNE_CLASSES 4
enum tune_slot { TUNE_GEMM, TUNE_CONV, TUNE_ATTENTION, TUNE_SLOTS };

/* Products by a CPU's own instructions: of bfloat16 pairs (dot_cpu.cl), of whole numbers by fours
 * (dot4_cpu.cl); and which of them. DOT_VEX: without AVX-512. */
enum cl_products { CL_PAIRS, CL_FOURS, CL_PRODUCTS };
enum cl_dot {
	DOT_UNKNOWN,
	DOT_MISSING,
	DOT_AVX512,
	DOT_VEX,
	DOT_ARM,        /* BFDOT, USDOT */
	DOT_ARM_SDOT,   /* without I8MM */
	DOT_ARM_MATRIX, /* BFMMLA, SMMLA */
	DOT_AMX,        /* tiles */
	DOT_AMX_SPLIT,  /* three products of pairs for one */
	DOT_WAYS,
};

struct cl_device {
	struct device base; /* first: a struct device * is cast to this one */
	cl_platform_id platform;
	cl_device_id id;
	cl_context context;
	cl_command_queue queue; /* in order */
	struct cl_quirks quirks;
	struct cl_program_entry *programs;   /* built in this process */
	int programs_built, programs_loaded; /* from source, from the disk cache; for tests */
	/* Rows of operations' tables, from 1; 0: not asked for yet (tune.c). */
	unsigned char tuned[TUNE_SLOTS][TUNE_DTYPES][TUNE_CLASSES];
	enum cl_dot dot[CL_PRODUCTS]; /* see cl_dot_options() */
	bool dot_emulated;            /* by arithmetic in the instruction's place */
	struct arena *arena;        /* where buffers that come and go lie; NULL: they are pooled */
	struct buffer *live, *pool; /* lists; pool: most recently freed first */
	size_t pool_bytes, pooled_in_use, pooled_peak; /* the latter two: of buffers that go there */
	char cache_dir[FILES_PATH_MAX]; /* …/programs; "" when there is none to write to */
	/* 0: programs that are asked for are built. Else they are wanted of other processes (ahead.h), in
	 * such an order, and who asks gets SUMI_CANCELLED. */
	int foreseeing;
	bool foreseen_half;
	unsigned foreseen[3]; /* dtypes of weights by their kind, see foresee.c */
	uint64_t launched[CL_LAUNCHES]; /* what has run already, see launch.c; a hash table */
	struct cl_marks *marks;         /* what is on its way; NULL: nobody knows */
};

/* ---- marks.c: how far the device is with what was sent ---- */

enum { CL_MARKS = 64 };

/* NULL without memory, which is no reason to fail. */
struct cl_marks *cl_marks_new(void);
/* Whether the next command should get an event; that is then handed over by cl_mark(). */
bool cl_mark_due(struct cl_marks *m);
void cl_mark(struct cl_marks *m, cl_event event);
/* Marks that have ended; in any thread. */
uint64_t cl_marks_done(struct cl_marks *m);
void cl_marks_free(struct cl_marks *m); /* NULL is fine */

static inline struct cl_device *cl_device_of(struct device *d)
{
	return (struct cl_device *)d;
}

/* "CL_OUT_OF_RESOURCES" for a code, "CL error -9999" style for unknown ones. */
const char *cl_error_name(cl_int code);

/* Fills err with "call(what): CL_NAME" and returns SUMI_NOMEM for allocation failures,
 * SUMI_DEVICE for the rest. */
int cl_fail(struct error *err, const char *call, const char *what, cl_int code);

/* --- memory (memory.c) --- */

/* A buffer of at least bytes (> 0) plus CL_BUFFER_SLACK, with arbitrary content; in the arena or from
 * the pool if there is a place. Freed with cl_buffer_free(). SUMI_NOMEM. */
int cl_buffer_new(struct cl_device *d, size_t bytes, struct buffer **out, struct error *err);

/* The same for memory that lives as long as a model (packed weights): exact size, and
 * given back to the driver when freed. */
int cl_buffer_new_fixed(struct cl_device *d, size_t bytes, struct buffer **out, struct error *err);

/* On quirks.host_memory devices: a read-only buffer over host memory (4096-byte aligned,
 * with CL_BUFFER_SLACK readable bytes behind it) that the caller keeps alive. */
int cl_buffer_wrap(struct cl_device *d, void *host, size_t bytes, struct buffer **out,
		   struct error *err);

/* Like cl_buffer_new_fixed(), with a copy of data: no command is enqueued, where a write would
 * wake the driver's thread and wait for it. */
int cl_buffer_new_of(struct cl_device *d, const void *data, size_t bytes, struct buffer **out,
		     struct error *err);

void cl_buffer_free(struct cl_device *d, struct buffer *b); /* NULL is fine */

/* Blocking copies in queue order; bounds are checked. */
int cl_buffer_write(struct cl_device *d, struct buffer *b, size_t offset, const void *data,
		    size_t bytes, struct error *err);
int cl_buffer_read(struct cl_device *d, const struct buffer *b, size_t offset, void *data,
		   size_t bytes, struct error *err);

/* The whole buffer as host memory for writing (its old content is lost), after all
 * commands before; cl_buffer_unmap() makes it the device's again. Free of copies on
 * quirks.host_memory devices. */
int cl_buffer_map(struct cl_device *d, struct buffer *b, void **host, struct error *err);
int cl_buffer_unmap(struct cl_device *d, struct buffer *b, void *host, struct error *err);

/* Waits for the device and gives all memory back that no buffer in use takes. */
void cl_memory_trim(struct cl_device *d);
/* Gives every pooled buffer back to the driver. */
void cl_pool_trim(struct cl_device *d);

/* --- programs (program.c) --- */

/* The kernel of kernels/<file>, or of several files one after the other
 * ("tile_cpu.cl+gemm_cpu.cl"), built with "options" (such as "-D ACT=f16 -D TILE_M=6") on
 * top of the device's own. common.cl stands before the first file's text. Programs and
 * kernels are kept for the device's life; *kernel is borrowed. A build failure is
 * SUMI_DEVICE with the compiler's first error lines. */
int cl_kernel_get(struct cl_device *d, const char *file, const char *name, const char *options,
		  cl_kernel *kernel, struct error *err);
void cl_programs_free(struct cl_device *d);

/* Builds such a program for the cache on disk alone, if it is not there. */
int cl_program_keep(struct cl_device *d, const char *file, const char *options);

/* "f32", "q4_K": the names that common.cl's and formats.cl's macros take. */
const char *cl_dtype_word(enum dtype dtype);

/* A kernel that reads weights, of one or two formats. */
struct format_kernel {
	const char *files, *name, *options; /* as of cl_kernel_get() */
	struct {
		const char *word; /* what the source calls the format: "WEIGHT" */
		enum dtype dtype;
	} formats[2];
	int wide, columns; /* columns that it takes at a time, and those of a panel */
};

/* cl_kernel_get() with formats.cl before the files where a format needs it. Options get
 * -D WORD=name, and for blocks WORD_BLOCK and WORD_BYTES. */
int cl_format_kernel(struct cl_device *d, const struct format_kernel *k, cl_kernel *kernel,
		     struct error *err);

/* --- precision (precision.c) --- */

/* The build options of dot_cpu.cl or dot4_cpu.cl here, each with a space before it: by the host's CPUID,
 * and by a trial that is made when they are first asked for; SUMI_KERNELS asks for other ways, and for
 * the emulation. d->dot says which way it is. */
#define CL_DOT_OPTIONS 64
void cl_dot_options(struct cl_device *d, enum cl_products of, char out[CL_DOT_OPTIONS]);

/* Is WORD, which stands in SUMI_KERNELS behind "cpu" and the width of its vectors, one of those ways? lanes: that width,
 * 0 where none is said. */
bool cl_dot_word_known(const char *word, int lanes);

int cl_takes_precision(struct device *d, enum precision precision, struct error *err);

/* --- launches (launch.c) --- */

struct cl_arg {
	size_t size;
	union {
		cl_mem mem;
		cl_int i;
		cl_ulong ul;
		cl_float f;
		cl_float8 f8;
	} v;
	bool local; /* size bytes of local memory */
};

static inline struct cl_arg arg_int(int i)
{
	return (struct cl_arg){.size = sizeof(cl_int), .v.i = i};
}

static inline struct cl_arg arg_ulong(size_t ul)
{
	return (struct cl_arg){.size = sizeof(cl_ulong), .v.ul = ul};
}

static inline struct cl_arg arg_float(float f)
{
	return (struct cl_arg){.size = sizeof(cl_float), .v.f = f};
}

static inline struct cl_arg arg_float8(const float f8[8])
{
	struct cl_arg arg = {.size = sizeof(cl_float8)};
	for (int i = 0; i < 8; i++)
		arg.v.f8.s[i] = f8[i];
	return arg;
}

/* NULL: the kernel gets a null pointer. */
static inline struct cl_arg arg_buffer(const struct buffer *b)
{
	return (struct cl_arg){.size = sizeof(cl_mem), .v.mem = b ? b->mem : NULL};
}

static inline struct cl_arg arg_local(size_t bytes)
{
	return (struct cl_arg){.size = bytes, .local = true};
}

struct cl_range {
	int dims;         /* 1…3 */
	size_t global[3]; /* work-items; a multiple of local where that is given */
	size_t local[3];  /* all 0: the driver chooses */
};

/* Sets count arguments and enqueues the kernel. Messages name the kernel:
 * "clEnqueueNDRangeKernel(gemm): CL_OUT_OF_RESOURCES". A range with a 0 does nothing. */
int cl_launch(struct cl_device *d, cl_kernel kernel, const struct cl_range *range,
	      const struct cl_arg *args, int count, struct error *err);

/* Work-items of a work-group, as the kernel's source requires them. */
int cl_kernel_items(const struct cl_device *d, cl_kernel kernel, size_t *items, struct error *err);

#define CL_COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static inline int cl_ceil_div(int a, int b)
{
	return (a + b - 1) / b;
}

/* a rounded up to a multiple of b. */
static inline size_t cl_round_up(size_t a, size_t b)
{
	return (a + b - 1) / b * b;
}

/* --- operations: the entries of cl_device_ops (opencl.c). The wrappers of
 * backends/device.c have checked every shape, that tensors lie inside their buffers, and
 * that all tensors of a call have the same dtype (axpby excepted: it converts).
 *
 * struct weight stands in weights.h and begins with struct weight_head. --- */

int cl_weight_new(struct device *d, const struct weight_desc *desc, struct weight **out,
		  struct error *err);
void cl_weight_free(struct device *d, struct weight *w);
void cl_weight_layout(const struct device *d, char out[WEIGHT_LAYOUT_SIZE]);
size_t cl_weight_packed_size(const struct device *d, const struct weight_desc *desc);
void cl_weight_pack(const struct device *d, const struct weight_desc *desc, void *out);
bool cl_takes_format(const struct device *d, enum dtype dtype, int kernel);

/* The rows of a weight made with desc.table: [cout, cin] in the weight's dtype, halves of blocks
 * first. */
const struct buffer *cl_weight_rows(const struct weight *w);

bool cl_joins_beside(const struct device *base, const struct linear_args *a);
int cl_weight_rescale(struct device *d, struct weight *w, const float *scales, struct error *err);
bool cl_folds_beside(const struct device *d, const struct weight *w, const struct linear_beside *b);
int cl_weight_fold(struct device *d, const struct weight *w, const struct linear_beside *b, struct weight **out,
		   struct error *err);
int cl_conv_supports(const struct cl_device *d, const struct conv2d_args *a, struct error *err);
int cl_attention_supports(const struct cl_device *d, const struct attention_args *a,
			  struct error *err);
int cl_conv2d(struct device *d, const struct conv2d_args *a, struct error *err);
int cl_linear(struct device *d, const struct linear_args *a, struct error *err);
int cl_attention(struct device *d, const struct attention_args *a, struct error *err);
int cl_group_norm(struct device *d, const struct group_norm_args *a, struct error *err);
int cl_layer_norm(struct device *d, const struct layer_norm_args *a, struct error *err);
int cl_axpby(struct device *d, const struct axpby_args *a, struct error *err);
int cl_embedding(struct device *d, const struct embedding_args *a, struct error *err);
int cl_timestep(struct device *d, const struct timestep_args *a, struct error *err);
int cl_permute(struct device *d, const struct permute_args *a, struct error *err);

#endif

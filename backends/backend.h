/* What a device can do for a model: memory, and one table of tensor operations.
 *
 * Layout. A tensor is rows (pixels, tokens) of c channels, nothing more. `ld` is the distance
 * in elements between two neighbouring rows; ld > c means that the tensor is a slice of the
 * channels of a wider one. Two tensors that are to be concatenated are therefore written side
 * by side into one buffer from the start. What has to know how rows lie in space takes a grid,
 * what has to know where a picture or text ends takes their number n.
 *
 * Order. Operations are enqueued; each sees the results of those before it. Only
 * device_write(), device_read(), device_sync() and device_embedding() wait. A buffer may
 * be freed while operations that use it are still on their way. One thread uses a device
 * at a time.
 *
 * Numbers. Accumulation is in float32 everywhere; activations are stored in the dtype
 * that the tensor says (F32, or F16 where the device reports it); all tensors of a call
 * have the same dtype, except those of axpby, which converts. No operation uses atomics:
 * the same inputs on the same device give the same bytes.
 *
 * Overlap. The output shares no element with an input, with these exceptions, where it may
 * be the very same tensor: x of the norms, a and b of axpby, residual of convolution and
 * linear layer. Slices of one buffer with the same ld and other channels do not overlap.
 *
 * Errors. Every function returns 0 or a negative status with the message in err; a
 * device that fails never ends the process. NULL arguments are the caller's fault,
 * wrong shapes are answered with SUMI_INVALID. */
#ifndef SUMI_BACKENDS_BACKEND_H
#define SUMI_BACKENDS_BACKEND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "backends/format.h"
#include "base/status.h"

/* What operations may do to numbers on their way. Accumulation is in float32 in all of them. */
enum precision {
	PRECISION_EXACT, /* products of float32 (of f16 activations where those are f16) */
	PRECISION_HALF,  /* products of bfloat16, where both sides are large enough to gain */
	PRECISION_INT8,  /* products of whole numbers of eight bits where weights are quantised,
			  * else as HALF where the device has that, else as EXACT */
	PRECISIONS
};

/* "exact", "half", "int8"; and back: SUMI_INVALID names the word. */
extern const char *const precision_names[PRECISIONS];
int precision_of(const char *name, enum precision *out, struct error *err);

struct device;
struct buffer;
struct weight;

struct tensor {
	struct buffer *buffer; /* borrowed */
	size_t offset;         /* elements from the start of the buffer */
	size_t rows;
	int c;  /* channels of a row */
	int ld; /* elements between rows, >= c */
	enum dtype dtype;
};

/* How rows lie: n pictures of d planes (frames) of h lines of w pixels, w running fastest. */
struct grid {
	int n, d, h, w;
};

enum activation {
	ACT_NONE,
	ACT_SILU,
	ACT_GELU,       /* exact: x·Φ(x), by erf */
	ACT_QUICK_GELU, /* x·σ(1.702 x) */
	ACT_RELU,
	ACT_TANH3, /* 3·tanh(x / 3), the clamp of TAESD's decoder */
	ACT_GEGLU, /* linear only: a·gelu(b), a and b being the halves of the output channels */
	ACT_PRELU, /* convolution only: x > 0 ? x : slope·x, a slope per channel (arXiv:1502.01852) */
	ACT_GATE,  /* axpby only: (α·a + β·b)·(σ(α·a) − ½), SPAN's attention (arXiv:2311.12770) */
};

/* One convolution, kernel 1 or 3, zero padding.
 * y = act(conv(x) + bias + add) + residual. */
struct conv2d_args {
	struct tensor x;     /* [in, cin] */
	struct tensor y;     /* [out, cout] */
	struct grid in, out; /* of x and y; no device convolves more planes than one */
	const struct weight *weight;
	const struct buffer *bias; /* [cout] f32, or NULL; ACT_PRELU: [2, cout], bias and slopes */
	struct tensor add;         /* [n, cout] a value per picture and channel (the
				      timestep embedding); buffer NULL: none */
	struct tensor residual;    /* shape of y, added after the activation; buffer NULL: none */
	enum activation act;       /* not ACT_GEGLU */
	int stride;                /* 1 or 2 */
	bool upsample;             /* the input is read as if every pixel stood 2×2 times */
	bool pad_end; /* stride 2: pad right and bottom only (AutoencoderKL's encoder) */
};

/* Second thin products beside a linear layer's weight: t[:, first_rank … + ranks]·upᵀ is added to the outputs of
 * each part, of which all have as many, before bias and activation. */
#define BESIDE_MOST 3
struct linear_beside {
	struct tensor t;           /* x·downᵀ, [rows, ranks of all parts]; not for device_weight_fold() */
	const struct weight *down; /* for that alone: [ranks of all parts, inputs] */
	int count;
	struct {
		const struct weight *up; /* [outputs of a part, ranks]; NULL: nothing lies on it */
		int first_rank, ranks;
	} parts[BESIDE_MOST];
};

/* y[r, :] = act(x[r, :]·Wᵀ + bias + add[r, :]) + residual[r, :] for each row r.
 * With ACT_GEGLU the weight has 2·cout rows and y has cout channels. */
struct linear_args {
	struct tensor x; /* [rows, cin] */
	struct tensor y; /* [rows, cout] */
	int n; /* pictures or texts that the rows are of: one's bytes never depend on the others */
	const struct weight *weight;
	const struct buffer *bias; /* [cout] f32 (ACT_GEGLU: [2·cout]), or NULL */
	struct tensor add;         /* [rows, cout] (ACT_GEGLU: [rows, 2·cout]); buffer NULL: none */
	struct tensor residual;    /* shape of y; buffer NULL: none */
	enum activation act;
	const struct linear_beside *beside; /* NULL: nothing; only where device_joins_beside() says so */
};

/* Group normalisation over (d, h, w, c / groups) of each n; then SiLU if act says so. Its two halves apart
 * are for pictures that are never there as a whole: what is measured of their parts is joined by the
 * caller. */
enum group_norm_half {
	NORM_BOTH,
	NORM_MEASURE, /* x → factors; no y */
	NORM_APPLY,   /* y = act(x · scale + offset), by factors */
};
struct group_norm_args {
	struct tensor x, y; /* [grid, c] */
	struct grid grid;
	const struct buffer *gamma, *beta; /* [c] f32; not for NORM_APPLY */
	int groups;
	float epsilon;
	enum activation act; /* ACT_NONE or ACT_SILU */
	enum group_norm_half half;
	struct buffer *factors; /* [n, 2, c] f32: scale = gamma / √(variance + epsilon) and
				   offset = beta − mean · scale of each channel; NORM_BOTH: none */
};

/* Layer normalisation over c of each row. */
struct layer_norm_args {
	struct tensor x, y;
	const struct buffer *gamma, *beta; /* [c] f32 */
	float epsilon;
};

/* softmax(q·kᵀ·scale)·v for each n and head; channels are [heads, head_dim]. */
struct attention_args {
	struct tensor q, y; /* [n·tq, heads·head_dim] */
	struct tensor k, v; /* [n·tk, heads·head_dim] */
	int n;
	int heads;
	float scale;
	bool causal; /* token i sees tokens 0…i */
};

/* Elementwise: y = act(alpha·a + beta·b), b.buffer NULL: without b. With gain row r of b counts
 * gain[r mod gains] times. */
struct axpby_args {
	struct tensor a, b, y;
	float alpha, beta;
	const struct buffer *gain; /* [gains] f32, or NULL; gains divide the rows */
	int gains;
	enum activation act; /* neither ACT_GEGLU nor ACT_PRELU */
};

/* y[r] = table[ids[r]] + position[r mod tokens], tokens = rows / n. */
struct embedding_args {
	const struct weight *table;    /* [vocabulary, c] */
	const struct weight *position; /* [tokens, c], or NULL */
	const int32_t *ids;            /* host, [rows]; checked against the vocabulary */
	struct tensor y;               /* [n·tokens, c] */
	int n;
};

/* Sinusoidal embedding as in diffusers' get_timestep_embedding (max period 10000):
 * first half cos when flip_sin_to_cos, else sin. */
struct timestep_args {
	const float *timesteps; /* host, [rows] */
	struct tensor y;        /* [rows, c] */
	bool flip_sin_to_cos;
	float freq_shift;
};

/* y[(h, w), d, :] = x[d, (h, w), :] for each n: turns [frames, pixels] into [pixels, frames] for
 * temporal attention and back. */
struct permute_args {
	struct tensor x, y;
	struct grid grid; /* of x */
};

/* A weight as it stands in a file. Rows are output channels.
 * kernel 1: data is [cout, cin]; kernel 3: [cout, cin, 3, 3] (OIHW, as PyTorch stores it), and
 * then of plain numbers. dtype: what device_takes_format() says yes to; cin: whole blocks.
 * The backend keeps a packed copy in a layout of its own; data may go away afterwards. */
struct weight_desc {
	const void *data;
	enum dtype dtype;
	int cout, cin, kernel;
	bool geglu; /* a linear layer that will be used with ACT_GEGLU */
	bool table; /* an embedding table: rows are looked up, never multiplied */
	bool few;   /* so few channels that they are not to be filled up to what a device likes; never kept packed */
	const float *scales; /* [cout] factors of the rows, or NULL; not of a table */
	/* What device_weight_pack() wrote for this desc, taken instead of data; or NULL. A device
	 * whose memory is the host's uses it where it lies: at a multiple of 4096, with
	 * WEIGHT_PACKED_SLACK readable bytes behind it, until the weight is freed and
	 * device_sync() has returned. */
	const void *packed;
};

#define WEIGHT_PACKED_SLACK 64
#define WEIGHT_LAYOUT_SIZE 64

struct device_info {
	char name[128];     /* as the driver reports it */
	char platform[128]; /* "reference" for the scalar device */
	char driver[128];
	char selector[32]; /* what selects it: "opencl:0", "reference" */
	uint64_t memory;   /* bytes in all */
	uint64_t max_alloc;
	bool is_cpu, has_f16;
	int compute_units;
};

/* The operations, by their arguments. */
enum device_op {
	OP_CONV2D,     /* struct conv2d_args */
	OP_LINEAR,     /* struct linear_args, … */
	OP_GROUP_NORM,
	OP_LAYER_NORM,
	OP_ATTENTION,
	OP_AXPBY,
	OP_EMBEDDING,
	OP_TIMESTEP,
	OP_PERMUTE,
};

struct device_ops {
	void (*close)(struct device *d);
	int (*buffer_new)(struct device *d, size_t bytes, struct buffer **out, struct error *err);
	/* NULL: buffer_new and write */
	int (*buffer_of)(struct device *d, const void *data, size_t bytes, struct buffer **out,
			 struct error *err);
	void (*buffer_free)(struct device *d, struct buffer *b);
	int (*write)(struct device *d, struct buffer *b, size_t offset, const void *data,
		     size_t bytes, struct error *err);
	int (*read)(struct device *d, const struct buffer *b, size_t offset, void *data,
		    size_t bytes, struct error *err);
	int (*sync)(struct device *d, struct error *err);
	void (*trim)(struct device *d); /* NULL: nothing is kept */
	/* Beside device.pieces, in any thread; NULL: those are all. */
	uint64_t (*done)(struct device *d);
	int (*weight_new)(struct device *d, const struct weight_desc *desc, struct weight **out,
			  struct error *err);
	void (*weight_free)(struct device *d, struct weight *w);
	/* NULL: it keeps no factors of rows apart from their numbers. */
	int (*weight_rescale)(struct device *d, struct weight *w, const float *scales, struct error *err);
	/* All three or none. */
	void (*weight_layout)(const struct device *d, char out[WEIGHT_LAYOUT_SIZE]);
	size_t (*weight_packed_size)(const struct device *d, const struct weight_desc *desc);
	void (*weight_pack)(const struct device *d, const struct weight_desc *desc, void *out);
	int (*conv2d)(struct device *d, const struct conv2d_args *a, struct error *err);
	int (*linear)(struct device *d, const struct linear_args *a, struct error *err);
	/* NULL: no linear layer takes args.beside. */
	bool (*joins_beside)(const struct device *d, const struct linear_args *a);
	/* Both or none: NULL. */
	bool (*folds_beside)(const struct device *d, const struct weight *w, const struct linear_beside *b);
	int (*weight_fold)(struct device *d, const struct weight *w, const struct linear_beside *b,
			   struct weight **out, struct error *err);
	int (*group_norm)(struct device *d, const struct group_norm_args *a, struct error *err);
	int (*layer_norm)(struct device *d, const struct layer_norm_args *a, struct error *err);
	int (*attention)(struct device *d, const struct attention_args *a, struct error *err);
	int (*axpby)(struct device *d, const struct axpby_args *a, struct error *err);
	int (*embedding)(struct device *d, const struct embedding_args *a, struct error *err);
	int (*timestep)(struct device *d, const struct timestep_args *a, struct error *err);
	int (*permute)(struct device *d, const struct permute_args *a, struct error *err);
	/* Formats of weights; NULL: f32, f16 and bf16. */
	bool (*takes_format)(const struct device *d, enum dtype dtype, int kernel);
	/* NULL: PRECISION_EXACT is all there is. */
	int (*takes_precision)(struct device *d, enum precision precision, struct error *err);
	/* device_set_precision() has set one that is not exact; NULL: there is nothing to prepare. */
	void (*prepare_precision)(struct device *d);
	/* device_supports() for an operation that is there; NULL: all arguments will do. */
	int (*supports)(const struct device *d, enum device_op op, const void *args,
			struct error *err);
};

/* Every implementation's struct begins with this one. */
struct device {
	const struct device_ops *ops;
	struct device_info info;
	enum dtype activation_dtype;     /* what models should store activations in */
	enum precision precision;        /* of the operations to come: device_set_precision() */
	size_t bytes_in_use, bytes_peak; /* buffers and weights; the implementation counts */
	atomic_uint_least64_t pieces;    /* of work that are done, see device_done() */
};

/* Grows while a device works, within an operation that takes long too where its implementation sees into it: who
 * looks whether it hangs asks here, in any thread while the device is open. */
uint64_t device_done(struct device *d);

/* Lists devices: OpenCL ones first, then "reference". Writes at most max entries and
 * returns how many there are (which may be more), or a negative status. */
int device_list(struct device_info *out, int max, struct error *err);

/* Which of the n devices of a list device_open() would take, or SUMI_NOTFOUND. */
int device_match(const struct device_info *list, int n, const char *selector, struct error *err);

/* Opens a device by selector ("opencl:0", "reference"), by a part of its name in any
 * case ("rtx", "pthread"), or the best one for NULL or "" ("auto"): a GPU before a CPU,
 * OpenCL before the reference. The caller closes it with device_close(). SUMI_NOTFOUND
 * lists what there is. */
int device_open(const char *selector, struct device **out, struct error *err);
void device_close(struct device *d); /* NULL is fine */

/* Sets the precision of all operations from here on; a device is opened with PRECISION_EXACT.
 * SUMI_UNSUPPORTED with what is missing, and nothing has changed. */
int device_set_precision(struct device *d, enum precision precision, struct error *err);

/* What is taken where nobody says: PRECISION_HALF on a device that has it, else PRECISION_EXACT. */
enum precision device_usual_precision(struct device *d);

/* What device_list() or device_open() met in this process: lines for people, or "". */
struct device_health {
	char missing[512];   /* why there is no OpenCL device */
	char cache[512];     /* why compiled kernels are not kept in the cache folder */
	char set_aside[512]; /* why another cache of compiled kernels was begun */
};
void device_health(struct device_health *out);

/* After a failure: whether this process has met damage in compiled kernels, such can be seen, or the
 * disk with them is full. Then it had better be started anew: the next process sets them aside. */
bool device_is_damaged(void);

/* Runs a few operations and compares with the scalar reference: SUMI_DEVICE says what is wrong. */
int device_check(struct device *d, struct error *err);

/* For the parent of a process that used devices, when that has ended: whether it has met damage, or
 * died while it built or loaded programs, so that the next process sets the caches aside.
 * by_itself: it crashed; false: it was killed, or ended as it should. */
bool device_died(pid_t pid, bool by_itself);

/* Thin checked calls over the table: shapes are checked here once for every backend. */
int device_buffer_new(struct device *d, size_t bytes, struct buffer **out, struct error *err);
/* A buffer that holds a copy of data, made without waiting for the device: for what a model
 * keeps for its life. */
int device_buffer_of(struct device *d, const void *data, size_t bytes, struct buffer **out,
		     struct error *err);
void device_buffer_free(struct device *d, struct buffer *b); /* NULL is fine */
int device_write(struct device *d, struct buffer *b, size_t offset, const void *data, size_t bytes,
		 struct error *err);
int device_read(struct device *d, const struct buffer *b, size_t offset, void *data, size_t bytes,
		struct error *err);
int device_sync(struct device *d, struct error *err);
/* Gives memory that is kept for the next buffers back to the system: for a device that
 * will be idle. What is in use is not touched. */
void device_trim(struct device *d);

/* Whether weights of that format and kernel size can be made here; those of others are to be
 * expanded first, by format_expand(). */
bool device_takes_format(const struct device *d, enum dtype dtype, int kernel);
int device_weight_new(struct device *d, const struct weight_desc *desc, struct weight **out,
		      struct error *err);
void device_weight_free(struct device *d, struct weight *w); /* NULL is fine */
/* Other factors of the rows, [cout], for a weight that was made with some; only where device_rescales(). */
bool device_rescales(const struct device *d);
int device_weight_rescale(struct device *d, struct weight *w, const float *scales, struct error *err);

/* Packing apart from uploading, for those who keep the packed form. The layout is a text that
 * changes whenever the packed bytes of some desc do; false: this device packs nothing. */
bool device_weight_layout(const struct device *d, char out[WEIGHT_LAYOUT_SIZE]);
size_t device_weight_packed_size(const struct device *d, const struct weight_desc *desc);
/* Writes that many bytes. The desc is checked as in device_weight_new(). */
int device_weight_pack(struct device *d, const struct weight_desc *desc, void *out,
		       struct error *err);

/* Whether the device does that operation for tensors of these shapes: SUMI_UNSUPPORTED or SUMI_TOOBIG
 * with what is in the way. Looks at shapes, dtypes and numbers only, so that a model can ask before
 * there are buffers, and be refused when it is opened; the operations themselves ask too. */
int device_supports(const struct device *d, enum device_op op, const void *args, struct error *err);
int device_conv2d(struct device *d, const struct conv2d_args *a, struct error *err);
int device_linear(struct device *d, const struct linear_args *a, struct error *err);
/* Whether the device's linear layer adds args->beside in the same product; else who calls adds it. */
bool device_joins_beside(const struct device *d, const struct linear_args *a);
/* Whether it can make one weight of w and what lies beside it, which may be a convolution's. */
bool device_folds_beside(const struct device *d, const struct weight *w, const struct linear_beside *b);
/* Makes that, w + Σ up·down of each part, of float32: a temporary of the device, for a product or a few, that is
 * freed as weights are. Only where device_folds_beside() says so. */
int device_weight_fold(struct device *d, const struct weight *w, const struct linear_beside *b, struct weight **out,
		       struct error *err);
int device_group_norm(struct device *d, const struct group_norm_args *a, struct error *err);
int device_layer_norm(struct device *d, const struct layer_norm_args *a, struct error *err);
int device_attention(struct device *d, const struct attention_args *a, struct error *err);
int device_axpby(struct device *d, const struct axpby_args *a, struct error *err);
int device_embedding(struct device *d, const struct embedding_args *a, struct error *err);
int device_timestep(struct device *d, const struct timestep_args *a, struct error *err);
int device_permute(struct device *d, const struct permute_args *a, struct error *err);

#endif

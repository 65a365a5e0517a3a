/* Running one case of one operation from seeded data.
 *
 * Inputs have NaN in every gap between rows and around them, outputs a pattern: what
 * reads a gap into its result shows NaN, what writes there is seen by its bytes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "tests/unit/ops_harness.h"

#define MAX_PARTS 8

/* One run: what was made for it. The first failure sticks in status. */
struct setup {
	struct device *d;
	struct error *err;
	const struct ops_variant *v;
	uint64_t random;
	struct buffer *buffers[MAX_PARTS];
	struct weight *weights[2];
	int buffer_count, weight_count, status;
	struct ops_result *out;
	struct buffer *output;
};

/* Approximately normal, deviation 1: the sum of four uniform numbers (xorshift64*). */
static float random_value(struct setup *s)
{
	s->random ^= s->random >> 12;
	s->random ^= s->random << 25;
	s->random ^= s->random >> 27;
	uint64_t bits = s->random * 0x2545F4914F6CDD1Du;
	int sum = 0;
	for (int i = 0; i < 4; i++)
		sum += (int)(bits >> 16 * i & 0xffff);
	return ((float)sum - 131070.0f) / 37837.0f;
}

static void put(void *data, size_t i, enum dtype dtype, float value)
{
	uint32_t bits;
	memcpy(&bits, &value, 4);
	if (dtype == DTYPE_F32)
		((float *)data)[i] = value;
	else
		((uint16_t *)data)[i] =
		    dtype == DTYPE_F16 ? half_from_float(value) : (uint16_t)(bits >> 16);
}

int ops_quantised(enum ops_kind kind, const struct ops_case *c)
{
	bool sixteen = c->weight == DTYPE_Q2_K || c->weight == DTYPE_Q3_K || c->weight == DTYPE_Q6_K;
	int up = c->flags & OPS_UPSAMPLE ? 4 : 1, stride = c->stride == 2 ? 2 : 1;
	int rows = up * ((c->h + stride - 1) / stride) * ((c->w + stride - 1) / stride);
	bool matrix = kind == OPS_LINEAR || (kind == OPS_CONV2D && c->kernel == 1);
	if (!matrix || (c->weight != DTYPE_I8 && format_info(c->weight)->block == 1) || rows < 16 ||
	    c->cin < 32 || c->cout < 32)
		return 0;
	return sixteen ? 16 : 32;
}

/* As the device does it: the largest of the block becomes 127. */
static void quantise_block(float *x, int n)
{
	float most = 0;
	for (int i = 0; i < n; i++)
		most = fmaxf(most, fabsf(x[i]));
	float per = 127.0f / fmaxf(most, 1e-30f), factor = most * (1.0f / 127.0f);
	for (int i = 0; i < n; i++)
		x[i] = rintf(x[i] * per) * factor;
}

static struct buffer *upload(struct setup *s, const void *data, size_t size)
{
	struct buffer *b = NULL;
	if (s->status == SUMI_OK)
		s->status = device_buffer_new(s->d, size, &b, s->err);
	if (!b)
		return NULL;
	s->buffers[s->buffer_count++] = b;
	s->status = device_write(s->d, b, 0, data, size, s->err);
	return b;
}

/* Places a tensor in a buffer of its own and fills it; spread 0 leaves the pattern of an
 * output. as_output: the result is read from here. */
static struct tensor make_rounded(struct setup *s, size_t rows, int c, enum dtype dtype, float mean,
				  float spread, bool as_output, int block)
{
	bool slices = s->v->slices;
	struct tensor t = {.rows = rows, .c = c, .dtype = dtype};
	t.ld = slices ? c + 5 : c;
	t.offset = slices ? 13 : 0;
	size_t count = t.offset + rows * (size_t)t.ld + 16, size = count * dtype_size(dtype);
	unsigned char *data = malloc(size);
	if (!data) {
		s->status = error_set(s->err, SUMI_NOMEM, "no memory for a test");
		return t;
	}
	for (size_t i = 0; i < size; i++)
		data[i] = (unsigned char)(0xa5 ^ i);
	for (size_t i = 0; spread > 0 && i < count; i++)
		put(data, i, dtype, NAN);
	for (size_t i = 0; spread > 0 && i < rows * (size_t)c; i++)
		put(data, t.offset + i / (size_t)c * (size_t)t.ld + i % (size_t)c, dtype,
		    mean + spread * random_value(s));
	for (size_t r = 0; block > 0 && dtype == DTYPE_F32 && r < rows; r++)
		for (int i = 0; i < c; i += block)
			quantise_block((float *)data + t.offset + r * (size_t)t.ld + i,
				       c - i < block ? c - i : block);
	t.buffer = upload(s, data, size);
	if (as_output) {
		s->output = t.buffer;
		*s->out = (struct ops_result){.before = data, .size = size, .y = t};
	} else {
		free(data);
	}
	return t;
}

static struct tensor make(struct setup *s, size_t rows, int c, enum dtype dtype, float mean,
			  float spread, bool as_output)
{
	return make_rounded(s, rows, c, dtype, mean, spread, as_output, 0);
}

/* x of a product. */
static struct tensor factor(struct setup *s, size_t rows, int c)
{
	return make_rounded(s, rows, c, s->v->dtype, 0, 1, false, s->v->quantised);
}

static struct tensor input(struct setup *s, size_t rows, int c)
{
	return make(s, rows, c, s->v->dtype, 0, 1, false);
}

static struct tensor output(struct setup *s, size_t rows, int c)
{
	return make(s, rows, c, s->v->dtype, 0, 0, true);
}

static struct grid grid_of(const struct ops_case *c)
{
	return (struct grid){c->n, c->d ? c->d : 1, c->h, c->w};
}

static size_t rows_of(struct grid g)
{
	return (size_t)g.n * (size_t)g.d * (size_t)g.h * (size_t)g.w;
}

/* x of the case; with OPS_IN_PLACE it is the output as well. */
static struct tensor subject(struct setup *s, const struct ops_case *c)
{
	float mean = c->flags & OPS_FAR_MEAN ? 50.0f : 0.5f;
	bool in_place = (c->flags & OPS_IN_PLACE) != 0;
	return make(s, rows_of(grid_of(c)), c->cin, s->v->dtype, mean, 1, in_place);
}

static struct buffer *vector(struct setup *s, int channels, float mean, float spread)
{
	size_t count = (size_t)channels, size = count * sizeof(float);
	float *data = malloc(size);
	if (!data) {
		s->status = error_set(s->err, SUMI_NOMEM, "no memory for a test");
		return NULL;
	}
	for (size_t i = 0; i < count; i++)
		data[i] = mean + spread * random_value(s);
	struct buffer *b = upload(s, data, size);
	free(data);
	return b;
}

/* Numbers, or blocks of random bytes whose halves make values of about that spread. */
static void fill_weight(struct setup *s, const struct weight_desc *desc, unsigned char *data,
			size_t count, float spread)
{
	const struct block_format *f = format_info(desc->dtype);
	/* What stands in a value beside its halves: quants, scales, and both. */
	static const struct {
		signed char at[2]; /* -1: none */
		float quants;
	} blocks[DTYPES] = {
	    [DTYPE_Q8_0] = {{0, -1}, 70},      [DTYPE_Q4_0] = {{0, -1}, 5},
	    [DTYPE_Q4_1] = {{0, 2}, 9},        [DTYPE_Q5_0] = {{0, -1}, 9},
	    [DTYPE_Q5_1] = {{0, 2}, 18},       [DTYPE_Q2_K] = {{80, 82}, 18},
	    [DTYPE_Q3_K] = {{108, -1}, 40},    [DTYPE_Q4_K] = {{0, 2}, 300},
	    [DTYPE_Q5_K] = {{0, 2}, 600},      [DTYPE_Q6_K] = {{(signed char)208, -1}, 1300},
	    [DTYPE_IQ4_NL] = {{0, -1}, 70},    [DTYPE_IQ4_XS] = {{0, -1}, 1300},
	};
	size_t bytes = count / (size_t)f->block * (size_t)f->bytes;
	if (f->block == 1 && f->bytes > 1) {
		for (size_t i = 0; i < count; i++)
			put(data, i, desc->dtype, spread * random_value(s));
		return;
	}
	for (size_t i = 0; i < bytes; i++) {
		random_value(s);
		data[i] = (unsigned char)(s->random >> 40);
	}
	for (size_t i = 0; f->block > 1 && i < bytes; i += (size_t)f->bytes)
		for (int k = 0; k < 2; k++)
			if (blocks[desc->dtype].at[k] != -1)
				put(data + i + (unsigned char)blocks[desc->dtype].at[k], 0,
				    DTYPE_F16,
				    spread * random_value(s) / blocks[desc->dtype].quants);
	/* Eight bits of a float: exponents that keep it finite and of one size. */
	for (size_t i = 0; f->bytes == 1 && desc->dtype != DTYPE_I8 && i < bytes; i++)
		data[i] &= desc->dtype == DTYPE_F8_E4M3 ? 0xaf : 0xbf;
}

/* Factors of a weight's rows, those of whole numbers as small as these are large; the caller frees
 * them. */
static float *make_scales(struct setup *s, const struct weight_desc *desc, float spread)
{
	float *scales = malloc((size_t)desc->cout * sizeof *scales);
	for (int i = 0; scales && i < desc->cout; i++)
		scales[i] = (1 + 0.3f * random_value(s)) *
			    (desc->dtype == DTYPE_I8 ? spread / 74 : 1);
	return scales;
}

static struct weight *weight(struct setup *s, struct weight_desc desc, unsigned flags)
{
	size_t fan_in = (size_t)desc.cin * (size_t)(desc.kernel * desc.kernel);
	size_t count = (size_t)desc.cout * fan_in, bytes = format_row_bytes(desc.dtype, count);
	float spread = desc.table ? 1.0f : 1.0f / sqrtf((float)fan_in);
	void *data = malloc(bytes);
	float *scales = flags & OPS_SCALES ? make_scales(s, &desc, spread) : NULL;
	if (!data || (flags & OPS_SCALES && !scales)) {
		s->status = error_set(s->err, SUMI_NOMEM, "no memory for a test");
		free(scales);
		free(data);
		return NULL;
	}
	fill_weight(s, &desc, data, count, spread);
	desc.data = data;
	desc.scales = scales;
	struct weight *w = NULL;
	if (s->status == SUMI_OK)
		s->status = device_weight_new(s->d, &desc, &w, s->err);
	if (w)
		s->weights[s->weight_count++] = w;
	/* The data may go away at once; make sure that it does. */
	memset(data, 0xff, bytes);
	if (scales)
		memset(scales, 0xff, (size_t)desc.cout * sizeof *scales);
	free(scales);
	free(data);
	return w;
}

static int out_extent(const struct ops_case *c, int in)
{
	if (c->flags & OPS_UPSAMPLE)
		return 2 * in;
	if (c->stride != 2)
		return in;
	return c->flags & OPS_PAD_END ? in / 2 : (in + 1) / 2;
}

/* The residual of a matrix operation: y itself or a tensor of its own. */
static void output_and_residual(struct setup *s, const struct ops_case *c, struct grid out,
				struct tensor *y, struct tensor *residual)
{
	int cout = c->cout ? c->cout : c->cin;
	bool in_place = (c->flags & OPS_IN_PLACE) != 0;
	if (c->flags & OPS_RESIDUAL)
		*residual = make(s, rows_of(out), cout, s->v->dtype, 0, 1, in_place);
	*y = (c->flags & OPS_RESIDUAL) && in_place ? *residual : output(s, rows_of(out), cout);
}

static void run_conv2d(struct setup *s, const struct ops_case *c)
{
	int cout = c->cout ? c->cout : c->cin;
	struct conv2d_args a = {.x = factor(s, rows_of(grid_of(c)), c->cin),
				.in = grid_of(c),
				.act = c->act,
				.stride = c->stride ? c->stride : 1,
				.upsample = (c->flags & OPS_UPSAMPLE) != 0,
				.pad_end = (c->flags & OPS_PAD_END) != 0};
	a.weight =
	    weight(s, (struct weight_desc){
			  .dtype = c->weight, .cout = cout, .cin = c->cin, .kernel = c->kernel},
		   c->flags);
	if (c->flags & OPS_BIAS)
		a.bias = vector(s, c->act == ACT_PRELU ? 2 * cout : cout, 0, 1);
	if (c->flags & OPS_ADD)
		a.add = input(s, (size_t)c->n, cout);
	a.out = (struct grid){c->n, 1, out_extent(c, c->h), out_extent(c, c->w)};
	output_and_residual(s, c, a.out, &a.y, &a.residual);
	if (s->status == SUMI_OK)
		s->status = device_conv2d(s->d, &a, s->err);
}

static void run_linear(struct setup *s, const struct ops_case *c)
{
	int cout = c->cout ? c->cout : c->cin;
	bool geglu = c->act == ACT_GEGLU;
	int rows = geglu ? 2 * cout : cout;
	struct linear_args a = {
	    .x = factor(s, rows_of(grid_of(c)), c->cin), .n = c->n, .act = c->act};
	a.weight = weight(
	    s, (struct weight_desc){
		   .dtype = c->weight, .cout = rows, .cin = c->cin, .kernel = 1, .geglu = geglu},
	    c->flags);
	if (c->flags & OPS_BIAS)
		a.bias = vector(s, rows, 0, 1);
	if (c->flags & OPS_ADD)
		a.add = input(s, rows_of(grid_of(c)), rows);
	output_and_residual(s, c, grid_of(c), &a.y, &a.residual);
	if (s->status == SUMI_OK)
		s->status = device_linear(s->d, &a, s->err);
}

static void run_attention(struct setup *s, const struct ops_case *c)
{
	int keys = c->keys ? c->keys : c->h * c->w;
	struct attention_args a = {.n = c->n,
				   .heads = c->heads,
				   .scale = 1.0f / sqrtf((float)c->cin / (float)c->heads),
				   .causal = (c->flags & OPS_CAUSAL) != 0};
	a.q = input(s, rows_of(grid_of(c)), c->cin);
	a.k = input(s, (size_t)(c->n * keys), c->cin);
	a.v = input(s, (size_t)(c->n * keys), c->cin);
	a.y = output(s, rows_of(grid_of(c)), c->cin);
	if (s->status == SUMI_OK)
		s->status = device_attention(s->d, &a, s->err);
}

static void run_group_norm(struct setup *s, const struct ops_case *c)
{
	struct group_norm_args a = {.x = subject(s, c),
				    .grid = grid_of(c),
				    .gamma = vector(s, c->cin, 1, 0.2f),
				    .beta = vector(s, c->cin, 0, 0.5f),
				    .groups = c->groups,
				    .epsilon = 1e-5f,
				    .act = c->act};
	a.y = c->flags & OPS_IN_PLACE ? a.x : output(s, rows_of(grid_of(c)), c->cin);
	if (s->status == SUMI_OK)
		s->status = device_group_norm(s->d, &a, s->err);
}

static void run_layer_norm(struct setup *s, const struct ops_case *c)
{
	struct layer_norm_args a = {.x = subject(s, c),
				    .gamma = vector(s, c->cin, 1, 0.2f),
				    .beta = vector(s, c->cin, 0, 0.5f),
				    .epsilon = 1e-5f};
	a.y = c->flags & OPS_IN_PLACE ? a.x : output(s, rows_of(grid_of(c)), c->cin);
	if (s->status == SUMI_OK)
		s->status = device_layer_norm(s->d, &a, s->err);
}

static void run_axpby(struct setup *s, const struct ops_case *c)
{
	struct axpby_args a = {.alpha = 0.75f, .beta = -1.5f, .act = c->act};
	enum dtype own = s->v->dtype, other = own == DTYPE_F32 ? DTYPE_F16 : DTYPE_F32;
	enum dtype dtype = c->flags & OPS_OTHER_B ? other : own;
	if (c->flags & OPS_BESIDE) {
		/* One buffer of 2·c channels, all of it filled: y is the second half. */
		struct tensor both = make(s, rows_of(grid_of(c)), 2 * c->cin, own, 0, 1, true);
		both.c = c->cin;
		a.a = a.y = both;
		a.y.offset += (size_t)c->cin;
		s->out->y = a.y;
	} else {
		bool in_place = (c->flags & OPS_IN_PLACE) != 0;
		a.a = make(s, rows_of(grid_of(c)), c->cin, dtype, 0, 1, in_place);
		a.y = in_place ? a.a : output(s, rows_of(grid_of(c)), c->cin);
	}
	if (c->flags & OPS_RESIDUAL)
		a.b = make(s, rows_of(grid_of(c)), c->cin, dtype, 0, 1, false);
	if (c->flags & OPS_GAIN) {
		a.gains = c->h * c->w;
		a.gain = vector(s, a.gains, 0.5f, 0.5f);
	}
	if (s->status == SUMI_OK)
		s->status = device_axpby(s->d, &a, s->err);
}

static void run_embedding(struct setup *s, const struct ops_case *c)
{
	enum { VOCABULARY = 101 };
	int32_t ids[512];
	int count = c->n * c->w;
	for (int i = 0; i < count && i < 512; i++)
		ids[i] = (i * 37 + 5) % VOCABULARY;
	ids[count - 1] = VOCABULARY - 1;
	struct embedding_args a = {
	    .ids = ids, .n = c->n, .y = output(s, (size_t)(c->n * c->w), c->cin)};
	a.table = weight(
	    s,
	    (struct weight_desc){
		.dtype = c->weight, .cout = VOCABULARY, .cin = c->cin, .kernel = 1, .table = true},
	    0);
	if (c->flags & OPS_BIAS)
		a.position = weight(s, (struct weight_desc){.dtype = c->weight,
							    .cout = c->w + 3,
							    .cin = c->cin,
							    .kernel = 1,
							    .table = true},
				    0);
	if (s->status == SUMI_OK)
		s->status = device_embedding(s->d, &a, s->err);
}

static void run_timestep(struct setup *s, const struct ops_case *c)
{
	float timesteps[32];
	for (int i = 0; i < c->n && i < 32; i++)
		timesteps[i] = 999.0f - 76.9f * (float)i;
	timesteps[c->n - 1] = c->n > 1 ? 0.0f : 500.5f;
	struct timestep_args a = {.timesteps = timesteps,
				  .y = output(s, (size_t)c->n, c->cin),
				  .flip_sin_to_cos = (c->flags & OPS_FLIP) != 0,
				  .freq_shift = c->flags & OPS_FLIP ? 0.0f : 1.0f};
	if (s->status == SUMI_OK)
		s->status = device_timestep(s->d, &a, s->err);
}

static void run_permute(struct setup *s, const struct ops_case *c)
{
	struct permute_args p = {.grid = grid_of(c)};
	p.x = input(s, rows_of(grid_of(c)), c->cin);
	p.y = output(s, p.x.rows, c->cin);
	if (s->status == SUMI_OK)
		s->status = device_permute(s->d, &p, s->err);
}

static void (*const runners[OPS_KINDS])(struct setup *, const struct ops_case *) = {
    [OPS_CONV2D] = run_conv2d,         [OPS_LINEAR] = run_linear,
    [OPS_ATTENTION] = run_attention,   [OPS_GROUP_NORM] = run_group_norm,
    [OPS_LAYER_NORM] = run_layer_norm, [OPS_AXPBY] = run_axpby,
    [OPS_EMBEDDING] = run_embedding,   [OPS_TIMESTEP] = run_timestep,
    [OPS_PERMUTE] = run_permute,
};

int ops_run(enum ops_kind kind, const struct ops_case *c, const struct ops_variant *v,
	    struct device *d, struct ops_result *out, struct error *err)
{
	struct setup s = {.d = d, .err = err, .v = v, .random = 88172645463325252u, .out = out};
	*out = (struct ops_result){0};
	runners[kind](&s, c);
	if (s.status == SUMI_OK) {
		out->bytes = malloc(out->size);
		s.status = out->bytes ? device_read(d, s.output, 0, out->bytes, out->size, err)
				      : error_set(err, SUMI_NOMEM, "no memory for a test");
	}
	while (s.weight_count > 0)
		device_weight_free(d, s.weights[--s.weight_count]);
	while (s.buffer_count > 0)
		device_buffer_free(d, s.buffers[--s.buffer_count]);
	if (s.status != SUMI_OK)
		ops_result_free(out);
	return s.status;
}

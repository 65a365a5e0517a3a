/* The device's peak rates, then every operation at the shapes of Stable Diffusion 1.5 at
 * 512×512 with its share of them.
 *
 * usage: ops [--device SELECTOR] [--json FILE] [--only PART] [--dtype f32|f16]
 *            [--seconds S]
 *
 * A row's time is the best of several runs, each long enough for the clock. Convolutions
 * are counted as direct ones, whatever algorithm runs: a share above 100 % is Winograd. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/internal.h"
#include "base/clock.h"
#include "base/half.h"

enum kind { CONV, LINEAR, ATTENTION, GROUP_NORM, LAYER_NORM, AXPBY, PERMUTE };

struct row {
	enum kind kind;
	int n, side, w; /* side: h = w = side; else h = 1 and w tokens */
	int cin, cout;
	int kernel, stride, heads, keys;
	bool upsample;
	enum activation act;
};

static const struct row rows[] = {
    {CONV, 1, 64, 0, 4, .cout = 320, .kernel = 3},
    {CONV, 1, 64, 0, 320, .cout = 320, .kernel = 3},
    {CONV, 1, 64, 0, 960, .cout = 320, .kernel = 3},
    {CONV, 1, 32, 0, 640, .cout = 640, .kernel = 3},
    {CONV, 1, 32, 0, 1920, .cout = 640, .kernel = 3},
    {CONV, 1, 16, 0, 1280, .cout = 1280, .kernel = 3},
    {CONV, 1, 16, 0, 2560, .cout = 1280, .kernel = 3},
    {CONV, 1, 8, 0, 1280, .cout = 1280, .kernel = 3},
    {CONV, 1, 8, 0, 2560, .cout = 1280, .kernel = 3},
    {CONV, 1, 64, 0, 320, .cout = 320, .kernel = 3, .stride = 2},
    {CONV, 1, 32, 0, 640, .cout = 640, .kernel = 3, .upsample = true},
    {CONV, 1, 64, 0, 640, .cout = 320, .kernel = 1},
    {CONV, 1, 64, 0, 512, .cout = 512, .kernel = 3},
    {CONV, 1, 256, 0, 256, .cout = 256, .kernel = 3},
    {CONV, 1, 512, 0, 128, .cout = 128, .kernel = 3},
    {CONV, 1, 512, 0, 128, .cout = 3, .kernel = 3},
    {LINEAR, 1, 64, 0, 320, .cout = 320},
    {LINEAR, 1, 64, 0, 320, .cout = 1280, .act = ACT_GEGLU},
    {LINEAR, 1, 64, 0, 1280, .cout = 320},
    {LINEAR, 1, 32, 0, 640, .cout = 640},
    {LINEAR, 1, 32, 0, 640, .cout = 2560, .act = ACT_GEGLU},
    {LINEAR, 1, 16, 0, 1280, .cout = 1280},
    {LINEAR, 1, 16, 0, 1280, .cout = 5120, .act = ACT_GEGLU},
    {LINEAR, 1, 16, 0, 5120, .cout = 1280},
    {LINEAR, 1, 0, 77, 768, .cout = 320},
    {LINEAR, 1, 0, 1, 320, .cout = 1280, .act = ACT_SILU},
    {ATTENTION, 1, 64, 0, 320, .cout = 320, .heads = 8},
    {ATTENTION, 1, 64, 0, 320, .cout = 320, .heads = 8, .keys = 77},
    {ATTENTION, 1, 32, 0, 640, .cout = 640, .heads = 8},
    {ATTENTION, 1, 16, 0, 1280, .cout = 1280, .heads = 8},
    {ATTENTION, 1, 64, 0, 512, .cout = 512, .heads = 1},
    {GROUP_NORM, 1, 64, 0, 320, .cout = 320, .act = ACT_SILU},
    {GROUP_NORM, 1, 64, 0, 960, .cout = 960, .act = ACT_SILU},
    {GROUP_NORM, 1, 16, 0, 1280, .cout = 1280, .act = ACT_SILU},
    {GROUP_NORM, 1, 8, 0, 1280, .cout = 1280},
    {GROUP_NORM, 1, 512, 0, 128, .cout = 128, .act = ACT_SILU},
    {LAYER_NORM, 1, 64, 0, 320, .cout = 320},
    {LAYER_NORM, 1, 16, 0, 1280, .cout = 1280},
    {AXPBY, 1, 64, 0, 320, .cout = 320},
    {AXPBY, 1, 512, 0, 128, .cout = 128, .act = ACT_SILU},
    {PERMUTE, 16, 32, 0, 320, .cout = 320},
};

static const char *const kind_words[] = {"conv",       "linear", "attention", "group_norm",
					 "layer_norm", "axpby",  "permute"};

struct options {
	const char *device, *json, *only;
	enum dtype dtype;
	bool dtype_given;
	double seconds; /* of each row */
};

struct bench {
	struct device *d;
	struct options options;
	double peak_gflops, peak_gbytes;
	json_t *results;
};

/* One prepared operation. */
struct work {
	const struct row *row;
	struct tensor x, k, v, y;
	struct buffer *vector;
	struct weight *weight;
	double flops, bytes; /* bytes: the least that must be moved */
};

static unsigned next_random(unsigned *state)
{
	return *state = *state * 1664525u + 1013904223u;
}

/* Values in -1…1, in the given dtype, on the device. */
static int random_tensor(struct bench *b, int n, int h, int w, int c, struct tensor *t,
			 struct error *err)
{
	enum dtype dtype = b->options.dtype;
	size_t count = (size_t)n * (size_t)h * (size_t)w * (size_t)c,
	       size = count * dtype_size(dtype);
	*t = (struct tensor){.n = n, .h = h, .w = w, .c = c, .ld = c, .dtype = dtype};
	void *data = malloc(size);
	if (!data)
		return error_set(err, SUMI_NOMEM, "no memory for %zu values", count);
	unsigned state = 1;
	for (size_t i = 0; i < count; i++) {
		float value = (float)(int)next_random(&state) / 2147483648.0f;
		if (dtype == DTYPE_F32)
			((float *)data)[i] = value;
		else
			((uint16_t *)data)[i] = half_from_float(value);
	}
	int status = device_buffer_new(b->d, size, &t->buffer, err);
	if (!status)
		status = device_write(b->d, t->buffer, 0, data, size, err);
	free(data);
	return status;
}

static int random_weight(struct bench *b, const struct row *r, struct weight **out,
			 struct error *err)
{
	bool geglu = r->act == ACT_GEGLU;
	struct weight_desc desc = {.dtype = DTYPE_F16,
				   .cout = geglu ? 2 * r->cout : r->cout,
				   .cin = r->cin,
				   .kernel = r->kernel ? r->kernel : 1,
				   .geglu = geglu};
	size_t count = (size_t)desc.cout * (size_t)desc.cin * (size_t)(desc.kernel * desc.kernel);
	uint16_t *data = malloc(count * sizeof *data);
	if (!data)
		return error_set(err, SUMI_NOMEM, "no memory for %zu weights", count);
	unsigned state = 2;
	for (size_t i = 0; i < count; i++) /* ±2⁻⁶…2⁻⁵ */
		data[i] = (uint16_t)(0x2400 | (next_random(&state) >> 16 & 0x83ff));
	desc.data = data;
	int status = device_weight_new(b->d, &desc, out, err);
	free(data);
	return status;
}

static void work_free(struct bench *b, struct work *w)
{
	device_weight_free(b->d, w->weight);
	device_buffer_free(b->d, w->vector);
	device_buffer_free(b->d, w->y.buffer);
	device_buffer_free(b->d, w->v.buffer);
	device_buffer_free(b->d, w->k.buffer);
	device_buffer_free(b->d, w->x.buffer);
}

/* "conv 64x64 320->320 k3" */
static void describe(const struct row *r, char *out, size_t size)
{
	int h = r->side ? r->side : 1, wide = r->side ? r->side : r->w;
	int used = snprintf(out, size, "%s %dx%d %d", kind_words[r->kind], h, wide, r->cin);
	out += used;
	size -= (size_t)used;
	if (r->kind == CONV)
		snprintf(out, size, "->%d k%d%s%s", r->cout, r->kernel, r->stride == 2 ? " s2" : "",
			 r->upsample ? " up" : "");
	else if (r->kind == LINEAR)
		snprintf(out, size, "->%d%s", r->cout, r->act == ACT_GEGLU ? " geglu" : "");
	else if (r->kind == ATTENTION)
		snprintf(out, size, " heads %d keys %d", r->heads, r->keys ? r->keys : h * wide);
	else
		snprintf(out, size, "%s", r->act == ACT_SILU ? " silu" : "");
}

/* Floating point operations (a multiply-add is two) and bytes of a row. */
static void count_work(const struct bench *b, struct work *w)
{
	const struct row *r = w->row;
	double unit = (double)dtype_size(b->options.dtype);
	double out = (double)w->y.n * w->y.h * w->y.w, in = (double)w->x.n * w->x.h * w->x.w;
	double taps = r->kernel ? r->kernel * r->kernel : 1, wide = r->act == ACT_GEGLU ? 2 : 1;
	w->bytes = unit * (in * r->cin + out * r->cout);
	if (r->kind == CONV || r->kind == LINEAR) {
		w->flops = 2 * out * r->cin * r->cout * taps * wide;
		w->bytes += 2.0 * r->cin * r->cout * taps * wide;
	} else if (r->kind == ATTENTION) {
		w->flops = 4 * out * w->k.w * r->cin;
	} else if (r->kind == GROUP_NORM) {
		w->bytes += unit * in * r->cin; /* read once for the sums, once for the result */
	}
}

static int work_make(struct bench *b, const struct row *r, struct work *w, struct error *err)
{
	int h = r->side ? r->side : 1, wide = r->side ? r->side : r->w;
	int oh = r->upsample ? 2 * h : r->stride == 2 ? (h + 1) / 2 : h;
	int ow = r->upsample ? 2 * wide : r->stride == 2 ? (wide + 1) / 2 : wide;
	int keys = r->keys ? r->keys : h * wide;
	*w = (struct work){.row = r};
	int status = random_tensor(b, r->n, h, wide, r->cin, &w->x, err);
	if (!status && r->kind == PERMUTE)
		status = random_tensor(b, h * wide, 1, r->n, r->cin, &w->y, err);
	else if (!status)
		status = random_tensor(b, r->n, oh, ow, r->cout, &w->y, err);
	if (!status && r->kind == ATTENTION)
		status = random_tensor(b, r->n, 1, keys, r->cin, &w->k, err);
	if (!status && r->kind == ATTENTION)
		status = random_tensor(b, r->n, 1, keys, r->cin, &w->v, err);
	if (!status && (r->kind == CONV || r->kind == LINEAR))
		status = random_weight(b, r, &w->weight, err);
	size_t channels = (size_t)(r->cout > r->cin ? r->cout : r->cin) * 2;
	float *ones = calloc(channels, sizeof *ones);
	if (!ones)
		return error_set(err, SUMI_NOMEM, "no memory for %zu channels", channels);
	for (size_t i = 0; i < channels; i++)
		ones[i] = 1;
	if (!status)
		status = device_buffer_new(b->d, channels * sizeof *ones, &w->vector, err);
	if (!status)
		status = device_write(b->d, w->vector, 0, ones, channels * sizeof *ones, err);
	free(ones);
	count_work(b, w);
	return status;
}

static int work_run(struct bench *b, const struct work *w, struct error *err)
{
	const struct row *r = w->row;
	switch (r->kind) {
	case CONV: {
		struct conv2d_args a = {.x = w->x,
					.y = w->y,
					.weight = w->weight,
					.bias = w->vector,
					.stride = r->stride ? r->stride : 1,
					.upsample = r->upsample};
		return device_conv2d(b->d, &a, err);
	}
	case LINEAR: {
		struct linear_args a = {
		    .x = w->x, .y = w->y, .weight = w->weight, .bias = w->vector, .act = r->act};
		return device_linear(b->d, &a, err);
	}
	case ATTENTION: {
		struct attention_args a = {
		    .q = w->x, .k = w->k, .v = w->v, .y = w->y, .heads = r->heads};
		a.scale = 1.0f / sqrtf((float)r->cin / (float)r->heads);
		return device_attention(b->d, &a, err);
	}
	case GROUP_NORM: {
		struct group_norm_args a = {.x = w->x,
					    .y = w->y,
					    .gamma = w->vector,
					    .beta = w->vector,
					    .groups = 32,
					    .epsilon = 1e-5f,
					    .act = r->act};
		return device_group_norm(b->d, &a, err);
	}
	case LAYER_NORM: {
		struct layer_norm_args a = {
		    .x = w->x, .y = w->y, .gamma = w->vector, .beta = w->vector, .epsilon = 1e-5f};
		return device_layer_norm(b->d, &a, err);
	}
	case AXPBY: {
		struct axpby_args a = {.a = w->x, .y = w->y, .alpha = 0.5f, .act = r->act};
		return device_axpby(b->d, &a, err);
	}
	case PERMUTE: {
		struct permute_args a = {.x = w->x, .y = w->y, .a = r->n, .b = r->side * r->side};
		return device_permute(b->d, &a, err);
	}
	}
	return SUMI_OK;
}

typedef int run_function(struct bench *b, const void *what, struct error *err);

static int run_work(struct bench *b, const void *what, struct error *err)
{
	return work_run(b, what, err);
}

/* The best time of one call in seconds: a first call that is not counted, then batches of
 * at least 20 ms until the time for a row is used up, three of them at least. */
static int best_time(struct bench *b, run_function *run, const void *what, double *seconds,
		     struct error *err)
{
	int status = run(b, what, err), calls = 1;
	if (!status)
		status = device_sync(b->d, err);
	int64_t begin = clock_mono_us();
	*seconds = INFINITY;
	for (int batch = 0; !status; batch++) {
		int64_t from = clock_mono_us();
		for (int i = 0; i < calls && !status; i++)
			status = run(b, what, err);
		if (!status)
			status = device_sync(b->d, err);
		int64_t to = clock_mono_us();
		if (to - from < 20000) {
			calls *= 2;
			batch = -1;
			continue;
		}
		*seconds = fmin(*seconds, (double)(to - from) * 1e-6 / calls);
		if (batch >= 2 && (double)(to - begin) * 1e-6 >= b->options.seconds)
			break;
	}
	return status;
}

/* A launch of peak.cl that is timed like an operation. */
struct launch {
	cl_kernel kernel;
	struct cl_range range;
	struct cl_arg args[4];
	int count;
};

static int run_launch(struct bench *b, const void *what, struct error *err)
{
	const struct launch *l = what;
	return cl_launch(cl_device_of(b->d), l->kernel, &l->range, l->args, l->count, err);
}

static int measure_peaks(struct bench *b, struct error *err)
{
	enum { ROUNDS = 4096, CPU_CHAINS = 12, GPU_CHAINS = 4 };
	struct cl_device *d = cl_device_of(b->d);
	bool cpu = d->quirks.cpu_kernels;
	size_t units = (size_t)b->d->info.compute_units, items = units * (cpu ? 16 : 1024);
	size_t vectors = (size_t)4 << 20; /* 128 MiB each: beyond any last-level cache */
	struct buffer *x = NULL, *y = NULL;
	struct launch fma = {.count = 4}, copy = {.count = 4};
	const float a[8] = {0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f};
	char options[32];
	double seconds;
	int chains = cpu ? CPU_CHAINS : GPU_CHAINS;
	snprintf(options, sizeof options, "-D CHAINS=%d", chains);
	int status = device_buffer_new(b->d, vectors * 32, &x, err);
	if (!status)
		status = device_buffer_new(b->d, vectors * 32, &y, err);
	if (!status)
		status = cl_kernel_get(d, "peak.cl", "peak_fma", options, &fma.kernel, err);
	if (!status)
		status = cl_kernel_get(d, "peak.cl", "peak_copy", options, &copy.kernel, err);
	if (status)
		goto done;
	fma.range = (struct cl_range){1, {items}, {cpu ? 1 : 64}};
	fma.args[0] = arg_buffer(y);
	fma.args[1] = fma.args[2] = arg_float8(a);
	fma.args[3] = arg_int(ROUNDS);
	copy.range = (struct cl_range){1, {items}, {cpu ? 1 : 64}};
	copy.args[0] = arg_buffer(x);
	copy.args[1] = arg_buffer(y);
	copy.args[2] = arg_ulong(vectors);
	copy.args[3] = arg_int(cpu);
	if ((status = best_time(b, run_launch, &fma, &seconds, err)))
		goto done;
	b->peak_gflops = 16.0 * chains * ROUNDS * (double)items / seconds * 1e-9;
	if ((status = best_time(b, run_launch, &copy, &seconds, err)))
		goto done;
	b->peak_gbytes = 64.0 * (double)vectors / seconds * 1e-9;
done:
	device_buffer_free(b->d, y);
	device_buffer_free(b->d, x);
	cl_pool_trim(d);
	return status;
}

static int measure_row(struct bench *b, const struct row *r, struct error *err)
{
	struct work w;
	char name[96];
	double seconds = 0;
	describe(r, name, sizeof name);
	if (b->options.only && !strstr(name, b->options.only))
		return SUMI_OK;
	int status = work_make(b, r, &w, err);
	if (!status)
		status = best_time(b, run_work, &w, &seconds, err);
	if (!status) {
		double gflops = w.flops / seconds * 1e-9, gbytes = w.bytes / seconds * 1e-9;
		bool matrix = w.flops > 0;
		double share = matrix ? gflops / b->peak_gflops : gbytes / b->peak_gbytes;
		printf("%-36s %10.3f ms %9.1f %-8s %4.0f %%\n", name, seconds * 1e3,
		       matrix ? gflops : gbytes, matrix ? "GFLOP/s" : "GB/s", 100 * share);
		fflush(stdout);
		json_array_append_new(b->results,
				      json_pack("{s:s, s:f, s:f, s:f, s:f}", "name", name,
						"seconds", seconds, "gflops", gflops, "gbytes",
						gbytes, "share", share));
	} else {
		error_prefix(err, "%s", name);
	}
	work_free(b, &w);
	return status;
}

static int write_json(const struct bench *b, struct error *err)
{
	const struct device_info *info = &b->d->info;
	json_t *root = json_pack("{s:{s:s, s:s, s:s, s:i, s:b}, s:s, s:f, s:f, s:O}", "device",
				 "name", info->name, "platform", info->platform, "driver",
				 info->driver, "compute_units", info->compute_units, "cpu_kernels",
				 cl_device_of(b->d)->quirks.cpu_kernels, "activations",
				 cl_dtype_word(b->options.dtype), "peak_gflops", b->peak_gflops,
				 "peak_gbytes", b->peak_gbytes, "operations", b->results);
	int status = SUMI_OK;
	if (!root || json_dump_file(root, b->options.json, JSON_INDENT(1) | JSON_REAL_PRECISION(6)))
		status = error_set(err, SUMI_IO, "%s: cannot be written", b->options.json);
	json_decref(root);
	return status;
}

static int parse(int argc, char **argv, struct options *o)
{
	*o = (struct options){.device = "opencl:0", .seconds = 0.3};
	for (int i = 1; i < argc; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;
		if (value && strcmp(argv[i], "--device") == 0) {
			o->device = value;
		} else if (value && strcmp(argv[i], "--json") == 0) {
			o->json = value;
		} else if (value && strcmp(argv[i], "--only") == 0) {
			o->only = value;
		} else if (value && strcmp(argv[i], "--seconds") == 0) {
			o->seconds = atof(value);
		} else if (value && strcmp(argv[i], "--dtype") == 0 &&
			   (strcmp(value, "f16") == 0 || strcmp(value, "f32") == 0)) {
			o->dtype = strcmp(value, "f16") == 0 ? DTYPE_F16 : DTYPE_F32;
			o->dtype_given = true;
		} else {
			fprintf(stderr,
				"usage: ops [--device SELECTOR] [--json FILE] [--only PART] "
				"[--dtype f32|f16] [--seconds S]\n");
			return 2;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct bench b = {0};
	struct error err = {0};
	if (parse(argc, argv, &b.options))
		return 2;
	int status = device_open(b.options.device, &b.d, &err);
	if (!status && strncmp(b.d->info.selector, "opencl:", 7) != 0)
		status = error_set(&err, SUMI_UNSUPPORTED, "%s: only OpenCL devices are measured",
				   b.d->info.name);
	if (status)
		goto done;
	if (!b.options.dtype_given)
		b.options.dtype = b.d->activation_dtype;
	b.results = json_array();
	if ((status = measure_peaks(&b, &err)))
		goto done;
	printf("%s, %s %s: %.1f GFLOP/s, %.1f GB/s; activations %s, weights f16\n", b.d->info.name,
	       b.d->info.platform, b.d->info.driver, b.peak_gflops, b.peak_gbytes,
	       cl_dtype_word(b.options.dtype));
	for (size_t i = 0; i < sizeof rows / sizeof *rows && !status; i++)
		status = measure_row(&b, &rows[i], &err);
	if (!status && b.options.json)
		status = write_json(&b, &err);
done:
	if (status)
		fprintf(stderr, "%s\n", err.text);
	json_decref(b.results);
	device_close(b.d);
	return status ? 1 : 0;
}

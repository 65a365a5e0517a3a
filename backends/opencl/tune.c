/* The tuner: tries a few tiles of the GPU's matrix products on the device, throws away those
 * whose results are wrong, and remembers the fastest in the cache directory: one for each dtype
 * of activations and class of sizes, tried when the first such product is asked for.
 *
 * The file is cache/tuning/<key>, the key being the SHA-256 of the kernels' sources, the
 * device's and driver's names, the dtype and the class; it holds the tile as six numbers. A
 * file that does not name one of the candidates is made anew. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/matrix.h"
#include "base/clock.h"
#include "base/embed.h"
#include "base/half.h"
#include "base/hash.h"

#define FILE_NAME "gemm_gpu.cl"
#define REPEATS 3
#define BATCH 8    /* launches of a timed run: one alone is mostly the driver's time */
#define SAMPLES 64 /* outputs that are compared with the oracle's */

enum tile_for { PLAIN, NVIDIA, INTEL };

/* After the plain kernel's own default, which comes first. */
static const struct {
	enum tile_for instruction;
	struct gemm_tile tile;
} candidates[] = {
    {PLAIN, {.m = 32, .n = 64, .k = 16, .item_m = 4, .item_n = 4}},
    {PLAIN, {.m = 128, .n = 128, .k = 16, .item_m = 8, .item_n = 8}},
    {PLAIN, {.m = 128, .n = 64, .k = 16, .item_m = 8, .item_n = 4}},
    {PLAIN, {.m = 64, .n = 64, .k = 32, .item_m = 4, .item_n = 4}},
    /* Eight numbers of D a lane and tile of m16n8: warps of 64 × 32 hold 64 in registers. */
    {NVIDIA, {.m = 64, .n = 64, .k = 32, .item_m = 32, .item_n = 32, .mma = true}},
    {NVIDIA, {.m = 128, .n = 128, .k = 32, .item_m = 64, .item_n = 32, .mma = true}},
    {NVIDIA, {.m = 128, .n = 64, .k = 32, .item_m = 32, .item_n = 32, .mma = true}},
    {NVIDIA, {.m = 64, .n = 128, .k = 32, .item_m = 32, .item_n = 32, .mma = true}},
    {NVIDIA, {.m = 32, .n = 64, .k = 64, .item_m = 16, .item_n = 32, .mma = true}},
    /* A subgroup of 8 lanes holds 32 × 16 in half of its registers. */
    {INTEL, {.m = 64, .n = 64, .k = 32, .item_m = 32, .item_n = 16, .mma = true}},
    {INTEL, {.m = 64, .n = 64, .k = 32, .item_m = 16, .item_n = 16, .mma = true}},
    {INTEL, {.m = 64, .n = 64, .k = 32, .item_m = 32, .item_n = 32, .mma = true}},
    {INTEL, {.m = 32, .n = 64, .k = 32, .item_m = 16, .item_n = 16, .mma = true}},
};

/* What stands for a class of products: those of at most `outputs` numbers. No tile divides
 * rows and columns; the depth is one that vector loads reach. */
static const struct tune_class {
	size_t outputs;
	int rows, cols, depth;
} classes[TUNE_CLASSES] = {
    {(size_t)1 << 17, 70, 1288, 1280},
    {(size_t)1 << 19, 250, 1288, 1280},
    {(size_t)1 << 21, 4090, 328, 640},
    {SIZE_MAX, 4090, 2568, 640},
};

/* A CPU that plays a GPU computes small ones, and compiles ten seconds for a candidate: it
 * tries one. */
static const struct tune_class on_cpu = {SIZE_MAX, 150, 140, 88};
#define CANDIDATES_ON_CPU 1

static bool suits(const struct cl_device *d, enum dtype dtype, enum tile_for instruction)
{
	if (instruction == PLAIN)
		return true;
	return dtype == DTYPE_F16 && d->quirks.mma &&
	       (strstr(d->quirks.mma, "MMA_INTEL") != NULL) == (instruction == INTEL);
}

static struct gemm_tile plain_tile(void)
{
	return (struct gemm_tile){
	    .m = matrix_constant(FILE_NAME, "GEMM_M"),
	    .n = matrix_constant(FILE_NAME, "GEMM_N"),
	    .k = matrix_constant(FILE_NAME, "GEMM_K"),
	    .item_m = matrix_constant(FILE_NAME, "ITEM_M"),
	    .item_n = matrix_constant(FILE_NAME, "ITEM_N"),
	};
}

/* Candidate i for dtype, from 0; false: there are no more. */
static bool candidate(const struct cl_device *d, enum dtype dtype, int i, struct gemm_tile *tile)
{
	*tile = plain_tile();
	for (int c = 0; i > 0 && c < CL_COUNT(candidates); c++)
		if (suits(d, dtype, candidates[c].instruction)) {
			*tile = candidates[c].tile;
			i--;
		}
	return i == 0;
}

/* Without a trial: the plain kernel's, or the first of the instruction that is emulated. */
static struct gemm_tile default_tile(const struct cl_device *d, enum dtype dtype)
{
	for (int c = 0; d->quirks.mma_emulated && c < CL_COUNT(candidates); c++)
		if (candidates[c].tile.mma && suits(d, dtype, candidates[c].instruction))
			return candidates[c].tile;
	return plain_tile();
}

static void tile_text(const struct gemm_tile *t, char out[80])
{
	snprintf(out, 80, "%d %d %d %d %d %d\n", t->m, t->n, t->k, t->item_m, t->item_n, t->mma);
}

static int tuning_path(const struct cl_device *d, enum dtype dtype, int class,
		       char path[FILES_PATH_MAX], struct error *err)
{
	static const char *const files[] = {"gather_gpu.cl", FILE_NAME, "mma.cl", "gemm_mma.cl"};
	char cache[FILES_PATH_MAX], hex[SHA256_HEX_SIZE], text[1024];
	int status = files_cache_dir(cache, err), used;
	if (status)
		return status;
	used = snprintf(text, sizeof text, "%s\n%s\n%s\n%s %d\n", d->base.info.name,
			d->base.info.driver, d->base.info.platform, cl_dtype_word(dtype), class);
	for (int i = 0; i < CL_COUNT(files); i++) {
		const char *source = embedded_text(embedded_kernels, files[i]);
		sha256_hex(source, strlen(source), hex);
		used += snprintf(text + used, sizeof text - (size_t)used, "%s\n", hex);
	}
	sha256_hex(text, strlen(text), hex);
	return files_path(path, err, "%s/tuning/%s", cache, hex);
}

static bool load(const struct cl_device *d, enum dtype dtype, const char *path,
		 struct gemm_tile *tile)
{
	char *data = NULL, text[80];
	if (files_read(path, sizeof text, &data, NULL, NULL) != SUMI_OK)
		return false;
	bool found = false;
	for (int i = 0; !found && candidate(d, dtype, i, tile); i++) {
		tile_text(tile, text);
		found = strcmp(data, text) == 0;
	}
	free(data);
	return found;
}

/* Not being able to keep the result costs the trial again at the next start: silent. */
static void save(const char *path, const struct gemm_tile *tile)
{
	char text[80], folder[FILES_PATH_MAX];
	tile_text(tile, text);
	snprintf(folder, sizeof folder, "%s", path);
	*strrchr(folder, '/') = '\0';
	if (files_make_dirs(folder, 0700, NULL) == SUMI_OK)
		files_write_durable(path, text, strlen(text), NULL);
}

/* The trial: y [rows, cols] = x [rows, depth]·wᵀ. */
struct trial {
	enum dtype dtype; /* of x and w; y is in it too */
	int rows, cols, depth;
	void *x, *w, *y;
	struct buffer *x_buffer, *y_buffer;
	struct weight *weight;
	struct gemm_job job;
};

/* How far a result may lie from the sum in double, as a share of it: the sums are exact in
 * float (see value()), so only the rounding of the result is left. */
static const double tolerances[TUNE_DTYPES] = {[DTYPE_F32] = 1e-6, [DTYPE_F16] = 5e-4};

static void trial_free(struct cl_device *d, struct trial *t)
{
	cl_weight_free(&d->base, t->weight);
	cl_buffer_free(d, t->y_buffer);
	cl_buffer_free(d, t->x_buffer);
	free(t->x);
	free(t->w);
	free(t->y);
}

/* Multiples of 1/256 from -1/2 to 1/2, the same everywhere: products and sums of some
 * hundreds of them are exact in float. */
static float value(size_t i, uint32_t seed)
{
	uint32_t mixed = ((uint32_t)i + seed) * 2654435761u;
	return (float)((mixed ^ mixed >> 15) * 2246822519u >> 24) / 256.0f - 0.5f;
}

static void *values(size_t n, enum dtype dtype, uint32_t seed)
{
	void *data = malloc(n * dtype_size(dtype));
	for (size_t i = 0; data && i < n; i++)
		if (dtype == DTYPE_F32)
			((float *)data)[i] = value(i, seed);
		else
			((uint16_t *)data)[i] = half_from_float(value(i, seed));
	return data;
}

enum { SEED_X = 1, SEED_W = 77777 };

static int trial_new(struct cl_device *d, enum dtype dtype, int class, struct trial *t,
		     struct error *err)
{
	const struct tune_class *c = d->base.info.is_cpu ? &on_cpu : &classes[class];
	*t = (struct trial){.dtype = dtype, .rows = c->rows, .cols = c->cols, .depth = c->depth};
	size_t unit = dtype_size(dtype), x_size = (size_t)t->rows * (size_t)t->depth;
	size_t y_size = (size_t)t->rows * (size_t)t->cols;
	t->x = values(x_size, dtype, SEED_X);
	t->w = values((size_t)t->cols * (size_t)t->depth, dtype, SEED_W);
	t->y = malloc(y_size * unit);
	if (!t->x || !t->w || !t->y)
		return error_set(err, SUMI_NOMEM, "no memory for the tuner's matrices");
	struct weight_desc desc = {
	    .data = t->w, .dtype = dtype, .cout = t->cols, .cin = t->depth, .kernel = 1};
	int status = cl_buffer_new(d, x_size * unit, &t->x_buffer, err);
	if (status || (status = cl_buffer_new(d, y_size * unit, &t->y_buffer, err)) ||
	    (status = cl_buffer_write(d, t->x_buffer, 0, t->x, x_size * unit, err)) ||
	    (status = cl_weight_new(&d->base, &desc, &t->weight, err)))
		return status;
	struct tensor x = {.buffer = t->x_buffer, .n = 1, .h = 1, .w = t->rows, .dtype = dtype};
	struct tensor y = x;
	x.c = x.ld = t->depth;
	y.buffer = t->y_buffer;
	y.c = y.ld = t->cols;
	t->job = (struct gemm_job){.x = x, .y = y, .weight = t->weight, .side = 1, .stride = 1};
	return SUMI_OK;
}

/* Compares outputs spread over the whole of y with sums in double. */
static bool trial_right(struct cl_device *d, struct trial *t)
{
	size_t y_size = (size_t)t->rows * (size_t)t->cols, depth = (size_t)t->depth;
	size_t bytes = y_size * dtype_size(t->dtype);
	if (cl_buffer_read(d, t->y_buffer, 0, t->y, bytes, NULL) != SUMI_OK)
		return false;
	for (size_t s = 0; s < SAMPLES; s++) {
		size_t at = s == SAMPLES - 1 ? y_size - 1 : y_size / SAMPLES * s + 7 * s;
		size_t row = at / (size_t)t->cols, column = at % (size_t)t->cols;
		double want = 0, got = t->dtype == DTYPE_F32
					   ? (double)((float *)t->y)[at]
					   : (double)half_to_float(((uint16_t *)t->y)[at]);
		for (size_t k = 0; k < depth; k++)
			want += (double)value(row * depth + k, SEED_X) *
				(double)value(column * depth + k, SEED_W);
		if (!(fabs(got - want) <= tolerances[t->dtype] * fabs(want) + 1e-6))
			return false;
	}
	return true;
}

/* Microseconds of the fastest of a few runs; negative: wrong, or not possible. */
static int64_t trial_time(struct cl_device *d, struct trial *t, const struct gemm_tile *tile)
{
	int64_t best = -1;
	int launches = d->base.info.is_cpu ? 1 : BATCH;
	size_t bytes = (size_t)t->rows * (size_t)t->cols * dtype_size(t->dtype);
	memset(t->y, 0xff, bytes); /* NaN: what is not written is wrong */
	if (cl_buffer_write(d, t->y_buffer, 0, t->y, bytes, NULL) != SUMI_OK ||
	    gemm_enqueue_tile(d, &t->job, tile, NULL) != SUMI_OK || !trial_right(d, t))
		return -1;
	for (int i = 0; i < REPEATS; i++) {
		int64_t begin = clock_mono_us();
		for (int j = 0; j < launches; j++)
			if (gemm_enqueue_tile(d, &t->job, tile, NULL) != SUMI_OK)
				return -1;
		if (clFinish(d->queue))
			return -1;
		int64_t time = clock_mono_us() - begin;
		if (best < 0 || time < best)
			best = time;
	}
	return best;
}

/* Drivers' simulators gain nothing from a trial; SUMI_TUNE=1 and 0 decide otherwise. */
static bool wanted(const struct cl_device *d)
{
	const char *forced = getenv("SUMI_TUNE");
	if (forced && *forced)
		return strcmp(forced, "0") != 0;
	return !d->base.info.is_cpu;
}

static struct gemm_tile tune(struct cl_device *d, enum dtype dtype, int class)
{
	struct gemm_tile best = default_tile(d, dtype), tile;
	char path[FILES_PATH_MAX] = "";
	struct trial trial = {0};
	int64_t shortest = -1;
	if (!wanted(d))
		return best;
	if (tuning_path(d, dtype, class, path, NULL) == SUMI_OK && load(d, dtype, path, &tile))
		return tile;
	if (trial_new(d, dtype, class, &trial, NULL) == SUMI_OK)
		for (int i = 0; candidate(d, dtype, i, &tile); i++) {
			if (d->base.info.is_cpu && i > CANDIDATES_ON_CPU)
				break;
			int64_t time = trial_time(d, &trial, &tile);
			if (time >= 0 && (shortest < 0 || time < shortest)) {
				shortest = time;
				best = tile;
			}
		}
	trial_free(d, &trial);
	if (shortest >= 0 && path[0])
		save(path, &best);
	return best;
}

struct gemm_tile tune_gemm(struct cl_device *d, const struct gemm_job *job)
{
	enum dtype dtype = job->x.dtype == DTYPE_F16 ? DTYPE_F16 : DTYPE_F32;
	size_t outputs =
	    (size_t)job->y.n * (size_t)job->y.h * (size_t)job->y.w * (size_t)job->weight->head.cout;
	int class = 0;
	while (outputs > classes[class].outputs)
		class ++;
	struct gemm_tile *tile = &d->gemm_tiles[dtype][class];
	if (!tile->m)
		*tile = tune(d, dtype, class);
	return *tile;
}

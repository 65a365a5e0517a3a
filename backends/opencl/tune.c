/* The tuner: tries a few tiles of the GPU's matrix products on the device, and Winograd
 * against the plain convolution, throws away what gives wrong results, and remembers the
 * fastest in the cache directory: one for each dtype of activations and class of sizes, tried
 * when the first such operation is asked for.
 *
 * The file is cache/tuning/<key>, the key being the SHA-256 of the kernels' sources, the
 * device's and driver's names, what was tried, the dtype and the class; it holds the tile as
 * six numbers, or one of the words of `ways`. A file that does not name one of the candidates
 * is made anew. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/tune.h"
#include "base/clock.h"
#include "base/embed.h"
#include "base/half.h"
#include "base/hash.h"

#define FILE_NAME "gemm_gpu.cl"
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
    /* The first of an instruction is also what its emulation runs: small. A lane holds 64
     * numbers of D in registers for a warp's 64 × 32. */
    {NVIDIA, {.m = 32, .n = 32, .k = 32, .item_m = 16, .item_n = 16, .mma = true}},
    {NVIDIA, {.m = 64, .n = 64, .k = 32, .item_m = 32, .item_n = 32, .mma = true}},
    {NVIDIA, {.m = 128, .n = 128, .k = 32, .item_m = 64, .item_n = 32, .mma = true}},
    {NVIDIA, {.m = 128, .n = 64, .k = 32, .item_m = 32, .item_n = 32, .mma = true}},
    {NVIDIA, {.m = 64, .n = 128, .k = 32, .item_m = 32, .item_n = 32, .mma = true}},
    {NVIDIA, {.m = 32, .n = 64, .k = 64, .item_m = 16, .item_n = 32, .mma = true}},
    /* A subgroup of 8 lanes holds 32 × 16 in half of its registers. */
    {INTEL, {.m = 32, .n = 32, .k = 32, .item_m = 16, .item_n = 16, .mma = true}},
    {INTEL, {.m = 64, .n = 64, .k = 32, .item_m = 32, .item_n = 16, .mma = true}},
    {INTEL, {.m = 64, .n = 64, .k = 32, .item_m = 16, .item_n = 16, .mma = true}},
    {INTEL, {.m = 64, .n = 64, .k = 32, .item_m = 32, .item_n = 32, .mma = true}},
    {INTEL, {.m = 32, .n = 64, .k = 32, .item_m = 16, .item_n = 16, .mma = true}},
};

/* What stands for a class of products: those of at most `outputs` numbers. No tile divides
 * rows and columns; the depth is one that vector loads reach. */
static const struct tune_class {
	size_t outputs;
	int rows, cols, depth; /* of a linear layer */
	int side, channels;    /* of a convolution */
} classes[TUNE_CLASSES] = {
    {(size_t)1 << 17, 70, 1288, 1280, 8, 1280},
    {(size_t)1 << 19, 250, 1288, 1280, 16, 1280},
    {(size_t)1 << 21, 4090, 328, 640, 64, 320},
    {SIZE_MAX, 4090, 2568, 640, 256, 256},
};

/* A CPU that plays a GPU computes small ones, and compiles ten seconds for a candidate: it
 * tries one. */
static const struct tune_class on_cpu = {SIZE_MAX, 150, 140, 88, 11, 24};
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

static int tuning_path(const struct cl_device *d, const char *what, enum dtype dtype, int class,
		       char path[FILES_PATH_MAX], struct error *err)
{
	static const char *const files[] = {
	    "gather_gpu.cl",   FILE_NAME,          "mma.cl",          "gemm_mma.cl",
	    "winograd_gpu.cl", "attention_gpu.cl", "attention_mma.cl"};
	char cache[FILES_PATH_MAX], hex[SHA256_HEX_SIZE], text[1024];
	int status = files_cache_dir(cache, err), used;
	if (status)
		return status;
	used =
	    snprintf(text, sizeof text, "%s\n%s\n%s\n%s %s %d\n", d->base.info.name,
		     d->base.info.driver, d->base.info.platform, what, cl_dtype_word(dtype), class);
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
static void save(const char *path, const char *text)
{
	char folder[FILES_PATH_MAX];
	snprintf(folder, sizeof folder, "%s", path);
	*strrchr(folder, '/') = '\0';
	if (files_make_dirs(folder, 0700, NULL) == SUMI_OK)
		files_write_durable(path, text, strlen(text), NULL);
}

bool tune_wanted(const struct cl_device *d)
{
	const char *forced = getenv("SUMI_TUNE");
	if (forced && *forced)
		return strcmp(forced, "0") != 0;
	return !d->base.info.is_cpu;
}

float tune_value(size_t i, uint32_t seed)
{
	uint32_t mixed = ((uint32_t)i + seed) * 2654435761u;
	return (float)((mixed ^ mixed >> 15) * 2246822519u >> 24) / 256.0f - 0.5f;
}

void *tune_values(size_t n, enum dtype dtype, uint32_t seed)
{
	void *data = malloc(n * dtype_size(dtype));
	for (size_t i = 0; data && i < n; i++)
		if (dtype == DTYPE_F32)
			((float *)data)[i] = tune_value(i, seed);
		else
			((uint16_t *)data)[i] = half_from_float(tune_value(i, seed));
	return data;
}

static const char *const ways[] = {
    [WAY_UNKNOWN] = "", [WAY_PLAIN] = "plain\n", [WAY_SPECIAL] = "special\n"};

enum way tune_recall(const struct cl_device *d, const char *what, enum dtype dtype, int class,
		     char path[FILES_PATH_MAX])
{
	char *data = NULL;
	enum way way = WAY_UNKNOWN;
	path[0] = '\0';
	if (tuning_path(d, what, dtype, class, path, NULL) != SUMI_OK)
		path[0] = '\0';
	else if (files_read(path, 80, &data, NULL, NULL) == SUMI_OK)
		way = strcmp(data, ways[WAY_PLAIN]) == 0     ? WAY_PLAIN
		      : strcmp(data, ways[WAY_SPECIAL]) == 0 ? WAY_SPECIAL
							     : WAY_UNKNOWN;
	free(data);
	return way;
}

enum way tune_choose(struct cl_device *d, int64_t (*time)(struct cl_device *, void *, enum way),
		     void *trial, const char *path)
{
	enum way best = WAY_UNKNOWN;
	int64_t shortest = -1;
	for (enum way way = WAY_PLAIN; way <= WAY_SPECIAL; way++) {
		int64_t us = time(d, trial, way);
		if (us >= 0 && (shortest < 0 || us < shortest)) {
			shortest = us;
			best = way;
		}
	}
	if (best == WAY_UNKNOWN)
		return WAY_PLAIN;
	if (path[0])
		save(path, ways[best]);
	return best;
}

/* The trial: y [rows, cols] = x [rows, depth]·wᵀ, or with kernel 3 the convolution of a square
 * picture of rows pixels. */
struct trial {
	enum dtype dtype; /* of x, w and y */
	int rows, cols, depth, side, kernel;
	void *x, *w, *y;
	struct buffer *x_buffer, *y_buffer;
	struct weight *weight;
	struct gemm_job job;
};

/* How far a result may lie from the sum in double: `own` as a share of it (a linear layer's
 * sums are exact in float, see tune_value(), so only the rounding of the result is left), `all` as
 * a share of the results' root mean square (Winograd's transforms round before they add). */
static const struct {
	double own, all;
} tolerances[TUNE_DTYPES] = {[DTYPE_F32] = {1e-6, 2e-5}, [DTYPE_F16] = {5e-4, 1e-2}};

static void trial_free(struct cl_device *d, struct trial *t)
{
	cl_weight_free(&d->base, t->weight);
	cl_buffer_free(d, t->y_buffer);
	cl_buffer_free(d, t->x_buffer);
	free(t->x);
	free(t->w);
	free(t->y);
}

enum { SEED_X = 1, SEED_W = 77777 };

static int trial_new(struct cl_device *d, enum dtype dtype, int class, int kernel, struct trial *t,
		     struct error *err)
{
	const struct tune_class *c = d->base.info.is_cpu ? &on_cpu : &classes[class];
	*t = (struct trial){.dtype = dtype, .kernel = kernel, .rows = c->rows, .side = 1};
	t->cols = kernel == 3 ? c->channels : c->cols;
	t->depth = kernel == 3 ? c->channels : c->depth;
	if (kernel == 3) {
		t->side = c->side;
		t->rows = c->side * c->side;
	}
	size_t unit = dtype_size(dtype), x_size = (size_t)t->rows * (size_t)t->depth;
	size_t y_size = (size_t)t->rows * (size_t)t->cols;
	t->x = tune_values(x_size, dtype, SEED_X);
	t->w = tune_values((size_t)t->cols * (size_t)t->depth * (size_t)(kernel * kernel), dtype,
			   SEED_W);
	t->y = malloc(y_size * unit);
	if (!t->x || !t->w || !t->y)
		return error_set(err, SUMI_NOMEM, "no memory for the tuner's matrices");
	struct weight_desc desc = {
	    .data = t->w, .dtype = dtype, .cout = t->cols, .cin = t->depth, .kernel = kernel};
	int status = cl_buffer_new(d, x_size * unit, &t->x_buffer, err);
	if (status || (status = cl_buffer_new(d, y_size * unit, &t->y_buffer, err)) ||
	    (status = cl_buffer_write(d, t->x_buffer, 0, t->x, x_size * unit, err)) ||
	    (status = cl_weight_new(&d->base, &desc, &t->weight, err)))
		return status;
	struct tensor x = {.buffer = t->x_buffer, .n = 1, .dtype = dtype};
	x.h = t->side;
	x.w = t->rows / t->side;
	struct tensor y = x;
	x.c = x.ld = t->depth;
	y.buffer = t->y_buffer;
	y.c = y.ld = t->cols;
	t->job = (struct gemm_job){.x = x, .y = y, .weight = t->weight, .stride = 1};
	t->job.side = kernel;
	t->job.padding = kernel / 2;
	return SUMI_OK;
}

/* One output of the trial in double. */
static double oracle(const struct trial *t, int row, int column)
{
	int wide = t->rows / t->side, border = t->kernel / 2;
	double sum = 0;
	for (int tap = 0; tap < t->kernel * t->kernel; tap++) {
		int y = row / wide + tap / t->kernel - border;
		int x = row % wide + tap % t->kernel - border;
		if (y < 0 || y >= t->side || x < 0 || x >= wide)
			continue;
		size_t pixel = (size_t)(y * wide + x) * (size_t)t->depth;
		size_t weight = (size_t)column * (size_t)t->depth;
		for (size_t k = 0; k < (size_t)t->depth; k++)
			sum += (double)tune_value(pixel + k, SEED_X) *
			       (double)tune_value((weight + k) * (size_t)(t->kernel * t->kernel) +
						      (size_t)tap,
						  SEED_W);
	}
	return sum;
}

/* Compares outputs spread over the whole of y with sums in double. */
static bool trial_right(struct cl_device *d, struct trial *t)
{
	size_t y_size = (size_t)t->rows * (size_t)t->cols, cols = (size_t)t->cols;
	size_t bytes = y_size * dtype_size(t->dtype);
	double rms = sqrt((double)(t->kernel * t->kernel * t->depth)) / 12;
	double slack = t->kernel == 3 ? tolerances[t->dtype].all * rms : 1e-6;
	if (cl_buffer_read(d, t->y_buffer, 0, t->y, bytes, NULL) != SUMI_OK)
		return false;
	for (size_t s = 0; s < SAMPLES; s++) {
		size_t at = s == 0 ? y_size - 1 : (y_size / SAMPLES * s + 7 * s) % y_size;
		double want = oracle(t, (int)(at / cols), (int)(at % cols));
		double got = t->dtype == DTYPE_F32 ? (double)((float *)t->y)[at]
						   : (double)half_to_float(((uint16_t *)t->y)[at]);
		if (!(fabs(got - want) <= tolerances[t->dtype].own * fabs(want) + slack))
			return false;
	}
	return true;
}

/* What is tried: a tile, or one of the ways of a convolution. */
static int attempt(struct cl_device *d, const struct trial *t, const struct gemm_tile *tile,
		   enum way way)
{
	if (tile)
		return gemm_enqueue_tile(d, &t->job, tile, NULL);
	return way == WAY_SPECIAL ? winograd_enqueue_gpu(d, &t->job, NULL)
				  : gemm_enqueue(d, &t->job, NULL);
}

/* Microseconds of the fastest of a few runs; negative: wrong, or not possible. */
static int64_t trial_time(struct cl_device *d, struct trial *t, const struct gemm_tile *tile,
			  enum way way)
{
	int64_t best = -1;
	int launches = d->base.info.is_cpu ? 1 : TUNE_BATCH;
	size_t bytes = (size_t)t->rows * (size_t)t->cols * dtype_size(t->dtype);
	memset(t->y, 0xff, bytes); /* NaN: what is not written is wrong */
	if (cl_buffer_write(d, t->y_buffer, 0, t->y, bytes, NULL) != SUMI_OK ||
	    attempt(d, t, tile, way) != SUMI_OK || !trial_right(d, t))
		return -1;
	for (int i = 0; i < TUNE_REPEATS; i++) {
		int64_t begin = clock_mono_us();
		for (int j = 0; j < launches; j++)
			if (attempt(d, t, tile, way) != SUMI_OK)
				return -1;
		if (clFinish(d->queue))
			return -1;
		int64_t time = clock_mono_us() - begin;
		if (best < 0 || time < best)
			best = time;
	}
	return best;
}

/* Matrix instructions round otherwise than the plain kernel, while tiles of one kind all add in
 * the same order. So one class of sizes decides for all, and a picture's bytes do not depend on
 * how many are computed at once. */
#define DECIDING_CLASS 2

static bool is_decided(const struct cl_device *d, enum dtype dtype, int class)
{
	return class != DECIDING_CLASS && dtype == DTYPE_F16 && d->quirks.mma;
}

static struct gemm_tile tile_of(struct cl_device *d, enum dtype dtype, int class);

static struct gemm_tile try_tiles(struct cl_device *d, enum dtype dtype, int class)
{
	struct gemm_tile best = default_tile(d, dtype), tile;
	char path[FILES_PATH_MAX] = "", text[80];
	struct trial trial = {0};
	int64_t shortest = -1;
	if (!tune_wanted(d))
		return best;
	bool decided = is_decided(d, dtype, class);
	if (decided)
		best = tile_of(d, dtype, DECIDING_CLASS);
	bool mma = best.mma;
	if (tuning_path(d, "gemm", dtype, class, path, NULL) == SUMI_OK &&
	    load(d, dtype, path, &tile) && !(decided && tile.mma != mma))
		return tile;
	if (trial_new(d, dtype, class, 1, &trial, NULL) == SUMI_OK)
		for (int i = 0; candidate(d, dtype, i, &tile); i++) {
			if (d->base.info.is_cpu && i > CANDIDATES_ON_CPU)
				break;
			if (decided && tile.mma != mma)
				continue;
			int64_t time = trial_time(d, &trial, &tile, WAY_UNKNOWN);
			if (time >= 0 && (shortest < 0 || time < shortest)) {
				shortest = time;
				best = tile;
			}
		}
	trial_free(d, &trial);
	tile_text(&best, text);
	if (shortest >= 0 && path[0])
		save(path, text);
	return best;
}

static int64_t conv_time(struct cl_device *d, void *trial, enum way way)
{
	return trial_time(d, trial, NULL, way);
}

static enum way try_ways(struct cl_device *d, enum dtype dtype, int class)
{
	char path[FILES_PATH_MAX];
	struct trial trial = {0};
	if (!tune_wanted(d))
		return WAY_PLAIN;
	enum way best = tune_recall(d, "conv", dtype, class, path);
	if (best != WAY_UNKNOWN)
		return best;
	best = WAY_PLAIN;
	if (trial_new(d, dtype, class, 3, &trial, NULL) == SUMI_OK)
		best = tune_choose(d, conv_time, &trial, path);
	trial_free(d, &trial);
	return best;
}

static enum dtype dtype_of(const struct gemm_job *job)
{
	return job->x.dtype == DTYPE_F16 ? DTYPE_F16 : DTYPE_F32;
}

/* Of products of so many pictures. */
static int class_of(const struct gemm_job *job, int pictures)
{
	size_t outputs =
	    (size_t)pictures * (size_t)job->y.h * (size_t)job->y.w * (size_t)job->weight->head.cout;
	int class = 0;
	while (outputs > classes[class].outputs)
		class ++;
	return class;
}

static struct gemm_tile tile_of(struct cl_device *d, enum dtype dtype, int class)
{
	struct gemm_tile *tile = &d->gemm_tiles[dtype][class];
	if (!tile->m)
		*tile = try_tiles(d, dtype, class);
	return *tile;
}

struct gemm_tile tune_gemm(struct cl_device *d, const struct gemm_job *job)
{
	return tile_of(d, dtype_of(job), class_of(job, job->y.n));
}

bool tune_winograd(struct cl_device *d, const struct gemm_job *job)
{
	int class = class_of(job, 1); /* the ways round differently: see DECIDING_CLASS */
	unsigned char *way = &d->conv_ways[dtype_of(job)][class];
	if (d->quirks.winograd_forced)
		return true;
	if (*way == WAY_UNKNOWN)
		*way = (unsigned char)try_ways(d, dtype_of(job), class);
	return *way == WAY_SPECIAL;
}

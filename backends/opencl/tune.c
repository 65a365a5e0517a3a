/* The tuner: tries a few tiles of the GPU's matrix product on the device, throws away those
 * whose results are wrong, and remembers the fastest in the cache directory.
 *
 * The file is cache/tuning/<key>, the key being the SHA-256 of the kernel's source and the
 * device's and driver's names; it holds the tile as five numbers. A file that does not name
 * one of the candidates is made anew. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/matrix.h"
#include "base/clock.h"
#include "base/embed.h"
#include "base/hash.h"

#define FILE_NAME "gemm_gpu.cl"
#define REPEATS 3
#define SAMPLES 64 /* outputs that are compared with the oracle's */

/* After the kernel's own default, which comes first. */
static const struct gemm_tile candidates[] = {
    {.m = 32, .n = 64, .k = 16, .item_m = 4, .item_n = 4},
    {.m = 128, .n = 128, .k = 16, .item_m = 8, .item_n = 8},
    {.m = 128, .n = 64, .k = 16, .item_m = 8, .item_n = 4},
    {.m = 64, .n = 64, .k = 32, .item_m = 4, .item_n = 4},
};

/* A CPU that plays a GPU compiles for ten seconds a candidate: it tries one. */
static int candidates_of(const struct cl_device *d)
{
	return d->base.info.is_cpu ? 1 : CL_COUNT(candidates);
}

static struct gemm_tile default_tile(void)
{
	return (struct gemm_tile){
	    .m = matrix_constant(FILE_NAME, "GEMM_M"),
	    .n = matrix_constant(FILE_NAME, "GEMM_N"),
	    .k = matrix_constant(FILE_NAME, "GEMM_K"),
	    .item_m = matrix_constant(FILE_NAME, "ITEM_M"),
	    .item_n = matrix_constant(FILE_NAME, "ITEM_N"),
	};
}

static struct gemm_tile candidate(int i)
{
	return i == 0 ? default_tile() : candidates[i - 1];
}

static void tile_text(const struct gemm_tile *t, char out[80])
{
	snprintf(out, 80, "%d %d %d %d %d\n", t->m, t->n, t->k, t->item_m, t->item_n);
}

static int tuning_path(const struct cl_device *d, char path[FILES_PATH_MAX], struct error *err)
{
	const char *source = embedded_text(embedded_kernels, FILE_NAME);
	char cache[FILES_PATH_MAX], hex[SHA256_HEX_SIZE], sum[SHA256_HEX_SIZE], text[512];
	int status = files_cache_dir(cache, err);
	if (status)
		return status;
	sha256_hex(source, strlen(source), sum);
	snprintf(text, sizeof text, "%s\n%s\n%s\n%s", sum, d->base.info.name, d->base.info.driver,
		 d->base.info.platform);
	sha256_hex(text, strlen(text), hex);
	return files_path(path, err, "%s/tuning/%s", cache, hex);
}

static bool load(const char *path, struct gemm_tile *tile)
{
	char *data = NULL, text[80];
	if (files_read(path, sizeof text, &data, NULL, NULL) != SUMI_OK)
		return false;
	bool found = false;
	for (int i = 0; i <= CL_COUNT(candidates) && !found; i++) {
		*tile = candidate(i);
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

/* The trial: y [rows, cols] = x [rows, depth]·wᵀ, all f32 on the host. */
struct trial {
	int rows, cols, depth;
	float *x, *w, *y;
	struct buffer *x_buffer, *y_buffer;
	struct weight *weight;
	struct gemm_job job;
};

static void trial_free(struct cl_device *d, struct trial *t)
{
	cl_weight_free(&d->base, t->weight);
	cl_buffer_free(d, t->y_buffer);
	cl_buffer_free(d, t->x_buffer);
	free(t->x);
	free(t->w);
	free(t->y);
}

/* Numbers between -1/2 and 1/2 that are the same everywhere. */
static void fill(float *out, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525u + 1013904223u;
		out[i] = (float)(seed >> 8) / 16777216.0f - 0.5f;
	}
}

static int trial_new(struct cl_device *d, struct trial *t, struct error *err)
{
	/* Sizes that no tile divides, small ones for a CPU that plays a GPU. */
	*t = (struct trial){.rows = d->base.info.is_cpu ? 150 : 2000,
			    .cols = d->base.info.is_cpu ? 140 : 1000,
			    .depth = d->base.info.is_cpu ? 90 : 600};
	size_t x_size = (size_t)t->rows * (size_t)t->depth;
	size_t w_size = (size_t)t->cols * (size_t)t->depth;
	size_t y_size = (size_t)t->rows * (size_t)t->cols;
	t->x = malloc(x_size * sizeof(float));
	t->w = malloc(w_size * sizeof(float));
	t->y = malloc(y_size * sizeof(float));
	if (!t->x || !t->w || !t->y)
		return error_set(err, SUMI_NOMEM, "no memory for the tuner's matrices");
	fill(t->x, x_size, 1);
	fill(t->w, w_size, 2);
	struct weight_desc desc = {
	    .data = t->w, .dtype = DTYPE_F32, .cout = t->cols, .cin = t->depth, .kernel = 1};
	int status = cl_buffer_new(d, x_size * sizeof(float), &t->x_buffer, err);
	if (status || (status = cl_buffer_new(d, y_size * sizeof(float), &t->y_buffer, err)) ||
	    (status = cl_buffer_write(d, t->x_buffer, 0, t->x, x_size * sizeof(float), err)) ||
	    (status = cl_weight_new(&d->base, &desc, &t->weight, err)))
		return status;
	t->job = (struct gemm_job){
	    .x = {.buffer = t->x_buffer,
		  .n = 1,
		  .h = 1,
		  .w = t->rows,
		  .c = t->depth,
		  .ld = t->depth},
	    .y = {.buffer = t->y_buffer, .n = 1, .h = 1, .w = t->rows, .c = t->cols, .ld = t->cols},
	    .weight = t->weight,
	    .side = 1,
	    .stride = 1,
	};
	return SUMI_OK;
}

/* Compares outputs spread over the whole of y with sums in double. */
static bool trial_right(struct cl_device *d, struct trial *t)
{
	size_t y_size = (size_t)t->rows * (size_t)t->cols;
	if (cl_buffer_read(d, t->y_buffer, 0, t->y, y_size * sizeof(float), NULL) != SUMI_OK)
		return false;
	for (int s = 0; s < SAMPLES; s++) {
		size_t at =
		    s == SAMPLES - 1 ? y_size - 1 : y_size / SAMPLES * (size_t)s + (size_t)(7 * s);
		const float *x = t->x + at / (size_t)t->cols * (size_t)t->depth;
		const float *w = t->w + at % (size_t)t->cols * (size_t)t->depth;
		double want = 0;
		for (int k = 0; k < t->depth; k++)
			want += (double)x[k] * (double)w[k];
		if (!(fabs((double)t->y[at] - want) < 1e-4))
			return false;
	}
	return true;
}

/* Microseconds of the fastest of a few runs; negative: wrong, or not possible. */
static int64_t trial_time(struct cl_device *d, struct trial *t, const struct gemm_tile *tile)
{
	int64_t best = -1;
	size_t y_size = (size_t)t->rows * (size_t)t->cols;
	memset(t->y, 0xff, y_size * sizeof(float)); /* NaN: what is not written is wrong */
	if (cl_buffer_write(d, t->y_buffer, 0, t->y, y_size * sizeof(float), NULL) != SUMI_OK ||
	    gemm_enqueue_tile(d, &t->job, tile, NULL) != SUMI_OK || !trial_right(d, t))
		return -1;
	for (int i = 0; i < REPEATS; i++) {
		int64_t begin = clock_mono_us();
		if (gemm_enqueue_tile(d, &t->job, tile, NULL) != SUMI_OK || clFinish(d->queue))
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

struct gemm_tile tune_gemm(struct cl_device *d)
{
	struct gemm_tile best = default_tile();
	char path[FILES_PATH_MAX] = "";
	struct trial trial = {0};
	int64_t shortest = -1;
	if (!wanted(d) || (tuning_path(d, path, NULL) == SUMI_OK && load(path, &best)))
		return best;
	best = default_tile();
	if (trial_new(d, &trial, NULL) == SUMI_OK)
		for (int i = 0; i <= candidates_of(d); i++) {
			struct gemm_tile tile = candidate(i);
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

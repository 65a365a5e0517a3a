/* The tuner's trial of attention: matrix instructions against the plain kernel. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/tune.h"
#include "base/clock.h"
#include "base/half.h"

#define SAMPLES 32 /* outputs that are compared with the oracle's */
#define DIM 40     /* channels of a head: those of Stable Diffusion 1.5's largest maps */
#define SCALE 3.0f /* scores with a deviation of 1.6: some keys matter more than others */

enum { SEED_Q = 1, SEED_K = 7777, SEED_V = 99999 };

/* y [tokens, heads·DIM] from q, k, v of the same shape, all f16. */
struct trial {
	int tokens, heads;
	struct buffer *q, *k, *v, *y;
	uint16_t *result;
	struct attention_args args;
};

static size_t count(const struct trial *t)
{
	return (size_t)t->tokens * (size_t)t->heads * DIM;
}

static void trial_free(struct cl_device *d, struct trial *t)
{
	cl_buffer_free(d, t->y);
	cl_buffer_free(d, t->v);
	cl_buffer_free(d, t->k);
	cl_buffer_free(d, t->q);
	free(t->result);
}

static int make(struct cl_device *d, const struct trial *t, uint32_t seed, struct buffer **out,
		struct error *err)
{
	size_t bytes = count(t) * sizeof(uint16_t);
	int status = cl_buffer_new(d, bytes, out, err);
	if (status || seed == 0)
		return status;
	void *data = tune_values(count(t), DTYPE_F16, seed);
	status = data ? cl_buffer_write(d, *out, 0, data, bytes, err)
		      : error_set(err, SUMI_NOMEM, "no memory for the tuner's matrices");
	free(data);
	return status;
}

static struct tensor tokens_of(const struct trial *t, struct buffer *b)
{
	return (struct tensor){.buffer = b,
			       .n = 1,
			       .h = 1,
			       .w = t->tokens,
			       .c = t->heads * DIM,
			       .ld = t->heads * DIM,
			       .dtype = DTYPE_F16};
}

static int trial_new(struct cl_device *d, struct trial *t, struct error *err)
{
	int status;
	t->tokens = d->base.info.is_cpu ? 70 : 2000; /* no tile divides them */
	t->heads = d->base.info.is_cpu ? 1 : 8;
	t->result = malloc(count(t) * sizeof(uint16_t));
	if (!t->result)
		return error_set(err, SUMI_NOMEM, "no memory for the tuner's matrices");
	if ((status = make(d, t, SEED_Q, &t->q, err)) ||
	    (status = make(d, t, SEED_K, &t->k, err)) ||
	    (status = make(d, t, SEED_V, &t->v, err)) || (status = make(d, t, 0, &t->y, err)))
		return status;
	t->args = (struct attention_args){.q = tokens_of(t, t->q),
					  .k = tokens_of(t, t->k),
					  .v = tokens_of(t, t->v),
					  .y = tokens_of(t, t->y),
					  .heads = t->heads,
					  .scale = SCALE};
	return SUMI_OK;
}

/* Channel c of a row, in double. */
static double oracle(const struct trial *t, size_t row, size_t c)
{
	size_t wide = (size_t)t->heads * DIM, head = c / DIM * DIM;
	double sum = 0, weights = 0;
	for (size_t key = 0; key < (size_t)t->tokens; key++) {
		double score = 0;
		for (size_t i = head; i < head + DIM; i++)
			score += (double)tune_value(row * wide + i, SEED_Q) *
				 (double)tune_value(key * wide + i, SEED_K);
		double weight = exp(score * (double)SCALE); /* |score| ≤ 10: no overflow */
		weights += weight;
		sum += weight * (double)tune_value(key * wide + c, SEED_V);
	}
	return sum / weights;
}

/* Results are means of values up to 1/2; weights in f16 move them by about 1e-5. */
static bool trial_right(struct cl_device *d, struct trial *t)
{
	size_t n = count(t), wide = (size_t)t->heads * DIM;
	if (cl_buffer_read(d, t->y, 0, t->result, n * sizeof(uint16_t), NULL) != SUMI_OK)
		return false;
	for (size_t s = 0; s < SAMPLES; s++) {
		size_t at = s == 0 ? n - 1 : (n / SAMPLES * s + 7 * s) % n;
		double got = (double)half_to_float(t->result[at]);
		if (!(fabs(got - oracle(t, at / wide, at % wide)) < 3e-4))
			return false;
	}
	return true;
}

/* Microseconds of the fastest of a few runs; negative: wrong, or not possible. */
static int64_t trial_time(struct cl_device *d, void *trial, enum way way)
{
	struct trial *t = trial;
	int64_t best = -1;
	size_t bytes = count(t) * sizeof(uint16_t);
	bool matrix = way == WAY_SPECIAL;
	memset(t->result, 0xff, bytes); /* NaN: what is not written is wrong */
	if (cl_buffer_write(d, t->y, 0, t->result, bytes, NULL) != SUMI_OK ||
	    attention_gpu(d, &t->args, matrix, NULL) != SUMI_OK || !trial_right(d, t))
		return -1;
	for (int i = 0; i < TUNE_REPEATS; i++) {
		int64_t begin = clock_mono_us();
		for (int j = 0; j < TUNE_BATCH; j++)
			if (attention_gpu(d, &t->args, matrix, NULL) != SUMI_OK)
				return -1;
		if (clFinish(d->queue))
			return -1;
		int64_t time = clock_mono_us() - begin;
		if (best < 0 || time < best)
			best = time;
	}
	return best;
}

static enum way try_ways(struct cl_device *d)
{
	char path[FILES_PATH_MAX];
	struct trial trial = {0};
	if (!tune_wanted(d))
		return d->quirks.mma_emulated ? WAY_SPECIAL : WAY_PLAIN;
	enum way best = tune_recall(d, "attention", DTYPE_F16, 0, path);
	if (best != WAY_UNKNOWN)
		return best;
	best = WAY_PLAIN;
	if (trial_new(d, &trial, NULL) == SUMI_OK)
		best = tune_choose(d, trial_time, &trial, path);
	trial_free(d, &trial);
	return best;
}

bool tune_attention(struct cl_device *d)
{
	if (d->attention_way == WAY_UNKNOWN)
		d->attention_way = (unsigned char)try_ways(d);
	return d->attention_way == WAY_SPECIAL;
}

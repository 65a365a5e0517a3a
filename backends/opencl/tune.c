/* The tuner. What was chosen for an operation, a dtype of activations and a class of sizes is
 * kept as cache/tuning/<key>, the key being the SHA-256 of the kernels' sources, the device's and
 * driver's names, the operation, the dtype and the class; the file holds the row's name. A file
 * that names no possible row is made anew. */
#include "backends/opencl/tune.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/embed.h"
#include "base/files.h"
#include "base/half.h"
#include "base/hash.h"

#define REPEATS 3
#define BATCH 8 /* launches of a timed run: one alone is mostly the driver's time */
#define NAME_LIMIT 80

/* A CPU that plays a GPU compiles ten seconds for a row: it tries the first and one more. */
#define ROWS_ON_CPU 2

/* Is there to be a trial at all? Drivers' simulators gain nothing from one; SUMI_TUNE=1 and 0
 * decide otherwise. */
static bool tune_wanted(const struct cl_device *d)
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

/* All kernels' sources as one hash: a change of any tries again. */
static void sources_hash(char hex[SHA256_HEX_SIZE])
{
	char both[2 * SHA256_HEX_SIZE];
	memset(hex, '0', SHA256_HEX_SIZE - 1);
	hex[SHA256_HEX_SIZE - 1] = '\0';
	for (const struct embedded_file *f = embedded_kernels; f->name; f++) {
		memcpy(both, hex, SHA256_HEX_SIZE - 1);
		sha256_hex(f->text, f->size, both + SHA256_HEX_SIZE - 1);
		sha256_hex(both, 2 * (SHA256_HEX_SIZE - 1), hex);
	}
}

static int tuning_path(const struct cl_device *d, const char *what, enum dtype dtype, int class,
		       char path[FILES_PATH_MAX], struct error *err)
{
	const struct device_info *info = &d->base.info;
	char cache[FILES_PATH_MAX], hex[SHA256_HEX_SIZE];
	char text[sizeof info->name + sizeof info->driver + sizeof info->platform + 256];
	int status = files_cache_dir(cache, err);
	if (status)
		return status;
	sources_hash(hex);
	int used = snprintf(text, sizeof text, "%s\n%s\n%s\n%s %s %d\n%s\n", info->name,
			    info->driver, info->platform, what, cl_dtype_word(dtype), class, hex);
	if (used < 0 || (size_t)used >= sizeof text)
		return error_set(err, SUMI_INTERNAL, "the tuner's key of %s is too long", what);
	sha256_hex(text, (size_t)used, hex);
	return files_path(path, err, "%s/tuning/%s", cache, hex);
}

/* Not being able to keep the result costs the trial again at the next start: silent. */
static void save(const char *path, const char *name)
{
	char folder[FILES_PATH_MAX], text[NAME_LIMIT];
	snprintf(folder, sizeof folder, "%s", path);
	*strrchr(folder, '/') = '\0';
	int n = snprintf(text, sizeof text, "%s\n", name);
	if (files_make_dirs(folder, 0700, NULL) == SUMI_OK)
		files_write_own(path, text, (size_t)n, NULL);
}

/* The row of op that the file names, or -1. */
static int recall(const struct tuned *op, const char *path)
{
	char *data = NULL;
	int found = -1;
	if (files_read_own(path, NAME_LIMIT, &data, NULL, NULL) != SUMI_OK)
		return -1;
	size_t n = strcspn(data, "\n");
	for (int i = 0; i < op->count && found < 0; i++)
		if (strlen(op->rows[i].name) == n && strncmp(data, op->rows[i].name, n) == 0 &&
		    strcmp(data + n, "\n") == 0)
			found = i;
	free(data);
	return found;
}

/* What a file of tune_tried() says. */
enum { UNTRIED, RIGHT, WRONG, TRYING, AGAIN, VERDICTS };
static const char *const verdicts[] = {"", "right", "wrong", "trying", "again"};

/* Who tries is named behind TRYING and AGAIN: *alive, whether he still does. */
static int verdict_read(const char *path, bool *alive)
{
	char *data = NULL, word[16] = "";
	long pid = 0;
	int found = UNTRIED;
	if (files_read_own(path, NAME_LIMIT, &data, NULL, NULL) != SUMI_OK)
		return UNTRIED;
	if (sscanf(data, "%15s %ld", word, &pid) >= 1)
		for (int i = RIGHT; i < VERDICTS; i++)
			if (strcmp(word, verdicts[i]) == 0)
				found = i;
	*alive = pid > 0 && kill((pid_t)pid, 0) == 0;
	free(data);
	return found;
}

bool tune_tried(struct cl_device *d, const char *what, trial_call trial, const void *how)
{
	char path[FILES_PATH_MAX], text[NAME_LIMIT];
	bool alive = false;
	if (tuning_path(d, what, DTYPE_F32, d->quirks.lanes, path, NULL) != SUMI_OK)
		return trial(d, how) == TRIAL_RIGHT;
	int known = verdict_read(path, &alive);
	if (known == RIGHT || known == WRONG)
		return known == RIGHT;
	if (known == AGAIN && !alive) {
		save(path, verdicts[WRONG]);
		return false;
	}
	snprintf(text, sizeof text, "%s %ld", verdicts[known == TRYING && !alive ? AGAIN : TRYING],
		 (long)getpid());
	save(path, text);
	enum trial_result result = trial(d, how);
	if (result == TRIAL_FAILED)
		unlink(path);
	else
		save(path, verdicts[result == TRIAL_RIGHT ? RIGHT : WRONG]);
	return result == TRIAL_RIGHT;
}

/* Microseconds of the fastest of a few runs; negative: wrong, or not possible. */
static int64_t row_time(struct cl_device *d, const struct trial *t, const struct variant *row)
{
	int64_t best = -1;
	int launches = d->base.info.is_cpu ? 1 : BATCH;
	void *y = malloc(t->bytes);
	if (!y)
		return -1;
	memset(y, 0xff, t->bytes); /* NaN: what is not written is wrong */
	bool right = cl_buffer_write(d, t->y, 0, y, t->bytes, NULL) == SUMI_OK &&
		     variant_run(row, d, t->job, NULL) == SUMI_OK &&
		     cl_buffer_read(d, t->y, 0, y, t->bytes, NULL) == SUMI_OK && t->right(t, y);
	free(y);
	for (int i = 0; i < REPEATS && right; i++) {
		int64_t begin = clock_mono_us();
		for (int j = 0; j < launches; j++)
			if (variant_run(row, d, t->job, NULL) != SUMI_OK)
				return -1;
		if (clFinish(d->queue))
			return -1;
		int64_t time = clock_mono_us() - begin;
		if (best < 0 || time < best)
			best = time;
	}
	return best;
}

/* The rows that a job may take, as a mask; rounding NULL: of any. */
static unsigned long candidates(const struct cl_device *d, const struct tuned *op, const void *job,
				const enum rounding *rounding)
{
	unsigned long mask = 0;
	int n = 0;
	for (int i = 0; i < op->count; i++)
		if (variant_possible(&op->rows[i], d, job) &&
		    (!rounding || op->rows[i].rounding == *rounding) &&
		    (!d->base.info.is_cpu || n++ < ROWS_ON_CPU))
			mask |= 1ul << i;
	return mask;
}

/* Do the possible rows round in more than one way? */
static bool has_roundings(const struct cl_device *d, const struct tuned *op, const void *job)
{
	for (int i = 1; i < op->count; i++)
		if (op->rows[i].rounding != op->rows[0].rounding &&
		    variant_possible(&op->rows[i], d, job))
			return true;
	return false;
}

/* The fastest of the rows in mask that are right, or -1. */
static int fastest(struct cl_device *d, const struct tuned *op, const struct trial *t,
		   unsigned long mask)
{
	int best = -1;
	int64_t shortest = 0;
	for (int i = 0; i < op->count; i++) {
		int64_t us = mask >> i & 1 ? row_time(d, t, &op->rows[i]) : -1;
		if (us >= 0 && (best < 0 || us < shortest)) {
			shortest = us;
			best = i;
		}
	}
	return best;
}

/* Without a trial: the first row, or the first of the instruction that is emulated. */
static int untried(const struct cl_device *d, const struct tuned *op, const void *job)
{
	for (int i = 0; d->quirks.mma_emulated && i < op->count; i++)
		if (op->rows[i].rounding == ROUNDING_MATRIX &&
		    variant_possible(&op->rows[i], d, job))
			return i;
	return 0;
}

static int choose(struct cl_device *d, const struct tuned *op, enum dtype dtype, int class,
		  const void *job)
{
	char path[FILES_PATH_MAX] = "";
	struct trial *t = NULL;
	int best = untried(d, op, job);
	const enum rounding *rounding = NULL;
	if (!tune_wanted(d))
		return best;
	if (op->deciding_class >= 0 && class != op->deciding_class && has_roundings(d, op, job)) {
		const struct variant *row = tune_choose(d, op, dtype, op->deciding_class, job);
		rounding = &row->rounding;
		best = (int)(row - op->rows);
	}
	if (tuning_path(d, op->name, dtype, class, path, NULL) != SUMI_OK)
		path[0] = '\0';
	int known = path[0] ? recall(op, path) : -1;
	if (known >= 0 && variant_possible(&op->rows[known], d, job) &&
	    (!rounding || op->rows[known].rounding == *rounding))
		return known;
	int found = -1;
	if (op->trial_new(d, dtype, class, &t, NULL) == SUMI_OK)
		found = fastest(d, op, t, candidates(d, op, t->job, rounding));
	if (t)
		t->free(d, t);
	if (found >= 0 && path[0])
		save(path, op->rows[found].name);
	return found >= 0 ? found : best;
}

const struct variant *tune_choose(struct cl_device *d, const struct tuned *op, enum dtype dtype,
				  int class, const void *job)
{
	unsigned char *kept = &d->tuned[op->slot][dtype][class];
	if (!*kept)
		*kept = (unsigned char)(1 + choose(d, op, dtype, class, job));
	return &op->rows[*kept - 1];
}

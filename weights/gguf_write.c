/* Writing GGUF, version 3 (github.com/ggml-org/ggml, docs/gguf.md). */
#include "weights/gguf_write.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/half.h"

enum {
	VERSION = 3,
	ALIGNMENT = 32, /* where nothing else is said */
	TYPE_F32 = 0,
	TYPE_F16 = 1,
	DIMENSIONS_MAX = 4,
	LEAST = 1024, /* elements below which rounding saves nothing */
};

#define HALF_MOST 65504.0f

struct writer {
	const struct weights *source;
	const struct quantiser *q;
	FILE *out;
	struct gguf_report *report;
	struct error *err;
};

static void put(FILE *out, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		fputc((int)(value >> (8 * i) & 0xFF), out);
}

static size_t numbers_of(const struct weight_tensor *e)
{
	return e->bytes / dtype_size(e->dtype);
}

/* What e is rounded to; NULL: it stays a number each. */
static const struct quantiser *quantiser_of(const struct writer *w, const struct weight_tensor *e)
{
	if (e->rank != 2 || numbers_of(e) < LEAST)
		return NULL;
	return quantiser_for_rows(w->q, (size_t)e->shape[1]);
}

static uint32_t type_of(const struct writer *w, const struct weight_tensor *e)
{
	const struct quantiser *q = quantiser_of(w, e);
	return q ? q->gguf : e->rank < 2 ? TYPE_F32 : TYPE_F16;
}

static uint64_t bytes_of(const struct writer *w, const struct weight_tensor *e)
{
	uint64_t n = numbers_of(e);
	const struct quantiser *q = quantiser_of(w, e);
	return q ? format_row_bytes(q->dtype, n) : e->rank < 2 ? 4 * n : 2 * n;
}

/* Blocks and halves hold no larger numbers. */
static int check_numbers(const struct writer *w, const struct weight_tensor *e, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!(fabsf(x[i]) <= HALF_MOST))
			return error_set(w->err, SUMI_INVALID,
					 "tensor '%.100s' holds %g as number %zu: half precision ends at %g",
					 e->name, (double)x[i], i, (double)HALF_MOST);
	return SUMI_OK;
}

static uint64_t aligned(uint64_t bytes)
{
	return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* What is no weight (counters, position_ids) stays behind. */
static bool wanted(const struct weight_tensor *e)
{
	return e->usable;
}

static int check(const struct writer *w)
{
	for (size_t i = 0; i < weights_tensors(w->source); i++) {
		const struct weight_tensor *e = weights_at(w->source, i);
		if (wanted(e) && e->rank > DIMENSIONS_MAX)
			return error_set(w->err, SUMI_UNSUPPORTED,
					 "tensor '%.100s' has %d dimensions, GGUF has %d", e->name, e->rank,
					 DIMENSIONS_MAX);
	}
	return SUMI_OK;
}

static void put_head(const struct writer *w, size_t count)
{
	uint64_t at = 0;
	fputs("GGUF", w->out);
	put(w->out, VERSION, 4);
	put(w->out, count, 8);
	put(w->out, 0, 8); /* keys */
	for (size_t i = 0; i < weights_tensors(w->source); i++) {
		const struct weight_tensor *e = weights_at(w->source, i);
		if (!wanted(e))
			continue;
		put(w->out, strlen(e->name), 8);
		fputs(e->name, w->out);
		int rank = e->rank ? e->rank : 1;
		put(w->out, (uint64_t)rank, 4);
		for (int k = rank - 1; k >= 0; k--) /* innermost first */
			put(w->out, e->rank ? (uint64_t)e->shape[k] : 1, 8);
		put(w->out, type_of(w, e), 4);
		put(w->out, at, 8);
		at += aligned(bytes_of(w, e));
	}
	for (long here = ftell(w->out); here % ALIGNMENT; here++)
		fputc(0, w->out);
}

static int put_tensor(const struct writer *w, const struct weight_tensor *e)
{
	size_t n = numbers_of(e);
	uint64_t size = bytes_of(w, e);
	const struct quantiser *q = quantiser_of(w, e);
	unsigned char *bytes = calloc(1, aligned(size) + 1);
	float *x = malloc((n + 1) * sizeof *x);
	int status = SUMI_OK;
	if (!bytes || !x) {
		status = error_set(w->err, SUMI_NOMEM, "no memory for tensor '%.100s'", e->name);
		goto done;
	}
	if ((status = weights_read_floats(e, x, n, w->err)) ||
	    (e->rank >= 2 && (status = check_numbers(w, e, x, n))))
		goto done;
	if (q) {
		quantise(q, x, n, bytes);
		w->report->quantised++;
	} else if (e->rank < 2) {
		memcpy(bytes, x, size);
		w->report->kept++;
	} else {
		for (size_t i = 0; i < n; i++) {
			uint16_t h = half_from_float(x[i]);
			bytes[2 * i] = (unsigned char)h;
			bytes[2 * i + 1] = (unsigned char)(h >> 8);
		}
		w->report->kept++;
	}
	if (fwrite(bytes, 1, aligned(size), w->out) != aligned(size))
		status = error_errno(w->err, "writing GGUF");
done:
	free(bytes);
	free(x);
	return status;
}

static int put_all(struct writer *w)
{
	size_t count = 0;
	int status = check(w);
	for (size_t i = 0; i < weights_tensors(w->source); i++)
		count += wanted(weights_at(w->source, i));
	if (!status)
		put_head(w, count);
	for (size_t i = 0; i < weights_tensors(w->source) && !status; i++)
		if (wanted(weights_at(w->source, i)))
			status = put_tensor(w, weights_at(w->source, i));
	return status ? status : weights_check(w->source, w->err);
}

int gguf_write(const struct weights *source, const struct quantiser *q, const char *path,
	       struct gguf_report *report, struct error *err)
{
	char part[FILES_PATH_MAX];
	struct writer w = {source, q, NULL, report, err};
	*report = (struct gguf_report){0};
	int status = files_path(part, err, "%s.part", path);
	if (!status && !(w.out = fopen(part, "we")))
		status = error_errno(err, "%s", part);
	if (status)
		return status;
	status = put_all(&w);
	report->bytes = (uint64_t)ftell(w.out);
	if (!status && (fflush(w.out) != 0 || fsync(fileno(w.out)) != 0))
		status = error_errno(err, "%s", part);
	if (fclose(w.out) != 0 && !status)
		status = error_errno(err, "%s", part);
	if (!status && rename(part, path) != 0)
		status = error_errno(err, "%s", path);
	if (status)
		unlink(part);
	return status ? status : files_sync_parent(path, err);
}

/* Files of vectors. */
#include "weights/embedding.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "weights/weights.h"

enum { WIDTH_MAX = 16384, TENSORS_MAX = 64 };

/* What programs call the tensors. Another name is the word itself. */
static const struct {
	const char *name;
	int half; /* of a pair; -1: it is no pair */
} names[] = {{"clip_l", 0},	    {"clip_g", 1},	   {"text_encoders_0", 0},
	     {"text_encoders_1", 1}, {"emb_params", -1},   {"string_to_param", -1},
	     {"*", -1}, {"emb", -1}, {"tensor", -1} /* an archive's that is nothing else */};

static int row_of(const char *name)
{
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(names[i].name, name) == 0)
			return (int)i;
	return -1;
}

static int no_embedding(const char *path, const char *why, struct error *err)
{
	return error_set(err, SUMI_INVALID, "%s: no embedding: %s", path, why);
}

static int read_half(struct embedding_file *e, int half, const struct weight_tensor *t,
		     const char *path, struct error *err)
{
	int64_t count = t->rank == 2 ? t->shape[0] : 1, width = t->shape[t->rank - 1];
	if (count < 1)
		return no_embedding(path, "it has no vector", err);
	if (count > EMBEDDING_VECTORS_MAX || width < 1 || width > WIDTH_MAX)
		return no_embedding(path, "its vectors are too many or too wide", err);
	if (e->half[half].values || (e->count && e->count != count))
		return no_embedding(path, "its tensors are not for one word", err);
	size_t n = (size_t)count * (size_t)width;
	float *values = malloc(n * sizeof *values);
	if (!values)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	e->half[half].values = values;
	e->half[half].width = (int)width;
	e->count = (int)count;
	int status = weights_read_floats(t, values, n, err);
	for (size_t i = 0; i < n && !status; i++)
		if (!isfinite(values[i]))
			status = no_embedding(path, "a number of it is not finite", err);
	return status;
}

static int read_tensor(struct embedding_file *e, const struct weight_tensor *t, const char *name,
		       const char *path, struct error *err)
{
	int row = row_of(name), half = row < 0 ? -1 : names[row].half;
	if (t->rank < 1 || t->rank > 2 || !t->usable)
		return no_embedding(path, "a tensor of it is no row of numbers", err);
	e->halves |= half >= 0;
	if (row < 0 && strlen(name) <= EMBEDDING_WORD_MAX) {
		strcpy(e->word, name);
		utf8_make_printable(e->word);
	}
	return read_half(e, half < 0 ? 0 : half, t, path, err);
}

int embedding_open(const char *path, struct embedding_file *out, struct error *err)
{
	struct weights *w = NULL;
	*out = (struct embedding_file){0};
	int status = weights_open(path, &w, err);
	size_t n = status ? 0 : weights_tensors(w);
	if (!status && (n == 0 || n > TENSORS_MAX))
		status = no_embedding(path, n ? "it has many tensors" : "it has no tensor", err);
	for (size_t i = 0; i < n && !status; i++) {
		const struct weight_tensor *t = weights_at(w, i);
		status = read_tensor(out, t, t->name, path, err);
	}
	/* The first encoder's alone is that of a model which has no other. */
	if (!status && out->halves && out->half[0].values && !out->half[1].values)
		out->halves = false;
	if (!status && out->halves && !(out->half[0].values && out->half[1].values))
		status = no_embedding(path, "of a pair for two text encoders one is missing", err);
	weights_close(w);
	if (status)
		embedding_close(out);
	return status;
}

void embedding_close(struct embedding_file *e)
{
	for (int i = 0; i < EMBEDDING_HALVES; i++)
		free(e->half[i].values);
	*e = (struct embedding_file){0};
}

const char *embedding_family(const struct embedding_file *e)
{
	static const struct {
		int first, second;
		const char *family;
	} rows[] = {{768, 1280, "Stable Diffusion XL"},
		    {768, 0, "Stable Diffusion 1"},
		    {1024, 0, "Stable Diffusion 2"},
		    {1280, 0, "Stable Diffusion XL's refiner"}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].first == e->half[0].width && rows[i].second == e->half[1].width)
			return rows[i].family;
	return NULL;
}

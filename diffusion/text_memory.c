/* Embeddings of the texts that were encoded last: a list, the last used one first. */
#include "diffusion/text_memory.h"

#include <stdlib.h>
#include <string.h>

struct text {
	struct text *next;
	int32_t *ids;     /* [count] */
	float *embedding; /* [floats] */
	size_t count, floats;
	int clip_skip;
};

struct text_memory {
	struct text *first;
	size_t budget, bytes;
};

static size_t bytes_of(const struct text *t)
{
	return sizeof *t + t->count * sizeof *t->ids + t->floats * sizeof *t->embedding;
}

static void text_free(struct text *t)
{
	if (!t)
		return;
	free(t->ids);
	free(t->embedding);
	free(t);
}

int text_memory_new(size_t budget, struct text_memory **out, struct error *err)
{
	*out = calloc(1, sizeof **out);
	if (!*out)
		return error_set(err, SUMI_NOMEM, "out of memory");
	(*out)->budget = budget;
	return SUMI_OK;
}

void text_memory_free(struct text_memory *m)
{
	while (m && m->first) {
		struct text *t = m->first;
		m->first = t->next;
		text_free(t);
	}
	free(m);
}

const float *text_memory_find(struct text_memory *m, const int32_t *ids, size_t count,
			      int clip_skip, size_t floats)
{
	for (struct text **at = &m->first; *at; at = &(*at)->next) {
		struct text *t = *at;
		if (t->count != count || t->clip_skip != clip_skip || t->floats != floats ||
		    memcmp(t->ids, ids, count * sizeof *ids) != 0)
			continue;
		*at = t->next;
		t->next = m->first;
		m->first = t;
		return t->embedding;
	}
	return NULL;
}

static void drop_last(struct text_memory *m)
{
	struct text **at = &m->first;
	while ((*at)->next)
		at = &(*at)->next;
	m->bytes -= bytes_of(*at);
	text_free(*at);
	*at = NULL;
}

void text_memory_keep(struct text_memory *m, const int32_t *ids, size_t count, int clip_skip,
		      const float *embedding, size_t floats)
{
	struct text *t = calloc(1, sizeof *t);
	if (!t)
		return;
	*t = (struct text){.count = count, .floats = floats, .clip_skip = clip_skip};
	t->ids = malloc(count * sizeof *ids);
	t->embedding = malloc(floats * sizeof *embedding);
	if (!t->ids || !t->embedding || bytes_of(t) > m->budget) {
		text_free(t);
		return;
	}
	memcpy(t->ids, ids, count * sizeof *ids);
	memcpy(t->embedding, embedding, floats * sizeof *embedding);
	while (m->bytes > m->budget - bytes_of(t))
		drop_last(m);
	m->bytes += bytes_of(t);
	t->next = m->first;
	m->first = t;
}

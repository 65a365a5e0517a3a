/* Embeddings of the texts that were encoded last: a list, the last used one first. */
#include "diffusion/text_memory.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct text {
	struct text *next;
	struct text_key key; /* its ids are these: */
	int32_t *ids;        /* [key.count] */
	float *embedding;    /* [key.floats] */
};

struct text_memory {
	struct text *first;
	size_t budget, bytes;
};

static size_t bytes_of(const struct text *t)
{
	return sizeof *t + t->key.count * sizeof *t->ids + t->key.floats * sizeof *t->embedding;
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

void text_memory_clear(struct text_memory *m)
{
	while (m->first) {
		struct text *t = m->first;
		m->first = t->next;
		text_free(t);
	}
	m->bytes = 0;
}

void text_memory_free(struct text_memory *m)
{
	if (m)
		text_memory_clear(m);
	free(m);
}

static bool same(const struct text_key *a, const struct text_key *b)
{
	return a->encoder == b->encoder && a->count == b->count && a->clip_skip == b->clip_skip &&
	       a->floats == b->floats && a->added == b->added && memcmp(a->ids, b->ids, a->count * sizeof *a->ids) == 0;
}

const float *text_memory_find(struct text_memory *m, const struct text_key *key)
{
	for (struct text **at = &m->first; *at; at = &(*at)->next) {
		struct text *t = *at;
		if (!same(&t->key, key))
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

void text_memory_keep(struct text_memory *m, const struct text_key *key, const float *embedding)
{
	struct text *t = calloc(1, sizeof *t);
	if (!t)
		return;
	t->key = *key;
	t->ids = malloc(key->count * sizeof *t->ids);
	t->embedding = malloc(key->floats * sizeof *embedding);
	if (!t->ids || !t->embedding || bytes_of(t) > m->budget) {
		text_free(t);
		return;
	}
	memcpy(t->ids, key->ids, key->count * sizeof *t->ids);
	t->key.ids = t->ids;
	memcpy(t->embedding, embedding, key->floats * sizeof *embedding);
	while (m->bytes > m->budget - bytes_of(t))
		drop_last(m);
	m->bytes += bytes_of(t);
	t->next = m->first;
	m->first = t;
}

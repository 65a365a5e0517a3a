#include "diffusion/prompt_terms.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/prompt_compel.h"

#define WEIGHT_LEAST 1e-5 /* compel's: nothing of a word would be infinitely much of the text without it */
#define PI 3.14159265358979323846

struct making {
	const struct tokenizer *tokenizer;
	const struct prompt_words *words;
	struct prompt_terms *out;
};

/* Of words without those of one number (SIZE_MAX: of all of them). */
static int add_term(struct making *m, const struct prompt_segments *s, size_t without, int min_chunks, double factor,
		    struct error *err)
{
	struct prompt_terms *t = m->out;
	struct prompt_segment nothing = {.text = "", .weight = 1};
	struct prompt_segments some = {.rows = calloc(s->count + 1, sizeof *some.rows)};
	struct prompt_term *rows = realloc(t->rows, (t->count + 1) * sizeof *rows);
	if (rows)
		t->rows = rows;
	int status = some.rows && rows ? SUMI_OK : error_set(err, SUMI_NOMEM, "no memory for the prompt's tokens");
	if (!status && t->count == PROMPT_TERMS_MAX)
		status = error_set(err, SUMI_INVALID, "prompt: more than %d texts and words that count less",
				   PROMPT_TERMS_MAX);
	for (size_t i = 0; i < s->count && !status; i++)
		if (i != without)
			some.rows[some.count++] = s->rows[i];
	if (!status && !some.count)
		some.rows[some.count++] = nothing;
	if (!status) {
		rows[t->count] = (struct prompt_term){.factor = factor, .at = t->chunks};
		status = prompt_chunks_of(PROMPT_COMPEL, &some, m->tokenizer, m->words, min_chunks,
					  &rows[t->count].chunks, err);
		t->count += !status;
	}
	free(some.rows);
	return status;
}

/* How much of the text without words of such a weight there is beside it. */
static double absence(double weight)
{
	return weight < 1 ? tan((1 - fmax(weight, WEIGHT_LEAST)) * PI / 2) : 0;
}

/* A text, and what it is without each of the words that count less. */
static int add_text(struct making *m, const struct compel_text *text, int min_chunks, double factor, struct error *err)
{
	const struct prompt_segments *s = &text->segments;
	double whole = 1;
	for (size_t i = 0; i < s->count; i++)
		whole += absence(s->rows[i].weight);
	factor *= text->share / whole;
	int status = add_term(m, s, SIZE_MAX, min_chunks, factor, err);
	for (size_t i = 0; i < s->count && !status; i++)
		if (s->rows[i].weight < 1)
			status = add_term(m, s, i, min_chunks, factor * absence(s->rows[i].weight), err);
	return status;
}

static int longest(const struct prompt_terms *t, size_t from)
{
	int chunks = 1;
	for (size_t i = from; i < t->count; i++)
		chunks = t->rows[i].chunks.tokens.chunks > chunks ? t->rows[i].chunks.tokens.chunks : chunks;
	return chunks;
}

static void cut_to(struct prompt_terms *t, size_t count)
{
	while (t->count > count)
		prompt_chunks_free(&t->rows[--t->count].chunks);
}

/* Texts of one part are of one length: the second time the longest is known. */
static int add_part(struct making *m, const struct compel_part *part, struct error *err)
{
	static const struct prompt_segments empty;
	size_t from = m->out->count;
	int status = SUMI_OK, chunks = 1;
	for (int round = 0; round < 2 && !status; round++) {
		cut_to(m->out, from);
		for (size_t i = 0; i < part->count && !status; i++)
			status = add_text(m, &part->texts[i], chunks, part->weight, err);
		chunks = longest(m->out, from);
	}
	/* A weight is on the way from the empty text. */
	if (!status && part->weight != 1)
		status = add_term(m, &empty, SIZE_MAX, chunks, 1 - part->weight, err);
	m->out->chunks += chunks;
	return status;
}

static int show_whole(struct prompt_terms *t, size_t length, struct error *err)
{
	size_t count = (size_t)t->chunks * length, shown = 0;
	struct prompt_chunks *w = &t->whole;
	*w = (struct prompt_chunks){.tokens = {.ids = malloc(count * sizeof *w->tokens.ids),
					       .chunks = t->chunks,
					       .length = (int)length},
				    .weights = malloc(count * sizeof *w->weights),
				    .vectors = calloc(count, sizeof *w->vectors)};
	if (!w->tokens.ids || !w->weights || !w->vectors)
		return error_set(err, SUMI_NOMEM, "no memory for the prompt's tokens");
	for (size_t k = 0; k < t->count; k++) {
		const struct prompt_chunks *c = &t->rows[k].chunks;
		size_t at = (size_t)t->rows[k].at * length, n = (size_t)c->tokens.chunks * length;
		for (size_t i = shown > at ? shown - at : 0; i < n; i++) {
			w->tokens.ids[at + i] = c->tokens.ids[i];
			w->weights[at + i] = c->weights ? c->weights[i] : 1;
			w->vectors[at + i] = c->vectors ? c->vectors[i] : 0;
		}
		w->tokens.count += at + n > shown ? c->tokens.count : 0;
		shown = at + n > shown ? at + n : shown;
	}
	return SUMI_OK;
}

int prompt_terms_make(const char *text, const struct tokenizer *tokenizer, const struct prompt_words *words,
		      int min_chunks, struct prompt_terms *out, struct error *err)
{
	static const struct prompt_segments empty;
	struct making m = {tokenizer, words, out};
	struct compel_prompt p;
	*out = (struct prompt_terms){0};
	int status = compel_read(text, &p, err);
	for (size_t i = 0; i < p.count && !status; i++)
		status = add_part(&m, &p.parts[i], err);
	compel_free(&p);
	if (!status && out->chunks < min_chunks) {
		status = add_term(&m, &empty, SIZE_MAX, min_chunks - out->chunks, 1, err);
		out->chunks = min_chunks;
	}
	if (!status)
		status = show_whole(out, (size_t)tokenizer_length(tokenizer), err);
	if (status)
		prompt_terms_free(out);
	return status;
}

void prompt_terms_free(struct prompt_terms *t)
{
	cut_to(t, 0);
	free(t->rows);
	prompt_chunks_free(&t->whole);
	*t = (struct prompt_terms){0};
}

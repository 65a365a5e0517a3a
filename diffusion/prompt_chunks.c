/* From weighted words to chunks: stable-diffusion-webui cuts at commas, ComfyUI between its segments. */
#include "diffusion/prompt_chunks.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/grow.h"
#include "base/model_file.h"
#include "base/utf8.h"

enum {
	COMMA_BACK = 20,   /* tokens that move to the next chunk to keep words between commas together */
	SEGMENT_SMALL = 8, /* ComfyUI keeps fewer tokens together */
};

/* A token of a segment, or one of a word's vectors. */
struct piece {
	int32_t id, vector;
	float weight;
};

struct pieces {
	struct piece *at;
	size_t count, capacity;
};

struct builder {
	const struct tokenizer *tokenizer;
	const struct prompt_words *words;
	struct pieces *names; /* [words->count] ids of their names */
	int32_t comma;
	size_t room;       /* ids of a chunk */
	struct pieces now; /* of the chunk that is open */
	size_t last_comma; /* in it, from 1 on; 0: none */
	struct prompt_chunks out;
	size_t capacity; /* chunks */
	bool weighted, vectored;
};

static int no_memory(struct error *err)
{
	return error_set(err, SUMI_NOMEM, "no memory for the prompt's tokens");
}

static int push(struct pieces *p, struct piece piece, struct error *err)
{
	struct piece *at = grow_room(p->at, p->count, &p->capacity, 96, sizeof *at);
	if (!at)
		return no_memory(err);
	p->at = at;
	p->at[p->count++] = piece;
	return SUMI_OK;
}

/* ---- chunks ---- */

static int grow(struct builder *b, struct error *err)
{
	struct prompt_chunks *c = &b->out;
	size_t capacity = b->capacity ? 2 * b->capacity : 4, n = capacity * (b->room + 2);
	int32_t *ids = realloc(c->tokens.ids, n * sizeof *ids);
	if (ids)
		c->tokens.ids = ids;
	float *weights = realloc(c->weights, n * sizeof *weights);
	if (weights)
		c->weights = weights;
	int32_t *vectors = realloc(c->vectors, n * sizeof *vectors);
	if (vectors)
		c->vectors = vectors;
	if (!ids || !weights || !vectors)
		return no_memory(err);
	b->capacity = capacity;
	return SUMI_OK;
}

/* The first n tokens of the open chunk are a chunk; what is behind them opens the next. */
static int close_chunk(struct builder *b, size_t n, struct error *err)
{
	struct tokens *t = &b->out.tokens;
	size_t length = b->room + 2, at = (size_t)t->chunks * length;
	if ((size_t)t->chunks == b->capacity && grow(b, err))
		return SUMI_NOMEM;
	int32_t *row = t->ids + at;
	tokenizer_row(b->tokenizer, NULL, 0, row);
	int32_t end = row[1];
	for (size_t i = 0; i < length; i++) {
		b->out.weights[at + i] = 1;
		b->out.vectors[at + i] = 0;
	}
	for (size_t i = 0; i < n; i++) {
		const struct piece *p = &b->now.at[i];
		row[i + 1] = p->id;
		b->out.weights[at + i + 1] = p->weight;
		b->out.vectors[at + i + 1] = p->vector;
		b->weighted |= p->weight != 1;
		b->vectored |= p->vector > 0;
	}
	row[n + 1] = end;
	t->chunks++;
	t->count += (int)n;
	b->now.count -= n;
	if (b->now.count)
		memmove(b->now.at, b->now.at + n, b->now.count * sizeof *b->now.at);
	b->last_comma = 0;
	return SUMI_OK;
}

/* ---- words that stand for vectors ---- */

const char prompt_embedding_mark[] = "embedding:";

bool prompt_word_is(const char *name, const char *spelt, size_t size)
{
	size_t n = strlen(name);
	if (size < n || strncasecmp(name, spelt, n) != 0)
		return false;
	char rest[16];
	if (size - n >= sizeof rest)
		return false;
	memcpy(rest, spelt + n, size - n);
	rest[size - n] = '\0';
	return !*rest || (rest[0] == '.' && model_file_ending(rest) == rest);
}

static int word_named(const struct prompt_words *words, const char *name, size_t size)
{
	for (int i = 0; words && i < words->count; i++)
		if (prompt_word_is(words->rows[i].name, name, size))
			return i;
	return -1;
}

/* The word whose name stands at a place of the tokens, the longest first; -1: none. */
static int word_at(const struct builder *b, const int32_t *ids, size_t count)
{
	int best = -1;
	for (int i = 0; b->words && i < b->words->count; i++) {
		const struct pieces *name = &b->names[i];
		size_t k = 0;
		while (k < name->count && k < count && name->at[k].id == ids[k])
			k++;
		if (k == name->count && k > 0 && (best < 0 || k > b->names[best].count))
			best = i;
	}
	return best;
}

static int push_vectors(struct pieces *to, const struct prompt_word *word, float weight,
			struct error *err)
{
	int status = SUMI_OK;
	for (int i = 0; i < word->vectors && !status; i++)
		status = push(to, (struct piece){.vector = word->first + i + 1, .weight = weight},
			      err);
	return status;
}

/* ---- stable-diffusion-webui, and no syntax ---- */

/* Before anything but a comma, words behind the last comma go with it to a new chunk. */
static int make_room(struct builder *b, enum prompt_syntax syntax, bool comma, struct error *err)
{
	int status = SUMI_OK;
	if (b->now.count < b->room)
		return SUMI_OK;
	if (syntax == PROMPT_A1111 && !comma && b->last_comma &&
	    b->now.count - (b->last_comma - 1) <= COMMA_BACK)
		status = close_chunk(b, b->last_comma, err);
	return status || b->now.count < b->room ? status : close_chunk(b, b->now.count, err);
}

static int add_token(struct builder *b, enum prompt_syntax syntax, struct piece p, struct error *err)
{
	bool comma = p.id == b->comma;
	int status = make_room(b, syntax, comma, err);
	if (!status)
		status = push(&b->now, p, err);
	if (comma)
		b->last_comma = b->now.count;
	return status;
}

static int add_word(struct builder *b, enum prompt_syntax syntax, const struct prompt_word *word,
		    float weight, struct error *err)
{
	if ((size_t)word->vectors > b->room)
		return error_set(err, SUMI_INVALID,
				 "prompt: '%.100s' stands for %d vectors, a chunk has room for %zu",
				 word->name, word->vectors, b->room);
	int status = make_room(b, syntax, false, err);
	if (!status && b->now.count + (size_t)word->vectors > b->room)
		status = close_chunk(b, b->now.count, err);
	return status ? status : push_vectors(&b->now, word, weight, err);
}

static int add_running(struct builder *b, enum prompt_syntax syntax,
		       const struct prompt_segment *s, struct error *err)
{
	int32_t *ids;
	size_t count;
	if (s->breaks)
		return close_chunk(b, b->now.count, err);
	int status = tokenizer_pieces(b->tokenizer, s->text, strlen(s->text), &ids, &count, err);
	for (size_t i = 0; i < count && !status;) {
		int word = word_at(b, ids + i, count - i);
		if (word < 0) {
			status = add_token(
			    b, syntax,
			    (struct piece){.id = ids[i++], .weight = (float)s->weight}, err);
			continue;
		}
		i += b->names[word].count;
		status = add_word(b, syntax, &b->words->rows[word], (float)s->weight, err);
	}
	free(ids);
	return status;
}

/* ---- ComfyUI ---- */

/* Tokens that belong together: they move to the next chunk, or where they are many are cut. */
static int add_group(struct builder *b, struct pieces *group, struct error *err)
{
	bool small = group->count < SEGMENT_SMALL;
	int status = SUMI_OK;
	for (size_t at = 0; at < group->count && !status;) {
		size_t left = group->count - at, room = b->room - b->now.count;
		size_t n = left <= room ? left : small ? 0 : room;
		for (size_t i = 0; i < n && !status; i++)
			status = push(&b->now, group->at[at + i], err);
		if (!status && left > room)
			status = close_chunk(b, b->now.count, err);
		at += n;
	}
	group->count = 0;
	return status;
}

static int add_text_group(struct builder *b, const char *text, size_t size, float weight,
			  struct error *err)
{
	struct pieces group = {0};
	int32_t *ids;
	size_t count;
	int status = tokenizer_pieces(b->tokenizer, text, size, &ids, &count, err);
	for (size_t i = 0; i < count && !status; i++)
		status = push(&group, (struct piece){.id = ids[i], .weight = weight}, err);
	if (!status)
		status = add_group(b, &group, err);
	free(group.at);
	free(ids);
	return status;
}

static bool space_at(const char *text, size_t size, size_t at, size_t *length)
{
	uint32_t code;
	*length = utf8_decode(text + at, size - at, &code);
	bool space = *length && prompt_is_space(code);
	*length = *length ? *length : 1;
	return space;
}

/* The place of the next "embedding:" in a text from `from` on, at its start or behind a space; SIZE_MAX:
 * there is none. */
static size_t find_embedding(const char *text, size_t size, size_t from)
{
	size_t mark = sizeof prompt_embedding_mark - 1, length;
	bool free_before = from == 0;
	for (size_t i = from; i + mark <= size; i += length) {
		if (free_before && memcmp(text + i, prompt_embedding_mark, mark) == 0)
			return i;
		free_before = space_at(text, size, i, &length);
	}
	return SIZE_MAX;
}

size_t prompt_embedding_name(const char *text, size_t size)
{
	size_t n = 0, length;
	while (n < size && text[n] != '<' && text[n] != '[' && !space_at(text, size, n, &length))
		n += length;
	return n < size ? n : size;
}

/* "embedding:NAME" and what follows of it. A comma behind the name is none of it. */
static int add_embedding(struct builder *b, const char *text, size_t size, float weight,
			 struct error *err)
{
	size_t start = sizeof prompt_embedding_mark - 1, length;
	while (start < size && space_at(text, size, start, &length))
		start += length;
	size_t n = prompt_embedding_name(text + start, size - start);
	int word = word_named(b->words, text + start, n);
	size_t bare = n;
	while (word < 0 && bare > 0 && text[start + bare - 1] == ',')
		word = word_named(b->words, text + start, --bare);
	int status = SUMI_OK;
	struct pieces group = {0};
	if (word >= 0)
		status = push_vectors(&group, &b->words->rows[word], weight, err);
	if (!status)
		status = add_group(b, &group, err);
	free(group.at);
	size_t rest = start + (word >= 0 ? bare : n);
	return status ? status : add_text_group(b, text + rest, size - rest, weight, err);
}

static int add_comfy(struct builder *b, const struct prompt_segment *s, struct error *err)
{
	size_t size = strlen(s->text), at = 0;
	int status = SUMI_OK;
	while (at < size && !status) {
		bool embeds = strncmp(s->text + at, prompt_embedding_mark,
				      strlen(prompt_embedding_mark)) == 0;
		size_t next = find_embedding(s->text, size, at + embeds);
		next = next == SIZE_MAX ? size : next;
		status = (embeds ? add_embedding : add_text_group)(
		    b, s->text + at, next - at, (float)s->weight, err);
		at = next;
	}
	return status;
}

/* ---- all ---- */

static int open_builder(struct builder *b, struct error *err)
{
	int32_t *ids;
	size_t count;
	int n = b->words ? b->words->count : 0;
	int status = tokenizer_pieces(b->tokenizer, ",", 1, &ids, &count, err);
	b->comma = !status && count == 1 ? ids[0] : -1;
	free(ids);
	b->names = calloc((size_t)n + 1, sizeof *b->names);
	if (!status && !b->names)
		status = no_memory(err);
	for (int i = 0; i < n && !status; i++) {
		const char *name = b->words->rows[i].name;
		status = tokenizer_pieces(b->tokenizer, name, strlen(name), &ids, &count, err);
		for (size_t k = 0; k < count && !status; k++)
			status = push(&b->names[i], (struct piece){.id = ids[k]}, err);
		free(ids);
	}
	return status;
}

static void close_builder(struct builder *b)
{
	for (int i = 0; b->names && b->words && i < b->words->count; i++)
		free(b->names[i].at);
	free(b->names);
	free(b->now.at);
}

static int build(struct builder *b, enum prompt_syntax syntax, const struct prompt_segments *s,
		 int min_chunks, struct error *err)
{
	int status = SUMI_OK;
	for (size_t i = 0; i < s->count && !status; i++)
		status = syntax == PROMPT_COMFY ? add_comfy(b, &s->rows[i], err)
						: add_running(b, syntax, &s->rows[i], err);
	if (!status && (b->now.count || !b->out.tokens.chunks))
		status = close_chunk(b, b->now.count, err);
	while (!status && b->out.tokens.chunks < min_chunks)
		status = close_chunk(b, 0, err);
	return status;
}

int prompt_chunks_of(enum prompt_syntax syntax, const struct prompt_segments *s,
		     const struct tokenizer *tokenizer, const struct prompt_words *words, int min_chunks,
		     struct prompt_chunks *out, struct error *err)
{
	struct builder b = {.tokenizer = tokenizer,
			    .words = words,
			    .room = (size_t)tokenizer_length(tokenizer) - 2};
	*out = (struct prompt_chunks){0};
	b.out.tokens.length = tokenizer_length(tokenizer);
	int status = open_builder(&b, err);
	if (!status)
		status = build(&b, syntax, s, min_chunks, err);
	close_builder(&b);
	if (status || !b.weighted) {
		free(b.out.weights);
		b.out.weights = NULL;
	}
	if (status || !b.vectored) {
		free(b.out.vectors);
		b.out.vectors = NULL;
	}
	*out = b.out;
	if (status)
		prompt_chunks_free(out);
	return status;
}

int prompt_chunks_make(enum prompt_syntax syntax, const char *text, const struct tokenizer *tokenizer,
		       const struct prompt_words *words, int min_chunks, struct prompt_chunks *out,
		       struct error *err)
{
	struct prompt_segments s;
	*out = (struct prompt_chunks){0};
	int status = prompt_segments_read(syntax, text, &s, err);
	if (!status)
		status = prompt_chunks_of(syntax, &s, tokenizer, words, min_chunks, out, err);
	prompt_segments_free(&s);
	return status;
}

void prompt_chunks_free(struct prompt_chunks *c)
{
	tokens_free(&c->tokens);
	free(c->weights);
	free(c->vectors);
	*c = (struct prompt_chunks){0};
}

int prompt_chunks_plain(enum prompt_syntax syntax, const char *text, const struct tokenizer *tokenizer,
			const struct prompt_words *words, bool *plain, struct error *err)
{
	struct prompt_chunks c;
	struct tokens t = {0};
	int status = prompt_chunks_make(syntax, text, tokenizer, words, 1, &c, err);
	if (!status)
		status = tokenizer_encode(tokenizer, text, strlen(text), 1, &t, err);
	*plain = !status && !c.weights && !c.vectors && c.tokens.chunks == t.chunks &&
		 memcmp(c.tokens.ids, t.ids,
			(size_t)t.chunks * (size_t)t.length * sizeof *t.ids) == 0;
	prompt_chunks_free(&c);
	tokens_free(&t);
	return status;
}

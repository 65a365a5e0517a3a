/* Words of their weights: stable-diffusion-webui's brackets and ComfyUI's. */
#include "diffusion/prompt.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/grow.h"
#include "base/utf8.h"
#include "diffusion/prompt_compel.h"

#define WEIGHT_MAX 1e6 /* far beyond what anything is left of */
#define ROUND 1.1

static int no_memory(struct error *err)
{
	return error_set(err, SUMI_NOMEM, "no memory for the prompt");
}

static int add(struct prompt_segments *s, const char *text, size_t size, double weight,
	       struct error *err)
{
	struct prompt_segment *rows = grow_room(s->rows, s->count, &s->capacity, 16, sizeof *rows);
	if (!rows)
		return no_memory(err);
	s->rows = rows;
	char *copy = strndup(text, size);
	if (!copy)
		return no_memory(err);
	s->rows[s->count++] = (struct prompt_segment){.text = copy, .weight = weight};
	return SUMI_OK;
}

static int check_weights(const struct prompt_segments *s, struct error *err)
{
	for (size_t i = 0; i < s->count; i++)
		if (!(fabs(s->rows[i].weight) <= WEIGHT_MAX))
			return error_set(err, SUMI_INVALID,
					 "prompt: '%.40s' has the weight %g, allowed are -%g to %g",
					 s->rows[i].text, s->rows[i].weight, WEIGHT_MAX, WEIGHT_MAX);
	return SUMI_OK;
}

/* ---- stable-diffusion-webui ---- */

/* Brackets that are open: from which segment on they count. */
struct open_brackets {
	size_t *at, count;
};

struct a1111 {
	const char *text;
	size_t size;
	struct open_brackets round, square;
};

static const char break_word[] = "BREAK";

static void multiply(struct prompt_segments *s, size_t from, double factor)
{
	for (size_t i = from; i < s->count; i++)
		s->rows[i].weight *= factor;
}

static size_t skip_space(const char *text, size_t size, size_t i)
{
	uint32_t code;
	size_t n;
	while ((n = utf8_decode(text + i, size - i, &code)) && prompt_is_space(code))
		i += n;
	return i;
}

static size_t trim(const char *text, size_t from, size_t end)
{
	while (end > from) {
		size_t at = end;
		uint32_t code = 0;
		do
			at--;
		while (at > from && ((unsigned char)text[at] & 0xC0) == 0x80);
		if (!utf8_decode(text + at, end - at, &code) || !prompt_is_space(code))
			break;
		end = at;
	}
	return end;
}

/* Plain words, and a mark for every BREAK among them. */
static int add_words(struct prompt_segments *s, const char *text, size_t size, struct error *err)
{
	size_t from = 0, at;
	int status = SUMI_OK;
	while (!status && (at = prompt_find_word(text, size, from, break_word)) != SIZE_MAX) {
		size_t end = trim(text, from, at);
		status = add(s, text + from, end - from, 1, err);
		if (!status)
			status = add(s, break_word, strlen(break_word), -1, err);
		from = skip_space(text, size, at + strlen(break_word));
	}
	return status ? status : add(s, text + from, size - from, 1, err);
}

/* ": 1.3 )": how long it is, and where its number lies; 0: it is none. */
static size_t weight_length(const char *text, size_t size, size_t *number, size_t *length)
{
	size_t i = skip_space(text, size, 1), digits, n;
	uint32_t code;
	*number = i;
	if (i < size && (text[i] == '+' || text[i] == '-'))
		i++;
	for (digits = i; (n = utf8_decode(text + i, size - i, &code)) && (code == '.' || prompt_digit(code) >= 0);)
		i += n;
	if (i == digits)
		return 0;
	*length = i - *number;
	i = skip_space(text, size, i);
	return i < size && text[i] == ')' ? i + 1 : 0;
}

/* A weight closes the last round bracket. */
static int close_weighted(struct a1111 *a, struct prompt_segments *s, const char *number,
			  size_t length, struct error *err)
{
	char text[64], *end;
	prompt_plain_number(number, length, text, sizeof text);
	double weight = strtod(text, &end);
	if (*end || length >= sizeof text)
		return error_set(err, SUMI_INVALID,
				 "prompt: '%.40s' is no weight: write (words:1.2), or \\( for a "
				 "bracket that is one",
				 text);
	multiply(s, a->round.at[--a->round.count], weight);
	return SUMI_OK;
}

/* The piece at the start of a text: its size, and what follows of it. */
static int read_piece(struct a1111 *a, const char *text, size_t size, struct prompt_segments *s,
		      size_t *used, struct error *err)
{
	size_t number, length, n;
	*used = 1;
	switch (text[0]) {
	case '\\':
		*used = size > 1 && strchr("()[]\\", text[1]) ? 2 : 1;
		return add(s, text + 1, *used - 1, 1, err);
	case '(':
		a->round.at[a->round.count++] = s->count;
		return SUMI_OK;
	case '[':
		a->square.at[a->square.count++] = s->count;
		return SUMI_OK;
	case ':':
		n = weight_length(text, size, &number, &length);
		*used = n ? n : 1;
		if (n && a->round.count)
			return close_weighted(a, s, text + number, length, err);
		return add_words(s, text, *used, err);
	case ')':
		if (!a->round.count)
			return add_words(s, text, 1, err);
		multiply(s, a->round.at[--a->round.count], ROUND);
		return SUMI_OK;
	case ']':
		if (!a->square.count)
			return add_words(s, text, 1, err);
		multiply(s, a->square.at[--a->square.count], 1 / ROUND);
		return SUMI_OK;
	default:
		while (*used < size && !strchr("\\()[]:", text[*used]))
			++*used;
		return add_words(s, text, *used, err);
	}
}

/* Neighbours of one weight are one text. */
static int merge(struct prompt_segments *s, struct error *err)
{
	size_t kept = 0;
	for (size_t i = 1; i < s->count; i++) {
		struct prompt_segment *last = &s->rows[kept], *row = &s->rows[i];
		if (last->weight != row->weight) {
			s->rows[++kept] = *row;
			continue;
		}
		size_t a = strlen(last->text), b = strlen(row->text);
		char *text = realloc(last->text, a + b + 1);
		if (!text) {
			/* Those between are gone: what is left is the caller's. */
			memmove(&s->rows[kept + 1], row, (s->count - i) * sizeof *row);
			s->count -= i - kept - 1;
			return no_memory(err);
		}
		memcpy(text + a, row->text, b + 1);
		last->text = text;
		free(row->text);
	}
	s->count = s->count ? kept + 1 : 0;
	for (size_t i = 0; i < s->count; i++)
		s->rows[i].breaks =
		    s->rows[i].weight == -1 && strcmp(s->rows[i].text, break_word) == 0;
	return SUMI_OK;
}

static int read_a1111(const char *text, struct prompt_segments *out, struct error *err)
{
	struct a1111 a = {.text = text, .size = strlen(text)};
	a.round.at = calloc(2 * a.size + 2, sizeof *a.round.at);
	a.square.at = a.round.at + a.size + 1;
	int status = a.round.at ? SUMI_OK : no_memory(err);
	for (size_t i = 0, used; i < a.size && !status; i += used)
		status = read_piece(&a, text + i, a.size - i, out, &used, err);
	/* What is never closed counts to the end. */
	for (size_t i = 0; i < a.round.count && !status; i++)
		multiply(out, a.round.at[i], ROUND);
	for (size_t i = 0; i < a.square.count && !status; i++)
		multiply(out, a.square.at[i], 1 / ROUND);
	if (!status && !out->count)
		status = add(out, "", 0, 1, err);
	free(a.round.at);
	return status ? status : merge(out, err);
}

/* ---- ComfyUI ---- */

/* Stand for escaped brackets, and never in UTF-8. */
#define ESCAPED_OPEN '\xFE'
#define ESCAPED_CLOSE '\xFF'

/* A copy with escaped brackets taken out of sight. */
static char *hide_escaped(const char *text)
{
	char *copy = malloc(strlen(text) + 1), *to = copy;
	for (; copy && *text; text++) {
		bool escapes = text[0] == '\\' && (text[1] == '(' || text[1] == ')');
		text += escapes;
		*to++ = !escapes ? *text : *text == '(' ? ESCAPED_OPEN : ESCAPED_CLOSE;
	}
	if (copy)
		*to = '\0';
	return copy;
}

static int add_shown(struct prompt_segments *s, const char *text, size_t size, double weight,
		     struct error *err)
{
	int status = add(s, text, size, weight, err);
	for (char *c = status ? NULL : s->rows[s->count - 1].text; c && *c; c++)
		*c = *c == ESCAPED_OPEN ? '(' : *c == ESCAPED_CLOSE ? ')' : *c;
	return status;
}

/* What Python's float() takes: spaces around, an underscore between digits, inf and nan. */
static bool read_float(const char *text, size_t size, double *out)
{
	char given[64], plain[64];
	size_t from = skip_space(text, size, 0), end = trim(text, from, size), n = 0;
	prompt_plain_number(text + from, end - from, given, sizeof given);
	end = strlen(given);
	if (end + 1 == sizeof given)
		return false;
	for (size_t i = 0; i < end; i++) {
		bool between = i > 0 && i + 1 < end && isdigit((unsigned char)given[i - 1]) &&
			       isdigit((unsigned char)given[i + 1]);
		if (given[i] == '_' && between)
			continue;
		if (!strchr("+-.0123456789eEinfatyINFATY", given[i]))
			return false;
		plain[n++] = given[i];
	}
	plain[n] = '\0';
	char *stop;
	*out = strtod(plain, &stop);
	return n > 0 && !*stop && stop != plain;
}

static int read_group(const char *text, size_t size, double weight, int depth,
		      struct prompt_segments *out, struct error *err);

/* A piece between brackets of the outermost kind, or one in them. */
static int add_piece(const char *text, size_t size, double weight, int depth,
		     struct prompt_segments *out, struct error *err)
{
	if (size < 2 || text[0] != '(' || text[size - 1] != ')')
		return size ? add_shown(out, text, size, weight, err) : SUMI_OK;
	text++;
	size -= 2;
	weight *= ROUND;
	size_t colon = size;
	while (colon > 0 && text[colon - 1] != ':')
		colon--;
	double given;
	if (colon > 1 && read_float(text + colon, size - colon, &given)) {
		weight = given;
		size = colon - 1;
	}
	return read_group(text, size, weight, depth + 1, out, err);
}

static int read_group(const char *text, size_t size, double weight, int depth,
		      struct prompt_segments *out, struct error *err)
{
	int level = 0, status = SUMI_OK;
	size_t from = 0;
	if (depth > PROMPT_DEPTH_MAX)
		return error_set(err, SUMI_INVALID, "prompt: brackets in brackets, deeper than %d",
				 PROMPT_DEPTH_MAX);
	for (size_t i = 0; i < size && !status; i++) {
		if (text[i] == '(' && level++ == 0) {
			status = add_piece(text + from, i - from, weight, depth, out, err);
			from = i;
		} else if (text[i] == ')' && --level == 0) {
			status = add_piece(text + from, i + 1 - from, weight, depth, out, err);
			from = i + 1;
		}
	}
	return status ? status : add_piece(text + from, size - from, weight, depth, out, err);
}

static int read_comfy(const char *text, struct prompt_segments *out, struct error *err)
{
	char *hidden = hide_escaped(text);
	int status = hidden ? read_group(hidden, strlen(hidden), 1, 0, out, err) : no_memory(err);
	free(hidden);
	return status;
}

/* ---- compel ---- */

/* All its words in their order, with breaks between texts and parts. */
static int read_compel(const char *text, struct prompt_segments *out, struct error *err)
{
	struct compel_prompt p;
	int status = compel_read(text, &p, err);
	for (size_t i = 0; i < p.count; i++)
		for (size_t k = 0; k < p.parts[i].count; k++) {
			const struct prompt_segments *s = &p.parts[i].texts[k].segments;
			if (!status && out->count && !(status = add(out, "", 0, 1, err)))
				out->rows[out->count - 1].breaks = true;
			for (size_t m = 0; m < s->count && !status; m++)
				status = add(out, s->rows[m].text, strlen(s->rows[m].text), s->rows[m].weight, err);
		}
	compel_free(&p);
	return status;
}

/* ---- any ---- */

static int read_diffusers(const char *text, struct prompt_segments *out, struct error *err)
{
	return add(out, text, strlen(text), 1, err);
}

int prompt_segments_read(enum prompt_syntax syntax, const char *text, struct prompt_segments *out,
			 struct error *err)
{
	static int (*const readers[PROMPT_SYNTAXES])(const char *, struct prompt_segments *,
						     struct error *) = {
	    [PROMPT_DIFFUSERS] = read_diffusers,
	    [PROMPT_A1111] = read_a1111,
	    [PROMPT_COMFY] = read_comfy,
	    [PROMPT_COMPEL] = read_compel,
	};
	*out = (struct prompt_segments){0};
	int status = readers[syntax](text, out, err);
	if (!status)
		status = check_weights(out, err);
	if (status)
		prompt_segments_free(out);
	return status;
}

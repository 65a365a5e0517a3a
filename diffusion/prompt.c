/* Parts, and texts that change from step to step: stable-diffusion-webui's AND, [a:b:0.4], [a|b]. */
#include "diffusion/prompt.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"

const char *const prompt_syntax_names[PROMPT_SYNTAXES] = {
    [PROMPT_DIFFUSERS] = "diffusers", [PROMPT_A1111] = "a1111", [PROMPT_COMFY] = "comfy",
    [PROMPT_COMPEL] = "compel"};

int prompt_syntax_of(const char *name, enum prompt_syntax *out, struct error *err)
{
	*out = PROMPT_DIFFUSERS;
	for (int i = 0; name && i < PROMPT_SYNTAXES; i++)
		if (strcmp(prompt_syntax_names[i], name) == 0) {
			*out = i;
			return SUMI_OK;
		}
	if (!name)
		return SUMI_OK;
	char allowed[PROMPT_SYNTAXES * 16] = "";
	for (int i = 0; i < PROMPT_SYNTAXES; i++)
		snprintf(allowed + strlen(allowed), sizeof allowed - strlen(allowed), "%s%s", i ? ", " : "",
			 prompt_syntax_names[i]);
	return error_set(err, SUMI_INVALID, "prompt_syntax is '%.40s', allowed are: %s", name, allowed);
}

/* ---- schedules ---- */

/* What begins at a bracket. */
enum shape { SHAPE_NONE, SHAPE_ROUND, SHAPE_SCHEDULE, SHAPE_TURNS };

struct bracket {
	enum shape shape;
	uint32_t end;  /* behind it */
	uint32_t when; /* of a schedule: where its number starts … */
	uint32_t stop; /* … and its first text, or that before the second, ends */
	int depth;
};

struct source {
	const char *text;
	size_t size;
	struct bracket *at; /* [size] */
	int steps;
	bool *marks; /* [steps + 1]: where a text ends */
};

/* Where the words from i on end, at a sign that is none of them: its place, or SIZE_MAX where they
 * cannot be read. */
static size_t words_end(const struct source *s, size_t i, int *depth)
{
	while (i < s->size) {
		char c = s->text[i];
		if (c == '(' || c == '[') {
			if (s->at[i].shape == SHAPE_NONE)
				return SIZE_MAX;
			*depth = s->at[i].depth > *depth ? s->at[i].depth : *depth;
			i = s->at[i].end;
		} else if (strchr(")]:|", c)) {
			return i;
		} else if (c == '\\') {
			if (i + 1 >= s->size || s->text[i + 1] == '\n')
				return SIZE_MAX;
			i += 2;
		} else {
			i++;
		}
	}
	return SIZE_MAX;
}

static size_t skip_space(const struct source *s, size_t i)
{
	while (i < s->size) {
		uint32_t code;
		size_t n = utf8_decode(s->text + i, s->size - i, &code);
		if (!n || !prompt_is_space(code))
			break;
		i += n;
	}
	return i;
}

static size_t skip_digits(const struct source *s, size_t i)
{
	while (i < s->size && isdigit((unsigned char)s->text[i]))
		i++;
	return i;
}

/* " 0.4 ]" behind a colon: behind the bracket, and where the number starts; 0: it is none. */
static size_t number_end(const struct source *s, size_t i, uint32_t *start)
{
	i = skip_space(s, i);
	*start = (uint32_t)i;
	if (i < s->size && (s->text[i] == '+' || s->text[i] == '-'))
		i++;
	size_t whole = skip_digits(s, i), part = whole;
	if (whole < s->size && s->text[whole] == '.')
		part = skip_digits(s, whole + 1);
	if (part == i || (whole == i && part == whole + 1))
		return 0;
	i = part;
	if (i < s->size && (s->text[i] == 'e' || s->text[i] == 'E')) {
		size_t sign = i + 1;
		if (sign < s->size && (s->text[sign] == '+' || s->text[sign] == '-'))
			sign++;
		if (skip_digits(s, sign) > sign)
			i = skip_digits(s, sign);
	}
	i = skip_space(s, i);
	return i < s->size && s->text[i] == ']' ? i + 1 : 0;
}

static void read_round(const struct source *s, size_t i, struct bracket *b)
{
	size_t end = words_end(s, i + 1, &b->depth);
	if (end != SIZE_MAX && s->text[end] == ':')
		end = words_end(s, end + 1, &b->depth);
	if (end != SIZE_MAX && s->text[end] == ')')
		*b = (struct bracket){.shape = SHAPE_ROUND, .end = (uint32_t)end + 1,
				      .depth = b->depth + 1};
}

static void read_square(const struct source *s, size_t i, struct bracket *b)
{
	size_t first = words_end(s, i + 1, &b->depth), end = first;
	if (first == SIZE_MAX)
		return;
	if (s->text[first] == ']') {
		b->shape = SHAPE_ROUND;
		end = first + 1;
	} else if (s->text[first] == '|') {
		while (end != SIZE_MAX && s->text[end] == '|')
			end = words_end(s, end + 1, &b->depth);
		if (end == SIZE_MAX || s->text[end] != ']')
			return;
		b->shape = SHAPE_TURNS;
		end++;
	} else if (s->text[first] == ':') {
		b->stop = (uint32_t)first;
		end = number_end(s, first + 1, &b->when);
		if (!end) {
			size_t second = words_end(s, first + 1, &b->depth);
			if (second == SIZE_MAX || s->text[second] != ':' ||
			    !(end = number_end(s, second + 1, &b->when)))
				return;
		}
		b->shape = SHAPE_SCHEDULE;
	} else {
		return;
	}
	b->end = (uint32_t)end;
	b->depth++;
}

/* From the last one on: what lies within is known then. */
static int read_brackets(struct source *s, struct error *err)
{
	for (size_t i = s->size; i-- > 0;) {
		struct bracket *b = &s->at[i];
		if (s->text[i] == '(')
			read_round(s, i, b);
		else if (s->text[i] == '[')
			read_square(s, i, b);
		if (b->shape != SHAPE_NONE && b->depth > PROMPT_DEPTH_MAX)
			return error_set(err, SUMI_INVALID,
					 "prompt: byte %zu: brackets in brackets, deeper than %d", i,
					 PROMPT_DEPTH_MAX);
	}
	return SUMI_OK;
}

/* The last evaluation of a schedule's first text: with a dot a share of the run, else a step. */
static int last_of(const struct source *s, const struct bracket *b)
{
	const char *number = s->text + b->when;
	double v = strtod(number, NULL);
	if (memchr(number, '.', b->end - b->when))
		v *= s->steps;
	return v >= s->steps ? s->steps : v <= -1 ? -1 : (int)v;
}

/* Appends to out, which has room, the text of [i, end) at a step; 0 only marks where texts change. */
static char *render(const struct source *s, size_t i, size_t end, int step, char *out);

static char *render_schedule(const struct source *s, size_t i, const struct bracket *b, int step,
			     char *out)
{
	int last = last_of(s, b), depth = 0;
	bool two = words_end(s, b->stop + 1, &depth) < b->when;
	size_t second = two ? words_end(s, b->stop + 1, &depth) : 0;
	if (last >= 1)
		s->marks[last] = true;
	if (step == 0) {
		render(s, i + 1, b->stop, 0, out);
		return two ? render(s, b->stop + 1, second, 0, out) : out;
	}
	if (two)
		return step <= last ? render(s, i + 1, b->stop, step, out)
				    : render(s, b->stop + 1, second, step, out);
	return step <= last ? out : render(s, i + 1, b->stop, step, out);
}

static char *render_turns(const struct source *s, size_t i, const struct bracket *b, int step,
			  char *out)
{
	int turns = 1, depth = 0;
	for (size_t at = i + 1; s->text[at = words_end(s, at, &depth)] == '|'; at++)
		turns++;
	if (step == 0)
		memset(s->marks + 1, true, (size_t)s->steps);
	size_t from = i + 1;
	for (int k = 0; k < turns; k++) {
		size_t stop = words_end(s, from, &depth);
		if (step == 0)
			render(s, from, stop, 0, out);
		else if (k == (step - 1) % turns)
			return render(s, from, stop, step, out);
		from = stop + 1;
	}
	(void)b;
	return out;
}

static char *render(const struct source *s, size_t i, size_t end, int step, char *out)
{
	while (i < end) {
		const struct bracket *b = &s->at[i];
		switch (b->shape) {
		case SHAPE_SCHEDULE:
			out = render_schedule(s, i, b, step, out);
			i = b->end;
			break;
		case SHAPE_TURNS:
			out = render_turns(s, i, b, step, out);
			i = b->end;
			break;
		case SHAPE_ROUND:
			*out++ = s->text[i];
			out = render(s, i + 1, b->end - 1, step, out);
			*out++ = s->text[b->end - 1];
			i = b->end;
			break;
		case SHAPE_NONE:
			if (s->text[i] == '\\' && i + 1 < end)
				*out++ = s->text[i++];
			*out++ = s->text[i++];
		}
	}
	return out;
}

/* Whether all of it can be read: a bar outside of brackets, or a backslash before nothing, leaves the
 * whole text as it is. */
static bool is_readable(const struct source *s)
{
	for (size_t i = 0; i < s->size;) {
		char c = s->text[i];
		if (c == '|' || (c == '\\' && (i + 1 >= s->size || s->text[i + 1] == '\n')))
			return false;
		if (s->at[i].shape != SHAPE_NONE)
			i = s->at[i].end;
		else
			i += c == '\\' ? 2 : 1;
	}
	return true;
}

/* ---- a part ---- */

static int no_memory(struct error *err)
{
	return error_set(err, SUMI_NOMEM, "no memory for the prompt");
}

/* Takes text, the caller's no more. */
static int add_text(struct prompt_part *p, char *text, int from, int to, struct error *err)
{
	int k = 0;
	if (!text)
		return no_memory(err);
	while (k < p->count && strcmp(p->texts[k], text) != 0)
		k++;
	if (k == PROMPT_TEXTS_MAX) {
		free(text);
		return error_set(err, SUMI_INVALID,
				 "prompt: it becomes more than %d texts on its way: let fewer things "
				 "change",
				 PROMPT_TEXTS_MAX);
	}
	if (k == p->count)
		p->texts[p->count++] = text;
	else
		free(text);
	p->times[k]++;
	for (int i = from; i < to; i++)
		p->at[i] = k;
	return SUMI_OK;
}

static int add_texts(struct prompt_part *p, const struct source *s, struct error *err)
{
	int status = SUMI_OK, from = 0;
	char *out = malloc(s->size + 1);
	if (!out)
		return no_memory(err);
	render(s, 0, s->size, 0, out);
	s->marks[s->steps] = true;
	for (int t = 1; t <= s->steps && !status; t++) {
		if (!s->marks[t])
			continue;
		size_t n = (size_t)(render(s, 0, s->size, t, out) - out);
		status = add_text(p, strndup(out, n), from, t, err);
		from = t;
	}
	free(out);
	return status;
}

static int read_schedule(const char *text, size_t size, int steps, struct prompt_part *p,
			 struct error *err)
{
	struct source s = {.text = text, .size = size, .steps = steps};
	s.at = calloc(size + 1, sizeof *s.at);
	s.marks = calloc((size_t)steps + 1, sizeof *s.marks);
	int status = s.at && s.marks ? read_brackets(&s, err) : no_memory(err);
	if (!status)
		status = is_readable(&s) ? add_texts(p, &s, err)
					 : add_text(p, strndup(text, size), 0, steps, err);
	free(s.marks);
	free(s.at);
	return status;
}

/* ---- parts ---- */

/* Where the text ends without the spaces behind it. */
static size_t trim(const char *text, size_t end)
{
	while (end > 0 && prompt_is_space(prompt_before(text, end)))
		do
			end--;
		while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80);
	return end;
}

/* " : 1.5 " at the end of a part: its weight, and the part's size without it and without spaces. */
static size_t take_weight(const char *text, size_t size, double *weight)
{
	size_t end = trim(text, size), at = end;
	int dots = 0, digits = 0;
	char plain[400]; /* more digits are beyond all doubles */
	unsigned code;
	*weight = 1;
	while (at > 0 && ((code = prompt_before(text, at)) == '.' || prompt_digit(code) >= 0)) {
		dots += code == '.';
		digits += code != '.';
		while (((unsigned char)text[--at] & 0xC0) == 0x80)
			;
	}
	if (!digits || dots > 1)
		return end;
	if (at > 0 && (text[at - 1] == '+' || text[at - 1] == '-'))
		at--;
	size_t colon = trim(text, at);
	if (colon == 0 || text[colon - 1] != ':')
		return end;
	prompt_plain_number(text + at, end - at, plain, sizeof plain);
	*weight = strtod(plain, NULL);
	return trim(text, colon - 1);
}

/* The next part from *from on, without AND; false behind the last. */
static bool next_part(enum prompt_syntax syntax, const char *text, bool negative, size_t *from,
		      size_t *start, size_t *size)
{
	size_t whole = strlen(text), end = SIZE_MAX;
	if (*from == SIZE_MAX)
		return false;
	*start = *from;
	if (syntax == PROMPT_A1111 && !negative)
		end = prompt_find_word(text, whole, *from, "AND");
	*size = (end == SIZE_MAX ? whole : end) - *start;
	*from = end == SIZE_MAX ? SIZE_MAX : end + strlen("AND");
	return true;
}

int prompt_count_parts(enum prompt_syntax syntax, const char *text, bool *weighted)
{
	size_t from = 0, start, size;
	int count = 0;
	*weighted = false;
	text = text ? text : "";
	while (next_part(syntax, text, false, &from, &start, &size)) {
		double weight = 1;
		if (syntax == PROMPT_A1111)
			take_weight(text + start, size, &weight);
		*weighted |= weight != 1;
		count++;
	}
	return count;
}

static int read_part(enum prompt_syntax syntax, const char *text, size_t size, bool negative,
		     int steps, struct prompt_part *p, struct error *err)
{
	p->weight = 1;
	p->at = calloc((size_t)steps, sizeof *p->at);
	if (!p->at)
		return no_memory(err);
	if (syntax != PROMPT_A1111)
		return add_text(p, strndup(text, size), 0, steps, err);
	if (!negative)
		size = take_weight(text, size, &p->weight);
	if (!(fabs(p->weight) <= 1000))
		return error_set(err, SUMI_INVALID,
				 "prompt: a part's weight is %g, allowed are -1000 to 1000",
				 p->weight);
	return read_schedule(text, size, steps, p, err);
}

int prompt_read(enum prompt_syntax syntax, const char *text, bool negative, int steps,
		struct prompt *out, struct error *err)
{
	size_t from = 0, start, size;
	int status = SUMI_OK;
	*out = (struct prompt){.steps = steps > 0 ? steps : 1};
	while (!status && next_part(syntax, text, negative, &from, &start, &size)) {
		if (out->count == PROMPT_PARTS_MAX)
			status = error_set(err, SUMI_INVALID,
					   "prompt: more than %d parts joined by AND",
					   PROMPT_PARTS_MAX);
		else
			status = read_part(syntax, text + start, size, negative, out->steps,
					   &out->parts[out->count++], err);
	}
	if (status)
		prompt_free(out);
	return status;
}

void prompt_free(struct prompt *p)
{
	for (int i = 0; i < p->count; i++) {
		for (int k = 0; k < p->parts[i].count; k++)
			free(p->parts[i].texts[k]);
		free(p->parts[i].at);
	}
	*p = (struct prompt){0};
}

int prompt_tell_plain(enum prompt_syntax syntax, const char *text, bool negative, bool *out,
		      struct error *err)
{
	struct prompt p = {0};
	struct prompt_segments s = {0};
	*out = syntax == PROMPT_DIFFUSERS;
	if (*out)
		return SUMI_OK;
	int status = prompt_read(syntax, text, negative, 2, &p, err);
	bool plain = !status && p.count == 1 && p.parts[0].count == 1 && p.parts[0].weight == 1;
	if (plain)
		status = prompt_segments_read(syntax, p.parts[0].texts[0], &s, err);
	plain = plain && !status && s.count <= 1 &&
		(s.count == 0 || (s.rows[0].weight == 1 && !s.rows[0].breaks));
	/* What may be left out at its end are spaces. */
	size_t size = plain && s.count ? strlen(s.rows[0].text) : 0, whole = strlen(text);
	*out = plain && size <= whole && size >= trim(text, whole) &&
	       memcmp(text, s.count ? s.rows[0].text : "", size) == 0;
	prompt_segments_free(&s);
	prompt_free(&p);
	return status == SUMI_NOMEM ? status : SUMI_OK;
}

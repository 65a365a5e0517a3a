/* compel's grammar (compel 2.5.1, prompt_parser.py), which tries one reading after the other and takes the first. */
#include "diffusion/prompt_compel.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/utf8.h"

#define PLUS 1.1
#define MINUS 0.9
#define NOWHERE SIZE_MAX

enum { PARTS_MAX = 16 };

/* Words, and the weights that are on them, the innermost first. */
struct fragment {
	char *text;      /* owned */
	double *factors; /* owned */
	size_t count;
};

struct fragments {
	struct fragment *rows; /* owned */
	size_t count, capacity;
};

/* A text that is read. A hard failure is in status: nothing else is tried then. */
struct reading {
	const char *text;
	size_t size;
	int status, depth;
	struct error *err;
};

static void cut_to(struct fragments *f, size_t count)
{
	while (f->count > count) {
		f->count--;
		free(f->rows[f->count].text);
		free(f->rows[f->count].factors);
	}
}

static void fragments_free(struct fragments *f)
{
	cut_to(f, 0);
	free(f->rows);
	*f = (struct fragments){0};
}

static void fail(struct reading *r, int status, const char *why)
{
	if (!r->status)
		r->status = error_set(r->err, status, "prompt: %s", why);
}

static void no_memory(struct reading *r)
{
	fail(r, SUMI_NOMEM, "no memory for it");
}

/* compel does it whenever it makes a fragment, also of one. */
static void unescape(char *text)
{
	for (const char *mark = "()\""; *mark; mark++) {
		char *to = text;
		for (const char *p = text; *p; p++)
			if (p[0] != '\\' || p[1] != *mark)
				*to++ = *p;
		*to = '\0';
	}
}

static void add(struct reading *r, struct fragments *f, const char *text, size_t size)
{
	struct fragment *rows = grow_room(f->rows, f->count, &f->capacity, 16, sizeof *rows);
	if (!rows) {
		no_memory(r);
		return;
	}
	f->rows = rows;
	char *copy = strndup(text, size);
	if (!copy) {
		no_memory(r);
		return;
	}
	unescape(copy);
	f->rows[f->count++] = (struct fragment){.text = copy};
}

static void put_weight(struct reading *r, struct fragments *f, size_t from, double weight)
{
	for (size_t i = from; i < f->count; i++) {
		struct fragment *row = &f->rows[i];
		double *factors = realloc(row->factors, (row->count + 1) * sizeof *factors);
		if (!factors) {
			no_memory(r);
			return;
		}
		row->factors = factors;
		row->factors[row->count++] = weight;
	}
}

/* ---- characters ---- */

static bool is_white(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

static bool is_syntax(char c)
{
	return c && strchr("()\",.+-=", c);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char at(const struct reading *r, size_t i)
{
	return i < r->size ? r->text[i] : '\0';
}

static size_t skip(const struct reading *r, size_t i)
{
	while (i < r->size && is_white(r->text[i]))
		i++;
	return i;
}

/* Behind a literal, which spaces may precede; NOWHERE: it is not there. */
static size_t literal(const struct reading *r, size_t i, const char *text)
{
	size_t n = strlen(text);
	if (i == NOWHERE)
		return NOWHERE;
	i = skip(r, i);
	return r->size - i >= n && memcmp(r->text + i, text, n) == 0 ? i + n : NOWHERE;
}

/* 1.5, .5, 12, -3: as compel's numbers are. */
static size_t number(const struct reading *r, size_t i, double *value)
{
	i = skip(r, i);
	size_t p = i + (at(r, i) == '+' || at(r, i) == '-'), whole = p, part;
	while (is_digit(at(r, whole)))
		whole++;
	part = whole;
	if (at(r, whole) == '.')
		for (part = whole + 1; is_digit(at(r, part));)
			part++;
	bool real = part > whole && (whole > p || part > whole + 1);
	if (!real && (whole == p || at(r, i) == '+'))
		return NOWHERE;
	size_t end = real ? part : whole;
	char text[64] = "";
	snprintf(text, sizeof text, "%.*s", (int)(end - i < 63 ? end - i : 63), r->text + i);
	*value = strtod(text, NULL);
	return end;
}

static size_t keyword(const struct reading *r, size_t i)
{
	size_t from = i = skip(r, i);
	while (is_digit(at(r, i)) || (at(r, i) >= 'a' && at(r, i) <= 'z') || (at(r, i) >= 'A' && at(r, i) <= 'Z') ||
	       at(r, i) == '_' || at(r, i) == '-')
		i++;
	return i > from ? i : NOWHERE;
}

/* ---- words ---- */

/* A word that holds no mark. */
static size_t plain_word(const struct reading *r, size_t i, size_t *start)
{
	i = *start = skip(r, i);
	while (i < r->size) {
		char c = r->text[i], next = at(r, i + 1);
		if (c == '\\' && is_syntax(next))
			i += 2;
		else if (c == '+' || c == '-') {
			if (i + 1 >= r->size || is_white(next) || is_syntax(next))
				break;
			i++;
		} else if (is_white(c) || is_syntax(c))
			break;
		else
			i++;
	}
	return i > *start ? i : NOWHERE;
}

/* "+++" or "--": as many as there are. */
static size_t signs(const struct reading *r, size_t i, double *weight)
{
	char sign = at(r, i);
	size_t n = 0;
	if (sign != '+' && sign != '-')
		return NOWHERE;
	while (at(r, i + n) == sign)
		n++;
	*weight = pow(sign == '+' ? PLUS : MINUS, (double)n);
	return i + n;
}

static size_t fragment_list(struct reading *r, size_t i, bool commas, struct fragments *f);

static size_t parenthesized(struct reading *r, size_t i, struct fragments *f)
{
	size_t before = f->count;
	i = literal(r, i, "(");
	if (i == NOWHERE)
		return NOWHERE;
	if (++r->depth > PROMPT_DEPTH_MAX)
		fail(r, SUMI_INVALID, "brackets in brackets, too deep");
	size_t end = r->status ? NOWHERE : literal(r, fragment_list(r, i, true, f), ")");
	r->depth--;
	if (end == NOWHERE)
		cut_to(f, before);
	return end;
}

static size_t prompt_list(struct reading *r, size_t i, struct fragments *f);

/* What stands between quotes, as a text of its own; NULL: no memory. Quotes in it are escaped in it once more. */
static char *unquote(const char *text, size_t size)
{
	static const char names[] = "tnfr", signs_of[] = "\t\n\f\r";
	char *out = malloc(2 * size + 1), *to = out;
	for (size_t i = 0; out && i < size; i++) {
		const char *name = text[i] == '\\' && i + 1 < size ? memchr(names, text[i + 1], 4) : NULL;
		if (name) {
			*to++ = signs_of[name - names];
			i++;
		} else if (text[i] == '"') {
			*to++ = '\\';
			*to++ = '"';
		} else if (text[i] != '\\' || i + 1 == size || text[i + 1] != '"') {
			*to++ = text[i];
		}
	}
	if (out)
		*to = '\0';
	return out;
}

/* Where the quote that opens at i ends: behind its quote; an escaped one ends it where there is no other. */
static size_t quote_end(const struct reading *r, size_t i)
{
	size_t escaped = NOWHERE;
	for (i++; i < r->size && r->text[i] != '\n' && r->text[i] != '\r'; i++) {
		if (r->text[i] == '\\' && at(r, i + 1) == '"')
			escaped = ++i + 1;
		else if (r->text[i] == '"')
			return i + 1;
	}
	return escaped;
}

/* whole: anything may stand in it, as in a prompt of its own; else words, marks and what belongs to them. */
static size_t quoted(struct reading *r, size_t i, bool whole, struct fragments *f)
{
	size_t before = f->count;
	i = skip(r, i);
	size_t end = at(r, i) == '"' ? quote_end(r, i) : NOWHERE;
	if (end == NOWHERE)
		return NOWHERE;
	char *text = unquote(r->text + i + 1, end - i - 2);
	if (!text) {
		no_memory(r);
		return NOWHERE;
	}
	struct reading inner = {.text = text, .size = strlen(text), .depth = r->depth + 1, .err = r->err};
	if (inner.depth > PROMPT_DEPTH_MAX)
		fail(&inner, SUMI_INVALID, "quotes in quotes, too deep");
	if (skip(&inner, 0) == inner.size) {
		add(&inner, f, "", 0);
	} else if (!inner.status) {
		size_t stop = whole ? prompt_list(&inner, 0, f) : fragment_list(&inner, 0, true, f);
		if (stop == NOWHERE || skip(&inner, stop) != inner.size)
			end = NOWHERE;
	}
	free(text);
	r->status = inner.status;
	if (r->status || end == NOWHERE)
		cut_to(f, before);
	return r->status ? NOWHERE : end;
}

/* ---- operators ---- */

/* "(name=0.1, 0.3, flag)": behind it. values: [room] numbers in their order, *count of them; *wrong: something is no
 * number; *raw: no_normalize stands last. */
static size_t options(const struct reading *r, size_t i, double *values, size_t room, size_t *count, bool *raw,
		      bool *wrong)
{
	i = literal(r, i, "(");
	*count = 0;
	*raw = *wrong = false;
	for (bool first = true; i != NOWHERE; first = false) {
		double value;
		size_t from = skip(r, i), name = keyword(r, i), equals = literal(r, name, "=");
		size_t end = equals == NOWHERE ? NOWHERE : number(r, equals, &value);
		if (equals != NOWHERE && end == NOWHERE)
			end = keyword(r, equals);
		bool named = end != NOWHERE;
		if (!named)
			end = number(r, i, &value);
		bool numeric = !named && end != NOWHERE;
		if (end == NOWHERE)
			end = name;
		if (end == NOWHERE)
			return first ? literal(r, i, ")") : NOWHERE;
		*wrong |= *raw;
		*raw = !numeric && !named && end - from == 12 && memcmp(r->text + from, "no_normalize", 12) == 0;
		*wrong |= !numeric && !*raw;
		if (numeric && *count < room)
			values[*count] = value;
		*count += numeric;
		size_t comma = literal(r, end, ",");
		if (comma == NOWHERE)
			return literal(r, end, ")");
		i = comma;
	}
	return NOWHERE;
}

/* ".swap(" behind words. */
static void refuse_swap(struct reading *r, size_t i)
{
	if (literal(r, literal(r, i, ".swap"), "(") != NOWHERE)
		fail(r, SUMI_INVALID, ".swap() cannot be had here: it changes the model's attention on its way");
}

/* "withLora(name, 0.5)": jobs have them otherwise. */
static void refuse_lora(struct reading *r, size_t i)
{
	double weight;
	size_t open = literal(r, literal(r, i, "useLora"), "(");
	if (open == NOWHERE)
		open = literal(r, literal(r, i, "withLora"), "(");
	size_t name = open == NOWHERE ? NOWHERE : keyword(r, open), comma = literal(r, name, ",");
	size_t end = comma == NOWHERE ? NOWHERE : number(r, comma, &weight);
	if (literal(r, end, ")") != NOWHERE || (name != NOWHERE && literal(r, name, ")") != NOWHERE))
		fail(r, SUMI_INVALID, "LoRAs are named by --loras NAME:0.8 or <lora:NAME:0.8>, not by withLora()");
}

/* ".attend(+)" or ".attend(1.2)", or right behind it "++" and, with numbers, "1.2". */
static size_t weight_behind(struct reading *r, size_t i, bool numbers, double *weight)
{
	size_t open = literal(r, literal(r, i, ".attend"), "(");
	if (open != NOWHERE) {
		size_t end = signs(r, skip(r, open), weight);
		end = literal(r, end == NOWHERE ? number(r, open, weight) : end, ")");
		if (end != NOWHERE)
			return end;
	}
	size_t end = signs(r, i, weight);
	if (end == NOWHERE && numbers && i < r->size && !is_white(r->text[i]))
		end = number(r, i, weight);
	return end;
}

/* Words in brackets, in quotes or one, with what makes them count more or less. bare: one without is taken too. */
static size_t weighted(struct reading *r, size_t i, bool bare, struct fragments *f)
{
	size_t before = f->count, start, end = quoted(r, i, false, f);
	double weight;
	refuse_lora(r, i);
	if (end == NOWHERE && !r->status)
		end = parenthesized(r, i, f);
	bool grouped = end != NOWHERE;
	if (!grouped && !r->status && (end = plain_word(r, i, &start)) != NOWHERE)
		add(r, f, r->text + start, end - start);
	if (end == NOWHERE || r->status)
		return NOWHERE;
	refuse_swap(r, end);
	size_t behind = weight_behind(r, end, grouped, &weight);
	if (r->status)
		return NOWHERE;
	if (behind != NOWHERE)
		put_weight(r, f, before, weight);
	else if (!grouped && !bare) {
		cut_to(f, before);
		return NOWHERE;
	}
	return behind == NOWHERE ? end : behind;
}

/* As many as there are; never NOWHERE but for a hard failure. */
static size_t fragment_list(struct reading *r, size_t i, bool commas, struct fragments *f)
{
	for (size_t end; !r->status; i = end) {
		end = weighted(r, i, true, f);
		if (end == NOWHERE && commas && !r->status) {
			size_t mark = skip(r, i);
			if (at(r, mark) == ',' || at(r, mark) == '.') {
				add(r, f, r->text + mark, 1);
				end = mark + 1;
			}
		}
		if (end == NOWHERE)
			break;
	}
	return r->status ? NOWHERE : i;
}

/* The same, with any words between spaces. */
static size_t prompt_list(struct reading *r, size_t i, struct fragments *f)
{
	while (!r->status) {
		size_t end = weighted(r, i, false, f);
		if (end == NOWHERE && !r->status) {
			size_t start = skip(r, i);
			for (end = start; end < r->size && !is_white(r->text[end]);)
				end++;
			if (end > start)
				add(r, f, r->text + start, end - start);
			else
				return r->size;
		}
		i = end;
	}
	return NOWHERE;
}

/* ---- parts ---- */

static double product(const struct fragment *f)
{
	double weight = 1;
	for (size_t i = f->count; i-- > 0;)
		weight *= f->factors[i];
	return weight;
}

static int push(struct prompt_segments *s, char *text, double weight)
{
	struct prompt_segment *rows = grow_room(s->rows, s->count, &s->capacity, 8, sizeof *rows);
	if (!rows)
		return SUMI_NOMEM;
	s->rows = rows;
	s->rows[s->count++] = (struct prompt_segment){.text = text, .weight = weight};
	return SUMI_OK;
}

/* Neighbours of one weight are one text, with a space between. */
static void fuse(struct reading *r, const struct fragments *f, struct prompt_segments *out)
{
	for (size_t i = 0; i < f->count && !r->status; i++) {
		double weight = product(&f->rows[i]);
		struct prompt_segment *last = out->count ? &out->rows[out->count - 1] : NULL;
		bool joins = last && last->weight == weight;
		size_t before = joins ? strlen(last->text) + 1 : 0, size = strlen(f->rows[i].text);
		char *text = malloc(before + size + 1);
		if (!text) {
			no_memory(r);
			return;
		}
		if (joins) {
			memcpy(text, last->text, before);
			text[before - 1] = ' ';
		}
		memcpy(text + before, f->rows[i].text, size + 1);
		unescape(text + before);
		if (joins)
			unescape(text);
		if (joins) {
			free(last->text);
			last->text = text;
		} else if (push(out, text, weight)) {
			free(text);
			no_memory(r);
		}
	}
}

/* Another text of a part, of its fragments, which are let go. Nothing for none, as compel has it. */
static void add_text(struct reading *r, struct compel_part *part, struct fragments *f)
{
	struct compel_text *texts =
	    f->count ? realloc(part->texts, (part->count + 1) * sizeof *texts) : part->texts;
	if (f->count && !texts)
		no_memory(r);
	else if (f->count) {
		part->texts = texts;
		texts[part->count] = (struct compel_text){.share = 1};
		fuse(r, f, &texts[part->count++].segments);
	}
	fragments_free(f);
}

static struct compel_part *add_part(struct reading *r, struct compel_prompt *p)
{
	struct compel_part *parts = realloc(p->parts, (p->count + 1) * sizeof *parts);
	if (!parts) {
		no_memory(r);
		return NULL;
	}
	p->parts = parts;
	parts[p->count] = (struct compel_part){.weight = 1};
	return &parts[p->count++];
}

/* ("…", "…").and(…): behind it, its texts in all[] and its numbers. */
static size_t together(struct reading *r, const char *const *words, struct fragments *all, size_t *texts, double *values,
		       size_t *count, bool *raw, bool *wrong)
{
	size_t i = literal(r, 0, "(");
	*texts = 0;
	while (i != NOWHERE && !r->status) {
		struct fragments f = {0};
		size_t start, end = quoted(r, i, false, &f);
		if (end == NOWHERE && !r->status)
			end = parenthesized(r, i, &f);
		if (end == NOWHERE && !r->status && (end = plain_word(r, i, &start)) != NOWHERE)
			add(r, &f, r->text + start, end - start);
		if (end == NOWHERE && !r->status)
			end = quoted(r, i, true, &f);
		if (end == NOWHERE || *texts == PARTS_MAX) {
			fragments_free(&f);
			return NOWHERE;
		}
		all[(*texts)++] = f;
		i = literal(r, end, ",");
		if (i == NOWHERE) {
			size_t close = literal(r, end, ")"), behind = NOWHERE;
			for (; close != NOWHERE && *words && behind == NOWHERE; words++)
				behind = literal(r, close, *words);
			return behind == NOWHERE ? NOWHERE
						 : options(r, behind, values, PARTS_MAX, count, raw, wrong);
		}
	}
	return NOWHERE;
}

static void check_numbers(struct reading *r, size_t end, size_t texts, size_t count, bool wrong)
{
	if (skip(r, end) != r->size)
		fail(r, SUMI_INVALID, "nothing may stand behind .blend() and .and()");
	else if (wrong)
		fail(r, SUMI_INVALID, "in .blend() and .and() stand numbers, one for each text, and at the end of .blend() "
				      "no_normalize");
	else if (count && count != texts)
		fail(r, SUMI_INVALID, "in .blend() and .and() stand as many numbers as there are texts, or none");
}

static void take_and(struct reading *r, struct fragments *all, size_t texts, const double *values, size_t count,
		     struct compel_prompt *out)
{
	for (size_t i = 0; i < texts && !r->status; i++) {
		struct compel_part *part = all[i].count ? add_part(r, out) : NULL;
		if (!part)
			continue;
		part->weight = count ? values[i] : 1;
		add_text(r, part, &all[i]);
	}
}

static void take_blend(struct reading *r, struct fragments *all, size_t texts, const double *values, size_t count,
		       bool raw, struct compel_prompt *out)
{
	double sum = 0;
	struct compel_part *part = add_part(r, out);
	for (size_t i = 0; i < texts; i++)
		sum += count ? values[i] : 1;
	if (!raw && sum == 0)
		fail(r, SUMI_INVALID, "the numbers of .blend() add up to nothing: write no_normalize behind them");
	for (size_t i = 0; part && i < texts && !r->status; i++) {
		if (!all[i].count) {
			fail(r, SUMI_INVALID, "a text of .blend() has no words");
			return;
		}
		add_text(r, part, &all[i]);
		if (!r->status)
			part->texts[part->count - 1].share = (count ? values[i] : 1) / (raw ? 1 : sum);
	}
}

/* True: it was one of the two, and is read or refused. */
static bool read_together(struct reading *r, bool blends, struct compel_prompt *out)
{
	static const char *const and[] = {".and", ".add", NULL}, *const blend[] = {".blend", NULL};
	struct fragments all[PARTS_MAX];
	double values[PARTS_MAX];
	size_t texts, count;
	bool raw, wrong;
	size_t end = together(r, blends ? blend : and, all, &texts, values, &count, &raw, &wrong);
	if (end != NOWHERE)
		check_numbers(r, end, texts, count, wrong || (raw && !blends));
	if (end != NOWHERE && !r->status && blends)
		take_blend(r, all, texts, values, count, raw, out);
	else if (end != NOWHERE && !r->status)
		take_and(r, all, texts, values, count, out);
	for (size_t i = 0; i < texts; i++)
		fragments_free(&all[i]);
	return end != NOWHERE || r->status;
}

/* A space behind each comma that has none, as compel puts it. */
static char *spaced(const char *text)
{
	size_t size = strlen(text);
	char *out = malloc(2 * size + 1), *to = out;
	for (size_t i = 0; out && i < size; i++) {
		uint32_t code = 0;
		*to++ = text[i];
		size_t n = text[i] == ',' ? utf8_decode(text + i + 1, size - i - 1, &code) : 0;
		if (!n || prompt_is_space(code))
			continue;
		*to++ = ' ';
		*to++ = text[++i];
	}
	if (out)
		*to = '\0';
	return out;
}

int compel_read(const char *text, struct compel_prompt *out, struct error *err)
{
	struct fragments f = {0};
	*out = (struct compel_prompt){0};
	char *copy = spaced(text);
	if (!copy)
		return error_set(err, SUMI_NOMEM, "no memory for the prompt");
	struct reading r = {.text = copy, .size = strlen(copy), .err = err};
	bool done = skip(&r, 0) < r.size && (read_together(&r, false, out) || read_together(&r, true, out));
	if (!done && !r.status)
		prompt_list(&r, 0, &f);
	if (!r.status && !out->count) {
		struct compel_part *part = add_part(&r, out);
		if (part && !f.count)
			add(&r, &f, "", 0);
		if (part)
			add_text(&r, part, &f);
	}
	fragments_free(&f);
	free(copy);
	if (r.status)
		compel_free(out);
	return r.status;
}

void compel_free(struct compel_prompt *p)
{
	for (size_t i = 0; i < p->count; i++) {
		for (size_t k = 0; k < p->parts[i].count; k++)
			prompt_segments_free(&p->parts[i].texts[k].segments);
		free(p->parts[i].texts);
	}
	free(p->parts);
	*p = (struct compel_prompt){0};
}

bool compel_blends(const char *text)
{
	struct compel_prompt p;
	bool blends = false;
	if (compel_read(text, &p, NULL))
		return false;
	for (size_t i = 0; i < p.count; i++)
		blends = blends || p.parts[i].count > 1;
	compel_free(&p);
	return blends;
}

/* Drawing of parts of prompts. */
#include "request/dynamic.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"

enum { OPTIONS_MAX = 4096 };

/* A piece of a text, borrowed. */
struct span {
	const char *at;
	size_t size;
};

struct option {
	struct span text;
	double weight;
};

struct drawing {
	const struct dynamic_source *source;
	uint64_t state;
	char *out; /* [DYNAMIC_TEXT_MAX + 1] */
	size_t size;
};

static int no_memory(struct error *err)
{
	return error_set(err, SUMI_NOMEM, "no memory for the prompt");
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t next(struct drawing *d)
{
	uint64_t z = d->state += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static double unit(struct drawing *d)
{
	return (double)(next(d) >> 11) * 0x1p-53;
}

static int put(struct drawing *d, const char *text, size_t size, struct error *err)
{
	if (size > DYNAMIC_TEXT_MAX - d->size)
		return error_set(err, SUMI_TOOBIG,
				 "prompt: more than %d bytes come of what is drawn in it",
				 DYNAMIC_TEXT_MAX);
	memcpy(d->out + d->size, text, size);
	d->size += size;
	return SUMI_OK;
}

static struct span trim(struct span s)
{
	while (s.size && isspace((unsigned char)*s.at)) {
		s.at++;
		s.size--;
	}
	while (s.size && isspace((unsigned char)s.at[s.size - 1]))
		s.size--;
	return s;
}

/* ---- signs ---- */

static bool is_name_edge(char c)
{
	return isalnum((unsigned char)c) || c == '*' || c == '?' || (c & 0x80);
}

/* How sd-dynamic-prompts is told to draw: "~" at random, "!" each, which among others is at random too, "@" in turn. */
static bool is_way(char c)
{
	return c == '~' || c == '!' || c == '@';
}

/* The size of "__name__" at the start of a text, 0: it is none. */
static size_t wildcard_size(struct span s)
{
	size_t from = s.size > 2 && is_way(s.at[2]) ? 3 : 2;
	if (s.size < from + 3 || s.at[0] != '_' || s.at[1] != '_' || !is_name_edge(s.at[from]))
		return 0;
	for (size_t i = from; i + 2 <= s.size && i < 2 + DYNAMIC_NAME_MAX; i++) {
		char c = s.at[i];
		if (c == '_' && i + 1 < s.size && s.at[i + 1] == '_')
			return is_name_edge(s.at[i - 1]) ? i + 2 : 0;
		bool windows = c == '\\' && i + 1 < s.size && is_name_edge(s.at[i + 1]); /* between folders */
		if (!is_name_edge(c) && !windows && !strchr("_-/. ", c))
			return 0;
	}
	return 0;
}

static bool escapes(struct span s, size_t i)
{
	return s.at[i] == '\\' && i + 1 < s.size;
}

/* Where the brace at the start of a text closes: behind it; 0: it does not. */
static size_t brace_size(struct span s)
{
	size_t depth = 0;
	for (size_t i = 0; i < s.size; i++) {
		if (escapes(s, i))
			i++;
		else if (s.at[i] == '{')
			depth++;
		else if (s.at[i] == '}' && --depth == 0)
			return i + 1;
	}
	return 0;
}

/* Where a sign stands outside of braces, and with `square` of square brackets, from i on; s.size: nowhere.
 * *balanced becomes false where square brackets do not close. */
static size_t find(struct span s, size_t i, const char *sign, bool square, bool *balanced)
{
	size_t n = strlen(sign);
	int braces = 0, brackets = 0;
	for (; i < s.size; i++) {
		char c = s.at[i];
		if (escapes(s, i)) {
			i++;
			continue;
		}
		if (!braces && !brackets && i + n <= s.size && memcmp(s.at + i, sign, n) == 0)
			break;
		braces += (c == '{') - (c == '}');
		brackets += square ? (c == '[') - (c == ']') : 0;
	}
	*balanced &= brackets == 0;
	return i < s.size ? i : s.size;
}

/* Whether braces are of a choice: "|" or "$$" stands in them. inner: what is between them. */
static bool is_choice(struct span inner)
{
	bool ignored = true;
	return find(inner, 0, "|", false, &ignored) < inner.size ||
	       find(inner, 0, "$$", false, &ignored) < inner.size;
}

bool dynamic_is(const char *text)
{
	struct span s = {text, strlen(text)};
	for (size_t i = 0; i < s.size; i++) {
		struct span rest = {s.at + i, s.size - i};
		if (escapes(s, i)) {
			i++;
			continue;
		}
		if (wildcard_size(rest))
			return true;
		size_t n = *rest.at == '{' ? brace_size(rest) : 0;
		if (n && is_choice((struct span){rest.at + 1, n - 2}))
			return true;
		if (n && i > 0 && s.at[i - 1] == '$' && memchr(rest.at, '=', n)) /* a variable: drawing refuses it */
			return true;
	}
	return false;
}

/* ---- choices ---- */

/* "2::words" */
static struct option read_option(struct span s)
{
	char number[32], *end;
	bool ignored = true;
	size_t at = find(s, 0, "::", false, &ignored);
	struct option o = {trim(s), 1};
	if (at == s.size || at >= sizeof number)
		return o;
	snprintf(number, sizeof number, "%.*s", (int)at, s.at);
	double weight = strtod(number, &end);
	while (isspace((unsigned char)*end))
		end++;
	if (*end || end == number || !(weight >= 0 && weight <= 1e6))
		return o;
	return (struct option){trim((struct span){s.at + at + 2, s.size - at - 2}), weight};
}

static int add_option(struct option **list, size_t *count, struct option o, struct error *err)
{
	if (*count == OPTIONS_MAX)
		return error_set(err, SUMI_INVALID, "prompt: a choice of more than %d things",
				 OPTIONS_MAX);
	struct option *all = grow_by_count(*list, *count, sizeof *all);
	if (!all)
		return no_memory(err);
	*list = all;
	(*list)[(*count)++] = o;
	return SUMI_OK;
}

static int read_options(struct span s, struct option **list, size_t *count, struct error *err)
{
	bool square = true;
	int status = SUMI_OK;
	for (size_t i = 0; i <= s.size && square;)
		i = find(s, i, "|", true, &square) + 1;
	for (size_t i = 0, end; i <= s.size && !status; i = end + 1) {
		bool ignored = true;
		end = find(s, i, "|", square, &ignored);
		status = add_option(list, count, read_option((struct span){s.at + i, end - i}), err);
	}
	return status;
}

/* How many of the options are taken, and what stands between them. */
struct amount {
	long least, most;
	struct span between;
};

/* "2", "1-3", "-3", "1-" */
static bool read_amount(struct span s, struct amount *a)
{
	char text[24], *end = text;
	s = trim(s);
	if (!s.size || s.size >= sizeof text)
		return false;
	snprintf(text, sizeof text, "%.*s", (int)s.size, s.at);
	a->least = *text == '-' ? 1 : strtol(text, &end, 10);
	a->most = a->least;
	if (*end == '-') {
		char *from = end + 1;
		a->most = *from ? strtol(from, &end, 10) : OPTIONS_MAX;
		end = *from ? end : from;
	}
	return !*end && a->least >= 0 && a->most >= a->least && isdigit((unsigned char)text[*text == '-' && text[1]]);
}

/* Takes "2$$" or "2$$ and $$" off the start of a choice. */
static int take_amount(struct span *s, struct amount *a, struct error *err)
{
	bool ignored = true;
	size_t at = find(*s, 0, "$$", false, &ignored);
	*a = (struct amount){1, 1, {", ", 2}};
	if (at == s->size)
		return SUMI_OK;
	if (!read_amount((struct span){s->at, at}, a))
		return error_set(err, SUMI_INVALID,
				 "prompt: '%.*s$$' is no number of things: write {2$$a|b|c} or "
				 "{1-2$$a|b|c}",
				 (int)(at < 40 ? at : 40), s->at);
	*s = (struct span){s->at + at + 2, s->size - at - 2};
	at = find(*s, 0, "$$", false, &ignored);
	if (at < s->size) {
		a->between = (struct span){s->at, at};
		*s = (struct span){s->at + at + 2, s->size - at - 2};
	}
	return SUMI_OK;
}

/* The place of an option by weight, among those that are not taken (weight −1). */
static size_t choose(struct drawing *d, const struct option *list, size_t count)
{
	double sum = 0;
	size_t last = count;
	for (size_t i = 0; i < count; i++)
		sum += list[i].weight > 0 ? list[i].weight : 0;
	double at = unit(d) * sum;
	for (size_t i = 0; i < count; i++) {
		if (list[i].weight < 0 || (list[i].weight == 0 && sum > 0))
			continue;
		last = i;
		at -= list[i].weight;
		if (at < 0)
			return i;
	}
	return last;
}

static int draw(struct drawing *d, struct span s, int depth, struct error *err);

static int draw_options(struct drawing *d, struct option *list, size_t count, const struct amount *a,
			int depth, struct error *err)
{
	long most = a->most < (long)count ? a->most : (long)count;
	long least = a->least < most ? a->least : most;
	long wanted = least + (most > least ? (long)(next(d) % (uint64_t)(most - least + 1)) : 0);
	int status = SUMI_OK;
	for (long k = 0; k < wanted && !status; k++) {
		size_t i = choose(d, list, count);
		if (i == count)
			break;
		if (k > 0)
			status = put(d, a->between.at, a->between.size, err);
		if (!status)
			status = draw(d, list[i].text, depth + 1, err);
		list[i].weight = -1;
	}
	return status;
}

/* Takes the way off the start of what is drawn. */
static int take_way(struct span *s, struct error *err)
{
	if (!s->size || !is_way(*s->at))
		return SUMI_OK;
	if (*s->at == '@')
		return error_set(err, SUMI_INVALID, "prompt: '@%.*s' takes one after the other: leave the @ out, and one is drawn",
				 (int)(s->size - 1 < 40 ? s->size - 1 : 40), s->at + 1);
	s->at++;
	s->size--;
	return SUMI_OK;
}

static int draw_lines(struct drawing *d, struct span name, const struct amount *a, int depth,
		      struct error *err)
{
	char text[DYNAMIC_NAME_MAX + 1];
	json_t *lines = NULL, *line;
	struct option *list = NULL;
	size_t count = 0, i;
	int status = take_way(&name, err);
	snprintf(text, sizeof text, "%.*s", (int)name.size, name.at);
	for (char *p = text; (p = strchr(p, '\\'));)
		*p = '/';
	if (!status)
		status = d->source->lines(d->source->context, text, &lines, err);
	if (!status)
		list = calloc(json_array_size(lines) + 1, sizeof *list);
	if (!status && !list)
		status = no_memory(err);
	json_array_foreach(lines, i, line)
	{
		if (!status)
			list[count++] = read_option((struct span){json_string_value(line),
								  json_string_length(line)});
	}
	if (!status && !count)
		status = error_set(err, SUMI_INVALID, "prompt: wildcard '%s' has no line", text);
	if (!status)
		status = draw_options(d, list, count, a, depth, err);
	free(list);
	json_decref(lines);
	return status;
}

/* inner: what stands between the braces. */
static int draw_choice(struct drawing *d, struct span inner, int depth, struct error *err)
{
	struct amount a;
	struct option *list = NULL;
	size_t count = 0;
	int status = take_way(&inner, err);
	if (!status)
		status = take_amount(&inner, &a, err);
	if (status)
		return status;
	/* Several lines of one file. */
	struct span only = trim(inner);
	if (only.size && wildcard_size(only) == only.size)
		return draw_lines(d, (struct span){only.at + 2, only.size - 4}, &a, depth, err);
	status = read_options(inner, &list, &count, err);
	if (!status)
		status = draw_options(d, list, count, &a, depth, err);
	free(list);
	return status;
}

static int draw_brace(struct drawing *d, struct span s, size_t n, int depth, struct error *err)
{
	struct span inner = {s.at + 1, n - 2};
	if (is_choice(inner))
		return draw_choice(d, inner, depth, err);
	int status = put(d, "{", 1, err);
	if (!status)
		status = draw(d, inner, depth + 1, err);
	return status ? status : put(d, "}", 1, err);
}

static int draw(struct drawing *d, struct span s, int depth, struct error *err)
{
	static const struct amount one = {1, 1, {"", 0}};
	int status = SUMI_OK;
	if (depth > DYNAMIC_DEPTH_MAX)
		return error_set(err, SUMI_INVALID,
				 "prompt: choices within choices, deeper than %d: wildcards may name "
				 "each other in a ring",
				 DYNAMIC_DEPTH_MAX);
	for (size_t i = 0, n; i < s.size && !status; i += n) {
		struct span rest = {s.at + i, s.size - i};
		n = 1;
		if (escapes(s, i) && strchr("{}_", s.at[i + 1])) {
			n = 2;
			status = put(d, s.at + i + 1, 1, err);
		} else if (escapes(s, i)) {
			n = 2;
			status = put(d, s.at + i, 2, err);
		} else if ((n = wildcard_size(rest))) {
			status = draw_lines(d, (struct span){rest.at + 2, n - 4}, &one, depth, err);
		} else if (*rest.at == '{' && (n = brace_size(rest))) {
			if (i > 0 && s.at[i - 1] == '$')
				status = error_set(err, SUMI_INVALID,
						   "prompt: variables, ${%.30s, are not read",
						   rest.at + 1);
			else
				status = draw_brace(d, rest, n, depth, err);
		} else {
			n = 1;
			status = put(d, s.at + i, 1, err);
		}
	}
	return status;
}

int dynamic_draw(const char *text, uint64_t seed, const struct dynamic_source *source, char **out,
		 struct error *err)
{
	struct drawing d = {.source = source, .state = seed};
	*out = NULL;
	d.out = malloc(DYNAMIC_TEXT_MAX + 1);
	if (!d.out)
		return no_memory(err);
	int status = draw(&d, (struct span){text, strlen(text)}, 0, err);
	if (status) {
		free(d.out);
		return status;
	}
	d.out[d.size] = '\0';
	*out = d.out;
	return SUMI_OK;
}

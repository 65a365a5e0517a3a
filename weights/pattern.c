/* Matching without going back: of each part of a pattern all places of the name where it may end, from all where it
 * may begin. What a pattern costs then grows with its length and the name's, whatever it says. */
#include "weights/pattern.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct places {
	bool at[PATTERN_NAME_MAX];
};

struct walk {
	const char *p; /* what of the pattern comes next */
	const char *name;
	size_t length;
	int depth;
	long *work;
	bool bad;
};

enum { DEPTH_MAX = 8 };

static void any(struct walk *w, const struct places *in, struct places *out);

static void join(const struct walk *w, struct places *to, const struct places *more, bool *grew)
{
	for (size_t i = 0; i <= w->length; i++) {
		*grew |= more->at[i] && !to->at[i];
		to->at[i] |= more->at[i];
	}
}

/* \d, \w, \s and their opposites; of punctuation itself. */
static bool escaped(struct walk *w, char which, char c)
{
	unsigned char u = (unsigned char)c;
	bool is = tolower(which) == 'd'   ? isdigit(u)
		  : tolower(which) == 'w' ? isalnum(u) || c == '_'
		  : tolower(which) == 's' ? isspace(u)
					  : c == which;
	if (isalnum((unsigned char)which) && !strchr("dwsDWS", which))
		w->bad = true;
	w->bad |= !which;
	return strchr("DWS", which) && which ? !is : is;
}

/* A class: p stands behind its bracket, and then behind the other. */
static bool in_class(struct walk *w, const char **p, char c)
{
	bool not = **p == '^', found = false;
	*p += not;
	for (bool first = true; **p && (first || **p != ']'); first = false) {
		char from = *(*p)++;
		if (from == '\\') {
			found |= escaped(w, **p, c);
			*p += **p != '\0';
			continue;
		}
		char to = from;
		if ((*p)[0] == '-' && (*p)[1] && (*p)[1] != ']') {
			to = (*p)[1];
			*p += 2;
		}
		found |= (unsigned char)c >= (unsigned char)from && (unsigned char)c <= (unsigned char)to;
	}
	w->bad |= **p != ']';
	*p += **p == ']';
	return found != not;
}

static bool is_one(struct walk *w, const char *p, const char **end, char c)
{
	*end = p + 1;
	if (*p == '[')
		return in_class(w, end, c);
	if (*p == '.')
		return c != '\n';
	if (*p != '\\')
		return *p == c;
	*end += p[1] != '\0';
	return escaped(w, p[1], c);
}

static void atom(struct walk *w, const struct places *in, struct places *out)
{
	const char *p = w->p, *end = p + 1;
	*out = (struct places){{false}};
	if (--*w->work < 0 || strchr("*+?{", *p)) {
		w->bad = true;
	} else if (*p == '^' || *p == '$') {
		size_t at = *p == '^' ? 0 : w->length;
		out->at[at] = in->at[at];
	} else if (*p == '(') {
		w->p += strncmp(p, "(?:", 3) == 0 ? 3 : 1;
		if (w->depth++ >= DEPTH_MAX)
			w->bad = true;
		else
			any(w, in, out);
		w->depth--;
		w->bad |= *w->p != ')';
		end = w->p + (*w->p == ')'); /* never behind the end, from where those around it go on */
	} else {
		is_one(w, p, &end, 'x'); /* how long it is, and whether it is right, where nothing is looked at too */
		for (size_t i = 0; i < w->length; i++)
			out->at[i + 1] = in->at[i] && is_one(w, p, &end, w->name[i]);
	}
	w->p = end;
}

/* How often: "*", "+", "?", "{2}", "{2,}", "{2,4}"; once where nothing says so. Then w->p stands behind it. */
static void repetition(struct walk *w, long *least, long *most)
{
	char c = *w->p, *end;
	*least = c == '*' || c == '?' ? 0 : 1;
	*most = c == '*' || c == '+' ? LONG_MAX : 1;
	if (c == '{') {
		*least = *most = strtol(w->p + 1, &end, 10);
		w->bad |= end == w->p + 1;
		if (*end == ',')
			*most = end[1] == '}' ? (end++, LONG_MAX) : strtol(end + 1, &end, 10);
		w->bad |= *end != '}' || *least < 0 || *least > PATTERN_NAME_MAX || *most < *least;
		w->p = end + (*end == '}');
	} else if (c && strchr("*+?", c)) {
		w->p++;
	} else {
		return;
	}
	w->p += *w->p == '?'; /* as few as possible: of a whole name the same */
}

static void piece(struct walk *w, struct places *at)
{
	struct places now = *at, next;
	const char *begin = w->p;
	long least, most;
	bool grew = true;
	atom(w, at, &next); /* how far it goes */
	if (w->bad)
		return;
	repetition(w, &least, &most);
	const char *end = w->p;
	for (long n = 0; n < least && !w->bad; n++) {
		w->p = begin;
		atom(w, &now, &next);
		now = next;
	}
	*at = now;
	for (long n = least; n < most && grew && !w->bad; n++) {
		w->p = begin;
		atom(w, &now, &next);
		now = next;
		grew = false;
		join(w, at, &now, &grew);
	}
	w->p = end;
}

/* Alternatives, up to the end or the bracket that closes them. */
static void any(struct walk *w, const struct places *in, struct places *out)
{
	bool grew = false;
	*out = (struct places){{false}};
	for (;; w->p++) {
		struct places at = *in;
		while (!w->bad && *w->p && *w->p != '|' && *w->p != ')')
			piece(w, &at);
		join(w, out, &at, &grew);
		if (w->bad || *w->p != '|')
			return;
	}
}

int pattern_ends(const char *pattern, const char *name, long *work)
{
	struct places in = {{true}}, out;
	struct walk w = {.p = pattern, .name = name, .length = strlen(name), .work = work};
	if (w.length >= PATTERN_NAME_MAX)
		return -1;
	for (size_t i = 0; i < w.length; i++)
		in.at[i + 1] = name[i] == '.';
	any(&w, &in, &out);
	return w.bad || *w.p ? -1 : out.at[w.length];
}

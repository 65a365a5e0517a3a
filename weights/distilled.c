/* What LCM, Lightning, Hyper-SD, TCD and DMD2 are made for, as their model cards have it. */
#include "weights/distilled.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The first that is found counts; steps where the name has no number of them. */
static const struct {
	const char *word;
	struct distilled proposes;
} rows[] = {
    {"lightning", {"euler", "sgm_uniform", 4, 1, 0}},
    {"hyper", {"ddim", NULL, 8, 1, 0}},
    {"dmd2", {"lcm", NULL, 4, 1, 0}},
    {"lcm", {"lcm", NULL, 4, 1, 0}},
    {"tcd", {"tcd", NULL, 4, 1, 0.3}},
};

/* A word that stands for itself: no letters beside it, as in "hyperrealism". */
static bool has_word(const char *name, const char *word)
{
	size_t n = strlen(word);
	for (const char *at = name; *at; at++)
		if (strncasecmp(at, word, n) == 0 && (at == name || !isalpha((unsigned char)at[-1])) &&
		    !isalpha((unsigned char)at[n]))
			return true;
	return false;
}

/* "4step", "8-steps", "1 step"; 0: none. */
static int steps_in(const char *name)
{
	for (const char *at = name; *at; at++) {
		if (!isdigit((unsigned char)*at) || (at > name && isdigit((unsigned char)at[-1])))
			continue;
		char *end;
		long n = strtol(at, &end, 10);
		end += *end == '-' || *end == '_' || *end == ' ';
		if (strncasecmp(end, "step", 4) == 0 && n >= 1 && n <= 50)
			return (int)n;
	}
	return 0;
}

bool distilled_named(const char *name, struct distilled *out)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (has_word(name, rows[i].word)) {
			int steps = steps_in(name);
			*out = rows[i].proposes;
			out->steps = steps ? steps : out->steps;
			return true;
		}
	return false;
}

/* Levenshtein's distance between short words. */
#include "base/nearest.h"

#include <string.h>

static size_t distance(const char *a, const char *b)
{
	size_t row[NEAREST_MAX + 1], n = strlen(b);
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];
		row[0] = i + 1;
		for (size_t j = 1; j <= n; j++) {
			size_t change = diagonal + (a[i] != b[j - 1]);
			diagonal = row[j];
			size_t shift = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
			row[j] = change < shift ? change : shift;
		}
	}
	return row[n];
}

struct nearest nearest_to(const char *given)
{
	return (struct nearest){.given = given, .least = strlen(given) < 5 ? 2 : 3};
}

void nearest_try(struct nearest *n, const char *word)
{
	if (strlen(n->given) >= NEAREST_MAX || strlen(word) >= NEAREST_MAX)
		return;
	size_t d = distance(n->given, word);
	if (d < n->least && d < strlen(word)) {
		n->least = d;
		n->best = word;
	}
}

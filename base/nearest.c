/* How many letters two short words differ by: changed, missing, added, or two in a row swapped. */
#include "base/nearest.h"

#include <string.h>

static size_t least_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Rows are those of the classic table: two before, one before, this one. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][NEAREST_MAX + 1], n = strlen(b);
	for (size_t j = 0; j <= n; j++)
		rows[0][j] = j;
	size_t i = 0;
	for (; a[i]; i++) {
		const size_t *before = rows[(i + 2) % 3], *above = rows[i % 3];
		size_t *row = rows[(i + 1) % 3];
		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			size_t d = least_of(above[j] + (a[i] != b[j]),
					    least_of(above[j + 1], row[j]) + 1);
			if (i && j && a[i] == b[j - 1] && a[i - 1] == b[j])
				d = least_of(d, before[j - 1] + 1);
			row[j + 1] = d;
		}
	}
	return rows[i % 3][n];
}

struct nearest nearest_to(const char *given)
{
	return (struct nearest){.given = given, .least = strlen(given) < 5 ? 2 : 3};
}

void nearest_try(struct nearest *n, const char *word)
{
	size_t length = strlen(n->given), letters = strlen(word);
	if (length >= NEAREST_MAX || letters >= NEAREST_MAX)
		return;
	/* No fewer than one is longer than the other: most words need no table. */
	size_t d = length > letters ? length - letters : letters - length;
	if (n->shortened && length >= 2 && strncmp(n->given, word, length) == 0)
		d = 0;
	else if (d < n->least)
		d = distance(n->given, word);
	if (d < n->least && d < letters) {
		n->least = d;
		n->best = word;
	}
}

/* What somebody may have meant by a misspelt word. */
#ifndef SUMI_BASE_NEAREST_H
#define SUMI_BASE_NEAREST_H

#include <stdbool.h>
#include <stddef.h>

#define NEAREST_MAX 32 /* longer words have no neighbours */

struct nearest {
	const char *given;
	size_t least; /* only words nearer than this are any good */
	const char *best; /* NULL: nothing is near */
	bool shortened; /* set by the caller: the beginning of a word, of 2 letters or more, is near it */
};

/* The word borrowed; then nearest_try() with every known one, and best is the nearest. */
struct nearest nearest_to(const char *given);
void nearest_try(struct nearest *n, const char *word);

#endif

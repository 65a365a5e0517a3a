/* Command lines of the bench programs: pairs of "--name VALUE". */
#ifndef SUMI_BENCH_OPTIONS_H
#define SUMI_BENCH_OPTIONS_H

#include <stdbool.h>

/* One of text and count is set; what is not given keeps its value. */
struct bench_option {
	const char *name;  /* "--device"; NULL ends the table */
	const char **text; /* borrowed from argv */
	int *count;        /* at least 1 */
};

/* Reads the pairs from argv[first] on. False where a name is not in the table, a value is missing
 * or a count is none. */
bool bench_options(int argc, char **argv, int first, const struct bench_option *table);

#endif

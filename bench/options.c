/* Command lines of the bench programs. */
#include "bench/options.h"

#include <stdlib.h>
#include <string.h>

static bool take(const struct bench_option *table, const char *name, const char *value)
{
	while (table->name && strcmp(table->name, name) != 0)
		table++;
	if (!table->name)
		return false;
	if (table->text)
		*table->text = value;
	else
		*table->count = atoi(value);
	return table->text || *table->count > 0;
}

bool bench_options(int argc, char **argv, int first, const struct bench_option *table)
{
	for (int i = first; i < argc; i += 2)
		if (i + 1 == argc || !take(table, argv[i], argv[i + 1]))
			return false;
	return true;
}

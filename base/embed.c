/* Look-up in the tables of embedded files. */
#include "base/embed.h"

#include <string.h>

const char *embedded_text(const struct embedded_file *table, const char *name)
{
	for (; table->name; table++)
		if (strcmp(table->name, name) == 0)
			return table->text;
	return NULL;
}

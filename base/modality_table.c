/* Names of modalities. */
#include "base/modality_table.h"

#include <string.h>

const char *const modality_names[MODALITIES] = {
#define X(NAME, name, ...) #name,
    MODALITY_TABLE(X)
#undef X
};

enum modality_index modality_index(const char *name)
{
	int i = 0;
	while (name && i < MODALITIES && strcmp(modality_names[i], name) != 0)
		i++;
	return name ? (enum modality_index)i : MODALITIES;
}

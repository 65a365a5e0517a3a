/* The table of modalities. */
#include "modalities/modality.h"

#include <string.h>

const struct modality *const modality_table[] = {&modality_image, &modality_video, &modality_audio,
						 NULL};

const struct modality *modality_find(const char *name)
{
	for (const struct modality *const *m = modality_table; *m; m++)
		if (strcmp((*m)->name, name) == 0)
			return *m;
	return NULL;
}

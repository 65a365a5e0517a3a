/* Moods: words for music that a pack has in a table. */
#ifndef SUMI_MODALITIES_MOODS_H
#define SUMI_MODALITIES_MOODS_H

#include "diffusion/pack.h"

struct mood {
	const char *prompt, *negative_prompt; /* borrowed from the manifest */
	double tempo;                         /* beats a minute; 0: none */
};

/* A row of the pack's table; name NULL: an empty one. SUMI_INVALID with the names that there are. */
int mood_find(const struct pack_info *info, const char *name, struct mood *m, struct error *err);

#endif

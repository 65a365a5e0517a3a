/* What lies in models folders beside packs, for those who list it. */
#ifndef SUMI_MODALITIES_SHELF_H
#define SUMI_MODALITIES_SHELF_H

#include <jansson.h>

#include "base/status.h"

enum shelf { SHELF_LORAS, SHELF_EMBEDDINGS, SHELF_CONTROLS, SHELF_UPSCALERS, SHELF_STYLES };

/* A new list in the order of their folders, each name once:
 *   LoRAs, controls, upscalers  {"name", "file": its file's or folder's own name}
 *   embeddings       the same, "word" where it is called otherwise than its file, "vectors", "width"; those
 *                    that cannot be read have "error" instead
 *   styles           {"name", "prompt", "negative_prompt"}
 * Places as for catalogue_read(). */
int shelf_list(enum shelf shelf, const char *packs, const char *state_dir, json_t **out,
	       struct error *err);

#endif

/* The folder of packed weights, for packed.c. */
#ifndef SUMI_WEIGHTS_PACKED_INTERNAL_H
#define SUMI_WEIGHTS_PACKED_INTERNAL_H

#include "base/files.h"
#include "weights/packed.h"

/* The file of a key and its temporary; makes the folder. False when that cannot be. */
bool packed_place(const struct packed_store *store, const char *key, char path[FILES_PATH_MAX], char temp[FILES_PATH_MAX]);

/* Removes the least recently used files until so many bytes more stay within the limit; false
 * when they never will. */
bool packed_make_room(const struct packed_store *store, uint64_t bytes);

/* packed_store_lean()'s. */
uint64_t packed_lean_from(const struct packed_store *store);

/* Whether the folder's disk has so many free bytes, as far as it can be told. */
bool packed_has_space(const struct packed_store *store, uint64_t bytes);

#endif

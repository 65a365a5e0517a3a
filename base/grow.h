/* Arrays that grow while they are filled. */
#ifndef SUMI_BASE_GROW_H
#define SUMI_BASE_GROW_H

#include <stddef.h>

/* Room for one more behind count elements of `each` bytes: the array itself, or a larger one with what stands in it.
 * *room is how many it holds (0 with NULL): `first` to begin with, then twice as many. NULL where there is no
 * memory: the array and its room are as they were. */
void *grow_room(void *array, size_t count, size_t *room, size_t first, size_t each);

/* The same where nobody keeps the room: it is the next power of two. */
void *grow_by_count(void *array, size_t count, size_t each);

#endif

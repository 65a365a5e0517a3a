#include "base/grow.h"

#include <stdlib.h>

void *grow_room(void *array, size_t count, size_t *room, size_t first, size_t each)
{
	if (count < *room)
		return array;
	size_t more = *room ? 2 * *room : first;
	void *larger = realloc(array, more * each);
	if (larger)
		*room = more;
	return larger;
}

void *grow_by_count(void *array, size_t count, size_t each)
{
	size_t room = count && (count & (count - 1)) != 0 ? count + 1 : count; /* full at powers of two alone */
	return grow_room(array, count, &room, 1, each);
}

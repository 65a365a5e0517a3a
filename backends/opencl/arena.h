/* Host memory for buffers that come and go: one range of addresses whose beginning is used. A step takes and
 * gives back the same sizes in the same order each time, so it touches little more than what it holds at once,
 * whatever sizes they are; and what it has touched stays for the next one. */
#ifndef SUMI_BACKENDS_OPENCL_ARENA_H
#define SUMI_BACKENDS_OPENCL_ARENA_H

#include <stddef.h>

enum { ARENA_UNIT = 256 }; /* what sizes are rounded up to and places are a multiple of */

struct arena;

/* Reserves `most` bytes of addresses, which is no memory yet. NULL where the system gives none, or limits what a
 * process may reserve (RLIMIT_AS): the caller does without. */
struct arena *arena_new(size_t most);
void arena_free(struct arena *a); /* NULL is fine */

/* The lowest place of so many bytes (> 0), with arbitrary content. NULL where there is none, or no memory. */
void *arena_take(struct arena *a, size_t bytes);
void arena_give(struct arena *a, void *place, size_t bytes); /* as it was taken */

/* Gives the memory of what is free back to the system. Nobody may use it any more. */
void arena_trim(struct arena *a);

/* Bytes from the beginning to the end of what has been touched since the last trim. */
size_t arena_touched(const struct arena *a);

#endif

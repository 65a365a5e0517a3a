/* Mapped files that become shorter while they are used. Reading what is not there any more ends a
 * process with SIGBUS; guarded, the lost pages read as zeros and the mapping counts as damaged, so
 * that whoever computed with it fails with the file's name instead. */
#ifndef SUMI_WEIGHTS_GUARD_H
#define SUMI_WEIGHTS_GUARD_H

#include <stddef.h>

#include "base/status.h"

/* For the whole process. Faults elsewhere go to whoever had them before. guard_check(), which follows every step, does
 * it once more, for libraries that put a handler of their own in front meanwhile. */
void guard_install(void);

/* A mapping from now on, and not any more. path is borrowed until guard_remove(). More than there
 * is room for stay unguarded. */
void guard_add(void *map, size_t size, const char *path);
void guard_remove(const void *map); /* unknown ones are fine */

/* SUMI_IO with the path of the first damaged mapping. It stays damaged until it is removed:
 * the model that uses it must be loaded anew. */
int guard_check(struct error *err);

#endif

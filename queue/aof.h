/* The end of an append-only file after a power cut.
 *
 * Redis 7.0 forgives a last command that is not whole: it cuts it off and starts. But where
 * that command stood in a transaction (each of the queue's scripts writes one), it leaves
 * MULTI and the commands before the cut in the file, appends to them, and at its next start
 * applies this half of a transaction. Here the whole transaction is cut off beforehand. */
#ifndef SUMI_QUEUE_AOF_H
#define SUMI_QUEUE_AOF_H

#include <stdint.h>

#include "base/status.h"

/* Mends the append-only file of a server that does not run; dir is its folder. *cut: bytes
 * that were taken off: the unfinished tail, and zeros that a file system has put behind it.
 * Anything else that cannot be read is left as it is, for the server to report. Nothing to
 * mend and no file are fine. */
int aof_mend(const char *dir, int64_t *cut, struct error *err);

#endif

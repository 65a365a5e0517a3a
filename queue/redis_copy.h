/* The private Redis' data, copied while the server runs. */
#ifndef SUMI_QUEUE_REDIS_COPY_H
#define SUMI_QUEUE_REDIS_COPY_H

#include "base/status.h"

/* Copies the append-only file of state_dir/redis into the new folder to, as it stands at one moment:
 * what is written later is left out whole, transaction by transaction. Works with a server that
 * runs, or does not. SUMI_NOTFOUND where no server has run yet. */
int redis_copy(const char *state_dir, const char *to, struct error *err);

#endif

/* How a job ends. */
#ifndef SUMI_DAEMON_CONCLUDE_H
#define SUMI_DAEMON_CONCLUDE_H

#include "daemon/work.h"

/* All variants are told: the row "stored", the queue's finish, the row "visible". */
int conclude_finish(struct work *w, struct error *err);

/* The last word about a job. status: of what was done (0 and no stop: conclude_finish() has been
 * called), err its message; stop: why it was left off. Stops the heartbeat, frees what the work
 * holds, and tells queue and store, whose failures are logged. */
enum execute_result conclude(struct work *w, int status, enum stop stop, const struct error *err);

/* The same for a job that is given back though nothing stands against it. */
void conclude_release(struct work *w, const char *reason);

#endif

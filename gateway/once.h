/* One picture of a request that is sent several times. A client that names its request (Idempotency-Key)
 * gets the same job for the same name. Of one that does not, a request that the same key's owner has sent
 * before, and that has not been answered since, belongs to the job of then: its connection broke, or the
 * client says that it tries again (x-stainless-retry-count). Two equal requests at once are two jobs. */
#ifndef SUMI_GATEWAY_ONCE_H
#define SUMI_GATEWAY_ONCE_H

#include "gateway/call.h"

struct once;
struct once *once_new(void);
void once_free(struct once *once);

/* Gives a job of the call its id. *known: such a job may have been sent already. attach: also without a name
 * of the request. False: it has been refused. */
bool once_name(struct call *call, struct worker *w, struct job *job, bool attach, bool *known);

/* The ids of several jobs of one named request; does nothing without a name. */
bool once_name_list(struct call *call, struct worker *w, struct job *jobs, size_t count, bool *known);

/* While it waits: the memory of it lasts for a while behind the last of these. */
void once_hold(struct call *call, struct worker *w);
/* The answer is there: an equal request is a new one. */
void once_answered(struct call *call, struct worker *w);
/* The call has ended, however, or its client has gone as it seems. Not while its handler runs. */
void once_leave(struct once *once, struct call *call);

#endif

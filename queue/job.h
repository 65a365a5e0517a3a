/* Where a job stands in the queue. What a job says is in request/. */
#ifndef SUMI_QUEUE_JOB_H
#define SUMI_QUEUE_JOB_H

#include <stdbool.h>

#include "request/job.h"

/* X(NAME, word): where a job stands. The words are stable. */
#define JOB_STATE_MAP(X)                                                                           \
	X(READY, "ready")                                                                          \
	X(DELAYED, "delayed")                                                                      \
	X(BLOCKED, "blocked")                                                                      \
	X(RUNNING, "running")                                                                      \
	X(DONE, "done")                                                                            \
	X(FAILED, "failed")                                                                        \
	X(CANCELLED, "cancelled")

enum job_state {
#define X(name, word) JOB_##name,
	JOB_STATE_MAP(X)
#undef X
	    JOB_STATES
};

const char *job_state_word(enum job_state state);
int job_state_from_word(const char *word); /* -1 for a word that is none */
bool job_state_is_final(enum job_state state);

#endif

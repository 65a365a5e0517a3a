/* The states of a job. */
#include "queue/job.h"

#include <string.h>

static const char *const state_words[] = {
#define X(name, word) word,
    JOB_STATE_MAP(X)
#undef X
};

const char *job_state_word(enum job_state state)
{
	return (unsigned)state < JOB_STATES ? state_words[state] : "unknown";
}

int job_state_from_word(const char *word)
{
	for (int i = 0; i < JOB_STATES; i++)
		if (strcmp(state_words[i], word) == 0)
			return i;
	return -1;
}

bool job_state_is_final(enum job_state state)
{
	return state == JOB_DONE || state == JOB_FAILED || state == JOB_CANCELLED;
}
